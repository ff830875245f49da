//! The vendor's bill against the archive: of every line, whether it is right, wrong or open, and why.
//!
//! - [`bill`]: the bill's export, read strictly; [`SourceError`]: why it can't be taken
//! - [`compare()`]: both sides, and why they differ; pure
//! - [`Class`], [`Standing`], [`Explanation`], [`Size`]: the reasons
//! - [`evidence`]: what the ledger's records could explain; `sides`: what is compared
//! - [`reconcile`]: a month of a bill; [`Request`]: which, and by what
//! - [`Reconciled`], [`Line`], [`CurrencyTotal`], [`ClassTotal`]: what came of it, as it is reported
//! - [`Record`]: a record behind an explanation

pub mod bill;
pub mod compare;
pub mod evidence;
mod explain;
mod number;
mod sides;
mod table;

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::closing::is_final;
use crate::ledger::{Ledger, LedgerError, MonthRow};
use crate::pricing::Pricing;
use bill::Bill;
use compare::{Compared, Key, Terms, compare};
use evidence::{Evidence, Month, Reason};
pub use explain::{Class, Explanation, Size, Standing};
use sides::Sides;
pub use table::SourceError;

/// Why a bill can't be compared.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The bill can't be taken.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The ledger can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Which month is compared, and by what.
#[derive(Debug)]
pub struct Request<'a> {
    /// The bill.
    pub bill: &'a Bill,
    /// The month.
    pub month: &'a Month,
    /// The vendor's day now: whether lines can still come.
    pub today: Date,
    /// What a verification costs, and which are billed.
    pub pricing: &'a Pricing,
    /// How much money of a day, product and region may be wrong.
    pub tolerance: Decimal,
}

/// What came of it. As JSON, money is a text: exact.
#[derive(Debug, Serialize)]
pub struct Reconciled {
    /// `2026-11`.
    pub month: String,
    /// Whether no line of the bill can come any more.
    pub month_is_final: bool,
    /// The bill's files, as they were named.
    pub bill_files: Vec<String>,
    /// Lines of the bill that are about other months.
    pub other_months: u64,
    /// Lines of the bill that are about other services.
    pub not_ours: u64,
    /// How much money of a line may be wrong.
    pub tolerance: Decimal,
    /// Lines with more than that.
    pub beyond_tolerance: u64,
    /// By currency.
    pub totals: Vec<CurrencyTotal>,
    /// By reason and currency.
    pub explanations: Vec<ClassTotal>,
    /// Where archive and ledger differ, a sentence each: then the archive's side can't be trusted.
    pub archive_differs: Vec<String>,
    /// A line a day, product and region, in this order.
    pub lines: Vec<Line>,
}

/// All lines of a currency.
#[derive(Debug, Default, Serialize)]
pub struct CurrencyTotal {
    /// ISO 4217; empty where nothing has a price.
    pub currency: String,
    /// What the bill says.
    pub bill: Size,
    /// What the archive says.
    pub archive: Size,
    /// What the bill has more.
    pub difference: Size,
}

/// All explanations of a class and currency.
#[derive(Debug, Serialize)]
pub struct ClassTotal {
    /// Why.
    pub class: Class,
    /// What finance makes of it.
    pub standing: Standing,
    /// ISO 4217; empty where nothing has a price.
    pub currency: String,
    /// What the bill has more because of it.
    #[serde(flatten)]
    pub size: Size,
    /// Days, products and regions.
    pub lines: u64,
}

/// A day, product and region.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Both sides, the difference and its explanations.
    #[serde(flatten)]
    pub compared: Compared,
    /// ISO 4217; empty where nothing has a price.
    pub currency: String,
    /// The worst of its explanations.
    pub standing: Standing,
    /// Whether more of it is wrong than the tolerance allows.
    pub beyond_tolerance: bool,
    /// Records behind its explanations, where they are known by transaction. Where they are more than the calls, they are
    /// those among which the right ones are.
    pub records: BTreeMap<Class, u64>,
}

/// A record behind an explanation.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The day of the explanation; `None`: of any with this product and region.
    pub day: Option<Date>,
    /// Of what it is one.
    pub class: Class,
    /// What the ledger knows of it.
    pub row: MonthRow<'a>,
}

