//! `billing.csv`: what was verified, by the vendor's day, product, region and sub code, and what it costs.
//!
//! - [`read`]: the priced lines of some days; [`Days`]: which
//! - [`write`]: them as CSV
//! - [`totals`], [`BillingTotals`]: their sums, for the run's summary

use std::collections::BTreeMap;
use std::io::Write;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::csv::{cell, writer};
use crate::ledger::{Ledger, LedgerError};
use crate::pricing::{Charge, Part, PricedLine, Pricing};
use crate::tables::SubCodes;

const HEADER: [&str; 11] = [
    "billing_day",
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

/// The priced lines of `days`.
pub fn read(ledger: &Ledger, pricing: &Pricing, days: Days) -> Result<Vec<PricedLine>, LedgerError> {
    let needed = days.map(|(from, to)| (pricing.needed_from(from), to));
    let mut lines = pricing.price(&ledger.billing(needed)?);
    lines.retain(|line| match (days, line.tally.billing_day) {
        (Some((from, _)), Some(day)) => day >= from,
        _ => true,
    });
    Ok(lines)
}

/// Writes `billing.csv`: a row for each part of a line that is charged alike.
pub fn write(lines: &[PricedLine], sub_codes: &SubCodes, out: impl Write) -> csv::Result<()> {
    let mut out = writer(out);
    out.write_record(HEADER)?;
    for line in lines {
        for part in &line.parts {
            out.write_record(cells(line, part, sub_codes))?;
        }
    }
    out.flush()?;
    Ok(())
}

fn cells(line: &PricedLine, part: &Part, sub_codes: &SubCodes) -> [String; 11] {
    let own = |text: &str| cell(text).into_owned();
    let tally = &line.tally;
    let known = sub_codes.of(&tally.product_code, &tally.sub_code);
    let (unit_price, currency, amount) = match &part.charge {
        Charge::Unknown | Charge::Unpriced => (String::new(), "", String::new()),
        Charge::Unbilled | Charge::Package(_) => (String::new(), "", "0".to_owned()),
        Charge::Price {
            unit_price,
            currency,
            amount,
        } => (unit_price.to_string(), currency.as_str(), amount.to_string()),
    };
    let package = match &part.charge {
        Charge::Package(name) => own(name),
        _ => String::new(),
    };
    [
        tally
            .billing_day
            .map_or_else(|| "unknown".to_owned(), |day| day.to_string()),
        own(&tally.product_code),
        own(&tally.region),
        own(&tally.sub_code),
        own(known.map_or("", |known| &known.meaning)),
        billed_word(part.charge.billed()).to_owned(),
        part.verifications.to_string(),
        unit_price,
        own(currency),
        amount,
        package,
    ]
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

/// Adds the lines up.
pub fn totals(lines: &[PricedLine]) -> BillingTotals {
    let mut totals = BillingTotals::default();
    let mut by_code: BTreeMap<(&str, &str), (Option<bool>, u64)> = BTreeMap::new();
    for line in lines {
        for part in &line.parts {
            totals.add(part);
            let code = by_code.entry((&line.tally.product_code, &line.tally.sub_code));
            let (billed, verifications) = code.or_default();
            *billed = part.charge.billed();
            *verifications += part.verifications;
        }
    }
    for amount in totals.amounts.values_mut() {
        *amount = amount.normalize();
    }
    let by_code = by_code.into_iter();
    let by_code = by_code.map(|((product_code, sub_code), (billed, verifications))| SubCodeTotal {
        product_code: product_code.to_owned(),
        sub_code: sub_code.to_owned(),
        billed: billed_word(billed),
        verifications,
    });
    totals.sub_codes = by_code.collect();
    totals
}

impl BillingTotals {
    fn add(&mut self, part: &Part) {
        self.verifications += part.verifications;
        *match part.charge.billed() {
            Some(true) => &mut self.billed,
            Some(false) => &mut self.unbilled,
            None => &mut self.unknown,
        } += part.verifications;
        match &part.charge {
            Charge::Unknown | Charge::Unbilled => {}
            Charge::Unpriced => self.unpriced += part.verifications,
            Charge::Package(_) => self.deducted += part.verifications,
            Charge::Price { currency, amount, .. } => *self.amounts.entry(currency.clone()).or_default() += *amount,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::BILL_DECIMALS;
    use crate::tables::Prices;
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
        let lines = pricing.price(&tallies);
        let mut out = Vec::new();
        write(&lines, &pricing.sub_codes, &mut out).unwrap();
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
        let totals = totals(&lines);
        assert_eq!((totals.verifications, totals.billed, totals.unknown), (6, 3, 3));
        assert_eq!(totals.amounts["USD"].to_string(), "0.078");
    }
}
