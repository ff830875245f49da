//! The columns of a bill, whatever a form calls them.
//!
//! - [`BillColumns`]: the configuration's names of them

use serde::Deserialize;

/// The columns, by their keys in the configuration; the arrays here have this order.
pub(super) const COLUMNS: [&str; 17] = [
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
    "product",
    "id",
    "quantity_left",
    "more_discount",
];
pub(super) const DAY: usize = 0;
pub(super) const ITEM_CODE: usize = 1;
pub(super) const ITEM: usize = 2;
pub(super) const REGION: usize = 3;
pub(super) const QUANTITY: usize = 4;
pub(super) const LIST_PRICE: usize = 5;
pub(super) const GROSS: usize = 6;
pub(super) const DISCOUNT: usize = 7;
pub(super) const COUPON: usize = 8;
pub(super) const DEDUCTED: usize = 9;
pub(super) const NET: usize = 10;
pub(super) const CURRENCY: usize = 11;
pub(super) const KIND: usize = 12;
pub(super) const PRODUCT: usize = 13;
pub(super) const ID: usize = 14;
pub(super) const QUANTITY_LEFT: usize = 15;
pub(super) const MORE_DISCOUNT: usize = 16;

/// No bill is one without these.
pub(super) const REQUIRED: [usize; 5] = [DAY, REGION, QUANTITY, NET, CURRENCY];
/// Nor is one without these, where the net amount is derived; the currency is then the configured one.
pub(super) const REQUIRED_TO_DERIVE: [usize; 5] = [DAY, REGION, QUANTITY, GROSS, DISCOUNT];

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
    pub product: Option<String>,
    pub id: Option<String>,
    pub quantity_left: Option<String>,
    pub more_discount: Option<String>,
}

impl BillColumns {
    /// In the order of their keys.
    pub(crate) fn by_key(&self) -> [&Option<String>; 17] {
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
            &self.product,
            &self.id,
            &self.quantity_left,
            &self.more_discount,
        ]
    }
}
