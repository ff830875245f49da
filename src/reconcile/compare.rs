//! Bill against archive, day by day, product by product, region by region. Pure: the same facts give the same
//! explanations, and those of a key add up to its difference exactly.
//!
//! 1. What the bill itself says: refunds, adjustments, coupons.
//! 2. Whether the bill charges what it should for the calls that it counts: packages, rounding, and the rest is the price.
//! 3. Why it counts other calls than the archive. Where the vendor's records are given, by transaction: bill less archive is
//!    bill less records, and records less archive, which is known exactly. What is left goes by number, in the order of
//!    [`Class`], from the most to the least certain; no class explains more than there is evidence for. Days next to each
//!    other that differ in opposite directions explain each other, as far as there are verifications close to the boundary.
//!    That the archive has more than the records explains no more than the bill lacks: records can be deleted.
//! 4. A call costs what the next one would on its day, or nothing where a package paid. What is left of the amount comes of
//!    tiers and packages that are reached elsewhere in the month.
//!
//! - [`Key`], [`Facts`], [`Billed`], [`Priced`], [`Evidence`], [`Terms`]: what goes in
//! - [`Compared`]: what comes out

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::explain::{Class, Explanation, Size, Standing};

/// What is compared: a day of the vendor's, a product and a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key {
    /// The vendor's day.
    pub day: Date,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
}

/// All that is known of a key.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What the bill says.
    pub billed: Billed,
    /// What the archive holds, priced.
    pub archived: Priced,
    /// What the bill counts, priced as the archive is.
    pub repriced: Priced,
    /// What could explain a difference.
    pub evidence: Evidence,
}

/// The bill's side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Billed {
    /// Calls that were used.
    pub quantity: i64,
    /// Of these: calls that packages paid for.
    pub deducted: i64,
    /// To be paid for them, coupons included.
    pub charge: Decimal,
    /// What coupons paid of it.
    pub coupons: Decimal,
    /// Lines that give back.
    pub refunds: Size,
    /// Lines that correct.
    pub adjustments: Size,
    /// Lines of calls that were used.
    pub lines: u32,
}

impl Billed {
    /// All of the bill's lines.
    pub fn total(&self) -> Size {
        let mut total = Size {
            quantity: self.quantity,
            amount: self.charge - self.coupons,
        };
        total += self.refunds;
        total += self.adjustments;
        total
    }
}

/// Billed calls, and what they should cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Priced {
    /// Billed calls.
    pub quantity: i64,
    /// Of these: calls that packages paid for.
    pub deducted: i64,
    /// What the others cost.
    pub amount: Decimal,
    /// What the last one of them cost, or the next one would; `None` where no price is known.
    pub unit_price: Option<Decimal>,
}

/// Records that could explain a difference in the number of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many, by what they would explain; they are counted nowhere in the archive's billed calls of the day.
    pub counted: BTreeMap<Class, u64>,
    /// The archive's billed calls close behind the beginning of the day.
    pub at_begin: u64,
    /// Those close before its end.
    pub at_end: u64,
    /// What the vendor's records have more than the archive, transaction by transaction.
    pub recorded: BTreeMap<Class, i64>,
    /// The archive's billed calls that the vendor's records should have, and don't.
    pub not_in_records: u64,
}

/// What holds for all keys.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Whether no line of the month can come any more.
    pub month_is_final: bool,
    /// Decimals of an amount on the bill.
    pub decimals: u32,
    /// Verifications of unknown day, by product and region: they can be on any.
    pub undated: BTreeMap<(String, String), u64>,
}

/// A key with both sides and why they differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// All of the bill's lines.
    pub bill: Size,
    /// The archive's billed calls, and what they should cost.
    pub archive: Size,
    /// What the bill has more.
    pub difference: Size,
    /// In the order of their classes; they add up to the difference.
    pub explanations: Vec<Explanation>,
}

