//! Numbers of a bill. Only what can be read in one way is: `1,234` is a thousand to some and one to others.
//!
//! - [`amount`], [`quantity`]: a cell's number, or a sentence on why it has none

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::table::shown;

/// Decimals of an amount or a price; with [`MAX_WHOLE_DIGITS`] every sum of a bill stays within the 28 digits that are exact.
const MAX_DECIMALS: usize = 14;
/// Digits in front of the decimal point.
const MAX_WHOLE_DIGITS: usize = 10;

/// The price of a call, with a currency and a unit behind it or without: `0.0245 USD/Times`.
pub(super) fn unit_price(text: &str) -> Result<Decimal, String> {
    let number = match text.trim().split_once(' ') {
        Some((number, unit)) if is_unit(unit) => number,
        _ => text,
    };
    amount(number)
}

/// `USD`, or `USD/Times`.
fn is_unit(text: &str) -> bool {
    let (currency, unit) = text.split_once('/').unwrap_or((text, "Times"));
    let is_currency = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    is_currency && !unit.is_empty() && !unit.bytes().any(|byte| byte.is_ascii_digit())
}

/// A number as a spreadsheet writes it, such as `4.41E+00`; `None`: it is none.
fn scientific(text: &str) -> Option<Decimal> {
    let (digits, exponent) = text.split_once(['E', 'e'])?;
    let (sign, power) = exponent.split_at_checked(1)?;
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_power = power.len() == 2 && power.bytes().all(|byte| byte.is_ascii_digit());
    let digits_alone = digits.strip_prefix('-').unwrap_or(digits);
    if !matches!(sign, "+" | "-") || !is_power || !is_plain(digits_alone) {
        return None;
    }
    Decimal::from_scientific(text).ok()
}

/// A decimal number: an optional `-`, digits, and decimals behind a point.
pub(super) fn amount(text: &str) -> Result<Decimal, String> {
    let written = text.trim();
    let plain = scientific(written).map(|number| number.normalize().to_string());
    let text = plain.as_deref().unwrap_or(written);
    if text.contains([',', '，', '\'', ' ', '\u{a0}', '_']) {
        return Err(format!(
            "{} has a separator in it: idvault guesses neither thousands separators nor decimal commas; export plain \
             numbers such as 1234.56",
            shown(text)
        ));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(decimals) {
        return Err(format!("{} is not a number such as 1234.56", shown(text)));
    }
    let decimals = decimals.trim_end_matches('0');
    if whole.trim_start_matches('0').len() > MAX_WHOLE_DIGITS || decimals.len() > MAX_DECIMALS {
        return Err(format!(
            "{} has more than {MAX_WHOLE_DIGITS} digits, or more than {MAX_DECIMALS} decimals",
            shown(text)
        ));
    }
    let number: Result<Decimal, _> = text.parse();
    number
        .map(|number| number.normalize())
        .map_err(|_| format!("{} is not a number such as 1234.56", shown(text)))
}

/// A number of calls: whole, though it may be written with decimals.
pub(super) fn quantity(text: &str) -> Result<i64, String> {
    let number = amount(text)?;
    number
        .is_integer()
        .then(|| number.to_i64())
        .flatten()
        .ok_or_else(|| format!("{} is not a whole number of calls", shown(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_are_exact() {
        for (text, expected) in [
            ("0.078", "0.078"),
            (" -12.500 ", "-12.5"),
            ("0012", "12"),
            ("1234567890.12345678901234", "1234567890.12345678901234"),
            ("4.41E+00", "4.41"),
            ("-1.5E-03", "-0.0015"),
            ("2.6E+02", "260"),
        ] {
            assert_eq!(amount(text).unwrap().to_string(), expected);
        }
        assert_eq!(quantity("1200.000"), Ok(1200));
        assert_eq!(quantity("-3"), Ok(-3));
        for text in ["0.0245", "0.0245 USD", "0.0245 USD/Times", "0.0245 CNY/次"] {
            assert_eq!(unit_price(text).unwrap().to_string(), "0.0245");
        }
        for text in ["0.0245 US", "0.0245 USD/1000", "0.02 0.03"] {
            assert!(unit_price(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (text, why) in [
            ("1,234", "separator"),
            ("1 234", "separator"),
            ("1'234", "separator"),
            ("12,50", "separator"),
            ("1e3", "not a number"),
            ("+1", "not a number"),
            ("$1", "not a number"),
            ("", "not a number"),
            ("-", "not a number"),
            ("1.", "not a number"),
            (".5", "not a number"),
            ("12345678901", "more than"),
            ("0.123456789012345", "more than"),
            ("1E+20", "more than"),
            ("0.0245 USD/Times", "separator"),
        ] {
            let error = amount(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(quantity("1.5").unwrap_err().contains("whole"));
    }
}
