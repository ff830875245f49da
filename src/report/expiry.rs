//! `expiry.csv`: every unfetched record that is near its expiry, of unknown age, or lost; earliest first.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::csv::{cell, writer};
use super::{ReportError, time};
use crate::ledger::{ExpiryLine, Ledger};
use crate::plan::Band;
use crate::record::{State, expires_at};

const HEADER: [&str; 10] = [
    "transaction_id",
    "merchant_biz_id",
    "product_code",
    "region",
    "verified_at",
    "expires_at",
    "days_left",
    "band",
    "state",
    "attempts",
];

/// How far ahead the report looks.
pub const WARNING_WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Records by nearness of their expiry.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExpiryTotals {
    /// By band.
    pub bands: BTreeMap<Band, u64>,
    /// Of the band `lost`: not fetched, past the expiry, and not yet known to be gone.
    pub overdue: u64,
}

impl ExpiryTotals {
    /// How many are in that band.
    pub fn of(&self, band: Band) -> u64 {
        self.bands.get(&band).copied().unwrap_or(0)
    }
}

/// Writes `expiry.csv` and counts by band. A record past its expiry is in the band `lost` even while its state is still
/// pending: its last call may yet bring it.
pub fn write(
    ledger: &Ledger,
    now: Timestamp,
    window: SignedDuration,
    out: impl Write,
) -> Result<ExpiryTotals, ReportError> {
    let mut out = writer(out);
    let mut totals = ExpiryTotals {
        bands: Band::ALL.into_iter().map(|band| (band, 0)).collect(),
        overdue: 0,
    };
    out.write_record(HEADER.iter().chain(&["last_call_code"]))?;
    let horizon = now.saturating_add(window).unwrap_or(Timestamp::MAX);
    ledger.for_each_expiring::<ReportError>(horizon, |line| {
        let band = if line.state == State::Lost {
            Band::Lost
        } else {
            Band::of(line.verified_at, now)
        };
        *totals.bands.entry(band).or_default() += 1;
        totals.overdue += u64::from(band == Band::Lost && line.state != State::Lost);
        out.write_record(cells(&line, band, now))?;
        Ok(())
    })?;
    out.flush()?;
    Ok(totals)
}

fn cells(line: &ExpiryLine, band: Band, now: Timestamp) -> [String; 11] {
    let expires_at = line.verified_at.map(expires_at);
    [
        cell(line.transaction_id.as_str()).into_owned(),
        cell(line.merchant_biz_id.as_str()).into_owned(),
        cell(&line.product_code).into_owned(),
        cell(&line.region).into_owned(),
        line.verified_at.map(time).unwrap_or_default(),
        expires_at.map(time).unwrap_or_default(),
        expires_at.map(|at| days_left(at, now)).unwrap_or_default(),
        band.as_str().to_owned(),
        line.state.as_str().to_owned(),
        line.attempts.to_string(),
        cell(line.last_call_code.as_deref().unwrap_or_default()).into_owned(),
    ]
}

/// Days with one decimal, rounded towards the expiry: 0.9 is less than a day. Negative: past it.
fn days_left(expires_at: Timestamp, now: Timestamp) -> String {
    const TENTH: i64 = 24 * 60 * 60 / 10;
    let tenths = expires_at.duration_since(now).as_secs().div_euclid(TENTH);
    let sign = if tenths < 0 { "-" } else { "" };
    format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_left_are_rounded_towards_the_expiry() {
        let now: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        for (expires_at, days) in [
            ("2026-11-22T23:59:59Z", "0.9"),
            ("2026-11-23T00:00:00Z", "1.0"),
            ("2026-11-22T00:00:00Z", "0.0"),
            ("2026-11-21T23:59:59Z", "-0.1"),
            ("2026-11-19T00:00:00Z", "-3.0"),
        ] {
            assert_eq!(days_left(expires_at.parse().unwrap(), now), days, "{expires_at}");
        }
    }
}
