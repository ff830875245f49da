//! The ledger: what we know of each id, in one SQLite file that nothing ever deletes or truncates.
//!
//! One process writes at a time: [`Ledger::open`] wants the [`Lock`], which is the kernel's and so never outlives a
//! crash. Readers ([`Ledger::open_read_only`]) need no lock: the file is in WAL mode. A ledger with a newer schema is
//! refused; an older one is migrated by an append-only list (`migrate`).
//!
//! - [`Ledger`]: the open file; its methods stand in `admit`, `plan`, `settle`, `publish` and `report`
//! - [`Lock`]: held by the one run that may write
//! - [`Run`]: one execution, as the ledger numbers it; [`AnsweredBy`]: who answers it
//! - [`Writer`]: the thread that commits settlements in batches (`writer`)
//! - [`LedgerError`]: why the ledger can't be used

mod admit;
mod migrate;
mod plan;
mod publish;
mod quarantine;
mod report;
mod settle;
mod verify;
mod writer;

use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, named_params};

pub use admit::{Admission, Admitted, Defaults};
pub use plan::{Cursor, Deadline, DuePage, Phase, ProductDue};
pub use publish::{DayRange, JournalledRow, ManifestFile, NewFile, Tally};
pub use quarantine::Decision;
pub use report::{BillingLine, ExpiryLine, QuarantineLine, StateCounts};
pub use settle::{Settled, Settlement};
pub use verify::SeenIds;
pub use writer::{Writer, WriterHandle};

use crate::files::{self, FileError};
use crate::record::{MerchantBizId, TransactionId};

/// What SQLite keeps beside a ledger, by the end of its name.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Why the ledger can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another run holds the lock.
    #[error("another run holds the lock {path}; it ends by itself when that run does")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file can't be made or locked.
    #[error("failed to lock {path}; check that the data folder can be written")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A symbolic link stands in the place of the data folder or of a file of the ledger's.
    #[error(transparent)]
    Link(FileError),
    /// There is none to read.
    #[error("there is no ledger at {path}; `idvault run` makes one, or name its folder with --data-dir")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Written by a newer idvault.
    #[error(
        "the ledger {path} has schema {found}, this idvault knows up to {known}; use the newer idvault that wrote it"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// Some other program's database.
    #[error("{path} is not an idvault ledger (application id {found:#x}); nothing was changed in it")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        found: i64,
    },
    /// Its answers come from elsewhere.
    #[error(
        "the ledger {path} holds answers of {earlier}, and this run would ask {asked}: made-up answers must not get among real ones; name another folder with --data-dir"
    )]
    OtherAnswers {
        /// The file.
        path: PathBuf,
        /// Who answered the earlier runs.
        earlier: AnsweredBy,
        /// Who would be asked.
        asked: AnsweredBy,
    },
    /// SQLite failed.
    #[error("failed to {action} in the ledger {path}")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// What the ledger holds contradicts itself.
    #[error("the ledger {path} contradicts itself: {what}; run `idvault verify` before the next run")]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// In words.
        what: String,
    },
    /// The calls of a product ended with a panic: a fault of this program.
    #[error("the calls of a product broke off; its other records are left for the next run")]
    LanePanicked,
    /// The writer thread has ended, after an error that is reported in its place.
    #[error("the ledger's writer has stopped")]
    WriterGone,
}

/// The right to write: an exclusive lock of the kernel's on a file in the data folder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says at once that another run holds it.
    pub fn acquire(data_dir: &Path) -> Result<Self, LedgerError> {
        let path = data_dir.join("lock");
        let opened = files::open_private(&path).map_err(|error| TryLockError::Error(error.source));
        let locked = opened.and_then(|file| {
            file.try_lock()?;
            Ok(file)
        });
        match locked {
            Ok(file) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LedgerError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(LedgerError::Lock { path, source }),
        }
    }
}

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

    fn from_word(word: &str) -> Option<Self> {
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

/// Opens connections that only read a ledger that is open already.
#[derive(Debug, Clone)]
pub struct Readers {
    path: PathBuf,
}

impl Readers {
    /// One more connection.
    pub fn open(&self) -> Result<Ledger, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ledger::connect(self.path.clone(), flags)
    }
}

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
}

impl Ledger {
    /// Where the ledger is in a data folder.
    pub fn path_in(data_dir: &Path) -> PathBuf {
        data_dir.join("ledger.sqlite")
    }

