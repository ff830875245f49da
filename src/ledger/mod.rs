//! The ledger: what we know of each id, in one SQLite file that nothing ever deletes or truncates; large replies are beside it until they are
//! published (`replies`).
//!
//! One process writes at a time: [`Ledger::open`] wants the [`Lock`], which is the kernel's and so never outlives a
//! crash. Readers ([`Ledger::open_read_only`]) need no lock: the file is in WAL mode. A ledger with a newer schema is
//! refused; an older one is migrated by an append-only list (`migrate`).
//!
//! - [`Ledger`]: the open file; each file of this folder has the methods of its matter
//! - [`Lock`]: held by the one run that may write (`open`)
//! - [`Run`]: one execution, as the ledger numbers it; [`AnsweredBy`]: who answers it
//! - [`Writer`]: the thread that commits settlements in batches (`writer`)
//! - [`LedgerError`]: why the ledger can't be used (`error`)

mod account;
mod admit;
mod change_record;
mod changes;
mod closed;
mod compact;
mod complete;
mod error;
mod known;
mod migrate;
mod open;
mod plan;
mod publish;
mod quarantine;
mod rebuild;
mod reconcile;
mod records;
mod refetch;
mod replies;
mod report;
mod settle;
mod unknown;
mod verify;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, named_params};

pub use account::Account;
pub use admit::{Admission, Admitted, Defaults};
pub use change_record::{By, CHANGE_VERSION, ChangeKind, ChangeRecord, IntegrityKey, Signature, StoredChange};
pub use changes::{Author, Change};
pub use closed::ClosedMonth;
pub use compact::Replacement;
pub use error::LedgerError;
pub(crate) use open::make_folder;
pub use open::{Lock, Readers};
pub use plan::{Cursor, Deadline, DuePage, Phase, ProductDue, QueueDue, QueueRef};
pub use publish::{ManifestFile, NewFile, Place, Tally};
pub use quarantine::Decision;
pub use rebuild::{ArchivedRow, OpenRecord, Rebuilding};
pub use reconcile::MonthRow;
pub use records::{Adopted, HeldRecords, Kept, VendorRecord};
pub use refetch::GoneRecord;
pub use replies::DamagedReplies;
pub use report::{ExpiryLine, QuarantineLine, StateCounts};
pub use settle::{Settled, Settlement};
pub use unknown::UnknownVerdicts;
pub use verify::{IdCounts, KnownRow, SeenFace, SeenIds, Snapshot};
pub use writer::{Writer, WriterHandle};

use crate::record::{MerchantBizId, ProductCode, Region, TransactionId};

/// Steps of SQLite's between two looks whether the run has to end: less than a millisecond, or 4 MB of pages that are checked.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;

/// Who answers a run's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The vendor.
    Vendor,
    /// A server on this machine: the sandbox, or a double of the vendor.
    Loopback,
}

impl AnsweredBy {
    /// The word in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Loopback => "loopback",
        }
    }

    /// Whom a word of the ledger names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Vendor, Self::Loopback]
            .into_iter()
            .find(|who| who.as_str() == word)
    }
}

impl fmt::Display for AnsweredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vendor => "the vendor",
            Self::Loopback => "a server on this machine",
        })
    }
}

/// One execution, as the ledger numbers it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Counts up by one a run.
    pub number: i64,
    /// `20261122T020000Z-0001`: names the run's files.
    pub id: Arc<str>,
}

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
    author: Author,
}

impl Ledger {
    /// Numbers a new run. `answered_by`: who will be asked, if anybody; it must be who answered the earlier runs.
    pub fn begin_run(&mut self, now: Timestamp, answered_by: Option<AnsweredBy>) -> Result<Run, LedgerError> {
        let failed = self.failed("begin a run");
        let earlier = self.answered_by()?;
        if let (Some(earlier), Some(asked)) = (earlier, answered_by)
            && earlier != asked
        {
            return Err(LedgerError::OtherAnswers {
                path: self.path.clone(),
                earlier,
                asked,
            });
        }
        let begin = || -> rusqlite::Result<Run> {
            let next = include_str!("../../sql/run_next.sql");
            let number: i64 = self.connection.query_row(next, [], |row| row.get(0))?;
            let id: Arc<str> = format!("{}-{number:04}", now.strftime("%Y%m%dT%H%M%SZ")).into();
            let run = named_params! {
                ":run_id": &*id,
                ":answered_by": answered_by.map(AnsweredBy::as_str),
                ":started_at": now.as_microsecond(),
            };
            self.connection.execute(include_str!("../../sql/run_begin.sql"), run)?;
            Ok(Run {
                number: self.connection.last_insert_rowid(),
                id,
            })
        };
        begin().map_err(failed)
    }

