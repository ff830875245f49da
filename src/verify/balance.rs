//! Whether ledger and archive hold the same, without keeping either: what is to be there is added up, what is there is
//! taken off, and nothing may be left.
//!
//! Each item is hashed with SipHash-128 under a key of this one run. Sums know no order, so files are read as they come and
//! the ledger from its first row to its last. Nobody knows the key beforehand, or sees a hash, so two different sets have the
//! same sum by chance only: with one in 2^128, or 2^k times as often where a row is in the archive 2^k times too often.
//!
//! - [`Balance`]: the sums, by shards of the ids; [`Key`]: of its hashes
//! - [`Item`]: what is added or taken; [`Hashes`]: makes the hash of one; [`Facts`]: what both sides know of a verification
//! - [`Suspects`]: the ids of the shards that don't come out even

use std::hash::{BuildHasher as _, RandomState};

use siphasher::sip128::SipHasher24;

use crate::archive::StoredRow;
use crate::ledger::{IndexEntry, KnownRow};

/// Ids share a sum with one in so many: few enough to be kept by each reader, enough that one difference leaves few to be
/// looked at one by one.
const SHARDS: usize = 1024;

/// What tells the hashes of different things apart.
const ID: u8 = 0;
const VERIFICATION: u8 = 1;
const FACE: u8 = 2;
const ENTRY: u8 = 3;

/// The key of the hashes.
#[derive(Clone, Copy)]
pub(super) struct Key([u8; 16]);

impl Key {
    /// One that nobody knows: std's own random keys, hashed, as std does not give them out.
    pub(super) fn random() -> Self {
        let halves = [RandomState::new(), RandomState::new()].map(|state| state.hash_one(0).to_le_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(halves.as_flattened());
        Self(key)
    }
}

/// What both sides know of a verification. Times are microseconds since 1970 UTC; what only a damaged ledger lacks is
/// optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    pub(super) transaction_id: &'a str,
    pub(super) merchant_biz_id: &'a str,
    pub(super) product_code: &'a str,
    pub(super) region: &'a str,
    pub(super) verified_at: Option<i64>,
    pub(super) fetched_at: Option<i64>,
    pub(super) passed: Option<bool>,
    pub(super) sub_code: Option<&'a str>,
}

impl<'a> From<StoredRow<'a>> for Facts<'a> {
    fn from(row: StoredRow<'a>) -> Self {
        Self {
            transaction_id: row.transaction_id,
            merchant_biz_id: row.merchant_biz_id,
            product_code: row.product_code,
            region: row.region,
            verified_at: row.verified_at,
            fetched_at: Some(row.fetched_at),
            passed: Some(row.passed),
            sub_code: Some(row.sub_code),
        }
    }
}

impl<'a> From<&'a KnownRow<'_>> for Facts<'a> {
    fn from(row: &'a KnownRow<'_>) -> Self {
        Self {
            transaction_id: row.transaction_id,
            merchant_biz_id: &row.merchant_biz_id,
            product_code: row.product_code,
            region: row.region,
            verified_at: row.verified_at,
            fetched_at: row.last_call_at,
            passed: row.passed,
            sub_code: row.sub_code,
        }
    }
}

