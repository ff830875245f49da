//! The vendor's bill against the archive: of every line, whether it is right, wrong or open, and why. The vendor's own
//! records can be a third side, or stand in the place of a bill.
//!
//! - [`bill`]: the bill's export, read strictly; [`records`]: that of the vendor's records; [`SourceError`]: why one can't be
//!   taken; `table`, `workbook`, `names`, `number`: what both are read with; `remote`: a table that a child process reads
//! - [`compare()`]: both sides, and why they differ; pure
//! - [`Class`], [`Standing`], [`Explanation`], [`Size`]: the reasons
//! - [`evidence`]: what the ledger's records could explain; `sides`: what is compared
//! - [`reconcile`]: a month; [`Request`]: which, and by what
//! - [`Reconciled`] and its parts (`outcome`): what came of it, as it is reported
//! - [`Record`]: a record behind an explanation

pub mod bill;
pub mod compare;
pub mod evidence;
mod explain;
mod gb18030;
mod hints;
mod money;
mod names;
mod number;
mod outcome;
mod parts;
pub mod records;
pub(crate) mod remote;
mod sides;
mod surplus;
mod table;
mod workbook;

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::closing::is_final;
use crate::ledger::{Defaults, Ledger, LedgerError, MonthRow, VendorRecord};
use crate::pricing::Pricing;
use crate::tally::TallyLine;
use bill::Bill;
use compare::{Compared, Comparison, Key, Place, Surplus, Terms, compare};
use evidence::{Evidence, Month, Reason};
pub use explain::{Class, Explanation, Size, Standing};
pub use money::Money;
pub use names::{NOT_OURS, Names};
pub use outcome::{BillNote, ClassTotal, CurrencyTotal, Judgement, Line, NamedRecord, Reconciled, RecordsOutcome};
use records::Recorded;
pub use sides::Accepted;
use sides::Sides;
pub use table::SourceError;

/// Records that are named on the page and in `reconcile.json`; all are in `reconcile-records.csv`.
const NAMED_RECORDS: usize = 20;

/// Why a month can't be compared.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The bill, or the records, can't be taken.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The ledger can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Which month is compared, and by what.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The bill; without one the records stand in its place.
    pub bill: Option<&'a Bill>,
    /// The vendor's own records, where they are given.
    pub recorded: Option<&'a Recorded>,
    /// The month.
    pub month: &'a Month,
    /// The vendor's day now: whether lines can still come.
    pub today: Date,
    /// What a verification costs, and which are billed.
    pub pricing: &'a Pricing,
    /// What is taken for a record that says neither product nor region.
    pub defaults: &'a Defaults,
    /// How much the bill may be too high in a currency.
    pub tolerance: Decimal,
    /// How much a day, product and region may be too high.
    pub tolerance_line: Option<Decimal>,
    /// Lines of the bill that a person accepted.
    pub accepted: &'a Accepted,
}

/// A record behind an explanation.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The day of the explanation; `None`: of any with this product and region.
    pub day: Option<Date>,
    /// The product of the explanation.
    pub product_code: &'a str,
    /// Its region.
    pub region: &'a str,
    /// Of what it is one.
    pub class: Class,
    /// The transaction.
    pub transaction_id: &'a str,
    /// What the ledger knows of it.
    pub ours: Option<MonthRow<'a>>,
    /// What the vendor's records say of it.
    pub theirs: Option<&'a VendorRecord>,
}

/// Compares a month of the bill with the archive.
pub fn reconcile(ledger: &Ledger, request: &Request<'_>) -> Result<Reconciled, ReconcileError> {
    let earlier_surplus = surplus::of_earlier_months(ledger, request)?;
    compare_month(ledger, request, earlier_surplus, true)
}

