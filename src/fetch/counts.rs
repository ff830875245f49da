//! What came of the calls so far, for the progress line and the summary.

use std::sync::Arc;
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
    /// Those of the whole run, where these are of one queue.
    of_run: Option<Arc<Counts>>,
    attempts: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    outcomes: [AtomicU64; 7],
    /// What attempts met in place of a good answer.
    pub troubles: Troubles,
    passes: AtomicU64,
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
    /// Passes over what was due: the most that a product has had in a region.
    pub passes: u64,
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
    /// Those of one queue: what they count is counted for the run, too.
    pub(super) fn part_of(of_run: &Arc<Self>) -> Self {
        Self {
            of_run: Some(of_run.clone()),
            ..Self::default()
        }
    }

    /// These and those of the run.
    fn each(&self, count: impl Fn(&Self)) {
        count(self);
        if let Some(of_run) = &self.of_run {
            count(of_run);
        }
    }

    pub(super) fn attempted(&self) {
        self.each(|counts| _ = counts.attempts.fetch_add(1, Ordering::Relaxed));
    }

    pub(super) fn retried(&self) {
        self.each(|counts| _ = counts.retries.fetch_add(1, Ordering::Relaxed));
    }

    pub(super) fn throttled(&self) {
        self.each(|counts| _ = counts.throttled.fetch_add(1, Ordering::Relaxed));
    }

    pub(super) fn settle(&self, outcome: Outcome) {
        self.each(|counts| _ = counts.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed));
    }

    /// A pass begins; the first is 1.
    pub(super) fn pass(&self, number: u32) {
        self.each(|counts| _ = counts.passes.fetch_max(u64::from(number), Ordering::Relaxed));
    }

    /// As many ids that were left are asked for again.
    pub(super) fn ask_again(&self, left: u64) {
        self.each(|counts| _ = counts.outcomes[Outcome::Left as usize].fetch_sub(left, Ordering::Relaxed));
    }

    /// What attempts of the run met in place of a good answer.
    pub(super) fn troubles(&self) -> &Troubles {
        &self.of_run.as_deref().unwrap_or(self).troubles
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
            passes: self.passes.load(Ordering::Relaxed),
        }
    }
}
