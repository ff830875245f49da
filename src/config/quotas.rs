//! What the configuration says of the vendor's quotas, and of the share of them that a run takes.

use std::collections::BTreeMap;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::{ConfigError, QUOTA_SHARE, Qps, QuotasConfig, RATES, is_rate, zone};
use crate::quota::{SetPace, ShareOfHours, Shares};
use crate::record::{ProductCode, Region};
use crate::tables::{Quotas, RegionLimits};

/// The vendor's quotas, with what the configuration says over them.
pub(super) fn quotas(config: &mut QuotasConfig) -> Result<Quotas, ConfigError> {
    let mut regions: BTreeMap<String, RegionLimits> = BTreeMap::new();
    for (region, quota) in std::mem::take(&mut config.regions) {
        let key = format!("quotas.regions.{region}");
        Region::parse(&region).map_err(|error| ConfigError::value(&key, error))?;
        let limits = RegionLimits::from(quota);
        if let Some(limit) = limits.limit {
            rate(&key, limit)?;
        }
        products(&format!("{key}.products"), &limits.products)?;
        regions.insert(region, limits);
    }
    let of_products = std::mem::take(&mut config.products);
    products("quotas.products", &of_products)?;
    Ok(Quotas::built_in().with(regions, of_products))
}

fn products(table: &str, limits: &BTreeMap<String, f64>) -> Result<(), ConfigError> {
    for (product_code, limit) in limits {
        let key = format!("{table}.{product_code}");
        ProductCode::parse(product_code).map_err(|error| ConfigError::value(&key, error))?;
        rate(&key, *limit)?;
    }
    Ok(())
}

fn rate(key: &str, rate: f64) -> Result<(), ConfigError> {
    if is_rate(rate) {
        return Ok(());
    }
    Err(ConfigError::value(key, format!("it must be {RATES} calls per second")))
}

/// The pace that is set.
pub(super) fn pace(
    qps: Option<Qps>,
    otherwise: Option<f64>,
    config: &QuotasConfig,
    quotas: Quotas,
    to_loopback: bool,
) -> Result<SetPace, ConfigError> {
    // Checked whether it is used or not: a wrong line must not wait for the day on which it is.
    let shares = shares(otherwise, config)?;
    match qps {
        Some(Qps::Unlimited) if !to_loopback => Err(ConfigError::value(
            "qps",
            "`unlimited` is for a loopback address only; the vendor's quota is shared with live traffic",
        )),
        Some(Qps::Unlimited) => Ok(SetPace::Shared(None)),
        Some(Qps::PerSecond(rate)) => Ok(SetPace::Shared(Some(rate))),
        None => Ok(SetPace::Quotas {
            quotas: Box::new(quotas),
            shares,
        }),
    }
}

fn shares(otherwise: Option<f64>, config: &QuotasConfig) -> Result<Shares, ConfigError> {
    let otherwise = share("quota_share", otherwise.unwrap_or(QUOTA_SHARE))?;
    let zone = zone("quotas.time_zone", config.time_zone.as_deref())?;
    if zone.is_none() && !config.share.is_empty() {
        let why = "it is missing, and the hours of quotas.share need one; set it, as time_zone = \"Asia/Singapore\"";
        return Err(ConfigError::value("quotas.time_zone", why));
    }
    let mut hours = Vec::new();
    for (number, line) in (1..).zip(&config.share) {
        let key = format!("quotas.share, line {number},");
        hours.push(ShareOfHours {
            from: time(&key, &line.from)?,
            to: time(&key, &line.to)?,
            share: share(&key, line.share)?,
        });
    }
    Ok(Shares {
        otherwise,
        hours,
        zone: zone.unwrap_or(TimeZone::UTC),
    })
}

fn share(key: &str, share: f64) -> Result<f64, ConfigError> {
    if (0.01..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(ConfigError::value(key, format!("{share} is not from 0.01 to 1")))
}

/// `06:00`; `24:00` is midnight.
fn time(key: &str, text: &str) -> Result<Time, ConfigError> {
    let wrong = || ConfigError::value(key, format!("{text:?} is not a time of day such as 06:00"));
    if text == "24:00" {
        return Ok(Time::midnight());
    }
    text.parse().map_err(|_| wrong())
}
