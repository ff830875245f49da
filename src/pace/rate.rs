//! The rate that the vendor's answers leave of the set one; pure.
//!
//! - [`Rate`]: down when throttled, to what was granted or by a share; back to nearly where that happened, and only then further

use std::time::Duration;

use tokio::time::Instant;

use super::window::Granted;

/// What is left of the rate after a throttled answer among good ones, where it is not known what was granted: it was a little too high.
const FIRST_DECREASE: f64 = 0.94;

/// What is left of it where that comes so soon after the last one that this was not enough.
const SOON_DECREASE: f64 = 0.8;

/// What is left of it after each further one, while no good one comes between. Fewer than that of its calls granted in a second are no
/// measure of what is: the second was not full of them.
const NEXT_DECREASE: f64 = 0.5;

/// How soon is soon.
const SOON: Duration = Duration::from_secs(3);

/// Where it comes back to first: this share of the calls that were granted. Closer to them others lose calls of theirs that
/// come a moment early: 1.3 % of bursts that come in step with the second at 0.985, 1.0 % here.
const NEARLY: f64 = 0.975;

/// How long it takes to get there, where it was not known how many were granted.
const CLIMB: Duration = Duration::from_secs(8);

/// How long it stays there, before it looks for more. Whoever shares the quota pays for each look, so this doubles with each
/// one that found next to nothing.
const SHORTEST_STAY: Duration = Duration::from_secs(5);

/// But it is never longer than this.
const LONGEST_STAY: Duration = Duration::from_secs(80);

/// What is next to nothing.
const FOUND: f64 = 1.05;

/// How much it gains in the first [`CLIMB`] after that, as a share of the set rate. The gain grows with the cube of time: it
/// is slow near what was too much last time, and yet finds a quota that was freed. 40 % of it take 22 s.
const GAIN: f64 = 0.02;

/// By how much it recovers in a second of success, far below that: a minute of throttling must not cost another one.
const DOUBLING: f64 = 2.0;

/// The rate never falls below this share of the set rate.
const FLOOR: f64 = 0.01;

/// Nor, where a product's rate is slow, below this many calls a second, or this greater share of the set rate: to come back from
/// further down would take minutes.
const SLOW_FLOOR: (f64, f64) = (0.25, 0.08);

/// Without an attempt's worth of success the rate is not raised more often than this.
const RECOVERY_STEP: Duration = Duration::from_secs(1);

/// The slowest rate that can be set, in calls per second.
const SLOWEST: f64 = 0.001;

/// The rate that holds now.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    set: f64,
    current: f64,
    /// The rate at which it was throttled last, the first time in a row, and when the first attempt was sent that was.
    too_high: f64,
    throttled_from: Instant,
    /// What is thought to be granted.
    ceiling: f64,
    /// Up to there it may recover fast.
    low: f64,
    /// Since when it climbs from there, and how long it will stay below the ceiling.
    climbs_since: Instant,
    stay: Duration,
    cut_at: Option<Instant>,
    changed_at: Instant,
    epoch: u32,
    /// No good answer came since the last decrease.
    throttled: bool,
}

impl Rate {
    /// Starts at the set rate, in calls per second.
    pub(super) fn new(calls_per_second: f64, now: Instant) -> Self {
        let set = calls_per_second.max(SLOWEST);
        Self {
            set,
            current: set,
            too_high: set,
            throttled_from: now,
            ceiling: set,
            low: set,
            climbs_since: now,
            stay: SHORTEST_STAY,
            cut_at: None,
            changed_at: now,
            epoch: 0,
            throttled: false,
        }
    }

    /// The set rate is another from now on. A rate that the vendor has lowered stays where it is, below the new one.
    pub(super) fn set(&mut self, calls_per_second: f64, now: Instant) {
        let set = calls_per_second.max(SLOWEST);
        let was_lowered = self.current < self.set;
        self.set = set;
        if was_lowered {
            self.ceiling = self.ceiling.min(set);
            self.low = self.low.min(set);
            self.current = self.current.min(set);
        } else {
            (self.current, self.ceiling, self.low, self.too_high) = (set, set, set, set);
        }
        self.changed_at = now;
    }

