//! Rows on their way into the files of a batch.
//!
//! - [`Target`]: where they go
//! - [`PublishBatch`]: takes the journalled rows in their order
//! - [`Part`]: a billing day, or a part of a large one, in complete files
//! - `Open`: the part that rows are added to

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{FILE_REPLY_BYTES, FILE_ROWS};
use crate::archive::{Archive, ArchiveError, Dataset, StagedDay, StagedFile};
use crate::day::BillingZone;
use crate::ledger::{NewFile, Place, Run, Tally};
use crate::record::Verification;
use crate::tables::SubCodes;
use crate::tally::{Counted, differing};
use crate::vendor::wire;

/// Rows of a batch, whose replies are dropped from the journal in one commit: in most nights all of them.
const BATCH_ROWS: u64 = 1024 * 1024;

/// Bytes of their replies: what a crash has done again, at most.
const BATCH_REPLY_BYTES: u64 = 512 * 1024 * 1024;

/// Parts of a batch: their files are renamed and their folders synced before the run can end.
const BATCH_PARTS: usize = 64;

/// Where the rows go, and what is to be known for that.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) archive: &'a Archive,
    pub(super) run: &'a Run,
    pub(super) zone: &'a BillingZone,
    pub(super) sub_codes: &'a SubCodes,
}

/// Takes the journalled rows in their order.
pub(super) struct PublishBatch<'a> {
    target: Target<'a>,
    /// Numbers the files of a run.
    sequence: u32,
    complete: Vec<Part>,
    open: Option<Open>,
    rows: u64,
    reply_bytes: u64,
}

/// A billing day, or a part of a large one, in complete files.
pub(super) struct Part {
    pub(super) rows: Rows,
    pub(super) files: Vec<StagedFile>,
}

/// What is known of a part's rows.
pub(super) struct Rows {
    pub(super) day: Option<Date>,
    pub(super) count: u64,
    /// The last one's, in the order of publication.
    pub(super) last: Place,
    reply_bytes: u64,
    /// In the order of product, region and sub code.
    tallies: Vec<Tally>,
}

/// The part that rows are added to.
struct Open {
    /// The times of its day; the unknown day has none.
    times: Option<Range<Timestamp>>,
    rows: Rows,
    files: StagedDay,
}

impl<'a> PublishBatch<'a> {
    /// `parts`: how many the run's earlier batches had.
    pub(super) fn new(target: Target<'a>, parts: u32) -> Self {
        Self {
            target,
            sequence: parts,
            complete: Vec::new(),
            open: None,
            rows: 0,
            reply_bytes: 0,
        }
    }

    /// Whether the row still belongs to this batch. Once the run is to end, a batch is as short as a part.
    pub(super) fn takes(&self, row: &Verification<'_>, hurried: bool) -> bool {
        let (rows, reply_bytes) = if hurried {
            (FILE_ROWS, FILE_REPLY_BYTES)
        } else {
            (BATCH_ROWS, BATCH_REPLY_BYTES)
        };
        let parts = self.complete.len() + usize::from(self.open.is_some());
        let continues = self.open.as_ref().is_some_and(|open| open.takes(row));
        self.rows < rows && self.reply_bytes < reply_bytes && (continues || parts < BATCH_PARTS)
    }

    /// Adds a row, as the journal has it.
    pub(super) fn append(&mut self, place: Place, row: Verification<'_>) -> Result<(), ArchiveError> {
        if self.open.as_ref().is_some_and(|open| !open.takes(&row)) {
            self.complete()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                self.sequence += 1;
                none.insert(Open::new(self.target, place, &row, self.sequence)?)
            }
        };
        self.rows += 1;
        self.reply_bytes += row.body.len() as u64;
        let mut row = normalized(row, self.target.sub_codes);
        row.billing_day = open.rows.day;
        open.append(place, &row)
    }

    /// Completes the files of the open part.
    fn complete(&mut self) -> Result<(), ArchiveError> {
        if let Some(Open { rows, files, .. }) = self.open.take() {
            let files = files.finish()?;
            for file in &files {
                rows.check_tallies(file)?;
            }
            self.complete.push(Part { rows, files });
        }
        Ok(())
    }

    /// All parts.
    pub(super) fn finish(mut self) -> Result<Vec<Part>, ArchiveError> {
        self.complete()?;
        Ok(self.complete)
    }

    /// The parts that were complete before the last one was begun.
    pub(super) fn cut_off(self) -> Vec<Part> {
        self.complete
    }
}

