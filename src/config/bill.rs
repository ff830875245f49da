//! What the configuration says of the vendor's bill, and of its export of its own records.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{BillConfig, ConfigError, ConfigFile, RecordsConfig, zone};
use crate::day::BillingZone;
use crate::reconcile::bill::{BillSettings, Named};
use crate::reconcile::records::RecordsSettings;
use crate::reconcile::{NOT_OURS, Names};
use crate::record::{InvalidField, ProductCode, Region};
use crate::tables::{Quotas, RegionQuota};

/// The products that a table names.
pub(super) fn known_products(file: &ConfigFile) -> BTreeSet<String> {
    let in_regions = file.quotas.regions.values().filter_map(|quota| match quota {
        RegionQuota::Limit(_) => None,
        RegionQuota::PerProduct(limits) => Some(limits.products.keys()),
    });
    let configured = file
        .quotas
        .products
        .keys()
        .chain(in_regions.flatten())
        .chain(file.prices.keys())
        .chain(file.sub_codes.keys());
    Quotas::built_in()
        .products()
        .chain(configured.map(String::as_str))
        .map(str::to_owned)
        .collect()
}

pub(super) fn bill(
    config: &BillConfig,
    known_products: &BTreeSet<String>,
    known_regions: &BTreeSet<String>,
    billing_zone: &BillingZone,
) -> Result<BillSettings, ConfigError> {
    let wrong =
        |table: &str, name: &str, error: InvalidField| ConfigError::value(&format!("bill.{table}.{name:?}"), error);
    for (name, product) in config.products.iter().filter(|(_, product)| *product != NOT_OURS) {
        ProductCode::parse(product).map_err(|error| wrong("products", name, error))?;
    }
    for (name, region) in &config.regions {
        Region::parse(region).map_err(|error| wrong("regions", name, error))?;
    }
    let is_rate = |rate: &Decimal| !rate.is_sign_negative() && *rate < Decimal::ONE;
    if let Some(rate) = config.tax_rate.filter(|rate| !is_rate(rate)) {
        return Err(ConfigError::value(
            "bill.tax_rate",
            format!("{rate} is not from 0 to 1, such as 0.09"),
        ));
    }
    Ok(BillSettings::new(Named {
        columns: config.columns.clone(),
        products: config.products.clone(),
        regions: config.regions.clone(),
        kinds: config.kinds.clone(),
        product_codes: config.product_codes.iter().cloned().collect(),
        tax_rate: config.tax_rate,
        currency: config.currency.clone(),
        known_products: known_products.clone(),
        known_regions: known_regions.clone(),
        zone: billing_zone.clone(),
    }))
}

/// Products and regions are named as on the bill, and a day begins when a billing day does.
pub(super) fn records(
    config: &RecordsConfig,
    names: &Names,
    billing_zone: &BillingZone,
) -> Result<RecordsSettings, ConfigError> {
    let own = zone("records.time_zone", config.time_zone.as_deref())?;
    let zone = own.unwrap_or_else(|| billing_zone.zone().clone());
    Ok(RecordsSettings::new(&config.columns, names.clone(), zone))
}
