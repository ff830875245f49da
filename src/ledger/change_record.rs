//! A change of the archive as it is kept: JSON, one object on one line.
//!
//! - [`ChangeRecord`]: its members; [`ChangeKind`]: which command made it; [`By`]: who
//! - [`StoredChange`]: its bytes and their hash, and what they are held to
//! - [`IntegrityKey`]: signs it; [`Signature`]: whether it is signed

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::ManifestFile;
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

    pub(super) fn text(&self, key: Option<&IntegrityKey>) -> serde_json::Result<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&IntegrityKey>) -> StoredChange {
        let record = ChangeRecord {
            change_version: CHANGE_VERSION,
            archive_id: "a".repeat(32),
            commit: 1,
            previous: None,
            kind: ChangeKind::Close,
            at: Timestamp::UNIX_EPOCH,
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
            details: Map::from_iter([("month".to_owned(), "2026-10".into())]),
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
