//! Bill against archive, day by day, product by product, region by region. Pure: the same facts give the same
//! explanations, and those of a key add up to its difference exactly.
//!
//! 1. The bill itself: refunds, adjustments, coupons, and lines that do not add up.
//! 2. Whether the bill charges what it should for the calls that it counts: packages, rounding, and the rest is the price.
//! 3. Why it counts other calls than the archive. Where the vendor's records are given, this is known by transaction: bill
//!    less archive is bill less records, and records less archive. The rest goes by number, in the order of [`Class`], from
//!    the most to the least certain. No class explains more than there is evidence for. Days next to each other that differ
//!    in opposite directions explain each other, as far as there are verifications close to the boundary. Calls that one
//!    product or region has too many and another one too few on the same day are a swap (`pairs`). That the archive has more
//!    than the records explains no more than the bill lacks: records can be deleted.
//! 4. A call costs what the next one would on its day, or nothing where a package paid. The rest of the amount comes of
//!    tiers and packages that are reached elsewhere in the month.
//!
//! - [`Key`], [`Facts`], [`Terms`] (`facts`): what goes in
//! - [`Comparison`], [`Compared`], [`Pair`]: what comes out; `open`: a key on its way

mod facts;
mod open;
mod pairs;
mod refunds;

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::explain::{Class, Explanation, Size, Standing};
pub use facts::{Beside, Billed, Evidence, Facts, Key, Place, Priced, Surplus, Terms};
use open::Open;
pub use refunds::GivenBack;

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

/// Calls that the bill has in one place, and the archive in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Where the archive has them.
    pub ours: Key,
    /// Where the bill has them.
    pub billed: Key,
    /// How many.
    pub calls: i64,
    /// What they cost where they are billed.
    pub billed_amount: Decimal,
    /// What they should cost.
    pub our_amount: Decimal,
}

/// All keys, and what goes beyond one of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// In the order of their keys.
    pub lines: Vec<Compared>,
    /// Swaps, in the order in which they were found.
    pub swaps: Vec<Pair>,
    /// Refunds of another day than the one that they give back.
    pub given_back: Vec<GivenBack>,
}

type Keys<'a> = BTreeMap<&'a Key, Open<'a>>;

/// Compares every key.
pub fn compare(facts: &BTreeMap<Key, Facts>, terms: &Terms) -> Comparison {
    let mut open: Keys<'_> = facts.iter().map(|(key, facts)| (key, Open::new(facts))).collect();
    for key in open.values_mut() {
        key.explain_the_bill();
        key.explain_the_charge(terms.decimals);
        key.explain_by_records();
    }
    let mut swaps = pairs::recorded_swaps(&mut open, terms);
    for key in open.values_mut() {
        key.settle_refunds();
        key.explain_up_to(&[
            Class::Verdict,
            Class::NeverSeen,
            Class::OtherDay,
            Class::UnknownSubCode,
            Class::Journalled,
        ]);
    }
    pairs::explain_day_boundaries(&mut open, terms);
    let mut undated = terms.undated.clone();
    for (key, open) in &mut open {
        open.explain_up_to(&[Class::Lost, Class::Pending, Class::Quarantined, Class::Dropped]);
        if let Some(pool) = undated.get_mut(&key.place()) {
            *pool -= open.explain_more(Class::Undated, *pool);
        }
        open.explain_fewer(Class::NotInRecords, open.facts.evidence.not_in_records);
    }
    let given_back = refunds::explain(&mut open, terms);
    swaps.extend(pairs::find_swaps(&mut open));
    for open in open.values_mut() {
        open.explain_up_to(&[Class::NotCompleted, Class::UnbilledSubCode]);
        let missing = if terms.month_is_final {
            Class::NotBilled
        } else {
            Class::NotFinal
        };
        open.explain_fewer(missing, u64::MAX);
        open.explain_the_rest(terms.decimals);
    }
    Comparison {
        lines: open.into_iter().map(|(key, open)| open.compared(key)).collect(),
        swaps,
        given_back,
    }
}

/// The day before, or the day after.
fn beside(key: &Key, day: Option<Date>) -> Option<Key> {
    Some(Key {
        day: day?,
        ..key.clone()
    })
}

#[cfg(test)]
mod tests;
