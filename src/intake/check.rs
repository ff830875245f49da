//! Makes a checked [`Pending`] of a row's values, whatever source they come from.
//!
//! - [`FIELDS`]: the fields' names, in the order that all arrays here have
//! - [`Columns`]: where each field stands in a source
//! - [`Value`]: what a source can hold in a field
//! - [`pending`]: the check itself

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{ColumnNames, IntakeError, IntakeSettings};
use crate::plain::shortened;
use crate::record::{InvalidField, MerchantBizId, Pending, ProductCode, Region, TransactionId};

/// The fields of a row, by the names that their columns have unless configured.
pub(super) const FIELDS: [&str; 5] = [
    "transaction_id",
    "merchant_biz_id",
    "product_code",
    "region",
    "verified_at",
];

/// How much of a bad value is shown, in characters.
const SHOWN_CHARS: usize = 64;
/// How many columns an error names at most.
const SHOWN_COLUMNS: usize = 20;
/// The first second of 2000 in Unix time: an earlier verification is a mistake.
const EARLIEST_SECOND: i64 = 946_684_800;
/// The first second of 2100 in Unix time.
const TOO_LATE_SECOND: i64 = 4_102_444_800;
/// From here on an integer counts milliseconds, below it seconds: as seconds it would be the year 5138, as
/// milliseconds 1973.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;
/// Digits of a second's fraction that are kept: microseconds, as in the archive.
const FRACTION_DIGITS: usize = 6;
/// Length of `2026-11-01` in bytes.
const DATE_BYTES: usize = 10;

/// Where each field stands in a source; `None` where the source doesn't have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    /// The index of the ids' column.
    pub(super) transaction_id: usize,
    /// The index of each field's column, in the order of [`FIELDS`].
    pub(super) at: [Option<usize>; 5],
}

impl Columns {
    /// Looks for the wanted columns among `found`.
    pub(super) fn find(name: &str, found: &[String], wanted: &ColumnNames) -> Result<Self, IntakeError> {
        let names = [
            &wanted.transaction_id,
            &wanted.merchant_biz_id,
            &wanted.product_code,
            &wanted.region,
            &wanted.verified_at,
        ];
        let mut at = [None; 5];
        for (at, wanted) in at.iter_mut().zip(names) {
            let mut places = (0..found.len()).filter(|index| is_column(&found[*index], wanted));
            *at = places.next();
            if places.next().is_some() {
                return Err(IntakeError::DuplicateColumn {
                    name: name.to_owned(),
                    column: wanted.clone(),
                });
            }
        }
        match at[0] {
            Some(transaction_id) => Ok(Self { transaction_id, at }),
            None => Err(IntakeError::NoIdColumn {
                name: name.to_owned(),
                wanted: wanted.transaction_id.clone(),
                found: list(found),
            }),
        }
    }
}

/// Whether a column of the name `found` is the one that is `wanted`.
pub(super) fn is_column(found: &str, wanted: &str) -> bool {
    found.trim().to_lowercase() == wanted.trim().to_lowercase()
}

/// The names, for people.
pub(super) fn list(names: &[String]) -> String {
    let mut quoted: Vec<String> = names.iter().take(SHOWN_COLUMNS).map(|n| quoted(n)).collect();
    if names.len() > SHOWN_COLUMNS {
        quoted.push(format!("{} more", names.len() - SHOWN_COLUMNS));
    }
    if quoted.is_empty() {
        "none".to_owned()
    } else {
        quoted.join(", ")
    }
}

/// `text` cut to what can be shown; `None` if nothing is left.
pub(super) fn shown(text: &str) -> Option<String> {
    Some(shortened(text, SHOWN_CHARS)).filter(|shown| !shown.is_empty())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text).unwrap_or_default())
}

