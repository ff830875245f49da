//! From the journal to the archive, batch by batch: stage the files of some billing days, write the intent down, rename,
//! commit. A large day has several files, and a large journal takes several batches.
//!
//! Whenever it is cut off, every row is either still journalled or in a file of the manifest: a file gets its name only
//! after the ledger says that it might, so what a crash leaves under that name is known to be a left-over.
//!
//! - [`Publisher`]: publishes what is journalled, unless the run has to end first
//! - [`Published`]: what it wrote
//! - `batch`: rows on their way into files
//! - `recovery`: removes what a cut-off publication left behind, or completes it

mod batch;
pub mod recovery;

use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::archive::{Archive, ArchiveError, Dataset, StagedFile};
use crate::day::BillingZone;
use crate::files::FileError;
use crate::history::{self, HistoryError};
use crate::ledger::{Ledger, LedgerError, NewFile, Run};
use crate::stop::Stop;
use crate::tables::SubCodes;
use crate::tally::differing;
pub use batch::new_file;
use batch::{Part, PublishBatch, Target, tallied};

/// Rows of one file of verifications. What was begun is synced, read back and committed before the run can end.
pub const FILE_ROWS: u64 = 128 * 1024;

/// Bytes of the replies, as they came, that go into the files of one part of a day; the last may be on top. For the same
/// reason: a disk that writes and reads 100 MB a second completes that in half of the time that a run has left.
pub const FILE_REPLY_BYTES: u64 = 64 * 1024 * 1024;

/// Why nothing more can be published. What was journalled stays journalled.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The archive can't be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The ledger can't be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<HistoryError> for PublishError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Archive(error) => Self::Archive(error),
            HistoryError::Ledger(error) => Self::Ledger(error),
        }
    }
}

impl From<FileError> for PublishError {
    fn from(error: FileError) -> Self {
        Self::Archive(error.into())
    }
}

/// What was published.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// Billing days; one comes twice where an earlier run had left some of it.
    pub days: u32,
    /// Parts of billing days, each with a file for each dataset: a day that is too large for one has several.
    #[serde(skip)]
    pub parts: u32,
    /// Files of both datasets.
    pub files: u64,
    /// Rows of `verifications`.
    pub verifications: u64,
    /// Rows of `face_images`.
    pub face_images: u64,
    /// Bytes of both datasets.
    pub bytes: u64,
    /// Where the committed tallies are not those of the files, a sentence each.
    #[serde(skip)]
    pub differences: Vec<String>,
}

/// Publishes what is journalled.
#[derive(Debug)]
pub struct Publisher<'a> {
    /// Where from.
    pub ledger: &'a mut Ledger,
    /// Where to.
    pub archive: &'a Archive,
    /// The run, for the files' names.
    pub run: &'a Run,
    /// Where a billing day begins.
    pub zone: &'a BillingZone,
    /// Says what is billed.
    pub sub_codes: &'a SubCodes,
    /// The ledger's time.
    pub now: Timestamp,
    /// Says when the run has to end.
    pub stop: &'a Stop,
}

impl Publisher<'_> {
    /// Publishes everything that is journalled, and adds that to `published`. A run that has to end leaves journalled what
    /// is not in complete files yet.
    pub fn publish(&mut self, published: &mut Published) -> Result<(), PublishError> {
        let mut last_day = None;
        loop {
            let (parts, overdue) = self.stage(published.parts)?;
            let Some(last) = parts.last().map(|part| part.rows.last) else {
                return Ok(());
            };
            for part in &parts {
                published.add(part, last_day.replace(part.rows.day) != Some(part.rows.day));
            }
            let rows = parts.iter().map(|part| part.rows.count).sum();
            let (manifest, files): (Vec<NewFile>, Vec<_>) = parts.into_iter().flat_map(Part::into_files).unzip();
            self.ledger.stage_files(&self.run.id, &manifest)?;
            StagedFile::publish(&files)?;
            self.ledger
                .publish_rows(&self.run.id, last, rows, &manifest, self.now)?;
            self.check_tallies(&manifest, published)?;
            history::write_files(self.ledger, self.archive)?;
            if overdue {
                return Ok(());
            }
        }
    }

    /// Holds the tallies that were committed to those that were counted.
    fn check_tallies(&self, files: &[NewFile], published: &mut Published) -> Result<(), LedgerError> {
        for file in files {
            let committed = self.ledger.tallies_of(&file.path)?;
            let difference = differing(&tallied(&file.tallies), &committed)
                .next()
                .map(|(key, rows, tally)| {
                    let (path, key) = (&file.path, key.join(" "));
                    format!("{path} has {rows} rows of {key}, tallied as {tally}")
                });
            published.differences.extend(difference);
        }
        Ok(())
    }

    /// A batch's rows in complete files, after `parts` of earlier batches; and whether the run has to end now.
    fn stage(&mut self, parts: u32) -> Result<(Vec<Part>, bool), PublishError> {
        let target = Target {
            archive: self.archive,
            run: self.run,
            zone: self.zone,
            sub_codes: self.sub_codes,
        };
        let (stop, mut overdue) = (self.stop, false);
        let mut batch = PublishBatch::new(target, parts);
        self.ledger.for_each_journalled(|place, row| {
            overdue = stop.is_overdue();
            if overdue || !batch.takes(&row, stop.is_hurried()) {
                return Ok::<_, PublishError>(ControlFlow::Break(()));
            }
            batch.append(place, row)?;
            Ok(ControlFlow::Continue(()))
        })?;
        let parts = if overdue { batch.cut_off() } else { batch.finish()? };
        Ok((parts, overdue))
    }
}

impl Published {
    fn add(&mut self, part: &Part, new_day: bool) {
        self.parts += 1;
        self.days += u32::from(new_day);
        for file in &part.files {
            self.files += 1;
            self.bytes += file.bytes;
            match file.dataset {
                Dataset::Verifications => self.verifications += file.rows,
                Dataset::FaceImages => self.face_images += file.rows,
            }
        }
    }
}
