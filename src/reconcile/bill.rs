//! The vendor's bill: its export, read strictly. A bill is either taken as a whole, or refused with the line and column
//! that can't be.
//!
//! - [`Bill`], [`BillLine`], [`LineKind`]: what it says, normalized
//! - [`BillSettings`], [`BillColumns`]: how the configuration names things
//! - [`read`]: the files to a bill, row by row (`row`)

mod day;
mod row;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use row::Row;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::names::{Names, by_name};
use super::remote::{Remote, read_table};
use super::table::{Cells, Content, SourceError, Wanted, find};
use crate::day::BillingZone;
use crate::worker::Isolation;

/// Lines of all files together: many times what a month has with a line a day, product and region.
const MAX_LINES: usize = 500_000;
/// What `[bill.products]` maps the billing items of other services to.
pub const NOT_OURS: &str = "-";

/// The columns, by their keys in the configuration; the arrays here have this order.
const COLUMNS: [&str; 13] = [
    "day",
    "item_code",
    "item",
    "region",
    "quantity",
    "list_price",
    "gross",
    "discount",
    "coupon",
    "deducted",
    "net",
    "currency",
    "kind",
];
const DAY: usize = 0;
const ITEM_CODE: usize = 1;
const ITEM: usize = 2;
const REGION: usize = 3;
const QUANTITY: usize = 4;
const LIST_PRICE: usize = 5;
const GROSS: usize = 6;
const DISCOUNT: usize = 7;
const COUPON: usize = 8;
const DEDUCTED: usize = 9;
const NET: usize = 10;
const CURRENCY: usize = 11;
const KIND: usize = 12;
/// No bill is one without these.
const REQUIRED: [usize; 5] = [DAY, REGION, QUANTITY, NET, CURRENCY];

/// What a line of the bill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The file, by its place among those that were named.
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
    /// What was taken off for the contract.
    pub discount: Decimal,
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
    /// In the order of the files.
    pub lines: Vec<BillLine>,
    /// Lines of other services, by `[bill.products]`.
    pub not_ours: u64,
}

/// The names of a bill's columns, over those that are built in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "samples/idvault.toml documents the keys, and a test holds it to them"
)]
pub struct BillColumns {
    pub day: Option<String>,
    pub item_code: Option<String>,
    pub item: Option<String>,
    pub region: Option<String>,
    pub quantity: Option<String>,
    pub list_price: Option<String>,
    pub gross: Option<String>,
    pub discount: Option<String>,
    pub coupon: Option<String>,
    pub deducted: Option<String>,
    pub net: Option<String>,
    pub currency: Option<String>,
    pub kind: Option<String>,
}

impl BillColumns {
    /// In the order of their keys.
    pub fn by_key(&self) -> [&Option<String>; 13] {
        [
            &self.day,
            &self.item_code,
            &self.item,
            &self.region,
            &self.quantity,
            &self.list_price,
            &self.gross,
            &self.discount,
            &self.coupon,
            &self.deducted,
            &self.net,
            &self.currency,
            &self.kind,
        ]
    }
}

/// The names that the vendor's exports have.
#[derive(Debug, Deserialize)]
struct BuiltIn {
    columns: BTreeMap<String, Vec<String>>,
    kinds: Kinds,
    regions: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Kinds {
    usage: Vec<String>,
    refund: Vec<String>,
    adjustment: Vec<String>,
}

impl BuiltIn {
    fn new() -> Self {
        toml::from_str(include_str!("../tables/bill.toml")).expect("the built-in table is read by a test")
    }
}

/// How a bill names things.
#[derive(Debug, Clone)]
pub struct BillSettings {
    wanted: Vec<Wanted>,
    /// By what matters of their names.
    kinds: BTreeMap<String, LineKind>,
    names: Names,
    zone: BillingZone,
    /// How the files are read.
    pub isolation: Isolation,
}

impl BillSettings {
    /// `products` maps billing items to products, and those of other services to `-`. A billing item that has the name of
    /// one of `known_products` is that product; so is a region that has the id of one of `known_regions`. A day begins when
    /// it does in `zone`.
    pub fn new(
        columns: &BillColumns,
        products: &BTreeMap<String, String>,
        regions: &BTreeMap<String, String>,
        known_products: &BTreeSet<String>,
        known_regions: &BTreeSet<String>,
        zone: BillingZone,
    ) -> Self {
        let built_in = BuiltIn::new();
        let wanted = COLUMNS
            .iter()
            .zip(columns.by_key())
            .enumerate()
            .map(|(at, (key, named))| Wanted {
                key: format!("bill.columns.{key}"),
                names: match named {
                    Some(name) => vec![name.clone()],
                    None => built_in.columns.get(*key).cloned().unwrap_or_default(),
                },
                required: REQUIRED.contains(&at),
            });
        let kinds = [
            (built_in.kinds.usage, LineKind::Usage),
            (built_in.kinds.refund, LineKind::Refund),
            (built_in.kinds.adjustment, LineKind::Adjustment),
        ];
        let kinds = kinds
            .into_iter()
            .flat_map(|(names, kind)| names.into_iter().map(move |name| (name, kind)));
        Self {
            wanted: wanted.collect(),
            kinds: by_name(kinds),
            names: Names::new(products, regions, built_in.regions, known_products, known_regions),
            zone,
            isolation: Isolation::default(),
        }
    }

