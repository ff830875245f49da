//! What a verification costs, as data: the vendor's list, and the contract's prices over it.
//!
//! - [`Prices`]: both, by product
//! - [`Price`]: what holds from one day on; [`Tier`]: what holds above a monthly volume
//! - [`Package`]: prepaid calls

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::record::{ProductCode, Region};

/// The most decimals of a price. With [`MAX_UNIT_PRICE`] it keeps every product and sum within the 28 digits that are exact.
const MAX_DECIMALS: u32 = 9;
/// The highest price of one verification, in any currency.
const MAX_UNIT_PRICE: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// What one billed verification costs from a day on, until the next price of the same product and region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The first billing day on which it holds; `None`: since ever.
    pub from: Option<Date>,
    /// Where it holds; `None`: in every region that has no price of its own.
    pub region: Option<String>,
    /// ISO 4217, such as `USD`.
    pub currency: String,
    /// Exact; that of the first tier, where there are tiers.
    pub unit_price: Decimal,
    /// What holds above a monthly volume, lowest first.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// Where it was read.
    pub source: Option<String>,
}

/// The price of the verifications of a month beyond the first so many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// As many verifications of the month are charged at lower tiers.
    pub above: u64,
    /// Exact.
    pub unit_price: Decimal,
}

impl Price {
    /// The unit price of the next verification after `volume` others of the month, and how many more it holds for
    /// (`None`: for all).
    pub fn after(&self, volume: u64) -> (Decimal, Option<u64>) {
        let reached = self.tiers.iter().rev().find(|tier| tier.above <= volume);
        let next = self.tiers.iter().find(|tier| tier.above > volume);
        let unit_price = reached.map_or(self.unit_price, |tier| tier.unit_price);
        (unit_price, next.map(|tier| tier.above - volume))
    }

    /// Whether both charge every verification alike.
    fn charges_as(&self, other: &Self) -> bool {
        (self.unit_price, &self.currency, &self.tiers) == (other.unit_price, &other.currency, &other.tiers)
    }

    /// What is wrong with it, if anything.
    fn fault(&self) -> Option<String> {
        let unit_prices = std::iter::once(self.unit_price).chain(self.tiers.iter().map(|tier| tier.unit_price));
        for unit_price in unit_prices {
            if unit_price.is_sign_negative() || unit_price > MAX_UNIT_PRICE || unit_price.scale() > MAX_DECIMALS {
                return Some(format!(
                    "the price {unit_price} is not from 0 to {MAX_UNIT_PRICE} with at most {MAX_DECIMALS} decimals"
                ));
            }
        }
        if !(self.currency.len() == 3 && self.currency.bytes().all(|byte| byte.is_ascii_uppercase())) {
            return Some("the currency is not three capital letters such as USD".to_owned());
        }
        if let Some(Err(error)) = self.region.as_deref().map(Region::parse) {
            return Some(error.to_string());
        }
        let bounds = std::iter::once(0).chain(self.tiers.iter().map(|tier| tier.above));
        let ascending = bounds.clone().zip(bounds.skip(1)).all(|(lower, upper)| lower < upper);
        (!ascending).then(|| "the tiers are not in the order of `above`, from 1 up, each once".to_owned())
    }
}

/// Prices by product code.
type ByProduct = BTreeMap<String, Vec<Price>>;

/// The vendor's list prices, and the contract's, which stand over them from their first day on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Prices {
    list: ByProduct,
    contract: ByProduct,
}

impl Prices {
    /// The vendor's list prices.
    pub fn built_in() -> Self {
        Self {
            list: super::parse_built_in(include_str!("prices.toml")),
            contract: ByProduct::new(),
        }
    }

    /// The products that have one.
    pub fn products(&self) -> impl Iterator<Item = &str> {
        self.list.keys().chain(self.contract.keys()).map(String::as_str)
    }

