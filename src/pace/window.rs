//! The vendor's window: no second, wherever it begins, may get more than the set rate, nor more than the vendor grants, as
//! far as that is known.
//!
//! - [`Window`]: the attempts of the last second, and those whose requests are not sent yet
//! - [`Granted`]: what the vendor granted before it throttled

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

/// The calls of the second before a throttled one that were granted, those included whose answers are not known yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    pub(super) calls: usize,
    /// When the throttled one was sent.
    pub(super) until: Instant,
}

/// The attempts of the last second. When a request is sent is not known until it is: its connection may have to be set up
/// first. Till then it may reach the vendor at any time, and holds its place.
#[derive(Debug)]
pub(super) struct Window {
    /// Calls in a second, by the set rate.
    limit: usize,
    /// The same, by the rate that the vendor's answers left.
    held_to: usize,
    /// Attempts that passed so far.
    passed: u64,
    /// Those that are not sent.
    unsent: usize,
    /// When those of the last second were sent, in order.
    sent: VecDeque<Instant>,
    /// The same for as long as it is [`KNOWN`], with their numbers; without those that were throttled, which take no place at
    /// the vendor.
    not_throttled: VecDeque<(u64, Instant)>,
}

impl Window {
    /// Of the set rate.
    pub(super) fn new(calls_per_second: f64) -> Self {
        let limit = calls_in_a_second(calls_per_second);
        Self {
            limit,
            held_to: limit,
            passed: 0,
            unsent: 0,
            sent: VecDeque::new(),
            not_throttled: VecDeque::new(),
        }
    }

    /// The set rate is another from now on.
    pub(super) fn limit_to(&mut self, calls_per_second: f64) {
        self.limit = calls_in_a_second(calls_per_second);
    }

    /// The rate that holds from now on. What was granted before counts, too.
    pub(super) fn hold_to(&mut self, calls_per_second: f64) {
        self.held_to = calls_in_a_second(calls_per_second);
    }

    /// `Err`: how long to wait before there is room for one more, as far as is known now.
    pub(super) fn room(&mut self, now: Instant) -> Result<(), Duration> {
        let guarded = SECOND + GUARD;
        while self.sent.front().is_some_and(|first| *first + guarded <= now) {
            self.sent.pop_front();
        }
        while self
            .not_throttled
            .front()
            .is_some_and(|(_, first)| *first + KNOWN <= now)
        {
            self.not_throttled.pop_front();
        }
        if self.unsent + self.sent.len() >= self.limit {
            return Err(self.sent.front().map_or(guarded, |first| *first + guarded - now));
        }
        let first = self.first_within(guarded, now);
        match self.not_throttled.get(first) {
            Some((_, sent)) if self.not_throttled.len() - first >= self.held_to => Err(*sent + guarded - now),
            _ => Ok(()),
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
        self.not_throttled.push_back((number, now));
    }

    /// An attempt was throttled. `None` where its request is not sent yet, or was too long ago.
    pub(super) fn throttled(&mut self, number: u64, now: Instant) -> Option<Granted> {
        let place = self.not_throttled.iter().rposition(|(other, _)| *other == number)?;
        let (_, until) = self.not_throttled.remove(place)?;
        let second = SECOND + GUARD;
        let all_known = now < until + KNOWN - second;
        all_known.then(|| Granted {
            calls: place - self.first_within(second, until),
            until,
        })
    }

    /// The place of the first that was not sent longer before `now`.
    fn first_within(&self, time: Duration, now: Instant) -> usize {
        self.not_throttled.partition_point(|(_, sent)| *sent + time <= now)
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
