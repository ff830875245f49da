//! What the sandbox remembers of earlier calls, within limits.
//!
//! - [`Nonces`]: the nonces of late, so that none is taken twice
//! - [`Distinct`]: how many different transactions were answered

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dice::hash;

/// Parts with a lock each, so that cores seldom wait for each other.
const SHARDS: usize = 16;

/// Nonces of one generation in a shard; two generations are kept, so the sandbox knows the last half million to million.
const NONCES_PER_GENERATION: usize = 32_768;

/// Different transactions that are told apart; further ones are not counted.
const DISTINCT_LIMIT: usize = 1_048_576;

/// The nonces of late. Only their hashes are kept: among a million, a false match is a matter of 1 in 10^13.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    shards: [Mutex<Generations>; SHARDS],
}

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Nonces {
    /// Whether `nonce` is new; it no longer is afterwards.
    pub(super) fn take(&self, nonce: &str) -> bool {
        let hash = hash(nonce);
        let mut shard = lock(&self.shards[shard_of(hash)]);
        if shard.old.contains(&hash) || !shard.young.insert(hash) {
            return false;
        }
        if shard.young.len() >= NONCES_PER_GENERATION {
            shard.old = std::mem::take(&mut shard.young);
        }
        true
    }
}

/// How many different transactions were answered.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    shards: [Mutex<HashSet<u64>>; SHARDS],
    count: AtomicU64,
}

impl Distinct {
    /// `text` was answered.
    pub(super) fn add(&self, text: &str) {
        let hash = hash(text);
        let mut shard = lock(&self.shards[shard_of(hash)]);
        if shard.len() < DISTINCT_LIMIT / SHARDS && shard.insert(hash) {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// So many so far, at most about a million.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

fn shard_of(hash: u64) -> usize {
    usize::from(hash.to_le_bytes()[0]) % SHARDS
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_taken_once_and_memory_is_bounded() {
        let nonces = Nonces::default();
        let calls = 2 * SHARDS * NONCES_PER_GENERATION + 100_000;
        for n in 0..calls {
            assert!(nonces.take(&n.to_string()));
        }
        assert!(!nonces.take(&(calls - 1).to_string()));
        assert!(
            !nonces.take(&(calls - 400_000).to_string()),
            "the last half million are known"
        );
        let kept: usize = nonces
            .shards
            .iter()
            .map(|shard| lock(shard))
            .map(|g| g.young.len() + g.old.len())
            .sum();
        assert!(kept <= 2 * SHARDS * NONCES_PER_GENERATION);
    }

    #[test]
    fn the_same_id_counts_once() {
        let distinct = Distinct::default();
        for id in ["a", "b", "a"] {
            distinct.add(id);
        }
        assert_eq!(distinct.count(), 2);
    }
}
