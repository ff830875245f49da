//! `billing.csv`: what was verified, by the vendor's day, product, region and sub code, and what it costs.
//!
//! - [`read`]: the rows of some days; [`Days`]: which
//! - [`write`]: them as CSV; [`write_json`]: as JSON
//! - [`totals`], [`BillingTotals`]: their sums, for the run's summary

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Value};

use super::csv::{cell, writer};
use crate::ledger::{Ledger, LedgerError};
use crate::pricing::{BillingRow, By, Pricing};

const HEADER: [&str; 10] = [
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
];

/// Billing days from the first to the last, both included; `None`: all. The unknown day is always with them, lest it is in
/// no report.
pub type Days = Option<(Date, Date)>;

/// The rows of `days`.
pub fn read(ledger: &Ledger, pricing: &Pricing, days: Days) -> Result<Vec<BillingRow>, LedgerError> {
    let needed = days.map(|(from, to)| (pricing.needed_from(from), to));
    let mut lines = pricing.price(&ledger.billing(needed)?);
    lines.retain(|line| match (days, line.tally.billing_day) {
        (Some((from, _)), Some(day)) => day >= from,
        _ => true,
    });
    Ok(BillingRow::of(&lines, &pricing.sub_codes))
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

fn cells(row: &BillingRow, by: By) -> [String; 11] {
    let own = |text: &str| cell(text).into_owned();
    let number = |money: Option<Decimal>| money.map(|money| money.to_string()).unwrap_or_default();
    [
        by.cell(row.billing_day).unwrap_or_else(|| "unknown".to_owned()),
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
                "2026-11-21,FACE_LIVENESS,ap-southeast-1,200,Authentication passed,yes,3,0.026,USD,0.078,",
                "2026-11-21,FACE_LIVENESS,ap-southeast-1,299,,unknown,2,,,,",
                "unknown,eKYC,ap-southeast-1,200,,unknown,1,,,,",
            ]
        );
        let totals = totals(&rows);
        assert_eq!((totals.verifications, totals.billed, totals.unknown), (6, 3, 3));
        assert_eq!(totals.amounts["USD"].to_string(), "0.078");
    }
}
