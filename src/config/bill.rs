//! What the configuration says of the vendor's bill, and of its export of its own records.

use std::collections::BTreeSet;

use super::{BillConfig, ConfigError, ConfigFile, RecordsConfig, zone};
use crate::day::BillingZone;
use crate::reconcile::Names;
use crate::reconcile::bill::{BillSettings, NOT_OURS};
use crate::reconcile::records::RecordsSettings;
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
    let (columns, products, regions) = (&config.columns, &config.products, &config.regions);
    Ok(BillSettings::new(
        columns,
        products,
        regions,
        known_products,
        known_regions,
        billing_zone.clone(),
    ))
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
