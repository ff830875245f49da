//! `expiry.csv`: every unfetched record that is near its expiry, of unknown age, or lost; earliest first.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Serialize;

use super::cause::Cause;
use super::csv::{cell, writer};
use super::{ReportError, time};
use crate::day::BillingZone;
use crate::ledger::{ExpiryLine, Ledger, LedgerError};
use crate::plan::Band;
use crate::record::{RETENTION, State, expires_at};

const HEADER: [&str; 12] = [
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
    "last_call_code",
    "cause",
];

/// How far ahead the report looks.
pub const WARNING_WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How many nights the loss rate is of: as many as the vendor keeps a result.
pub const LOSS_NIGHTS: i32 = 30;

/// What the report is read by.
#[derive(Debug, Clone, Copy)]
pub struct Outlook<'a> {
    /// The ledger's time.
    pub now: Timestamp,
    /// How far ahead it looks.
    pub window: SignedDuration,
    /// From one run to the next.
    pub run_interval: SignedDuration,
    /// Where a day begins.
    pub zone: &'a BillingZone,
}

impl Outlook<'_> {
    /// Until when it looks.
    fn horizon(&self) -> Timestamp {
        self.now.saturating_add(self.window).unwrap_or(Timestamp::MAX)
    }

    /// The days of the last nights, the last one being today.
    fn nights(&self) -> (Date, Date) {
        let today = self.zone.day_of(self.now);
        (today.saturating_sub((LOSS_NIGHTS - 1).days()), today)
    }
}

/// Records by nearness of their expiry, and by what kept them from being fetched.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExpiryTotals {
    /// By band.
    pub bands: BTreeMap<Band, u64>,
    /// Of the band `lost`: not fetched, past the expiry, and not yet known to be gone.
    pub overdue: u64,
    /// By cause.
    pub causes: BTreeMap<Cause, CauseTotal>,
    /// By the billing day in which they expire and by cause, from the first of the last 30 nights on.
    pub days: Vec<CauseDay>,
    /// What the last 30 nights lost.
    pub loss: Loss,
}

/// How many records a cause has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CauseTotal {
    /// Lost, or past their expiry and most likely so.
    pub lost: u64,
    /// The vendor should still have them.
    pub endangered: u64,
}

impl CauseTotal {
    /// Whether there are none.
    pub const fn is_none(self) -> bool {
        self.lost + self.endangered == 0
    }
}

/// Records that expire on one day, of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CauseDay {
    /// The billing day in which they expire.
    pub day: Date,
    /// What kept them from being fetched.
    pub cause: Cause,
    /// How many.
    #[serde(flatten)]
    pub total: CauseTotal,
}

/// Of the verifications that expired in the last nights, those that were not saved. What the customer never finished is
/// none, once the vendor has said so.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Loss {
    /// The first day of these nights.
    pub from: Date,
    /// The last one, today.
    pub to: Date,
    /// Verifications that expire in these days and are in the archive.
    pub archived: u64,
    /// Records that expired in these days unfetched.
    pub lost: u64,
    /// From 0 to 1: the lost ones of both; 0 where there are none.
    pub rate: f64,
}

impl Loss {
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    fn new((from, to): (Date, Date), archived: u64, lost: u64) -> Self {
        Self {
            from,
            to,
            archived,
            lost,
            rate: lost as f64 / (archived + lost).max(1) as f64,
        }
    }
}

impl ExpiryTotals {
    /// How many are in that band.
    pub fn of(&self, band: Band) -> u64 {
        self.bands.get(&band).copied().unwrap_or(0)
    }
}

/// Adds the lines up.
struct Sums<'a> {
    outlook: &'a Outlook<'a>,
    totals: ExpiryTotals,
    days: BTreeMap<(Date, Cause), CauseTotal>,
}

impl<'a> Sums<'a> {
    fn new(outlook: &'a Outlook<'a>) -> Self {
        let totals = ExpiryTotals {
            bands: Band::ALL.into_iter().map(|band| (band, 0)).collect(),
            causes: Cause::ALL
                .into_iter()
                .map(|cause| (cause, CauseTotal::default()))
                .collect(),
            ..ExpiryTotals::default()
        };
        Self {
            outlook,
            totals,
            days: BTreeMap::new(),
        }
    }

    fn add(&mut self, line: &ExpiryLine, band: Band, cause: Cause) {
        let totals = &mut self.totals;
        *totals.bands.entry(band).or_default() += 1;
        totals.overdue += u64::from(band == Band::Lost && line.state != State::Lost);
        let mut sums = vec![totals.causes.entry(cause).or_default()];
        let day = self.outlook.zone.day_of(line.deadline());
        // Earlier days and the far ones of records of unknown age would make the report longer every night.
        let (first, last) = (
            self.outlook.nights().0,
            self.outlook.zone.day_of(self.outlook.horizon()),
        );
        if (first..=last).contains(&day) {
            sums.push(self.days.entry((day, cause)).or_default());
        }
        for sum in sums {
            sum.lost += u64::from(band == Band::Lost);
            sum.endangered += u64::from(band != Band::Lost);
        }
    }

    fn finish(mut self, ledger: &Ledger) -> Result<ExpiryTotals, LedgerError> {
        let nights @ (from, to) = self.outlook.nights();
        let in_nights = self.days.iter().filter(|((day, _), _)| (from..=to).contains(day));
        let lost = in_nights.map(|(_, total)| total.lost).sum();
        let verified = [from, to].map(|day| day.saturating_sub((RETENTION.as_hours() / 24).days()));
        let archived = ledger.archived_between(verified.into())?;
        self.totals.loss = Loss::new(nights, archived, lost);
        let days = self.days.into_iter();
        self.totals.days = days
            .map(|((day, cause), total)| CauseDay { day, cause, total })
            .collect();
        Ok(self.totals)
    }
}

/// Writes `expiry.csv` and adds it up. A record past its expiry is in the band `lost` even while its state is still
/// pending: its last call may yet bring it.
pub fn write(ledger: &Ledger, outlook: &Outlook<'_>, out: impl Write) -> Result<ExpiryTotals, ReportError> {
    let mut out = writer(out);
    let mut sums = Sums::new(outlook);
    out.write_record(HEADER)?;
    ledger.for_each_expiring::<ReportError>(outlook.horizon(), |line| {
        let band = if line.state == State::Lost {
            Band::Lost
        } else {
            Band::of(line.verified_at, outlook.now)
        };
        let cause = Cause::of(&line, outlook.run_interval);
        sums.add(&line, band, cause);
        out.write_record(cells(&line, band, cause, outlook.now))?;
        Ok(())
    })?;
    out.flush()?;
    Ok(sums.finish(ledger)?)
}

fn cells(line: &ExpiryLine, band: Band, cause: Cause, now: Timestamp) -> [String; 12] {
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
        cause.as_str().to_owned(),
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
