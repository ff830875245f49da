//! The history of the archive: one record for each commit that changes it, chained by hashes.
//!
//! A record is written in the same SQLite transaction as the change itself. `history` copies it to `archive/_changes/` afterwards.
//! Nothing ever changes or removes a record. How another command adds one is told in `history`.
//!
//! - [`Change`]: what a command did; [`ChangeKind`]: which command
//! - [`Author`]: who works with the ledger, and the clock and key of the records
//! - [`ChangeRecord`]: a change as it is kept; [`StoredChange`]: its bytes and their hash

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::{Ledger, LedgerError, ManifestFile};
use crate::clock::{Clock, FixedClock};
use crate::record::{hex, sha256_hex};

/// The version of [`ChangeRecord`]: a change that a reader could notice is a new one.
pub const CHANGE_VERSION: u32 = 1;

/// Digits of a SHA-256 in hex.
const HEX_DIGITS: usize = 64;

/// Before the HMAC, which is the last member of a record.
const HMAC_MEMBER: &str = ",\"hmac_sha256\":\"";

/// After the HMAC.
const HMAC_END: &str = "\"}\n";

/// Which command changed the archive, or was written down because it decides about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the commands' names")]
pub enum ChangeKind {
    /// The first record of an archive that is older than its history: all files that it has.
    Begin,
    Run,
    Compact,
    Close,
    QuarantineRetry,
    QuarantineDrop,
    Adopt,
    SourceDrop,
    Repair,
    Rebuild,
    Upgrade,
    Purge,
    Erase,
    Import,
    /// One of a newer version.
    #[serde(other)]
    Other,
}

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

/// Signs the records. It never shows its bytes.
#[derive(Clone)]
pub struct IntegrityKey(Hmac<Sha256>);

impl IntegrityKey {
    /// HMAC-SHA256 takes a key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).unwrap_or_else(|error| unreachable!("a key of any length: {error}")))
    }

    fn sign(&self, text: &str) -> String {
        let mut hmac = self.0.clone();
        hmac.update(text.as_bytes());
        hex(&hmac.finalize().into_bytes())
    }
}

impl std::fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntegrityKey")
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

/// The author, as a record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "see Author")]
pub struct By {
    pub user: String,
    pub uid: u32,
    pub host: String,
    pub idvault: String,
    pub arguments: Vec<String>,
}

/// A change as it is kept: JSON, one object on one line. Where there is a key, `hmac_sha256` is its last member, and signs the text
/// without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// [`CHANGE_VERSION`].
    pub change_version: u32,
    /// The same in all records of an archive, and in its ledger.
    pub archive_id: String,
    /// 1, 2, 3, ... without a gap.
    pub commit: u64,
    /// The SHA-256 of the record before; `None` in the first.
    pub previous: Option<String>,
    /// Which command.
    pub kind: ChangeKind,
    /// By the machine's clock.
    pub at: Timestamp,
    /// The time that `--now` gave, where it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Timestamp>,
    /// The run of the ledger, where the command is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Who did it.
    pub by: By,
    /// Files that the manifest has from then on.
    pub added: Vec<ManifestFile>,
    /// Files that it has no more.
    pub removed: Vec<ManifestFile>,
    /// What else is kept of this kind.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

impl ChangeRecord {
    /// Reads a record.
    pub fn parse(text: &str) -> Result<Self, String> {
        let record: Self = serde_json::from_str(text).map_err(|error| format!("it can't be read: {error}"))?;
        if record.change_version > CHANGE_VERSION {
            return Err(format!(
                "it has version {}, this idvault knows {CHANGE_VERSION}",
                record.change_version
            ));
        }
        Ok(record)
    }

    fn text(&self, key: Option<&IntegrityKey>) -> serde_json::Result<String> {
        let unsigned = serde_json::to_string(self)?;
        let hmac = key.map(|key| key.sign(&unsigned));
        Ok(match (hmac, unsigned.strip_suffix('}')) {
            (Some(hmac), Some(open)) => format!("{open}{HMAC_MEMBER}{hmac}{HMAC_END}"),
            _ => unsigned + "\n",
        })
    }
}

/// Whether a record is signed, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// It has no HMAC.
    None,
    /// It has one, which the key made.
    Good,
    /// It has one that the key did not make.
    Wrong,
    /// It has one, and there is no key to check it with.
    Unchecked,
}

