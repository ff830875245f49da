//! The day of a bill's line. Only a cell that is exactly one of the known forms is a day.
//!
//! - [`day_of`]: the day of a cell, or a sentence on why it has none
//!
//! Known forms are `20261121`, `2026-11-21` and `2026/11/21`, the last two with a time behind them or without one. A time
//! with an offset is a moment, and its day is the vendor's. A time without one is on the vendor's day already.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::day::BillingZone;
use crate::reconcile::table::shown;

/// Digits of a day that is written without separators, such as `20261121`.
const COMPACT_DIGITS: usize = 8;

/// The day of a cell.
pub(super) fn day_of(text: &str, zone: &BillingZone) -> Result<Date, String> {
    let text = text.trim();
    read(text, zone).ok_or_else(|| {
        format!(
            "{} is not a day such as 2026-11-21, 2026/11/21, 20261121, 2026-11-21 08:00:00 or 2026-11-21T00:00:00Z",
            shown(text)
        )
    })
}

fn read(text: &str, zone: &BillingZone) -> Option<Date> {
    let Some((day, time)) = text.split_once([' ', 'T']) else {
        return date(text);
    };
    let day = date(day)?;
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], Some(&time[at..])),
        None => (time, None),
    };
    let time = clock(time.trim_end())?;
    match offset {
        None => Some(day),
        Some(offset) => {
            let moment: Timestamp = format!("{day}T{time}{offset}").parse().ok()?;
            Some(zone.day_of(moment))
        }
    }
}

fn date(text: &str) -> Option<Date> {
    if text.len() == COMPACT_DIGITS && digits(text) {
        return text.parse().ok();
    }
    let separator = if text.contains('-') { '-' } else { '/' };
    let mut parts = text.split(separator);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_short = |part: &str| (1..=2).contains(&part.len()) && digits(part);
    if parts.next().is_some() || year.len() != 4 || !digits(year) || !is_short(month) || !is_short(day) {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// A time of the day as `08:00:00`; spreadsheets leave out its first zero and its seconds.
fn clock(text: &str) -> Option<String> {
    let (hour, rest) = text.split_once(':')?;
    if !(1..=2).contains(&hour.len()) || !digits(hour) {
        return None;
    }
    let text = format!("{hour:0>2}:{rest}");
    let time: jiff::civil::Time = text.parse().ok()?;
    Some(time.to_string())
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_in_a_known_form_is_a_day() {
        for (text, expected) in [
            ("20261018", "2026-10-18"),
            ("2026-10-18", "2026-10-18"),
            (" 2026/10/18 ", "2026-10-18"),
            ("2026/1/8", "2026-01-08"),
            ("2026-10-18 23:59:59", "2026-10-18"),
            ("2026/10/18 0:00", "2026-10-18"),
            ("2026-10-18T15:59:59Z", "2026-10-18"),
            ("2026-10-18T16:00:00Z", "2026-10-19"),
            ("2026-10-18T16:00:00.5Z", "2026-10-19"),
            ("2026-10-19T00:00:00+08:00", "2026-10-19"),
            ("2026-10-18 20:00:00 -05:00", "2026-10-19"),
        ] {
            let day = day_of(text, &BillingZone::default());
            assert_eq!(day, Ok(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "2026-10-18 ~ 2026-10-31",
            "2026-10-18/2026-10-31",
            "2026-10-12/2026-10-31",
            "2026-10-180",
            "2026-10-18 garbage",
            "2026-10-18 00:00:00 garbage",
            "2026-10-18T16:00:00Zulu",
            "2026-10-18-05",
            "2026/10-18",
            "2026-02-30",
            "2026-10",
            "202610180",
            "2026101",
            "10/18/2026",
            "18.10.2026",
            "2026-10-18 25:00",
        ] {
            let refused = day_of(text, &BillingZone::default()).unwrap_err();
            assert!(refused.contains("is not a day"), "{text}: {refused}");
        }
    }
}
