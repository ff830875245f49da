//! Staging: rows stream into a private file beside the archive, which is read back before it may be published.
//!
//! - [`StagedDay`]: the files of one billing day while they are written
//! - [`StagedFile`]: a complete file that read back well, ready to be published
//! - `Lane`: one dataset of a day; its file is made when its first row is encoded
//! - `Scratch`: a file in the staging folder that goes away unless it is published
//! - `Hashed`: a file that takes the SHA-256 of what passes through it

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use sha2::{Digest, Sha256};

use super::check::{IdDigest, Written, read_back};
use super::encode::{Encode, Face, Verification, split};
use super::schema::{self, Limits};
use super::{ArchiveError, Dataset, Row};
use crate::files;
use crate::record::hex;

/// The files of one billing day while they are written. Memory stays within the limits of a row group however many
/// rows there are. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct StagedDay {
    last_verified_at: Option<Timestamp>,
    verifications: Lane<Verification>,
    faces: Lane<Face>,
}

impl StagedDay {
    pub(super) fn new(place: &Place, limits: Limits) -> Self {
        Self {
            last_verified_at: None,
            verifications: Lane::new(place.clone(), limits),
            faces: Lane::new(place.clone(), limits),
        }
    }

    /// Adds a row. Rows must come sorted by `verified_at`, unknown first. After an error the day is to be dropped.
    pub fn append(&mut self, row: Row) -> Result<(), ArchiveError> {
        if row.verified_at < self.last_verified_at {
            return Err(ArchiveError::Unsorted {
                transaction_id: row.transaction_id,
            });
        }
        self.last_verified_at = row.verified_at;
        let (verification, faces) = split(row);
        self.verifications.append(verification)?;
        faces.into_iter().try_for_each(|face| self.faces.append(face))
    }

    /// Completes the files, makes them durable and reads each back: its bytes must hash, and its rows must count and
    /// name, as what was appended. A dataset without rows has no file.
    pub fn finish(self) -> Result<Vec<StagedFile>, ArchiveError> {
        let files = [self.verifications.finish()?, self.faces.finish()?];
        Ok(files.into_iter().flatten().collect())
    }
}

/// A complete file in the staging folder that read back well. Dropped unpublished, it goes away.
#[derive(Debug)]
pub struct StagedFile {
    /// What it holds.
    pub dataset: Dataset,
    /// Where it will be, relative to `archive/`: `verifications/billing_day=2026-11-21/<run id>-0001.parquet`.
    pub relative_path: String,
    /// Its rows.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
    scratch: Scratch,
    root: PathBuf,
}

impl StagedFile {
    /// Makes the file visible under its name, for good. A file that is there already is never replaced. After an error
    /// the file may or may not be there: [`super::Archive::discard`] it.
    pub fn publish(self) -> Result<(), ArchiveError> {
        let target = self.root.join(&self.relative_path);
        if let Some(partition) = target.parent()
            && let Some(dataset) = partition.parent()
        {
            // Synced even when they were there: a run that was killed may have made them a moment ago.
            files::create_private_dir(dataset)?;
            files::sync(&self.root)?;
            files::create_private_dir(partition)?;
            files::sync(dataset)?;
        }
        Ok(files::publish(&self.scratch.0, &target)?)
    }
}

/// Where a day's files are staged, and what they will be called.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `archive/`.
    pub(super) root: PathBuf,
    /// `.staging/`.
    pub(super) staging: PathBuf,
    /// `billing_day=2026-11-21`.
    pub(super) partition: String,
    /// `<run id>-0001.parquet`.
    pub(super) file_name: String,
}

impl Place {
    fn scratch(&self, dataset: Dataset) -> PathBuf {
        let name = format!("{}.{}.{}", dataset.as_str(), self.partition, self.file_name);
        self.staging.join(name)
    }

    fn relative_path(&self, dataset: Dataset) -> String {
        format!("{}/{}/{}", dataset.as_str(), self.partition, self.file_name)
    }
}

#[derive(Debug)]
struct Lane<R> {
    place: Place,
    limits: Limits,
    waiting: Vec<R>,
    waiting_bytes: usize,
    appended: IdDigest,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    scratch: Scratch,
    writer: ArrowWriter<Hashed>,
}

impl<R: Encode> Lane<R> {
    fn new(place: Place, limits: Limits) -> Self {
        Self {
            place,
            limits,
            waiting: Vec::new(),
            waiting_bytes: 0,
            appended: IdDigest::default(),
            open: None,
        }
    }

    fn append(&mut self, row: R) -> Result<(), ArchiveError> {
        self.appended.add(row.transaction_id());
        self.waiting_bytes += row.buffered_bytes();
        self.waiting.push(row);
        if self.waiting.len() >= self.limits.batch_rows || self.waiting_bytes >= self.limits.batch_bytes {
            self.encode()?;
        }
        Ok(())
    }

    fn encode(&mut self) -> Result<(), ArchiveError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::create(self.place.scratch(R::DATASET), R::DATASET, self.limits)?),
        };
        let batch = R::encode(&self.waiting).map_err(ParquetError::from);
        batch
            .and_then(|batch| open.writer.write(&batch))
            .map_err(ArchiveError::writing(&open.scratch.0))?;
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Option<StagedFile>, ArchiveError> {
        self.encode()?;
        let Some(Open { scratch, writer }) = self.open else {
            return Ok(None);
        };
        let path = &scratch.0;
        let hashed = writer.into_inner().map_err(ArchiveError::writing(path))?;
        files::sync_out(&hashed.file, path)?;
        let written = Written {
            ids: self.appended,
            bytes: hashed.bytes,
            sha256: hex(&hashed.hasher.finalize()),
        };
        read_back(path, &written)?;
        Ok(Some(StagedFile {
            dataset: R::DATASET,
            relative_path: self.place.relative_path(R::DATASET),
            rows: written.ids.rows(),
            bytes: written.bytes,
            sha256: written.sha256,
            scratch,
            root: self.place.root,
        }))
    }
}

impl Open {
    fn create(path: PathBuf, dataset: Dataset, limits: Limits) -> Result<Self, ArchiveError> {
        let file = files::create_private(&path)?;
        let scratch = Scratch(path);
        let writer = schema::writer_properties(dataset, limits)
            .and_then(|properties| {
                ArrowWriter::try_new(Hashed::new(file), schema::columns(dataset).clone(), Some(properties))
            })
            .map_err(ArchiveError::writing(&scratch.0))?;
        Ok(Self { scratch, writer })
    }
}

#[derive(Debug)]
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Once published it is not there any more. What can't be removed is left to `Archive::clear_staging`.
        let _ = fs::remove_file(Path::new(&self.0));
    }
}

#[derive(Debug)]
struct Hashed {
    file: File,
    bytes: u64,
    hasher: Sha256,
}

impl Hashed {
    fn new(file: File) -> Self {
        Self {
            file,
            bytes: 0,
            hasher: Sha256::new(),
        }
    }
}

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