/// The bytes of a record, and their hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChange {
    /// Its number.
    pub commit: u64,
    /// The SHA-256 of its text in lower-case hex.
    pub sha256: String,
    /// The record, as the file has it.
    pub text: String,
}

impl StoredChange {
    /// One that was read from a file.
    pub fn new(commit: u64, text: String) -> Self {
        let sha256 = sha256_hex(text.as_bytes());
        Self { commit, sha256, text }
    }

    /// Holds the record to its number, its hash, the record before, and the key.
    pub fn check(&self, before: Option<&str>, key: Option<&IntegrityKey>) -> Result<(ChangeRecord, Signature), String> {
        if sha256_hex(self.text.as_bytes()) != self.sha256 {
            return Err("its text has another SHA-256 than was written down".to_owned());
        }
        let record = ChangeRecord::parse(&self.text)?;
        if record.commit != self.commit {
            return Err(format!("it says that it is commit {}", record.commit));
        }
        if record.previous.as_deref() != before {
            return Err("it does not follow the record before it".to_owned());
        }
        let signature = self.signature(key);
        if signature == Signature::Wrong {
            return Err("its HMAC is not of the key in [integrity] key_file".to_owned());
        }
        Ok((record, signature))
    }

    fn signature(&self, key: Option<&IntegrityKey>) -> Signature {
        let signed = || {
            let at = self
                .text
                .len()
                .checked_sub(HMAC_END.len() + HEX_DIGITS + HMAC_MEMBER.len())?;
            let hmac = self.text.get(at..)?.strip_prefix(HMAC_MEMBER)?.strip_suffix(HMAC_END)?;
            Some((format!("{}}}", &self.text[..at]), hmac))
        };
        match (signed(), key) {
            (None, _) => Signature::None,
            (Some(_), None) => Signature::Unchecked,
            (Some((text, hmac)), Some(key)) if key.sign(&text) == hmac => Signature::Good,
            _ => Signature::Wrong,
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
            .map(|closed| json!({ "month": closed.month.strftime("%Y-%m").to_string(), "sha256": closed.sha256 }))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&IntegrityKey>) -> StoredChange {
        let change = Change::new(ChangeKind::Close).with("month", "2026-10");
        let author = Author::default();
        let record = ChangeRecord {
            change_version: CHANGE_VERSION,
            archive_id: "a".repeat(32),
            commit: 1,
            previous: None,
            kind: change.kind,
            at: author.clock.now(),
            now: None,
            run_id: None,
            by: By {
                user: "u\"}".to_owned(),
                uid: 0,
                host: String::new(),
                idvault: String::new(),
                arguments: Vec::new(),
            },
            added: Vec::new(),
            removed: Vec::new(),
            details: change.details,
        };
        StoredChange::new(1, record.text(key).unwrap())
    }

    #[test]
    fn a_record_is_held_to_its_hash_its_number_the_one_before_and_the_key() {
        let [one, other] = ["one", "other"].map(|key| IntegrityKey::new(key.as_bytes()));
        let (unsigned, signed) = (record(None), record(Some(&one)));
        let signature = |stored: &StoredChange, key| stored.check(None, key).map(|(_, signature)| signature);
        assert_eq!(signature(&unsigned, None), Ok(Signature::None));
        assert_eq!(signature(&unsigned, Some(&one)), Ok(Signature::None));
        assert_eq!(signature(&signed, None), Ok(Signature::Unchecked));
        assert_eq!(signature(&signed, Some(&one)), Ok(Signature::Good));
        assert!(signature(&signed, Some(&other)).unwrap_err().contains("HMAC"));
        let edited = StoredChange::new(1, signed.text.replace("2026-10", "2026-11"));
        assert!(signature(&edited, Some(&one)).unwrap_err().contains("HMAC"));
        let edited = StoredChange {
            text: edited.text,
            ..signed.clone()
        };
        assert!(signature(&edited, None).unwrap_err().contains("SHA-256"));
        assert!(unsigned.check(Some("before"), None).unwrap_err().contains("follow"));
        let renumbered = StoredChange { commit: 2, ..unsigned };
        assert!(signature(&renumbered, None).unwrap_err().contains("commit 1"));
    }
}
