//! The vendor's window: no second, wherever it begins, may get more than the set rate.
//!
//! - [`Window`]: the attempts of the last second, and how far the next one must keep from them
//! - [`Lateness`]: how late timers fired lately

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What the vendor counts calls over.
const SECOND: Duration = Duration::from_secs(1);

/// How much more than a second must lie between an attempt and the one that takes its place in the window: so much longer
/// may the first be under way. A busy machine holds a call up for 3 to 4 ms (BENCHMARKS.md).
pub(super) const SHORTEST_GUARD: Duration = Duration::from_micros(6_500);

/// Where timers fire late the machine is busy, and attempts are held up behind the gate as well: the guard grows up to
/// this.
const LONGEST_GUARD: Duration = Duration::from_millis(20);

/// So long it is that at first: the first attempts set up their connections, and nothing is known of the machine.
const FIRST: Duration = Duration::from_secs(2);

/// Lateness is remembered for one to two of these.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The attempts of the last second.
#[derive(Debug)]
pub(super) struct Window {
    /// Calls in a second.
    limit: usize,
    start: Instant,
    /// When the last of them passed, at most `limit`.
    passed: VecDeque<Instant>,
    lateness: Lateness,
}

impl Window {
    /// A rate that is no whole number is rounded up: even spacing keeps it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a rate is positive"
    )]
    pub(super) fn new(calls_per_second: f64, now: Instant) -> Self {
        Self {
            limit: calls_per_second.ceil().max(1.0) as usize,
            start: now,
            passed: VecDeque::new(),
            lateness: Lateness::new(now),
        }
    }

    /// `Err`: how long it takes until there is room for one more.
    pub(super) fn room(&mut self, now: Instant) -> Result<(), Duration> {
        let guarded = SECOND + self.guard(now);
        while self.passed.front().is_some_and(|oldest| *oldest + guarded <= now) {
            self.passed.pop_front();
        }
        match self.passed.front() {
            Some(oldest) if self.passed.len() >= self.limit => Err(*oldest + guarded - now),
            _ => Ok(()),
        }
    }

    /// An attempt passes.
    pub(super) fn pass(&mut self, now: Instant) {
        self.passed.push_back(now);
    }

    /// A timer fired so late.
    pub(super) fn woke_late(&mut self, late: Duration, now: Instant) {
        self.lateness.add(late, now);
    }

    fn guard(&self, now: Instant) -> Duration {
        let is_first = now.duration_since(self.start) < FIRST;
        let shortest = if is_first { LONGEST_GUARD } else { SHORTEST_GUARD };
        self.lateness.worst().clamp(shortest, LONGEST_GUARD)
    }
}

/// The worst lateness of the last few seconds.
#[derive(Debug)]
struct Lateness {
    since: Instant,
    worst: Duration,
    worst_before: Duration,
}

impl Lateness {
    const fn new(now: Instant) -> Self {
        Self {
            since: now,
            worst: Duration::ZERO,
            worst_before: Duration::ZERO,
        }
    }

    fn add(&mut self, late: Duration, now: Instant) {
        if now.duration_since(self.since) >= REMEMBERED {
            self.since = now;
            self.worst_before = std::mem::take(&mut self.worst);
        }
        self.worst = self.worst.max(late);
    }

    fn worst(&self) -> Duration {
        self.worst.max(self.worst_before)
    }
}
