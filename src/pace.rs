//! The pace of a queue's calls: as many a second as were set, never more in any second, fixed or sliding; fewer while the
//! vendor throttles.
//!
//! Four things are asked before an attempt passes:
//!
//! - the gate of its queue, which the vendor's answers shut and open
//! - the window of its queue: a log of the last second's requests, which no second can exceed
//! - the spacing of its queue, which keeps attempts evenly apart
//! - window and spacing of the limits that its queue shares with others: its region's and its product's, or the one of `--qps`
//!
//! The rate of a queue is found by a search like that of CUBIC, the congestion control of TCP (RFC 9438). A throttled answer
//! lowers the rate at once, to what was granted where that is known. The rate then comes back to nearly that, stays there for a
//! while, and looks for more along a cubic curve: slow near what was too much last time, and faster the longer that works.
//!
//! All parts are told the time, so that hours of it can be simulated.
//!
//! - [`Limiter`]: what every attempt of a queue waits at, retries too; [`SharedLimit`]: what several queues share (`shared`)
//! - [`Urgency`]: who goes first where several queues wait for the same limit
//! - [`Admitted`]: a passed attempt, so that what it meets is charged to the rate it was sent at
//! - [`Unsent`]: a passed attempt whose request is not sent yet
//! - [`Load`]: how it was used over time (`load`)
//! - `rate`: what the vendor's answers leave of the set rate; `window`: the log of the last second; `spacing`: even spacing

mod load;
mod rate;
mod shared;
mod spacing;
mod window;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use load::Load;
use rate::Rate;
pub use shared::{SharedLimit, Urgency};
use shared::{SharedState, Waiter};
use spacing::Spacing;
use window::Window;

/// The shortest pause after a throttled answer: a vendor that says "at once" would burn every call otherwise.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// One attempt goes ahead and the others wait for its answer, but not for longer than this: it may be lost.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// How often those who wait for that answer look again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// An attempt that passed.
#[derive(Debug, Clone, Copy)]
pub struct Admitted {
    /// Which one it was.
    number: u64,
    /// The number of the rate that it passed at.
    epoch: u32,
}

/// How often somebody looks again who lets a more urgent one go first.
const YIELD: Duration = Duration::from_millis(1);

/// So often somebody lets others go first, and then goes: one that was to go may be held up elsewhere.
const YIELDS: u32 = 100;

/// An attempt that passed and whose request is not sent yet: to be dropped as soon as it is, or never will be.
#[derive(Debug)]
pub struct Unsent {
    limiter: Arc<Limiter>,
    /// What the attempt's number is in the own window, and in each shared one.
    own: u64,
    shared: [u64; MOST_SHARED],
}

impl Drop for Unsent {
    fn drop(&mut self) {
        let now = Instant::now();
        self.limiter.lock().sent(self.own, now);
        for (limit, number) in self.limiter.shared.iter().zip(self.shared) {
            limit.sent(number, now);
        }
    }
}

/// The most limits that a queue shares with others: its region's and its product's.
const MOST_SHARED: usize = 2;

/// What every attempt of a queue waits at.
#[derive(Debug)]
pub struct Limiter {
    number: u64,
    /// Held by the one attempt whose turn it is; the others queue up behind it in order.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<LimiterState>,
    shared: Vec<Arc<SharedLimit>>,
}

/// Who waits, and is no longer to be counted among those who do once this is dropped.
struct Waiting<'a> {
    limiter: &'a Limiter,
    waiter: Waiter,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for limit in &self.limiter.shared {
            limit.leave(self.waiter);
        }
    }
}

