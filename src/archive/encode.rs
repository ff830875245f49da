//! Rows to columns: every conversion is here, one line a column, in the order of the schema.
//!
//! - [`Columns`]: the columns of a dataset while rows are added
//! - [`Verifications`] of a [`Verification`] each, [`FaceImages`] of a [`Face`] each
//! - [`hashes`]: of a row's faces

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int16Builder, ListArray, RecordBatch, StringBuilder,
    StructArray, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::error::ArrowError;
use jiff::Timestamp;

use super::{Dataset, Row, schema};
use crate::record::{DuplicateFace, FaceImage, expires_at, sha256_hex};

/// What the short fields of a row take in memory, in bytes; a round guess for the batch limit.
const SHORT_FIELDS_BYTES: usize = 1024;

/// The columns of a dataset while rows are added. What is added is copied once, to where it stays.
pub(super) trait Columns: Default {
    /// What is added.
    type Row<'a>: Addressed;

    /// The dataset.
    const DATASET: Dataset;

    /// Adds a row.
    fn append(&mut self, row: &Self::Row<'_>);

    /// What was added since it was last taken.
    fn take(&mut self) -> Result<RecordBatch, ArrowError>;
}

/// A row that says whose it is.
pub(super) trait Addressed {
    /// The transaction.
    fn transaction_id(&self) -> &str;

    /// About how much memory it takes, in bytes.
    fn bytes(&self) -> usize;
}

/// A row of `verifications`.
#[derive(Debug)]
pub(super) struct Verification<'a> {
    /// What was handed in; its images stand apart.
    pub(super) row: &'a Row<'a>,
    /// The hash of the first of them.
    pub(super) face_image_sha256: Option<&'a str>,
}

/// A row of `face_images`.
#[derive(Debug)]
pub(super) struct Face<'a> {
    pub(super) transaction_id: &'a str,
    pub(super) image: &'a FaceImage,
    pub(super) sha256: &'a str,
}

/// The SHA-256 of each of a row's faces, in their order.
pub(super) fn hashes(row: &Row<'_>) -> Vec<String> {
    let images = row.record.images.iter();
    images.map(|image| sha256_hex(&image.bytes)).collect()
}

impl Addressed for Verification<'_> {
    fn transaction_id(&self) -> &str {
        &self.row.transaction_id
    }

    fn bytes(&self) -> usize {
        let record = &self.row.record;
        let unbounded = [
            &record.ext_face_info,
            &record.ekyc_result,
            &record.ext_basic_info,
            &record.ext_id_info,
            &record.ext_info,
            &record.ext_risk_info,
            &record.ext_source_info,
            &record.face.device_token,
            &record.face.video_url,
        ];
        let text: usize = unbounded.into_iter().flatten().map(String::len).sum();
        let duplicates = record.face.duplicate_faces.as_ref().map_or(0, Vec::len);
        SHORT_FIELDS_BYTES + text + duplicates * size_of::<DuplicateFace>()
    }
}

impl Addressed for Face<'_> {
    fn transaction_id(&self) -> &str {
        self.transaction_id
    }

    fn bytes(&self) -> usize {
        SHORT_FIELDS_BYTES + self.image.bytes.len()
    }
}

/// Declares the columns of a dataset: what each is called, what builds it, and what a row has for it.
macro_rules! columns {
    ($(#[$doc:meta])* $dataset:ident: |$r:ident: $row:ident| { $($name:ident: $kind:ty = $value:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $dataset {
            $($name: $kind,)*
        }

        impl Columns for $dataset {
            type Row<'a> = $row<'a>;

            const DATASET: Dataset = Dataset::$dataset;

            fn append(&mut self, $r: &$row<'_>) {
                $(self.$name.append_option($value);)*
            }

            fn take(&mut self) -> Result<RecordBatch, ArrowError> {
                let columns: Vec<ArrayRef> = vec![$(Arc::new(self.$name.finish()),)*];
                RecordBatch::try_new(schema::columns(Self::DATASET).clone(), columns)
            }
        }
    };
}

