//! Values as a person writes them.
//!
//! - [`HumanDuration`]: `6h`, `200ms`, `7d`
//! - [`Pauses`]: several of them, with commas
//! - [`Qps`]: a number of calls per second, or `unlimited`
//! - [`zone`]: a zone by its name or as an offset

use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::Deserialize;

use super::ConfigError;

/// A duration as a person writes it: `6h`, `200ms`, `7d` (a day is 24 hours).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanDuration(pub SignedDuration);

impl HumanDuration {
    /// For timers.
    pub fn std(self) -> Duration {
        self.0.unsigned_abs()
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a duration such as 6h, 90s, 200ms or 7d");
        let span: Span = text.trim().parse().map_err(|_| wrong())?;
        let duration = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|_| wrong())?;
        if duration.is_positive() {
            Ok(Self(duration))
        } else {
            Err(wrong())
        }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Pauses as a person writes them: `10s,30s,1m`, or `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pauses(pub Vec<HumanDuration>);

impl FromStr for Pauses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "none" {
            return Ok(Self(Vec::new()));
        }
        let pauses: Result<Vec<HumanDuration>, String> = text.split(',').map(str::parse).collect();
        pauses.map(Self)
    }
}

/// One rate for everything in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Qps {
    /// Calls per second.
    PerSecond(f64),
    /// No limit: to a loopback address only.
    Unlimited,
}

impl FromStr for Qps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("unlimited") {
            return Ok(Self::Unlimited);
        }
        match text.parse::<f64>() {
            Ok(rate) if is_rate(rate) => Ok(Self::PerSecond(rate)),
            _ => Err(format!(
                "{text:?} is neither a number of calls per second ({RATES}) nor `unlimited`"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Qps {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Word(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(rate) => rate.to_string(),
            Written::Word(word) => word,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

pub(super) const RATES: &str = "from 0.001 to 100000";

pub(super) fn is_rate(rate: f64) -> bool {
    (0.001..=100_000.0).contains(&rate)
}

/// A zone by its name (`Asia/Singapore`) or as an offset (`+08:00`).
pub(super) fn zone(key: &str, name: Option<&str>) -> Result<Option<TimeZone>, ConfigError> {
    let Some(name) = name else {
        return Ok(None);
    };
    let zone = parse_offset(name).or_else(|| TimeZone::get(name).ok());
    zone.map(Some).ok_or_else(|| {
        ConfigError::value(
            key,
            format!("{name:?} is neither an offset such as +08:00 nor a known zone such as Asia/Singapore"),
        )
    })
}

fn parse_offset(text: &str) -> Option<TimeZone> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let in_range = (0..=14).contains(&hours) && (0..60).contains(&minutes);
    let offset = jiff::tz::Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()?;
    in_range.then(|| TimeZone::fixed(offset))
}
