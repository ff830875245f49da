//! Rows to columns: every conversion is here, one line a column, in the order of the schema.
//!
//! - [`Columns`]: the columns of a dataset while rows are added; [`Row`]: what is added
//! - [`Verifications`] of a [`Verification`] each, [`FaceImages`] of a [`Face`] each

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int16Builder, Int64Builder, ListArray,
    RecordBatch, StringBuilder, StructArray, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::error::ArrowError;
use jiff::Timestamp;
use jiff::civil::Date;

use super::{Dataset, schema};
use crate::record::{DuplicateFace, FaceImage, Verification, expires_at, sha256_hex};

/// What the short fields of a row take in memory, in bytes; a round guess for the batch limit.
const SHORT_FIELDS_BYTES: usize = 1024;

/// The columns of a dataset while rows are added. What is added is copied once, to where it stays.
pub(super) trait Columns: Default {
    /// What is added.
    type Row<'a>: Row;

    /// The dataset.
    const DATASET: Dataset;

    /// Adds a row.
    fn append(&mut self, row: &Self::Row<'_>);

    /// What was added since it was last taken.
    fn take(&mut self) -> Result<RecordBatch, ArrowError>;
}

/// A row that says whose it is.
pub(super) trait Row {
    /// The transaction.
    fn transaction_id(&self) -> &str;

    /// About how much memory it takes, in bytes.
    fn bytes(&self) -> usize;
}

/// A row of `face_images`.
#[derive(Debug)]
pub(super) struct Face<'a> {
    pub(super) transaction_id: &'a str,
    pub(super) billing_day: Option<Date>,
    pub(super) image: &'a FaceImage,
}

impl Row for Verification<'_> {
    fn transaction_id(&self) -> &str {
        &self.transaction_id
    }

    fn bytes(&self) -> usize {
        let text: usize = self.record.texts().map(str::len).sum();
        let duplicates = self.record.face.duplicate_faces.as_ref().map_or(0, Vec::len);
        SHORT_FIELDS_BYTES + text + duplicates * size_of::<DuplicateFace>()
    }
}

impl Row for Face<'_> {
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
        transaction_id: StringBuilder = Some(&r.transaction_id),
        merchant_biz_id: StringBuilder = Some(&r.merchant_biz_id),
        product_code: StringBuilder = Some(&r.product_code),
        region: StringBuilder = Some(&r.region),
        verified_at: Instants = r.verified_at,
        expires_at: Instants = r.verified_at.map(expires_at),
        fetched_at: Instants = Some(r.fetched_at),
        request_id: StringBuilder = r.record.request_id.as_deref(),
        passed: BooleanBuilder = Some(r.record.passed),
        sub_code: StringBuilder = Some(&r.record.sub_code),
        billed: BooleanBuilder = r.billed,
        face_attack: BooleanBuilder = r.record.face.attack,
        face_registered: BooleanBuilder = r.record.face.registered,
        face_attack_score: Float64Builder = r.record.face.attack_score,
        guard_risk_score: Float64Builder = r.record.face.guard_risk_score,
        face_comparison_score: Float64Builder = r.record.face.comparison_score,
        face_age: Int16Builder = r.record.face.age,
        face_gender: StringBuilder = r.record.face.gender.as_deref(),
        face_registration_id: StringBuilder = r.record.face.registration_id.as_deref(),
        device_token: StringBuilder = r.record.face.device_token.as_deref(),
        video_url: StringBuilder = r.record.face.video_url.as_deref(),
        duplicate_faces: FaceLists = r.record.face.duplicate_faces.as_deref(),
        face_image_sha256: StringBuilder = r.record.images.first().map(|image| &image.sha256),
        ext_face_info: StringBuilder = r.record.ext_face_info.as_deref(),
        ekyc_result: StringBuilder = r.record.ekyc_result.as_deref(),
        ext_basic_info: StringBuilder = r.record.ext_basic_info.as_deref(),
        ext_id_info: StringBuilder = r.record.ext_id_info.as_deref(),
        ext_info: StringBuilder = r.record.ext_info.as_deref(),
        ext_risk_info: StringBuilder = r.record.ext_risk_info.as_deref(),
        ext_source_info: StringBuilder = r.record.ext_source_info.as_deref(),
        parse_status: StringBuilder = Some(r.record.parse_status.as_str()),
        reply_sha256: StringBuilder = Some(sha256_hex(&r.body)),
        run_id: StringBuilder = Some(&r.run_id),
        billing_date: Date32Builder = r.billing_day.map(schema::epoch_day),
        // Nothing fills these yet: they are here so that archives are upgraded once.
        business_unit: StringBuilder = None::<&str>,
        video_sha256: StringBuilder = None::<&str>,
        video_bytes: Int64Builder = None,
        video_encrypted_sha256: StringBuilder = None::<&str>,
    }
}

columns! {
    /// Those of `face_images`.
    FaceImages: |r: Face| {
        transaction_id: StringBuilder = Some(r.transaction_id),
        image: BinaryBuilder = Some(&r.image.bytes),
        sha256: StringBuilder = Some(&r.image.sha256),
        media_type: StringBuilder = Some(r.image.media_type),
        billing_date: Date32Builder = r.billing_day.map(schema::epoch_day),
        encrypted_sha256: StringBuilder = None::<&str>,
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
