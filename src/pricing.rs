//! What verifications cost. Pure: the same tallies give the same amounts.
//!
//! In the order of billing day, product, region and sub code:
//! 1. A sub code that no table knows is counted apart, one that is not billed is free.
//! 2. What is billed is first deducted from the packages that cover its day, the one that ends first before the others.
//!    That the vendor takes them in this order is inferred.
//! 3. The rest is charged one by one at the price of its day. Tiers are graduated: each verification at the tier that the
//!    volume of its month has reached before it. The volume is what was charged of the product in this calendar month, in
//!    the price's region where it names one, whatever its price was; what packages paid for is not in it (inferred).
//! 4. Amounts are rounded once, where the vendor's bill has a line: for each day, product and region, to
//!    [`Pricing::decimals`] decimals, half up (inferred). Its sub codes and tiers get shares that add up to it.
//!
//! - [`Pricing`]: what is known of sub codes, prices and packages
//! - [`Meter`]: tallies in, amounts out; remembers what was used up
//! - [`PricedLine`], [`Part`], [`Charge`]: a tally, and what became of it
//! - [`BillLine`]: a line as the vendor's bill has it
//! - [`BillingRow`]: a row of a report (`rows`); [`By`]: of a day or a month

mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

pub use rows::{BillingRow, By};

use crate::tables::{Package, Price, Prices, SubCodes};
use crate::tally::TallyLine;

/// Decimals of an amount on the vendor's bill, where the configuration does not say. Inferred: no source has it.
pub const BILL_DECIMALS: u32 = 6;
/// The most that can be set.
pub const MAX_BILL_DECIMALS: u32 = 9;
/// More verifications in one tally than there are people; beyond it products might not be exact.
const MAX_QUANTITY: u64 = 10_000_000_000;

/// What is known of sub codes, prices and packages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pricing {
    /// Which verifications are billed.
    pub sub_codes: SubCodes,
    /// What they cost.
    pub prices: Prices,
    /// What was paid for in advance.
    pub packages: Vec<Package>,
    /// Decimals of an amount on the vendor's bill.
    pub decimals: u32,
}

/// A tally, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedLine {
    /// The tally.
    pub tally: TallyLine,
    /// Its verifications by what is charged for them, in the order in which they are taken; none is empty.
    pub parts: Vec<Part>,
}

/// Verifications that are charged alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// How many.
    pub verifications: u64,
    /// What for.
    pub charge: Charge,
}

/// What is charged for a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charge {
    /// Not known: no table has the sub code.
    Unknown,
    /// Nothing: it is not billed.
    Unbilled,
    /// Not known: it is billed, and no price holds on its day.
    Unpriced,
    /// Nothing any more: this package paid for it.
    Package(String),
    /// This much.
    Price {
        /// For one; exact.
        unit_price: Decimal,
        /// ISO 4217.
        currency: String,
        /// For all of the part: its share of the rounded amount of its day, product and region.
        amount: Decimal,
    },
}

impl Charge {
    /// Whether the vendor bills it; `None` where that is not known.
    pub const fn billed(&self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Unbilled => Some(false),
            Self::Unpriced | Self::Package(_) | Self::Price { .. } => Some(true),
        }
    }
}

impl Pricing {
    /// Prices `tallies`, each key once, in any order; gives them in the order of the reports. They must be all since
    /// [`Pricing::needed_from`] the first day that is asked about: tiers and packages go by what came before.
    pub fn price(&self, tallies: &[TallyLine]) -> Vec<PricedLine> {
        self.meter().price(tallies)
    }

    /// Nothing used up yet.
    pub fn meter(&self) -> Meter<'_> {
        let mut first_to_end: Vec<usize> = (0..self.packages.len()).collect();
        first_to_end.sort_by_key(|at| (self.packages[*at].until, *at));
        let open = first_to_end
            .into_iter()
            .map(|at| (&self.packages[at], self.packages[at].quantity));
        Meter {
            pricing: self,
            packages: open.collect(),
            volumes: BTreeMap::new(),
        }
    }

    /// As [`Pricing::meter`], where so many calls of packages, by their names, are used up.
    pub fn meter_after(&self, used: &BTreeMap<String, u64>) -> Meter<'_> {
        let mut meter = self.meter();
        for (package, open) in &mut meter.packages {
            *open = open.saturating_sub(used.get(&package.name).copied().unwrap_or(0));
        }
        meter
    }

    /// The first day whose tallies must be handed in where those from `day` on are asked about: the first of its month,
    /// or of that in which a package began that it, or one beside it, could still use.
    pub fn needed_from(&self, day: Date) -> Date {
        let mut from = day.first_of_month();
        loop {
            let open = self.packages.iter().filter(|package| package.until >= from);
            let earliest = open.map(|package| package.from.first_of_month()).min();
            match earliest {
                Some(earlier) if earlier < from => from = earlier,
                _ => return from,
            }
        }
    }

    fn rounded(&self, amount: Decimal) -> Decimal {
        amount.round_dp_with_strategy(self.decimals, RoundingStrategy::MidpointAwayFromZero)
    }
}