    /// What it means by the names of products and regions.
    pub const fn names(&self) -> &Names {
        &self.names
    }
}

/// Reads the files as one bill.
pub fn read(paths: &[PathBuf], settings: &BillSettings) -> Result<Bill, SourceError> {
    let mut bill = Bill::default();
    let mut seen = Seen::default();
    for (file, path) in paths.iter().enumerate() {
        bill.files.push(path.display().to_string());
        read_file(file, path, settings, &mut bill, &mut seen)?;
    }
    Ok(bill)
}

/// What must not come twice, and what must be one.
#[derive(Default)]
struct Seen {
    /// Rows, by their columns and text, and where they were.
    rows: HashMap<(Vec<String>, Vec<String>), (String, u64)>,
    /// The currency of each product and region, and where it was.
    currencies: HashMap<(String, String), (String, String, u64)>,
}

fn read_file(
    file: usize,
    path: &Path,
    settings: &BillSettings,
    bill: &mut Bill,
    seen: &mut Seen,
) -> Result<(), SourceError> {
    match Remote::open(path, &settings.wanted, &settings.isolation, None)? {
        Some(mut remote) => read_lines(file, &mut remote, settings, bill, seen),
        None => read_table(path, &settings.wanted, &mut |table| {
            read_lines(file, table, settings, bill, seen)
        }),
    }
}

fn read_lines(
    file: usize,
    table: &mut dyn Cells,
    settings: &BillSettings,
    bill: &mut Bill,
    seen: &mut Seen,
) -> Result<(), SourceError> {
    let at = find(table.file(), table.line(), table.header(), &settings.wanted)?;
    if at[ITEM_CODE].is_none() && at[ITEM].is_none() {
        let item = Wanted {
            required: true,
            ..settings.wanted[ITEM].clone()
        };
        find(table.file(), table.line(), table.header(), &[item])?;
    }
    let header = table.header().to_vec();
    let before = bill.lines.len() + usize::try_from(bill.not_ours).unwrap_or(usize::MAX);
    while table.advance()? {
        if bill.lines.len() == MAX_LINES {
            return Err(table.wrong(format!(
                "the bill has more than {MAX_LINES} lines; reconcile a month at a time"
            )));
        }
        let row = Row {
            table,
            at: &at,
            settings,
        };
        let Some(line) = row.line(file)? else {
            bill.not_ours += 1;
            continue;
        };
        seen.check(&row, &header, &line)?;
        bill.lines.push(line);
    }
    if bill.lines.len() + usize::try_from(bill.not_ours).unwrap_or(usize::MAX) == before {
        return Err(table.wrong("there is no line below the header: the file may be cut off".to_owned()));
    }
    bill.contents.push(table.content()?);
    Ok(())
}

impl Seen {
    fn check(&mut self, row: &Row<'_>, header: &[String], line: &BillLine) -> Result<(), SourceError> {
        let table = row.table;
        let place = (table.file().to_owned(), table.line());
        let text = (header.to_vec(), table.texts());
        if let Some((file, number)) = self.rows.insert(text, place) {
            return Err(table.wrong(format!(
                "the line is the same as line {number} of {file}: a bill that counts one twice is not taken; remove one of \
                 them, or export it again"
            )));
        }
        let key = (line.product_code.clone(), line.region.clone());
        let first = self.currencies.entry(key);
        let (currency, file, number) =
            first.or_insert_with(|| (line.currency.clone(), table.file().to_owned(), table.line()));
        if *currency != line.currency {
            let what = format!(
                "{} in {} is billed in {} here and in {currency} in line {number} of {file}; a product has one currency \
                 in a region",
                line.product_code, line.region, line.currency
            );
            return Err(row.wrong(CURRENCY, what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
