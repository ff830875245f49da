//! Both sides of the comparison: the bill's lines summed, the archive's tallies priced, and what the bill counts, priced
//! alike.
//!
//! - [`Sides`]: the facts of every key, and its currency

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::bill::{Bill, BillLine, LineKind};
use super::compare::{Beside, Facts, Key, Place, Priced, Surplus};
use super::explain::{Class, Size};
use super::outcome::BillNote;
use super::table::SourceError;
use crate::pricing::{Charge, Meter, Part, Pricing};
use crate::tally::TallyLine;

/// The facts of every key of a month, and its currency; evidence is still to come.
#[derive(Debug, Default)]
pub(super) struct Sides {
    /// By day, product and region.
    pub(super) facts: BTreeMap<Key, Facts>,
    /// ISO 4217; a key without one costs nothing on either side.
    pub(super) currencies: BTreeMap<Key, String>,
    /// Lines of the bill that are about other months.
    pub(super) other_months: u64,
    /// What the bills of the months next to this one have more on the days next to it, where they are given.
    pub(super) beside: BTreeMap<Key, Beside>,
    /// What lines of later months give back.
    pub(super) later_refunds: BTreeMap<Place, Vec<Surplus>>,
    /// Lines of the bill that need a person, and refunds, which may.
    pub(super) notes: Vec<BillNote>,
}

/// Lines that a person accepted: why, by the names of [`BillNote`].
pub type Accepted = BTreeMap<String, String>;

/// Decimals that every bill has at least.
const FEWEST_DECIMALS: u32 = 2;

impl Sides {
    /// `tallies` are the archive's since [`Pricing::needed_from`] the first of `days`.
    pub(super) fn of_bill(
        bill: &Bill,
        tallies: &[TallyLine],
        pricing: &Pricing,
        days: (Date, Date),
        accepted: &Accepted,
    ) -> Result<Self, SourceError> {
        let mut sides = Self::default();
        sides.add_archive(tallies, pricing, days);
        let decimals = bill.lines.iter().map(|line| line.net.normalize().scale()).max();
        let decimals = decimals.unwrap_or_default().max(FEWEST_DECIMALS);
        for line in &bill.lines {
            if (days.0..=days.1).contains(&line.day) {
                sides.add_line(bill, line, decimals, accepted)?;
            } else {
                sides.other_months += 1;
                if line.kind == LineKind::Refund && line.day > days.1 {
                    let place = (line.product_code.clone(), line.region.clone());
                    sides.later_refunds.entry(place).or_default().push(Surplus {
                        day: line.day,
                        calls: -line.quantity,
                        amount: -line.net,
                    });
                }
            }
        }
        sides.reprice(tallies, pricing, days.0);
        Ok(sides)
    }

    /// The vendor's records in the place of a bill: they count `billed` calls, which cost what they should. What they don't
    /// cover is as the archive has it.
    pub(super) fn of_records(
        billed: &BTreeMap<Key, i64>,
        covers: &dyn Fn(&Key) -> bool,
        tallies: &[TallyLine],
        pricing: &Pricing,
        days: (Date, Date),
    ) -> Self {
        let mut sides = Self::default();
        sides.add_archive(tallies, pricing, days);
        for (_, facts) in sides.facts.iter_mut().filter(|(key, _)| !covers(key)) {
            facts.billed.quantity = facts.archived.quantity;
        }
        for (key, calls) in billed {
            sides.facts.entry(key.clone()).or_default().billed.quantity = *calls;
        }
        sides.reprice(tallies, pricing, days.0);
        for facts in sides.facts.values_mut() {
            (facts.billed.charge, facts.billed.deducted) = (facts.repriced.amount, facts.repriced.deducted);
        }
        sides
    }

    fn add_archive(&mut self, tallies: &[TallyLine], pricing: &Pricing, days: (Date, Date)) {
        for line in pricing.price(tallies) {
            let Some(day) = line.tally.billing_day.filter(|day| (days.0..=days.1).contains(day)) else {
                continue;
            };
            let key = Key {
                day,
                product_code: line.tally.product_code,
                region: line.tally.region,
            };
            let archived = &mut self.facts.entry(key.clone()).or_default().archived;
            archived.add(&line.parts);
            if archived.unit_price.is_none() {
                archived.unit_price = next_price(pricing, &key);
            }
            if let Some(currency) = currency_of(&line.parts) {
                self.currencies.insert(key, currency);
            }
        }
    }

