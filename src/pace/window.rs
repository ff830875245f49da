//! The vendor's window: no second, wherever it begins, may get more than the set rate, nor more than the vendor grants, as
//! far as that is known.
//!
//! - [`Window`]: the attempts of the last second, and those whose requests are not sent yet

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What the vendor counts calls over.
const SECOND: Duration = Duration::from_secs(1);

/// How much more than a second must lie between a request and the one that takes its place in the window: by so much may
/// its way to the vendor be the longer one.
pub(super) const GUARD: Duration = Duration::from_millis(5);

/// For how long it is known when a request was sent: a second, and as long as most answers take.
const KNOWN: Duration = Duration::from_secs(3);

/// The attempts of the last second. When a request is sent is not known until it is: its connection may have to be set up
/// first. Till then it may reach the vendor at any time, and holds its place.
#[derive(Debug)]
pub(super) struct Window {
    /// Calls in a second, by the set rate.
    limit: usize,
    /// The same, by what the vendor grants.
    granted_limit: usize,
    /// Attempts that passed so far.
    passed: u64,
    /// Those that are not sent.
    unsent: usize,
    /// When those of the last second were sent, in order.
    sent: VecDeque<Instant>,
    /// The same for as long as it is [`KNOWN`], with their numbers; without those that were throttled, which take no place at
    /// the vendor.
    granted: VecDeque<(u64, Instant)>,
}

impl Window {
    /// Of the set rate.
    pub(super) fn new(calls_per_second: f64) -> Self {
        let limit = calls_in_a_second(calls_per_second);
        Self {
            limit,
            granted_limit: limit,
            passed: 0,
            unsent: 0,
            sent: VecDeque::new(),
            granted: VecDeque::new(),
        }
    }

    /// The rate that holds from now on: what the vendor granted before counts.
    pub(super) fn grant(&mut self, calls_per_second: f64) {
        self.granted_limit = calls_in_a_second(calls_per_second);
    }

    /// `Err`: how long it takes at least until there is room for one more.
    pub(super) fn room(&mut self, now: Instant) -> Result<(), Duration> {
        let guarded = SECOND + GUARD;
        while self.sent.front().is_some_and(|first| *first + guarded <= now) {
            self.sent.pop_front();
        }
        while self.granted.front().is_some_and(|(_, first)| *first + KNOWN <= now) {
            self.granted.pop_front();
        }
        let first = self.first_granted_within(guarded, now);
        let until_gone = |sent: Option<&Instant>| Err(sent.map_or(guarded, |sent| *sent + guarded - now));
        if self.unsent + self.sent.len() >= self.limit {
            until_gone(self.sent.front())
        } else if self.unsent + self.granted.len() - first >= self.granted_limit {
            until_gone(self.granted.get(first).map(|(_, sent)| sent))
        } else {
            Ok(())
        }
    }

    /// An attempt passes; gives its number.
    pub(super) fn pass(&mut self) -> u64 {
        self.unsent += 1;
        self.passed += 1;
        self.passed
    }

    /// The request of one that passed is sent, or never will be.
    pub(super) fn sent(&mut self, number: u64, now: Instant) {
        self.unsent -= 1;
        self.sent.push_back(now);
        self.granted.push_back((number, now));
    }

    /// One that was sent was throttled. Gives how many were granted in the second before it, those included whose answers are
    /// not known yet; `None` where it was sent too long ago.
    pub(super) fn throttled(&mut self, number: u64, now: Instant) -> Option<usize> {
        let place = self.granted.iter().rposition(|(other, _)| *other == number)?;
        let (_, sent) = self.granted.remove(place)?;
        let second = SECOND + GUARD;
        (now < sent + KNOWN - second).then(|| place - self.first_granted_within(second, sent))
    }

    /// The place of the first that was not sent longer before `now`.
    fn first_granted_within(&self, time: Duration, now: Instant) -> usize {
        self.granted.partition_point(|(_, sent)| *sent + time <= now)
    }
}

/// A rate that is no whole number is rounded up: even spacing keeps it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and a rate is positive"
)]
fn calls_in_a_second(calls_per_second: f64) -> usize {
    calls_per_second.ceil().max(1.0) as usize
}
