//! Counts of verifications.
//!
//! - [`TallyLine`]: how many there were of one billing day, product, region and sub code
//! - [`Counted`]: those of a file, or of all; [`differing`]: where two of them differ

use std::collections::BTreeMap;

use jiff::civil::Date;

/// How many verifications there were of one billing day, product, region and sub code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TallyLine {
    /// The vendor's day, where it is known.
    pub billing_day: Option<Date>,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// The sub code.
    pub sub_code: String,
    /// How many.
    pub verifications: u64,
}

impl TallyLine {
    /// The order of every report: by day, the unknown one last, then product, region and sub code.
    pub fn order(&self) -> (bool, Option<Date>, &str, &str, &str) {
        let (product_code, region, sub_code) = (&self.product_code, &self.region, &self.sub_code);
        (
            self.billing_day.is_none(),
            self.billing_day,
            product_code,
            region,
            sub_code,
        )
    }
}

/// Verifications by product, region and sub code.
pub type Counted = BTreeMap<[String; 3], u64>;

/// Where two counts differ: product, region and sub code, and both numbers.
pub fn differing<'a>(one: &'a Counted, other: &'a Counted) -> impl Iterator<Item = (&'a [String; 3], u64, u64)> {
    let number = |of: &Counted, key: &[String; 3]| of.get(key).copied().unwrap_or(0);
    let only_there = other.keys().filter(|key| !one.contains_key(*key));
    let both = one.keys().chain(only_there);
    both.map(move |key| (key, number(one, key), number(other, key)))
        .filter(|(_, one, other)| one != other)
}
