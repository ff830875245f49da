//! The vendor's bill: its export, read strictly. A bill is either taken as a whole, or refused with the line and column
//! that can't be.
//!
//! - [`Bill`], [`BillLine`], [`LineKind`]: what it says, normalized
//! - [`BillSettings`], [`BillColumns`] (`settings`): how the configuration and the vendor's forms name things
//! - [`read()`]: the files to a bill, row by row (`read`, `row`)

mod columns;
mod day;
mod read;
mod row;
mod settings;

use std::collections::BTreeSet;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;

pub use columns::BillColumns;
pub use read::read;
pub use settings::{BillSettings, Named};

use super::table::Content;

/// What a line of the bill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// Verifications.
    Usage,
    /// Money given back.
    Refund,
    /// A correction of the vendor's.
    Adjustment,
}

/// A line of the bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillLine {
    /// The file, by its place in [`Bill::tables`].
    pub file: usize,
    /// Its line there.
    pub line: u64,
    /// The vendor's day.
    pub day: Date,
    /// The product.
    pub product_code: String,
    /// The region's id.
    pub region: String,
    /// What it is for.
    pub kind: LineKind,
    /// Calls; of a refund, those taken back, below zero.
    pub quantity: i64,
    /// Of these: calls that a package paid for.
    pub deducted: i64,
    /// What a call costs by the list, where the bill says it.
    pub list_price: Option<Decimal>,
    /// Before discounts, where the bill says it.
    pub gross: Option<Decimal>,
    /// What was taken off for the contract, where the bill says it.
    pub discount: Option<Decimal>,
    /// What coupons paid.
    pub coupon: Decimal,
    /// What is to be paid, before tax.
    pub net: Decimal,
    /// ISO 4217.
    pub currency: String,
}

/// The lines of all files.
#[derive(Debug, Default)]
pub struct Bill {
    /// The files, as they were named.
    pub files: Vec<String>,
    /// What was read of each.
    pub contents: Vec<Content>,
    /// The files with the lines: those of a ZIP archive apart.
    pub tables: Vec<String>,
    /// In the order of the files.
    pub lines: Vec<BillLine>,
    /// The forms that they have.
    pub forms: BTreeSet<String>,
    /// Lines of other services, by their product code or by `[bill.products]`.
    pub not_ours: u64,
    /// Lines with a total, which no line of the bill is.
    pub totals: u64,
}

#[cfg(test)]
mod tests;
