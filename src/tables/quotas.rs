//! The vendor's quotas as data: a limit for each region, which all products share, and one for each product.
//!
//! - [`Quotas`]: both tables, with what the configuration says over them
//! - [`Limit`]: calls per second, and who says so ([`LimitOrigin`])

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A limit in calls per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limit {
    /// Calls per second.
    pub calls_per_second: f64,
    /// Who says so.
    pub origin: LimitOrigin,
}

/// Where a limit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitOrigin {
    /// The vendor's table.
    Vendor,
    /// `idvault.toml`.
    Configuration,
    /// Nobody: the lowest limit of the vendor's table is taken.
    LowestKnown,
}

/// One of the vendor's tables, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    source: String,
    as_of: Date,
    limits: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuiltIn {
    regions: Table,
    products: Table,
}

/// What the configuration says of a region: its limit, or that and those of single products in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum RegionQuota {
    /// Calls per second.
    Limit(f64),
    /// With limits of its own for products.
    PerProduct(RegionLimits),
}

/// A region's limits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionLimits {
    /// Calls per second of all products together; `None`: as the vendor's table says.
    pub limit: Option<f64>,
    /// Calls per second by product, in this region alone.
    #[serde(default)]
    pub products: BTreeMap<String, f64>,
}

impl From<RegionQuota> for RegionLimits {
    fn from(quota: RegionQuota) -> Self {
        match quota {
            RegionQuota::Limit(limit) => Self {
                limit: Some(limit),
                ..Self::default()
            },
            RegionQuota::PerProduct(limits) => limits,
        }
    }
}

/// The limits of regions and products.
#[derive(Debug, Clone)]
pub struct Quotas {
    built_in: BuiltIn,
    regions: BTreeMap<String, RegionLimits>,
    products: BTreeMap<String, f64>,
}

impl Quotas {
    /// The vendor's published quotas.
    pub fn built_in() -> Self {
        Self {
            built_in: super::parse_built_in(include_str!("quotas.toml")),
            regions: BTreeMap::new(),
            products: BTreeMap::new(),
        }
    }

    /// The same with what the configuration says.
    #[must_use]
    pub fn with(mut self, regions: BTreeMap<String, RegionLimits>, products: BTreeMap<String, f64>) -> Self {
        (self.regions, self.products) = (regions, products);
        self
    }

    /// The limit of a region, which all products share.
    pub fn region(&self, region: &str) -> Limit {
        let configured = self.regions.get(region).and_then(|limits| limits.limit);
        limit(configured, &self.built_in.regions, region)
    }

    /// The limit of a product, in all regions together.
    pub fn product(&self, product_code: &str) -> Limit {
        limit(
            self.products.get(product_code).copied(),
            &self.built_in.products,
            product_code,
        )
    }

    /// The limit that a product has in one region alone, where the configuration gives it one. It stands in place of
    /// [`Quotas::product`].
    pub fn product_in_region(&self, region: &str, product_code: &str) -> Option<Limit> {
        let calls_per_second = *self.regions.get(region)?.products.get(product_code)?;
        Some(Limit {
            calls_per_second,
            origin: LimitOrigin::Configuration,
        })
    }

    /// The regions that a table names.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        named(&self.built_in.regions, self.regions.keys())
    }

    /// The products that a table names.
    pub fn products(&self) -> impl Iterator<Item = &str> {
        named(&self.built_in.products, self.products.keys())
    }

    /// The products with a limit of their own in single regions: region, product and calls per second.
    pub fn products_in_regions(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        self.regions.iter().flat_map(|(region, limits)| {
            let products = limits.products.iter();
            products.map(move |(product_code, limit)| (region.as_str(), product_code.as_str(), *limit))
        })
    }

    /// Where the vendor's table of regions was read, and of when it is.
    pub fn source_of_regions(&self) -> (&str, Date) {
        (&self.built_in.regions.source, self.built_in.regions.as_of)
    }

    /// Where the vendor's table of products was read, and of when it is.
    pub fn source_of_products(&self) -> (&str, Date) {
        (&self.built_in.products.source, self.built_in.products.as_of)
    }
}

fn limit(configured: Option<f64>, table: &Table, name: &str) -> Limit {
    let lowest = || table.limits.values().copied().fold(f64::INFINITY, f64::min);
    let (calls_per_second, origin) = match (configured, table.limits.get(name)) {
        (Some(limit), _) => (limit, LimitOrigin::Configuration),
        (None, Some(limit)) => (*limit, LimitOrigin::Vendor),
        (None, None) => (lowest(), LimitOrigin::LowestKnown),
    };
    Limit {
        calls_per_second,
        origin,
    }
}

fn named<'a>(table: &'a Table, more: impl Iterator<Item = &'a String>) -> impl Iterator<Item = &'a str> {
    let mut names: Vec<&str> = table.limits.keys().chain(more).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(limit: Limit) -> (f64, LimitOrigin) {
        (limit.calls_per_second, limit.origin)
    }

    #[test]
    fn both_tables_hold_and_the_configuration_stands_over_each() {
        use LimitOrigin::{Configuration, LowestKnown, Vendor};
        let limits = RegionLimits {
            limit: None,
            products: BTreeMap::from([("eKYC".to_owned(), 2.0)]),
        };
        let quotas = Quotas::built_in();
        assert_eq!((quotas.regions().count(), quotas.products().count()), (4, 24));
        let quotas = quotas.with(
            BTreeMap::from([
                ("cn-hongkong".to_owned(), limits),
                ("mars-1".to_owned(), RegionQuota::Limit(40.0).into()),
            ]),
            BTreeMap::from([("eKYC".to_owned(), 20.0)]),
        );
        assert_eq!(of(quotas.region("ap-southeast-1")), (10.0, Vendor));
        assert_eq!(of(quotas.region("cn-hongkong")), (10.0, Vendor));
        assert_eq!(of(quotas.region("mars-1")), (40.0, Configuration));
        assert_eq!(of(quotas.region("eu-central-1")), (3.0, LowestKnown));
        assert_eq!(of(quotas.product("FACE_LIVENESS")), (50.0, Vendor));
        assert_eq!(of(quotas.product("eKYC")), (20.0, Configuration));
        assert_eq!(of(quotas.product("NEW_PRODUCT")), (5.0, LowestKnown));
        assert_eq!(
            quotas.product_in_region("cn-hongkong", "eKYC").map(of),
            Some((2.0, Configuration))
        );
        assert_eq!(quotas.product_in_region("ap-southeast-1", "eKYC"), None);
        assert!(quotas.regions().any(|region| region == "mars-1"));
    }
}
