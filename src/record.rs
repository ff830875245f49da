//! The domain's types: what is read from a pending source, asked of the vendor and archived.
//!
//! - [`TransactionId`], [`MerchantBizId`], [`ProductCode`], [`Region`]: text that was checked once, at the edge
//! - [`InvalidField`]: why such a text was refused
//! - [`State`]: where a transaction stands
//! - [`Pending`]: one good row of a pending source
//! - [`Due`]: a transaction that the plan wants asked for
//! - [`Record`]: a reply, normalized; [`FaceInfo`], [`DuplicateFace`], [`FaceImage`], [`ParseStatus`] are its parts
//! - [`Verification`]: a final reply and whose it is, on its way into the archive
//! - [`RETENTION`], [`expires_at`], [`LAST_CHANCE`]: the vendor's 30 days

use std::borrow::Cow;
use std::fmt;

use arrayvec::ArrayString;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// How long the vendor keeps a result before it deletes it (vendor's CheckResult page, 2026-04-01).
pub const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A record that is not completed is asked for once more in so long a time before its deadline: a nightly run comes in it, even
/// one that starts late.
pub const LAST_CHANCE: SignedDuration = SignedDuration::from_hours(36);

/// When the vendor deletes the result of a verification made at `verified_at`.
pub fn expires_at(verified_at: Timestamp) -> Timestamp {
    verified_at.saturating_add(RETENTION).unwrap_or(Timestamp::MAX)
}

/// A field that can't be what it is meant to be; the sentence names the field and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// Nothing but blanks.
    #[error("{field} is empty")]
    Empty {
        /// The field's name.
        field: &'static str,
    },
    /// Longer than the field allows.
    #[error("{field} is {bytes} bytes long, at most {limit} are allowed")]
    TooLong {
        /// The field's name.
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest that is allowed.
        limit: usize,
    },
    /// Holds a character that the field does not allow.
    #[error("{field} holds {found:?}; only {allowed} are allowed")]
    Character {
        /// The field's name.
        field: &'static str,
        /// The first such character.
        found: char,
        /// What is allowed, in words.
        allowed: &'static str,
    },
}

/// A text that is held in place, as there are millions of them: an allocation for each, given back by another thread, took longer than
/// to check it.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $field:literal, $limit:literal, $allowed:literal, $test:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ArrayString<$limit>);

        impl $name {
            /// Checks `text` after trimming blanks around it.
            pub fn parse(text: &str) -> Result<Self, InvalidField> {
                Self::check(text).map(Self::of_checked)
            }

            fn of_checked(text: &str) -> Self {
                Self(ArrayString::from(text).expect("what was checked is no longer than that"))
            }

            /// The same without keeping it: gives `text` without the blanks.
            pub fn check(text: &str) -> Result<&str, InvalidField> {
                let text = text.trim();
                if text.is_empty() {
                    return Err(InvalidField::Empty { field: $field });
                }
                if text.len() > $limit {
                    return Err(InvalidField::TooLong { field: $field, bytes: text.len(), limit: $limit });
                }
                let test: fn(u8) -> bool = $test;
                // All that is allowed is ASCII, and bytes are looked at faster than characters: many at once where none decides alone.
                if text.bytes().fold(true, |allowed, byte| allowed & test(byte)) {
                    return Ok(text);
                }
                let refused = |c: &char| u8::try_from(*c).map_or(true, |byte| !test(byte));
                let found = text.chars().find(refused).unwrap_or_default();
                Err(InvalidField::Character { field: $field, found, allowed: $allowed })
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        // Checked again: what another process says is believed no more than a source.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

checked_text!(
    /// Names one verification at the vendor. Its forms differ by product, so it is checked loosely.
    TransactionId, "transaction_id", 64, "ASCII letters, digits, '-' and '_'",
    |c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'
);
checked_text!(
    /// The company's own name for a verification. The vendor wants up to 32 letters and digits; as with ids, it
    /// has the last word.
    MerchantBizId, "merchant_biz_id", 64, "ASCII letters, digits, '-' and '_'",
    |c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'
);
checked_text!(
    /// The vendor's product, such as `FACE_LIVENESS`: it decides the quota, the price and what a sub code means.
    ProductCode, "product_code", 64, "ASCII letters, digits and '_'",
    |c| c.is_ascii_alphanumeric() || c == b'_'
);
checked_text!(
    /// The vendor's region, such as `ap-southeast-1`: a transaction must be asked for where it was made.
    Region, "region", 32, "lower-case ASCII letters, digits and '-'",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
);

impl MerchantBizId {
    /// The stable id of a transaction that came without one: 32 hex digits of the SHA-256 of its id.
    pub fn derive(transaction_id: &TransactionId) -> Self {
        let hex = sha256_hex(transaction_id.as_str().as_bytes());
        Self::of_checked(&hex[..32])
    }
}

/// The SHA-256 of `bytes` in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `bytes` in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Where a transaction stands. Every id that ever came in is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not final yet.
    Pending,
    /// The vendor's final reply is committed to the ledger.
    Journalled,
    /// The record is in a published file of the archive.
    Archived,
    /// Needs a person.
    Quarantined,
    /// The vendor deleted it before we had it.
    Lost,
    /// The customer never finished, and the 30 days are over: nothing to archive, nothing billed, no loss.
    Abandoned,
}

impl State {
    /// Every state, in the order of the reports.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Journalled,
        Self::Archived,
        Self::Quarantined,
        Self::Lost,
        Self::Abandoned,
    ];

    /// The word that the ledger and the reports use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Journalled => "journalled",
            Self::Archived => "archived",
            Self::Quarantined => "quarantined",
            Self::Lost => "lost",
            Self::Abandoned => "abandoned",
        }
    }

    /// The state of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// One good row of a pending source. What the row did not say is `None`; defaults are filled in by intake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The company's own id.
    pub merchant_biz_id: Option<MerchantBizId>,
    /// The product.
    pub product_code: Option<ProductCode>,
    /// The region it was made in.
    pub region: Option<Region>,
    /// When it was made.
    pub verified_at: Option<Timestamp>,
}

