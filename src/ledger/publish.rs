//! From the journal to the manifest: which rows are to be published, and the commit that makes them archived.

use std::ops::ControlFlow;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Ledger, LedgerError, ids, optional_timestamp, timestamp};
use crate::record::{MerchantBizId, TransactionId};

/// The verification times of one billing day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRange {
    first: i64,
    last: i64,
}

impl DayRange {
    /// Those whose time is unknown. They are kept at the very end of the order.
    pub const UNKNOWN: Self = Self {
        first: i64::MAX,
        last: i64::MAX,
    };

    /// From `start` to before `end`.
    pub fn between(start: Timestamp, end: Timestamp) -> Self {
        Self {
            first: start.as_microsecond(),
            last: end.as_microsecond() - 1,
        }
    }
}

/// The journalled rows of a billing day, from the first to one that was handed out. What was published before is not
/// journalled any more, so they are known by their last one.
#[derive(Debug)]
pub struct DayPart {
    day: DayRange,
    last_order: i64,
    last_number: i64,
}

/// A journalled reply and what the ledger knows of its transaction.
#[derive(Debug)]
pub struct JournalledRow {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The company's own id.
    pub merchant_biz_id: MerchantBizId,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// When it was made.
    pub verified_at: Option<Timestamp>,
    /// The verdict, as it was read when the reply came.
    pub passed: bool,
    /// The sub code, likewise.
    pub sub_code: String,
    /// The run that fetched it.
    pub run_id: String,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// The reply as it came.
    pub body: Vec<u8>,
}

/// A file that is about to get its name.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Below archive/.
    pub path: String,
    /// `verifications` or `face_images`.
    pub dataset: &'static str,
    /// The billing day, where it is known.
    pub billing_day: Option<Date>,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes in hex.
    pub sha256: String,
}

/// A count of verifications in one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// The sub code.
    pub sub_code: String,
    /// How many.
    pub verifications: u64,
}

impl Tally {
    pub(super) fn insert(&self, commit: &Connection, path: &str) -> rusqlite::Result<()> {
        let insert = named_params! {
            ":path": path,
            ":product_code": self.product_code,
            ":region": self.region,
            ":sub_code": self.sub_code,
            ":verifications": self.verifications,
        };
        commit.execute(include_str!("../../sql/tally_insert.sql"), insert)?;
        Ok(())
    }
}

/// A file of the manifest.
#[derive(Debug, Clone)]
pub struct ManifestFile {
    /// Below archive/.
    pub path: String,
    /// `verifications` or `face_images`.
    pub dataset: String,
    /// The billing day, where it is known.
    pub billing_day: Option<String>,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes in hex.
    pub sha256: String,
    /// The run that published it.
    pub run_id: String,
}

