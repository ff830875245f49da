//! Why a record is lost or endangered, pure: read off what the ledger keeps of it.
//!
//! - [`Cause`]: the word for it

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ledger::ExpiryLine;
use crate::record::State;
use crate::vendor::UNKNOWN_VERDICT;

/// The ledger's word where a region has no endpoint (`fetch`).
const NO_ENDPOINT: &str = "no_endpoint";
/// The vendor does not know the id in that region, or has deleted it (vendor's CheckResult page, 2026-04-01).
const UNKNOWN_ID: &str = "TransactionIdInvalid";
/// The ledger's word where `verify --refetch` found neither archive nor vendor to have it.
const ARCHIVE_DAMAGED: &str = "archive_damaged";
/// The customer has not finished, or the verdict is still open (the same page).
const NOT_FINAL: [&str; 2] = ["ProcessNotCompleted", "Success"];

/// The vendor takes the id, or what it is asked with, for wrong (the same page).
const REFUSED: [&str; 2] = ["InvalidParameter", "MissingParameter"];

/// Why a record is not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The customer had not finished when it was last asked for.
    NotCompleted,
    /// The vendor refused the id, and no person helped it out of the quarantine.
    Quarantined,
    /// Its region has no endpoint, or did not know the id while it must still have been there: the region or the id is
    /// wrong.
    Region,
    /// The vendor did not answer, or answered with errors of its own.
    Outage,
    /// It came in after its deadline, or so close to it that one run at most could ask for it.
    FirstSeenTooLate,
    /// It was archived, and its file was missing or damaged when the vendor had deleted it.
    ArchiveDamaged,
    /// No run got to it yet: the quota was used up, the runs were stopped, or there were none.
    NotReached,
    /// The vendor's last reply had a verdict that is none that is known.
    UnknownVerdict,
}

impl Cause {
    /// Every cause, in the order of the reports.
    pub const ALL: [Self; 8] = [
        Self::NotCompleted,
        Self::Quarantined,
        Self::Region,
        Self::Outage,
        Self::FirstSeenTooLate,
        Self::ArchiveDamaged,
        Self::NotReached,
        Self::UnknownVerdict,
    ];

    /// The word in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotCompleted => "not_completed",
            Self::UnknownVerdict => "unknown_verdict",
            Self::Quarantined => "quarantined",
            Self::Region => "region",
            Self::Outage => "outage",
            Self::FirstSeenTooLate => "first_seen_too_late",
            Self::ArchiveDamaged => ARCHIVE_DAMAGED,
            Self::NotReached => "not_reached",
        }
    }

    /// What kept the record from being fetched. `run_interval`: from one run to the next.
    pub fn of(line: &ExpiryLine, run_interval: SignedDuration) -> Self {
        let deadline = line.deadline();
        let seen_late =
            |by: SignedDuration| line.first_seen_at.saturating_add(by).unwrap_or(Timestamp::MAX) >= deadline;
        answered(line).unwrap_or_else(|| {
            if seen_late(SignedDuration::ZERO) {
                Self::FirstSeenTooLate
            } else if line.met_outage {
                Self::Outage
            } else if seen_late(run_interval) {
                Self::FirstSeenTooLate
            } else {
                Self::NotReached
            }
        })
    }
}

/// The cause where a call told.
fn answered(line: &ExpiryLine) -> Option<Cause> {
    if line.last_call_code.as_deref() == Some(NO_ENDPOINT) {
        return Some(Cause::Region);
    }
    match (line.state, line.code_in_time.as_deref()) {
        (State::Lost, Some(ARCHIVE_DAMAGED)) => Some(Cause::ArchiveDamaged),
        (_, Some(NO_ENDPOINT | UNKNOWN_ID)) => Some(Cause::Region),
        (_, Some(UNKNOWN_VERDICT)) => Some(Cause::UnknownVerdict),
        (State::Quarantined, _) => Some(Cause::Quarantined),
        // It was in quarantine until the end: nobody called it deleted.
        (State::Lost, _) if line.last_call_code.as_deref() != Some(UNKNOWN_ID) => Some(Cause::Quarantined),
        (_, Some(code)) if REFUSED.contains(&code) => Some(Cause::Quarantined),
        (_, Some(code)) if NOT_FINAL.contains(&code) => Some(Cause::NotCompleted),
        (_, Some(_)) => Some(Cause::Outage),
        (_, None) => None,
    }
}
