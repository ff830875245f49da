//! Both sides of the comparison: the bill's lines summed, the archive's tallies priced, and what the bill counts, priced
//! alike.
//!
//! - [`Sides`]: the facts of every key, and its currency

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::bill::{Bill, BillLine, LineKind};
use super::compare::{Facts, Key, Priced};
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
}

impl Sides {
    /// `tallies` are the archive's since [`Pricing::needed_from`] the first of `days`.
    pub(super) fn of_bill(
        bill: &Bill,
        tallies: &[TallyLine],
        pricing: &Pricing,
        days: (Date, Date),
    ) -> Result<Self, SourceError> {
        let mut sides = Self::default();
        sides.add_archive(tallies, pricing, days);
        for line in &bill.lines {
            if (days.0..=days.1).contains(&line.day) {
                sides.add_line(bill, line)?;
            } else {
                sides.other_months += 1;
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

    fn add_line(&mut self, bill: &Bill, line: &BillLine) -> Result<(), SourceError> {
        let key = Key {
            day: line.day,
            product_code: line.product_code.clone(),
            region: line.region.clone(),
        };
        let currency = self
            .currencies
            .entry(key.clone())
            .or_insert_with(|| line.currency.clone());
        if *currency != line.currency {
            return Err(SourceError::Row {
                file: bill.files[line.file].clone(),
                line: line.line,
                what: format!(
                    "{} in {} is billed in {}, and its price is in {currency}; set its price in the configuration, under \
                     [[prices.{}]], in the bill's currency",
                    line.product_code, line.region, line.currency, line.product_code
                ),
            });
        }
        let billed = &mut self.facts.entry(key).or_default().billed;
        let given_back = super::Size {
            quantity: line.quantity,
            amount: line.net,
        };
        match line.kind {
            LineKind::Usage => {
                billed.quantity += line.quantity;
                billed.deducted += line.deducted;
                billed.charge += line.net + line.coupon;
                billed.coupons += line.coupon;
                billed.lines += 1;
            }
            LineKind::Refund => billed.refunds += given_back,
            LineKind::Adjustment => billed.adjustments += given_back,
        }
        Ok(())
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
                    self.unit_price = Some(*unit_price);
                }
                Charge::Unknown | Charge::Unbilled | Charge::Unpriced => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