    fn add_line(
        &mut self,
        bill: &Bill,
        line: &BillLine,
        decimals: u32,
        accepted: &Accepted,
    ) -> Result<(), SourceError> {
        let key = key_of(line);
        let currency = self
            .currencies
            .entry(key.clone())
            .or_insert_with(|| line.currency.clone());
        if *currency != line.currency {
            return Err(SourceError::Row {
                file: bill.tables[line.file].clone(),
                line: line.line,
                what: format!(
                    "{} in {} is billed in {}, and its price is in {currency}; set its price in the configuration, under \
                     [[prices.{}]], in the bill's currency",
                    line.product_code, line.region, line.currency, line.product_code
                ),
            });
        }
        let billed = &mut self.facts.entry(key.clone()).or_default().billed;
        let size = Size {
            quantity: line.quantity,
            amount: line.net,
        };
        let name = format!("{}:{}", bill.tables[line.file], line.line);
        let accepted = accepted.get(&name).cloned();
        let misadded = misadded(line, decimals);
        let (class, size) = match line.kind {
            LineKind::Usage => {
                billed.quantity += line.quantity;
                billed.deducted += line.deducted;
                billed.charge += line.net + line.coupon;
                billed.misadded += misadded.max(Decimal::ZERO);
                billed.coupons += line.coupon;
                billed.lines += u32::from(line.quantity > line.deducted || !line.net.is_zero());
                let (quantity, amount) = (0, misadded);
                (Class::Arithmetic, Size { quantity, amount })
            }
            _ if accepted.is_some() => {
                billed.accepted += size;
                (Class::Accepted, size)
            }
            LineKind::Refund => {
                billed.refunds += size;
                (Class::RefundExceeds, size)
            }
            LineKind::Adjustment => {
                billed.adjustments += size;
                (Class::Adjustment, size)
            }
        };
        if !size.is_zero() {
            self.notes.push(BillNote {
                name,
                key,
                class,
                size,
                currency: line.currency.clone(),
                accepted,
            });
        }
        Ok(())
    }

    /// The day before the month and the one after it, where the bill of their month is given.
    pub(super) fn look_beside(&mut self, bill: &Bill, tallies: &[TallyLine], pricing: &Pricing, days: (Date, Date)) {
        for day in [days.0.yesterday(), days.1.tomorrow()].into_iter().flatten() {
            let month = day.first_of_month();
            if bill.lines.iter().all(|line| line.day.first_of_month() != month) {
                continue;
            }
            let mut more: BTreeMap<Key, i64> = BTreeMap::new();
            let of_day = |line: &&BillLine| line.day == day && line.kind == LineKind::Usage;
            for line in bill.lines.iter().filter(of_day) {
                *more.entry(key_of(line)).or_default() += line.quantity;
            }
            for tally in tallies.iter().filter(|tally| tally.billing_day == Some(day)) {
                let known = pricing.sub_codes.of(&tally.product_code, &tally.sub_code);
                let key = Key {
                    day,
                    product_code: tally.product_code.clone(),
                    region: tally.region.clone(),
                };
                let calls = i64::try_from(tally.verifications).unwrap_or(i64::MAX);
                *more.entry(key).or_default() -= if known.is_some_and(|known| known.billed) {
                    calls
                } else {
                    0
                };
            }
            for (key, more) in more {
                self.beside.entry(key).or_default().more = Some(more);
            }
        }
    }

    /// What the bill counts costs what the archive's calls would: tiers and packages included.
    fn reprice(&mut self, tallies: &[TallyLine], pricing: &Pricing, first: Date) {
        let mut meter = pricing.meter();
        let earlier = tallies
            .iter()
            .filter(|tally| tally.billing_day.is_some_and(|day| day < first));
        meter.price(&earlier.cloned().collect::<Vec<_>>());
        for (key, facts) in &mut self.facts {
            let parts = parts(&mut meter, key, facts.billed.quantity);
            facts.repriced.add(&parts);
            if let Some(currency) = currency_of(&parts) {
                self.currencies.entry(key.clone()).or_insert(currency);
            }
            if facts.repriced.unit_price.is_none() {
                facts.repriced.unit_price = next_price(pricing, key);
            }
        }
    }
}

fn key_of(line: &BillLine) -> Key {
    Key {
        day: line.day,
        product_code: line.product_code.clone(),
        region: line.region.clone(),
    }
}

/// What a line has more than its gross amount less its discount. A line that a package paid for in part is left out: whether
/// its gross amount has that part is not known.
fn misadded(line: &BillLine, decimals: u32) -> Decimal {
    let (Some(gross), Some(discount)) = (line.gross, line.discount) else {
        return Decimal::ZERO;
    };
    let misadded = line.net + line.coupon - (gross - discount);
    let half = Decimal::new(5, decimals + 1);
    if line.deducted > 0 || misadded.abs() <= half {
        Decimal::ZERO
    } else {
        misadded
    }
}

fn parts(meter: &mut Meter<'_>, key: &Key, quantity: i64) -> Vec<Part> {
    match u64::try_from(quantity) {
        Ok(quantity) if quantity > 0 => meter.price_billed(key.day, &key.product_code, &key.region, quantity),
        _ => Vec::new(),
    }
}

/// What a call costs where none is charged: the first of its month, as the volume is not known.
fn next_price(pricing: &Pricing, key: &Key) -> Option<Decimal> {
    let price = pricing.prices.of(&key.product_code, &key.region, Some(key.day))?;
    Some(price.after(0).0)
}

fn currency_of(parts: &[Part]) -> Option<String> {
    parts.iter().find_map(|part| match &part.charge {
        Charge::Price { currency, .. } => Some(currency.clone()),
        _ => None,
    })
}

impl Priced {
    /// Adds billed calls; unknown and unbilled ones are none.
    fn add(&mut self, parts: &[Part]) {
        for part in parts.iter().filter(|part| part.charge.billed() == Some(true)) {
            let verifications = i64::try_from(part.verifications).unwrap_or(i64::MAX);
            self.quantity += verifications;
            match &part.charge {
                Charge::Package(_) => self.deducted += verifications,
                Charge::Price { unit_price, amount, .. } => {
                    self.amount += *amount;
                    self.exact += *unit_price * Decimal::from(part.verifications);
                    self.unit_price = Some(*unit_price);
                }
                Charge::Unknown | Charge::Unbilled | Charge::Unpriced => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
