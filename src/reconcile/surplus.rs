//! What was billed too much in earlier months, and what a refund of this one may give back.
//!
//! - [`of_earlier_months`]: by product and region, from signed months and from the bills that are given

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::Value;

use super::bill::LineKind;
use super::compare::{Place, Surplus};
use super::evidence::Month;
use super::explain::{Class, Explanation};
use super::{ReconcileError, Reconciled, Request, compare_month};
use crate::closing::Record;
use crate::ledger::Ledger;

/// Calls of these classes are billed and should not be.
const TOO_MUCH: [Class; 3] = [Class::Unexplained, Class::UnbilledSubCode, Class::NotCompleted];

type ByPlace = BTreeMap<Place, Vec<Surplus>>;

/// Looked for only where the month has a refund.
pub(super) fn of_earlier_months(ledger: &Ledger, request: &Request<'_>) -> Result<ByPlace, ReconcileError> {
    let mut found = ByPlace::new();
    let Some(bill) = request.bill else { return Ok(found) };
    let mut lines = bill.lines.iter();
    if !lines.any(|line| line.kind == LineKind::Refund && request.month.holds(line.day)) {
        return Ok(found);
    }
    let (first, _) = request.month.days();
    let mut signed = BTreeSet::new();
    for closed in ledger.closed_months(Some((Date::MIN, first)))? {
        let record = Record::read(&closed).ok().filter(|_| closed.month < first);
        if let Some(compared) = record.and_then(|record| record.reconciled) {
            add_signed(&compared, &mut found);
            signed.insert(closed.month);
        }
    }
    let months = bill.lines.iter().map(|line| line.day.first_of_month());
    let earlier: BTreeSet<Date> = months
        .filter(|month| *month < first && !signed.contains(month))
        .collect();
    for month in earlier {
        let Some(month) = Month::of(month, request.month.zone()) else {
            continue;
        };
        let earlier = Request {
            month: &month,
            recorded: None,
            ..*request
        };
        add(&compare_month(ledger, &earlier, ByPlace::new(), false)?, &mut found);
    }
    Ok(found)
}

fn add(reconciled: &Reconciled, found: &mut ByPlace) {
    for line in &reconciled.lines {
        for Explanation { class, size } in &line.compared.explanations {
            if TOO_MUCH.contains(class) && size.quantity > 0 {
                found.entry(line.compared.key.place()).or_default().push(Surplus {
                    day: line.compared.key.day,
                    calls: size.quantity,
                    amount: size.amount,
                });
            }
        }
    }
}

/// From what was signed off.
fn add_signed(compared: &Value, found: &mut ByPlace) {
    for line in compared["lines"].as_array().into_iter().flatten() {
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let (Some(product), Some(region)) = (text("product_code"), text("region")) else {
            continue;
        };
        let Some(day) = text("day").and_then(|day| day.parse().ok()) else {
            continue;
        };
        for why in line["explanations"].as_array().into_iter().flatten() {
            let is_too_much = TOO_MUCH.iter().any(|class| why["class"] == class.as_str());
            let (calls, amount) = (why["quantity"].as_i64(), why["amount"].as_str());
            if let (true, Some(calls @ 1..), Some(amount)) = (is_too_much, calls, amount) {
                let place = (product.clone(), region.clone());
                let amount = amount.parse().unwrap_or_default();
                found.entry(place).or_default().push(Surplus { day, calls, amount });
            }
        }
    }
}