/// Compares a month of the bill with the archive.
pub fn reconcile(ledger: &Ledger, request: &Request<'_>) -> Result<Reconciled, ReconcileError> {
    let (bill, pricing, days) = (request.bill, request.pricing, request.month.days());
    let tallies = ledger.billing(Some((pricing.needed_from(days.0), days.1)))?;
    let mut sides = Sides::new(bill, &tallies, pricing, days)?;
    let mut evidence = Evidence::default();
    ledger.for_each_of_month(request.month.span(), &mut |row| {
        if let Some(reason) = Reason::of(&row, request.month, &pricing.sub_codes) {
            evidence.add(&row, reason);
        }
        Ok::<_, LedgerError>(())
    })?;
    let undated = evidence.give_to(&mut sides.facts);
    let terms = Terms {
        month_is_final: is_final(days.0, request.today),
        decimals: pricing.decimals,
        undated,
    };
    let compared = compare(&sides.facts, &terms);
    let compared = compared.into_iter().filter(|line| !line.is_empty());
    let line = |compared: Compared| {
        let currency = sides.currencies.get(&compared.key).cloned().unwrap_or_default();
        Line::new(compared, currency, request.tolerance)
    };
    let mut reconciled = Reconciled {
        month: days.0.strftime("%Y-%m").to_string(),
        month_is_final: terms.month_is_final,
        bill_files: bill.files.clone(),
        other_months: sides.other_months,
        not_ours: bill.not_ours,
        tolerance: request.tolerance,
        beyond_tolerance: 0,
        totals: Vec::new(),
        explanations: Vec::new(),
        archive_differs: Vec::new(),
        lines: compared.map(line).collect(),
    };
    reconciled.sum_up();
    Ok(reconciled)
}

impl Compared {
    fn is_empty(&self) -> bool {
        self.bill.is_zero() && self.archive.is_zero() && self.explanations.is_empty()
    }
}

impl Line {
    fn new(compared: Compared, currency: String, tolerance: Decimal) -> Self {
        let wrong = compared
            .explanations
            .iter()
            .filter(|why| why.class.standing() == Standing::Wrong);
        let (mut amount, mut calls_of_no_amount) = (Decimal::ZERO, false);
        for Explanation { size, .. } in wrong {
            amount += size.amount.abs();
            calls_of_no_amount |= size.amount.is_zero();
        }
        Self {
            standing: compared.standing(),
            beyond_tolerance: amount > tolerance || calls_of_no_amount,
            compared,
            currency,
            records: BTreeMap::new(),
        }
    }

    fn explains(&self, class: Class) -> bool {
        self.compared
            .explanations
            .iter()
            .any(|why| why.class == class && why.size.quantity != 0)
    }
}

impl Reconciled {
    fn sum_up(&mut self) {
        let mut totals: BTreeMap<&str, CurrencyTotal> = BTreeMap::new();
        let mut classes: BTreeMap<(Class, &str), (Size, u64)> = BTreeMap::new();
        for line in &self.lines {
            self.beyond_tolerance += u64::from(line.beyond_tolerance);
            let total = totals.entry(&line.currency).or_default();
            total.bill += line.compared.bill;
            total.archive += line.compared.archive;
            total.difference += line.compared.difference;
            for Explanation { class, size } in &line.compared.explanations {
                let (sum, lines) = classes.entry((*class, &line.currency)).or_default();
                *sum += *size;
                *lines += 1;
            }
        }
        let total = |(currency, total): (&str, CurrencyTotal)| CurrencyTotal {
            currency: currency.to_owned(),
            ..total
        };
        self.totals = totals.into_iter().map(total).collect();
        let class = |((class, currency), (size, lines)): ((Class, &str), (Size, u64))| ClassTotal {
            class,
            standing: class.standing(),
            currency: currency.to_owned(),
            size,
            lines,
        };
        self.explanations = classes.into_iter().map(class).collect();
    }

    /// Calls `each` with the records behind the explanations, and counts them.
    pub fn for_each_record<E: From<LedgerError>>(
        &mut self,
        ledger: &Ledger,
        request: &Request<'_>,
        each: &mut dyn FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let numbers = self.lines.iter().enumerate();
        let numbers: BTreeMap<Key, usize> = numbers.map(|(at, line)| (line.compared.key.clone(), at)).collect();
        ledger.for_each_of_month(request.month.span(), &mut |row| {
            let Some(reason) = Reason::of(&row, request.month, &request.pricing.sub_codes) else {
                return Ok(());
            };
            let explained = |day: Date, class| {
                let key = Key {
                    day,
                    product_code: row.product_code.to_owned(),
                    region: row.region.to_owned(),
                };
                let at = *numbers.get(&key)?;
                self.lines[at].explains(class).then_some(at)
            };
            let shifted = |day: Date, beside: Option<Date>| {
                explained(beside?, Class::DayBoundary)?;
                explained(day, Class::DayBoundary)
            };
            let (day, class, at) = match reason {
                Reason::More(day, class) => (Some(day), class, explained(day, class)),
                Reason::DayBefore(day) => (Some(day), Class::DayBoundary, shifted(day, day.yesterday().ok())),
                Reason::DayAfter(day) => (Some(day), Class::DayBoundary, shifted(day, day.tomorrow().ok())),
                Reason::AnyDay => {
                    let mut lines = self.lines.iter();
                    let own = |line: &Line| {
                        line.compared.key.product_code == row.product_code && line.compared.key.region == row.region
                    };
                    (
                        None,
                        Class::Undated,
                        lines.position(|line| own(line) && line.explains(Class::Undated)),
                    )
                }
            };
            match at {
                Some(at) => {
                    *self.lines[at].records.entry(class).or_default() += 1;
                    each(Record { day, class, row })
                }
                None => Ok(()),
            }
        })
    }
}
