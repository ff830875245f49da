//! A limit that several queues share: that of a region, of a product, or the one rate of `--qps`.
//!
//! Only spacing and window are shared. What the vendor's answers say belongs to each queue's own limiter: a queue that is
//! throttled slows itself down, and the others use what it leaves.
//!
//! - [`SharedLimit`]: the limit
//! - [`Urgency`]: who goes first where several wait for the same limit

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Load;
use super::spacing::Spacing;
use super::window::Window;

/// How urgent an attempt is: the earliest time at which the vendor may delete the record, in microseconds since 1970. The
/// lowest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency(pub i64);

/// One that waits: how urgent it is, and the number of its limiter.
pub(super) type Waiter = (Urgency, u64);

/// A limit in calls per second that several queues share.
#[derive(Debug)]
pub struct SharedLimit(Mutex<SharedState>);

#[derive(Debug)]
pub(super) struct SharedState {
    /// `None`: no limit; the load is counted all the same.
    limited: Option<(Window, Spacing)>,
    last: Option<Instant>,
    load: Load,
    /// Those who wait, each with the time from which on nothing else holds it up.
    waiting: BTreeMap<Waiter, Instant>,
}

impl SharedLimit {
    /// `None`: no limit, which only counts.
    pub fn new(calls_per_second: Option<f64>) -> Self {
        let limited = calls_per_second.map(|rate| (Window::new(rate), Spacing::new(rate, None)));
        Self(Mutex::new(SharedState {
            limited,
            last: None,
            load: Load::new(Instant::now()),
            waiting: BTreeMap::new(),
        }))
    }

    /// Another rate from now on. What was sent in the last second counts against it.
    pub fn set_rate(&self, calls_per_second: f64) {
        let mut state = self.lock();
        let last = state.last;
        if let Some((window, spacing)) = &mut state.limited {
            window.limit_to(calls_per_second);
            window.hold_to(calls_per_second);
            *spacing = Spacing::new(calls_per_second, last);
        }
    }

    /// How it was used so far.
    pub fn load(&self) -> Load {
        self.lock().load.clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SharedState> {
        // The state is consistent between any two statements, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request of an attempt that passed is sent, or never will be.
    pub(super) fn sent(&self, number: u64, now: Instant) {
        if let Some((window, _)) = &mut self.lock().limited {
            window.sent(number, now);
        }
    }

    /// An attempt was throttled.
    pub(super) fn throttled(&self, now: Instant) {
        self.lock().load.throttled(now);
    }

    /// Nobody waits under this name any more.
    pub(super) fn leave(&self, waiter: Waiter) {
        self.lock().waiting.remove(&waiter);
    }
}

impl SharedState {
    /// How long it takes until there is room for one more.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        self.limited.as_mut().map_or(Duration::ZERO, |(window, spacing)| {
            window.room(now).err().unwrap_or_default().max(spacing.wait(now))
        })
    }

    /// Somebody waits, and from `ready` on for nothing but this limit.
    pub(super) fn enter(&mut self, waiter: Waiter, ready: Instant) {
        self.waiting.insert(waiter, ready);
    }

    /// Whether somebody more urgent waits for nothing but this limit.
    pub(super) fn is_behind(&self, waiter: Waiter, now: Instant) -> bool {
        self.waiting.range(..waiter).any(|(_, ready)| *ready <= now)
    }

    /// An attempt passes; gives its number.
    pub(super) fn pass(&mut self, waiter: Waiter, now: Instant) -> u64 {
        self.waiting.remove(&waiter);
        self.last = Some(now);
        self.load.attempted(now);
        self.limited.as_mut().map_or(0, |(window, spacing)| {
            spacing.pass(now);
            window.pass()
        })
    }
}
