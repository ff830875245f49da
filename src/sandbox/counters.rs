//! What the sandbox counts.
//!
//! - [`Counters`]: shared and counted up while the sandbox runs
//! - [`Counts`]: what they were at one moment

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::memory::Distinct;

/// No answer yet.
const NEVER: u64 = u64::MAX;

/// Counts, counted up while the sandbox runs.
#[derive(Debug)]
pub struct Counters {
    calls: AtomicU64,
    answered: AtomicU64,
    finals: AtomicU64,
    throttled: AtomicU64,
    refused: AtomicU64,
    faults: AtomicU64,
    distinct: Distinct,
    born: Instant,
    /// Nanoseconds since `born`.
    first_answered: AtomicU64,
    /// Nanoseconds since `born`.
    last_answered: AtomicU64,
}

/// What the counters were at one moment. Every call that was dealt with is in exactly one of `answered`, `throttled`,
/// `refused` and `faults`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Calls that arrived.
    pub calls: u64,
    /// Calls that got the service's answer for their transaction, whatever it says.
    pub answered: u64,
    /// Those of `answered` that were final: Success with Passed Y or N.
    pub finals: u64,
    /// Calls over the quota.
    pub throttled: u64,
    /// Calls with something wrong in them: signature, headers, parameters.
    pub refused: u64,
    /// Calls that got a fault as told, `throttle` included.
    pub faults: u64,
    /// Different transactions among `answered`; it stops at about a million.
    pub distinct: u64,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            finals: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            distinct: Distinct::default(),
            born: Instant::now(),
            first_answered: AtomicU64::new(NEVER),
            last_answered: AtomicU64::new(0),
        }
    }

    /// What they are now.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            calls: read(&self.calls),
            answered: read(&self.answered),
            finals: read(&self.finals),
            throttled: read(&self.throttled),
            refused: read(&self.refused),
            faults: read(&self.faults),
            distinct: self.distinct.count(),
        }
    }

    /// When the first call was answered.
    pub fn first_answered(&self) -> Option<Instant> {
        let nanos = self.first_answered.load(Ordering::Relaxed);
        (nanos != NEVER).then(|| self.born + Duration::from_nanos(nanos))
    }

    /// When the last call was answered.
    pub fn last_answered(&self) -> Option<Instant> {
        self.first_answered()?;
        let nanos = self.last_answered.load(Ordering::Relaxed);
        Some(self.born + Duration::from_nanos(nanos))
    }

    /// A call arrived; its number, from 0.
    pub(super) fn call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn answer(&self, transaction_id: &str, is_final: bool) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if is_final {
            self.finals.fetch_add(1, Ordering::Relaxed);
        }
        self.distinct.add(transaction_id);
        let nanos = u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(NEVER - 1);
        self.last_answered.fetch_max(nanos, Ordering::Relaxed);
        self.first_answered.fetch_min(nanos, Ordering::Relaxed);
    }

    pub(super) fn throttle(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }
}
