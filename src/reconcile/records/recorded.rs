//! What the vendor's records say of a month, held to the ledger id by id.
//!
//! - [`Terms`]: which month, and by what; [`Recorded`]: what came of it

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::judge::{Judge, Judged};
use super::{Exports, RecordsSettings, read};
use crate::ledger::{Defaults, HeldRecords, Kept, Ledger, LedgerError, MonthRow};
use crate::reconcile::ReconcileError;
use crate::reconcile::compare::{Evidence, Key};
use crate::reconcile::evidence::{Month, Reason};
use crate::reconcile::explain::Class;
use crate::reconcile::outcome::RecordsOutcome;
use crate::record::State;
use crate::tables::SubCodes;

/// Which month is looked at, and by what.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The month.
    pub month: &'a Month,
    /// Which are billed.
    pub sub_codes: &'a SubCodes,
    /// What is taken for a record that does not say, and no source either.
    pub defaults: &'a Defaults,
}

impl<'a> Terms<'a> {
    fn judge(&self) -> Judge<'a> {
        Judge {
            month: self.month,
            sub_codes: self.sub_codes,
            defaults: self.defaults,
        }
    }
}

/// What the records say of a month. They are taken to be all that the vendor has of the days from the first to the last that
/// they name, in the products and regions that they name.
#[derive(Debug, Default)]
pub struct Recorded {
    /// The files, as they were named.
    pub files: Vec<String>,
    /// Records of the month.
    pub records: u64,
    /// Those of other months, on both sides.
    pub other_months: u64,
    /// Those of other services.
    pub not_ours: u64,
    /// Those of the month that are as the ledger has them.
    pub agree: u64,
    /// How many differ, by how.
    pub differ: BTreeMap<Class, u64>,
    days: Option<(Date, Date)>,
    places: BTreeSet<(String, String)>,
    /// Calls that they count.
    billed: BTreeMap<Key, i64>,
    evidence: BTreeMap<Key, Evidence>,
    /// Calls under another product or region than the archive's: where the archive has them, and where the records do.
    swaps: BTreeMap<(Key, Key), i64>,
    held: HeldRecords,
}

impl Recorded {
    /// Reads the files, and holds each record to the ledger.
    pub fn read(
        ledger: &Ledger,
        exports: Exports,
        settings: &RecordsSettings,
        terms: &Terms<'_>,
    ) -> Result<Self, ReconcileError> {
        let mut held = ledger.hold_records()?;
        let mut recorded = Self {
            files: exports.names(),
            ..Self::default()
        };
        let judge = terms.judge();
        let not_ours = read::<ReconcileError>(exports, settings, &mut |record| {
            let mut take = |ours: Option<MonthRow<'_>>| recorded.take(judge.judge(record, ours.as_ref()), terms.month);
            Ok(ledger.hold_record(&mut held, record, &mut take)?)
        })?;
        ledger.records_are_held()?;
        (recorded.not_ours, recorded.held) = (not_ours, held);
        let places = recorded.billed.keys();
        recorded.places = places
            .map(|key| (key.product_code.clone(), key.region.clone()))
            .collect();
        Ok(recorded)
    }

    /// Adds a record; whether it is to be looked at again.
    fn take(&mut self, judged: Judged, month: &Month) -> bool {
        let within = |key: &Key| month.holds(key.day);
        let mut is_told = false;
        for (_, class) in judged.differs.iter().filter(|(key, _)| within(key)) {
            *self.differ.entry(*class).or_default() += 1;
            is_told = true;
        }
        for (key, class, more) in judged.more.into_iter().filter(|(key, ..)| within(key)) {
            let recorded = &mut self.evidence.entry(key).or_default().recorded;
            *recorded.entry(class).or_default() += more;
        }
        if let Some(ours) = judged.swapped_from {
            let theirs = judged.theirs.clone();
            if within(&ours) && within(&theirs) {
                *self.swaps.entry((ours, theirs)).or_default() += 1;
            } else {
                for (key, more) in [(ours, -1), (theirs, 1)].into_iter().filter(|(key, _)| within(key)) {
                    let recorded = &mut self.evidence.entry(key).or_default().recorded;
                    *recorded.entry(Class::Swap).or_default() += more;
                }
            }
        }
        if let Some((key, class)) = judged.perhaps.filter(|(key, _)| within(key)) {
            let counted = &mut self.evidence.entry(key).or_default().counted;
            *counted.entry(class).or_default() += 1;
        }
        let theirs = judged.theirs;
        if !within(&theirs) {
            self.other_months += u64::from(!is_told);
            return is_told;
        }
        self.records += 1;
        self.agree += u64::from(judged.differs.is_empty());
        let (first, last) = self.days.get_or_insert((theirs.day, theirs.day));
        (*first, *last) = (theirs.day.min(*first), theirs.day.max(*last));
        let calls = i64::from(judged.is_billed == Some(true));
        match self.billed.get_mut(&theirs) {
            Some(billed) => *billed += calls,
            None => drop(self.billed.insert(theirs, calls)),
        }
        is_told
    }

