//! Even spacing, by governor: how long after one attempt the next one may pass.
//!
//! - [`Spacing`]: one rate's limiter, with a grain of time for a cell: an attempt costs the time that it must keep from the
//!   next one, so any rate can be set exactly. It is handed the time

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// How much longer than a second the attempts of one second take: what [`super::window`] guards, and the time until a
/// request is sent. It costs 0.55 % of the rate.
pub(super) const MARGIN: Duration = Duration::from_micros(5_500);

/// How far an attempt may run ahead of even spacing to make up for a late wake-up.
const CATCH_UP: Duration = Duration::from_millis(5);

/// The spacing of one rate. A limiter's quota is fixed when it is made, so a change of rate makes a new one.
#[derive(Debug)]
pub(super) struct Spacing {
    calls_per_second: f64,
    limiter: RateLimiter<NotKeyed, InMemoryState, HandedInClock, NoOpMiddleware<Nanos>>,
    clock: HandedInClock,
    cost: NonZeroU32,
    /// When the limiter let the next attempt pass. Another limit may hold it still: an attempt is counted by all of its limits or
    /// by none, and governor can't be asked without being counted.
    granted: Option<Instant>,
}

impl Spacing {
    /// `last`: when the attempt before the next one passed, if there was one. The next one makes up for nothing.
    pub(super) fn new(calls_per_second: f64, last: Option<Instant>) -> Self {
        let period = (Duration::from_secs(1) + MARGIN).div_f64(calls_per_second);
        // governor counts cells in 32 bits: 4 s in nanoseconds, 71 minutes in microseconds.
        let grain = if period < Duration::from_secs(2) {
            Duration::from_nanos(1)
        } else {
            Duration::from_micros(1)
        };
        let cost = cells(period, grain);
        let burst = cost.saturating_add(cells(CATCH_UP, grain).get());
        let clock = HandedInClock {
            start: last.unwrap_or_else(Instant::now),
            since_start: Arc::default(),
        };
        let quota = Quota::with_period(grain)
            .expect("a grain is not zero")
            .allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        if last.is_some() {
            // Can't be refused: a new limiter holds a full burst.
            drop(limiter.check_n(burst));
        }
        Self {
            calls_per_second,
            limiter,
            clock,
            cost,
            granted: None,
        }
    }

    /// How long it takes until the next attempt may pass.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        if self.granted.is_some() {
            return Duration::ZERO;
        }
        self.clock.set(now);
        match self.limiter.check_n(self.cost) {
            Ok(Ok(())) => {
                self.granted = Some(now);
                Duration::ZERO
            }
            Ok(Err(not_until)) => not_until.wait_time_from(self.clock.now()),
            Err(_) => unreachable!("a burst holds at least one attempt"),
        }
    }

    /// An attempt passes. Where it was held for longer than can be made up for, the next one keeps its distance from now.
    pub(super) fn pass(&mut self, now: Instant) {
        let in_time = |granted| now.saturating_duration_since(granted) <= CATCH_UP;
        if !self.granted.take().is_some_and(in_time) {
            *self = Self::new(self.calls_per_second, Some(now));
        }
    }
}

/// A period as a number of cells, rounded up; never none.
fn cells(period: Duration, grain: Duration) -> NonZeroU32 {
    let count = period.as_nanos().div_ceil(grain.as_nanos());
    u32::try_from(count).map_or(NonZeroU32::MAX, |count| {
        NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
    })
}

/// The clock of one limiter: it shows what it was last set to, so that the time is handed in here too.
#[derive(Debug, Clone)]
struct HandedInClock {
    start: Instant,
    since_start: Arc<AtomicU64>,
}

impl HandedInClock {
    fn set(&self, now: Instant) {
        let nanos = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        self.since_start.store(nanos, Ordering::Relaxed);
    }
}

impl GovernorClock for HandedInClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(Duration::from_nanos(self.since_start.load(Ordering::Relaxed)))
    }
}
