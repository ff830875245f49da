//! Reading back: what was written, what is on the disk, and what the files count.
//!
//! - [`CheckedFile`]: the bytes of a file as it is
//! - [`FoundFile`]: a file that is there
//! - [`TallyRow`]: what a count needs of a row
//! - [`Written`], [`IdDigest`]: what a staged file must read back as

use std::fs::{self, File};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::{RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use sha2::{Digest, Sha256};

use super::ArchiveError;
use crate::files::FileError;
use crate::record::hex;

/// Bytes read at a time for a hash.
const CHUNK_BYTES: usize = 64 * 1024;

/// Rows decoded at a time, at most.
const BATCH_ROWS: usize = 1024;

/// Bytes decoded at a time, about: rows are counted by the average of their row group, so that images don't add up.
const BATCH_BYTES: i64 = 4 * 1024 * 1024;

/// The bytes of a file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
}

/// A file under `archive/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundFile {
    /// Where it is, relative to `archive/`.
    pub relative_path: String,
    /// Its length.
    pub bytes: u64,
}

/// What a count by product, region and sub code needs of a row of `verifications`; its billing day is in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TallyRow<'a> {
    /// The product.
    pub product_code: &'a str,
    /// The region.
    pub region: &'a str,
    /// The vendor's sub code.
    pub sub_code: &'a str,
}

/// What a staged file must read back as.
#[derive(Debug)]
pub(super) struct Written {
    /// The transaction ids of its rows.
    pub(super) ids: IdDigest,
    /// Its length.
    pub(super) bytes: u64,
    /// The SHA-256 of its bytes in lower-case hex.
    pub(super) sha256: String,
}

/// Transaction ids, counted and hashed in their order: two sequences can be compared without keeping either.
#[derive(Debug, Clone, Default)]
pub(super) struct IdDigest {
    rows: u64,
    hasher: Sha256,
}

impl IdDigest {
    /// Takes the next id. Its length goes in too, so that no other cut of the same letters looks the same.
    pub(super) fn add(&mut self, transaction_id: &str) {
        self.rows += 1;
        self.hasher.update((transaction_id.len() as u64).to_le_bytes());
        self.hasher.update(transaction_id);
    }

    /// How many were taken.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }
}

/// Reads the file at `path` from the disk and compares it with what was written: first its bytes, then its rows.
pub(super) fn read_back(path: &Path, written: &Written) -> Result<(), ArchiveError> {
    let different = |what: String| ArchiveError::ReadBack {
        path: path.to_owned(),
        what,
    };
    let found = check(path)?;
    if found.bytes != written.bytes || found.sha256 != written.sha256 {
        let (bytes, length) = (found.bytes, written.bytes);
        return Err(different(format!(
            "{bytes} bytes with SHA-256 {} were read, {length} bytes with {} were written",
            found.sha256, written.sha256
        )));
    }
    let mut ids = IdDigest::default();
    read_ids(path, &mut |id| ids.add(id))?;
    if ids.rows != written.ids.rows {
        let (read, appended) = (ids.rows, written.ids.rows);
        return Err(different(format!("{read} rows were read, {appended} were written")));
    }
    if ids.sha256() != written.ids.sha256() {
        return Err(different("its transaction ids are others than were written".to_owned()));
    }
    Ok(())
}

/// The length and the hash of the file at `path`.
pub(super) fn check(path: &Path) -> Result<CheckedFile, ArchiveError> {
    let mut file = File::open(path).map_err(FileError::because("open", path))?;
    let (mut bytes, mut hasher) = (0, Sha256::new());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(FileError::because("read", path))?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
        bytes += read as u64;
    }
    let sha256 = hex(&hasher.finalize());
    Ok(CheckedFile { bytes, sha256 })
}

/// Decodes every column of every row, and hands each row's transaction id to `each`. Returns the rows.
pub(super) fn read_ids(path: &Path, each: &mut dyn FnMut(&str)) -> Result<u64, ArchiveError> {
    let mut rows = 0;
    read(path, None, &mut |batch| {
        rows += batch.num_rows() as u64;
        text(batch, "transaction_id")?.iter().flatten().for_each(&mut *each);
        Ok(())
    })?;
    Ok(rows)
}

/// Hands what a count needs of every row to `each`.
pub(super) fn read_tallies(path: &Path, each: &mut dyn FnMut(TallyRow<'_>)) -> Result<(), ArchiveError> {
    read(path, Some(["product_code", "region", "sub_code"]), &mut |batch| {
        let product_codes = text(batch, "product_code")?;
        let regions = text(batch, "region")?;
        let sub_codes = text(batch, "sub_code")?;
        for row in 0..batch.num_rows() {
            each(TallyRow {
                product_code: product_codes.value(row),
                region: regions.value(row),
                sub_code: sub_codes.value(row),
            });
        }
        Ok(())
    })
}

fn read(
    path: &Path,
    columns: Option<[&str; 3]>,
    each: &mut dyn FnMut(&RecordBatch) -> Result<(), ParquetError>,
) -> Result<(), ArchiveError> {
    let file = File::open(path).map_err(FileError::because("open", path))?;
    let decode = || {
        let mut batches = guarded(|| batches(file, columns))?;
        while let Some(batch) = guarded(|| Ok(batches.next().transpose()?))? {
            each(&batch)?;
        }
        Ok(())
    };
    decode().map_err(|source| ArchiveError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn batches(file: File, columns: Option<[&str; 3]>) -> Result<ParquetRecordBatchReader, ParquetError> {
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(reader.parquet_schema(), columns);
        reader = reader.with_projection(mask);
    }
    let batch_rows = batch_rows(reader.metadata());
    reader.with_batch_size(batch_rows).build()
}

/// Some damage makes the decoder panic (parquet 60.1: a dictionary page that lost its mark). One bad file must not end
/// `verify`, which is there to find it. What panicked is dropped, so nothing half-done is seen.
fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    let panicked = |_| Err(ParquetError::General("the decoder panicked".to_owned()));
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(panicked)
}

fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let groups = metadata.row_groups().iter();
    let row_bytes = groups.map(|group| group.total_byte_size() / group.num_rows().max(1));
    let widest = row_bytes.max().unwrap_or(1).max(1);
    usize::try_from(BATCH_BYTES / widest).map_or(1, |rows| rows.clamp(1, BATCH_ROWS))
}

fn text<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a StringArray, ParquetError> {
    batch
        .column_by_name(column)
        .and_then(|array| array.as_any().downcast_ref())
        .ok_or_else(|| ParquetError::General(format!("there is no text column {column}")))
}

/// Every regular file under `root`, in the order of the paths. Links are not followed.
pub(super) fn files_under(root: &Path) -> Result<Vec<FoundFile>, ArchiveError> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = || FileError::because("list", &folder);
        for entry in fs::read_dir(&folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let kind = entry.file_type().map_err(failed())?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                let relative = path.strip_prefix(root).unwrap_or(&path);
                found.push(FoundFile {
                    relative_path: relative.to_string_lossy().into_owned(),
                    bytes: entry.metadata().map_err(failed())?.len(),
                });
            }
        }
    }
    found.sort();
    Ok(found)
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