/// The row with what its reply says, and whether it is billed.
fn normalized<'a>(mut row: Verification<'a>, sub_codes: &SubCodes) -> Verification<'a> {
    match wire::normalize(&row.body) {
        Ok(record) => row.record = record,
        // It was final when it was journalled. It is kept as far as the ledger knows it, rather than holding up the
        // night, and parse_status tells.
        Err(error) => {
            tracing::error!(transaction_id = %row.transaction_id, %error, "a journalled reply can't be read again");
        }
    }
    let known = sub_codes.of(&row.product_code, &row.record.sub_code);
    row.billed = known.map(|known| known.billed);
    row
}

impl Open {
    fn new(target: Target<'_>, place: Place, first: &Verification<'_>, sequence: u32) -> Result<Self, ArchiveError> {
        let zone = target.zone;
        let day = first.verified_at.map(|time| zone.day_of(time));
        let bounds = day.and_then(|day| zone.bounds(day));
        Ok(Self {
            times: bounds.map(|(start, end)| start..end),
            rows: Rows {
                day,
                count: 0,
                last: place,
                reply_bytes: 0,
                tallies: Vec::new(),
            },
            files: target.archive.stage(day, &target.run.id, sequence)?,
        })
    }

    /// Whether the row belongs into the same files.
    fn takes(&self, row: &Verification<'_>) -> bool {
        let same_day = match (&self.times, &row.verified_at) {
            (Some(times), Some(time)) => times.contains(time),
            // Unknown, or at the very end of the calendar.
            (times, _) => times.is_none(),
        };
        same_day && self.rows.count < FILE_ROWS && self.rows.reply_bytes < FILE_REPLY_BYTES
    }

    fn append(&mut self, place: Place, row: &Verification<'_>) -> Result<(), ArchiveError> {
        self.rows.add(place, row);
        self.files.append(row)
    }
}

impl Rows {
    fn add(&mut self, place: Place, row: &Verification<'_>) {
        self.count += 1;
        self.last = place;
        self.reply_bytes += row.body.len() as u64;
        let sub_code = &row.record.sub_code;
        let key = (&*row.product_code, &*row.region, sub_code.as_str());
        let place = self.tallies.binary_search_by(|tally| {
            (
                tally.product_code.as_str(),
                tally.region.as_str(),
                tally.sub_code.as_str(),
            )
                .cmp(&key)
        });
        match place {
            Ok(at) => self.tallies[at].verifications += 1,
            Err(at) => self.tallies.insert(
                at,
                Tally {
                    product_code: row.product_code.to_string(),
                    region: row.region.to_string(),
                    sub_code: sub_code.clone(),
                    verifications: 1,
                },
            ),
        }
    }
}

impl Rows {
    /// Holds what was read back of a file of verifications to what was appended to it.
    fn check_tallies(&self, file: &StagedFile) -> Result<(), ArchiveError> {
        if file.dataset != Dataset::Verifications {
            return Ok(());
        }
        let appended = tallied(&self.tallies);
        match differing(&file.counted, &appended).next() {
            None => Ok(()),
            Some((key, read, rows)) => {
                let key = key.join(" ");
                Err(file.not_as_appended(format!("{read} rows of {key} were read, {rows} were appended")))
            }
        }
    }
}

/// Tallies in the form in which two counts are compared.
pub(super) fn tallied(tallies: &[Tally]) -> Counted {
    let key = |tally: &Tally| [&tally.product_code, &tally.region, &tally.sub_code].map(String::clone);
    tallies.iter().map(|tally| (key(tally), tally.verifications)).collect()
}

impl Part {
    /// Its files, each as the manifest has it and as it is staged.
    pub(super) fn into_files(self) -> Vec<(NewFile, StagedFile)> {
        let billing_day = self.rows.day;
        let mut tallies = self.rows.tallies;
        let files = self.files.into_iter().map(|file| {
            let tallies = match file.dataset {
                Dataset::Verifications => std::mem::take(&mut tallies),
                Dataset::FaceImages => Vec::new(),
            };
            (new_file(&file, billing_day, tallies), file)
        });
        files.collect()
    }
}

/// What the manifest says of a staged file.
pub fn new_file(file: &StagedFile, billing_day: Option<Date>, tallies: Vec<Tally>) -> NewFile {
    NewFile {
        path: file.relative_path.clone(),
        dataset: file.dataset.as_str(),
        billing_day,
        rows: file.rows,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        tallies,
    }
}
