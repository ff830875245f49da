//! From the journal to the archive, a billing day at a time: stage, write the intent down, rename, commit. A large day takes
//! several such turns, each with files of its own.
//!
//! Whenever it is cut off, every row is either still journalled or in a file of the manifest: a file gets its name only
//! after the ledger says that it might, so what a crash leaves under that name is known to be a left-over.
//!
//! - [`Publisher`]: publishes what is journalled, unless the run has to end first
//! - [`Published`]: what it wrote
//! - [`recover`]: removes what a cut-off publication left behind; [`Recovered`]: what that was

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::archive::{Archive, ArchiveError, Dataset, Row, StagedDay, StagedFile};
use crate::day::BillingZone;
use crate::ledger::{DayRange, JournalledRow, Ledger, LedgerError, NewFile, Run, Tally};
use crate::record::{Record, State, sha256_hex};
use crate::stop::Stop;
use crate::tables::SubCodes;
use crate::vendor::wire;

/// Rows of one file of verifications. What was begun is synced, read back and committed before the run can end.
pub const FILE_ROWS: u64 = 128 * 1024;

/// Bytes of the replies, as they came, that go into the files of one turn; the last may be on top. For the same reason: a
/// disk that writes and reads 100 MB a second completes that in half of the time that a run has left.
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

/// Why rows are not published.
enum Unpublished {
    /// The run has to end: the next one publishes it.
    Overdue,
    Failed(PublishError),
}

impl From<LedgerError> for Unpublished {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ArchiveError> for Unpublished {
    fn from(error: ArchiveError) -> Self {
        Self::Failed(error.into())
    }
}

/// What was published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// Billing days; one comes twice where an earlier run had left some of it.
    pub days: u32,
    /// Turns: a day that is too large for one file takes several.
    #[serde(skip)]
    pub turns: u32,
    /// Files of both datasets.
    pub files: u64,
    /// Rows of `verifications`.
    pub verifications: u64,
    /// Rows of `face_images`.
    pub face_images: u64,
    /// Bytes of both datasets.
    pub bytes: u64,
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

/// What an interrupted publication had left behind.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Files and folders in the staging folder.
    pub staging: u64,
    /// Files that had their name and were never taken into the manifest, below archive/.
    pub files: Vec<String>,
}

/// Removes what an interrupted publication left behind; its rows are all still journalled.
pub fn recover(ledger: &mut Ledger, archive: &Archive) -> Result<Recovered, PublishError> {
    let staged = ledger.staged_files()?;
    for path in &staged {
        if let Some(what) = not_left_over(ledger, archive, path)? {
            let (path, what) = (ledger.path().to_owned(), format!("{path}: {what}"));
            return Err(LedgerError::Inconsistent { path, what }.into());
        }
    }
    let mut recovered = Recovered {
        staging: archive.clear_staging()?,
        ..Recovered::default()
    };
    for path in staged {
        let removed = archive.discard(&path)?;
        ledger.forget_staged(&path)?;
        recovered.files.extend(removed.then_some(path));
    }
    Ok(recovered)
}

/// Why a file that the manifest has as staged is not one that a crash left behind, and must stay: some of its rows are
/// nowhere else. `None` where it is one, or is not there. A left-over that can't be read holds nothing.
pub fn not_left_over(ledger: &Ledger, archive: &Archive, path: &str) -> Result<Option<String>, LedgerError> {
    let mut looked_up = Ok(None);
    // What can't be read of it was never published.
    let _ = archive.read_ids(path, &mut |id| {
        if matches!(looked_up, Ok(None)) {
            looked_up = ledger.known(id).map(|known| {
                let journalled = known.is_some_and(|known| known.state == Some(State::Journalled));
                (!journalled).then(|| format!("it is staged, and {id} in it is not in the journal"))
            });
        }
    });
    looked_up
}

