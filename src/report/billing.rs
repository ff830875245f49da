//! `billing.csv`: what was verified, by the vendor's day, product, region and sub code, and what it costs.
//!
//! - [`read`]: the rows of some days; [`Days`]: which; [`Billing`]: those of closed months, and what came later
//! - [`write()`]: them as CSV; [`write_json`]: as JSON
//! - [`totals`], [`BillingTotals`]: their sums, for the run's summary

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Value};

use super::csv::{cell, writer};
use crate::closing::{Record, late};
use crate::ledger::{ClosedMonth, Ledger, LedgerError};
use crate::pricing::{BillingRow, By, Pricing};
use crate::tally::TallyLine;

const HEADER: [&str; 11] = [
    "product_code",
    "region",
    "sub_code",
    "meaning",
    "billed",
    "verifications",
    "unit_price",
    "currency",
    "amount",
    "package",
    "correction",
];

/// Billing days from the first to the last, both included; `None`: all. Undated rows are always with them, lest they are in
/// no report.
pub type Days = Option<(Date, Date)>;

/// The rows of some days.
#[derive(Debug, Default)]
pub struct Billing {
    /// What was verified; of a closed month, what was signed off.
    pub rows: Vec<BillingRow>,
    /// What came after its month was closed, and is signed off as a correction.
    pub signed_corrections: Vec<BillingRow>,
    /// What came after its month was closed, and is not signed off.
    pub corrections: Vec<BillingRow>,
    /// Closed months that are not what was signed off, a sentence each; their rows are those of an open month.
    pub faults: Vec<String>,
}

impl Billing {
    /// Adds the tallies of a month, or of the unknown days. `used` are the calls of packages that other months used.
    fn add(
        &mut self,
        closed: Option<&[ClosedMonth]>,
        tallies: &[TallyLine],
        pricing: &Pricing,
        used: &mut BTreeMap<String, u64>,
    ) {
        let signed = closed.map(|closed| signed_off(closed, tallies).map_err(|what| (&closed[0], what)));
        match signed {
            None => {
                let rows = pricing.meter_after(used).rows(tallies);
                use_up(&rows, used);
                self.rows.extend(rows);
            }
            Some(Ok((records, late))) => {
                let late = late_rows(&records, &late, pricing, used);
                use_up(&late, used);
                for record in records {
                    let rows = if record.correction == 0 {
                        &mut self.rows
                    } else {
                        &mut self.signed_corrections
                    };
                    rows.extend(record.rows);
                }
                self.corrections.extend(late);
            }
            Some(Err((closed, what))) => {
                self.faults
                    .push(format!("the closed month {}: {what}", closed.month.strftime("%Y-%m")));
                let rows = pricing.meter_after(used).rows(tallies);
                use_up(&rows, used);
                self.rows.extend(rows);
            }
        }
    }

    /// All rows in the order of the reports, and the faults.
    pub fn all(self) -> (Vec<BillingRow>, Vec<String>) {
        let mut all = self.rows;
        all.extend(self.signed_corrections);
        all.extend(self.corrections);
        BillingRow::sort(&mut all);
        (all, self.faults)
    }
}

/// The rows of `days`: a closed month's as they were signed off, the others' at the prices of today.
pub fn read(ledger: &Ledger, pricing: &Pricing, days: Days) -> Result<Billing, LedgerError> {
    let needed = days.map(|(from, to)| (pricing.needed_from(from), to));
    let mut months: BTreeMap<_, Vec<TallyLine>> = BTreeMap::new();
    for tally in ledger.billing(needed)? {
        let month = tally.billing_day.map(Date::first_of_month);
        months.entry((month.is_none(), month)).or_default().push(tally);
    }
    let mut closed: BTreeMap<Date, Vec<ClosedMonth>> = BTreeMap::new();
    // What was signed off is used of a package, in whichever month: the rest is what others can use.
    let mut used: BTreeMap<String, u64> = BTreeMap::new();
    for month in ledger.closed_months(None)? {
        if let Ok(record) = Record::read(&month) {
            use_up(&record.rows, &mut used);
        }
        if needed.is_none_or(|(from, to)| (from.first_of_month()..=to).contains(&month.month)) {
            months.entry((false, Some(month.month))).or_default();
            closed.entry(month.month).or_default().push(month);
        }
    }
    let mut billing = Billing::default();
    for ((_, month), tallies) in months {
        let closed = month.and_then(|month| closed.get(&month)).map(Vec::as_slice);
        billing.add(closed, &tallies, pricing, &mut used);
    }
    let asked_for = |row: &BillingRow| match (days, row.billing_day) {
        (Some((from, _)), Some(day)) => day >= from,
        _ => true,
    };
    billing.rows.retain(asked_for);
    billing.signed_corrections.retain(asked_for);
    billing.corrections.retain(asked_for);
    Ok(billing)
}