columns! {
    /// Those of `verifications`.
    Verifications: |r: Verification| {
        transaction_id: StringBuilder = Some(&r.row.transaction_id),
        merchant_biz_id: StringBuilder = Some(&r.row.merchant_biz_id),
        product_code: StringBuilder = Some(&r.row.product_code),
        region: StringBuilder = Some(&r.row.region),
        verified_at: Instants = r.row.verified_at,
        expires_at: Instants = r.row.verified_at.map(expires_at),
        fetched_at: Instants = Some(r.row.fetched_at),
        request_id: StringBuilder = r.row.record.request_id.as_deref(),
        passed: BooleanBuilder = Some(r.row.record.passed),
        sub_code: StringBuilder = Some(&r.row.record.sub_code),
        billed: BooleanBuilder = r.row.billed,
        face_attack: BooleanBuilder = r.row.record.face.attack,
        face_registered: BooleanBuilder = r.row.record.face.registered,
        face_attack_score: Float64Builder = r.row.record.face.attack_score,
        guard_risk_score: Float64Builder = r.row.record.face.guard_risk_score,
        face_comparison_score: Float64Builder = r.row.record.face.comparison_score,
        face_age: Int16Builder = r.row.record.face.age,
        face_gender: StringBuilder = r.row.record.face.gender.as_deref(),
        face_registration_id: StringBuilder = r.row.record.face.registration_id.as_deref(),
        device_token: StringBuilder = r.row.record.face.device_token.as_deref(),
        video_url: StringBuilder = r.row.record.face.video_url.as_deref(),
        duplicate_faces: FaceLists = r.row.record.face.duplicate_faces.as_deref(),
        face_image_sha256: StringBuilder = r.face_image_sha256,
        ext_face_info: StringBuilder = r.row.record.ext_face_info.as_deref(),
        ekyc_result: StringBuilder = r.row.record.ekyc_result.as_deref(),
        ext_basic_info: StringBuilder = r.row.record.ext_basic_info.as_deref(),
        ext_id_info: StringBuilder = r.row.record.ext_id_info.as_deref(),
        ext_info: StringBuilder = r.row.record.ext_info.as_deref(),
        ext_risk_info: StringBuilder = r.row.record.ext_risk_info.as_deref(),
        ext_source_info: StringBuilder = r.row.record.ext_source_info.as_deref(),
        parse_status: StringBuilder = Some(r.row.record.parse_status.as_str()),
        reply_sha256: StringBuilder = Some(&r.row.reply_sha256),
        run_id: StringBuilder = Some(&r.row.run_id),
    }
}

columns! {
    /// Those of `face_images`.
    FaceImages: |r: Face| {
        transaction_id: StringBuilder = Some(r.transaction_id),
        image: BinaryBuilder = Some(&r.image.bytes),
        sha256: StringBuilder = Some(r.sha256),
        media_type: StringBuilder = Some(r.image.media_type),
    }
}

/// Microseconds since 1970; what is finer is cut off.
#[derive(Debug, Default)]
struct Instants(TimestampMicrosecondBuilder);

impl Instants {
    fn append_option(&mut self, time: Option<Timestamp>) {
        self.0.append_option(time.map(Timestamp::as_microsecond));
    }

    fn finish(&mut self) -> TimestampMicrosecondArray {
        self.0.finish().with_timezone(schema::ZONE)
    }
}

/// `duplicate_faces`: no list (null) and an empty list stay apart.
#[derive(Debug)]
struct FaceLists {
    lengths: Vec<usize>,
    present: NullBufferBuilder,
    face_group_code: StringBuilder,
    face_id: StringBuilder,
    merchant_user_id: StringBuilder,
    score: Float64Builder,
}

impl Default for FaceLists {
    fn default() -> Self {
        Self {
            lengths: Vec::new(),
            present: NullBufferBuilder::new(0),
            face_group_code: StringBuilder::default(),
            face_id: StringBuilder::default(),
            merchant_user_id: StringBuilder::default(),
            score: Float64Builder::default(),
        }
    }
}

impl FaceLists {
    fn append_option(&mut self, faces: Option<&[DuplicateFace]>) {
        self.present.append(faces.is_some());
        self.lengths.push(faces.map_or(0, <[_]>::len));
        for face in faces.unwrap_or_default() {
            self.face_group_code.append_option(face.face_group_code.as_deref());
            self.face_id.append_option(face.face_id.as_deref());
            self.merchant_user_id.append_option(face.merchant_user_id.as_deref());
            self.score.append_option(face.score);
        }
    }

    fn finish(&mut self) -> ListArray {
        let offsets = OffsetBuffer::from_lengths(self.lengths.drain(..));
        let members: Vec<ArrayRef> = vec![
            Arc::new(self.face_group_code.finish()),
            Arc::new(self.face_id.finish()),
            Arc::new(self.merchant_user_id.finish()),
            Arc::new(self.score.finish()),
        ];
        let faces = StructArray::new(schema::duplicate_face_fields().clone(), members, None);
        ListArray::new(
            schema::duplicate_face().clone(),
            offsets,
            Arc::new(faces),
            self.present.finish(),
        )
    }
}