/// What a source holds in a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// Text; blank is the same as nothing.
    Text(Cow<'a, str>),
    /// A whole number; only a database has these.
    Integer(i64),
    /// What no field can be, in words.
    Unusable(&'static str),
}

impl Value<'_> {
    /// A field that the source or the row doesn't have.
    pub(super) const NOTHING: Self = Self::Text(Cow::Borrowed(""));

    /// As [`super::Rejected::transaction_id`].
    pub(super) fn shown(&self) -> Option<String> {
        self.text(FIELDS[0]).ok().and_then(|text| shown(&text))
    }

    fn text(&self, field: &str) -> Result<Cow<'_, str>, String> {
        match self {
            Self::Text(text) => Ok(Cow::Borrowed(text.as_ref())),
            Self::Integer(number) => Ok(Cow::Owned(number.to_string())),
            Self::Unusable(kind) => Err(format!("{field} is {kind}")),
        }
    }
}

/// Words that stand for no value in exports, whatever their case.
const PLACEHOLDERS: [&str; 9] = [
    "null",
    "(null)",
    "\\n",
    "nan",
    "nat",
    "none",
    "undefined",
    "n/a",
    "<na>",
];

/// Whether a cell says nothing.
fn is_missing(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || is_placeholder(text)
}

fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The row of these values with what could not be read of it, or a sentence on why it has no good id. A cell that can't be read
/// never costs the id: it counts as missing.
pub(super) fn pending(values: &[Value<'_>; 5], settings: &IntakeSettings) -> Result<(Pending, Vec<String>), String> {
    let [transaction_id, merchant_biz_id, product_code, region, verified_at] = values;
    let transaction_id = id(&transaction_id.text(FIELDS[0])?, settings)?;
    let mut unread = Vec::new();
    let row = Pending {
        transaction_id,
        merchant_biz_id: read(optional(merchant_biz_id, FIELDS[1], MerchantBizId::parse), &mut unread),
        product_code: read(optional(product_code, FIELDS[2], ProductCode::parse), &mut unread),
        region: read(known_region(region, settings), &mut unread),
        verified_at: read(moment(verified_at, settings.time_zone.as_ref()), &mut unread),
    };
    Ok((row, unread))
}

/// A cell that can't be read counts as missing, and is named.
fn read<T>(cell: Result<Option<T>, String>, unread: &mut Vec<String>) -> Option<T> {
    cell.unwrap_or_else(|why| {
        unread.push(why);
        None
    })
}

fn id(text: &str, settings: &IntakeSettings) -> Result<TransactionId, String> {
    if is_column(text, &settings.columns.transaction_id) {
        return Err("the row repeats the header".to_owned());
    }
    if is_placeholder(text.trim()) {
        return Err(format!("{} {} stands for no value", FIELDS[0], quoted(text)));
    }
    TransactionId::parse(text).map_err(|invalid| invalid.to_string())
}

fn known_region(value: &Value<'_>, settings: &IntakeSettings) -> Result<Option<Region>, String> {
    let region = optional(value, FIELDS[3], Region::parse)?;
    if let (Some(region), Some(known)) = (&region, &settings.regions)
        && !known.contains(region.as_str())
    {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(format!(
            "region \"{region}\" has no known endpoint; known are {}",
            known.join(", ")
        ));
    }
    Ok(region)
}

fn optional<T>(
    value: &Value<'_>,
    field: &str,
    parse: fn(&str) -> Result<T, InvalidField>,
) -> Result<Option<T>, String> {
    let text = value.text(field)?;
    if is_missing(&text) {
        return Ok(None);
    }
    parse(&text).map(Some).map_err(|invalid| invalid.to_string())
}

/// A time as text, RFC 3339 or in `zone`; `None` for a blank one, or a sentence on why it is none.
pub(crate) fn moment_of(text: &str, zone: Option<&TimeZone>) -> Result<Option<Timestamp>, String> {
    moment(&Value::Text(Cow::Borrowed(text)), zone)
}

fn moment(value: &Value<'_>, zone: Option<&TimeZone>) -> Result<Option<Timestamp>, String> {
    let text = value.text(FIELDS[4])?;
    let text = text.trim();
    if is_missing(text) {
        return Ok(None);
    }
    let moment = match value {
        Value::Integer(number) if (-FIRST_MILLISECONDS..FIRST_MILLISECONDS).contains(number) => {
            Timestamp::from_second(*number).map_err(|_| out_of_range(text))
        }
        Value::Integer(number) => Timestamp::from_millisecond(*number).map_err(|_| out_of_range(text)),
        Value::Text(_) | Value::Unusable(_) => written_moment(text, zone),
    }?;
    if (EARLIEST_SECOND..TOO_LATE_SECOND).contains(&moment.as_second()) {
        Ok(Some(moment))
    } else {
        Err(out_of_range(text))
    }
}

fn out_of_range(text: &str) -> String {
    format!("verified_at {} is not in the years 2000 to 2099", quoted(text))
}

/// RFC 3339; without an offset, or as a date only, it is taken to be in `zone`.
fn written_moment(text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, String> {
    if text.parse::<f64>().is_ok() {
        return Err(format!(
            "verified_at {} is a bare number; write it as 2026-11-01T09:30:00Z",
            quoted(text)
        ));
    }
    let not_a_time = || {
        format!(
            "verified_at {} is not a date and time such as 2026-11-01T09:30:00Z or 2026-11-01 17:30:00+08:00",
            quoted(text)
        )
    };
    let short = without_long_fraction(text);
    let Some((_, time)) = short.split_at_checked(DATE_BYTES) else {
        return Err(not_a_time());
    };
    if time.contains(['+', '-', '[', 'Z', 'z']) {
        return short.parse().map_err(|_| not_a_time());
    }
    let local: DateTime = short.parse().map_err(|_| not_a_time())?;
    let Some(zone) = zone else {
        return Err(format!(
            "verified_at {} has no offset from UTC, and no time zone is configured for such values",
            quoted(text)
        ));
    };
    zone.to_timestamp(local).map_err(|_| out_of_range(text))
}

/// Cuts the fraction of a second after [`FRACTION_DIGITS`]: some databases write more digits than a parser takes.
fn without_long_fraction(text: &str) -> Cow<'_, str> {
    let Some((whole, rest)) = text.split_once('.') else {
        return Cow::Borrowed(text);
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits <= FRACTION_DIGITS {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{whole}.{}{}", &rest[..FRACTION_DIGITS], &rest[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, zone: Option<&str>) -> Result<Option<String>, String> {
        let zone = zone.map(|zone| TimeZone::get(zone).unwrap());
        moment(&Value::Text(text.into()), zone.as_ref()).map(|found| found.map(|found| found.to_string()))
    }

    #[test]
    fn a_moment_with_an_offset_needs_no_zone() {
        for (text, expected) in [
            ("2026-11-01T09:30:00Z", "2026-11-01T09:30:00Z"),
            (" 2026-11-01t09:30:00z ", "2026-11-01T09:30:00Z"),
            ("2026-11-01 17:30:00+08:00", "2026-11-01T09:30:00Z"),
            ("2026-11-01T09:30:00.1234567891234Z", "2026-11-01T09:30:00.123456Z"),
            ("2026-11-01 09:30:00.999999999-00:30", "2026-11-01T10:00:00.999999Z"),
        ] {
            assert_eq!(written(text, None), Ok(Some(expected.to_owned())), "{text}");
        }
        assert_eq!(written("  ", None), Ok(None));
    }

    #[test]
    fn a_moment_without_an_offset_is_in_the_zone_if_there_is_one() {
        for (text, expected) in [
            ("2026-11-01T09:30:00", "2026-11-01T01:30:00Z"),
            ("2026-11-01 09:30:00.1234567", "2026-11-01T01:30:00.123456Z"),
            ("2026-11-01", "2026-10-31T16:00:00Z"),
        ] {
            assert_eq!(written(text, Some("Asia/Shanghai")), Ok(Some(expected.to_owned())));
            assert!(written(text, None).unwrap_err().contains("no offset"), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_a_reason() {
        for (text, reason) in [
            ("1793500000", "bare number"),
            ("20261101", "bare number"),
            ("1793500000.5", "bare number"),
            ("1999-12-31T23:59:59Z", "2000 to 2099"),
            ("2100-01-01T00:00:00Z", "2000 to 2099"),
            ("2026-02-30T00:00:00Z", "not a date"),
            ("2026-11-01T25:00:00Z", "not a date"),
            ("2026-11-01T09:30:00+99:00", "not a date"),
            ("01/11/2026", "not a date"),
            ("yesterday", "not a date"),
            ("2026-11-0é", "not a date"),
        ] {
            let error = written(text, Some("Asia/Shanghai")).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn an_integer_is_unix_time_in_seconds_or_milliseconds() {
        let unix = |number| moment(&Value::Integer(number), None);
        let expected = Some("2026-11-01T09:30:00Z".parse().unwrap());
        assert_eq!(unix(1_793_525_400), Ok(expected));
        assert_eq!(unix(1_793_525_400_000), Ok(expected));
        for bad in [0, -1, i64::MIN, i64::MAX, 1_793_525_400_000_000] {
            assert!(unix(bad).unwrap_err().contains("2000 to 2099"), "{bad}");
        }
    }

    #[test]
    fn a_region_must_be_known_if_the_known_ones_are_given() {
        let mut row = [Value::NOTHING; 5];
        row[0] = Value::Text("hks1".into());
        row[3] = Value::Text("mars-1".into());
        let mut settings = IntakeSettings::default();
        assert!(pending(&row, &settings).unwrap().1.is_empty());
        settings.regions = Some(["ap-southeast-1".to_owned()].into());
        let (taken, unread) = pending(&row, &settings).unwrap();
        assert_eq!((taken.transaction_id.as_str(), taken.region), ("hks1", None));
        assert_eq!(
            unread,
            ["region \"mars-1\" has no known endpoint; known are ap-southeast-1"]
        );
        row[3] = Value::NOTHING;
        assert!(pending(&row, &settings).unwrap().1.is_empty());
    }

    #[test]
    fn a_number_can_be_an_id_and_a_blob_can_not() {
        let mut row = [Value::NOTHING; 5];
        row[0] = Value::Integer(42);
        let (good, _) = pending(&row, &IntakeSettings::default()).unwrap();
        assert_eq!(good.transaction_id.as_str(), "42");
        row[0] = Value::Unusable("a BLOB");
        let bad = pending(&row, &IntakeSettings::default()).unwrap_err();
        assert_eq!(bad, "transaction_id is a BLOB");
    }

    #[test]
    fn a_placeholder_is_no_value_and_no_id() {
        for word in [
            "NULL",
            "null",
            "nan",
            "NaN",
            "None",
            "undefined",
            "N/A",
            "\\N",
            "<NA>",
            "NaT",
        ] {
            let mut row = [const { Value::NOTHING }; 5];
            row[0] = Value::Text(word.into());
            let refused = pending(&row, &IntakeSettings::default()).unwrap_err();
            assert!(refused.contains("stands for no value"), "{word}: {refused}");
            row = std::array::from_fn(|_| Value::Text(word.into()));
            row[0] = Value::Text("hks1".into());
            let (taken, unread) = pending(&row, &IntakeSettings::default()).unwrap();
            assert_eq!((taken.merchant_biz_id, taken.verified_at), (None, None), "{word}");
            assert_eq!((taken.product_code, taken.region), (None, None), "{word}");
            assert!(unread.is_empty(), "{word}: {unread:?}");
        }
    }

    #[test]
    fn a_row_that_repeats_the_header_is_none() {
        let mut row = [const { Value::NOTHING }; 5];
        row[0] = Value::Text(" Transaction_ID".into());
        let refused = pending(&row, &IntakeSettings::default()).unwrap_err();
        assert_eq!(refused, "the row repeats the header");
    }
}