impl Compared {
    /// The worst of its explanations; right where bill and archive agree.
    pub fn standing(&self) -> Standing {
        let standings = self.explanations.iter().map(|explanation| explanation.class.standing());
        standings.max().unwrap_or(Standing::Right)
    }
}

/// Compares every key; gives them in their order.
pub fn compare(facts: &BTreeMap<Key, Facts>, terms: &Terms) -> Vec<Compared> {
    let mut open: BTreeMap<&Key, Open<'_>> = facts.iter().map(|(key, facts)| (key, Open::new(facts))).collect();
    for key in open.values_mut() {
        key.explain_the_bill();
        key.explain_the_charge(terms.decimals);
        key.explain_by_records();
        key.explain_up_to(&[
            Class::Verdict,
            Class::NeverSeen,
            Class::Elsewhere,
            Class::UnknownSubCode,
            Class::Journalled,
        ]);
    }
    explain_day_boundaries(&mut open);
    let mut undated = terms.undated.clone();
    for (key, open) in &mut open {
        open.explain_up_to(&[Class::Lost, Class::Pending, Class::Quarantined, Class::Abandoned]);
        if let Some(pool) = undated.get_mut(&(key.product_code.clone(), key.region.clone())) {
            *pool -= open.explain_more(Class::Undated, *pool);
        }
        open.explain_fewer(Class::NotInRecords, open.facts.evidence.not_in_records);
        let missing = if terms.month_is_final {
            Class::NotBilled
        } else {
            Class::NotFinal
        };
        open.explain_fewer(missing, u64::MAX);
        open.explain_the_rest(terms.decimals);
    }
    open.into_iter().map(|(key, open)| open.compared(key)).collect()
}

/// Opposite differences of days next to each other, of one product and region.
fn explain_day_boundaries(open: &mut BTreeMap<&Key, Open<'_>>) {
    let keys: Vec<&Key> = open.keys().copied().collect();
    for key in keys {
        let Ok(tomorrow) = key.day.tomorrow() else { continue };
        let next = Key {
            day: tomorrow,
            ..key.clone()
        };
        let (Some(one), Some(other)) = (open.get(key), open.get(&next)) else {
            continue;
        };
        let (here, there) = (one.left, other.left);
        let close = if here > 0 {
            other.facts.evidence.at_begin
        } else {
            one.facts.evidence.at_end
        };
        if here.signum() * there.signum() >= 0 {
            continue;
        }
        let shifted = here.unsigned_abs().min(there.unsigned_abs()).min(close);
        let shifted = i64::try_from(shifted).unwrap_or(i64::MAX) * here.signum();
        for (key, shifted) in [(key, shifted), (&next, -shifted)] {
            if let Some(open) = open.get_mut(key) {
                open.explain(Class::DayBoundary, shifted);
            }
        }
    }
}

/// A key on its way: what of its difference is not explained yet.
struct Open<'a> {
    facts: &'a Facts,
    /// Calls that the bill has more.
    left: i64,
    /// Of these: calls that packages paid for, so that they cost nothing.
    prepaid: i64,
    /// What the bill should charge more for them.
    amount_left: Decimal,
    unit_price: Decimal,
    explanations: Vec<Explanation>,
}

impl<'a> Open<'a> {
    fn new(facts: &'a Facts) -> Self {
        let (billed, archived) = (&facts.repriced, &facts.archived);
        let left = facts.billed.quantity - archived.quantity;
        let unit_price = if left < 0 {
            archived.unit_price.or(billed.unit_price)
        } else {
            billed.unit_price.or(archived.unit_price)
        };
        let prepaid = billed.deducted - archived.deducted;
        Self {
            facts,
            left,
            prepaid: prepaid.clamp(left.min(0), left.max(0)),
            amount_left: billed.amount - archived.amount,
            unit_price: unit_price.unwrap_or_default(),
            explanations: Vec::new(),
        }
    }

