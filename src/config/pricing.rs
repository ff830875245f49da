//! What verifications cost, as the configuration says it: over the built-in tables.

use super::{BillingConfig, ConfigError, ConfigFile};
use crate::pricing::{BILL_DECIMALS, MAX_BILL_DECIMALS, Pricing};
use crate::tables::{Package, Prices, SubCodes};

/// Takes what the file says of sub codes, prices and packages out of it.
pub(super) fn pricing(file: &mut ConfigFile) -> Result<Pricing, ConfigError> {
    let mut sub_codes = SubCodes::built_in();
    sub_codes.extend(std::mem::take(&mut file.sub_codes));
    let contract = std::mem::take(&mut file.prices);
    let prices = Prices::built_in().with_contract(contract);
    let prices = prices.map_err(|(product, what)| ConfigError::value(&format!("prices.{product}"), what))?;
    let packages = std::mem::take(&mut file.packages);
    if let Some((package, what)) = packages.iter().find_map(|package| Some((package, package.fault()?))) {
        return Err(ConfigError::value(&format!("packages ({})", package.name), what));
    }
    if let Some(twice) = named_twice(&packages) {
        return Err(ConfigError::value(
            &format!("packages ({})", twice.name),
            "two packages have this name",
        ));
    }
    let BillingConfig { decimals } = file.billing;
    let decimals = decimals.unwrap_or(BILL_DECIMALS);
    if decimals > MAX_BILL_DECIMALS {
        return Err(ConfigError::value(
            "billing.decimals",
            format!("{decimals} is not from 0 to {MAX_BILL_DECIMALS}"),
        ));
    }
    Ok(Pricing {
        sub_codes,
        prices,
        packages,
        decimals,
    })
}

fn named_twice(packages: &[Package]) -> Option<&Package> {
    let mut at = 0..packages.len();
    let earlier = |number: usize| {
        packages[..number]
            .iter()
            .any(|other| other.name == packages[number].name)
    };
    at.find(|number| earlier(*number)).map(|number| &packages[number])
}