/// Tallies in, amounts out; remembers what was used up of packages and tiers.
#[derive(Debug, Clone)]
pub struct Meter<'a> {
    pricing: &'a Pricing,
    /// With what is left of each; the one that ends first is first.
    packages: Vec<(&'a Package, u64)>,
    /// What was charged for, by the month's first day, product and region.
    volumes: BTreeMap<(Date, String, String), u64>,
}

impl Meter<'_> {
    /// Prices further tallies, after all that came before, as [`Pricing::price`]. A day, product and region that came
    /// before is a line of its own on the bill, and is rounded apart.
    pub fn price(&mut self, tallies: &[TallyLine]) -> Vec<PricedLine> {
        let mut sorted: Vec<&TallyLine> = tallies.iter().filter(|tally| tally.verifications > 0).collect();
        sorted.sort_by(|one, other| one.order().cmp(&other.order()));
        let bill_lines = sorted.chunk_by(|one, other| bill_key(one) == bill_key(other));
        bill_lines.flat_map(|tallies| self.price_bill_line(tallies)).collect()
    }

    /// Counts verifications that were priced before towards the tiers of their month.
    pub fn add_volume(&mut self, day: Date, product_code: &str, region: &str, verifications: u64) {
        let key = (day.first_of_month(), product_code.to_owned(), region.to_owned());
        *self.volumes.entry(key).or_default() += verifications;
    }

    fn price_bill_line(&mut self, tallies: &[&TallyLine]) -> Vec<PricedLine> {
        let mut charged = Decimal::ZERO;
        let mut lines = Vec::with_capacity(tallies.len());
        for tally in tallies {
            let mut parts = self.parts_of(tally);
            for part in &mut parts {
                self.charge_part(part, &mut charged);
            }
            lines.push(PricedLine {
                tally: (*tally).clone(),
                parts,
            });
        }
        lines
    }

    /// Prices `verifications` that are billed whatever their sub codes are, since a bill counts them, as a line of the bill.
    pub fn price_billed(&mut self, day: Date, product_code: &str, region: &str, verifications: u64) -> Vec<Part> {
        let tally = TallyLine {
            billing_day: Some(day),
            product_code: product_code.to_owned(),
            region: region.to_owned(),
            sub_code: String::new(),
            verifications,
        };
        let (mut parts, mut charged) = (Vec::new(), Decimal::ZERO);
        let left = self.deduct(&tally, &mut parts);
        self.charge(&tally, left, &mut parts);
        for part in &mut parts {
            self.charge_part(part, &mut charged);
        }
        parts
    }

    /// Gives a part its amount; `charged` is what the parts of the bill's line before it cost.
    fn charge_part(&self, part: &mut Part, charged: &mut Decimal) {
        if let Charge::Price { unit_price, amount, .. } = &mut part.charge {
            let before = self.pricing.rounded(*charged);
            *charged += *unit_price * Decimal::from(part.verifications);
            *amount = (self.pricing.rounded(*charged) - before).normalize();
        }
    }

    /// The parts of a tally, their amounts still to come.
    fn parts_of(&mut self, tally: &TallyLine) -> Vec<Part> {
        let all = |charge| {
            vec![Part {
                verifications: tally.verifications,
                charge,
            }]
        };
        match self.pricing.sub_codes.of(&tally.product_code, &tally.sub_code) {
            None => return all(Charge::Unknown),
            Some(meaning) if !meaning.billed => return all(Charge::Unbilled),
            Some(_) if tally.verifications > MAX_QUANTITY => return all(Charge::Unpriced),
            Some(_) => {}
        }
        let mut parts = Vec::new();
        let left = self.deduct(tally, &mut parts);
        self.charge(tally, left, &mut parts);
        parts
    }

    /// Takes what it can out of the packages; gives what is left to be charged.
    fn deduct(&mut self, tally: &TallyLine, parts: &mut Vec<Part>) -> u64 {
        let mut left = tally.verifications;
        let Some(day) = tally.billing_day else {
            return left;
        };
        for (package, open) in &mut self.packages {
            let taken = if package.covers(&tally.product_code, day) {
                left.min(*open)
            } else {
                0
            };
            if taken > 0 {
                *open -= taken;
                left -= taken;
                parts.push(Part {
                    verifications: taken,
                    charge: Charge::Package(package.name.clone()),
                });
            }
        }
        left
    }

    fn charge(&mut self, tally: &TallyLine, mut left: u64, parts: &mut Vec<Part>) {
        let prices = &self.pricing.prices;
        let Some(price) = prices.of(&tally.product_code, &tally.region, tally.billing_day) else {
            if left > 0 {
                parts.push(Part {
                    verifications: left,
                    charge: Charge::Unpriced,
                });
            }
            return;
        };
        while left > 0 {
            let volume = tally
                .billing_day
                .map_or(0, |day| self.volume(price, &tally.product_code, day));
            let (unit_price, holds_for) = price.after(volume);
            let verifications = holds_for.map_or(left, |more| left.min(more));
            parts.push(Part {
                verifications,
                charge: Charge::Price {
                    unit_price,
                    currency: price.currency.clone(),
                    amount: Decimal::ZERO,
                },
            });
            left -= verifications;
            if let Some(day) = tally.billing_day {
                let key = (day.first_of_month(), tally.product_code.clone(), tally.region.clone());
                *self.volumes.entry(key).or_default() += verifications;
            }
        }
    }

    /// What was charged of a product in the month of `day`, where `price` holds.
    fn volume(&self, price: &Price, product_code: &str, day: Date) -> u64 {
        let month = day.first_of_month();
        let first = (month, product_code.to_owned(), String::new());
        let of_product = self
            .volumes
            .range(first..)
            .take_while(|((at, product, _), _)| (*at, product.as_str()) == (month, product_code));
        let there = |region: &str| price.region.as_deref().is_none_or(|own| own == region);
        of_product
            .filter(|((.., region), _)| there(region))
            .map(|(_, volume)| volume)
            .sum()
    }
}

