//! A key on its way from its facts to its explanations.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::{Compared, Facts, Key};
use crate::reconcile::explain::{Class, Explanation, Size};

/// What of a key's difference is not explained yet.
pub(super) struct Open<'a> {
    pub(super) facts: &'a Facts,
    /// Calls that the bill has more.
    pub(super) left: i64,
    /// What refunds give back, and nothing was found for yet; below zero.
    pub(super) refunds: Size,
    /// Of the calls left: those that packages paid for, so that they cost nothing.
    prepaid: i64,
    /// What the bill should charge more for them.
    amount_left: Decimal,
    unit_price: Decimal,
    explanations: Vec<Explanation>,
}

impl<'a> Open<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
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
            refunds: facts.billed.refunds,
            prepaid: prepaid.clamp(left.min(0), left.max(0)),
            amount_left: billed.amount - archived.amount,
            unit_price: unit_price.unwrap_or_default(),
            explanations: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, class: Class, size: Size) {
        if !size.is_zero() {
            self.explanations.push(Explanation { class, size });
        }
    }

    fn note_amount(&mut self, class: Class, amount: Decimal) {
        self.note(class, Size { quantity: 0, amount });
    }

    /// What lines of the bill say by themselves; refunds are held to the calls later.
    pub(super) fn explain_the_bill(&mut self) {
        let billed = &self.facts.billed;
        self.note(Class::Adjustment, billed.adjustments);
        self.note(Class::Accepted, billed.accepted);
        self.note_amount(Class::Coupon, -billed.coupons);
        self.note_amount(Class::Arithmetic, billed.misadded);
    }

    /// Whether the bill's charge is the one for the calls that it counts. Rounding is held to the exact amount: half a unit
    /// a line that costs something.
    pub(super) fn explain_the_charge(&mut self, decimals: u32) {
        let (billed, should) = (&self.facts.billed, &self.facts.repriced);
        let charge = billed.charge - billed.misadded;
        let rest = charge - should.amount;
        let paid_less = Decimal::from(should.deducted - billed.deducted) * should.unit_price.unwrap_or_default();
        let by_package = paid_less.clamp(rest.min(Decimal::ZERO), rest.max(Decimal::ZERO));
        let rest = rest - by_package;
        let half = Decimal::new(5, decimals + 1);
        let beyond_exact = (charge - by_package - should.exact).abs();
        let rounds = should.unit_price.is_some() && beyond_exact <= half * Decimal::from(billed.lines);
        self.note_amount(Class::Package, by_package);
        self.note_amount(if rounds { Class::Rounding } else { Class::Price }, rest);
    }

    /// What is known by transaction.
    pub(super) fn explain_by_records(&mut self) {
        for (class, more) in &self.facts.evidence.recorded {
            self.explain(*class, *more);
        }
    }

    /// A refund gives back calls of its own day that nothing else explains, or what they were charged too much.
    pub(super) fn settle_refunds(&mut self) {
        let calls = self.left.min(-self.refunds.quantity).max(0);
        if calls > 0 {
            self.settle(calls);
        }
        self.settle_price();
    }

    /// Takes calls and their money out of what is open, against the key's own refunds.
    fn settle(&mut self, calls: i64) {
        let share = self.refunds.amount * Decimal::from(calls) / Decimal::from(-self.refunds.quantity);
        let given = if calls == -self.refunds.quantity {
            self.refunds.amount
        } else {
            share.round_dp(12)
        };
        self.refund(calls, given);
        self.refunds.quantity += calls;
        self.refunds.amount -= given;
        let (quantity, amount) = (-calls, given);
        self.note(Class::Refund, Size { quantity, amount });
    }

    /// Calls that a refund gives back, wherever it is. Of their cost, a refund of less money leaves the rest as a wrong
    /// price.
    pub(super) fn refund(&mut self, calls: i64, given: Decimal) -> Size {
        let amount = self.take(calls);
        let kept = (amount + given).max(Decimal::ZERO);
        let settled = Size {
            quantity: calls,
            amount: amount - kept,
        };
        self.note(Class::Refund, settled);
        self.note_amount(Class::Price, kept);
        settled
    }

    /// A refund of money alone gives back what the same day was charged too much.
    fn settle_price(&mut self) {
        if self.refunds.quantity != 0 || self.refunds.amount.is_zero() {
            return;
        }
        for at in 0..self.explanations.len() {
            let Explanation { class, size } = self.explanations[at];
            if !matches!(class, Class::Price | Class::Package | Class::Arithmetic) || size.amount <= Decimal::ZERO {
                continue;
            }
            let settled = size.amount.min(-self.refunds.amount);
            self.explanations[at].size.amount -= settled;
            self.refunds.amount += settled;
            // What was charged too much, and the refund of it.
            self.note_amount(Class::Refund, settled);
            self.note_amount(Class::Refund, -settled);
        }
    }

    /// Where the bill counts more: by as many records as there are of each class.
    pub(super) fn explain_up_to(&mut self, classes: &[Class]) {
        for class in classes {
            let records = self.facts.evidence.counted.get(class).copied().unwrap_or(0);
            self.explain_more(*class, records);
        }
    }

    pub(super) fn explain_more(&mut self, class: Class, records: u64) -> u64 {
        let explained = u64::try_from(self.left).unwrap_or(0).min(records);
        self.explain(class, i64::try_from(explained).unwrap_or(i64::MAX));
        explained
    }

    /// Where the bill counts fewer: by as many records as it can lack.
    pub(super) fn explain_fewer(&mut self, class: Class, records: u64) {
        let most = i64::try_from(records).unwrap_or(i64::MAX);
        self.explain(class, self.left.clamp(-most, 0));
    }

    /// Gives what the calls cost.
    pub(super) fn explain(&mut self, class: Class, calls: i64) -> Decimal {
        let amount = self.take(calls);
        let quantity = calls;
        self.note(class, Size { quantity, amount });
        amount
    }

    /// Takes calls out of what is open; gives what they cost.
    fn take(&mut self, calls: i64) -> Decimal {
        let prepaid = self.prepaid.clamp(calls.min(0), calls.max(0));
        self.prepaid -= prepaid;
        self.left -= calls;
        let amount = Decimal::from(calls - prepaid) * self.unit_price;
        self.amount_left -= amount;
        amount
    }

    pub(super) fn explain_the_rest(&mut self, decimals: u32) {
        self.explain(Class::Unexplained, self.left);
        // Both amounts were rounded.
        let rounds = self.amount_left.abs() <= Decimal::new(1, decimals);
        let class = if rounds { Class::Rounding } else { Class::Volume };
        let amount = std::mem::take(&mut self.amount_left);
        self.note_amount(class, amount);
    }

    pub(super) fn compared(self, key: &Key) -> Compared {
        let mut sizes: BTreeMap<Class, Size> = BTreeMap::new();
        for explanation in self.explanations {
            *sizes.entry(explanation.class).or_default() += explanation.size;
        }
        // A refund that gives back exactly what was too much is a reason, although it makes no difference.
        let sizes = sizes
            .into_iter()
            .filter(|(class, size)| *class == Class::Refund || !size.is_zero());
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