/// What was signed off of a month, its corrections among it, and the tallies that came later.
fn signed_off(closed: &[ClosedMonth], tallies: &[TallyLine]) -> Result<(Vec<Record>, Vec<TallyLine>), String> {
    let records: Vec<Record> = closed.iter().map(Record::read).collect::<Result<_, _>>()?;
    let rows: Vec<BillingRow> = records.iter().flat_map(|record| record.rows.clone()).collect();
    let (_, after) = late(&rows, tallies)?;
    Ok((records, after))
}

/// What came after a month was closed, at the prices that it was signed with, after its volume.
fn late_rows(
    records: &[Record],
    late: &[TallyLine],
    pricing: &Pricing,
    used: &BTreeMap<String, u64>,
) -> Vec<BillingRow> {
    let signed = records.first().and_then(|record| record.pricing.as_ref());
    let mut meter = signed.unwrap_or(pricing).meter_after(used);
    let rows = records.iter().flat_map(|record| &record.rows);
    let charged = rows.filter(|row| row.unit_price.is_some());
    for (row, day) in charged.filter_map(|row| Some((row, row.billing_day?))) {
        meter.add_volume(day, &row.product_code, &row.region, row.verifications);
    }
    let rows = meter.rows(late).into_iter();
    rows.map(|row| BillingRow {
        correction: true,
        ..row
    })
    .collect()
}

/// Adds the calls that packages paid for.
fn use_up(rows: &[BillingRow], used: &mut BTreeMap<String, u64>) {
    for row in rows {
        if let Some(package) = &row.package {
            *used.entry(package.clone()).or_default() += row.verifications;
        }
    }
}

/// Writes `billing.csv`.
pub fn write(rows: &[BillingRow], by: By, out: impl Write) -> csv::Result<()> {
    let mut out = writer(out);
    out.write_record(std::iter::once(by.column()).chain(HEADER))?;
    for row in rows {
        out.write_record(cells(row, by))?;
    }
    out.flush()?;
    Ok(())
}

fn cells(row: &BillingRow, by: By) -> [String; 12] {
    let own = |text: &str| cell(text).into_owned();
    let number = |money: Option<Decimal>| money.map(|money| money.to_string()).unwrap_or_default();
    [
        by.cell(row.billing_day).unwrap_or_default(),
        own(&row.product_code),
        own(&row.region),
        own(&row.sub_code),
        own(&row.meaning),
        billed_word(row.billed).to_owned(),
        row.verifications.to_string(),
        number(row.unit_price),
        own(row.currency.as_deref().unwrap_or_default()),
        number(row.amount),
        own(row.package.as_deref().unwrap_or_default()),
        if row.correction { "yes" } else { "no" }.to_owned(),
    ]
}

/// Writes the rows as a JSON array, an object a line. Money is a text: exact.
pub fn write_json(rows: &[BillingRow], by: By, mut out: impl Write) -> io::Result<()> {
    let mut before = "[\n";
    for row in rows {
        let mut named = Map::from_iter([(by.column().to_owned(), by.cell(row.billing_day).into())]);
        if let Value::Object(mut rest) = serde_json::to_value(row)? {
            rest.remove("billing_day");
            named.append(&mut rest);
        }
        write!(out, "{before}{}", Value::Object(named))?;
        before = ",\n";
    }
    writeln!(out, "{}", if rows.is_empty() { "[]" } else { "\n]" })?;
    out.flush()
}