    /// Who answered the earlier runs; `None` where nobody was asked.
    fn answered_by(&self) -> Result<Option<AnsweredBy>, LedgerError> {
        let sql = include_str!("../../sql/run_answered_by.sql");
        let earlier: Result<Option<String>, _> = self.connection.query_row(sql, [], |row| row.get(0)).optional();
        let earlier = earlier.map_err(self.failed("look who answered it"))?;
        Ok(earlier.as_deref().and_then(AnsweredBy::from_word))
    }

    /// Writes down how the run ended.
    pub fn end_run(&mut self, run: &Run, now: Timestamp, exit_code: u8) -> Result<(), LedgerError> {
        let ended = self.connection.execute(
            include_str!("../../sql/run_end.sql"),
            named_params! { ":run_number": run.number, ":ended_at": now.as_microsecond(), ":exit_code": exit_code },
        );
        ended.map_err(self.failed("end the run"))?;
        Ok(())
    }

    /// Writes down that the run ended while nobody answered about this product in this region.
    pub fn note_outage(&mut self, run: &Run, product_code: &ProductCode, region: &Region) -> Result<(), LedgerError> {
        let noted = self.connection.execute(
            include_str!("../../sql/outage_note.sql"),
            named_params! {
                ":product_code": product_code.as_str(),
                ":region": region.as_str(),
                ":run_number": run.number,
            },
        );
        noted.map_err(self.failed("note an outage"))?;
        Ok(())
    }

    /// Does what takes the longer the more the ledger holds, unless `overdue` says on the way that there is no time left: then
    /// it fails with [`LedgerError::Interrupted`].
    pub fn unless<T, E: From<LedgerError>>(
        &mut self,
        overdue: impl FnMut() -> bool + Send + 'static,
        what: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let failed = self.failed("set up a connection");
        self.connection
            .progress_handler(STEPS_BETWEEN_LOOKS, Some(overdue))
            .map_err(&failed)?;
        let done = what(self);
        self.connection
            .progress_handler(0, None::<fn() -> bool>)
            .map_err(&failed)?;
        done
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, action: &'static str) -> impl Fn(rusqlite::Error) -> LedgerError + use<> {
        let path = self.path.clone();
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => LedgerError::Interrupted {
                action,
                path: path.clone(),
            },
            _ => LedgerError::Sqlite {
                action,
                path: path.clone(),
                source,
            },
        }
    }

    fn damaged(&self, what: &str) -> LedgerError {
        LedgerError::Damaged {
            path: self.path.clone(),
            what: what.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    fn inconsistent(&self, what: String) -> LedgerError {
        LedgerError::Inconsistent {
            path: self.path.clone(),
            what,
        }
    }
}

#[cfg(test)]
mod tests;

/// A time as the ledger keeps it. What is out of range for `jiff` was never written by idvault.
fn timestamp(microseconds: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Integer, error.into()))
}

fn optional_timestamp(microseconds: Option<i64>) -> rusqlite::Result<Option<Timestamp>> {
    microseconds.map(timestamp).transpose()
}

/// Text that was checked when it came in and is checked again when it comes back: a person may have edited the file.
fn checked<'a, T>(text: &'a str, parse: fn(&'a str) -> Result<T, crate::record::InvalidField>) -> rusqlite::Result<T> {
    parse(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))
}

/// The same of a cell that may be null.
fn optional<T>(
    row: &rusqlite::Row<'_>,
    at: usize,
    parse: fn(&str) -> Result<T, crate::record::InvalidField>,
) -> rusqlite::Result<Option<T>> {
    row.get_ref(at)?
        .as_str_or_null()?
        .map(|text| checked(text, parse))
        .transpose()
}

/// The ids that a row begins with: `transaction_id` and `merchant_biz_id`, which is derived where none was given.
fn ids(row: &rusqlite::Row<'_>) -> rusqlite::Result<(TransactionId, MerchantBizId)> {
    let transaction_id = checked(row.get_ref(0)?.as_str()?, TransactionId::parse)?;
    let merchant_biz_id =
        optional(row, 1, MerchantBizId::parse)?.unwrap_or_else(|| MerchantBizId::derive(&transaction_id));
    Ok((transaction_id, merchant_biz_id))
}
