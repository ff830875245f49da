//! How figures and texts are written on the page.

use std::fmt::Display;

use jiff::ToSpan as _;
use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::chart::Value;
use crate::plain;

/// Characters of a text from outside.
const MAX_CHARACTERS: usize = 300;

/// Between groups of three digits: a narrow blank at which no line is broken.
const GROUP: char = '\u{202f}';

/// Text from outside, fit to be shown and no longer than a reader wants.
pub(super) fn clean(text: &str) -> String {
    plain::shortened(text, MAX_CHARACTERS)
}

/// A number with its digits in groups of three; what is behind a decimal point stays together.
pub(super) fn grouped(number: impl Display) -> String {
    let written = number.to_string();
    let (whole, rest) = written.split_at(written.find('.').unwrap_or(written.len()));
    let digits = whole.trim_start_matches('-').len();
    let mut text = String::with_capacity(written.len() + digits);
    for (at, c) in whole.chars().enumerate() {
        let behind = whole.len() - at;
        if behind.is_multiple_of(3) && behind < digits {
            text.push(GROUP);
        }
        text.push(c);
    }
    text + rest
}

/// A count as a figure of a chart.
pub(super) fn counted(number: u64) -> Value {
    exact(Decimal::from(number))
}

/// A sum as a figure of a chart: drawn as a floating point number, written exactly.
pub(super) fn exact(sum: Decimal) -> Value {
    Value {
        length: sum.to_f64().unwrap_or_default(),
        text: grouped(sum.normalize()),
    }
}

/// A rate with at most three decimals.
pub(super) fn rate(per_second: f64) -> String {
    let written = format!("{per_second:.3}");
    written.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{}\u{202f}%", rate(share * 100.0))
}

/// Seconds since a start: `3:05`, `1:03:05`.
pub(super) fn since_start(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// A day below a column.
pub(super) fn short(day: Date) -> String {
    day.strftime("%-d %b").to_string()
}

/// Every day from the first to the last.
pub(super) fn all_days(first: Date, last: Date) -> impl Iterator<Item = Date> {
    first.series(1.day()).take_while(move |day| *day <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_groups_and_decimals_stay() {
        let written = ["0", "12", "999", "1000", "-1000", "-100", "1234567.891", "100000"].map(grouped);
        assert_eq!(
            written.map(|text| text.replace(GROUP, " ")),
            ["0", "12", "999", "1 000", "-1 000", "-100", "1 234 567.891", "100 000"]
        );
    }

    #[test]
    fn rates_shares_and_times_are_short() {
        assert_eq!([40.0, 0.8, 2.04, 0.0001].map(rate), ["40", "0.8", "2.04", "0"]);
        assert_eq!(percent(0.000_123), "0.012\u{202f}%");
        assert_eq!([5, 65, 3_785].map(since_start), ["0:05", "1:05", "1:03:05"]);
    }
}
