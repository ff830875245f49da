//! What speaks against closing a month, and can be accepted by its name.
//!
//! - [`Objection`]: one; [`of`]: all of a month; [`accept`]: those that a person accepted

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::closing::Accepted;
use crate::command::CommandError;
use crate::reconcile::{self, Class, Reconciled, Standing};
use crate::report::billing::BillingTotals;

/// Something that speaks against closing a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objection {
    /// What it is accepted by.
    pub(super) name: String,
    /// A sentence.
    pub(super) what: String,
    /// Why it was accepted before, as a line of the bill.
    accepted: Option<String>,
}

fn objection(name: impl Into<String>, what: impl Into<String>) -> Objection {
    Objection {
        name: name.into(),
        what: what.into(),
        accepted: None,
    }
}

/// All of a month.
pub(super) fn of(reconciled: Option<&Reconciled>, totals: &BillingTotals) -> Vec<Objection> {
    let mut objections = match reconciled {
        Some(reconciled) => of_reconciled(reconciled),
        None => Vec::new(),
    };
    if reconciled.is_none_or(|reconciled| reconciled.bill_files.is_empty()) {
        objections.push(objection("no-bill", "no bill was given"));
    }
    for code in totals.unknown_sub_codes() {
        objections.push(objection(
            format!("sub-code/{}/{}", code.product_code, code.sub_code),
            format!(
                "it is not known whether {} with the sub code {} is billed; verifications: {}",
                code.product_code, code.sub_code, code.verifications
            ),
        ));
    }
    if totals.unpriced > 0 {
        let what = format!("{} billed verifications have no known price", totals.unpriced);
        objections.push(objection("unpriced", what));
    }
    objections
}

fn of_reconciled(reconciled: &Reconciled) -> Vec<Objection> {
    let mut objections = money(reconciled);
    objections.extend(swaps(reconciled));
    for note in &reconciled.bill_lines {
        if note.class == Class::Arithmetic {
            continue;
        }
        let (what, size) = (note.class.as_str().replace('_', " "), note.size);
        let about = format!(
            "{what} of {} calls and {} {} for {} in {} on {}",
            size.quantity, size.amount, note.currency, note.key.product_code, note.key.region, note.key.day
        );
        objections.push(Objection {
            accepted: note.accepted.clone(),
            ..objection(note.name.clone(), about)
        });
    }
    for total in &reconciled.explanations {
        let is_a_line = matches!(total.class, Class::Adjustment | Class::RefundExceeds);
        if total.standing == Standing::Open && !is_a_line {
            objections.push(objection(
                named(total.class.as_str(), &total.currency),
                format!(
                    "{} calls and {} {} are open, because of {}, on {} lines of a day, product and region",
                    total.size.quantity,
                    total.size.amount.normalize(),
                    total.currency,
                    total.class.as_str().replace('_', " "),
                    total.lines
                ),
            ));
        }
    }
    let records = reconciled.records.iter();
    for (class, ids) in records.flat_map(|records| &records.differ) {
        if class.is_told_by_records() && *class != Class::Swap {
            objections.push(objection(
                format!("records/{}", class.as_str()),
                format!(
                    "ids on which the vendor's records and the ledger differ, {}: {ids}",
                    class.as_str()
                ),
            ));
        }
    }
    objections
}

/// What the bill has too much or too little, beyond the tolerance.
fn money(reconciled: &Reconciled) -> Vec<Objection> {
    let mut objections = Vec::new();
    for total in &reconciled.totals {
        let (money, currency) = (&total.money, &total.currency);
        if reconciled.is_too_high(money) {
            let mut what = format!("the bill is {} {currency} too high", money.overcharged.normalize());
            if money.calls_without_amount > 0 {
                what = format!(
                    "{what}, and by {} calls without a known cost",
                    money.calls_without_amount
                );
            }
            objections.push(objection(named("overcharged", currency), what));
        }
        if money.undercharged > reconciled.tolerance {
            let what = format!("the bill is {} {currency} too low", money.undercharged.normalize());
            objections.push(objection(named("undercharged", currency), what));
        }
    }
    objections
}

fn swaps(reconciled: &Reconciled) -> Vec<Objection> {
    let mut sums: BTreeMap<String, (String, i64, Decimal)> = BTreeMap::new();
    for pair in &reconciled.swaps {
        let (ours, billed) = (&pair.ours, &pair.billed);
        let name = format!(
            "swap/{}/{}/{}/{}",
            ours.product_code, ours.region, billed.product_code, billed.region
        );
        let what = format!(
            "calls of {} in {} are billed as {} in {}",
            ours.product_code, ours.region, billed.product_code, billed.region
        );
        let (_, calls, amount) = sums.entry(name).or_insert((what, 0, Decimal::ZERO));
        *calls += pair.calls;
        *amount += pair.billed_amount - pair.our_amount;
    }
    let sum = |(name, (what, calls, amount)): (String, (String, i64, Decimal))| {
        objection(name, format!("{calls} {what}, which costs {} more", amount.normalize()))
    };
    sums.into_iter().map(sum).collect()
}

fn named(what: &str, currency: &str) -> String {
    if currency.is_empty() {
        what.to_owned()
    } else {
        format!("{what}/{currency}")
    }
}

/// The objections that are accepted, and those that are left. A name that is none of theirs is refused.
pub(super) fn accept(
    objections: &[Objection],
    reasons: &reconcile::Accepted,
) -> Result<(Vec<Accepted>, Vec<Objection>), CommandError> {
    if let Some(name) = reasons
        .keys()
        .find(|name| objections.iter().all(|objection| objection.name != **name))
    {
        let names: Vec<&str> = objections.iter().map(|objection| objection.name.as_str()).collect();
        return Err(CommandError::Usage(format!(
            "--accept {name:?}: nothing of this name speaks against closing the month; there is: {}",
            names.join(", ")
        )));
    }
    let (mut accepted, mut open) = (Vec::new(), Vec::new());
    for objection in objections {
        match reasons.get(&objection.name).or(objection.accepted.as_ref()) {
            Some(reason) => accepted.push(Accepted {
                name: objection.name.clone(),
                objection: objection.what.clone(),
                reason: reason.clone(),
            }),
            None => open.push(objection.clone()),
        }
    }
    Ok((accepted, open))
}
