//! Counts of verifications.
//!
//! - [`TallyLine`]: how many there were of one billing day, product, region and sub code

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
