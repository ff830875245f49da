//! What the ledger knows that could make the bill differ: records that are not archived, those whose sub code no table
//! knows, those close to the boundary of a day, those of unknown day.
//!
//! - [`Month`]: the days that are compared
//! - [`Evidence`]: how many records there are of each kind
//! - [`Reason`]: what a record could explain, and on which day

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::compare::{Beside, Facts, Key, Place};
use super::explain::Class;
use crate::day::BillingZone;
use crate::ledger::MonthRow;
use crate::record::State;
use crate::tables::SubCodes;

/// How close to the boundary of a day a verification must be for the vendor to count it on the other side: it is made
/// within minutes, and begins on one day and ends on the other.
pub const BOUNDARY: SignedDuration = SignedDuration::from_mins(15);
/// How long before it is first seen a record of unknown day is taken to be made, in microseconds: a nightly run sees it on the
/// next day.
const SEEN_AFTER_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// The days of a calendar month of the vendor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Month {
    zone: BillingZone,
    first: Date,
    /// When each day begins, in microseconds since 1970 UTC, from the one before the month to the one after it, and when that
    /// one ends.
    bounds: Vec<i64>,
}

impl Month {
    /// The month of `day`. `None` at the very end of the calendar.
    pub fn of(day: Date, zone: &BillingZone) -> Option<Self> {
        let first = day.first_of_month();
        let days = (-1..=i64::from(first.days_in_month())).map(|days| first.checked_add(days.days()).ok());
        let mut bounds = Vec::new();
        let mut end = None;
        for day in days {
            let (begin, until) = zone.bounds(day?)?;
            bounds.push(begin.as_microsecond());
            end = Some(until.as_microsecond());
        }
        bounds.extend(end);
        let zone = zone.clone();
        Some(Self { zone, first, bounds })
    }

    /// Where its days begin.
    pub const fn zone(&self) -> &BillingZone {
        &self.zone
    }

    /// The first and the last day.
    pub fn days(&self) -> (Date, Date) {
        (self.first, self.first.last_of_month())
    }

    /// From when to before when it lasts.
    pub fn span(&self) -> (Timestamp, Timestamp) {
        self.between(1, self.bounds.len() - 2)
    }

    /// The same with the day before and the day after.
    pub fn wide_span(&self) -> (Timestamp, Timestamp) {
        self.between(0, self.bounds.len() - 1)
    }

    fn between(&self, from: usize, to: usize) -> (Timestamp, Timestamp) {
        let at = |bound: usize| {
            let micros = self.bounds.get(bound);
            micros.and_then(|micros| Timestamp::from_microsecond(*micros).ok())
        };
        (at(from).unwrap_or(Timestamp::MIN), at(to).unwrap_or(Timestamp::MAX))
    }

    /// The day before it and the day after it.
    pub fn days_beside(&self) -> (Option<Date>, Option<Date>) {
        let (first, last) = self.days();
        (first.yesterday().ok(), last.tomorrow().ok())
    }

    /// Whether the day is one of them.
    pub fn holds(&self, day: Date) -> bool {
        let (first, last) = self.days();
        (first..=last).contains(&day)
    }

    /// The day of a time, of whatever month.
    pub(super) fn date_of(&self, micros: i64) -> Date {
        match self.day_of(micros) {
            Some((day, ..)) => day,
            None => self
                .zone
                .day_of(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MIN)),
        }
    }

    /// The day of a time, and how close to its beginning and its end that is, in microseconds.
    fn day_of(&self, micros: i64) -> Option<(Date, i64, i64)> {
        let after = self.bounds.partition_point(|begin| *begin <= micros);
        let (begin, end) = (*self.bounds.get(after.checked_sub(1)?)?, *self.bounds.get(after)?);
        // The first bound is the day before the month.
        let days = i64::try_from(after).ok()? - 2;
        Some((self.first.checked_add(days.days()).ok()?, micros - begin, end - micros))
    }
}

/// What a record could explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// That the bill has more on this day.
    More(Date, Class),
    /// That the bill has it on the day before.
    DayBefore(Date),
    /// That the bill has it on the day after.
    DayAfter(Date),
    /// That the bill has more on any day: nobody knows its own.
    AnyDay,
    /// That the bill has fewer on this day: the vendor's records lack it.
    NotInRecords(Date),
}

