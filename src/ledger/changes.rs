//! The history of the archive: one record for each commit that changes it, chained by hashes.
//!
//! A record is written in the same SQLite transaction as the change itself. `history` copies it to `archive/_changes/` afterwards.
//! Nothing ever changes or removes a record. How another command adds one is told in `history`.
//!
//! - [`Change`]: what a command did; `change_record` has how it is kept
//! - [`Author`]: who works with the ledger, and the clock and key of the records

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use serde_json::{Map, Value, json};

use super::change_record::{By, CHANGE_VERSION, ChangeKind, ChangeRecord, IntegrityKey, StoredChange};
use super::{Ledger, LedgerError, ManifestFile};
use crate::clock::{Clock, FixedClock};

/// What a command did.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which command.
    pub kind: ChangeKind,
    /// The run of the ledger, where the command is one.
    pub run_id: Option<String>,
    /// Files that the manifest has from then on.
    pub added: Vec<ManifestFile>,
    /// Files that it has no more.
    pub removed: Vec<ManifestFile>,
    /// What else is to be kept of it: each kind has its own members.
    pub details: Map<String, Value>,
}

impl Change {
    /// One that changes no file.
    pub fn new(kind: ChangeKind) -> Self {
        Self {
            kind,
            run_id: None,
            added: Vec::new(),
            removed: Vec::new(),
            details: Map::new(),
        }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// Who works with the ledger, as far as its records say.
#[derive(Debug, Clone)]
pub struct Author {
    /// The user's name, as the environment has it.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// The machine's name.
    pub host: String,
    /// The command line, without the program.
    pub arguments: Vec<String>,
    /// The machine's clock.
    pub clock: Arc<dyn Clock>,
    /// The time that `--now` gives.
    pub now: Option<Timestamp>,
    /// `[integrity] key_file`.
    pub key: Option<IntegrityKey>,
}

impl Default for Author {
    fn default() -> Self {
        Self {
            user: "unknown".to_owned(),
            uid: rustix::process::geteuid().as_raw(),
            host: "unknown".to_owned(),
            arguments: Vec::new(),
            clock: Arc::new(FixedClock(Timestamp::UNIX_EPOCH)),
            now: None,
            key: None,
        }
    }
}

impl Ledger {
    /// Says who works with the ledger from now on.
    pub fn set_author(&mut self, author: Author) {
        self.author = author;
    }

    /// Whoever works with the ledger.
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// Keeps a change that touches nothing else of the ledger, in a commit of its own.
    pub fn record_change(&mut self, change: &Change) -> Result<(), LedgerError> {
        let failed = self.failed("write a change of the archive down");
        let commit = self.connection.transaction().map_err(&failed)?;
        add(&commit, &self.author, change).map_err(&failed)?;
        commit.commit().map_err(&failed)
    }

    /// Begins the history of an archive that is older than its history: its first record has all files of the manifest, and the
    /// months that are closed. Nothing where there is a record already, or nothing to begin with.
    pub fn begin_history(&mut self) -> Result<(), LedgerError> {
        let manifest = self.manifest()?;
        let closed = self.closed_months(None)?;
        if self.last_change()?.is_some() || (manifest.is_empty() && closed.is_empty()) {
            return Ok(());
        }
        let closed: Vec<Value> = closed
            .into_iter()
            .map(|closed| json!({ "month": closed.name(), "sha256": closed.sha256 }))
            .collect();
        let mut details = self.source()?;
        details.insert("closed".to_owned(), closed.into());
        self.record_change(&Change {
            added: manifest,
            details,
            ..Change::new(ChangeKind::Begin)
        })
    }

    /// Keeps a change within the transaction that a [`super::Snapshot`] has begun, and that its commit ends.
    pub fn record_within(&self, change: &Change) -> Result<(), LedgerError> {
        let added = add(&self.connection, &self.author, change);
        added.map_err(self.failed("write a change of the archive down"))?;
        Ok(())
    }

    /// The last record; `None` where there is none yet.
    pub fn last_change(&self) -> Result<Option<StoredChange>, LedgerError> {
        last(&self.connection).map_err(self.failed("read the history"))
    }

    /// A record by its number.
    pub fn change(&self, commit: u64) -> Result<Option<StoredChange>, LedgerError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare_cached(include_str!("../../sql/changes_one.sql"))?;
            let number = named_params! { ":commit_number": commit };
            statement.query_row(number, stored).optional()
        };
        read().map_err(self.failed("read the history"))
    }

    /// The archive that the ledger belongs to; `None` before its first change.
    pub fn archive_id(&self) -> Result<Option<String>, LedgerError> {
        archive_id(&self.connection).map_err(self.failed("read whose ledger it is"))
    }
}

/// Keeps a change, in the commit that makes it. Gives its number.
pub(super) fn add(commit: &Connection, author: &Author, change: &Change) -> rusqlite::Result<u64> {
    let archive_id = identify(commit)?;
    let last = last(commit)?;
    let record = ChangeRecord {
        change_version: CHANGE_VERSION,
        archive_id,
        commit: last.as_ref().map_or(0, |last| last.commit) + 1,
        previous: last.map(|last| last.sha256),
        kind: change.kind,
        at: author.clock.now(),
        now: author.now,
        run_id: change.run_id.clone(),
        by: By {
            user: author.user.clone(),
            uid: author.uid,
            host: author.host.clone(),
            idvault: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: author.arguments.clone(),
        },
        added: change.added.clone(),
        removed: change.removed.clone(),
        details: change.details.clone(),
    };
    let text = record
        .text(author.key.as_ref())
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    insert(commit, &StoredChange::new(record.commit, text))?;
    Ok(record.commit)
}

/// The archive that the ledger belongs to. It is named with the first change.
pub(super) fn identify(commit: &Connection) -> rusqlite::Result<String> {
    if let Some(known) = archive_id(commit)? {
        return Ok(known);
    }
    let drawn = format!("{:032x}", fastrand::u128(..));
    commit.execute(
        include_str!("../../sql/identity_insert.sql"),
        named_params! { ":archive_id": drawn },
    )?;
    Ok(drawn)
}

/// Keeps a record as it is.
pub(super) fn insert(commit: &Connection, change: &StoredChange) -> rusqlite::Result<()> {
    commit.execute(
        include_str!("../../sql/changes_insert.sql"),
        named_params! { ":commit_number": change.commit, ":sha256": change.sha256, ":record": change.text },
    )?;
    Ok(())
}

fn last(connection: &Connection) -> rusqlite::Result<Option<StoredChange>> {
    let sql = include_str!("../../sql/changes_last.sql");
    connection.query_row(sql, [], stored).optional()
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredChange> {
    Ok(StoredChange {
        commit: row.get(0)?,
        sha256: row.get(1)?,
        text: row.get(2)?,
    })
}

fn archive_id(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = include_str!("../../sql/identity_archive.sql");
    connection.query_row(sql, [], |row| row.get(0)).optional()
}
