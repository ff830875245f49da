//! The files of a billing day: rows are appended, complete files come out.
//!
//! - [`StagedDay`]: the files of one billing day while they are written
//! - `DatasetWriter`: one dataset of a day; its file is made when its first rows are encoded

use jiff::Timestamp;

use super::ArchiveError;
use super::check::IdDigest;
use super::encode::{Columns, Face, FaceImages, Row as _, Verifications};
use super::schema::Limits;
use super::staged::{Place, StagedFile};
use super::writer::FileWriter;
use crate::record::Verification;

/// The files of one billing day while they are written. Memory stays within [`Limits`] however many rows there
/// are. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct StagedDay {
    last_verified_at: Option<Timestamp>,
    verifications: DatasetWriter<Verifications>,
    faces: DatasetWriter<FaceImages>,
}

impl StagedDay {
    pub(super) fn new(place: &Place, limits: Limits) -> Self {
        Self {
            last_verified_at: None,
            verifications: DatasetWriter::new(place.clone(), limits),
            faces: DatasetWriter::new(place.clone(), limits),
        }
    }

    /// Adds a row. Rows must come sorted by `verified_at`, unknown first. After an error the day is to be dropped.
    pub fn append(&mut self, row: &Verification<'_>) -> Result<(), ArchiveError> {
        if row.verified_at < self.last_verified_at {
            return Err(ArchiveError::Unsorted {
                transaction_id: row.transaction_id.clone().into_owned(),
            });
        }
        self.last_verified_at = row.verified_at;
        self.verifications.append(row)?;
        for image in &row.record.images {
            self.faces.append(&Face {
                transaction_id: &row.transaction_id,
                billing_day: row.billing_day,
                image,
            })?;
        }
        Ok(())
    }

    /// The complete files, durable and read back. The bytes of each are those that were written, and its rows count and
    /// name as those that were appended. A dataset without rows has no file.
    pub fn finish(self) -> Result<Vec<StagedFile>, ArchiveError> {
        let files = [self.verifications.finish()?, self.faces.finish()?];
        Ok(files.into_iter().flatten().collect())
    }
}

/// The rows of one dataset, on their way to its file.
#[derive(Debug)]
struct DatasetWriter<C> {
    place: Place,
    limits: Limits,
    waiting: C,
    waiting_rows: usize,
    waiting_bytes: usize,
    appended: IdDigest,
    file: Option<FileWriter>,
}

impl<C: Columns> DatasetWriter<C> {
    fn new(place: Place, limits: Limits) -> Self {
        Self {
            place,
            limits,
            waiting: C::default(),
            waiting_rows: 0,
            waiting_bytes: 0,
            appended: IdDigest::default(),
            file: None,
        }
    }

    fn append(&mut self, row: &C::Row<'_>) -> Result<(), ArchiveError> {
        self.appended.add(row.transaction_id());
        self.waiting.append(row);
        self.waiting_rows += 1;
        self.waiting_bytes += row.bytes();
        if self.waiting_rows >= self.limits.batch_rows || self.waiting_bytes >= self.limits.batch_bytes {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), ArchiveError> {
        if self.waiting_rows == 0 {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(FileWriter::create(&self.place, C::DATASET, self.limits)?),
        };
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        let batch = self.waiting.take().map_err(|error| file.failed(error.into()))?;
        file.write(batch)
    }

    /// `None` where there are no rows.
    fn finish(mut self) -> Result<Option<StagedFile>, ArchiveError> {
        self.write()?;
        let appended = self.appended;
        self.file.map(|file| file.finish(appended)).transpose()
    }
}
