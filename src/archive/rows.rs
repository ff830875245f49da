//! Rows as they are read back: what a comparison with the ledger needs of them.
//!
//! - [`StoredRow`], [`StoredFace`]: a row of each dataset
//! - [`Columns`]: how much of a file is decoded
//! - [`IMAGE`]: the column that holds faces

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, BinaryArray, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::columns::SCHEMA_VERSION;
use super::{ArchiveError, schema};
use crate::files::{self, FileError};
use crate::panics;
use crate::tally::Counted;

/// Rows decoded at a time, at most.
const BATCH_ROWS: usize = 1024;

/// Bytes decoded at a time, about: rows are counted by the average of their row group, so that images don't add up.
const BATCH_BYTES: i64 = 4 * 1024 * 1024;

const IMAGE: &str = "image";

/// The columns of `verifications` that [`StoredRow`] has.
const COMPARED: [&str; 11] = [
    "transaction_id",
    "merchant_biz_id",
    "product_code",
    "region",
    "verified_at",
    "expires_at",
    "fetched_at",
    "passed",
    "sub_code",
    "face_image_sha256",
    "run_id",
];

/// How much of a file is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// What is handed out, images not.
    Compared,
    /// Every one, so that damage shows wherever it is.
    All,
}

/// A row of `verifications`, as far as others know of it too. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRow<'a> {
    /// The transaction.
    pub transaction_id: &'a str,
    /// The company's own id.
    pub merchant_biz_id: &'a str,
    /// The product.
    pub product_code: &'a str,
    /// The region it was made in.
    pub region: &'a str,
    /// When it was made, where that is known.
    pub verified_at: Option<i64>,
    /// When the vendor deletes it, where that is known.
    pub expires_at: Option<i64>,
    /// When the vendor's reply came.
    pub fetched_at: i64,
    /// The verdict.
    pub passed: bool,
    /// The vendor's sub code.
    pub sub_code: &'a str,
    /// The SHA-256 of its first face in lower-case hex, where faces were fetched.
    pub face_image_sha256: Option<&'a str>,
    /// The run that fetched it.
    pub run_id: Option<&'a str>,
}

/// A row of `face_images`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredFace<'a> {
    /// The transaction.
    pub transaction_id: &'a str,
    /// The SHA-256 of the image in lower-case hex, as the file has it.
    pub sha256: &'a str,
    /// The image; `None` where only [`Columns::Compared`] are read.
    pub image: Option<&'a [u8]>,
}

