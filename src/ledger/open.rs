//! Opening and closing the ledger: only where it can be trusted to keep what it is given.
//!
//! A commit is durable once it returns. Where SQLite fails to write or to sync, nothing more is done with the file: it is
//! closed as it is, and the next run, which begins with writing the WAL's pages back, finds out what was kept.
//!
//! - [`Lock`]: held by the one run that may write
//! - [`Readers`]: opens further connections for reading

use std::fs::{File, TryLockError};
use std::io;
use std::os::raw::c_int;
use std::path::{Path, PathBuf};
use std::sync::Once;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::replies::beside;
use super::{Author, Ledger, LedgerError, Run, migrate, replies};
use crate::disk;
use crate::files::{self, FileError};

/// Pages of the WAL at which it is written back into the ledger: 32 MiB. A night writes the same pages again and again, and
/// each time writes them all once more.
const CHECKPOINT_PAGES: c_int = 8_000;

/// A ledger of up to this size is checked whole at each start, which takes less than a second: 64 MiB, some 300 000 ids.
const CHECKED_AT_START_BYTES: u64 = 64 * 1024 * 1024;

/// A ledger of up to this size is checked at the end of each run, which takes a second or two: 256 MiB. A larger one is at
/// the end of every second, third or later one, so that nights do not become longer from year to year.
const CHECKED_AT_END_BYTES: u64 = 256 * 1024 * 1024;

/// What is kept beside a ledger, by the end of its name.
const COMPANIONS: [&str; 4] = ["-wal", "-shm", "-journal", replies::ENDING];

/// The right to write: an exclusive lock of the kernel's on a file in the data folder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says at once that another run holds it. Makes the data folder where it is missing, but not the
    /// folder above: it may be a disk that is not mounted.
    pub fn acquire(data_dir: &Path) -> Result<Self, LedgerError> {
        let path = data_dir.join("lock");
        make_folder(data_dir)?;
        let opened = files::open_private(&path).map_err(|error| TryLockError::Error(error.source));
        let locked = opened.and_then(|file| {
            file.try_lock()?;
            Ok(file)
        });
        match locked {
            Ok(file) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LedgerError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(LedgerError::Lock {
                action: "lock",
                path,
                source,
            }),
        }
    }
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

impl Ledger {
    /// Where the ledger is in a data folder.
    pub fn path_in(data_dir: &Path) -> PathBuf {
        data_dir.join("ledger.sqlite")
    }

    /// Whether there is no ledger yet: no file, an empty one, one without a schema, or one that knows no id. Changes nothing.
    pub fn is_blank(data_dir: &Path, _lock: &Lock) -> Result<bool, LedgerError> {
        let path = Self::path_in(data_dir);
        refuse_links(data_dir)?;
        // SQLite must not see an empty file: it would delete the WAL beside it.
        if path.metadata().map_or(0, |file| file.len()) == 0 {
            return Ok(true);
        }
        // Not for reading only, which can't take back what a crash left half done.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let ledger = Self::connect(path, flags)?;
        if migrate::schema_version(&ledger)? == 0 {
            return Ok(true);
        }
        let ids = ledger
            .connection
            .query_row(include_str!("../../sql/holds_ids.sql"), [], |row| row.get::<_, bool>(0));
        Ok(!ids.map_err(ledger.failed("look for ids"))?)
    }

    /// Copies the ledger as it stands into the folder `to`, and large replies by a link to their file. Nothing is changed, and no lock is
    /// needed: what a run commits meanwhile is not in the copy. False where there is no ledger.
    pub fn copy(data_dir: &Path, to: &Path) -> Result<bool, LedgerError> {
        let path = Self::path_in(data_dir);
        refuse_links(data_dir)?;
        if path.metadata().map_or(0, |file| file.len()) == 0 {
            return Ok(false);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let ledger = Self::connect(path.clone(), flags)?;
        let copy = Self::path_in(to);
        files::create_private(&copy).map_err(LedgerError::Folder)?;
        let failed = ledger.failed("copy it");
        let mut copied = Connection::open(&copy).map_err(&failed)?;
        let step = Backup::new(&ledger.connection, &mut copied).and_then(|backup| backup.step(-1));
        if step.map_err(&failed)? != StepResult::Done {
            // A run fills an empty ledger, and must not be read before its end.
            return Err(failed(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                None,
            )));
        }
        drop(copied);
        // The copy only reads it; where it can't be linked, the records in it count as not fetched.
        let _ = std::fs::hard_link(beside(&path), beside(&copy));
        Ok(true)
    }