fn compare_month(
    ledger: &Ledger,
    request: &Request<'_>,
    earlier_surplus: BTreeMap<Place, Vec<Surplus>>,
    with_later_refunds: bool,
) -> Result<Reconciled, ReconcileError> {
    let (pricing, days) = (request.pricing, request.month.days());
    let mut sides = request.sides(ledger)?;
    let mut evidence = request
        .recorded
        .map_or_else(Evidence::default, |recorded| Evidence::recorded(recorded.evidence()));
    let mut not_in_records = 0;
    let mut utc_days: BTreeMap<Date, i64> = BTreeMap::new();
    ledger.for_each_of_month(request.month.wide_span(), &mut |row| {
        if let Some(reason) = request.reason(&row) {
            not_in_records += u64::from(matches!(reason, Reason::NotInRecords(_)));
            evidence.add(&row, reason, &pricing.sub_codes);
        }
        if let Some(day) = evidence::utc_day_of_billed(&row, &pricing.sub_codes) {
            *utc_days.entry(day).or_default() += 1;
        }
        Ok::<_, LedgerError>(())
    })?;
    let mut beside = std::mem::take(&mut sides.beside);
    let undated = evidence.give_to(&mut sides.facts, &mut beside, request.month);
    let terms = Terms {
        month: Some(days),
        month_is_final: is_final(days.0, request.today),
        decimals: pricing.decimals,
        undated,
        beside,
        swaps: request
            .recorded
            .map(|recorded| recorded.swaps().clone())
            .unwrap_or_default(),
        later_refunds: if with_later_refunds {
            std::mem::take(&mut sides.later_refunds)
        } else {
            BTreeMap::new()
        },
        earlier_surplus,
    };
    let hints = match request.bill {
        Some(_) => hints::of(&sides.facts, &utc_days, pricing.decimals),
        None => Vec::new(),
    };
    let Comparison {
        lines: mut compared,
        swaps,
        given_back,
    } = compare(&sides.facts, &terms);
    compared.retain(|line| !line.is_empty() && request.is_asked(&line.key));
    let line = |compared: Compared| {
        let currency = sides.currencies.get(&compared.key).cloned().unwrap_or_default();
        Line::new(compared, currency)
    };
    let mut reconciled = Reconciled {
        month: days.0.strftime("%Y-%m").to_string(),
        month_is_final: terms.month_is_final,
        side: if request.bill.is_some() { "bill" } else { "records" },
        forms: request.bill.map(|bill| bill.forms.clone()).unwrap_or_default(),
        bill_files: request.bill.map(|bill| bill.files.clone()).unwrap_or_default(),
        records: request.recorded.and_then(|recorded| recorded.outcome(not_in_records)),
        other_months: sides.other_months,
        not_ours: request.bill.map_or(0, |bill| bill.not_ours),
        total_lines: request.bill.map_or(0, |bill| bill.totals),
        tolerance: request.tolerance,
        tolerance_line: request.tolerance_line,
        beyond_tolerance: 0,
        hints,
        totals: Vec::new(),
        explanations: Vec::new(),
        archive_differs: Vec::new(),
        swaps,
        given_back,
        bill_lines: Vec::new(),
        lines: compared.into_iter().map(line).collect(),
    };
    reconciled.bill_lines = reconciled.notes_of(sides.notes);
    reconciled.sum_up();
    Ok(reconciled)
}

impl Request<'_> {
    fn sides(&self, ledger: &Ledger) -> Result<Sides, ReconcileError> {
        let (pricing, days) = (self.pricing, self.month.days());
        let (before, after) = self.month.days_beside();
        let needed = pricing.needed_from(before.unwrap_or(days.0));
        let mut tallies = ledger.billing(Some((needed, after.unwrap_or(days.1))))?;
        let is_needed = |tally: &TallyLine| tally.billing_day.is_none_or(|day| day <= days.1);
        let wide = tallies.clone();
        tallies.retain(is_needed);
        Ok(match (self.bill, self.recorded) {
            (Some(bill), _) => {
                let mut sides = Sides::of_bill(bill, &tallies, pricing, days, self.accepted)?;
                sides.look_beside(bill, &wide, pricing, days);
                sides
            }
            (None, Some(recorded)) => {
                let covers = |key: &Key| recorded.covers(key.day, &key.product_code, &key.region);
                Sides::of_records(recorded.billed(), &covers, &tallies, pricing, days)
            }
            (None, None) => Sides::default(),
        })
    }

    /// Whether there is something to compare the archive with.
    fn is_asked(&self, key: &Key) -> bool {
        let covers = |recorded: &Recorded| recorded.covers(key.day, &key.product_code, &key.region);
        self.bill.is_some() || self.recorded.is_some_and(covers)
    }

    /// What a record of the ledger could explain.
    fn reason(&self, row: &MonthRow<'_>) -> Option<Reason> {
        match self.recorded {
            Some(recorded) => recorded.reason(row, self.month, &self.pricing.sub_codes),
            None => Reason::of(row, self.month, &self.pricing.sub_codes),
        }
    }

    fn record_terms(&self) -> records::Terms<'_> {
        records::Terms {
            month: self.month,
            sub_codes: &self.pricing.sub_codes,
            defaults: self.defaults,
        }
    }
}

