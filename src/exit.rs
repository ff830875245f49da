//! The exit codes, all in one place. Scripts rely on them: a code never changes its meaning.
//!
//! - [`Exit`]: every way in which a command ends

use serde::{Serialize, Serializer};

/// How a command ended, by its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every due record is archived; records that the vendor has not completed yet are not due.
    Done = 0,
    /// Unexpected failure.
    Unexpected = 1,
    /// Wrong usage.
    Usage = 2,
    /// Wrong configuration, unreadable or invalid pending source.
    Configuration = 3,
    /// Something needs a look: due records are left, records were quarantined or rows rejected, or there was no time for all
    /// reports.
    NeedsALook = 4,
    /// A record expired unfetched, or will expire before the next run can reach it.
    Expiry = 5,
    /// The ledger can't be used.
    Ledger = 6,
    /// The archive or a report can't be written, or the disk has no room for more.
    Archive = 7,
    /// The vendor refused the credentials or the account, or its server's certificate is not trusted; no attempt was
    /// charged to any id.
    Account = 8,
    /// Archive and ledger, or archive and bill, differ.
    Difference = 9,
    /// Another run holds the lock.
    Locked = 75,
}

impl Exit {
    /// The exit code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// How soon a person is needed; where several hold, the highest wins.
    const fn urgency(self) -> u8 {
        match self {
            Self::Locked => 11,
            Self::Usage => 10,
            Self::Account => 9,
            Self::Ledger => 8,
            Self::Archive => 7,
            Self::Expiry => 6,
            Self::Difference => 5,
            Self::Configuration => 4,
            Self::Unexpected => 3,
            Self::NeedsALook => 1,
            Self::Done => 0,
        }
    }

    /// The one that needs a person soonest.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if other.urgency() > self.urgency() { other } else { self }
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_needs_a_person_soonest_wins() {
        let order = [8, 6, 7, 5, 9, 4, 0];
        let all = [
            Exit::Done,
            Exit::NeedsALook,
            Exit::Difference,
            Exit::Expiry,
            Exit::Archive,
            Exit::Ledger,
            Exit::Account,
        ];
        for (place, exit) in all.iter().rev().enumerate() {
            assert_eq!(exit.code(), order[place]);
            for milder in all.iter().rev().skip(place) {
                assert_eq!(milder.or_worse(*exit), *exit);
                assert_eq!(exit.or_worse(*milder), *exit);
            }
        }
    }
}
