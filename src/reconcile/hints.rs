//! What one setting would settle: a bill that has tax in its amounts, other days, or fewer decimals.
//!
//! - [`of`]: the hints for a month

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::compare::{Facts, Key};

/// Lines that must tell the same before it is a pattern.
const FEWEST_LINES: usize = 3;
/// Of a hundred lines or calls, as many must fit.
const MOST_FIT_PERCENT: usize = 90;
/// The highest tax that is looked for: no country has more.
const HIGHEST_TAX: Decimal = Decimal::from_parts(30, 0, 0, false, 2);

/// The hints for a month. `utc_days` are the archive's billed calls by the day in UTC.
pub(super) fn of(facts: &BTreeMap<Key, Facts>, utc_days: &BTreeMap<Date, i64>, decimals: u32) -> Vec<String> {
    [tax(facts), days(facts, utc_days), fewer_decimals(facts, decimals)]
        .into_iter()
        .flatten()
        .collect()
}

/// Charge and exact amount of every line that has a price.
fn priced(facts: &BTreeMap<Key, Facts>) -> Vec<(Decimal, Decimal, u32)> {
    let priced = |facts: &Facts| {
        let (charge, exact) = (facts.billed.charge, facts.repriced.exact);
        let is_priced = exact > Decimal::ZERO && charge > Decimal::ZERO;
        is_priced.then_some((charge, exact, facts.billed.lines))
    };
    facts.values().filter_map(priced).collect()
}

fn most_fit(lines: &[(Decimal, Decimal, u32)], fits: impl Fn(&(Decimal, Decimal, u32)) -> bool) -> bool {
    let fitting = lines.iter().filter(|line| fits(line)).count();
    fitting >= FEWEST_LINES && fitting * 100 >= lines.len() * MOST_FIT_PERCENT
}

fn tax(facts: &BTreeMap<Key, Facts>) -> Option<String> {
    let lines = priced(facts);
    let (charged, exact) = lines
        .iter()
        .fold((Decimal::ZERO, Decimal::ZERO), |(charged, exact), line| {
            (charged + line.0, exact + line.1)
        });
    let rate = (charged.checked_div(exact)? - Decimal::ONE).round_dp(3).normalize();
    if rate <= Decimal::ZERO || rate > HIGHEST_TAX {
        return None;
    }
    let scale = lines.iter().map(|line| line.0.normalize().scale()).max()?;
    let unit = Decimal::new(1, scale);
    let fits = |(charge, exact, lines): &(Decimal, Decimal, u32)| {
        let with_tax = *exact * (Decimal::ONE + rate);
        (*charge - with_tax).abs() <= unit * Decimal::from((*lines).max(1))
    };
    // Rounding alone would fit a small rate.
    let is_more_than_rounding = |line: &(Decimal, Decimal, u32)| fits(line) && line.0 - line.1 > unit;
    most_fit(&lines, is_more_than_rounding).then(|| {
        let percent = (rate * Decimal::from(100)).normalize();
        format!("The amounts fit tax of {percent} %. Where they include it, set [bill] tax_rate = \"{rate}\"")
    })
}

fn fewer_decimals(facts: &BTreeMap<Key, Facts>, decimals: u32) -> Option<String> {
    let lines = priced(facts);
    let scale = lines.iter().map(|line| line.0.normalize().scale()).max()?;
    if scale >= decimals {
        return None;
    }
    let half = Decimal::new(5, scale + 1);
    let fits = |line: &(Decimal, Decimal, u32)| (line.0 - line.1).abs() <= half * Decimal::from(line.2.max(1));
    let own_half = Decimal::new(5, decimals + 1);
    let differs = lines.iter().filter(|line| (line.0 - line.1).abs() > own_half).count();
    (differs >= FEWEST_LINES && most_fit(&lines, fits)).then(|| {
        format!("The amounts fit {scale} decimals. Where the bill rounds to them, set [billing] decimals = {scale}")
    })
}

fn days(facts: &BTreeMap<Key, Facts>, utc_days: &BTreeMap<Date, i64>) -> Option<String> {
    let mut by_day: BTreeMap<Date, (i64, i64)> = BTreeMap::new();
    for (key, facts) in facts {
        let (billed, archived) = by_day.entry(key.day).or_default();
        *billed += facts.billed.quantity;
        *archived += facts.archived.quantity;
    }
    let differing = by_day.values().filter(|(billed, archived)| billed != archived).count();
    let apart: i64 = by_day
        .values()
        .map(|(billed, archived)| (billed - archived).abs())
        .sum();
    let in_utc = |day: &Date| utc_days.get(day).copied().unwrap_or(0);
    let apart_in_utc: i64 = by_day
        .iter()
        .map(|(day, (billed, _))| (billed - in_utc(day)).abs())
        .sum();
    let rest = 100 - i64::try_from(MOST_FIT_PERCENT).unwrap_or(100);
    (differing >= FEWEST_LINES && apart_in_utc * 100 <= apart * rest).then(|| {
        "The days fit UTC days, and not those of the billing zone. Where the bill counts so, set billing_zone = \"UTC\""
            .to_owned()
    })
}