impl Reconciled {
    /// The lines that need a person: of refunds only those of a day that gives back too much.
    fn notes_of(&self, mut notes: Vec<BillNote>) -> Vec<BillNote> {
        let exceeds = |key: &Key| {
            let line = self.lines.iter().find(|line| line.compared.key == *key);
            line.is_some_and(|line| {
                let mut explanations = line.compared.explanations.iter();
                explanations.any(|why| why.class == Class::RefundExceeds)
            })
        };
        notes.retain(|note| note.class != Class::RefundExceeds || exceeds(&note.key));
        notes
    }

    /// Calls `each` with the records behind the explanations, and with those on which the vendor's records and the archive
    /// differ whatever the bill says; counts them.
    pub fn for_each_record<E: From<LedgerError>>(
        &mut self,
        ledger: &Ledger,
        request: &Request<'_>,
        each: &mut dyn FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let numbers = self.lines.iter().enumerate();
        let numbers: BTreeMap<Key, usize> = numbers.map(|(at, line)| (line.compared.key.clone(), at)).collect();
        ledger.for_each_of_month(request.month.wide_span(), &mut |row| {
            let Some(reason) = request.reason(&row) else {
                return Ok(());
            };
            let line_of = |day: Date| {
                let key = Key {
                    day,
                    product_code: row.product_code.to_owned(),
                    region: row.region.to_owned(),
                };
                numbers.get(&key).copied()
            };
            let explained = |day: Date, class| line_of(day).filter(|at| self.lines[*at].explains(class));
            // Of two days, one may be of another month.
            let shifted = |day: Date, beside: Option<Date>| {
                let holds = |day: &Date| request.month.holds(*day);
                let mut days = [Some(day), beside].into_iter().flatten().filter(holds);
                let first = explained(days.next()?, Class::DayBoundary)?;
                days.all(|day| explained(day, Class::DayBoundary).is_some())
                    .then_some(first)
            };
            let (day, class, at) = match reason {
                Reason::More(day, class) => (Some(day), class, explained(day, class)),
                Reason::DayBefore(day) => (Some(day), Class::DayBoundary, shifted(day, day.yesterday().ok())),
                Reason::DayAfter(day) => (Some(day), Class::DayBoundary, shifted(day, day.tomorrow().ok())),
                Reason::NotInRecords(day) => (Some(day), Class::NotInRecords, line_of(day)),
                Reason::AnyDay => {
                    let own = |line: &Line| {
                        line.compared.key.product_code == row.product_code && line.compared.key.region == row.region
                    };
                    let mut lines = self.lines.iter();
                    let at = lines.position(|line| own(line) && line.explains(Class::Undated));
                    (None, Class::Undated, at)
                }
            };
            if at.is_none() && class != Class::NotInRecords {
                return Ok(());
            }
            self.give(
                at,
                Record {
                    day,
                    product_code: row.product_code,
                    region: row.region,
                    class,
                    transaction_id: row.transaction_id,
                    ours: Some(row),
                    theirs: None,
                },
                each,
            )
        })?;
        if request.recorded.is_none() {
            return Ok(());
        }
        Recorded::for_each_that_differs(ledger, &request.record_terms(), &mut |key, class, kept| {
            let at = numbers.get(key).copied();
            let is_told = class.is_told_by_records() || at.is_some_and(|at| self.lines[at].explains(class));
            let record = Record {
                day: Some(key.day),
                product_code: &key.product_code,
                region: &key.region,
                class,
                transaction_id: kept.record.transaction_id.as_str(),
                ours: kept.known,
                theirs: Some(kept.record),
            };
            if is_told { self.give(at, record, each) } else { Ok(()) }
        })
    }

    fn give<E>(
        &mut self,
        line: Option<usize>,
        record: Record<'_>,
        each: &mut dyn FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(at) = line {
            *self.lines[at].records.entry(record.class).or_default() += 1;
        }
        if let (Some(records), Some(day)) = (&mut self.records, record.day)
            && record.class.is_told_by_records()
            && records.named.len() < NAMED_RECORDS
        {
            records.named.push(NamedRecord {
                class: record.class,
                day,
                product_code: record.product_code.to_owned(),
                region: record.region.to_owned(),
                transaction_id: record.transaction_id.to_owned(),
            });
        }
        each(record)
    }
}