    /// Opens the ledger for writing, makes it where there is none, and migrates an older one.
    pub fn open(data_dir: &Path, _lock: &Lock) -> Result<Self, LedgerError> {
        let path = Self::path_in(data_dir);
        refuse_links(data_dir)?;
        if !path.exists() {
            // SQLite would make it with the umask's mode.
            files::create_private(&path).map_err(|error| LedgerError::Lock {
                path: path.clone(),
                source: error.source,
            })?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut ledger = Self::connect(path, flags)?;
        migrate::migrate(&mut ledger)?;
        Ok(ledger)
    }

    /// Opens the ledger for reading. It must be there and of the present schema.
    pub fn open_read_only(data_dir: &Path) -> Result<Self, LedgerError> {
        let path = Self::path_in(data_dir);
        refuse_links(data_dir)?;
        if !path.exists() {
            return Err(LedgerError::Missing { path });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let ledger = Self::connect(path, flags)?;
        migrate::check(&ledger)?;
        Ok(ledger)
    }

    /// Opens further connections to the same file, for reading while the writer commits.
    pub fn readers(&self) -> Readers {
        Readers {
            path: self.path.clone(),
        }
    }

    fn connect(path: PathBuf, flags: OpenFlags) -> Result<Self, LedgerError> {
        let connection = match Connection::open_with_flags(&path, flags) {
            Ok(connection) => connection,
            Err(source) => {
                return Err(LedgerError::Sqlite {
                    action: "open the file",
                    path,
                    source,
                });
            }
        };
        connection.set_prepared_statement_cache_capacity(32);
        let ledger = Self { connection, path };
        // WAL mode is written into the file, so whose it is comes first.
        migrate::schema_version(&ledger)?;
        let set_up = ledger.connection.execute_batch(include_str!("../../sql/pragmas.sql"));
        set_up.map_err(ledger.failed("set up a connection"))?;
        Ok(ledger)
    }

    /// Numbers a new run. `answered_by`: who will be asked, if anybody; it must be who answered the earlier runs.
    pub fn begin_run(&mut self, now: Timestamp, answered_by: Option<AnsweredBy>) -> Result<Run, LedgerError> {
        let failed = self.failed("begin a run");
        let earlier = self
            .connection
            .query_row(include_str!("../../sql/run_answered_by.sql"), [], |row| row.get(0));
        let earlier: Option<String> = earlier.optional().map_err(&failed)?;
        let earlier = earlier.as_deref().and_then(AnsweredBy::from_word);
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

    /// Writes down how the run ended.
    pub fn end_run(&mut self, run: &Run, now: Timestamp, exit_code: u8) -> Result<(), LedgerError> {
        let ended = self.connection.execute(
            include_str!("../../sql/run_end.sql"),
            named_params! { ":run_number": run.number, ":ended_at": now.as_microsecond(), ":exit_code": exit_code },
        );
        ended.map_err(self.failed("end the run"))?;
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, action: &'static str) -> impl Fn(rusqlite::Error) -> LedgerError + use<> {
        let path = self.path.clone();
        move |source| LedgerError::Sqlite {
            action,
            path: path.clone(),
            source,
        }
    }

    fn inconsistent(&self, what: String) -> LedgerError {
        LedgerError::Inconsistent {
            path: self.path.clone(),
            what,
        }
    }
}

/// SQLite follows a link in the place of a ledger, and would write elsewhere.
fn refuse_links(data_dir: &Path) -> Result<(), LedgerError> {
    let companions = COMPANIONS.map(|end| data_dir.join(format!("ledger.sqlite{end}")));
    [data_dir.to_owned(), Ledger::path_in(data_dir)]
        .iter()
        .chain(&companions)
        .try_for_each(|path| files::refuse_link(path))
        .map_err(LedgerError::Link)
}

/// A time as the ledger keeps it. What is out of range for `jiff` was never written by idvault.
fn timestamp(microseconds: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Integer, error.into()))
}

fn optional_timestamp(microseconds: Option<i64>) -> rusqlite::Result<Option<Timestamp>> {
    microseconds.map(timestamp).transpose()
}

/// Text that was checked when it came in and is checked again when it comes back: a person may have edited the file.
fn checked<T>(text: &str, parse: fn(&str) -> Result<T, crate::record::InvalidField>) -> rusqlite::Result<T> {
    parse(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))
}

/// The ids that a row begins with: `transaction_id` and `merchant_biz_id`, which is derived where none was given.
fn ids(row: &rusqlite::Row<'_>) -> rusqlite::Result<(TransactionId, MerchantBizId)> {
    let transaction_id = checked(row.get_ref(0)?.as_str()?, TransactionId::parse)?;
    let merchant_biz_id = match row.get_ref(1)?.as_str_or_null()? {
        Some(given) => checked(given, MerchantBizId::parse)?,
        None => MerchantBizId::derive(&transaction_id),
    };
    Ok((transaction_id, merchant_biz_id))
}
