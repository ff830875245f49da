//! What is known of the vendor's products, as data: quotas, prices and sub codes. The built-in tables name their
//! source and date; the configuration extends them.
//!
//! - [`Quotas`], [`Limit`]: calls per second by region and by product (`quotas`)
//! - [`Prices`], [`Price`], [`Tier`], [`Package`]: what a billed verification costs (`prices`)
//! - [`SubCodes`], [`SubCodeMeaning`]: what a sub code means and whether it is billed; [`Origin`]: who says so

mod prices;
mod quotas;

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use prices::{Package, Price, Prices, Tier};
pub use quotas::{Limit, LimitOrigin, Quotas, RegionLimits, RegionQuota};

/// What a sub code says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubCodeMeaning {
    /// In words.
    pub meaning: String,
    /// Whether the vendor bills the verification.
    pub billed: bool,
    /// Where that was read.
    pub source: Option<String>,
    /// The source's date.
    pub as_of: Option<Date>,
    /// Which table it comes from.
    #[serde(skip)]
    pub origin: Origin,
}

/// Which table a line comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// idvault's own.
    #[default]
    BuiltIn,
    /// `idvault.toml`.
    Configuration,
}

impl Origin {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Configuration => "configuration",
        }
    }
}

/// Sub codes by product code.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubCodes(BTreeMap<String, BTreeMap<String, SubCodeMeaning>>);

impl SubCodes {
    /// The vendor's published sub codes.
    pub fn built_in() -> Self {
        parse_built_in(include_str!("tables/sub_codes.toml"))
    }

    /// Adds or replaces lines of the configuration.
    pub fn extend(&mut self, more: BTreeMap<String, BTreeMap<String, SubCodeMeaning>>) {
        for (product_code, mut codes) in more {
            for meaning in codes.values_mut() {
                meaning.origin = Origin::Configuration;
            }
            self.0.entry(product_code).or_default().extend(codes);
        }
    }

    /// All that are known: product, sub code and what it says.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &SubCodeMeaning)> {
        self.0.iter().flat_map(|(product_code, codes)| {
            codes
                .iter()
                .map(move |(sub_code, meaning)| (product_code.as_str(), sub_code.as_str(), meaning))
        })
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
        let (prices, sub_codes) = (Prices::built_in(), SubCodes::built_in());
        assert_eq!(prices.listed(), 18);
        let price = prices.of("FACE_LIVENESS", "ap-southeast-1", None).unwrap();
        assert_eq!((&*price.unit_price.to_string(), &*price.currency), ("0.026", "USD"));
        let compared = |region| Some(prices.of("FACE_COMPARE", region, None)?.unit_price.to_string());
        assert_eq!(compared("cn-hongkong").as_deref(), Some("0.001"));
        assert_eq!(compared("ap-southeast-5").as_deref(), Some("0.002"));
        assert_eq!(compared("ap-southeast-1"), None, "the list has no price of this region");
        let known: Vec<&str> = sub_codes.0["FACE_LIVENESS"].keys().map(String::as_str).collect();
        assert_eq!(known, ["200", "204", "205", "206", "233"]);
        assert_eq!(sub_codes.of("FACE_VERIFY", "205"), None);
        let sourced = |meaning: &SubCodeMeaning| meaning.source.is_some() && meaning.as_of.is_some();
        assert!(sub_codes.iter().all(|(.., meaning)| sourced(meaning)));
    }
}
