//! Rows to columns: every conversion is here, one line a column, in the order of the schema.
//!
//! - [`Encode`]: a row that one of the datasets can hold
//! - [`Verification`]: a row of `verifications`, [`Face`]: a row of `face_images`
//! - [`split`]: one handed-in row into these

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int16Array, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::error::ArrowError;
use jiff::Timestamp;

use super::{Dataset, Row, schema};
use crate::record::{DuplicateFace, FaceImage, expires_at, sha256_hex};

/// What the short fields of a row and their headers take in memory, in bytes; a round guess for the batch limit.
const SHORT_FIELDS_BYTES: usize = 1024;

/// A row that one of the datasets can hold.
pub(super) trait Encode: Sized {
    /// The dataset.
    const DATASET: Dataset;

    /// Whose row it is.
    fn transaction_id(&self) -> &str;

    /// About how much memory it holds, in bytes.
    fn buffered_bytes(&self) -> usize;

    /// The rows as columns.
    fn encode(rows: &[Self]) -> Result<RecordBatch, ArrowError>;
}

/// A row of `verifications`: what was handed in, without the images.
#[derive(Debug)]
pub(super) struct Verification {
    row: Row,
    face_image_sha256: Option<String>,
}

/// A row of `face_images`.
#[derive(Debug)]
pub(super) struct Face {
    transaction_id: String,
    image: FaceImage,
    sha256: String,
}

/// One verification and its faces, in their order.
pub(super) fn split(mut row: Row) -> (Verification, Vec<Face>) {
    let images = std::mem::take(&mut row.record.images);
    let faces: Vec<Face> = images
        .into_iter()
        .map(|image| Face {
            transaction_id: row.transaction_id.clone(),
            sha256: sha256_hex(&image.bytes),
            image,
        })
        .collect();
    let face_image_sha256 = faces.first().map(|face| face.sha256.clone());
    (Verification { row, face_image_sha256 }, faces)
}

impl Encode for Verification {
    const DATASET: Dataset = Dataset::Verifications;

    fn transaction_id(&self) -> &str {
        &self.row.transaction_id
    }

    fn buffered_bytes(&self) -> usize {
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

    fn encode(rows: &[Self]) -> Result<RecordBatch, ArrowError> {
        let columns = vec![
            text(rows, |r| Some(&r.row.transaction_id)),
            text(rows, |r| Some(&r.row.merchant_biz_id)),
            text(rows, |r| Some(&r.row.product_code)),
            text(rows, |r| Some(&r.row.region)),
            instants(rows, |r| r.row.verified_at),
            instants(rows, |r| r.row.verified_at.map(expires_at)),
            instants(rows, |r| Some(r.row.fetched_at)),
            text(rows, |r| r.row.record.request_id.as_deref()),
            truths(rows, |r| Some(r.row.record.passed)),
            text(rows, |r| Some(&r.row.record.sub_code)),
            truths(rows, |r| r.row.billed),
            truths(rows, |r| r.row.record.face.attack),
            truths(rows, |r| r.row.record.face.registered),
            scores(rows, |r| r.row.record.face.attack_score),
            scores(rows, |r| r.row.record.face.guard_risk_score),
            scores(rows, |r| r.row.record.face.comparison_score),
            Arc::new(rows.iter().map(|r| r.row.record.face.age).collect::<Int16Array>()),
            text(rows, |r| r.row.record.face.gender.as_deref()),
            text(rows, |r| r.row.record.face.registration_id.as_deref()),
            text(rows, |r| r.row.record.face.device_token.as_deref()),
            text(rows, |r| r.row.record.face.video_url.as_deref()),
            lists(rows, |r| r.row.record.face.duplicate_faces.as_deref())?,
            text(rows, |r| r.face_image_sha256.as_deref()),
            text(rows, |r| r.row.record.ext_face_info.as_deref()),
            text(rows, |r| r.row.record.ekyc_result.as_deref()),
            text(rows, |r| r.row.record.ext_basic_info.as_deref()),
            text(rows, |r| r.row.record.ext_id_info.as_deref()),
            text(rows, |r| r.row.record.ext_info.as_deref()),
            text(rows, |r| r.row.record.ext_risk_info.as_deref()),
            text(rows, |r| r.row.record.ext_source_info.as_deref()),
            text(rows, |r| Some(r.row.record.parse_status.as_str())),
            text(rows, |r| Some(&r.row.reply_sha256)),
            text(rows, |r| Some(&r.row.run_id)),
        ];
        RecordBatch::try_new(schema::columns(Self::DATASET).clone(), columns)
    }
}

impl Encode for Face {
    const DATASET: Dataset = Dataset::FaceImages;

    fn transaction_id(&self) -> &str {
        &self.transaction_id
    }

    fn buffered_bytes(&self) -> usize {
        size_of::<Self>() + self.image.bytes.len()
    }

    fn encode(rows: &[Self]) -> Result<RecordBatch, ArrowError> {
        let images = rows.iter().map(|r| Some(r.image.bytes.as_slice()));
        let columns = vec![
            text(rows, |r| Some(&r.transaction_id)),
            Arc::new(images.collect::<BinaryArray>()),
            text(rows, |r| Some(&r.sha256)),
            text(rows, |r| Some(r.image.media_type)),
        ];
        RecordBatch::try_new(schema::columns(Self::DATASET).clone(), columns)
    }
}

fn text<R>(rows: &[R], column: impl Fn(&R) -> Option<&str>) -> ArrayRef {
    Arc::new(rows.iter().map(column).collect::<StringArray>())
}

/// Microseconds since 1970; what is finer is cut off.
fn instants<R>(rows: &[R], column: impl Fn(&R) -> Option<Timestamp>) -> ArrayRef {
    let microseconds = rows.iter().map(|row| column(row).map(Timestamp::as_microsecond));
    let array: TimestampMicrosecondArray = microseconds.collect();
    Arc::new(array.with_timezone(schema::ZONE))
}

fn truths<R>(rows: &[R], column: impl Fn(&R) -> Option<bool>) -> ArrayRef {
    Arc::new(rows.iter().map(column).collect::<BooleanArray>())
}

fn scores<R>(rows: &[R], column: impl Fn(&R) -> Option<f64>) -> ArrayRef {
    Arc::new(rows.iter().map(column).collect::<Float64Array>())
}

/// `duplicate_faces`: no list (null) and an empty list stay apart.
fn lists<R>(rows: &[R], column: impl Fn(&R) -> Option<&[DuplicateFace]>) -> Result<ArrayRef, ArrowError> {
    let lists: Vec<Option<&[DuplicateFace]>> = rows.iter().map(column).collect();
    let faces: Vec<&DuplicateFace> = lists.iter().flatten().copied().flatten().collect();
    let members = vec![
        text(&faces, |face| face.face_group_code.as_deref()),
        text(&faces, |face| face.face_id.as_deref()),
        text(&faces, |face| face.merchant_user_id.as_deref()),
        scores(&faces, |face| face.score),
    ];
    let elements =
        StructArray::try_new_with_length(schema::duplicate_face_fields().clone(), members, None, faces.len())?;
    let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.map_or(0, <[_]>::len)));
    let present: NullBuffer = lists.iter().map(Option::is_some).collect();
    let list = ListArray::try_new(
        schema::duplicate_face().clone(),
        offsets,
        Arc::new(elements),
        Some(present),
    )?;
    Ok(Arc::new(list))
}