impl Reason {
    /// Of a record of the ledger; `None` where bill and archive should both have it on its day.
    pub fn of(row: &MonthRow<'_>, month: &Month, sub_codes: &SubCodes) -> Option<Self> {
        let billed = row
            .sub_code
            .map(|code| sub_codes.of(row.product_code, code).map(|known| known.billed));
        let Some(micros) = row.verified_at else {
            let may_count = billed != Some(Some(false)) && row.state != State::Abandoned;
            return (may_count && month.saw_first(row)).then_some(Self::AnyDay);
        };
        let (day, from_begin, to_end) = month.day_of(micros)?;
        let boundary = i64::try_from(BOUNDARY.as_micros()).unwrap_or(i64::MAX);
        let is_near = |distance: i64| distance < boundary;
        if !month.holds(day) {
            // Only what is close to the month can be on its bill.
            let counts = row.state == State::Archived && billed == Some(Some(true));
            let before = day < month.first;
            return match (counts, before) {
                (true, true) if to_end <= boundary => Some(Self::DayAfter(day)),
                (true, false) if is_near(from_begin) => Some(Self::DayBefore(day)),
                _ => None,
            };
        }
        match (row.state, billed) {
            (State::Archived, Some(None)) => Some(Self::More(day, Class::UnknownSubCode)),
            (State::Archived, Some(Some(false))) => Some(Self::More(day, Class::UnbilledSubCode)),
            (_, Some(Some(false))) => None,
            (State::Archived, _) if is_near(from_begin) => Some(Self::DayBefore(day)),
            (State::Archived, _) if to_end <= boundary => Some(Self::DayAfter(day)),
            (State::Archived, _) => None,
            _ => Some(Self::More(day, class_of(row)?)),
        }
    }
}

impl Month {
    /// Whether a record of unknown day is taken for one of this month, and so of no other: it was made at the latest when it
    /// was first seen, usually the day before.
    fn saw_first(&self, row: &MonthRow<'_>) -> bool {
        let (start, end) = self.span();
        let made = row.first_seen_at - SEEN_AFTER_MICROS;
        (start.as_microsecond()..end.as_microsecond()).contains(&made)
    }
}

/// The day in UTC of a billed verification of the archive.
pub(super) fn utc_day_of_billed(row: &MonthRow<'_>, sub_codes: &SubCodes) -> Option<Date> {
    let known = sub_codes.of(row.product_code, row.sub_code?)?;
    if row.state != State::Archived || !known.billed {
        return None;
    }
    let time = Timestamp::from_microsecond(row.verified_at?).ok()?;
    Some(time.to_zoned(TimeZone::UTC).date())
}

/// What a record that is not archived explains.
pub(super) const fn class_of(row: &MonthRow<'_>) -> Option<Class> {
    match row.state {
        State::Pending => Some(Class::Pending),
        State::Journalled => Some(Class::Journalled),
        State::Quarantined => Some(Class::Quarantined),
        State::Lost => Some(Class::Lost),
        State::Abandoned if row.not_completed => Some(Class::NotCompleted),
        State::Abandoned => Some(Class::Dropped),
        State::Archived => None,
    }
}

/// How many records there are of each reason.
#[derive(Debug, Default)]
pub struct Evidence {
    by_key: BTreeMap<Key, super::compare::Evidence>,
    undated: BTreeMap<Place, u64>,
}

impl Evidence {
    /// What the vendor's records have more.
    pub fn recorded(by_key: &BTreeMap<Key, super::compare::Evidence>) -> Self {
        Self {
            by_key: by_key.clone(),
            undated: BTreeMap::new(),
        }
    }

    /// One more, which is billed if it is archived and `sub_codes` say so.
    pub fn add(&mut self, row: &MonthRow<'_>, reason: Reason, sub_codes: &SubCodes) {
        let key = |day| Key {
            day,
            product_code: row.product_code.to_owned(),
            region: row.region.to_owned(),
        };
        match reason {
            Reason::More(day, class) => {
                let counted = &mut self.by_key.entry(key(day)).or_default().counted;
                *counted.entry(class).or_default() += 1;
            }
            Reason::DayBefore(day) => self.by_key.entry(key(day)).or_default().at_begin += 1,
            Reason::DayAfter(day) => self.by_key.entry(key(day)).or_default().at_end += 1,
            Reason::NotInRecords(day) => {
                let known = row.sub_code.and_then(|code| sub_codes.of(row.product_code, code));
                let is_counted = row.state == State::Archived && known.is_some_and(|known| known.billed);
                self.by_key.entry(key(day)).or_default().not_in_records += u64::from(is_counted);
            }
            Reason::AnyDay => {
                let pool = (row.product_code.to_owned(), row.region.to_owned());
                *self.undated.entry(pool).or_default() += 1;
            }
        }
    }

