//! What a comparison is made of.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::reconcile::explain::{Class, Size};

/// What is compared: a day of the vendor's, a product and a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key {
    /// The vendor's day.
    pub day: Date,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
}

/// A product and a region.
pub type Place = (String, String);

impl Key {
    /// Its product and region.
    pub fn place(&self) -> Place {
        (self.product_code.clone(), self.region.clone())
    }
}

/// All that is known of a key.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The bill's side.
    pub billed: Billed,
    /// What the archive holds, priced.
    pub archived: Priced,
    /// What the bill counts, priced as the archive is.
    pub repriced: Priced,
    /// What could explain a difference.
    pub evidence: Evidence,
}

/// The bill's side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Billed {
    /// Calls that were used.
    pub quantity: i64,
    /// Of these: calls that packages paid for.
    pub deducted: i64,
    /// To be paid for them, coupons included.
    pub charge: Decimal,
    /// What of the charge the lines' own gross amounts and discounts do not add up to.
    pub misadded: Decimal,
    /// What coupons paid of it.
    pub coupons: Decimal,
    /// Lines that give back.
    pub refunds: Size,
    /// Lines that correct.
    pub adjustments: Size,
    /// Of whatever kind: lines that a person accepted.
    pub accepted: Size,
    /// Lines of calls that cost something, and so were rounded.
    pub lines: u32,
}

impl Billed {
    /// All of the bill's lines.
    pub fn total(&self) -> Size {
        let mut total = Size {
            quantity: self.quantity,
            amount: self.charge - self.coupons,
        };
        total += self.refunds;
        total += self.adjustments;
        total += self.accepted;
        total
    }
}

/// Billed calls, and what they should cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Priced {
    /// Billed calls.
    pub quantity: i64,
    /// Of these: calls that packages paid for.
    pub deducted: i64,
    /// What the others cost, rounded as a line of the bill.
    pub amount: Decimal,
    /// What they cost before that is rounded.
    pub exact: Decimal,
    /// What the last one of them cost, or the next one would; `None` where no price is known.
    pub unit_price: Option<Decimal>,
}

/// Records that could explain a difference in the number of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many, by what they would explain; they are counted nowhere in the archive's billed calls of the day.
    pub counted: BTreeMap<Class, u64>,
    /// The archive's billed calls close behind the beginning of the day.
    pub at_begin: u64,
    /// Those close before its end.
    pub at_end: u64,
    /// What the vendor's records have more than the archive, transaction by transaction.
    pub recorded: BTreeMap<Class, i64>,
    /// The archive's billed calls that the vendor's records should have, and don't.
    pub not_in_records: u64,
}

/// A day next to the month, which another bill is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// The archive's billed calls close to the month.
    pub close: u64,
    /// What its bill has more than the archive, where that bill is given.
    pub more: Option<i64>,
}

/// Calls that were billed too much on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surplus {
    /// The vendor's day.
    pub day: Date,
    /// How many; of a refund, as many as it gives back.
    pub calls: i64,
    /// What they cost.
    pub amount: Decimal,
}

/// What holds for all keys.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The first and the last day; `None`: no day is at an edge.
    pub month: Option<(Date, Date)>,
    /// Whether no line of the month can come any more.
    pub month_is_final: bool,
    /// Decimals of an amount on the bill.
    pub decimals: u32,
    /// Verifications of unknown day, by product and region: they can be on any.
    pub undated: BTreeMap<Place, u64>,
    /// The day before the month and the one after it.
    pub beside: BTreeMap<Key, Beside>,
    /// Where the vendor's records have calls, by where the archive has them.
    pub swaps: BTreeMap<(Key, Key), i64>,
    /// What bills of later months give back.
    pub later_refunds: BTreeMap<Place, Vec<Surplus>>,
    /// What was billed too much in earlier months.
    pub earlier_surplus: BTreeMap<Place, Vec<Surplus>>,
}
