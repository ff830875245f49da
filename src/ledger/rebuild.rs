//! Filling a ledger from the archive, in one commit.
//!
//! - [`Rebuilding`]: the commit; dropped before its end, it leaves the ledger as it was
//! - [`ArchivedRow`]: a row of the archive; [`OpenRecord`]: an id that the archive does not have

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use rusqlite::{OptionalExtension as _, Transaction, named_params};
use serde::{Deserialize, Serialize};

use super::change_record::StoredChange;
use super::changes::{self, Change};
use super::publish::stage;
use super::{Account, AnsweredBy, Author, ClosedMonth, Ledger, LedgerError, NewFile, Tally};
use crate::record::{MerchantBizId, TransactionId};

/// A row of the archive. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the archive's columns")]
pub struct ArchivedRow<'a> {
    pub transaction_id: &'a str,
    pub merchant_biz_id: &'a str,
    pub product_code: &'a str,
    pub region: &'a str,
    pub verified_at: Option<i64>,
    pub fetched_at: i64,
    pub passed: bool,
    pub sub_code: &'a str,
    pub run_id: &'a str,
}

/// An id that is not archived, as the ledger knows it: all columns of its row, and the run by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the ledger's columns")]
pub struct OpenRecord {
    pub transaction_id: String,
    pub merchant_biz_id: Option<String>,
    pub product_code: String,
    pub product_assumed: u8,
    pub region: String,
    pub region_assumed: u8,
    pub verified_at: Option<i64>,
    pub first_seen_at: i64,
    pub first_run: String,
    pub state: String,
    pub next_due_at: i64,
    pub attempts: i64,
    pub not_completed_runs: i64,
    pub failed_runs: i64,
    pub last_call_code: Option<String>,
    pub last_call_at: Option<i64>,
    pub last_message: Option<String>,
    pub code_in_time: Option<String>,
}

/// A ledger that is being filled.
pub struct Rebuilding<'a> {
    commit: Transaction<'a>,
    author: &'a Author,
    failed: Box<dyn Fn(rusqlite::Error) -> LedgerError>,
    /// The numbers of the runs that were looked up.
    runs: HashMap<String, i64>,
    answered_by: Option<AnsweredBy>,
    /// Whether replies are journalled that the archive may have, too.
    journal: bool,
}

impl Ledger {
    /// Begins the commit. Intents of publications that were cut off are taken back: their files are looked at anew.
    pub fn rebuilding(&mut self) -> Result<Rebuilding<'_>, LedgerError> {
        let failed = self.failed("fill it from the archive");
        let cache = self
            .connection
            .execute_batch(include_str!("../../sql/rebuild_cache.sql"));
        cache.map_err(&failed)?;
        let commit = self.connection.transaction().map_err(&failed)?;
        let begin = || -> rusqlite::Result<bool> {
            commit.execute(include_str!("../../sql/rebuild_intents.sql"), [])?;
            commit.execute(include_str!("../../sql/rebuild_staged.sql"), [])?;
            commit.query_row(include_str!("../../sql/rebuild_journal.sql"), [], |row| row.get(0))
        };
        let journal = begin().map_err(&failed)?;
        Ok(Rebuilding {
            commit,
            author: &self.author,
            failed: Box::new(failed),
            runs: HashMap::new(),
            answered_by: None,
            journal,
        })
    }

    /// Calls `each` with every id that is not archived, or with those whose number is above `after`.
    pub fn for_each_open<E: From<LedgerError>>(
        &self,
        after: Option<i64>,
        mut each: impl FnMut(&OpenRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = self.failed("read the open records");
        let sql = match after {
            None => include_str!("../../sql/open_records.sql"),
            Some(_) => include_str!("../../sql/open_records_new.sql"),
        };
        let mut statement = self.connection.prepare_cached(sql).map_err(&failed)?;
        let mut rows = match after {
            None => statement.query([]),
            Some(after) => statement.query(named_params! { ":after": after }),
        }
        .map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            each(&open_record(row).map_err(&failed)?)?;
        }
        Ok(())
    }

    /// The highest number of an id; 0 where there is none.
    pub fn highest_number(&self) -> Result<i64, LedgerError> {
        let sql = include_str!("../../sql/open_records_highest.sql");
        let highest = self.connection.query_row(sql, [], |row| row.get(0));
        highest.map_err(self.failed("look for new ids"))
    }
}