/// A transaction that the plan wants asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its number in the ledger.
    pub number: i64,
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The company's own id, where one was given.
    pub merchant_biz_id: Option<MerchantBizId>,
    /// The product.
    pub product_code: ProductCode,
    /// The region it was made in.
    pub region: Region,
    /// When it was made, where that is known.
    pub verified_at: Option<Timestamp>,
    /// When idvault first read of it.
    pub first_seen_at: Timestamp,
    /// Earlier runs in which the vendor said that it is not completed.
    pub not_completed_runs: u32,
    /// Earlier runs in which the vendor answered this id with an error.
    pub failed_runs: u32,
}

impl Due {
    /// The company's own id, derived where none was given.
    pub fn merchant_biz_id_or_derived(&self) -> MerchantBizId {
        let given = self.merchant_biz_id.clone();
        given.unwrap_or_else(|| MerchantBizId::derive(&self.transaction_id))
    }

    /// When the result is gone at the latest: 30 days after it was made, or after it was first seen where its age
    /// is unknown.
    pub fn deadline(&self) -> Timestamp {
        expires_at(self.verified_at.unwrap_or(self.first_seen_at))
    }
}

/// A final reply, normalized.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The vendor's id of the exchange.
    pub request_id: Option<String>,
    /// The verdict.
    pub passed: bool,
    /// Why; its meaning belongs to the product. Empty where the vendor left it out.
    pub sub_code: String,
    /// What `ExtFaceInfo` says.
    pub face: FaceInfo,
    /// `ExtFaceInfo` as it came, without the images.
    pub ext_face_info: Option<String>,
    /// `EkycResult` as it came.
    pub ekyc_result: Option<String>,
    /// `ExtBasicInfo` as it came.
    pub ext_basic_info: Option<String>,
    /// `ExtIdInfo` as it came.
    pub ext_id_info: Option<String>,
    /// `ExtInfo` as it came.
    pub ext_info: Option<String>,
    /// `ExtRiskInfo` as it came.
    pub ext_risk_info: Option<String>,
    /// `ExtSourceInfo` as it came.
    pub ext_source_info: Option<String>,
    /// Face images in the reply: `faceImg` first, then those of `extraFaceImg`.
    pub images: Vec<FaceImage>,
    /// How much of it could be read.
    pub parse_status: ParseStatus,
}

impl Record {
    /// What is left of a final reply that can't be read any more: the verdict, as it was read when the reply came.
    pub fn unparsed(passed: bool, sub_code: String) -> Self {
        Self {
            request_id: None,
            passed,
            sub_code,
            face: FaceInfo::default(),
            ext_face_info: None,
            ekyc_result: None,
            ext_basic_info: None,
            ext_id_info: None,
            ext_info: None,
            ext_risk_info: None,
            ext_source_info: None,
            images: Vec::new(),
            parse_status: ParseStatus::Unparsed,
        }
    }

    /// Every text that is kept of the reply.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let face = &self.face;
        let duplicates = face.duplicate_faces.iter().flatten();
        let duplicates = duplicates.flat_map(|face| [&face.face_group_code, &face.face_id, &face.merchant_user_id]);
        let texts = [
            &self.request_id,
            &self.ext_face_info,
            &self.ekyc_result,
            &self.ext_basic_info,
            &self.ext_id_info,
            &self.ext_info,
            &self.ext_risk_info,
            &self.ext_source_info,
            &face.gender,
            &face.registration_id,
            &face.device_token,
            &face.video_url,
        ];
        let texts = texts.into_iter().chain(duplicates).flatten();
        texts.chain([&self.sub_code]).map(String::as_str)
    }
}

