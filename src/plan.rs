//! Policy about time, pure: when a record is due again, how near its expiry it is, and what the backlog will cost.
//!
//! - [`next_due_at`]: the backing off of what is not completed
//! - [`Band`]: nearness of the expiry, for the report
//! - [`Forecaster`], [`Forecast`]: how long the backlog takes, and how many records expire first

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::record::{Due, LAST_CHANCE, expires_at};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How much earlier than a whole number of days a record is due again, so that a nightly run which starts a little
/// earlier than the last one still takes it.
const NIGHTLY_SLACK: SignedDuration = SignedDuration::from_hours(4);

/// A record that is not completed is asked for again after 1, 2, 4 and then every 8 days.
const MOST_DOUBLINGS: u32 = 3;

/// How much later than planned a run may start.
const LATE_START: SignedDuration = SignedDuration::from_hours(12);

/// How long before its deadline a record is due at the latest, so that a run comes in that time where runs are so far apart.
pub fn last_chance(run_interval: SignedDuration) -> SignedDuration {
    run_interval.saturating_add(LATE_START).max(LAST_CHANCE)
}

/// When a record is due again that the vendor had not completed by `now`: backing off by days, but always once more in the
/// last day and a half before its deadline, or earlier where runs are further apart.
pub fn next_due_at(due: &Due, now: Timestamp, run_interval: SignedDuration) -> Timestamp {
    let days = 1_i32 << due.not_completed_runs.min(MOST_DOUBLINGS);
    let wait = DAY * days - NIGHTLY_SLACK;
    let next_night = later(now, DAY - NIGHTLY_SLACK);
    let last_chance = later(due.deadline(), -last_chance(run_interval));
    later(now, wait).min(last_chance).max(next_night)
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(time)
}

/// How near a record is to its expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum Band {
    /// Past it.
    #[serde(rename = "lost")]
    Lost,
    /// Within a day.
    #[serde(rename = "1d")]
    Day,
    /// Within three days.
    #[serde(rename = "3d")]
    ThreeDays,
    /// Within the warning window.
    #[serde(rename = "7d")]
    Week,
    /// `verified_at` is not known.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Band {
    /// Every band, nearest first.
    pub const ALL: [Self; 5] = [Self::Lost, Self::Day, Self::ThreeDays, Self::Week, Self::Unknown];

    /// The band of a record that is not fetched by `now`.
    pub fn of(verified_at: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(verified_at) = verified_at else {
            return Self::Unknown;
        };
        let left = expires_at(verified_at).duration_since(now);
        match left {
            left if left <= SignedDuration::ZERO => Self::Lost,
            left if left <= DAY => Self::Day,
            left if left <= DAY * 3 => Self::ThreeDays,
            _ => Self::Week,
        }
    }

    /// The word in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Day => "1d",
            Self::ThreeDays => "3d",
            Self::Week => "7d",
            Self::Unknown => "unknown",
        }
    }
}

/// What a product's backlog costs at a pace.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Forecast {
    /// Due records.
    pub due: u64,
    /// Those past their deadline already: asked last, most likely lost.
    pub overdue: u64,
    /// Those that expire before the run reaches them. The plan is earliest deletion first, so no order has fewer.
    pub expire_first: u64,
    /// Seconds until the last one is fetched.
    pub seconds: f64,
}

/// Walks a product's deadlines in the order of the plan.
#[derive(Debug)]
pub struct Forecaster {
    start: Timestamp,
    seconds_per_call: f64,
    due: u64,
    overdue: u64,
    expire_first: u64,
}

impl Forecaster {
    /// From `start` at so many calls per second; `None` = unlimited.
    pub fn new(start: Timestamp, calls_per_second: Option<f64>) -> Self {
        let seconds_per_call = calls_per_second.map_or(0.0, |rate| 1.0 / rate);
        Self {
            start,
            seconds_per_call,
            due: 0,
            overdue: 0,
            expire_first: 0,
        }
    }

    /// The next record. One whose age is unknown is fetched in its turn and never counted as expiring.
    pub fn add(&mut self, deadline: Timestamp, age_known: bool) {
        self.due += 1;
        if deadline <= self.start {
            self.overdue += 1;
        } else if age_known && deadline <= self.reached_at() {
            self.expire_first += 1;
        }
    }