/// The word in the column `billed`.
pub const fn billed_word(billed: Option<bool>) -> &'static str {
    match billed {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

/// The sums of a billing report.
#[derive(Debug, Default, Serialize)]
pub struct BillingTotals {
    /// All verifications.
    pub verifications: u64,
    /// Those that are billed.
    pub billed: u64,
    /// Those that are not.
    pub unbilled: u64,
    /// Those whose sub code the table doesn't know; [`BillingTotals::sub_codes`] names them.
    pub unknown: u64,
    /// Billed ones that no known price holds for.
    pub unpriced: u64,
    /// Those that came after their month was closed.
    pub corrections: u64,
    /// Billed ones that packages paid for.
    pub deducted: u64,
    /// What the others cost, by currency, as the vendor's bill rounds it.
    pub amounts: BTreeMap<String, Decimal>,
    /// Verifications by product and sub code.
    pub sub_codes: Vec<SubCodeTotal>,
}

/// Verifications of one product and sub code.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct SubCodeTotal {
    /// The product.
    pub product_code: String,
    /// The sub code.
    pub sub_code: String,
    /// `yes`, `no` or `unknown`.
    pub billed: &'static str,
    /// How many.
    pub verifications: u64,
}

/// Adds the rows up.
pub fn totals(rows: &[BillingRow]) -> BillingTotals {
    let mut totals = BillingTotals::default();
    let mut by_code: BTreeMap<(&str, &str, &'static str), u64> = BTreeMap::new();
    for row in rows {
        totals.add(row);
        let code = (&*row.product_code, &*row.sub_code, billed_word(row.billed));
        *by_code.entry(code).or_default() += row.verifications;
    }
    for amount in totals.amounts.values_mut() {
        *amount = amount.normalize();
    }
    let by_code = by_code.into_iter();
    let by_code = by_code.map(|((product_code, sub_code, billed), verifications)| SubCodeTotal {
        product_code: product_code.to_owned(),
        sub_code: sub_code.to_owned(),
        billed,
        verifications,
    });
    totals.sub_codes = by_code.collect();
    totals
}

impl BillingTotals {
    /// The sub codes that no table knows.
    pub fn unknown_sub_codes(&self) -> impl Iterator<Item = &SubCodeTotal> {
        self.sub_codes.iter().filter(|code| code.billed == billed_word(None))
    }

    fn add(&mut self, row: &BillingRow) {
        self.verifications += row.verifications;
        *match row.billed {
            Some(true) => &mut self.billed,
            Some(false) => &mut self.unbilled,
            None => &mut self.unknown,
        } += row.verifications;
        if row.correction {
            self.corrections += row.verifications;
        }
        if row.package.is_some() {
            self.deducted += row.verifications;
        } else if row.billed == Some(true) && row.unit_price.is_none() {
            self.unpriced += row.verifications;
        }
        if let (Some(currency), Some(amount)) = (&row.currency, row.amount) {
            *self.amounts.entry(currency.clone()).or_default() += amount;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::BILL_DECIMALS;
    use crate::tables::{Prices, SubCodes};
    use crate::tally::TallyLine;

    fn tally(day: Option<&str>, product_code: &str, sub_code: &str, verifications: u64) -> TallyLine {
        TallyLine {
            billing_day: day.map(|day| day.parse().unwrap()),
            product_code: product_code.to_owned(),
            region: "ap-southeast-1".to_owned(),
            sub_code: sub_code.to_owned(),
            verifications,
        }
    }

    #[test]
    fn money_is_exact_and_what_is_unknown_is_never_guessed() {
        let tallies = [
            tally(Some("2026-11-21"), "FACE_LIVENESS", "200", 3),
            tally(Some("2026-11-21"), "FACE_LIVENESS", "299", 2),
            tally(None, "eKYC", "200", 1),
        ];
        let pricing = Pricing {
            sub_codes: SubCodes::built_in(),
            prices: Prices::built_in(),
            packages: Vec::new(),
            decimals: BILL_DECIMALS,
        };
        let rows = BillingRow::of(&pricing.price(&tallies), &pricing.sub_codes);
        let mut out = Vec::new();
        write(&rows, By::Day, &mut out).unwrap();
        let written: Vec<String> = String::from_utf8(out)
            .unwrap()
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect();
        assert_eq!(
            written,
            [
                "2026-11-21,FACE_LIVENESS,ap-southeast-1,200,Authentication passed,yes,3,0.026,USD,0.078,,no",
                "2026-11-21,FACE_LIVENESS,ap-southeast-1,299,,unknown,2,,,,,no",
                ",eKYC,ap-southeast-1,200,,unknown,1,,,,,no",
            ]
        );
        let totals = totals(&rows);
        assert_eq!((totals.verifications, totals.billed, totals.unknown), (6, 3, 3));
        assert_eq!(totals.amounts["USD"].to_string(), "0.078");
    }
}