    /// Opens the ledger for writing, makes it where there is none, and migrates an older one.
    pub fn open(data_dir: &Path, lock: &Lock) -> Result<Self, LedgerError> {
        Self::open_unless(data_dir, lock, || false)
    }

    /// As [`Ledger::open`], unless `overdue` says that there is no time for the check of a large one.
    pub fn open_unless(
        data_dir: &Path,
        _lock: &Lock,
        overdue: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Self, LedgerError> {
        let path = Self::path_in(data_dir);
        refuse_links(data_dir)?;
        if !path.exists() {
            // SQLite would make it with the umask's mode.
            files::create_private(&path).map_err(|error| LedgerError::Lock {
                action: "make the ledger",
                path: path.clone(),
                source: error.source,
            })?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut ledger = Self::connect(path, flags)?;
        if ledger.is_small() || !ledger.ended_well()? {
            ledger.unless(overdue, Self::check_pages)?;
        }
        ledger.set_journal_mode()?;
        let failed = ledger.failed("set up a connection");
        ledger.connection.wal_hook(Some(checkpoint_when_long)).map_err(failed)?;
        migrate::migrate(&mut ledger)?;
        ledger.checkpoint()?;
        Ok(ledger)
    }

    /// Closes the ledger after its last commit, with everything in the one file unless somebody else reads it.
    pub fn close(self) -> Result<(), LedgerError> {
        self.checkpoint()?;
        let failed = self.failed("close it");
        self.connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(&failed)?;
        self.connection.close().map_err(|(_, error)| failed(error))
    }

    /// Writes what the WAL holds into the ledger. What others still read past has to stay, and is not waited for.
    ///
    /// At the start of a run that is more than tidying: where the run before ended with a sync that failed, the kernel may
    /// have dropped pages of the WAL that it still shows. Here they are written once more, elsewhere.
    fn checkpoint(&self) -> Result<(), LedgerError> {
        let busy: Result<i64, _> = self.answer(include_str!("../../sql/checkpoint.sql"));
        busy.map_err(self.failed("write the last commits back"))?;
        Ok(())
    }

    /// What a PRAGMA answers. It is carried out to its end, where a commit may still fail: `query_row` stops at the answer.
    fn answer<T: FromSql>(&self, sql: &str) -> rusqlite::Result<T> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let answer = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?.get(0)?;
        while rows.next()?.is_some() {}
        Ok(answer)
    }

    /// Has commits go through the WAL.
    fn set_journal_mode(&self) -> Result<(), LedgerError> {
        let mode: Result<String, _> = self.answer(include_str!("../../sql/journal_mode.sql"));
        match mode.map_err(self.failed("set the journal mode"))?.as_str() {
            // The WAL itself is opened by whoever reads next, and SQLite refuses to write back from one that is not.
            "wal" => migrate::schema_version(self).map(drop),
            _ => Err(LedgerError::JournalMode {
                path: self.path.clone(),
            }),
        }
    }

    fn is_small(&self) -> bool {
        self.path
            .metadata()
            .is_ok_and(|file| file.len() <= CHECKED_AT_START_BYTES)
    }

    /// Whether the last run came to its end, which is written down only after it has checked the ledger. False where that
    /// can't be told.
    fn ended_well(&self) -> Result<bool, LedgerError> {
        let ended = self
            .connection
            .query_row(include_str!("../../sql/run_ended_well.sql"), [], |row| row.get(0));
        match ended {
            // A ledger that can't be read is for the check to judge, and one of another kind for the migration.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Err(self.failed("look at the last run")(error))
            }
            ended => Ok(ended.unwrap_or(false)),
        }
    }

    /// Whether it is this run's turn to check the pages at its end.
    pub fn is_checked_by(&self, run: &Run) -> bool {
        let bytes = self.path.metadata().map_or(0, |file| file.len());
        run.number.unsigned_abs().is_multiple_of(runs_between_checks(bytes))
    }

