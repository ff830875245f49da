//! The pace of one product's calls: as many a second as were set, never more in any second, fixed or sliding; fewer
//! while the vendor throttles.
//!
//! A governor limiter spaces the attempts evenly. Its cell is a grain of time: an attempt costs the time that it must
//! keep from the next one, so any rate can be set exactly, and a late wake-up is made up for by [`CATCH_UP`] and no
//! more. [`WINDOW_MARGIN`] stretches each second a little, so that attempts which the network delivers early or late do
//! not meet in the vendor's window. A limiter's quota is fixed when it is made, so a change of rate swaps it.
//!
//! - [`Pacer`]: the gate that every attempt passes, retries too
//! - [`Admitted`]: a passed attempt, so that what it meets is charged to the rate it was sent at
//! - [`Load`]: how it was used over time (`load`)
//! - [`Rate`]: additive increase, multiplicative decrease; pure

mod load;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

pub use load::Load;

/// How much longer than a second the attempts of one second take: what an attempt may be held up between this gate and
/// the vendor's window, on a busy machine or a busy network, without meeting those of the next second. It costs 2 % of
/// the rate.
const WINDOW_MARGIN: Duration = Duration::from_millis(20);

/// How far an attempt may run ahead of even spacing to make up for a late wake-up. Timers have a grain of 1 ms.
const CATCH_UP: Duration = Duration::from_millis(2);

/// What is left of the rate after a throttled answer among good ones: live traffic took a little more of the quota.
const FIRST_DECREASE: f64 = 0.8;

/// What is left of it after each further one, while no good one comes between.
const NEXT_DECREASE: f64 = 0.5;

/// The share of the set rate by which it recovers in a second of success, near where it was throttled.
const INCREASE: f64 = 0.05;

/// By how much it recovers in a second of success, far below that: a minute of throttling must not cost another one.
const DOUBLING: f64 = 2.0;

/// The rate never falls below this share of the set rate.
const FLOOR: f64 = 0.01;

/// Nor, where a product's rate is slow, below this many calls a second, or this greater share of the set rate: to come back from
/// further down would take minutes.
const SLOW_FLOOR: (f64, f64) = (0.25, 0.08);

/// Without an attempt's worth of success the rate is not raised more often than this.
const RECOVERY_STEP: Duration = Duration::from_secs(1);

/// The shortest pause after a throttled answer: a vendor that says "at once" would burn every call otherwise.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// After a pause one attempt goes first and the others wait for its answer, but not for longer than this: it may be lost.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// How often those who wait for that answer look again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The slowest rate that can be set, in calls per second.
const SLOWEST: f64 = 0.001;

/// An attempt that passed the gate.
#[derive(Debug, Clone, Copy)]
pub struct Admitted {
    epoch: u32,
}

/// The gate that every attempt of a product passes.
#[derive(Debug)]
pub struct Pacer {
    /// Held by the one attempt that waits at the gate; the others queue up behind it in order.
    turn: tokio::sync::Mutex<()>,
    lane: Mutex<Lane>,
}

impl Pacer {
    /// `calls_per_second`: the set rate.
    pub fn new(calls_per_second: f64) -> Self {
        Self::over(Lane::new(calls_per_second, Instant::now()))
    }

    /// A gate that is always open but for the pauses after throttled answers: for a loopback address only, which the
    /// configuration sees to.
    pub fn unlimited() -> Self {
        Self::over(Lane::over(None, Instant::now()))
    }

    fn over(lane: Lane) -> Self {
        Self {
            turn: tokio::sync::Mutex::new(()),
            lane: Mutex::new(lane),
        }
    }

