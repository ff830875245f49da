//! Even spacing: how long after one attempt the next one may pass.
//!
//! - [`Spacing`]: of one rate. It is handed the time, and asking it changes nothing: an attempt that several limits hold is
//!   counted by all of them or by none

use std::time::Duration;

use tokio::time::Instant;

/// How much longer than a second the attempts of one second take: what [`super::window`] guards, and the time until a
/// request is sent. It costs 0.55 % of the rate.
pub(super) const MARGIN: Duration = Duration::from_micros(5_500);

/// How far an attempt may run ahead of even spacing to make up for a late wake-up.
const CATCH_UP: Duration = Duration::from_millis(5);

/// The spacing of one rate.
#[derive(Debug)]
pub(super) struct Spacing {
    period: Duration,
    /// When the next attempt is due; `None`: none has passed yet.
    due: Option<Instant>,
}

impl Spacing {
    /// `last`: when the attempt before the next one passed, if there was one. The next one makes up for nothing.
    pub(super) fn new(calls_per_second: f64, last: Option<Instant>) -> Self {
        let period = (Duration::from_secs(1) + MARGIN).div_f64(calls_per_second);
        Self {
            period,
            due: last.map(|last| last + period + CATCH_UP),
        }
    }

    /// How long it takes until the next attempt may pass.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.due
            .map_or(Duration::ZERO, |due| (due - CATCH_UP).saturating_duration_since(now))
    }

    /// An attempt passes.
    pub(super) fn pass(&mut self, now: Instant) {
        self.due = Some(self.due.map_or(now, |due| due.max(now)) + self.period);
    }
}