/// Hands every row of the file of `verifications` at `path` to `each`. Returns what was counted of them.
pub(super) fn read_verifications<E: From<ArchiveError>>(
    path: &Path,
    columns: Columns,
    each: &mut dyn FnMut(StoredRow<'_>) -> Result<(), E>,
) -> Result<Counted, E> {
    let wanted = (columns == Columns::Compared).then_some(&COMPARED[..]);
    let mut counted = Counted::new();
    read(path, wanted, &mut |batch| {
        count(batch, &mut counted)?;
        let text = |name| column::<StringArray>(batch, name);
        let time = |name| column::<TimestampMicrosecondArray>(batch, name);
        let [ids, merchants] = [text("transaction_id")?, text("merchant_biz_id")?];
        let [products, regions, sub_codes] = [text("product_code")?, text("region")?, text("sub_code")?];
        let [verified, expires, fetched] = [time("verified_at")?, time("expires_at")?, time("fetched_at")?];
        let (passed, faces, runs) = (
            column::<BooleanArray>(batch, "passed")?,
            text("face_image_sha256")?,
            text("run_id")?,
        );
        let instant = |of: &TimestampMicrosecondArray, row| of.is_valid(row).then(|| of.value(row));
        let mut rows = (0..batch.num_rows()).map(move |row| StoredRow {
            transaction_id: ids.value(row),
            merchant_biz_id: merchants.value(row),
            product_code: products.value(row),
            region: regions.value(row),
            verified_at: instant(verified, row),
            expires_at: instant(expires, row),
            fetched_at: fetched.value(row),
            passed: passed.value(row),
            sub_code: sub_codes.value(row),
            face_image_sha256: optional(faces, row),
            run_id: optional(runs, row),
        });
        Ok(rows.try_for_each(&mut *each))
    })?;
    Ok(counted)
}

/// Counts the rows of the file of `verifications` at `path`, of which only three columns are read.
pub(super) fn tally(path: &Path) -> Result<Counted, ArchiveError> {
    let mut counted = Counted::new();
    read::<ArchiveError>(path, Some(&["product_code", "region", "sub_code"]), &mut |batch| {
        count(batch, &mut counted)?;
        Ok(Ok(()))
    })?;
    Ok(counted)
}

fn count(batch: &RecordBatch, counted: &mut Counted) -> Result<(), ParquetError> {
    let text = |name| column::<StringArray>(batch, name);
    let [products, regions, sub_codes] = [text("product_code")?, text("region")?, text("sub_code")?];
    let mut of_batch: HashMap<[&str; 3], u64> = HashMap::new();
    for row in 0..batch.num_rows() {
        let key = [products.value(row), regions.value(row), sub_codes.value(row)];
        *of_batch.entry(key).or_default() += 1;
    }
    for (key, rows) in of_batch {
        *counted.entry(key.map(str::to_owned)).or_default() += rows;
    }
    Ok(())
}

/// Hands every row of the file of `face_images` at `path` to `each`. Returns the rows.
pub(super) fn read_faces<E: From<ArchiveError>>(
    path: &Path,
    columns: Columns,
    each: &mut dyn FnMut(StoredFace<'_>) -> Result<(), E>,
) -> Result<u64, E> {
    let wanted = (columns == Columns::Compared).then_some(&["transaction_id", "sha256"][..]);
    read(path, wanted, &mut |batch| {
        let ids = column::<StringArray>(batch, "transaction_id")?;
        let hashes = column::<StringArray>(batch, "sha256")?;
        let images = match columns {
            Columns::Compared => None,
            Columns::All => Some(column::<BinaryArray>(batch, IMAGE)?),
        };
        let mut rows = (0..batch.num_rows()).map(|row| StoredFace {
            transaction_id: ids.value(row),
            sha256: hashes.value(row),
            image: images.map(|images| images.value(row)),
        });
        Ok(rows.try_for_each(&mut *each))
    })
}

/// Decodes every column of every row of either dataset, and hands each row's transaction id to `each`. Returns the rows.
pub(super) fn read_ids(path: &Path, each: &mut dyn FnMut(&str)) -> Result<u64, ArchiveError> {
    read(path, None, &mut |batch| {
        hand_over_ids(batch, each)?;
        Ok(Ok(()))
    })
}

/// As [`read_ids`], and counts verifications by product, region and sub code. Faces have none of these.
pub(super) fn read_ids_and_tally(path: &Path, each: &mut dyn FnMut(&str)) -> Result<Counted, ArchiveError> {
    let mut counted = Counted::new();
    read::<ArchiveError>(path, None, &mut |batch| {
        hand_over_ids(batch, each)?;
        if batch.column_by_name("sub_code").is_some() {
            count(batch, &mut counted)?;
        }
        Ok(Ok(()))
    })?;
    Ok(counted)
}

fn hand_over_ids(batch: &RecordBatch, each: &mut dyn FnMut(&str)) -> Result<(), ParquetError> {
    let ids = column::<StringArray>(batch, "transaction_id")?;
    ids.iter().flatten().for_each(each);
    Ok(())
}

/// Takes a batch. It fails for two reasons: the file is damaged, or whoever wants the rows says so.
type Each<'a, E> = dyn FnMut(&RecordBatch) -> Result<Result<(), E>, ParquetError> + 'a;

/// Decodes the `wanted` columns, or all.
fn read<E: From<ArchiveError>>(path: &Path, wanted: Option<&[&str]>, each: &mut Each<'_, E>) -> Result<u64, E> {
    let mut batches = Batches::open(path, wanted)?;
    let mut rows = 0;
    while let Some(batch) = batches.next()? {
        rows += batch.num_rows() as u64;
        each(&batch).map_err(|error| batches.unreadable(error))??;
    }
    Ok(rows)
}

/// The rows of a file, some at a time.
pub(super) struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl Batches {
    /// Of the `wanted` columns, or all.
    pub(super) fn open(path: &Path, wanted: Option<&[&str]>) -> Result<Self, ArchiveError> {
        let reader = open(path)?;
        let reader = guarded(|| batches(reader, wanted)).map_err(|source| unreadable(path, source))?;
        let path = path.to_owned();
        Ok(Self { path, reader })
    }

    /// The next ones, up to 1024 rows or about 4 MiB; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, ArchiveError> {
        guarded(|| Ok(self.reader.next().transpose()?)).map_err(|error| unreadable(&self.path, error))
    }

    /// For `map_err`: names the file.
    pub(super) fn unreadable(&self, source: ParquetError) -> ArchiveError {
        unreadable(&self.path, source)
    }
}

fn unreadable(path: &Path, source: ParquetError) -> ArchiveError {
    let path = path.to_owned();
    ArchiveError::Unreadable { path, source }
}

/// The schema version of the file at `path`.
pub(super) fn schema_version(path: &Path) -> Result<u32, ArchiveError> {
    let reader = open(path)?;
    schema::version_of(reader.metadata()).map_err(|source| unreadable(path, source))
}

/// With its footer read. A file of a later schema is refused.
fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, ArchiveError> {
    let file = files::open_regular(path).map_err(FileError::because("open", path))?;
    let read = guarded(|| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let version = schema::version_of(reader.metadata())?;
        Ok((reader, version))
    });
    let (reader, version) = read.map_err(|source| unreadable(path, source))?;
    if version > SCHEMA_VERSION {
        let path = path.to_owned();
        return Err(ArchiveError::Newer { path, version });
    }
    Ok(reader)
}

fn batches(
    mut reader: ParquetRecordBatchReaderBuilder<File>,
    wanted: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, ParquetError> {
    if let Some(wanted) = wanted {
        let mask = ProjectionMask::columns(reader.parquet_schema(), wanted.iter().copied());
        reader = reader.with_projection(mask);
    }
    let batch_rows = batch_rows(reader.metadata());
    reader.with_batch_size(batch_rows).build()
}

/// Some damage makes the decoder panic (parquet 60.1: a dictionary page that lost its mark). One bad file must not end
/// `verify`, which is there to find it. What panicked is dropped, so nothing half-done is seen.
fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    let panicked = || Err(ParquetError::General("the decoder panicked".to_owned()));
    panics::catch(decode).unwrap_or_else(panicked)
}

fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let groups = metadata.row_groups().iter();
    let row_bytes = groups.map(|group| group.total_byte_size() / group.num_rows().max(1));
    let widest = row_bytes.max().unwrap_or(1).max(1);
    usize::try_from(BATCH_BYTES / widest).map_or(1, |rows| rows.clamp(1, BATCH_ROWS))
}

pub(super) fn column<'a, A: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A, ParquetError> {
    batch
        .column_by_name(name)
        .and_then(|array| array.as_any().downcast_ref())
        .ok_or_else(|| ParquetError::General(format!("there is no column {name} of its type")))
}

fn optional(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_is_an_error() {
        let outcome = guarded::<()>(|| panic!("as parquet does on some damage"));
        assert!(outcome.unwrap_err().to_string().contains("panicked"));
    }
}
