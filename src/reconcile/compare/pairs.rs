//! Keys that explain each other: days next to each other, and places of one day.

use std::collections::BTreeMap;

use super::{Key, Keys, Open, Pair, Terms, beside};
use crate::reconcile::explain::Class;

/// What the vendor's records have under another product or region.
pub(super) fn recorded_swaps(open: &mut Keys<'_>, terms: &Terms) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for ((ours, billed), calls) in &terms.swaps {
        pairs.extend(swap(open, ours, billed, *calls));
    }
    pairs
}

/// Calls that one place of a day has too many and another one too few. Places that have the product in common come
/// before those that have the region in common.
pub(super) fn find_swaps(open: &mut Keys<'_>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut by_day: BTreeMap<_, (Vec<&Key>, Vec<&Key>)> = BTreeMap::new();
    for (key, open) in &*open {
        let (many, few) = by_day.entry(key.day).or_default();
        match open.left {
            1.. => many.push(*key),
            ..=-1 => few.push(*key),
            0 => {}
        }
    }
    let alike: [fn(&Key, &Key) -> bool; 2] = [
        |one, other| one.product_code == other.product_code,
        |one, other| one.region == other.region,
    ];
    for (many, few) in by_day.values() {
        for is_alike in alike {
            for billed in many {
                for ours in few.iter().filter(|ours| is_alike(billed, ours)) {
                    let calls = open[billed].left.min(-open[ours].left).max(0);
                    pairs.extend(swap(open, ours, billed, calls));
                }
            }
        }
    }
    pairs
}

fn swap(open: &mut Keys<'_>, ours: &Key, billed: &Key, calls: i64) -> Option<Pair> {
    if calls == 0 || !open.contains_key(ours) || !open.contains_key(billed) {
        return None;
    }
    let our_amount = -open.get_mut(ours)?.explain(Class::Swap, -calls);
    let billed_amount = open.get_mut(billed)?.explain(Class::Swap, calls);
    Some(Pair {
        ours: ours.clone(),
        billed: billed.clone(),
        calls,
        billed_amount,
        our_amount,
    })
}

/// Opposite differences of days next to each other, of one product and region.
pub(super) fn explain_day_boundaries(open: &mut Keys<'_>, terms: &Terms) {
    let keys: Vec<&Key> = open.keys().copied().collect();
    for key in keys {
        for (day, before) in [(key.day.yesterday().ok(), true), (key.day.tomorrow().ok(), false)] {
            let Some(other) = beside(key, day) else { continue };
            if let Some(one) = open.get(key)
                && let Some(shifted) = across_the_month(one, &other, before, terms)
                && let Some(one) = open.get_mut(key)
            {
                one.explain(Class::DayBoundary, shifted);
            }
        }
        let Some(next) = beside(key, key.day.tomorrow().ok()) else {
            continue;
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
        let shifted = signed(shifted) * here.signum();
        for (key, shifted) in [(key, shifted), (&next, -shifted)] {
            if let Some(open) = open.get_mut(key) {
                open.explain(Class::DayBoundary, shifted);
            }
        }
    }
}

/// The other day is of another month, whose bill may not be given: then the verifications close to the boundary are all
/// that is known.
fn across_the_month(one: &Open<'_>, other: &Key, before: bool, terms: &Terms) -> Option<i64> {
    let (first, last) = terms.month?;
    if (first..=last).contains(&other.day) {
        return None;
    }
    let beside = terms.beside.get(other).cloned().unwrap_or_default();
    let own = &one.facts.evidence;
    let close = match (one.left > 0, before) {
        (true, _) => beside.close,
        (false, true) => own.at_begin,
        (false, false) => own.at_end,
    };
    let opposite = beside
        .more
        .map_or(u64::MAX, |more| u64::try_from(-more * one.left.signum()).unwrap_or(0));
    let shifted = one.left.unsigned_abs().min(close).min(opposite);
    (shifted > 0).then(|| signed(shifted) * one.left.signum())
}

fn signed(calls: u64) -> i64 {
    i64::try_from(calls).unwrap_or(i64::MAX)
}
