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
    /// A line of the bill gives back.
    Refund,
    /// A line of the bill corrects.
    Adjustment,
    /// A coupon paid.
    Coupon,
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
    /// The vendor has it under another product or region, or on a day that is not next to ours.
    Elsewhere,
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
    /// The customer never finished it, as far as we know, or it was dropped.
    Abandoned,
    /// Nobody said when it was made, so it is on no day of ours.
    Undated,
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
    pub const ALL: [Self; 22] = [
        Self::Refund,
        Self::Adjustment,
        Self::Coupon,
        Self::Package,
        Self::Rounding,
        Self::Price,
        Self::Verdict,
        Self::NeverSeen,
        Self::Elsewhere,
        Self::UnknownSubCode,
        Self::Journalled,
        Self::DayBoundary,
        Self::Lost,
        Self::Pending,
        Self::Quarantined,
        Self::Abandoned,
        Self::Undated,
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
            Self::Adjustment => "adjustment",
            Self::Coupon => "coupon",
            Self::Package => "package",
            Self::Rounding => "rounding",
            Self::Price => "price",
            Self::Verdict => "verdict",
            Self::NeverSeen => "never_seen",
            Self::Elsewhere => "elsewhere",
            Self::UnknownSubCode => "unknown_sub_code",
            Self::Journalled => "journalled",
            Self::DayBoundary => "day_boundary",
            Self::Lost => "lost",
            Self::Pending => "pending",
            Self::Quarantined => "quarantined",
            Self::Abandoned => "abandoned",
            Self::Undated => "undated",
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
            Self::Refund
            | Self::Adjustment
            | Self::Coupon
            | Self::Rounding
            | Self::DayBoundary
            | Self::Elsewhere
            | Self::Volume => Standing::Right,
            Self::NeverSeen
            | Self::UnknownSubCode
            | Self::Journalled
            | Self::Lost
            | Self::Pending
            | Self::Quarantined
            | Self::Abandoned
            | Self::Undated
            | Self::NotFinal => Standing::Open,
            Self::Package | Self::Price | Self::Verdict | Self::NotInRecords | Self::NotBilled | Self::Unexplained => {
                Standing::Wrong
            }
        }
    }

    /// Whether the vendor's records alone tell of it, bill or not.
    pub const fn is_told_by_records(self) -> bool {
        matches!(
            self,
            Self::Verdict | Self::NeverSeen | Self::Elsewhere | Self::NotInRecords
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