impl Ledger {
    /// The verification time of the first row that waits for publication: `None` when none does, `Some(None)` when
    /// only such of unknown time do.
    pub fn next_to_publish(&self) -> Result<Option<Option<Timestamp>>, LedgerError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare_cached(include_str!("../../sql/publish_next.sql"))?;
            let first = statement.query_row([], |row| optional_timestamp(row.get(0)?));
            first.optional()
        };
        read().map_err(self.failed("look for journalled replies"))
    }

    /// Calls `each` with the journalled rows of a billing day in order of `verified_at`, until it breaks off with the
    /// last row that it takes. Returns which those were; `None` where there are none.
    pub fn for_each_journalled<E: From<LedgerError>>(
        &self,
        day: DayRange,
        mut each: impl FnMut(JournalledRow) -> Result<ControlFlow<()>, E>,
    ) -> Result<Option<DayPart>, E> {
        let failed = self.failed("read the journal");
        let sql = include_str!("../../sql/publish_rows.sql");
        let mut statement = self.connection.prepare_cached(sql).map_err(&failed)?;
        let mut rows = statement
            .query(named_params! { ":first": day.first, ":last": day.last })
            .map_err(&failed)?;
        let mut part = None;
        while let Some(row) = rows.next().map_err(&failed)? {
            part = Some(DayPart {
                day,
                last_order: row.get(10).map_err(&failed)?,
                last_number: row.get(11).map_err(&failed)?,
            });
            if each(journalled(row).map_err(&failed)?)?.is_break() {
                break;
            }
        }
        Ok(part)
    }

    /// Writes down that these files are about to get their names.
    pub fn stage_files(&mut self, run_id: &str, files: &[NewFile]) -> Result<(), LedgerError> {
        let failed = self.failed("write down the files to publish");
        let commit = self.connection.transaction().map_err(&failed)?;
        for file in files {
            stage(&commit, run_id, file).map_err(&failed)?;
        }
        commit.commit().map_err(&failed)
    }

    /// Takes the files of some rows into the manifest, with their tallies, marks the rows archived and drops their
    /// journalled replies: one commit, or nothing. `rows` must be how many are journalled from the day's first to the
    /// last that was handed out.
    pub fn publish_part(
        &mut self,
        part: &DayPart,
        rows: u64,
        files: &[NewFile],
        tallies: &[Tally],
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let failed = self.failed("take the published files into the manifest");
        let commit = self.connection.transaction().map_err(&failed)?;
        let publish = || -> rusqlite::Result<u64> {
            for file in files {
                commit.execute(
                    include_str!("../../sql/file_publish.sql"),
                    named_params! { ":path": file.path, ":published_at": now.as_microsecond() },
                )?;
            }
            if let Some(counted) = files.iter().find(|file| file.dataset == "verifications") {
                for tally in tallies {
                    tally.insert(&commit, &counted.path)?;
                }
            }
            let written = named_params! {
                ":first": part.day.first,
                ":last": part.last_order,
                ":last_number": part.last_number,
            };
            let archived = commit.execute(include_str!("../../sql/publish_archived.sql"), written)?;
            let dropped = commit.execute(include_str!("../../sql/publish_journal_drop.sql"), written)?;
            Ok(if dropped == archived { archived as u64 } else { u64::MAX })
        };
        let archived = publish().map_err(&failed)?;
        if archived == rows {
            return commit.commit().map_err(&failed);
        }
        drop(commit);
        Err(self.inconsistent(format!(
            "{rows} rows were written to the archive, {archived} were journalled for them"
        )))
    }

    /// Files whose publication a crash cut off: their rows are all still journalled.
    pub fn staged_files(&self) -> Result<Vec<String>, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(include_str!("../../sql/files_staged.sql"))?;
            statement
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<String>>>()
        };
        read().map_err(self.failed("look for interrupted publications"))
    }

    /// Takes the intent to publish a file back, once the file is gone.
    pub fn forget_staged(&mut self, path: &str) -> Result<(), LedgerError> {
        let forgotten = self.connection.execute(
            include_str!("../../sql/file_forget.sql"),
            named_params! { ":path": path },
        );
        forgotten.map_err(self.failed("forget an interrupted publication"))?;
        Ok(())
    }

    /// The manifest: every published file.
    pub fn manifest(&self) -> Result<Vec<ManifestFile>, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(include_str!("../../sql/files_published.sql"))?;
            let files = statement.query_map([], manifest_file)?;
            files.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the manifest"))
    }
}

/// Writes down that a file is about to get its name.
pub(super) fn stage(commit: &Connection, run_id: &str, file: &NewFile) -> rusqlite::Result<()> {
    let stage = named_params! {
        ":path": file.path,
        ":dataset": file.dataset,
        ":billing_day": file.billing_day.map(|day| day.to_string()),
        ":rows": file.rows,
        ":bytes": file.bytes,
        ":sha256": file.sha256,
        ":run_id": run_id,
    };
    commit.execute(include_str!("../../sql/file_stage.sql"), stage)?;
    Ok(())
}

pub(super) fn manifest_file(row: &Row<'_>) -> rusqlite::Result<ManifestFile> {
    Ok(ManifestFile {
        path: row.get(0)?,
        dataset: row.get(1)?,
        billing_day: row.get(2)?,
        rows: row.get(3)?,
        bytes: row.get(4)?,
        sha256: row.get(5)?,
        run_id: row.get(6)?,
    })
}

fn journalled(row: &Row<'_>) -> rusqlite::Result<JournalledRow> {
    let (transaction_id, merchant_biz_id) = ids(row)?;
    Ok(JournalledRow {
        transaction_id,
        merchant_biz_id,
        product_code: row.get(2)?,
        region: row.get(3)?,
        verified_at: optional_timestamp(row.get(4)?)?,
        passed: row.get(5)?,
        sub_code: row.get(6)?,
        run_id: row.get(7)?,
        fetched_at: timestamp(row.get(8)?)?,
        body: row.get(9)?,
    })
}
