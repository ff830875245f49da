//! What came of the calls so far, for the progress line and the summary.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Troubles;
use crate::ledger::Settled;

/// How one call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Journalled,
    Postponed,
    Quarantined,
    Lost,
    Abandoned,
    Left,
    Unknown,
}

impl Outcome {
    pub(super) const fn of(settled: &Settled) -> Self {
        match settled {
            Settled::Journalled { .. } => Self::Journalled,
            Settled::Postponed { .. } => Self::Postponed,
            Settled::Left { .. } => Self::Left,
            Settled::Unknown { .. } => Self::Unknown,
            Settled::Quarantined => Self::Quarantined,
            Settled::Lost => Self::Lost,
            Settled::Abandoned => Self::Abandoned,
        }
    }
}

/// Counted while calls are in flight.
#[derive(Debug, Default)]
pub struct Counts {
    attempts: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    outcomes: [AtomicU64; 7],
    /// What attempts met in place of a good answer.
    pub troubles: Troubles,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// HTTP exchanges.
    pub attempts: u64,
    /// Those of them that repeated a failed one.
    pub retries: u64,
    /// Those of them that the vendor throttled.
    pub throttled: u64,
    /// Calls that brought a final reply.
    pub fetched: u64,
    /// Calls whose record is not final at the vendor yet.
    pub postponed: u64,
    /// Calls after which a person is needed.
    pub quarantined: u64,
    /// Calls for records that the vendor had deleted.
    pub lost: u64,
    /// Calls for records that the customer never finished.
    pub abandoned: u64,
    /// Calls that failed or were cut short by a stop.
    pub left: u64,
    /// Calls whose reply has a verdict that is none.
    pub unknown: u64,
}

impl Totals {
    /// Calls that have ended.
    pub const fn calls(&self) -> u64 {
        self.fetched + self.postponed + self.quarantined + self.lost + self.abandoned + self.left + self.unknown
    }

    /// Whether the vendor has told how a record stands. It does so only where it takes the signature's time for right.
    pub const fn told_any(&self) -> bool {
        self.fetched + self.postponed + self.lost + self.abandoned > 0
    }
}

impl Counts {
    pub(super) fn attempted(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn settle(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn totals(&self) -> Totals {
        let outcome = |outcome: Outcome| self.outcomes[outcome as usize].load(Ordering::Relaxed);
        Totals {
            attempts: self.attempts.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            throttled: self.throttled.load(Ordering::Relaxed),
            fetched: outcome(Outcome::Journalled),
            postponed: outcome(Outcome::Postponed),
            quarantined: outcome(Outcome::Quarantined),
            lost: outcome(Outcome::Lost),
            abandoned: outcome(Outcome::Abandoned),
            left: outcome(Outcome::Left),
            unknown: outcome(Outcome::Unknown),
        }
    }
}
