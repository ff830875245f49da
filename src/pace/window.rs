//! The vendor's window: no second, wherever it begins, may get more than the set rate.
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

/// The attempts of the last second. When a request is sent is not known until it is: its connection may have to be set up
/// first. Till then it may reach the vendor at any time, and holds its place.
#[derive(Debug)]
pub(super) struct Window {
    /// Calls in a second.
    limit: usize,
    /// Attempts that passed and are not sent.
    unsent: usize,
    /// When the others were sent, in order.
    sent: VecDeque<Instant>,
}

impl Window {
    /// A rate that is no whole number is rounded up: even spacing keeps it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a rate is positive"
    )]
    pub(super) fn new(calls_per_second: f64) -> Self {
        Self {
            limit: calls_per_second.ceil().max(1.0) as usize,
            unsent: 0,
            sent: VecDeque::new(),
        }
    }

    /// `Err`: how long it takes at least until there is room for one more.
    pub(super) fn room(&mut self, now: Instant) -> Result<(), Duration> {
        let guarded = SECOND + GUARD;
        while self.sent.front().is_some_and(|first| *first + guarded <= now) {
            self.sent.pop_front();
        }
        if self.unsent + self.sent.len() < self.limit {
            return Ok(());
        }
        Err(self.sent.front().map_or(guarded, |first| *first + guarded - now))
    }

    /// An attempt passes.
    pub(super) fn pass(&mut self) {
        self.unsent += 1;
    }

    /// The request of one that passed is sent, or never will be.
    pub(super) fn sent(&mut self, now: Instant) {
        self.unsent -= 1;
        self.sent.push_back(now);
    }
}
