//! What is known of the vendor's products, as data: quotas, prices and sub codes. The built-in tables name their
//! source and date; the configuration extends them.
//!
//! - [`Quotas`]: calls per second by product
//! - [`Prices`], [`Price`]: the list price of a billed verification
//! - [`SubCodes`], [`SubCodeMeaning`]: what a sub code means and whether it is billed

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Deserialize;

/// Calls per second for a product that no table knows: the smallest quota of the vendor's list.
const UNKNOWN_PRODUCT_QPS: f64 = 5.0;

/// Calls per second by product code, per main account.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Quotas(BTreeMap<String, f64>);

impl Quotas {
    /// The vendor's published quotas.
    pub fn built_in() -> Self {
        parse_built_in(include_str!("tables/quotas.toml"))
    }

    /// Adds or replaces.
    pub fn extend(&mut self, more: BTreeMap<String, f64>) {
        self.0.extend(more);
    }

    /// The quota of a product, in calls per second. An unknown product gets the smallest that the vendor has.
    pub fn of(&self, product_code: &str) -> f64 {
        self.0.get(product_code).copied().unwrap_or(UNKNOWN_PRODUCT_QPS)
    }
}

/// The price of one billed verification.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Exact.
    pub unit_price: Decimal,
    /// ISO 4217, such as `USD`.
    pub currency: String,
}

/// Prices by product code.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// The vendor's list prices.
    pub fn built_in() -> Self {
        parse_built_in(include_str!("tables/prices.toml"))
    }

    /// Adds or replaces.
    pub fn extend(&mut self, more: BTreeMap<String, Price>) {
        self.0.extend(more);
    }

    /// The price of a product, where it is known.
    pub fn of(&self, product_code: &str) -> Option<&Price> {
        self.0.get(product_code)
    }
}

/// What a sub code says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubCodeMeaning {
    /// In words.
    pub meaning: String,
    /// Whether the vendor bills the verification.
    pub billed: bool,
}

/// Sub codes by product code.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct SubCodes(BTreeMap<String, BTreeMap<String, SubCodeMeaning>>);

impl SubCodes {
    /// The vendor's published sub codes.
    pub fn built_in() -> Self {
        parse_built_in(include_str!("tables/sub_codes.toml"))
    }

    /// Adds or replaces.
    pub fn extend(&mut self, more: BTreeMap<String, BTreeMap<String, SubCodeMeaning>>) {
        for (product_code, codes) in more {
            self.0.entry(product_code).or_default().extend(codes);
        }
    }

    /// What a product's sub code says, where it is known.
    pub fn of(&self, product_code: &str, sub_code: &str) -> Option<&SubCodeMeaning> {
        self.0.get(product_code)?.get(sub_code)
    }
}

fn parse_built_in<T: serde::de::DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).expect("the built-in tables are read by a test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_tables_are_whole() {
        let (quotas, prices, sub_codes) = (Quotas::built_in(), Prices::built_in(), SubCodes::built_in());
        assert_eq!((quotas.0.len(), prices.0.len()), (14, 9));
        assert!((quotas.of("FACE_LIVENESS") - 50.0).abs() < f64::EPSILON);
        assert!((quotas.of("NEW_PRODUCT") - UNKNOWN_PRODUCT_QPS).abs() < f64::EPSILON);
        assert_eq!(prices.of("FACE_LIVENESS").unwrap().unit_price.to_string(), "0.026");
        let known: Vec<&str> = sub_codes.0["FACE_LIVENESS"].keys().map(String::as_str).collect();
        assert_eq!(known, ["200", "204", "205", "206", "233"]);
        assert_eq!(sub_codes.of("FACE_VERIFY", "205"), None);
    }
}