impl Limiter {
    /// `calls_per_second`: the set rate of the queue itself; `None`: there is none, but for the pauses after throttled answers.
    /// `shared`: the limits that hold beside it, at most two.
    pub fn new(calls_per_second: Option<f64>, shared: Vec<Arc<SharedLimit>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        debug_assert!(shared.len() <= MOST_SHARED);
        let now = Instant::now();
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::new(
                calls_per_second.map_or_else(|| LimiterState::over(None), |rate| LimiterState::new(rate, now)),
            ),
            shared,
        }
    }

    /// Waits for its turn: in its queue the attempts go in the order in which they came, and among the queues that share a
    /// limit the most urgent goes first. Dropping the future gives the turn up. Without a rate it does not matter when a
    /// request is sent.
    pub async fn admit(self: &Arc<Self>, urgency: Urgency) -> (Admitted, Option<Unsent>) {
        let _turn = self.turn.lock().await;
        let waiter = (urgency, self.number);
        let _waiting = Waiting { limiter: self, waiter };
        let mut yields = 0;
        loop {
            let now = Instant::now();
            match self.try_admit(waiter, now, yields < YIELDS) {
                Ok(passed) => return passed,
                Err(wait) => {
                    yields += u32::from(wait == YIELD);
                    tokio::time::sleep_until(now + wait).await;
                }
            }
        }
    }

    /// `Err`: how long to wait before asking again. All limits count the attempt, or none does.
    fn try_admit(
        self: &Arc<Self>,
        waiter: Waiter,
        now: Instant,
        yields: bool,
    ) -> Result<(Admitted, Option<Unsent>), Duration> {
        let mut own = self.lock();
        // Always in the same order, the region's first, so that no two wait for each other.
        let mut shared: Vec<MutexGuard<'_, SharedState>> = self.shared.iter().map(|limit| limit.lock()).collect();
        let own_wait = own.wait(now);
        let waits: Vec<Duration> = shared.iter_mut().map(|limit| limit.wait(now)).collect();
        let wait = waits.iter().copied().max().unwrap_or_default().max(own_wait);
        for (index, limit) in shared.iter_mut().enumerate() {
            let others = waits.iter().enumerate().filter(|(other, _)| *other != index);
            let others = others.map(|(_, wait)| *wait).max().unwrap_or_default();
            limit.enter(waiter, now + others.max(own_wait));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        if yields && shared.iter().any(|limit| limit.is_behind(waiter, now)) {
            return Err(YIELD);
        }
        let admitted = own.pass(now);
        let mut numbers = [0; MOST_SHARED];
        for (number, limit) in numbers.iter_mut().zip(&mut shared) {
            *number = limit.pass(waiter, now);
        }
        let unsent = own.limited.is_some().then(|| Unsent {
            limiter: self.clone(),
            own: admitted.number,
            shared: numbers,
        });
        Ok((admitted, unsent))
    }

    /// Another set rate from now on: the share of the quota depends on the hour.
    pub fn set_rate(&self, calls_per_second: f64) {
        self.lock().set_rate(calls_per_second, Instant::now());
    }

    /// Only this share of the set rate from now on.
    pub fn slow_to(&self, share: f64) {
        self.lock().slow_to(share, Instant::now());
    }

    /// The vendor throttled this attempt: pause as told, and slow down.
    pub fn throttled(&self, admitted: Admitted, retry_after: Option<Duration>) {
        let now = Instant::now();
        self.lock().throttled(admitted, retry_after, now);
        for limit in &self.shared {
            limit.throttled(now);
        }
    }

    /// The vendor answered this attempt without throttling it.
    pub fn answered(&self, admitted: Admitted) {
        self.lock().answered(admitted, Instant::now());
    }

    /// For how long every answer has been a throttled one.
    pub fn throttled_for(&self) -> Duration {
        let since = self.lock().throttled_since;
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, LimiterState> {
        // The state is consistent between any two statements, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the vendor's answers to one queue, and the rate that follows.
#[derive(Debug)]
struct LimiterState {
    /// `None`: unlimited.
    limited: Option<Limited>,
    gate: Gate,
    /// Since when every answer was a throttled one.
    throttled_since: Option<Instant>,
}

/// What the vendor's answers let through.
#[derive(Debug, Clone, Copy)]
enum Gate {
    /// Whatever the rate allows.
    Open,
    /// Nothing until then: the vendor throttled. `again`: not for the first time in a row, so that one attempt goes ahead
    /// afterwards.
    Shut { until: Instant, again: bool },
    /// The one attempt, since then, that asks whether it still does.
    Ajar(Instant),
}

#[derive(Debug)]
struct Limited {
    /// The set rate, and how much of it is to be used.
    set: f64,
    share: f64,
    rate: Rate,
    window: Window,
    spacing: Spacing,
    /// When the last attempt passed.
    last: Option<Instant>,
}

impl Limited {
    fn wait(&mut self, now: Instant) -> Duration {
        let room = self.window.room(now).err().unwrap_or_default();
        room.max(self.spacing.wait(now))
    }

    fn pass(&mut self, now: Instant) -> Admitted {
        self.last = Some(now);
        self.spacing.pass(now);
        Admitted {
            number: self.window.pass(),
            epoch: self.rate.epoch(),
        }
    }

    /// The set rate has changed.
    fn set_anew(&mut self, now: Instant) {
        let set = self.set * self.share;
        self.rate.set(set, now);
        self.window.limit_to(set);
        self.space_anew();
    }

    /// The rate has changed.
    fn space_anew(&mut self) {
        self.window.hold_to(self.rate.calls_per_second());
        self.spacing = Spacing::new(self.rate.calls_per_second(), self.last);
    }
}

impl LimiterState {
    fn new(calls_per_second: f64, now: Instant) -> Self {
        let rate = Rate::new(calls_per_second, now);
        Self::over(Some(Limited {
            set: calls_per_second,
            share: 1.0,
            window: Window::new(rate.calls_per_second()),
            spacing: Spacing::new(rate.calls_per_second(), None),
            rate,
            last: None,
        }))
    }

    fn over(limited: Option<Limited>) -> Self {
        Self {
            limited,
            gate: Gate::Open,
            throttled_since: None,
        }
    }

    /// How long to wait before asking again; zero: an attempt may pass.
    fn wait(&mut self, now: Instant) -> Duration {
        match self.gate {
            Gate::Shut { until, .. } if now < until => return until - now,
            Gate::Ajar(since) if now < since + ANSWER_PATIENCE => return LOOK_EVERY,
            Gate::Open | Gate::Shut { .. } | Gate::Ajar(_) => {}
        }
        self.limited
            .as_mut()
            .map_or(Duration::ZERO, |limited| limited.wait(now))
    }

    /// An attempt passes.
    fn pass(&mut self, now: Instant) -> Admitted {
        self.gate = match self.gate {
            Gate::Open | Gate::Shut { again: false, .. } => Gate::Open,
            Gate::Shut { again: true, .. } | Gate::Ajar(_) => Gate::Ajar(now),
        };
        match &mut self.limited {
            Some(limited) => limited.pass(now),
            None => Admitted { number: 0, epoch: 0 },
        }
    }

    fn set_rate(&mut self, calls_per_second: f64, now: Instant) {
        if let Some(limited) = &mut self.limited
            && limited.set.to_bits() != calls_per_second.to_bits()
        {
            limited.set = calls_per_second;
            limited.set_anew(now);
        }
    }

    fn slow_to(&mut self, share: f64, now: Instant) {
        if let Some(limited) = &mut self.limited
            && limited.share.to_bits() != share.to_bits()
        {
            limited.share = share;
            limited.set_anew(now);
        }
    }

    /// The request of an attempt that passed is sent, or never will be.
    fn sent(&mut self, number: u64, now: Instant) {
        if let Some(limited) = &mut self.limited {
            limited.window.sent(number, now);
        }
    }

    fn throttled(&mut self, admitted: Admitted, retry_after: Option<Duration>, now: Instant) {
        let limited = self.limited.as_mut();
        let again = limited.is_none_or(|limited| limited.rate.is_throttled_again(admitted.epoch));
        let until = now + retry_after.unwrap_or_default().max(SHORTEST_PAUSE);
        self.gate = match self.gate {
            // Sent before it was shut: that it was throttled too is no news, but for what it says of the wait.
            Gate::Shut { until: before, again } => Gate::Shut {
                until: if retry_after.is_some() {
                    until.max(before)
                } else {
                    before
                },
                again,
            },
            Gate::Ajar(_) => Gate::Shut { until, again: true },
            Gate::Open => Gate::Shut { until, again },
        };
        self.throttled_since = self.throttled_since.or(Some(now));
        if let Some(limited) = &mut self.limited {
            let granted = limited.window.throttled(admitted.number, now);
            if limited.rate.decrease(admitted.epoch, granted, now) {
                limited.space_anew();
            }
        }
    }

    fn answered(&mut self, admitted: Admitted, now: Instant) {
        self.throttled_since = None;
        if matches!(self.gate, Gate::Ajar(_)) {
            self.gate = Gate::Open;
        }
        if let Some(limited) = &mut self.limited
            && limited.rate.recover(admitted.epoch, now)
        {
            limited.space_anew();
        }
    }
}

#[cfg(test)]
mod tests;
