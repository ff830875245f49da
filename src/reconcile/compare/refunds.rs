//! Refunds: of which day they give calls back, and whether they give back more than was billed.
//!
//! - [`GivenBack`]: a refund of another day than its own

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::{Key, Keys, Surplus, Terms};
use crate::reconcile::explain::{Class, Size};

/// Calls of a day that were given back on another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GivenBack {
    /// The product.
    pub product_code: String,
    /// Its region.
    pub region: String,
    /// The day of the refund.
    pub refunded: Date,
    /// The day whose calls it gives back.
    pub of: Date,
    /// How many.
    pub calls: i64,
}

/// Holds every refund to the calls that nothing else explains: of an earlier day of the month, of an earlier month, or, as a
/// refund of a later month, of this one. What is left of it must not exceed what was billed on its day.
pub(super) fn explain(open: &mut Keys<'_>, terms: &Terms) -> Vec<GivenBack> {
    let mut links = Vec::new();
    let keys: Vec<&Key> = open.keys().copied().collect();
    for refund in &keys {
        let earlier = keys.iter().rev().filter(|key| is_before(key, refund));
        for key in earlier {
            link_within(open, key, refund, &mut links);
        }
    }
    let (mut later, mut surpluses) = (terms.later_refunds.clone(), terms.earlier_surplus.clone());
    for key in &keys {
        for refund in later.get_mut(&key.place()).into_iter().flatten() {
            link_later(open, key, refund, &mut links);
        }
        for surplus in surpluses.get_mut(&key.place()).into_iter().flatten() {
            link_earlier(open, key, surplus, &mut links);
        }
    }
    for open in open.values_mut() {
        let rest = std::mem::take(&mut open.refunds);
        let billed = &open.facts.billed;
        let calls = rest.quantity.max(-billed.quantity.max(0));
        let charge = billed.charge.max(Decimal::ZERO);
        let covered = if calls == rest.quantity {
            Size {
                quantity: calls,
                amount: rest.amount.max(-charge),
            }
        } else {
            Size {
                quantity: calls,
                amount: (rest.amount * Decimal::from(calls) / Decimal::from(rest.quantity))
                    .round_dp(12)
                    .max(-charge),
            }
        };
        open.note(Class::Refund, covered);
        open.note(Class::RefundExceeds, rest - covered);
    }
    links
}

fn is_before(key: &Key, refund: &Key) -> bool {
    key.day < refund.day && (&key.product_code, &key.region) == (&refund.product_code, &refund.region)
}

/// A refund of a later day of the same month.
fn link_within(open: &mut Keys<'_>, key: &Key, refund: &Key, links: &mut Vec<GivenBack>) {
    let given = open[refund].refunds;
    let calls = open[key].left.min(-given.quantity).max(0);
    if calls == 0 {
        return;
    }
    let amount = share(given, calls);
    if let Some(open) = open.get_mut(key) {
        open.refund(calls, amount);
    }
    if let Some(open) = open.get_mut(refund) {
        give(open, calls, amount);
    }
    links.push(link(key, refund.day, key.day, calls));
}

/// A refund that the bill of a later month has.
fn link_later(open: &mut Keys<'_>, key: &Key, refund: &mut Surplus, links: &mut Vec<GivenBack>) {
    let Some(open) = open.get_mut(key) else { return };
    let calls = open.left.min(refund.calls).max(0);
    if calls == 0 {
        return;
    }
    let given = Size {
        quantity: -refund.calls,
        amount: -refund.amount,
    };
    let amount = share(given, calls);
    open.refund(calls, amount);
    refund.calls -= calls;
    refund.amount += amount;
    links.push(link(key, refund.day, key.day, calls));
}

/// Calls of an earlier month, which this month's refund gives back.
fn link_earlier(open: &mut Keys<'_>, key: &Key, surplus: &mut Surplus, links: &mut Vec<GivenBack>) {
    let Some(open) = open.get_mut(key) else { return };
    let calls = surplus.calls.min(-open.refunds.quantity).max(0);
    if calls == 0 {
        return;
    }
    let amount = share(open.refunds, calls);
    surplus.calls -= calls;
    give(open, calls, amount);
    links.push(link(key, key.day, surplus.day, calls));
}

/// The refund's own side of a link.
fn give(open: &mut super::Open<'_>, calls: i64, amount: Decimal) {
    open.refunds.quantity += calls;
    open.refunds.amount -= amount;
    let quantity = -calls;
    open.note(Class::Refund, Size { quantity, amount });
}

/// What a refund gives back for so many of its calls; below zero.
fn share(refund: Size, calls: i64) -> Decimal {
    if calls == -refund.quantity {
        return refund.amount;
    }
    (refund.amount * Decimal::from(calls) / Decimal::from(-refund.quantity)).round_dp(12)
}

fn link(key: &Key, refunded: Date, of: Date, calls: i64) -> GivenBack {
    GivenBack {
        product_code: key.product_code.clone(),
        region: key.region.clone(),
        refunded,
        of,
        calls,
    }
}
