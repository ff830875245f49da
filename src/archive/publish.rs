//! Staging: rows stream into a private file beside the archive, which is read back before it may be published.
//!
//! - [`StagedDay`]: the files of one billing day while they are written
//! - [`CompletingDay`]: the same, once all rows are there
//! - [`StagedFile`]: a complete file that read back well, ready to be published
//! - `Lane`: one dataset of a day; its file is made when its first rows are encoded

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::check::IdDigest;
use super::encode::{Addressed as _, Columns, Face, FaceImages, Verification, Verifications, hashes};
use super::encoder::{Completed, Encoder, Encoding, Scratch};
use super::schema::Limits;
use super::{ArchiveError, Dataset, Row};
use crate::files;

/// The files of one billing day while they are written. Memory stays within [`Limits`] however many rows there
/// are. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct StagedDay {
    last_verified_at: Option<Timestamp>,
    verifications: Lane<Verifications>,
    faces: Lane<FaceImages>,
}

impl StagedDay {
    pub(super) fn new(encoding: &Encoding, place: &Place, limits: Limits) -> Self {
        Self {
            last_verified_at: None,
            verifications: Lane::new(encoding.clone(), place.clone(), limits),
            faces: Lane::new(encoding.clone(), place.clone(), limits),
        }
    }

    /// Adds a row. Rows must come sorted by `verified_at`, unknown first. After an error the day is to be dropped.
    pub fn append(&mut self, row: &Row<'_>) -> Result<(), ArchiveError> {
        if row.verified_at < self.last_verified_at {
            return Err(ArchiveError::Unsorted {
                transaction_id: row.transaction_id.clone().into_owned(),
            });
        }
        self.last_verified_at = row.verified_at;
        let hashes = hashes(row);
        self.verifications.append(&Verification {
            row,
            face_image_sha256: hashes.first().map(String::as_str),
        })?;
        for (image, sha256) in row.record.images.iter().zip(&hashes) {
            self.faces.append(&Face {
                transaction_id: &row.transaction_id,
                image,
                sha256,
            })?;
        }
        Ok(())
    }

    /// Has the files completed, which goes on by itself until [`CompletingDay::wait`].
    pub fn complete(self) -> Result<CompletingDay, ArchiveError> {
        let encoders = [self.verifications.complete()?, self.faces.complete()?];
        Ok(CompletingDay(encoders.into_iter().flatten().collect()))
    }
}

/// The files of one billing day that has all its rows. Dropped before they are complete, it leaves nothing behind.
#[derive(Debug)]
pub struct CompletingDay(Vec<Encoder>);

impl CompletingDay {
    /// The complete files, durable and read back: the bytes of each are those that were written, and its rows count and
    /// name as those that were appended. A dataset without rows has no file.
    pub fn wait(self) -> Result<Vec<StagedFile>, ArchiveError> {
        self.0.into_iter().map(Encoder::wait).collect()
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
    pub(super) fn new(dataset: Dataset, place: &Place, completed: Completed) -> Self {
        let Completed { scratch, rows, found } = completed;
        Self {
            dataset,
            relative_path: place.relative_path(dataset),
            rows,
            bytes: found.bytes,
            sha256: found.sha256,
            scratch,
            root: place.root.clone(),
        }
    }

    /// Where it is until then.
    pub(super) fn staged_at(&self) -> &Path {
        &self.scratch.0
    }

    /// A name for its folder in the staging folder, which no other file's has.
    pub(super) fn folder_name(&self) -> String {
        self.relative_path.trim_end_matches(".parquet").replace('/', ".")
    }

    /// Makes files visible under their names, for good. One that is there already is never replaced. After an error they may
    /// or may not be there: [`super::Archive::discard`] them.
    pub fn publish(files: &[Self]) -> Result<(), ArchiveError> {
        let target = |file: &Self| file.root.join(&file.relative_path);
        let mut above = BTreeSet::new();
        for target in files.iter().map(target) {
            if let Some(partition) = target.parent()
                && let Some(dataset) = partition.parent()
                && let Some(root) = dataset.parent()
            {
                files::create_private_dir(dataset)?;
                files::create_private_dir(partition)?;
                above.extend([root.to_owned(), dataset.to_owned()]);
            }
        }
        // Synced even when what is in them was there: a run that was killed may have made it a moment ago.
        above.iter().try_for_each(|folder| files::sync(folder))?;
        for file in files {
            files::publish(&file.scratch.0, &target(file))?;
        }
        Ok(())
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
    pub(super) fn scratch(&self, dataset: Dataset) -> PathBuf {
        let name = format!("{}.{}.{}", dataset.as_str(), self.partition, self.file_name);
        self.staging.join(name)
    }

    fn relative_path(&self, dataset: Dataset) -> String {
        format!("{}/{}/{}", dataset.as_str(), self.partition, self.file_name)
    }
}

/// The rows of one dataset, on their way to its encoder.
#[derive(Debug)]
struct Lane<C> {
    encoding: Encoding,
    place: Place,
    limits: Limits,
    waiting: C,
    waiting_rows: usize,
    waiting_bytes: usize,
    appended: IdDigest,
    encoder: Option<Encoder>,
}

impl<C: Columns> Lane<C> {
    fn new(encoding: Encoding, place: Place, limits: Limits) -> Self {
        Self {
            encoding,
            place,
            limits,
            waiting: C::default(),
            waiting_rows: 0,
            waiting_bytes: 0,
            appended: IdDigest::default(),
            encoder: None,
        }
    }

    fn append(&mut self, row: &C::Row<'_>) -> Result<(), ArchiveError> {
        self.appended.add(row.transaction_id());
        self.waiting.append(row);
        self.waiting_rows += 1;
        self.waiting_bytes += row.bytes();
        if self.waiting_rows >= self.limits.batch_rows || self.waiting_bytes >= self.limits.batch_bytes {
            self.encode()?;
        }
        Ok(())
    }

    fn encode(&mut self) -> Result<(), ArchiveError> {
        if self.waiting_rows == 0 {
            return Ok(());
        }
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => none.insert(Encoder::start(&self.encoding, &self.place, C::DATASET, self.limits)?),
        };
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        let batch = self.waiting.take().map_err(|error| encoder.writing(error.into()))?;
        encoder.encode(batch)
    }

    /// Has the file completed, which goes on by itself; `None` where there are no rows.
    fn complete(mut self) -> Result<Option<Encoder>, ArchiveError> {
        self.encode()?;
        if let Some(encoder) = &self.encoder {
            encoder.complete(self.appended);
        }
        Ok(self.encoder)
    }
}