impl Publisher<'_> {
    /// Publishes everything that is journalled, a file or more for each dataset and billing day, and adds that to
    /// `published`. A run that has to end leaves the rest journalled.
    pub fn publish(&mut self, published: &mut Published) -> Result<(), PublishError> {
        let mut last_day = None;
        while let Some(verified_at) = self.ledger.next_to_publish()? {
            let day = verified_at.map(|time| self.zone.day_of(time));
            match self.publish_from(day, published) {
                Ok(()) => {}
                Err(Unpublished::Overdue) => break,
                Err(Unpublished::Failed(error)) => return Err(error),
            }
            published.days += u32::from(last_day.replace(day) != Some(day));
        }
        Ok(())
    }

    /// As many of a day's journalled rows as go into one file.
    fn publish_from(&mut self, day: Option<Date>, published: &mut Published) -> Result<(), Unpublished> {
        let bounds = day.and_then(|day| self.zone.bounds(day));
        let range = bounds.map_or(DayRange::UNKNOWN, |(start, end)| DayRange::between(start, end));
        let mut staging = Staging::new(self.archive.stage(day, &self.run.id, published.turns + 1)?);
        let part = self.ledger.for_each_journalled(range, |row| {
            if self.stop.is_overdue() {
                return Err(Unpublished::Overdue);
            }
            staging.append(row, self.sub_codes)?;
            Ok(if staging.is_full() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        let (files, rows, tallies) = staging.finish()?;
        let Some(part) = part else {
            let (path, what) = (
                self.ledger.path().to_owned(),
                "replies in the journal belong to no journalled row".to_owned(),
            );
            return Err(LedgerError::Inconsistent { path, what }.into());
        };
        let manifest: Vec<NewFile> = files.iter().map(|file| new_file(file, day)).collect();
        self.ledger.stage_files(&self.run.id, &manifest)?;
        for file in files {
            file.publish()?;
        }
        self.ledger.publish_part(&part, rows, &manifest, &tallies, self.now)?;
        published.turns += 1;
        for file in &manifest {
            published.files += 1;
            published.bytes += file.bytes;
            if file.dataset == Dataset::Verifications.as_str() {
                published.verifications += file.rows;
            } else {
                published.face_images += file.rows;
            }
        }
        Ok(())
    }
}

/// Rows of a day on their way into files, and their tallies.
struct Staging {
    day: StagedDay,
    rows: u64,
    reply_bytes: u64,
    tallies: BTreeMap<(String, String, String), u64>,
    /// The last run id that was seen: most rows of a night share it.
    run_id: Arc<str>,
}

impl Staging {
    fn new(day: StagedDay) -> Self {
        Self {
            day,
            rows: 0,
            reply_bytes: 0,
            tallies: BTreeMap::new(),
            run_id: Arc::from(""),
        }
    }

    fn is_full(&self) -> bool {
        self.rows >= FILE_ROWS || self.reply_bytes >= FILE_REPLY_BYTES
    }

    fn append(&mut self, row: JournalledRow, sub_codes: &SubCodes) -> Result<(), ArchiveError> {
        self.reply_bytes += row.body.len() as u64;
        let reply_sha256 = sha256_hex(&row.body);
        let record = wire::normalize(&row.body).unwrap_or_else(|error| {
            // It was final when it was journalled. It is kept as far as the ledger knows it, rather than holding up the
            // night, and parse_status tells.
            tracing::error!(transaction_id = %row.transaction_id, %error, "a journalled reply can't be read again");
            Record::unparsed(row.passed, row.sub_code.clone())
        });
        if *row.run_id != *self.run_id {
            self.run_id = row.run_id.into();
        }
        let tally = (row.product_code.clone(), row.region.clone(), record.sub_code.clone());
        let billed = sub_codes
            .of(&row.product_code, &record.sub_code)
            .map(|known| known.billed);
        self.day.append(&Row {
            transaction_id: row.transaction_id.as_str().to_owned(),
            merchant_biz_id: row.merchant_biz_id.as_str().to_owned(),
            product_code: row.product_code,
            region: row.region,
            verified_at: row.verified_at,
            fetched_at: row.fetched_at,
            run_id: self.run_id.clone(),
            reply_sha256,
            billed,
            record,
        })?;
        self.rows += 1;
        *self.tallies.entry(tally).or_default() += 1;
        Ok(())
    }

    fn finish(self) -> Result<(Vec<StagedFile>, u64, Vec<Tally>), ArchiveError> {
        let tallies = self.tallies.into_iter();
        let tallies = tallies.map(|((product_code, region, sub_code), verifications)| Tally {
            product_code,
            region,
            sub_code,
            verifications,
        });
        Ok((self.day.finish()?, self.rows, tallies.collect()))
    }
}

/// What the manifest says of a staged file.
pub fn new_file(file: &StagedFile, billing_day: Option<Date>) -> NewFile {
    NewFile {
        path: file.relative_path.clone(),
        dataset: file.dataset.as_str(),
        billing_day,
        rows: file.rows,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    }
}