fn bill_key(tally: &TallyLine) -> (Option<Date>, &str, &str) {
    (tally.billing_day, &tally.product_code, &tally.region)
}

/// A line as the vendor's bill has it: one day, product and region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BillLine {
    /// The vendor's day, where it is known.
    pub billing_day: Option<Date>,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// Billed verifications: those that packages paid for, that are charged, and that have no known price.
    pub billed: u64,
    /// Of the billed ones: what packages paid for.
    pub deducted: u64,
    /// Of the billed ones: those that have no known price.
    pub unpriced: u64,
    /// Verifications whose sub code no table knows.
    pub unknown: u64,
    /// Verifications that are not billed.
    pub unbilled: u64,
    /// What is charged, rounded as the bill is.
    pub amount: Decimal,
    /// ISO 4217; `None` where nothing is charged.
    pub currency: Option<String>,
}

/// Sums priced lines, in the order in which [`Pricing::price`] gives them, as the vendor's bill does.
pub fn bill_lines(lines: &[PricedLine]) -> Vec<BillLine> {
    let of_one_line = lines.chunk_by(|one, other| bill_key(&one.tally) == bill_key(&other.tally));
    of_one_line.map(bill_line).collect()
}

fn bill_line(lines: &[PricedLine]) -> BillLine {
    let tally = &lines[0].tally;
    let mut sum = BillLine {
        billing_day: tally.billing_day,
        product_code: tally.product_code.clone(),
        region: tally.region.clone(),
        ..BillLine::default()
    };
    for part in lines.iter().flat_map(|line| &line.parts) {
        match &part.charge {
            Charge::Unknown => sum.unknown += part.verifications,
            Charge::Unbilled => sum.unbilled += part.verifications,
            Charge::Unpriced => sum.unpriced += part.verifications,
            Charge::Package(_) => sum.deducted += part.verifications,
            Charge::Price { amount, currency, .. } => {
                sum.amount += *amount;
                sum.currency = Some(currency.clone());
            }
        }
        if part.charge.billed() == Some(true) {
            sum.billed += part.verifications;
        }
    }
    sum
}