    /// Waits for its turn. Dropping the future gives the turn up.
    pub async fn admit(&self) -> Admitted {
        let _turn = self.turn.lock().await;
        loop {
            let wait = match lock(&self.lane).try_admit(Instant::now()) {
                Ok(admitted) => return admitted,
                Err(wait) => wait,
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// The vendor throttled this attempt: pause as told, and slow down.
    pub fn throttled(&self, admitted: Admitted, retry_after: Option<Duration>) {
        lock(&self.lane).throttled(admitted, retry_after, Instant::now());
    }

    /// The vendor answered an attempt without throttling it.
    pub fn answered(&self) {
        lock(&self.lane).answered(Instant::now());
    }

    /// For how long every answer has been a throttled one.
    pub fn throttled_for(&self) -> Duration {
        let since = lock(&self.lane).throttled_since;
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// How it was used so far.
    pub fn load(&self) -> Load {
        lock(&self.lane).load.clone()
    }

    /// The rate now, in calls per second; `None` = unlimited.
    pub fn calls_per_second(&self) -> Option<f64> {
        lock(&self.lane).limited.as_ref().map(|limited| limited.rate.current)
    }
}

fn lock(lane: &Mutex<Lane>) -> std::sync::MutexGuard<'_, Lane> {
    // A lane is consistent between any two statements, so a panic elsewhere leaves nothing half done.
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Lane {
    /// `None`: unlimited.
    limited: Option<Limited>,
    gate: Gate,
    /// Since when every answer was a throttled one.
    throttled_since: Option<Instant>,
    load: Load,
}

/// What the vendor's answers let through.
#[derive(Debug, Clone, Copy)]
enum Gate {
    /// Whatever the rate allows.
    Open,
    /// Nothing until then: the vendor throttled.
    Shut(Instant),
    /// The one attempt, since then, that asks whether it still does.
    Ajar(Instant),
}

#[derive(Debug)]
struct Limited {
    limiter: Limiter,
    rate: Rate,
}

impl Lane {
    fn new(calls_per_second: f64, now: Instant) -> Self {
        let rate = Rate::new(calls_per_second, now);
        let limiter = Limiter::new(rate.current, false, now);
        Self::over(Some(Limited { limiter, rate }), now)
    }

    fn over(limited: Option<Limited>, now: Instant) -> Self {
        Self {
            limited,
            gate: Gate::Open,
            throttled_since: None,
            load: Load::new(now),
        }
    }

    fn try_admit(&mut self, now: Instant) -> Result<Admitted, Duration> {
        match self.gate {
            Gate::Shut(until) if now < until => return Err(until - now),
            Gate::Ajar(since) if now < since + ANSWER_PATIENCE => return Err(LOOK_EVERY),
            Gate::Open | Gate::Shut(_) | Gate::Ajar(_) => {}
        }
        let mut epoch = 0;
        if let Some(limited) = &self.limited {
            limited.limiter.try_pass(now)?;
            epoch = limited.rate.epoch;
        }
        if !matches!(self.gate, Gate::Open) {
            self.gate = Gate::Ajar(now);
        }
        self.load.attempted(now);
        Ok(Admitted { epoch })
    }

    fn throttled(&mut self, admitted: Admitted, retry_after: Option<Duration>, now: Instant) {
        let pause = retry_after.unwrap_or_default().max(SHORTEST_PAUSE);
        self.gate = match self.gate {
            Gate::Shut(until) => Gate::Shut(until.max(now + pause)),
            Gate::Open | Gate::Ajar(_) => Gate::Shut(now + pause),
        };
        self.throttled_since = self.throttled_since.or(Some(now));
        self.load.throttled(now);
        if let Some(limited) = &mut self.limited
            && limited.rate.decrease(admitted.epoch, now)
        {
            limited.limiter = Limiter::new(limited.rate.current, true, now);
        }
    }

    fn answered(&mut self, now: Instant) {
        self.throttled_since = None;
        if matches!(self.gate, Gate::Ajar(_)) {
            self.gate = Gate::Open;
        }
        if let Some(limited) = &mut self.limited
            && limited.rate.recover(now)
        {
            limited.limiter = Limiter::new(limited.rate.current, true, now);
        }
    }
}

/// The rate that holds now: down by a share when throttled, up in small steps while it goes well.
#[derive(Debug, Clone)]
pub struct Rate {
    set: f64,
    current: f64,
    /// What was left after the first throttled answer in a row: up to there it may recover fast.
    nearly: f64,
    changed_at: Instant,
    epoch: u32,
    /// The last answer was a throttled one.
    throttled: bool,
}

impl Rate {
    /// Starts at the set rate, in calls per second.
    pub fn new(calls_per_second: f64, now: Instant) -> Self {
        let set = calls_per_second.max(SLOWEST);
        Self {
            set,
            current: set,
            nearly: set,
            changed_at: now,
            epoch: 0,
            throttled: false,
        }
    }

    /// A throttled answer to an attempt that was admitted in `epoch`. All attempts that were sent at one rate lower it
    /// once. True where it changed.
    pub fn decrease(&mut self, epoch: u32, now: Instant) -> bool {
        if epoch != self.epoch {
            return false;
        }
        let left = if self.throttled { NEXT_DECREASE } else { FIRST_DECREASE };
        let slow_floor = SLOW_FLOOR.0.min(self.set * SLOW_FLOOR.1);
        self.current = (self.current * left).max(self.set * FLOOR).max(slow_floor);
        if !std::mem::replace(&mut self.throttled, true) {
            self.nearly = self.current;
        }
        self.changed_at = now;
        self.epoch = self.epoch.wrapping_add(1);
        true
    }

    /// An answer that was not throttled. True where the rate changed.
    pub fn recover(&mut self, now: Instant) -> bool {
        self.throttled = false;
        if self.current >= self.set || now.duration_since(self.changed_at) < RECOVERY_STEP {
            return false;
        }
        self.current = if self.current < self.nearly {
            (self.current * DOUBLING).min(self.nearly)
        } else {
            (self.current + self.set * INCREASE).min(self.set)
        };
        self.changed_at = now;
        true
    }

    /// Calls per second.
    pub fn calls_per_second(&self) -> f64 {
        self.current
    }
}

/// governor's limiter with a grain of time for a cell.
#[derive(Debug)]
struct Limiter {
    cells: RateLimiter<NotKeyed, InMemoryState, HandedInClock, NoOpMiddleware<Nanos>>,
    clock: HandedInClock,
    cost: NonZeroU32,
}

impl Limiter {
    /// `spent`: the first attempt must wait for a full period, as after an attempt.
    fn new(calls_per_second: f64, spent: bool, now: Instant) -> Self {
        let period = (Duration::from_secs(1) + WINDOW_MARGIN).div_f64(calls_per_second);
        // governor counts cells in 32 bits: 4 s in nanoseconds, 71 minutes in microseconds.
        let grain = if period < Duration::from_secs(2) {
            Duration::from_nanos(1)
        } else {
            Duration::from_micros(1)
        };
        let cost = cells(period, grain);
        let burst = cost.saturating_add(cells(CATCH_UP, grain).get());
        let clock = HandedInClock {
            start: now,
            since_start: Arc::default(),
        };
        let quota = Quota::with_period(grain)
            .expect("a grain is not zero")
            .allow_burst(burst);
        let cells = RateLimiter::direct_with_clock(quota, clock.clone());
        if spent {
            // Can't be refused: a new limiter holds a full burst.
            drop(cells.check_n(burst));
        }
        Self { cells, clock, cost }
    }

    fn try_pass(&self, now: Instant) -> Result<(), Duration> {
        self.clock.set(now);
        match self.cells.check_n(self.cost) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            Err(_) => unreachable!("a burst holds at least one attempt"),
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
        let nanos = u64::try_from(now.duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        self.since_start.store(nanos, Ordering::Relaxed);
    }
}

impl GovernorClock for HandedInClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(Duration::from_nanos(self.since_start.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests;