    /// A throttled answer to an attempt that was admitted in `epoch`, and what was granted before it. All attempts that were sent
    /// at one rate lower it once, but the first of them says best what was granted, whenever its answer comes. True where
    /// the rate changed.
    pub(super) fn decrease(&mut self, epoch: u32, granted: Option<Granted>, now: Instant) -> bool {
        if epoch != self.epoch {
            let of_this_cut = self.throttled && epoch == self.epoch.wrapping_sub(1);
            let earlier = granted.filter(|granted| of_this_cut && granted.until < self.throttled_from);
            return earlier.is_some_and(|earlier| self.cut_to(earlier));
        }
        if self.throttled {
            // Even less is throttled, so it was not the rate.
            self.ceiling = self.too_high;
            self.low = self.floored(self.too_high * FIRST_DECREASE);
            self.current = self.floored(self.current * NEXT_DECREASE);
        } else {
            self.first_cut(granted, now);
        }
        (self.climbs_since, self.changed_at, self.cut_at) = (now, now, Some(now));
        self.epoch = self.epoch.wrapping_add(1);
        self.throttled = true;
        true
    }

    /// It was throttled, and not before in a row.
    fn first_cut(&mut self, granted: Option<Granted>, now: Instant) {
        let found_more = self.current > self.ceiling * FOUND;
        self.stay = if found_more || self.cut_at.is_none() {
            SHORTEST_STAY
        } else {
            (self.stay * 2).min(LONGEST_STAY)
        };
        (self.too_high, self.ceiling, self.throttled_from) = (self.current, self.current, now);
        if !granted.is_some_and(|granted| self.cut_to(granted)) {
            let soon = self.cut_at.is_some_and(|cut_at| now.duration_since(cut_at) < SOON);
            self.low = self.floored(self.current * if soon { SOON_DECREASE } else { FIRST_DECREASE });
            self.current = self.low;
        }
    }

    /// Goes to nearly what was granted, where that is less than was thought. True where it is.
    fn cut_to(&mut self, granted: Granted) -> bool {
        self.throttled_from = granted.until;
        let granted = as_rate(granted.calls);
        let is_less = granted < self.ceiling && granted >= self.too_high * NEXT_DECREASE;
        if is_less {
            self.ceiling = granted;
            self.low = self.floored(self.ceiling * NEARLY);
            self.current = self.low;
        }
        is_less
    }

    fn floored(&self, calls_per_second: f64) -> f64 {
        let slow_floor = SLOW_FLOOR.0.min(self.set * SLOW_FLOOR.1);
        calls_per_second.max(self.set * FLOOR).max(slow_floor)
    }

    /// An answer, not a throttled one, to an attempt that was admitted in `epoch`. Those that were sent at an earlier rate
    /// say nothing of this one. True where the rate changed.
    pub(super) fn recover(&mut self, epoch: u32, now: Instant) -> bool {
        if epoch != self.epoch {
            return false;
        }
        self.throttled = false;
        if self.current >= self.set || now.duration_since(self.changed_at) < RECOVERY_STEP {
            return false;
        }
        self.current = if self.current < self.low {
            self.climbs_since = now;
            (self.current * DOUBLING).min(self.low)
        } else {
            self.climbed(now).min(self.set)
        };
        self.changed_at = now;
        true
    }

    fn climbed(&self, now: Instant) -> f64 {
        let climbs = now.duration_since(self.climbs_since);
        let stays = climbs.saturating_sub(CLIMB);
        let left = CLIMB.saturating_sub(climbs).div_duration_f64(CLIMB);
        let looks = stays.saturating_sub(self.stay).div_duration_f64(CLIMB);
        let nearly = self.ceiling * NEARLY;
        nearly - (nearly - self.low) * left.powi(3) + self.set * GAIN * looks.powi(3)
    }

    /// Calls per second.
    pub(super) fn calls_per_second(&self) -> f64 {
        self.current
    }

    /// The number of the rate: it counts the decreases.
    pub(super) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether a throttled answer to an attempt of `epoch` is another one in a row: it was sent after the last decrease, and
    /// no good answer has come since.
    pub(super) const fn is_throttled_again(&self, epoch: u32) -> bool {
        self.throttled && epoch == self.epoch
    }
}

/// Calls in a second as a rate. That none were granted says of a slow rate only that it is slow.
#[expect(clippy::cast_precision_loss, reason = "calls in a second, far below 2^52")]
fn as_rate(calls: usize) -> f64 {
    calls.max(1) as f64
}