    /// Refuses a file whose pages contradict each other.
    pub fn check_pages(&self) -> Result<(), LedgerError> {
        self.check(include_str!("../../sql/check_pages.sql"))
    }

    /// Holds the indices to the tables, too, which takes longer.
    pub fn check_integrity(&self) -> Result<(), LedgerError> {
        self.check(include_str!("../../sql/check_integrity.sql"))
    }

    fn check(&self, sql: &str) -> Result<(), LedgerError> {
        let found: Result<String, _> = self.answer(sql);
        match found.map_err(self.failed("check the pages"))?.as_str() {
            "ok" => Ok(()),
            what => Err(self.damaged(what)),
        }
    }

    /// Opens the ledger for reading. It must be there and of the present schema.
    pub fn open_read_only(data_dir: &Path) -> Result<Self, LedgerError> {
        let path = Self::path_in(data_dir);
        refuse_links(data_dir)?;
        if !path.exists() {
            return Err(LedgerError::Missing { path });
        }
        refuse_network(data_dir)?;
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
        TEMPORARY_FILES.call_once(|| temporary_files_beside(&connection, &path));
        let ledger = Self {
            connection,
            path,
            author: Author::default(),
        };
        // Closing would sync again what has just failed to be synced: `close` is for a ledger that is well.
        ledger
            .connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(ledger.failed("set up a connection"))?;
        // Settings may write to the file, so whose it is comes first.
        migrate::schema_version(&ledger)?;
        let set_up = ledger.connection.execute_batch(include_str!("../../sql/pragmas.sql"));
        set_up.map_err(ledger.failed("set up a connection"))?;
        Ok(ledger)
    }
}

/// Says once for the whole process where SQLite keeps what does not fit into memory while it sorts.
static TEMPORARY_FILES: Once = Once::new();

/// Has SQLite keep temporary files beside the ledger: elsewhere there may be no room, or nothing may be written. They have no names.
fn temporary_files_beside(connection: &Connection, ledger: &Path) {
    if let Some(folder) = ledger.parent().and_then(Path::to_str) {
        // Refused where the folder can't be written to. Who only reads there has the usual places.
        let _ = connection.pragma_update(None, "temp_store_directory", folder);
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

/// Makes the data folder itself, on a local disk. One that is there keeps its mode: what is made in it is private by itself.
pub(crate) fn make_folder(data_dir: &Path) -> Result<(), LedgerError> {
    if data_dir.canonicalize().is_ok_and(|folder| folder.parent().is_none()) {
        let why = io::Error::other("it is the root of the file system; name a folder of idvault's own with --data-dir");
        return Err(LedgerError::Folder(FileError::because("use", data_dir)(why)));
    }
    let above = match data_dir.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => data_dir,
    };
    if !above.is_dir() {
        return Err(LedgerError::NoFolder { path: above.to_owned() });
    }
    refuse_network(if data_dir.exists() { data_dir } else { above })?;
    let made = !data_dir.exists();
    files::create_private_dir(data_dir)
        .and_then(|()| if made { files::sync(above) } else { Ok(()) })
        .map_err(LedgerError::Folder)
}

fn refuse_network(data_dir: &Path) -> Result<(), LedgerError> {
    match disk::network(data_dir).map_err(LedgerError::Folder)? {
        None => Ok(()),
        Some(network) => Err(LedgerError::Network {
            path: data_dir.to_owned(),
            network,
        }),
    }
}

/// Of a ledger of that size every so manieth run checks the pages at its end.
fn runs_between_checks(bytes: u64) -> u64 {
    bytes.div_ceil(CHECKED_AT_END_BYTES).max(1)
}

/// SQLite's own way to do this would hide that it failed.
fn checkpoint_when_long(wal: &mut Wal, pages: c_int) -> rusqlite::Result<()> {
    if pages < CHECKPOINT_PAGES {
        return Ok(());
    }
    match wal.checkpoint() {
        // Somebody else is at it.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_checked_after_each_run_until_that_would_take_long() {
        const MIB: u64 = 1024 * 1024;
        let runs = [0, 80 * MIB, 256 * MIB, 257 * MIB, 9_000 * MIB].map(runs_between_checks);
        assert_eq!(runs, [1, 1, 1, 2, 36]);
    }
}