    /// Takes the contract's prices. What is wrong with them comes with the product whose it is.
    pub fn with_contract(self, contract: ByProduct) -> Result<Self, (String, String)> {
        for (product, prices) in &contract {
            let wrong = |what: String| (product.clone(), what);
            ProductCode::parse(product).map_err(|error| wrong(error.to_string()))?;
            if let Some(what) = prices.iter().find_map(Price::fault) {
                return Err(wrong(what));
            }
            let begins: BTreeSet<_> = prices.iter().map(|price| (price.from, &price.region)).collect();
            if begins.len() < prices.len() {
                return Err(wrong("two prices begin on the same day in the same region".to_owned()));
            }
        }
        Ok(Self { contract, ..self })
    }

    /// The price that holds for a product in a region on a billing day: the contract's where one holds, else the list's;
    /// of these the region's own before that of every region. A verification of unknown day has a price only where it
    /// would be the same on each.
    pub fn of(&self, product_code: &str, region: &str, day: Option<Date>) -> Option<&Price> {
        match day {
            Some(day) => {
                let contract = holding(self.contract.get(product_code), region, day);
                contract.or_else(|| self.list_price(product_code, region, day))
            }
            None => self.whatever_the_day(product_code, region),
        }
    }

    /// The vendor's list price, as [`Prices::of`].
    pub fn list_price(&self, product_code: &str, region: &str, day: Date) -> Option<&Price> {
        holding(self.list.get(product_code), region, day)
    }

    fn whatever_the_day(&self, product_code: &str, region: &str) -> Option<&Price> {
        let all = [&self.contract, &self.list].map(|table| table.get(product_code).into_iter().flatten());
        let [contract, list] = all;
        let begins = contract.chain(list).map(|price| price.from.unwrap_or(Date::MIN));
        let mut held = begins.filter_map(|day| self.of(product_code, region, Some(day)));
        let first = held.next().filter(|price| price.tiers.is_empty())?;
        held.all(|price| price.charges_as(first)).then_some(first)
    }

    #[cfg(test)]
    pub(super) fn listed(&self) -> usize {
        self.list.len()
    }
}

fn holding<'a>(prices: Option<&'a Vec<Price>>, region: &str, day: Date) -> Option<&'a Price> {
    let latest = |whose: Option<&str>| {
        let begun = |price: &&Price| price.region.as_deref() == whose && price.from.is_none_or(|from| from <= day);
        prices
            .into_iter()
            .flatten()
            .filter(begun)
            .max_by_key(|price| price.from)
    };
    latest(Some(region)).or_else(|| latest(None))
}

/// Prepaid calls of one product: what is billed is deducted from them before it costs anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// As the reports name it.
    pub name: String,
    /// The product.
    pub product: String,
    /// Calls that were paid for, or that were left of them on its first day here.
    pub quantity: u64,
    /// The first billing day.
    pub from: Date,
    /// The last billing day.
    pub until: Date,
}

impl Package {
    /// What is wrong with it, if anything.
    pub fn fault(&self) -> Option<String> {
        if self.name.trim().is_empty() {
            return Some("it has no name".to_owned());
        }
        if let Err(error) = ProductCode::parse(&self.product) {
            return Some(error.to_string());
        }
        (self.from > self.until).then(|| format!("it ends on {} and begins on {}", self.until, self.from))
    }