/// What the other side must have, too.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item<'a> {
    /// A verification: the ledger's, and the archive's.
    Verification(Facts<'a>),
    /// The first face of a verification: as its row says, and as the file of faces has it.
    Face { transaction_id: &'a str, sha256: &'a str },
    /// A row of the ledger, and the entry of an index.
    Entry(IndexEntry<'a>),
}

/// Makes the hashes.
pub(super) struct Hashes {
    hasher: SipHasher24,
    encoded: Vec<u8>,
}

impl Hashes {
    pub(super) fn new(key: Key) -> Self {
        Self {
            hasher: SipHasher24::new_with_key(&key.0),
            encoded: Vec::new(),
        }
    }

    /// That of an item.
    pub(super) fn of(&mut self, item: Item<'_>) -> u128 {
        match item {
            Item::Verification(facts) => {
                self.begin(VERIFICATION);
                for text in [
                    facts.transaction_id,
                    facts.merchant_biz_id,
                    facts.product_code,
                    facts.region,
                ] {
                    self.text(text);
                }
                for number in [facts.verified_at, facts.fetched_at, facts.passed.map(i64::from)] {
                    self.optional(number, Self::number);
                }
                self.optional(facts.sub_code, Self::text);
            }
            Item::Face { transaction_id, sha256 } => {
                self.begin(FACE);
                self.text(transaction_id);
                self.text(sha256);
            }
            Item::Entry(entry) => {
                self.begin(ENTRY);
                self.number(entry.index as i64);
                self.text(entry.text);
                for number in entry.numbers {
                    self.number(number);
                }
                self.optional(entry.last_call_code, Self::text);
                self.number(entry.age_known);
            }
        }
        self.hasher.hash(&self.encoded).as_u128()
    }

    fn shard_of(&mut self, transaction_id: &str) -> usize {
        self.begin(ID);
        self.text(transaction_id);
        let [low, high, ..] = self.hasher.hash(&self.encoded).h1.to_le_bytes();
        usize::from(u16::from_le_bytes([low, high])) % SHARDS
    }

    fn begin(&mut self, kind: u8) {
        self.encoded.clear();
        self.encoded.push(kind);
    }

    /// With its length, so that no other cut of the same letters is encoded alike.
    fn text(&mut self, text: &str) {
        self.encoded.extend((text.len() as u64).to_le_bytes());
        self.encoded.extend(text.as_bytes());
    }

    fn number(&mut self, number: i64) {
        self.encoded.extend(number.to_le_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, encode: impl FnOnce(&mut Self, T)) {
        self.encoded.push(u8::from(value.is_some()));
        if let Some(value) = value {
            encode(self, value);
        }
    }
}

/// The sums. Those of several readers are merged.
pub(super) struct Balance {
    hashes: Hashes,
    sums: Vec<u128>,
}

impl Balance {
    pub(super) fn new(key: Key) -> Self {
        Self {
            hashes: Hashes::new(key),
            sums: vec![0; SHARDS],
        }
    }

    /// Takes in what is to be there of an id.
    pub(super) fn add(&mut self, transaction_id: &str, item: Item<'_>) {
        let hash = self.hashes.of(item);
        let sum = self.sum_of(transaction_id);
        *sum = sum.wrapping_add(hash);
    }

    /// Takes off what is there of an id.
    pub(super) fn take(&mut self, transaction_id: &str, item: Item<'_>) {
        let hash = self.hashes.of(item);
        let sum = self.sum_of(transaction_id);
        *sum = sum.wrapping_sub(hash);
    }

    /// Takes in what another reader has.
    pub(super) fn merge(&mut self, other: &Self) {
        for (sum, more) in self.sums.iter_mut().zip(&other.sums) {
            *sum = sum.wrapping_add(*more);
        }
    }

    /// The ids among which something differs, and all that share a shard with them; `None` where nothing does.
    pub(super) fn suspects(self) -> Option<Suspects> {
        self.sums.iter().any(|sum| *sum != 0).then_some(Suspects(self))
    }

    fn sum_of(&mut self, transaction_id: &str) -> &mut u128 {
        let shard = self.hashes.shard_of(transaction_id);
        &mut self.sums[shard]
    }
}

/// The ids of the shards that don't come out even.
pub(super) struct Suspects(Balance);

impl Suspects {
    pub(super) fn contain(&mut self, transaction_id: &str) -> bool {
        *self.0.sum_of(transaction_id) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([7; 16]);

    fn facts(transaction_id: &str) -> Facts<'_> {
        Facts {
            transaction_id,
            merchant_biz_id: "order1",
            product_code: "FACE_LIVENESS",
            region: "ap-southeast-1",
            verified_at: Some(1),
            fetched_at: Some(2),
            passed: Some(true),
            sub_code: Some("200"),
        }
    }

    fn verification(transaction_id: &str) -> (&str, Item<'_>) {
        (transaction_id, Item::Verification(facts(transaction_id)))
    }

    fn face<'a>(transaction_id: &'a str, sha256: &'a str) -> (&'a str, Item<'a>) {
        (transaction_id, Item::Face { transaction_id, sha256 })
    }

    /// Whether what is added and what is taken come out even.
    fn even(added: &[(&str, Item<'_>)], taken: &[(&str, Item<'_>)]) -> bool {
        let (mut ledger, mut archive) = (Balance::new(KEY), Balance::new(KEY));
        for (id, item) in added {
            ledger.add(id, *item);
        }
        for (id, item) in taken {
            archive.take(id, *item);
        }
        ledger.merge(&archive);
        ledger.suspects().is_none()
    }

    #[test]
    fn the_same_in_another_order_is_even_and_nothing_else_is() {
        let [one, two] = ["t1", "t2"].map(verification);
        assert!(even(&[one, two], &[two, one]));
        assert!(!even(&[one, two], &[one]));
        assert!(!even(&[one], &[one, two]));
        assert!(!even(&[one, two], &[one, one]));
        assert!(!even(&[one], &[one, one]));
        assert!(!even(&[one], &[face("t1", "t1")]));
        assert!(even(&[face("t1", "a"), one], &[one, face("t1", "a")]));
    }

    #[test]
    fn every_fact_counts_and_what_is_none_is_no_value() {
        let mut changed = [facts("t1"); 11];
        changed[0].transaction_id = "t2";
        changed[1].merchant_biz_id = "order2";
        changed[2].product_code = "eKYC";
        changed[3].region = "eu-central-1";
        changed[4].verified_at = Some(2);
        changed[5].verified_at = None;
        changed[6].fetched_at = None;
        changed[7].passed = Some(false);
        changed[8].passed = None;
        changed[9].sub_code = None;
        // The same letters, cut elsewhere.
        (changed[10].product_code, changed[10].region) = ("FACE_LIVENESSa", "p-southeast-1");
        for other in changed {
            let mut hashes = Hashes::new(KEY);
            let [one, other_one] = [facts("t1"), other].map(|facts| hashes.of(Item::Verification(facts)));
            assert_ne!(one, other_one, "{other:?}");
        }
    }

    #[test]
    fn of_many_ids_a_difference_leaves_few_suspects_and_its_own_among_them() {
        let ids: Vec<String> = (0..20_000).map(|number| format!("t{number}")).collect();
        let mut balance = Balance::new(KEY);
        for id in &ids {
            balance.add(id, Item::Verification(facts(id)));
        }
        for id in ids.iter().filter(|id| *id != "t777") {
            balance.take(id, Item::Verification(facts(id)));
        }
        let mut suspects = balance.suspects().unwrap();
        assert!(suspects.contain("t777"));
        let count = ids.iter().filter(|id| suspects.contain(id)).count();
        assert!(count < 100, "{count}");
    }

    #[test]
    fn each_run_has_a_key_of_its_own() {
        assert_ne!(Key::random().0, Key::random().0);
    }
}
