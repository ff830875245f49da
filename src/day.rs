//! The vendor's day: verifications are billed by it, and the archive is partitioned by it.
//!
//! - [`BillingZone`]: where a day begins

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// The zone in which a billing day begins: UTC+8 unless configured (the vendor's billing documents, seen 2026).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingZone(TimeZone);

impl Default for BillingZone {
    fn default() -> Self {
        Self(TimeZone::fixed(Offset::constant(8)))
    }
}

impl BillingZone {
    /// A zone of the configuration's choice.
    pub const fn new(zone: TimeZone) -> Self {
        Self(zone)
    }

    /// The zone itself.
    pub const fn zone(&self) -> &TimeZone {
        &self.0
    }

    /// The billing day that `time` falls on.
    pub fn day_of(&self, time: Timestamp) -> Date {
        time.to_zoned(self.0.clone()).date()
    }

    /// From when to before when a billing day lasts. `None` for a day at the very end of the calendar.
    pub fn bounds(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let next = day.checked_add(1.day()).ok()?;
        let start = |day: Date| Some(day.to_zoned(self.0.clone()).ok()?.timestamp());
        Some((start(day)?, start(next)?))
    }
}

/// The first and the last day of the month `month` months before the one of `day`.
pub fn month_before(day: Date, months: i32) -> (Date, Date) {
    let first = day.first_of_month().saturating_sub(months.months());
    (first, first.last_of_month())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_day_begins_at_sixteen_hundred_utc() {
        let zone = BillingZone::default();
        let day = |text: &str| zone.day_of(text.parse().unwrap()).to_string();
        assert_eq!(day("2026-11-21T15:59:59.999999Z"), "2026-11-21");
        assert_eq!(day("2026-11-21T16:00:00Z"), "2026-11-22");
        let (start, end) = zone.bounds("2026-11-22".parse().unwrap()).unwrap();
        assert_eq!(
            (start.to_string(), end.to_string()),
            ("2026-11-21T16:00:00Z".into(), "2026-11-22T16:00:00Z".into())
        );
    }

    #[test]
    fn months_are_whole() {
        let (first, last) = month_before("2026-03-31".parse().unwrap(), 1);
        assert_eq!(
            (first.to_string(), last.to_string()),
            ("2026-02-01".into(), "2026-02-28".into())
        );
    }
}
