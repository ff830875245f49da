//! Names in the configuration that have no effect because they are misspelt.
//!
//! - [`check`]: refuses a slip of the pen, and warns of a name that nothing knows

use std::collections::BTreeSet;

use super::{ConfigError, ConfigFile};
use crate::reconcile::NOT_OURS;
use crate::record::Region;
use crate::tables::{Prices, Quotas, SubCodes};
use crate::vendor::{Endpoints, Network};

/// Product codes of the vendor's that no built-in table has (seen in its documents in November 2026).
const MORE_PRODUCTS: [&str; 4] = ["FACE_LIVENESS_MIN_PRO", "FACE_VERIFY_MIN", "KYC_GLOBAL", "ID_OCR_PRO"];

/// How a name that is not known stands to the known ones.
#[derive(Debug, PartialEq, Eq)]
enum Near<'a> {
    /// It is this one but for case, or for one letter.
    Slip(&'a str),
    /// This one is nearest.
    Nearest(&'a str),
}

/// Looks at every product and region that the file names.
pub(super) fn check(file: &ConfigFile) -> Result<(), ConfigError> {
    let sub_codes = SubCodes::built_in();
    let (quotas, prices) = (Quotas::built_in(), Prices::built_in());
    let known: BTreeSet<&str> = quotas
        .products()
        .chain(prices.products())
        .chain(sub_codes.iter().map(|(product, ..)| product))
        .chain(MORE_PRODUCTS)
        .collect();
    for (key, product) in products(file) {
        look_at(&key, product, &known)?;
    }
    let built_in = Endpoints::built_in(Network::default());
    let configured = file.endpoints.keys().map(String::as_str);
    let known: BTreeSet<&str> = built_in.regions().map(Region::as_str).chain(configured).collect();
    for (key, region) in regions_of(file) {
        look_at(&key, region, &known)?;
    }
    Ok(())
}

fn products(file: &ConfigFile) -> Vec<(String, &str)> {
    let keyed = |table: &'static str| move |product: &'_ String| format!("{table}.{product}");
    let mut named: Vec<(String, &str)> = Vec::new();
    named.extend(
        file.prices
            .keys()
            .map(|product| (keyed("prices")(product), product.as_str())),
    );
    named.extend(
        file.sub_codes
            .keys()
            .map(|product| (keyed("sub_codes")(product), product.as_str())),
    );
    named.extend(
        file.quotas
            .products
            .keys()
            .map(|product| (keyed("quotas.products")(product), product.as_str())),
    );
    for package in &file.packages {
        named.push((format!("packages ({})", package.name), package.product.as_str()));
    }
    let of_bill = file.bill.products.iter().filter(|(_, product)| *product != NOT_OURS);
    named.extend(of_bill.map(|(item, product)| (format!("bill.products.{item:?}"), product.as_str())));
    named
}

fn regions_of(file: &ConfigFile) -> Vec<(String, &str)> {
    let mut named: Vec<(String, &str)> = Vec::new();
    for (product, prices) in &file.prices {
        let regions = prices.iter().filter_map(|price| price.region.as_deref());
        named.extend(regions.map(|region| (format!("prices.{product}.region"), region)));
    }
    let of_quotas = file.quotas.regions.keys();
    named.extend(of_quotas.map(|region| (format!("quotas.regions.{region}"), region.as_str())));
    let of_bill = file.bill.regions.iter();
    named.extend(of_bill.map(|(name, region)| (format!("bill.regions.{name:?}"), region.as_str())));
    named
}

fn look_at(key: &str, name: &str, known: &BTreeSet<&str>) -> Result<(), ConfigError> {
    if known.contains(name) {
        return Ok(());
    }
    match near(name, known) {
        Some(Near::Slip(meant)) => Err(ConfigError::value(
            key,
            format!("{name:?} is not known, and {meant:?} is, which differs only in case or in one letter"),
        )),
        Some(Near::Nearest(other)) => {
            tracing::warn!("{key}: {name:?} is not known; the nearest known name is {other:?}");
            Ok(())
        }
        None => Ok(()),
    }
}

fn near<'a>(name: &str, known: &BTreeSet<&'a str>) -> Option<Near<'a>> {
    let is_slip = |other: &&&str| other.eq_ignore_ascii_case(name) || differs_by_a_letter(name, other);
    if let Some(meant) = known.iter().find(is_slip) {
        return Some(Near::Slip(meant));
    }
    let nearest = known.iter().min_by_key(|other| distance(name, other));
    nearest.map(|other| Near::Nearest(other))
}

/// Whether one letter is missing, too many or another one. A digit is none: `ID_2META` and `ID_3META` are two products.
fn differs_by_a_letter(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let same = short.iter().zip(&long).take_while(|(one, other)| one == other).count();
    let letter = |at: usize, of: &[char]| of.get(at).is_some_and(|c| c.is_alphabetic());
    match long.len() - short.len() {
        0 if same < long.len() => letter(same, &long) && letter(same, &short) && short[same + 1..] == long[same + 1..],
        1 => letter(same, &long) && short[same..] == long[same + 1..],
        _ => false,
    }
}

/// How many characters must be added, dropped or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, d) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_name() {
        let known = BTreeSet::from(["FACE_LIVENESS", "eKYC", "ID_2META", "ap-southeast-1"]);
        for (name, expected) in [
            ("FACE_LIVNESS", Near::Slip("FACE_LIVENESS")),
            ("FACE_LIVENNESS", Near::Slip("FACE_LIVENESS")),
            ("FACE_LIVEMESS", Near::Slip("FACE_LIVENESS")),
            ("EKYC", Near::Slip("eKYC")),
            ("ap-southest-1", Near::Slip("ap-southeast-1")),
            ("ID_3META", Near::Nearest("ID_2META")),
            ("ap-southeast-2", Near::Nearest("ap-southeast-1")),
            ("FACE_LIVENESS_NEW", Near::Nearest("FACE_LIVENESS")),
        ] {
            assert_eq!(near(name, &known), Some(expected), "{name}");
        }
    }
}
