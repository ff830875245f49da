//! What a comparison comes to in money: too high, too low, or open.
//!
//! - [`Money`]: of a currency; [`judge`]: of all lines
//!
//! Amounts in our favour are never set against amounts against us, but for what belongs together: both sides of a swap, and
//! tiers and packages that are reached elsewhere because of a product's wrong calls.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::Serialize;

use super::compare::{Key, Pair};
use super::explain::{Class, Explanation, Standing};
use super::outcome::Line;

/// What a bill comes to, in one currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Money {
    /// What the bill has too much.
    pub overcharged: Decimal,
    /// What it has too little.
    pub undercharged: Decimal,
    /// What nobody can say yet, or nobody accepted, whichever way.
    pub open: Decimal,
    /// Calls that are billed too much, and of which no cost is known.
    pub calls_without_amount: i64,
    /// The most that one line, or one swap, has too much.
    #[serde(skip)]
    pub highest: Decimal,
}

impl Money {
    fn add(&mut self, amount: Decimal) {
        if amount > Decimal::ZERO {
            self.overcharged += amount;
        } else {
            self.undercharged -= amount;
        }
    }
}

/// A product in a currency.
type Product<'a> = (&'a str, &'a str);

/// Sums every line.
pub(super) fn judge(lines: &[Line], swaps: &[Pair]) -> BTreeMap<String, Money> {
    let mut volumes = volumes(lines);
    let mut money: BTreeMap<String, Money> = BTreeMap::new();
    let currencies: BTreeMap<&Key, &str> = lines
        .iter()
        .map(|line| (&line.compared.key, line.currency.as_str()))
        .collect();
    let mut paired: BTreeMap<&Key, Decimal> = BTreeMap::new();
    for pair in swaps {
        *paired.entry(&pair.ours).or_default() -= pair.our_amount;
        *paired.entry(&pair.billed).or_default() += pair.billed_amount;
        let currency = |key| currencies.get(key).copied().unwrap_or_default();
        let (ours, billed) = (currency(&pair.ours), currency(&pair.billed));
        let mut sides: BTreeMap<&str, Decimal> = BTreeMap::new();
        *sides.entry(ours).or_default() -= pair.our_amount;
        *sides.entry(billed).or_default() += pair.billed_amount;
        for (key, currency) in [(&pair.ours, ours), (&pair.billed, billed)] {
            let volume = volumes.remove(&(key.product_code.as_str(), currency));
            *sides.entry(currency).or_default() += volume.unwrap_or_default();
        }
        for (currency, amount) in sides {
            let money = money.entry(currency.to_owned()).or_default();
            money.add(amount);
            money.highest = money.highest.max(amount);
        }
    }
    let standings = standings(lines);
    for line in lines {
        let of_currency = money.entry(line.currency.clone()).or_default();
        let paired = paired.get(&line.compared.key).copied().unwrap_or_default();
        let mut wrong = Decimal::ZERO;
        for Explanation { class, size } in &line.compared.explanations {
            match class.standing() {
                Standing::Right => {}
                Standing::Open => of_currency.open += size.amount.abs(),
                Standing::Wrong => {
                    let own = if *class == Class::Swap { paired } else { Decimal::ZERO };
                    of_currency.add(size.amount - own);
                    wrong += (size.amount - own).max(Decimal::ZERO);
                    let has_no_cost = size.amount.is_zero() && *class != Class::Swap;
                    of_currency.calls_without_amount += if has_no_cost { size.quantity.max(0) } else { 0 };
                }
            }
        }
        of_currency.highest = of_currency.highest.max(wrong);
    }
    for ((product, currency), volume) in volumes {
        let of_currency = money.entry(currency.to_owned()).or_default();
        match standings.get(&(product, currency)) {
            Some((_, true)) => of_currency.add(volume),
            Some((true, false)) => of_currency.open += volume.abs(),
            _ => {}
        }
    }
    money
}

/// What tiers and packages that are reached elsewhere come to.
fn volumes(lines: &[Line]) -> BTreeMap<Product<'_>, Decimal> {
    let mut volumes = BTreeMap::new();
    for line in lines {
        for Explanation { class, size } in &line.compared.explanations {
            if *class == Class::Volume {
                let product = (line.compared.key.product_code.as_str(), line.currency.as_str());
                *volumes.entry(product).or_insert(Decimal::ZERO) += size.amount;
            }
        }
    }
    volumes
}

/// Whether calls of a product are open, and whether some are wrong.
fn standings(lines: &[Line]) -> BTreeMap<Product<'_>, (bool, bool)> {
    let mut standings: BTreeMap<Product<'_>, (bool, bool)> = BTreeMap::new();
    for line in lines {
        let product = (line.compared.key.product_code.as_str(), line.currency.as_str());
        let (is_open, is_wrong) = standings.entry(product).or_default();
        for Explanation { class, size } in &line.compared.explanations {
            let has_calls = size.quantity != 0;
            *is_open |= has_calls && class.standing() == Standing::Open;
            *is_wrong |= has_calls && class.standing() == Standing::Wrong;
        }
    }
    standings
}

/// The swaps that name a line.
pub(super) fn in_swaps(swaps: &[Pair]) -> BTreeSet<&Key> {
    swaps.iter().flat_map(|pair| [&pair.ours, &pair.billed]).collect()
}
