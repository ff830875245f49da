//! Priced lines as the rows of a report.
//!
//! - [`BillingRow`]: verifications of one day or month that are charged alike
//! - [`By`]: which of the two

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Charge, Meter, Part, PricedLine};
use crate::tables::SubCodes;
use crate::tally::TallyLine;

/// Verifications of one day or month, product, region and sub code that are charged alike. As JSON, money is a text: exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillingRow {
    /// The vendor's day, or the first of its month; `None`: unknown.
    pub billing_day: Option<Date>,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// The sub code.
    pub sub_code: String,
    /// What it means; empty where no table has it.
    pub meaning: String,
    /// Whether the vendor bills it; `None` where no table has the sub code.
    pub billed: Option<bool>,
    /// How many.
    pub verifications: u64,
    /// What one costs; exact. `None` where nothing is charged, or it is not known.
    pub unit_price: Option<Decimal>,
    /// ISO 4217, with the unit price.
    pub currency: Option<String>,
    /// What they cost, as their share of the rounded line of the bill; `None` where it is not known.
    pub amount: Option<Decimal>,
    /// The package that paid for them.
    pub package: Option<String>,
    /// Whether they came after their month was closed.
    #[serde(default)]
    pub correction: bool,
}

/// What the rows of a report are about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// The vendor's day.
    #[default]
    Day,
    /// Its calendar month.
    Month,
}

impl By {
    /// The column's name.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Day => "billing_day",
            Self::Month => "billing_month",
        }
    }

    /// A cell of that column.
    pub fn cell(self, day: Option<Date>) -> Option<String> {
        day.map(|day| match self {
            Self::Day => day.to_string(),
            Self::Month => day.strftime("%Y-%m").to_string(),
        })
    }
}

impl Meter<'_> {
    /// Prices further tallies as [`Meter::price`], as the rows of a report.
    pub fn rows(&mut self, tallies: &[TallyLine]) -> Vec<BillingRow> {
        BillingRow::of(&self.price(tallies), &self.pricing.sub_codes)
    }
}

impl BillingRow {
    /// The rows of priced lines, in their order.
    pub fn of(lines: &[PricedLine], sub_codes: &SubCodes) -> Vec<Self> {
        let rows = |line| {
            let row = move |part| Self::of_part(line, part, sub_codes);
            line.parts.iter().map(row)
        };
        lines.iter().flat_map(rows).collect()
    }

    fn of_part(line: &PricedLine, part: &Part, sub_codes: &SubCodes) -> Self {
        let tally = &line.tally;
        let known = sub_codes.of(&tally.product_code, &tally.sub_code);
        let mut row = Self {
            billing_day: tally.billing_day,
            product_code: tally.product_code.clone(),
            region: tally.region.clone(),
            sub_code: tally.sub_code.clone(),
            meaning: known.map_or_else(String::new, |known| known.meaning.clone()),
            billed: part.charge.billed(),
            verifications: part.verifications,
            unit_price: None,
            currency: None,
            amount: None,
            package: None,
            correction: false,
        };
        match &part.charge {
            Charge::Unknown | Charge::Unpriced => {}
            Charge::Unbilled => row.amount = Some(Decimal::ZERO),
            Charge::Package(name) => {
                row.amount = Some(Decimal::ZERO);
                row.package = Some(name.clone());
            }
            Charge::Price {
                unit_price,
                currency,
                amount,
            } => {
                row.unit_price = Some(*unit_price);
                row.currency = Some(currency.clone());
                row.amount = Some(*amount);
            }
        }
        row
    }

    /// The order of a report: by month, the unknown day last; in each the corrections after what was signed off.
    pub fn sort(rows: &mut [Self]) {
        rows.sort_by_key(|row| {
            let month = row.billing_day.map(Date::first_of_month);
            (month.is_none(), month, row.correction)
        });
    }

    /// The rows of each month as one, where they are charged alike, in the order of month, product, region and sub code.
    pub fn by_month(rows: &[Self]) -> Vec<Self> {
        let mut months = BTreeMap::new();
        for row in rows {
            let month = row.billing_day.map(Date::first_of_month);
            let key = (
                month.is_none(),
                month,
                row.product_code.as_str(),
                row.region.as_str(),
                row.sub_code.as_str(),
            );
            let charge = (row.billed, &row.package, &row.currency, row.unit_price, row.correction);
            let sum = months.entry((key, charge)).or_insert_with(|| Self {
                billing_day: month,
                verifications: 0,
                amount: row.amount.map(|_| Decimal::ZERO),
                ..row.clone()
            });
            sum.verifications += row.verifications;
            sum.amount = sum.amount.zip(row.amount).map(|(sum, more)| (sum + more).normalize());
        }
        months.into_values().collect()
    }
}