    fn note(&mut self, class: Class, size: Size) {
        if !size.is_zero() {
            self.explanations.push(Explanation { class, size });
        }
    }

    fn explain_the_bill(&mut self) {
        let billed = &self.facts.billed;
        self.note(Class::Refund, billed.refunds);
        self.note(Class::Adjustment, billed.adjustments);
        let (quantity, amount) = (0, -billed.coupons);
        self.note(Class::Coupon, Size { quantity, amount });
    }

    /// Whether the bill's charge is the one for the calls that it counts.
    fn explain_the_charge(&mut self, decimals: u32) {
        let (billed, should) = (&self.facts.billed, &self.facts.repriced);
        let mut left = billed.charge - should.amount;
        let mut note = |class, amount: Decimal| {
            left -= amount;
            self.note(class, Size { quantity: 0, amount });
            left
        };
        let paid_less = Decimal::from(should.deducted - billed.deducted) * should.unit_price.unwrap_or_default();
        let rest = billed.charge - should.amount;
        let rest = note(
            Class::Package,
            paid_less.clamp(rest.min(Decimal::ZERO), rest.max(Decimal::ZERO)),
        );
        let half = Decimal::new(5, decimals + 1);
        let rounds = rest.abs() <= half * Decimal::from(billed.lines + 1) && should.unit_price.is_some();
        note(if rounds { Class::Rounding } else { Class::Price }, rest);
    }

    /// What is known by transaction.
    fn explain_by_records(&mut self) {
        for (class, more) in &self.facts.evidence.recorded {
            self.explain(*class, *more);
        }
    }

    /// Where the bill counts more: by as many records as there are of each class.
    fn explain_up_to(&mut self, classes: &[Class]) {
        for class in classes {
            let records = self.facts.evidence.counted.get(class).copied().unwrap_or(0);
            self.explain_more(*class, records);
        }
    }

    fn explain_more(&mut self, class: Class, records: u64) -> u64 {
        let explained = u64::try_from(self.left).unwrap_or(0).min(records);
        self.explain(class, i64::try_from(explained).unwrap_or(i64::MAX));
        explained
    }

    /// Where the bill counts fewer: by as many records as it can lack.
    fn explain_fewer(&mut self, class: Class, records: u64) {
        let most = i64::try_from(records).unwrap_or(i64::MAX);
        self.explain(class, self.left.clamp(-most, 0));
    }

    fn explain(&mut self, class: Class, calls: i64) {
        let prepaid = self.prepaid.clamp(calls.min(0), calls.max(0));
        self.prepaid -= prepaid;
        self.left -= calls;
        let amount = Decimal::from(calls - prepaid) * self.unit_price;
        self.amount_left -= amount;
        self.note(
            class,
            Size {
                quantity: calls,
                amount,
            },
        );
    }

    fn explain_the_rest(&mut self, decimals: u32) {
        self.explain(Class::Unexplained, self.left);
        // Both amounts were rounded.
        let rounds = self.amount_left.abs() <= Decimal::new(1, decimals);
        let class = if rounds { Class::Rounding } else { Class::Volume };
        let (quantity, amount) = (0, std::mem::take(&mut self.amount_left));
        self.note(class, Size { quantity, amount });
    }

    fn compared(self, key: &Key) -> Compared {
        let mut sizes: BTreeMap<Class, Size> = BTreeMap::new();
        for explanation in self.explanations {
            *sizes.entry(explanation.class).or_default() += explanation.size;
        }
        let sizes = sizes.into_iter().filter(|(_, size)| !size.is_zero());
        let bill = self.facts.billed.total();
        let archive = Size {
            quantity: self.facts.archived.quantity,
            amount: self.facts.archived.amount,
        };
        Compared {
            key: key.clone(),
            bill,
            archive,
            difference: bill - archive,
            explanations: sizes.map(|(class, size)| Explanation { class, size }).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
