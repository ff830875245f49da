//! What can make the bill and the archive differ.
//!
//! - [`Class`]: one reason; [`Standing`]: what finance makes of it
//! - [`Explanation`]: a reason, and how much of a difference it makes
//! - [`Size`]: calls and money

use std::ops::{AddAssign, Neg, Sub, SubAssign};

use rust_decimal::Decimal;
use serde::Serialize;

/// Calls, and money in the currency of the line that it is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Calls.
    pub quantity: i64,
    /// Exact.
    pub amount: Decimal,
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.quantity += other.quantity;
        self.amount += other.amount;
    }
}

impl SubAssign for Size {
    fn sub_assign(&mut self, other: Self) {
        *self += -other;
    }
}

impl Sub for Size {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}

impl Neg for Size {
    type Output = Self;

    fn neg(self) -> Self {
        Self {
            quantity: -self.quantity,
            amount: -self.amount,
        }
    }
}

impl Size {
    /// Nothing.
    pub fn is_zero(&self) -> bool {
        self.quantity == 0 && self.amount.is_zero()
    }
}

/// What finance makes of an explanation. Ordered from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The bill is right.
    Right,
    /// It can't be said yet, or nobody here can say it: what is missing is named.
    Open,
    /// Bill and archive contradict each other.
    Wrong,
}

impl Standing {
    /// The word in the reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Open => "open",
            Self::Wrong => "wrong",
        }
    }
}

/// Why the bill and the archive differ, in the order in which they are tried: from the most to the least certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A line of the bill gives back: what was billed too much, or calls of the same day.
    Refund,
    /// A line of the bill gives back more than was billed.
    RefundExceeds,
    /// A line of the bill corrects, and nobody accepted it yet.
    Adjustment,
    /// A line of the bill that a person accepted, with a reason.
    Accepted,
    /// A coupon paid.
    Coupon,
    /// A line's net amount is not its gross amount less its discount and coupons.
    Arithmetic,
    /// A package paid for another number of calls than it should.
    Package,
    /// The bill rounds its lines.
    Rounding,
    /// A call costs something else than the contract, or the price list, says.
    Price,
    /// The vendor's records and ours differ in whether the verification is billed.
    Verdict,
    /// The vendor has it, and no source ever named it.
    NeverSeen,
    /// Calls are counted under another product or region than ours.
    Swap,
    /// The vendor's records have it on a day that is not next to ours.
    OtherDay,
    /// No table says whether its sub code is billed.
    UnknownSubCode,
    /// Its reply is in the ledger, and not in the archive yet.
    Journalled,
    /// The vendor counts it on the day before or after.
    DayBoundary,
    /// It was deleted before it was fetched.
    Lost,
    /// It is not final yet.
    Pending,
    /// It needs a person.
    Quarantined,
    /// A person dropped it from quarantine.
    Dropped,
    /// Nobody said when it was made, so it is on no day of ours.
    Undated,
    /// The vendor last said that the customer never finished it.
    NotCompleted,
    /// Its sub code is known as one that is not billed.
    UnbilledSubCode,
    /// It is in the archive and not in the vendor's records.
    NotInRecords,
    /// The bill is not final before the 4th of the next month: lines can still come.
    NotFinal,
    /// It is in the archive, or in the vendor's records, and not on the bill.
    NotBilled,
    /// Tiers and packages are reached elsewhere in the month because the numbers of calls differ.
    Volume,
    /// None of these.
    Unexplained,
}

impl Class {
    /// Every class, in this order.
    pub const ALL: [Self; 28] = [
        Self::Refund,
        Self::RefundExceeds,
        Self::Adjustment,
        Self::Accepted,
        Self::Coupon,
        Self::Arithmetic,
        Self::Package,
        Self::Rounding,
        Self::Price,
        Self::Verdict,
        Self::NeverSeen,
        Self::Swap,
        Self::OtherDay,
        Self::UnknownSubCode,
        Self::Journalled,
        Self::DayBoundary,
        Self::Lost,
        Self::Pending,
        Self::Quarantined,
        Self::Dropped,
        Self::Undated,
        Self::NotCompleted,
        Self::UnbilledSubCode,
        Self::NotInRecords,
        Self::NotFinal,
        Self::NotBilled,
        Self::Volume,
        Self::Unexplained,
    ];

    /// The word in the reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::RefundExceeds => "refund_exceeds",
            Self::Adjustment => "adjustment",
            Self::Accepted => "accepted",
            Self::Coupon => "coupon",
            Self::Arithmetic => "arithmetic",
            Self::Package => "package",
            Self::Rounding => "rounding",
            Self::Price => "price",
            Self::Verdict => "verdict",
            Self::NeverSeen => "never_seen",
            Self::Swap => "swap",
            Self::OtherDay => "other_day",
            Self::UnknownSubCode => "unknown_sub_code",
            Self::Journalled => "journalled",
            Self::DayBoundary => "day_boundary",
            Self::Lost => "lost",
            Self::Pending => "pending",
            Self::Quarantined => "quarantined",
            Self::Dropped => "dropped",
            Self::Undated => "undated",
            Self::NotCompleted => "not_completed",
            Self::UnbilledSubCode => "unbilled_sub_code",
            Self::NotInRecords => "not_in_records",
            Self::NotFinal => "not_final",
            Self::NotBilled => "not_billed",
            Self::Volume => "volume",
            Self::Unexplained => "unexplained",
        }
    }

    /// What finance makes of it.
    pub const fn standing(self) -> Standing {
        match self {
            Self::Refund | Self::Accepted | Self::Coupon | Self::Rounding | Self::DayBoundary | Self::Volume => {
                Standing::Right
            }
            Self::RefundExceeds
            | Self::Adjustment
            | Self::NeverSeen
            | Self::OtherDay
            | Self::UnknownSubCode
            | Self::Journalled
            | Self::Lost
            | Self::Pending
            | Self::Quarantined
            | Self::Dropped
            | Self::Undated
            | Self::NotFinal => Standing::Open,
            Self::Arithmetic
            | Self::Package
            | Self::Price
            | Self::Verdict
            | Self::Swap
            | Self::NotCompleted
            | Self::UnbilledSubCode
            | Self::NotInRecords
            | Self::NotBilled
            | Self::Unexplained => Standing::Wrong,
        }
    }

    /// Whether the vendor's records alone tell of it, bill or not.
    pub const fn is_told_by_records(self) -> bool {
        matches!(
            self,
            Self::Verdict | Self::NeverSeen | Self::Swap | Self::OtherDay | Self::NotInRecords
        )
    }
}

/// A reason, and how much of the difference it makes: what the bill has more than the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The reason.
    pub class: Class,
    /// How much.
    #[serde(flatten)]
    pub size: Size,
}