    /// Whether it can be used on a billing day.
    pub fn covers(&self, product_code: &str, day: Date) -> bool {
        self.product == product_code && (self.from..=self.until).contains(&day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(contract: &str) -> Result<Prices, (String, String)> {
        Prices::built_in().with_contract(toml::from_str(contract).unwrap())
    }

    fn unit_price(prices: &Prices, region: &str, day: Option<&str>) -> Option<String> {
        let day = day.map(|day| day.parse().unwrap());
        Some(prices.of("eKYC", region, day)?.unit_price.to_string())
    }

    #[test]
    fn the_contract_stands_over_the_list_and_the_region_over_all_each_from_its_day() {
        let prices = prices(
            r#"
            [[eKYC]]
            from = "2026-10-01"
            unit_price = "0.12"
            currency = "USD"
            [[eKYC]]
            from = "2026-11-15"
            unit_price = "0.11"
            currency = "USD"
            [[eKYC]]
            from = "2026-11-01"
            region = "cn-hongkong"
            unit_price = "0.9"
            currency = "HKD"
            "#,
        )
        .unwrap();
        for (region, day, expected) in [
            ("ap-southeast-1", "2022-08-08", None),
            ("ap-southeast-1", "2026-09-30", Some("0.14")),
            ("ap-southeast-1", "2026-10-01", Some("0.12")),
            ("cn-hongkong", "2026-10-31", Some("0.12")),
            ("cn-hongkong", "2026-11-01", Some("0.9")),
            ("cn-hongkong", "2026-12-01", Some("0.9")),
            ("ap-southeast-1", "2026-11-14", Some("0.12")),
            ("ap-southeast-1", "2026-11-15", Some("0.11")),
        ] {
            let found = unit_price(&prices, region, Some(day));
            assert_eq!(found.as_deref(), expected, "{region} {day}");
        }
        let list = prices.list_price("eKYC", "cn-hongkong", "2026-12-01".parse().unwrap());
        assert_eq!(list.unwrap().unit_price.to_string(), "0.14");
    }

    #[test]
    fn an_unknown_day_has_a_price_only_where_every_day_has_the_same() {
        let of = |contract: &str| unit_price(&prices(contract).unwrap(), "ap-southeast-1", None);
        assert_eq!(of("").as_deref(), Some("0.14"), "the list never changed");
        let ever = r#"eKYC = [{ unit_price = "0.12", currency = "USD" }]"#;
        assert_eq!(of(ever).as_deref(), Some("0.12"), "the list never holds");
        let later = r#"eKYC = [{ from = "2026-10-01", unit_price = "0.12", currency = "USD" }]"#;
        assert_eq!(of(later), None);
        let elsewhere =
            r#"eKYC = [{ from = "2026-10-01", region = "cn-hongkong", unit_price = "1", currency = "USD" }]"#;
        assert_eq!(of(elsewhere).as_deref(), Some("0.14"));
        let tiers =
            r#"eKYC = [{ unit_price = "0.12", currency = "USD", tiers = [{ above = 5, unit_price = "0.1" }] }]"#;
        assert_eq!(of(tiers), None, "of which month is not known");
    }

    #[test]
    fn a_wrong_contract_is_refused() {
        for (price, said) in [
            (r#"unit_price = "-1""#, "from 0 to 1000000"),
            (r#"unit_price = "1000001""#, "from 0 to 1000000"),
            (r#"unit_price = "0.0000000001""#, "at most 9 decimals"),
            (r#"unit_price = "1", region = "Hong Kong""#, "region"),
            (
                r#"unit_price = "1", tiers = [{ above = 0, unit_price = "1" }]"#,
                "tiers",
            ),
            (
                r#"unit_price = "1", tiers = [{ above = 9, unit_price = "1" }, { above = 9, unit_price = "1" }]"#,
                "tiers",
            ),
        ] {
            let contract = format!("eKYC = [{{ currency = \"USD\", {price} }}]");
            let (product, what) = prices(&contract).unwrap_err();
            assert!(product == "eKYC" && what.contains(said), "{price}: {what}");
        }
        let usd = prices(r#"eKYC = [{ currency = "usd", unit_price = "1" }]"#).unwrap_err();
        assert!(usd.1.contains("capital"), "{}", usd.1);
        let once = r#"{ from = "2026-10-01", unit_price = "1", currency = "USD" }"#;
        let twice = prices(&format!("eKYC = [{once}, {once}]")).unwrap_err();
        assert!(twice.1.contains("same day"), "{}", twice.1);
    }
}