impl Rebuilding<'_> {
    /// The runs from here on were answered by them.
    pub fn answered_by(&mut self, who: Option<AnsweredBy>) {
        self.answered_by = who;
    }

    /// Takes a record of the history as it is.
    pub fn take_change(&self, change: &StoredChange) -> Result<(), LedgerError> {
        changes::insert(&self.commit, change).map_err(&self.failed)
    }

    /// Makes the ledger the archive's.
    pub fn belong_to(&self, archive_id: &str, account: &Account) -> Result<(), LedgerError> {
        let identity = named_params! {
            ":archive_id": archive_id,
            ":account": account.name,
            ":endpoints": serde_json::to_string(&account.endpoints).unwrap_or_default(),
        };
        let set = self
            .commit
            .execute(include_str!("../../sql/rebuild_identity.sql"), identity);
        set.map_err(&self.failed)?;
        Ok(())
    }

    /// Takes a file out of the manifest.
    pub fn remove_file(&self, path: &str) -> Result<(), LedgerError> {
        let path = named_params! { ":path": path };
        for sql in [
            include_str!("../../sql/tally_forget.sql"),
            include_str!("../../sql/rebuild_forget.sql"),
        ] {
            self.commit.execute(sql, path).map_err(&self.failed)?;
        }
        Ok(())
    }

    /// Takes a file into the manifest.
    pub fn add_file(&mut self, file: &NewFile, run_id: &str, published_at: Timestamp) -> Result<(), LedgerError> {
        self.run_number(run_id)?;
        let add = || -> rusqlite::Result<()> {
            stage(&self.commit, run_id, file)?;
            self.commit.execute(
                include_str!("../../sql/file_publish.sql"),
                named_params! { ":path": file.path, ":published_at": published_at.as_microsecond() },
            )?;
            file.tallies
                .iter()
                .try_for_each(|tally: &Tally| tally.insert(&self.commit, &file.path))
        };
        add().map_err(&self.failed)
    }

    /// Whether an id is archived by another file already.
    pub fn is_archived(&self, transaction_id: &str) -> Result<bool, LedgerError> {
        let sql = include_str!("../../sql/rebuild_is_archived.sql");
        let known = || {
            let mut statement = self.commit.prepare_cached(sql)?;
            let known = statement.query_row(named_params! { ":transaction_id": transaction_id }, |row| row.get(0));
            known.optional()
        };
        Ok(known().map_err(&self.failed)?.unwrap_or(false))
    }

    /// Makes an id archived.
    pub fn archive(&mut self, row: &ArchivedRow<'_>) -> Result<(), LedgerError> {
        let first_run = self.run_number(row.run_id)?;
        let derived = TransactionId::parse(row.transaction_id).map(|id| MerchantBizId::derive(&id));
        let given = derived.map_or(true, |derived| derived.as_str() != row.merchant_biz_id);
        let archive = || -> rusqlite::Result<()> {
            if self.journal {
                let mut drop_reply = self
                    .commit
                    .prepare_cached(include_str!("../../sql/rebuild_journal_drop.sql"))?;
                drop_reply.execute(named_params! { ":transaction_id": row.transaction_id })?;
            }
            let mut statement = self
                .commit
                .prepare_cached(include_str!("../../sql/rebuild_archived.sql"))?;
            statement.execute(named_params! {
                ":transaction_id": row.transaction_id,
                ":merchant_biz_id": given.then_some(row.merchant_biz_id),
                ":product_code": row.product_code,
                ":region": row.region,
                ":verified_at": row.verified_at,
                ":fetched_at": row.fetched_at,
                ":first_run": first_run,
                ":passed": row.passed,
                ":sub_code": row.sub_code,
            })?;
            Ok(())
        };
        archive().map_err(&self.failed)
    }

    /// Takes an id in that is not archived. One that is, stays archived.
    pub fn open_record(&mut self, record: &OpenRecord) -> Result<(), LedgerError> {
        let first_run = self.run_number(&record.first_run)?;
        let take = || -> rusqlite::Result<()> {
            let mut statement = self.commit.prepare_cached(include_str!("../../sql/rebuild_open.sql"))?;
            statement.execute(named_params! {
                ":transaction_id": record.transaction_id,
                ":merchant_biz_id": record.merchant_biz_id,
                ":product_code": record.product_code,
                ":product_assumed": record.product_assumed,
                ":region": record.region,
                ":region_assumed": record.region_assumed,
                ":verified_at": record.verified_at,
                ":first_seen_at": record.first_seen_at,
                ":first_run": first_run,
                ":state": record.state,
                ":next_due_at": record.next_due_at,
                ":attempts": record.attempts,
                ":not_completed_runs": record.not_completed_runs,
                ":failed_runs": record.failed_runs,
                ":last_call_code": record.last_call_code,
                ":last_call_at": record.last_call_at,
                ":last_message": record.last_message,
                ":code_in_time": record.code_in_time,
            })?;
            Ok(())
        };
        take().map_err(&self.failed)
    }

    /// Takes a closed month, unless it is there.
    pub fn close_month(&self, closed: &ClosedMonth) -> Result<(), LedgerError> {
        let month = closed.month.strftime("%Y-%m").to_string();
        let closed_at = closed.closed_at.as_microsecond();
        let taken = if closed.number == 0 {
            let month = named_params! {
                ":month": month,
                ":closed_at": closed_at,
                ":sha256": closed.sha256,
                ":record": closed.record,
            };
            self.commit.execute(include_str!("../../sql/rebuild_closed.sql"), month)
        } else {
            let correction = named_params! {
                ":month": month,
                ":number": closed.number,
                ":closed_at": closed_at,
                ":sha256": closed.sha256,
                ":record": closed.record,
            };
            self.commit
                .execute(include_str!("../../sql/rebuild_correction.sql"), correction)
        };
        taken.map_err(&self.failed)?;
        Ok(())
    }

    /// Ends the commit, with a record of what was done.
    pub fn finish(self, change: &Change) -> Result<(), LedgerError> {
        changes::add(&self.commit, self.author, change).map_err(&self.failed)?;
        self.commit.commit().map_err(&self.failed)
    }

    /// The number of a run; one that is not known is taken in.
    fn run_number(&mut self, run_id: &str) -> Result<i64, LedgerError> {
        if let Some(number) = self.runs.get(run_id) {
            return Ok(*number);
        }
        let (started_at, number) = parse_run_id(run_id);
        let answered_by = self.answered_by.map(AnsweredBy::as_str);
        let find = || -> rusqlite::Result<i64> {
            let run = named_params! { ":run_id": run_id };
            let sql = include_str!("../../sql/rebuild_run.sql");
            if let Some(known) = self.commit.query_row(sql, run, |row| row.get(0)).optional()? {
                return Ok(known);
            }
            self.commit.execute(
                include_str!("../../sql/rebuild_run_insert.sql"),
                named_params! {
                    ":run_number": number,
                    ":run_id": run_id,
                    ":answered_by": answered_by,
                    ":started_at": started_at.as_microsecond(),
                },
            )?;
            Ok(self.commit.last_insert_rowid())
        };
        let number = find().map_err(&self.failed)?;
        self.runs.insert(run_id.to_owned(), number);
        Ok(number)
    }
}

/// When a run began, and its number, as its id says: `20261122T020000Z-0001`.
fn parse_run_id(run_id: &str) -> (Timestamp, Option<i64>) {
    let (time, number) = run_id.split_once('-').unwrap_or((run_id, ""));
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", time)
        .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
        .map_or(Timestamp::UNIX_EPOCH, |time| time.timestamp());
    (time, number.parse().ok())
}

fn open_record(row: &rusqlite::Row<'_>) -> rusqlite::Result<OpenRecord> {
    Ok(OpenRecord {
        transaction_id: row.get(0)?,
        merchant_biz_id: row.get(1)?,
        product_code: row.get(2)?,
        product_assumed: row.get(3)?,
        region: row.get(4)?,
        region_assumed: row.get(5)?,
        verified_at: row.get(6)?,
        first_seen_at: row.get(7)?,
        first_run: row.get(8)?,
        state: row.get(9)?,
        next_due_at: row.get(10)?,
        attempts: row.get(11)?,
        not_completed_runs: row.get(12)?,
        failed_runs: row.get(13)?,
        last_call_code: row.get(14)?,
        last_call_at: row.get(15)?,
        last_message: row.get(16)?,
        code_in_time: row.get(17)?,
    })
}
