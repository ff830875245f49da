//! When a failed attempt is made again: policy and backoff. Nothing here sleeps, and the random numbers are handed in.
//!
//! - [`RetryPolicy`]: attempts a call and the wait between them
//! - [`RetryBudget`]: retries a run, as a share of its attempts

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::breaker;

/// Attempts for one id in one run, the first included.
pub const ATTEMPTS_PER_CALL: u32 = 4;

/// The wait before the first retry, before jitter; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// The longest wait between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(20);

/// Retries that a run may make whatever its size: as many as can have failed before an outage is known to be one.
const FREE_RETRIES: i64 = breaker::ATTEMPTS_IN_A_ROW as i64;

/// First attempts that earn one retry, so that retries stay under a fifth of all attempts from the 241st call on.
const ATTEMPTS_PER_RETRY: i64 = 6;

/// How often and after which wait an attempt is made again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Attempts a call, the first included.
    pub attempts_per_call: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_per_call: ATTEMPTS_PER_CALL,
        }
    }
}

impl RetryPolicy {
    /// The wait after `failed` failed attempts: exponential with half of it jittered. `jitter` is from 0 to 1.
    pub fn backoff(&self, failed: u32, jitter: f64) -> Duration {
        let doublings = failed.saturating_sub(1).min(16);
        let whole = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
        whole.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

/// Retries that are left to the run. An outage must not double the calls.
#[derive(Debug)]
pub struct RetryBudget {
    /// In units of one first attempt.
    left: AtomicI64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            left: AtomicI64::new(FREE_RETRIES * ATTEMPTS_PER_RETRY),
        }
    }
}

impl RetryBudget {
    /// A first attempt was made.
    pub fn earn(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one retry; false where none is left.
    pub fn take(&self) -> bool {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left >= ATTEMPTS_PER_RETRY).then(|| left - ATTEMPTS_PER_RETRY)
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_limit_and_is_half_jittered() {
        let policy = RetryPolicy::default();
        let waits: Vec<u128> = [1, 2, 3, 9]
            .map(|failed| policy.backoff(failed, 1.0).as_millis())
            .to_vec();
        assert_eq!(waits, [500, 1_000, 2_000, 20_000]);
        assert_eq!(policy.backoff(1, 0.0).as_millis(), 250);
        assert_eq!(policy.backoff(u32::MAX, 1.0), LONGEST_BACKOFF);
    }

    #[test]
    fn the_budget_bounds_the_retries_of_a_run() {
        let budget = RetryBudget::default();
        let mut retries = (0..1_000).filter(|_| budget.take()).count();
        assert_eq!(retries, 20);
        for calls in 1..10_000 {
            budget.earn();
            retries += usize::from(budget.take());
            assert!(
                calls <= 240 || retries * 5 < calls + retries,
                "{retries} retries of {calls} calls"
            );
        }
        assert_eq!(retries, 20 + 9_999 / 6);
    }
}
