//! Rows on their way into the files of a turn.
//!
//! - [`Target`]: where they go
//! - [`Turn`]: takes the journalled rows in their order
//! - [`Part`]: a billing day, or a part of a large one, in complete files
//! - `Open`: the part that rows are added to
//! - `Closing`: one whose files are completed by themselves

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{FILE_REPLY_BYTES, FILE_ROWS};
use crate::archive::{Archive, ArchiveError, CompletingDay, Dataset, Row, StagedDay, StagedFile};
use crate::day::BillingZone;
use crate::ledger::{JournalledRow, NewFile, Place, Run, Tally};
use crate::record::Record;
use crate::tables::SubCodes;
use crate::vendor::wire;

/// Rows of a turn, whose replies are dropped from the journal in one commit: in most nights all of them.
const TURN_ROWS: u64 = 1024 * 1024;

/// Bytes of their replies: what a crash has done again, at most.
const TURN_REPLY_BYTES: u64 = 512 * 1024 * 1024;

/// Parts of a turn: their files are renamed and their folders synced before the run can end.
const TURN_PARTS: usize = 64;

/// Where the rows go, and what is to be known for that.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) archive: &'a Archive,
    pub(super) run: &'a Run,
    pub(super) zone: &'a BillingZone,
    pub(super) sub_codes: &'a SubCodes,
}

/// Takes the journalled rows in their order.
pub(super) struct Turn<'a> {
    target: Target<'a>,
    /// Numbers the files of a run.
    sequence: u32,
    complete: Vec<Part>,
    closing: Option<Closing>,
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

/// A part whose files are completed by themselves while the next one's rows come.
struct Closing {
    rows: Rows,
    files: CompletingDay,
}

impl<'a> Turn<'a> {
    /// `parts`: how many the run's earlier turns had.
    pub(super) fn new(target: Target<'a>, parts: u32) -> Self {
        Self {
            target,
            sequence: parts,
            complete: Vec::new(),
            closing: None,
            open: None,
            rows: 0,
            reply_bytes: 0,
        }
    }

    /// Whether the row still belongs to this turn. Once the run is to end, a turn is as short as a part.
    pub(super) fn takes(&self, row: &JournalledRow<'_>, hurried: bool) -> bool {
        let (rows, reply_bytes) = if hurried {
            (FILE_ROWS, FILE_REPLY_BYTES)
        } else {
            (TURN_ROWS, TURN_REPLY_BYTES)
        };
        let parts = self.complete.len() + usize::from(self.closing.is_some()) + usize::from(self.open.is_some());
        let continues = self.open.as_ref().is_some_and(|open| open.takes(row));
        self.rows < rows && self.reply_bytes < reply_bytes && (continues || parts < TURN_PARTS)
    }

    /// Adds a row, whose reply has that SHA-256.
    pub(super) fn append(&mut self, row: &JournalledRow<'_>, reply_sha256: &str) -> Result<(), ArchiveError> {
        if self.open.as_ref().is_some_and(|open| !open.takes(row)) {
            self.close()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                self.sequence += 1;
                none.insert(Open::new(self.target, row, self.sequence)?)
            }
        };
        self.rows += 1;
        self.reply_bytes += row.body.len() as u64;
        open.append(row, reply_sha256, self.target.sub_codes)
    }

    /// Has the open part completed; there is one such part at a time.
    fn close(&mut self) -> Result<(), ArchiveError> {
        self.wait()?;
        if let Some(Open { rows, files, .. }) = self.open.take() {
            let files = files.complete()?;
            self.closing = Some(Closing { rows, files });
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), ArchiveError> {
        if let Some(Closing { rows, files }) = self.closing.take() {
            let files = files.wait()?;
            self.complete.push(Part { rows, files });
        }
        Ok(())
    }

    /// All parts.
    pub(super) fn finish(mut self) -> Result<Vec<Part>, ArchiveError> {
        self.close()?;
        self.cut_off()
    }

    /// The parts that had all their rows before the last one was begun.
    pub(super) fn cut_off(mut self) -> Result<Vec<Part>, ArchiveError> {
        self.open = None;
        self.wait()?;
        Ok(self.complete)
    }
}

impl Open {
    fn new(target: Target<'_>, first: &JournalledRow<'_>, sequence: u32) -> Result<Self, ArchiveError> {
        let zone = target.zone;
        let day = first.verified_at.map(|time| zone.day_of(time));
        let bounds = day.and_then(|day| zone.bounds(day));
        Ok(Self {
            times: bounds.map(|(start, end)| start..end),
            rows: Rows {
                day,
                count: 0,
                last: first.place,
                reply_bytes: 0,
                tallies: Vec::new(),
            },
            files: target.archive.stage(day, &target.run.id, sequence)?,
        })
    }

    /// Whether the row belongs into the same files.
    fn takes(&self, row: &JournalledRow<'_>) -> bool {
        let same_day = match (&self.times, &row.verified_at) {
            (Some(times), Some(time)) => times.contains(time),
            // Unknown, or at the very end of the calendar.
            (times, _) => times.is_none(),
        };
        same_day && self.rows.count < FILE_ROWS && self.rows.reply_bytes < FILE_REPLY_BYTES
    }

    fn append(
        &mut self,
        row: &JournalledRow<'_>,
        reply_sha256: &str,
        sub_codes: &SubCodes,
    ) -> Result<(), ArchiveError> {
        let record = wire::normalize(row.body).unwrap_or_else(|error| {
            // It was final when it was journalled. It is kept as far as the ledger knows it, rather than holding up the
            // night, and parse_status tells.
            tracing::error!(transaction_id = %row.transaction_id, %error, "a journalled reply can't be read again");
            Record::unparsed(row.passed, row.sub_code.to_owned())
        });
        let billed = sub_codes
            .of(row.product_code, &record.sub_code)
            .map(|known| known.billed);
        self.rows.add(row, &record.sub_code);
        self.files.append(&Row {
            transaction_id: Cow::Borrowed(row.transaction_id),
            merchant_biz_id: Cow::Borrowed(&row.merchant_biz_id),
            product_code: Cow::Borrowed(row.product_code),
            region: Cow::Borrowed(row.region),
            verified_at: row.verified_at,
            fetched_at: row.fetched_at,
            run_id: Cow::Borrowed(row.run_id),
            reply_sha256: Cow::Borrowed(reply_sha256),
            billed,
            record,
        })
    }
}

impl Rows {
    fn add(&mut self, row: &JournalledRow<'_>, sub_code: &str) {
        self.count += 1;
        self.last = row.place;
        self.reply_bytes += row.body.len() as u64;
        let key = (row.product_code, row.region, sub_code);
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
                    product_code: row.product_code.to_owned(),
                    region: row.region.to_owned(),
                    sub_code: sub_code.to_owned(),
                    verifications: 1,
                },
            ),
        }
    }
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