    fn reached_at(&self) -> Timestamp {
        let turn = self.due - self.overdue - self.expire_first - 1;
        later(
            self.start,
            SignedDuration::try_from(self.duration_of(turn)).unwrap_or(SignedDuration::MAX),
        )
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a forecast of more than 2^52 calls is no better"
    )]
    fn duration_of(&self, calls: u64) -> Duration {
        Duration::try_from_secs_f64(calls as f64 * self.seconds_per_call).unwrap_or(Duration::MAX)
    }

    /// The sum.
    pub fn finish(self) -> Forecast {
        let seconds = self.duration_of(self.due - self.expire_first).as_secs_f64();
        Forecast {
            due: self.due,
            overdue: self.overdue,
            expire_first: self.expire_first,
            seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ProductCode, Region, TransactionId};

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn due(verified_at: &str, not_completed_runs: u32) -> Due {
        Due {
            number: 1,
            transaction_id: TransactionId::parse("t1").unwrap(),
            merchant_biz_id: None,
            product_code: ProductCode::parse("FACE_LIVENESS").unwrap(),
            region: Region::parse("ap-southeast-1").unwrap(),
            verified_at: Some(time(verified_at)),
            first_seen_at: time("2026-11-01T00:00:00Z"),
            not_completed_runs,
            failed_runs: 0,
        }
    }

    #[test]
    fn what_is_not_completed_backs_off_by_days() {
        let now = time("2026-11-02T02:00:00Z");
        for (runs, next) in [
            (0, "2026-11-02T22:00:00Z"),
            (1, "2026-11-03T22:00:00Z"),
            (2, "2026-11-05T22:00:00Z"),
            (3, "2026-11-09T22:00:00Z"),
            (30, "2026-11-09T22:00:00Z"),
        ] {
            assert_eq!(
                next_due_at(&due("2026-11-01T00:00:00Z", runs), now, DAY),
                time(next),
                "{runs}"
            );
        }
    }

    #[test]
    fn it_is_asked_for_once_more_before_its_deadline() {
        // Deleted on 2026-12-01T00:00; the next eight days would pass that.
        let next = next_due_at(&due("2026-11-01T00:00:00Z", 9), time("2026-11-27T02:00:00Z"), DAY);
        assert_eq!(next, time("2026-11-29T12:00:00Z"));
        let next = next_due_at(&due("2026-11-01T00:00:00Z", 9), time("2026-11-30T02:00:00Z"), DAY);
        assert_eq!(next, time("2026-11-30T22:00:00Z"), "not twice a night");
        let next = next_due_at(&due("2026-11-01T00:00:00Z", 9), time("2026-11-20T02:00:00Z"), DAY * 7);
        assert_eq!(next, time("2026-11-23T12:00:00Z"), "a weekly run comes in time");
    }

    #[test]
    fn bands_are_told_by_the_time_that_is_left() {
        let now = time("2026-11-22T00:00:00Z");
        for (verified_at, band) in [
            (None, Band::Unknown),
            (Some("2026-10-23T00:00:00Z"), Band::Lost),
            (Some("2026-10-23T00:00:01Z"), Band::Day),
            (Some("2026-10-24T00:00:00Z"), Band::Day),
            (Some("2026-10-26T00:00:00Z"), Band::ThreeDays),
            (Some("2026-10-28T00:00:00Z"), Band::Week),
        ] {
            assert_eq!(Band::of(verified_at.map(time), now), band, "{verified_at:?}");
        }
    }

    /// Against a simulation that asks in plan order and passes over what has expired by then.
    #[test]
    fn the_forecast_counts_what_expires_first() {
        let start = time("2026-11-22T00:00:00Z");
        let mut forecaster = Forecaster::new(start, Some(1.0));
        let deadlines = [-5, 1, 1, 2, 2, 3, 100];
        for seconds in deadlines {
            forecaster.add(start + SignedDuration::from_secs(seconds), true);
        }
        let forecast = forecaster.finish();
        // Asked at 0 s: deadline 1; at 1 s: the other 1 is gone, a 2; at 2 s: the other 2 is gone, the 3; then the 100.
        assert_eq!((forecast.due, forecast.overdue, forecast.expire_first), (7, 1, 2));
        assert!((forecast.seconds - 5.0).abs() < 1e-9);
    }

    #[test]
    fn an_unknown_age_is_never_counted_as_expiring() {
        let start = time("2026-11-22T00:00:00Z");
        let mut forecaster = Forecaster::new(start, Some(0.000_1));
        for _ in 0..1_000 {
            forecaster.add(start + DAY * 30, false);
        }
        assert_eq!(forecaster.finish().expire_first, 0);
    }
}
