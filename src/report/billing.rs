//! `billing.csv`: what was verified, by the vendor's day, product, region and sub code, and what it costs.

use std::collections::BTreeMap;
use std::io::Write;

use rust_decimal::Decimal;
use serde::Serialize;

use super::csv::{cell, writer};
use crate::ledger::BillingLine;
use crate::tables::{Prices, SubCodes};

const HEADER: [&str; 10] = [
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
];

/// A line of `billing.csv`: a tally, and what the tables say of it.
#[derive(Debug)]
pub struct PricedLine<'a> {
    tally: &'a BillingLine,
    meaning: &'a str,
    billed: Option<bool>,
    price: Option<(Decimal, &'a str)>,
}

impl<'a> PricedLine<'a> {
    /// Looks the tally up. A sub code that the table doesn't know is never guessed billed or unbilled: it has no amount.
    pub fn new(tally: &'a BillingLine, sub_codes: &'a SubCodes, prices: &'a Prices) -> Self {
        let known = sub_codes.of(&tally.product_code, &tally.sub_code);
        let billed = known.map(|known| known.billed);
        let price = prices.of(&tally.product_code).filter(|_| billed == Some(true));
        Self {
            tally,
            meaning: known.map_or("", |known| &known.meaning),
            billed,
            price: price.map(|price| (price.unit_price, price.currency.as_str())),
        }
    }

    /// Verifications times the unit price, exact. An unbilled verification costs nothing; `None` where it is not known.
    fn amount(&self) -> Option<Decimal> {
        match self.billed {
            Some(true) => Some(self.price?.0 * Decimal::from(self.tally.verifications)),
            Some(false) => Some(Decimal::ZERO),
            None => None,
        }
    }

    fn cells(&self) -> [String; 10] {
        let own = |text: &str| cell(text).into_owned();
        [
            self.tally.billing_day.clone().unwrap_or_else(|| "unknown".to_owned()),
            own(&self.tally.product_code),
            own(&self.tally.region),
            own(&self.tally.sub_code),
            own(self.meaning),
            billed_word(self.billed).to_owned(),
            self.tally.verifications.to_string(),
            self.price
                .map(|(unit_price, _)| unit_price.to_string())
                .unwrap_or_default(),
            own(self.price.map_or("", |(_, currency)| currency)),
            self.amount()
                .map(|amount| amount.normalize().to_string())
                .unwrap_or_default(),
        ]
    }
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
    /// Those whose sub code the table doesn't know.
    pub unknown: u64,
    /// Billed ones whose product has no price in the table.
    pub unpriced: u64,
    /// What the billed ones cost, by currency; exact.
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

/// Adds the tallies up.
pub fn totals(tallies: &[BillingLine], sub_codes: &SubCodes, prices: &Prices) -> BillingTotals {
    let mut totals = BillingTotals::default();
    let mut by_code: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for tally in tallies {
        let line = PricedLine::new(tally, sub_codes, prices);
        let counted = match line.billed {
            Some(true) => &mut totals.billed,
            Some(false) => &mut totals.unbilled,
            None => &mut totals.unknown,
        };
        *counted += tally.verifications;
        totals.verifications += tally.verifications;
        match (line.price, line.amount()) {
            (Some((_, currency)), Some(amount)) => *totals.amounts.entry(currency.to_owned()).or_default() += amount,
            _ if line.billed == Some(true) => totals.unpriced += tally.verifications,
            _ => {}
        }
        *by_code.entry((&tally.product_code, &tally.sub_code)).or_default() += tally.verifications;
    }
    for amount in totals.amounts.values_mut() {
        *amount = amount.normalize();
    }
    let by_code = by_code
        .into_iter()
        .map(|((product_code, sub_code), verifications)| SubCodeTotal {
            product_code: product_code.to_owned(),
            sub_code: sub_code.to_owned(),
            billed: billed_word(sub_codes.of(product_code, sub_code).map(|known| known.billed)),
            verifications,
        });
    totals.sub_codes = by_code.collect();
    totals
}

/// Writes `billing.csv`.
pub fn write(tallies: &[BillingLine], sub_codes: &SubCodes, prices: &Prices, out: impl Write) -> csv::Result<()> {
    let mut out = writer(out);
    out.write_record(HEADER)?;
    for tally in tallies {
        out.write_record(PricedLine::new(tally, sub_codes, prices).cells())?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(day: Option<&str>, product_code: &str, sub_code: &str, verifications: u64) -> BillingLine {
        BillingLine {
            billing_day: day.map(str::to_owned),
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
        let (sub_codes, prices) = (SubCodes::built_in(), Prices::built_in());
        let mut out = Vec::new();
        write(&tallies, &sub_codes, &prices, &mut out).unwrap();
        let lines: Vec<String> = String::from_utf8(out)
            .unwrap()
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect();
        assert_eq!(
            lines,
            [
                "2026-11-21,FACE_LIVENESS,ap-southeast-1,200,Authentication passed,yes,3,0.026,USD,0.078",
                "2026-11-21,FACE_LIVENESS,ap-southeast-1,299,,unknown,2,,,",
                "unknown,eKYC,ap-southeast-1,200,,unknown,1,,,",
            ]
        );
        let totals = totals(&tallies, &sub_codes, &prices);
        assert_eq!((totals.verifications, totals.billed, totals.unknown), (6, 3, 3));
        assert_eq!(totals.amounts["USD"].to_string(), "0.078");
    }
}