/// A final verdict on its way from the journal to the archive. The journal knows whose it is; `record` is what the reply
/// says.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification<'a> {
    /// The transaction.
    pub transaction_id: Cow<'a, str>,
    /// The company's own id, derived where none was given.
    pub merchant_biz_id: Cow<'a, str>,
    /// The product.
    pub product_code: Cow<'a, str>,
    /// The region it was made in.
    pub region: Cow<'a, str>,
    /// When it was made, where that is known.
    pub verified_at: Option<Timestamp>,
    /// The day it is billed on, where its time is known. The journal does not say it.
    pub billing_day: Option<Date>,
    /// When the vendor's reply came.
    pub fetched_at: Timestamp,
    /// The run that fetched it.
    pub run_id: Cow<'a, str>,
    /// The reply as it came.
    pub body: Cow<'a, [u8]>,
    /// Whether the vendor bills it; `None` where the table of sub codes doesn't know.
    pub billed: Option<bool>,
    /// The reply, normalized. As it comes from the journal, only the verdict.
    pub record: Record,
}

/// The members of `ExtFaceInfo`; `None` is missing, null or unreadable ([`ParseStatus`] tells which).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaceInfo {
    /// `faceAttack`: a liveness attack was detected.
    pub attack: Option<bool>,
    /// `faceRegistrationResult`: the face was registered.
    pub registered: Option<bool>,
    /// `faceAttackScore`, 0 to 100.
    pub attack_score: Option<f64>,
    /// `guardRiskScore`, 0 to 100.
    pub guard_risk_score: Option<f64>,
    /// `faceComparisonScore`, 0 to 100.
    pub comparison_score: Option<f64>,
    /// `faceAge` in years.
    pub age: Option<i16>,
    /// `faceGender`: `M` or `F`.
    pub gender: Option<String>,
    /// `faceRegistrationID`.
    pub registration_id: Option<String>,
    /// `deviceToken`.
    pub device_token: Option<String>,
    /// `docVideoUrl`: valid for 15 minutes only.
    pub video_url: Option<String>,
    /// `duplicateFace`; `None` where the vendor said nothing of it.
    pub duplicate_faces: Option<Vec<DuplicateFace>>,
}

/// A similar face in the company's face database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DuplicateFace {
    /// `faceGroupCode`.
    pub face_group_code: Option<String>,
    /// `faceId`.
    pub face_id: Option<String>,
    /// `merchantUserId`.
    pub merchant_user_id: Option<String>,
    /// `score`, 0 to 100.
    pub score: Option<f64>,
}

/// A face, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaceImage {
    /// The image file's bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256 in lower-case hex.
    pub sha256: String,
    /// What the bytes look like: `image/jpeg`, `image/png`, `image/webp`, else `application/octet-stream`.
    pub media_type: &'static str,
}

impl FaceImage {
    /// An image of these bytes.
    pub fn new(bytes: Vec<u8>, media_type: &'static str) -> Self {
        let sha256 = sha256_hex(&bytes);
        Self {
            bytes,
            sha256,
            media_type,
        }
    }
}

/// How much of a reply could be read. Ordered from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParseStatus {
    /// All of it.
    Ok,
    /// A member could not be read; its column is null, the raw string is kept.
    Partial,
    /// `ExtFaceInfo` is not JSON; only the raw string is kept.
    Unparsed,
}

impl ParseStatus {
    /// The word in the archive's `parse_status` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Unparsed => "unparsed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_loosely_but_never_hold_what_a_path_or_sql_could_use() {
        assert_eq!(TransactionId::parse("  hks_A-9 ").unwrap().as_str(), "hks_A-9");
        for bad in ["", "  ", "../x", "a b", "x'; DROP TABLE", "a\0b", "é", "a/b"] {
            assert!(TransactionId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(TransactionId::parse(&"a".repeat(64)).is_ok());
        let error = TransactionId::parse(&"a".repeat(65)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "transaction_id is 65 bytes long, at most 64 are allowed"
        );
    }

    #[test]
    fn a_derived_merchant_biz_id_is_stable_and_fits_the_vendor() {
        let id = TransactionId::parse("hks1").unwrap();
        let derived = MerchantBizId::derive(&id);
        assert_eq!(derived, MerchantBizId::derive(&id));
        assert_eq!(derived.as_str().len(), 32);
        assert!(derived.as_str().chars().all(|c| c.is_ascii_alphanumeric()));
    }

    #[test]
    fn every_state_has_a_word_of_its_own() {
        for state in State::ALL {
            assert_eq!(State::from_word(state.as_str()), Some(state));
        }
        assert_eq!(State::from_word("done"), None);
    }
}