    /// The first and the last day that the records name.
    pub const fn days(&self) -> Option<(Date, Date)> {
        self.days
    }

    /// Whether the records have all that the vendor has of this.
    pub fn covers(&self, day: Date, product_code: &str, region: &str) -> bool {
        self.days.is_some_and(|(first, last)| (first..=last).contains(&day)) && self.covers_place(product_code, region)
    }

    fn covers_place(&self, product_code: &str, region: &str) -> bool {
        self.places
            .iter()
            .any(|(product, place)| product == product_code && place == region)
    }

    /// What a record of the ledger could explain beside them; `None` where they have told of it, or have nothing to tell.
    pub(crate) fn reason(&self, row: &MonthRow<'_>, month: &Month, sub_codes: &SubCodes) -> Option<Reason> {
        if self.held.names(row.number) {
            // That its sub code is not billed holds whatever the records say.
            let own = Reason::of(row, month, sub_codes);
            return own.filter(|own| matches!(own, Reason::More(_, Class::UnbilledSubCode)));
        }
        match row.verified_at.map(|micros| month.date_of(micros)) {
            Some(day) if !month.holds(day) => Reason::of(row, month, sub_codes),
            Some(day) if self.covers(day, row.product_code, row.region) => {
                matches!(row.state, State::Archived | State::Journalled).then_some(Reason::NotInRecords(day))
            }
            None if self.covers_place(row.product_code, row.region) => None,
            _ => Reason::of(row, month, sub_codes),
        }
    }

    /// Calls that the records count, by day, product and region.
    pub(crate) const fn billed(&self) -> &BTreeMap<Key, i64> {
        &self.billed
    }

    /// What they have more than the archive.
    pub(crate) const fn evidence(&self) -> &BTreeMap<Key, Evidence> {
        &self.evidence
    }

    /// Calls that they have under another product or region.
    pub(crate) const fn swaps(&self) -> &BTreeMap<(Key, Key), i64> {
        &self.swaps
    }

    /// As it is reported; `None` where they have no record of the month.
    pub(crate) fn outcome(&self, not_in_records: u64) -> Option<RecordsOutcome> {
        let (from, to) = self.days?;
        let mut differ = self.differ.clone();
        if not_in_records > 0 {
            differ.insert(Class::NotInRecords, not_in_records);
        }
        Some(RecordsOutcome {
            files: self.files.clone(),
            records: self.records,
            left_out: self.other_months + self.not_ours,
            from,
            to,
            agree: self.agree,
            differ,
            named: Vec::new(),
            adopted: None,
        })
    }

    /// Calls `each` with every record that differs, where it does, and how.
    pub(crate) fn for_each_that_differs<E: From<LedgerError>>(
        ledger: &Ledger,
        terms: &Terms<'_>,
        each: &mut dyn FnMut(&Key, Class, &Kept<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        ledger.for_each_kept(&mut |kept| {
            let judged = terms.judge().judge(kept.record, kept.known.as_ref());
            let mut within = judged.differs.iter().filter(|(key, _)| terms.month.holds(key.day));
            within.try_for_each(|(key, class)| each(key, *class, &kept))
        })
    }
}
