//! A record of the vendor's, held to what the ledger knows of its id. Pure.
//!
//! - [`Judge`]: by what; [`Judged`]: what came of it
//!
//! Both sides count a verification on a day, in a product and a region, or not at all. What the record does not say is
//! taken to be as the ledger has it.

use crate::ledger::{Defaults, MonthRow, VendorRecord};
use crate::reconcile::compare::Key;
use crate::reconcile::evidence::{Month, class_of};
use crate::reconcile::explain::Class;
use crate::record::{ProductCode, Region, State};
use crate::tables::SubCodes;

/// By what records are judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge<'a> {
    /// Where a day begins.
    pub(super) month: &'a Month,
    /// Which are billed.
    pub(super) sub_codes: &'a SubCodes,
    /// What is taken for a record that does not say, and no source either.
    pub(super) defaults: &'a Defaults,
}

/// How a record and the ledger differ.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// Where the records have it.
    pub(super) theirs: Key,
    /// Whether they say that it is billed; `None`: no table knows.
    pub(super) is_billed: Option<bool>,
    /// How many calls the records have more than the archive there, and why; none where both agree.
    pub(super) more: Vec<(Key, Class, i64)>,
    /// Where the archive has it, where both count it and the records have it under another product or region.
    pub(super) swapped_from: Option<Key>,
    /// Where a bill may have one more because of it: no table says whether it is billed.
    pub(super) perhaps: Option<(Key, Class)>,
    /// How the two sides differ, whatever that does to a bill.
    pub(super) differs: Vec<(Key, Class)>,
}

impl Judge<'_> {
    /// Of a record; `ours` is `None` where no source named its id.
    pub(super) fn judge(&self, record: &VendorRecord, ours: Option<&MonthRow<'_>>) -> Judged {
        let theirs = self.key_of(record, ours);
        let code = record.sub_code.as_deref().or(ours.and_then(|ours| ours.sub_code));
        let is_billed = code.and_then(|code| self.is_billed(&theirs.product_code, code));
        let mut judged = Judged {
            theirs: theirs.clone(),
            is_billed,
            more: Vec::new(),
            swapped_from: None,
            perhaps: None,
            differs: Vec::new(),
        };
        let Some(ours) = ours else {
            judged.count(None, Class::NeverSeen);
            judged.differs.push((theirs, Class::NeverSeen));
            return judged;
        };
        let key = ours.verified_at.map(|micros| Key {
            day: self.month.date_of(micros),
            product_code: ours.product_code.to_owned(),
            region: ours.region.to_owned(),
        });
        let has_verdict = matches!(ours.state, State::Archived | State::Journalled);
        let place = other_place(&theirs, key.as_ref()).filter(|_| has_verdict);
        let shown = key.as_ref().unwrap_or(&theirs);
        let contradicts = has_verdict && contradicts(record, ours);
        if contradicts {
            judged.differs.push((shown.clone(), Class::Verdict));
        }
        judged.differs.extend(place.map(|place| (shown.clone(), place)));
        let class = match class_of(ours) {
            Some(state) => state,
            None if contradicts => Class::Verdict,
            None => place.unwrap_or(Class::UnknownSubCode),
        };
        let counted = key
            .as_ref()
            .filter(|_| ours.state == State::Archived && self.counts(ours));
        // Where both count it, only another place makes a difference.
        let both_count = is_billed == Some(true) && counted.is_some();
        if both_count && place == Some(Class::Swap) {
            judged.swapped_from = counted.cloned();
        } else if let Some(class) = if both_count { place } else { Some(class) } {
            judged.count(counted, class);
            let matters = !judged.more.is_empty() || judged.perhaps.is_some();
            if matters && judged.differs.iter().all(|(_, named)| *named != class) {
                judged.differs.push((theirs, class));
            }
        }
        judged
    }

    fn key_of(&self, record: &VendorRecord, ours: Option<&MonthRow<'_>>) -> Key {
        let product = record.product_code.as_ref().map(ProductCode::as_str);
        let region = record.region.as_ref().map(Region::as_str);
        let product = product.or(ours.map(|ours| ours.product_code));
        let region = region.or(ours.map(|ours| ours.region));
        Key {
            day: self.month.date_of(record.verified_at.as_microsecond()),
            product_code: product.unwrap_or(self.defaults.product_code.as_str()).to_owned(),
            region: region.unwrap_or(self.defaults.region.as_str()).to_owned(),
        }
    }

    fn is_billed(&self, product_code: &str, sub_code: &str) -> Option<bool> {
        self.sub_codes.of(product_code, sub_code).map(|known| known.billed)
    }

    /// Whether the archive counts it as billed.
    fn counts(&self, ours: &MonthRow<'_>) -> bool {
        ours.sub_code
            .is_some_and(|code| self.is_billed(ours.product_code, code) == Some(true))
    }
}

impl Judged {
    /// The archive counts it at `ours`, if at all, and the records where they have it, if it is billed.
    fn count(&mut self, ours: Option<&Key>, class: Class) {
        self.more.extend(ours.map(|ours| (ours.clone(), class, -1)));
        match self.is_billed {
            Some(true) => self.more.push((self.theirs.clone(), class, 1)),
            Some(false) => {}
            None => self.perhaps = Some((self.theirs.clone(), class)),
        }
    }
}

/// Whether the verdicts differ, as far as both sides say them.
fn contradicts(record: &VendorRecord, ours: &MonthRow<'_>) -> bool {
    let other_code = record
        .sub_code
        .as_deref()
        .is_some_and(|code| ours.sub_code != Some(code));
    other_code || record.passed.is_some_and(|passed| ours.passed != Some(passed))
}

/// Why it is counted at another place, if it is.
fn other_place(theirs: &Key, ours: Option<&Key>) -> Option<Class> {
    let Some(ours) = ours else {
        return Some(Class::Undated);
    };
    let beside = [ours.day.yesterday(), ours.day.tomorrow()];
    let is_beside = || beside.iter().flatten().any(|day| *day == theirs.day);
    if ours == theirs {
        None
    } else if ours.product_code == theirs.product_code && ours.region == theirs.region && is_beside() {
        Some(Class::DayBoundary)
    } else if (&ours.product_code, &ours.region) == (&theirs.product_code, &theirs.region) {
        Some(Class::OtherDay)
    } else {
        Some(Class::Swap)
    }
}

#[cfg(test)]
mod tests;
