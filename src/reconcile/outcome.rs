//! What came of a comparison, as it is reported.
//!
//! - [`Reconciled`], [`Line`], [`CurrencyTotal`], [`ClassTotal`]: the month, its lines and their sums
//! - [`Judgement`]: what a person makes of it; [`BillNote`]: a line of the bill that needs one
//! - [`RecordsOutcome`], [`NamedRecord`]: what the vendor's own records say

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use super::compare::{Compared, GivenBack, Key, Pair};
use super::explain::{Class, Explanation, Size, Standing};
use super::money::{self, Money};
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
    /// The forms of the bill's files.
    pub forms: BTreeSet<String>,
    /// The vendor's own records, where they were given.
    pub records: Option<RecordsOutcome>,
    /// Lines of the bill that are about other months.
    pub other_months: u64,
    /// Lines of the bill that are about other services.
    pub not_ours: u64,
    /// Lines of the bill with a total.
    pub total_lines: u64,
    /// How much the bill may be too high in a currency.
    pub tolerance: Decimal,
    /// How much a line, or a swap, may be too high.
    pub tolerance_line: Option<Decimal>,
    /// Lines that are too high, where the bill is so beyond the tolerance.
    pub beyond_tolerance: u64,
    /// What one setting would settle, a sentence each.
    pub hints: Vec<String>,
    /// By currency.
    pub totals: Vec<CurrencyTotal>,
    /// By reason and currency.
    pub explanations: Vec<ClassTotal>,
    /// Where archive and ledger differ, a sentence each: then the archive's side can't be trusted.
    pub archive_differs: Vec<String>,
    /// Calls that are billed under another product or region.
    pub swaps: Vec<Pair>,
    /// Refunds of another day than the one whose calls they give back.
    pub given_back: Vec<GivenBack>,
    /// Lines of the bill that need a person.
    pub bill_lines: Vec<BillNote>,
    /// A line a day, product and region, in this order.
    pub lines: Vec<Line>,
}

/// A line of the bill that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillNote {
    /// What it is accepted by: the file and the line, such as `bill.csv:12`.
    pub name: String,
    /// Where it counts.
    #[serde(flatten)]
    pub key: Key,
    /// Why it needs one.
    pub class: Class,
    /// Its calls and its net amount, or what of that does not add up.
    pub size: Size,
    /// ISO 4217.
    pub currency: String,
    /// Why it was accepted.
    pub accepted: Option<String>,
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
    /// What is too high, too low and open.
    #[serde(flatten)]
    pub money: Money,
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
    /// Whether it is too high, and the bill is so beyond the tolerance.
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
    pub(super) fn new(compared: Compared, currency: String) -> Self {
        Self {
            standing: compared.standing(),
            beyond_tolerance: false,
            compared,
            currency,
            records: BTreeMap::new(),
        }
    }

    /// Whether something of it is wrong, and not in our favour.
    fn is_too_high(&self) -> bool {
        let against_us = |size: &Size| size.amount > Decimal::ZERO || size.amount.is_zero() && size.quantity > 0;
        let mut explanations = self.compared.explanations.iter();
        explanations.any(|Explanation { class, size }| class.standing() == Standing::Wrong && against_us(size))
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
        let mut money = money::judge(&self.lines, &self.swaps);
        let mut totals: BTreeMap<&str, CurrencyTotal> = BTreeMap::new();
        let mut classes: BTreeMap<(Class, &str), (Size, u64)> = BTreeMap::new();
        for line in &self.lines {
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
            money: money.remove(currency).unwrap_or_default(),
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
        self.mark();
    }

    /// Marks the lines that are too high, where their currency, or they, are so beyond the tolerance.
    fn mark(&mut self) {
        let too_high: BTreeMap<&str, bool> = self
            .totals
            .iter()
            .map(|total| (&*total.currency, self.is_too_high(&total.money)))
            .collect();
        let in_swaps = money::in_swaps(&self.swaps);
        let is_marked = |line: &Line| {
            let is_swapped = in_swaps.contains(&line.compared.key);
            too_high.get(&*line.currency) == Some(&true) && (line.is_too_high() || is_swapped)
        };
        let marked: Vec<bool> = self.lines.iter().map(is_marked).collect();
        for (line, marked) in self.lines.iter_mut().zip(marked) {
            line.beyond_tolerance = marked;
            self.beyond_tolerance += u64::from(marked);
        }
    }

    /// Whether a currency is too high beyond the tolerance.
    pub fn is_too_high(&self, money: &Money) -> bool {
        let line_too_high = self.tolerance_line.is_some_and(|most| money.highest > most);
        money.overcharged > self.tolerance || line_too_high || money.calls_without_amount > 0
    }

    /// What a person makes of the month.
    pub fn judgement(&self) -> Judgement {
        let records = self.records.as_ref();
        let contradict = records.is_some_and(|records| records.wrong() > 0);
        let mut money = self.totals.iter().map(|total| &total.money);
        if !self.archive_differs.is_empty() || contradict || money.clone().any(|money| self.is_too_high(money)) {
            return Judgement::Wrong;
        }
        let unknown = records.is_some_and(|records| records.unknown() > 0);
        let is_open = |line: &Line| {
            let mut explanations = line.compared.explanations.iter();
            explanations.any(|why| why.class.standing() == Standing::Open)
        };
        let too_low = money.any(|money| money.undercharged > self.tolerance);
        if unknown || too_low || !self.swaps.is_empty() || self.lines.iter().any(is_open) {
            return Judgement::Open;
        }
        Judgement::Settled
    }
}

/// What a person makes of a compared month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Every line is settled.
    Settled,
    /// The bill is too low, or something is open.
    Open,
    /// Something is charged too much or unexplained beyond the tolerance, or the archive contradicts the records.
    Wrong,
}
