//! Why the ledger can't be used, and what to do about it.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_READONLY_ROLLBACK;

use super::AnsweredBy;
use crate::files::FileError;

/// Why the ledger can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another run holds the lock.
    #[error("another run holds the lock {path}; it ends by itself when that run does")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file or the ledger can't be made or locked.
    #[error("failed to {action} {path}; check that the data folder can be written and that its disk is not full")]
    Lock {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A symbolic link stands in the place of the data folder or of a file of the ledger's.
    #[error(transparent)]
    Link(FileError),
    /// The data folder can't be used.
    #[error(transparent)]
    Folder(FileError),
    /// The data folder, a folder in it or the ledger is within another user's reach.
    #[error(transparent)]
    NotPrivate(FileError),
    /// The folder that the data folder should be in is not there.
    #[error(
        "there is no folder {path} to have the ledger in; mount its disk, or make it: an empty ledger would know of nothing that was archived"
    )]
    NoFolder {
        /// The missing folder.
        path: PathBuf,
    },
    /// There is nothing in it yet, or nothing any more.
    #[error(
        "the ledger {path} is empty: where there is an archive beside it, restore both together from a backup; where there is none, the first `idvault run` fills it"
    )]
    Empty {
        /// The ledger.
        path: PathBuf,
    },
    /// It was written by an older version, and only a run migrates.
    #[error("the ledger {path} has schema {found}, this idvault needs {known}; the next `idvault run` brings it up")]
    Older {
        /// The ledger.
        path: PathBuf,
        /// The schema that it has.
        found: i64,
        /// The schema that is needed.
        known: i64,
    },
    /// The archive is there and the ledger is not, or is empty.
    #[error(
        "there is an archive and no ledger at {path}, or an empty one; restore both together from a backup, or make a ledger from the archive with `idvault rebuild-ledger`: an empty ledger would fetch everything again"
    )]
    Gone {
        /// Where it should be.
        path: PathBuf,
    },
    /// The data folder is on another machine's disk.
    #[error(
        "the ledger can't be in {path}, which is on {network}, a network file system that would corrupt it; use a local disk"
    )]
    Network {
        /// The data folder.
        path: PathBuf,
        /// The file system.
        network: &'static str,
    },
    /// SQLite can't turn the file to WAL mode, and does not say why.
    #[error("failed to set the journal mode of the ledger {path}; check its disk, and that no other program holds it")]
    JournalMode {
        /// The file.
        path: PathBuf,
    },
    /// The file's pages contradict each other.
    #[error(
        "the ledger {path} is damaged: {what}; nothing was changed in it: keep it, and restore ledger and archive together from a backup"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In SQLite's words.
        what: String,
    },
    /// The file of large replies can't be written, read or removed.
    #[error(
        "failed to {action} {path}; check its disk, and that it is not full: what was committed is kept, and the next run goes on from there"
    )]
    Replies {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A large reply is not what was kept any more.
    #[error("the reply about {transaction_id} in {path} is damaged; the next run to begin asks for it again")]
    DamagedReply {
        /// The file of large replies.
        path: PathBuf,
        /// The transaction.
        transaction_id: String,
    },
    /// There is none to read.
    #[error(
        "there is no ledger at {path}; name its folder with --data-dir. Where there is an archive, `idvault rebuild-ledger` makes a ledger from it; where there is none, the first `idvault run` makes one"
    )]
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
    /// It has asked another account.
    #[error(
        "the ledger {path} is another account's: {what}; its ids are known there only. Name another folder with --data-dir, or the other configuration with --config"
    )]
    OtherAccount {
        /// The file.
        path: PathBuf,
        /// What it has asked, and what would be asked.
        what: String,
    },
    /// The archive has commits that the ledger does not have.
    #[error(
        "the ledger {path} is older than the archive: its last commit is {known}, the archive's is {found}. Run `idvault rebuild-ledger`, which completes the ledger from the archive, or restore both together from one backup"
    )]
    ArchiveNewer {
        /// The file.
        path: PathBuf,
        /// Its last commit; 0 where it has none.
        known: u64,
        /// The archive's.
        found: u64,
    },
    /// The archive is another ledger's.
    #[error(
        "the ledger {path} belongs to the archive {own}, and the archive beside it is {found}: restore the ledger that belongs to it, or name another folder with --data-dir"
    )]
    OtherArchive {
        /// The file.
        path: PathBuf,
        /// The archive that it belongs to.
        own: String,
        /// The one that is there.
        found: String,
    },
    /// Both were written since they were copied.
    #[error(
        "the ledger {path} and the archive beside it have different histories: commit {commit} is another one in each, so both were written to after a copy was made. Restore both together from one backup"
    )]
    OtherHistory {
        /// The file.
        path: PathBuf,
        /// The archive's last commit.
        commit: u64,
    },
    /// A record of the archive can't be used.
    #[error(
        "the record of commit {commit} in archive/_changes/ can't be used: {what}; restore the folder from a backup, and run `idvault verify`"
    )]
    UnreadableChange {
        /// Its number.
        commit: u64,
        /// Why.
        what: String,
    },
    /// SQLite failed.
    #[error("failed to {action} in the ledger {path}; {}", what_to_do(source))]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The run had to end first.
    #[error("the run had to end before it could {action} in the ledger {path}; the next one does")]
    Interrupted {
        /// What was left off.
        action: &'static str,
        /// The file.
        path: PathBuf,
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
    QueuePanicked,
    /// The writer thread has ended, after an error that is reported in its place.
    #[error("the ledger's writer has stopped")]
    WriterGone,
}

/// What helps against an error of SQLite's.
fn what_to_do(error: &rusqlite::Error) -> &'static str {
    if let rusqlite::Error::SqliteFailure(error, _) = error
        && error.extended_code == SQLITE_READONLY_ROLLBACK
    {
        return "a run was cut off half way through a change: the next `idvault run` takes it back";
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds it: wait for it, or end it (a sqlite3 shell, a backup), and try again"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "check that this user can write the file and its folder, and that the disk is not mounted read-only"
        }
        Some(ErrorCode::DiskFull) => {
            "its disk is full, or the one of SQLite's scratch files (SQLITE_TMPDIR, TMPDIR or /var/tmp): free some; what was committed is kept, and the next run goes on from there"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "its disk fails or its quota is used up: see the kernel's log; what was committed is kept, and the next run goes on from there"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "it is damaged, or no ledger: keep it, and restore ledger and archive together from a backup"
        }
        _ => "what was committed is kept",
    }
}
