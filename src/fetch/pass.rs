//! Passes over what is due: what one pass leaves gets another one, after a pause that grows.
//!
//! A queue ends when nothing is left, or when [`FRUITLESS_PASSES`] in a row brought nothing although the vendor answered.
//!
//! - [`Pass`]: what one pass has brought so far; [`Left`]: whether an id that it left is asked for again
//! - [`Passes`]: how many brought nothing, and the ids that are not asked for again
//! - [`Health`]: whether most attempts fail

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counts::Outcome;
use crate::retry::RetryBudget;

/// The pauses between the passes; further ones wait as long as the last.
pub const PAUSES: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(5),
];

/// So many passes in a row in which the vendor answered and that brought nothing new are enough.
pub(super) const FRUITLESS_PASSES: u32 = 3;

/// Ids that are known not to be asked for again in this run: at 8 bytes each less than 2 MiB. Where there are more, there is no further
/// pass.
const MOST_EXCLUDED: usize = 100_000;

/// The share of the set rate that is used in a further pass while most attempts fail.
pub(super) const SICK_SHARE: f64 = 0.25;

/// One pass over what is due.
#[derive(Debug)]
pub(super) struct Pass {
    /// Counted from 1.
    pub(super) number: u32,
    /// Retries that are left to it: a sick vendor is not flooded.
    pub(super) budget: RetryBudget,
    answered: AtomicBool,
    done: AtomicU64,
    left: AtomicU64,
}

/// Whether an id that was left is asked for again in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// In the next pass.
    Again,
    /// In the next run: another attempt now would end in the same way.
    NextRun,
}

impl Pass {
    pub(super) fn new(number: u32) -> Self {
        Self {
            number,
            budget: RetryBudget::default(),
            answered: AtomicBool::new(false),
            done: AtomicU64::new(0),
            left: AtomicU64::new(0),
        }
    }

    /// The vendor has said something, whatever it was.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// How a call ended.
    pub(super) fn ended(&self, outcome: Outcome, left: Left) {
        match (outcome, left) {
            (Outcome::Left, Left::Again) => _ = self.left.fetch_add(1, Ordering::Relaxed),
            (Outcome::Left, Left::NextRun) => {}
            _ => _ = self.done.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Ids that another pass may bring.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Whether the vendor has said anything in it.
    pub(super) fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether an id that fails in it was asked for as often as a run does at least.
    pub(super) const fn is_last_chance(&self, only_one_pass: bool) -> bool {
        only_one_pass || self.number >= FRUITLESS_PASSES
    }

    fn brought_something(&self) -> bool {
        self.done.load(Ordering::Relaxed) > 0
    }
}

/// What the passes of a queue have brought.
#[derive(Debug, Default)]
pub(super) struct Passes {
    fruitless: u32,
    excluded: Mutex<HashSet<i64>>,
}

impl Passes {
    /// A pass has ended. False where further ones are not worth their calls.
    pub(super) fn goes_on_after(&mut self, pass: &Pass) -> bool {
        if pass.brought_something() {
            self.fruitless = 0;
        } else if pass.was_answered() {
            self.fruitless += 1;
        }
        self.fruitless < FRUITLESS_PASSES && self.excluded().len() < MOST_EXCLUDED
    }

    /// An id is not asked for again in this run.
    pub(super) fn exclude(&self, number: i64) {
        let mut excluded = self.excluded();
        if excluded.len() < MOST_EXCLUDED {
            excluded.insert(number);
        }
    }

    /// Whether an id is not to be asked for again in this run.
    pub(super) fn excludes(&self, number: i64) -> bool {
        self.excluded().contains(&number)
    }

    fn excluded(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.excluded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the last attempts ended.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Attempts>);

#[derive(Debug, Default)]
struct Attempts {
    /// The last attempts, the latest in the lowest bit; 1: it failed.
    failed: u64,
    seen: u32,
}

impl Health {
    /// How many attempts are looked at.
    const LAST: u32 = 32;

    /// An attempt ended. True while most of the last ones failed.
    pub(super) fn tell(&self, failed: bool) -> bool {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.failed = (attempts.failed << 1 | u64::from(failed)) & ((1 << Self::LAST) - 1);
        attempts.seen = (attempts.seen + 1).min(Self::LAST);
        attempts.failed.count_ones() * 2 > attempts.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(of: &[(bool, Outcome)]) -> Vec<bool> {
        let mut passes = Passes::default();
        let ended = (1..).zip(of).map(|(number, (answered, outcome))| {
            let pass = Pass::new(number);
            if *answered {
                pass.answered();
            }
            pass.ended(*outcome, Left::Again);
            passes.goes_on_after(&pass)
        });
        ended.collect()
    }

    #[test]
    fn three_passes_in_a_row_that_were_answered_and_brought_nothing_are_enough() {
        use Outcome::{Journalled, Left, Postponed};
        assert_eq!(passes(&[(true, Left); 3]), [true, true, false]);
        assert_eq!(passes(&[(false, Left); 9]), [true; 9], "nobody answered");
        let with_news = [
            (true, Left),
            (true, Left),
            (true, Journalled),
            (true, Left),
            (true, Left),
        ];
        assert_eq!(passes(&with_news), [true; 5]);
        assert_eq!(
            passes(&[(true, Left), (false, Left), (true, Left), (true, Left)]),
            [true, true, true, false]
        );
        assert_eq!(passes(&[(true, Left), (true, Left), (true, Postponed)]), [true; 3]);
    }

    #[test]
    fn the_vendor_is_sick_while_most_of_the_last_attempts_fail() {
        let health = Health::default();
        assert!(health.tell(true));
        assert!(!health.tell(false));
        let after_failures: Vec<bool> = (0..40).map(|_| health.tell(true)).collect();
        assert!(after_failures[39]);
        let after_answers: Vec<bool> = (0..17).map(|_| health.tell(false)).collect();
        assert!(
            after_answers[14] && !after_answers[15],
            "sixteen of the last thirty-two"
        );
    }
}
