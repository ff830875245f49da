//! What came of a comparison, as it is reported.
//!
//! - [`Reconciled`], [`Line`], [`CurrencyTotal`], [`ClassTotal`]: the month, its lines and their sums
//! - [`RecordsOutcome`], [`NamedRecord`]: what the vendor's own records say

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::compare::Compared;
use super::explain::{Class, Explanation, Size, Standing};
use crate::ledger::Adopted;

/// What came of it. As JSON, money is a text: exact.
#[derive(Debug, Serialize)]
pub struct Reconciled {
    /// `2026-11`.
    pub month: String,
    /// Whether no line of the bill can come any more.
    pub month_is_final: bool,
    /// What stands on the side of the bill: `bill`, or `records` where only those were given.
    pub side: &'static str,
    /// The bill's files, as they were named.
    pub bill_files: Vec<String>,
    /// The vendor's own records, where they were given.
    pub records: Option<RecordsOutcome>,
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

/// What the vendor's own records say of the month.
#[derive(Debug, Serialize)]
pub struct RecordsOutcome {
    /// The files, as they were named.
    pub files: Vec<String>,
    /// Records of the month.
    pub records: u64,
    /// Those of other months, and of other services.
    pub left_out: u64,
    /// The first day that they name.
    pub from: Date,
    /// The last one.
    pub to: Date,
    /// Those that are as the ledger has them.
    pub agree: u64,
    /// How many differ, by how; also ids that the archive has and they don't.
    pub differ: BTreeMap<Class, u64>,
    /// Some of those that bill or no bill need a look.
    pub named: Vec<NamedRecord>,
    /// What became of those that no source named, where they were to be taken in.
    pub adopted: Option<Adopted>,
}

/// A record on which the two sides differ.
#[derive(Debug, Clone, Serialize)]
pub struct NamedRecord {
    /// How.
    pub class: Class,
    /// The vendor's day.
    pub day: Date,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// The transaction.
    pub transaction_id: String,
}

impl RecordsOutcome {
    /// How many differ so.
    pub fn differ_by(&self, class: Class) -> u64 {
        self.differ.get(&class).copied().unwrap_or(0)
    }

    /// Those that contradict the archive.
    pub fn wrong(&self) -> u64 {
        self.differ_by(Class::Verdict) + self.differ_by(Class::NotInRecords)
    }

    /// Those that no source named, and that are not in the ledger now.
    pub fn unknown(&self) -> u64 {
        let adopted = self.adopted.map_or(0, |adopted| adopted.taken);
        self.differ_by(Class::NeverSeen).saturating_sub(adopted)
    }
}

impl Compared {
    pub(super) fn is_empty(&self) -> bool {
        self.bill.is_zero() && self.archive.is_zero() && self.explanations.is_empty()
    }
}

impl Line {
    pub(super) fn new(compared: Compared, currency: String, tolerance: Decimal) -> Self {
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

    pub(super) fn explains(&self, class: Class) -> bool {
        self.compared
            .explanations
            .iter()
            .any(|why| why.class == class && why.size.quantity != 0)
    }
}

impl Reconciled {
    pub(super) fn sum_up(&mut self) {
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
}
