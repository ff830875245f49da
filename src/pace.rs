//! The pace of one product's calls: as many a second as were set, never more in any second, fixed or sliding; fewer
//! while the vendor throttles.
//!
//! Three things are asked before an attempt passes: the gate, which the vendor's answers shut and open; the window, a log of
//! the last second's requests, which no second can exceed; and the spacing, which keeps attempts evenly apart. All three
//! are told the time, so that hours of it can be simulated.
//!
//! - [`Pacer`]: what every attempt waits at, retries too
//! - [`Admitted`]: a passed attempt, so that what it meets is charged to the rate it was sent at
//! - [`Unsent`]: a passed attempt whose request is not sent yet
//! - [`Load`]: how it was used over time (`load`)
//! - `rate`: what the vendor's answers leave of the set rate; `window`: the log of the last second; `spacing`: governor

mod load;
mod rate;
mod spacing;
mod window;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use load::Load;
use rate::Rate;
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

/// An attempt that passed and whose request is not sent yet: to be dropped as soon as it is, or never will be.
#[derive(Debug)]
pub struct Unsent {
    pacer: Arc<Pacer>,
    number: u64,
}

impl Drop for Unsent {
    fn drop(&mut self) {
        lock(&self.pacer.lane).sent(self.number, Instant::now());
    }
}

/// What every attempt of a product waits at.
#[derive(Debug)]
pub struct Pacer {
    /// Held by the one attempt whose turn it is; the others queue up behind it in order.
    turn: tokio::sync::Mutex<()>,
    lane: Mutex<Lane>,
}

impl Pacer {
    /// `calls_per_second`: the set rate.
    pub fn new(calls_per_second: f64) -> Self {
        Self::over(Lane::new(calls_per_second, Instant::now()))
    }

    /// Without a rate, but for the pauses after throttled answers: for a loopback address only, which the configuration
    /// sees to.
    pub fn unlimited() -> Self {
        Self::over(Lane::over(None, Instant::now()))
    }

    fn over(lane: Lane) -> Self {
        Self {
            turn: tokio::sync::Mutex::new(()),
            lane: Mutex::new(lane),
        }
    }

    /// Waits for its turn. Dropping the future gives the turn up. Without a rate it does not matter when a request is
    /// sent.
    pub async fn admit(self: &Arc<Self>) -> (Admitted, Option<Unsent>) {
        let _turn = self.turn.lock().await;
        loop {
            let now = Instant::now();
            let admitted = lock(&self.lane).try_admit(now);
            match admitted {
                Ok(admitted) => return (admitted, self.unsent(admitted)),
                Err(wait) => tokio::time::sleep_until(now + wait).await,
            }
        }
    }

    fn unsent(self: &Arc<Self>, admitted: Admitted) -> Option<Unsent> {
        let limited = lock(&self.lane).limited.is_some();
        limited.then(|| Unsent {
            pacer: self.clone(),
            number: admitted.number,
        })
    }

    /// The vendor throttled this attempt: pause as told, and slow down.
    pub fn throttled(&self, admitted: Admitted, retry_after: Option<Duration>) {
        lock(&self.lane).throttled(admitted, retry_after, Instant::now());
    }

    /// The vendor answered this attempt without throttling it.
    pub fn answered(&self, admitted: Admitted) {
        lock(&self.lane).answered(admitted, Instant::now());
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
    /// Nothing until then: the vendor throttled. `again`: not for the first time in a row, so that one attempt goes ahead
    /// afterwards.
    Shut { until: Instant, again: bool },
    /// The one attempt, since then, that asks whether it still does.
    Ajar(Instant),
}

#[derive(Debug)]
struct Limited {
    rate: Rate,
    window: Window,
    spacing: Spacing,
    /// When the last attempt passed.
    last: Option<Instant>,
}

impl Limited {
    fn try_pass(&mut self, now: Instant) -> Result<Admitted, Duration> {
        self.window.room(now)?;
        self.spacing.try_pass(now)?;
        self.last = Some(now);
        Ok(Admitted {
            number: self.window.pass(),
            epoch: self.rate.epoch(),
        })
    }

    /// The rate has changed.
    fn space_anew(&mut self, now: Instant) {
        self.window.hold_to(self.rate.calls_per_second());
        self.spacing = Spacing::new(self.rate.calls_per_second(), self.last, now);
    }
}

impl Lane {
    fn new(calls_per_second: f64, now: Instant) -> Self {
        let rate = Rate::new(calls_per_second, now);
        let limited = Limited {
            window: Window::new(rate.calls_per_second()),
            spacing: Spacing::new(rate.calls_per_second(), None, now),
            rate,
            last: None,
        };
        Self::over(Some(limited), now)
    }

    fn over(limited: Option<Limited>, now: Instant) -> Self {
        Self {
            limited,
            gate: Gate::Open,
            throttled_since: None,
            load: Load::new(now),
        }
    }

    /// `Err`: how long to wait before asking again.
    fn try_admit(&mut self, now: Instant) -> Result<Admitted, Duration> {
        match self.gate {
            Gate::Shut { until, .. } if now < until => return Err(until - now),
            Gate::Ajar(since) if now < since + ANSWER_PATIENCE => return Err(LOOK_EVERY),
            Gate::Open | Gate::Shut { .. } | Gate::Ajar(_) => {}
        }
        let admitted = match &mut self.limited {
            Some(limited) => limited.try_pass(now)?,
            None => Admitted { number: 0, epoch: 0 },
        };
        self.gate = match self.gate {
            Gate::Open | Gate::Shut { again: false, .. } => Gate::Open,
            Gate::Shut { again: true, .. } | Gate::Ajar(_) => Gate::Ajar(now),
        };
        self.load.attempted(now);
        Ok(admitted)
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
        self.load.throttled(now);
        if let Some(limited) = &mut self.limited {
            let granted = limited.window.throttled(admitted.number, now);
            if limited.rate.decrease(admitted.epoch, granted, now) {
                limited.space_anew(now);
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
            limited.space_anew(now);
        }
    }
}

#[cfg(test)]
mod tests;