    /// Adds it to the facts of the keys of `month`, and to what is known of the days beside it; gives the records of unknown
    /// day.
    pub fn give_to(
        self,
        facts: &mut BTreeMap<Key, Facts>,
        beside: &mut BTreeMap<Key, Beside>,
        month: &Month,
    ) -> BTreeMap<Place, u64> {
        for (key, evidence) in self.by_key {
            if month.holds(key.day) {
                facts.entry(key).or_default().evidence = evidence;
            } else {
                beside.entry(key).or_default().close = evidence.at_begin + evidence.at_end;
            }
        }
        self.undated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month() -> Month {
        Month::of("2026-11-20".parse().unwrap(), &BillingZone::default()).unwrap()
    }

    fn reason(verified_at: Option<&str>, state: State, sub_code: Option<&str>) -> Option<Reason> {
        let verified_at = verified_at.map(|time| time.parse::<Timestamp>().unwrap().as_microsecond());
        let row = MonthRow {
            number: 1,
            transaction_id: "hks1",
            product_code: "FACE_LIVENESS",
            region: "ap-southeast-1",
            verified_at,
            state,
            passed: sub_code.map(|code| code == "200"),
            sub_code,
            first_seen_at: "2026-11-21T02:00:00Z".parse::<Timestamp>().unwrap().as_microsecond(),
            not_completed: true,
        };
        let mut sub_codes = SubCodes::built_in();
        let unbilled = "[FACE_LIVENESS.298]\nmeaning = 'x'\nbilled = false";
        sub_codes.extend(toml::from_str(unbilled).unwrap());
        Reason::of(&row, &month(), &sub_codes)
    }

    #[test]
    fn a_month_is_the_vendors() {
        let (start, end) = month().span();
        assert_eq!(
            (start.to_string(), end.to_string()),
            ("2026-10-31T16:00:00Z".to_owned(), "2026-11-30T16:00:00Z".to_owned())
        );
    }

    #[test]
    fn a_record_explains_by_its_state_its_sub_code_and_its_time() {
        let day = |day: &str| day.parse::<Date>().unwrap();
        let (noon, billed) = ("2026-11-20T04:00:00Z", Some("200"));
        assert_eq!(reason(Some(noon), State::Archived, billed), None);
        let unknown = Reason::More(day("2026-11-20"), Class::UnknownSubCode);
        assert_eq!(reason(Some(noon), State::Archived, Some("299")), Some(unknown));
        let lost = Reason::More(day("2026-11-20"), Class::Lost);
        assert_eq!(reason(Some(noon), State::Lost, None), Some(lost));
        for (time, expected) in [
            ("2026-11-19T16:00:00Z", Some(Reason::DayBefore(day("2026-11-20")))),
            ("2026-11-19T16:14:59Z", Some(Reason::DayBefore(day("2026-11-20")))),
            ("2026-11-19T16:15:00Z", None),
            ("2026-11-20T15:44:59Z", None),
            ("2026-11-20T15:45:00Z", Some(Reason::DayAfter(day("2026-11-20")))),
            ("2026-11-30T15:59:59.999999Z", Some(Reason::DayAfter(day("2026-11-30")))),
            ("2026-11-30T16:00:00Z", Some(Reason::DayBefore(day("2026-12-01")))),
            ("2026-11-30T16:15:00Z", None),
            ("2026-10-31T15:59:59Z", Some(Reason::DayAfter(day("2026-10-31")))),
            ("2026-10-31T15:44:59Z", None),
        ] {
            assert_eq!(reason(Some(time), State::Archived, billed), expected, "{time}");
        }
        let unbilled = Reason::More(day("2026-11-20"), Class::UnbilledSubCode);
        assert_eq!(reason(Some(noon), State::Archived, Some("298")), Some(unbilled));
        let not_completed = Reason::More(day("2026-11-20"), Class::NotCompleted);
        assert_eq!(reason(Some(noon), State::Abandoned, None), Some(not_completed));
        assert_eq!(reason(None, State::Archived, billed), Some(Reason::AnyDay));
        assert_eq!(reason(None, State::Abandoned, None), None);
    }
}
