//! Why a night needs a look: every reason has an id here that never changes its meaning, so that a monitoring system can tell
//! them apart without reading sentences.
//!
//! - [`ReasonId`]: the id, and the exit code that it alone would give
//! - [`Reason`]: one line of `reasons` in `summary.json`
//!
//! To add a reason: one variant, one line in [`ReasonId::ALL`] and one in each of the two tables below. An id that was released is
//! never renamed and never used for anything else.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::exit::Exit;

/// Why a run needs a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonId {
    /// The vendor refused the credentials, the account or this machine's clock.
    AccountRefused,
    /// There are no credentials, or they can't be renewed.
    CredentialsMissing,
    /// The server's certificate is not trusted.
    CertificateNotTrusted,
    /// A signal stopped the run before all was done.
    StoppedBySignal,
    /// The time limit stopped the run before all was done.
    StoppedByTimeLimit,
    /// The disk has no room for more replies.
    DiskFull,
    /// Some reports were not written, as the run had to end first.
    ReportsMissing,
    /// A pending source could not be read to its end.
    SourceFailed,
    /// A pending source was left where it was, as the run had to end.
    SourceCutShort,
    /// Figures that must agree differ.
    FiguresDiffer,
    /// Names or sizes in the archive differ from the manifest.
    ArchiveDiffers,
    /// Records were deleted by the vendor before they were fetched.
    RecordsLost,
    /// Unfetched records are past their expiry.
    RecordsOverdue,
    /// Records will expire before the next run can reach them.
    RecordsEndangered,
    /// Due records are left for the next run.
    RecordsLeft,
    /// Replies are journalled and not in the archive yet.
    RepliesUnpublished,
    /// Records are in quarantine.
    RecordsQuarantined,
    /// Rows of pending sources were rejected.
    RowsRejected,
}

impl ReasonId {
    /// Every reason, in the order of this page.
    pub const ALL: [Self; 18] = [
        Self::AccountRefused,
        Self::CredentialsMissing,
        Self::CertificateNotTrusted,
        Self::StoppedBySignal,
        Self::StoppedByTimeLimit,
        Self::DiskFull,
        Self::ReportsMissing,
        Self::SourceFailed,
        Self::SourceCutShort,
        Self::FiguresDiffer,
        Self::ArchiveDiffers,
        Self::RecordsLost,
        Self::RecordsOverdue,
        Self::RecordsEndangered,
        Self::RecordsLeft,
        Self::RepliesUnpublished,
        Self::RecordsQuarantined,
        Self::RowsRejected,
    ];

    /// The id in `summary.json` and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountRefused => "account_refused",
            Self::CredentialsMissing => "credentials_missing",
            Self::CertificateNotTrusted => "certificate_not_trusted",
            Self::StoppedBySignal => "stopped_by_signal",
            Self::StoppedByTimeLimit => "stopped_by_time_limit",
            Self::DiskFull => "disk_full",
            Self::ReportsMissing => "reports_missing",
            Self::SourceFailed => "source_failed",
            Self::SourceCutShort => "source_cut_short",
            Self::FiguresDiffer => "figures_differ",
            Self::ArchiveDiffers => "archive_differs",
            Self::RecordsLost => "records_lost",
            Self::RecordsOverdue => "records_overdue",
            Self::RecordsEndangered => "records_endangered",
            Self::RecordsLeft => "records_left",
            Self::RepliesUnpublished => "replies_unpublished",
            Self::RecordsQuarantined => "records_quarantined",
            Self::RowsRejected => "rows_rejected",
        }
    }

    /// The exit code that this reason alone gives; [`Exit::Done`]: a warning that changes no exit code.
    pub const fn exit(self) -> Exit {
        match self {
            Self::SourceFailed => Exit::Configuration,
            Self::StoppedBySignal
            | Self::StoppedByTimeLimit
            | Self::ReportsMissing
            | Self::SourceCutShort
            | Self::RecordsLeft
            | Self::RepliesUnpublished
            | Self::RecordsQuarantined
            | Self::RowsRejected => Exit::NeedsALook,
            Self::RecordsLost | Self::RecordsOverdue | Self::RecordsEndangered => Exit::Expiry,
            Self::DiskFull => Exit::Archive,
            Self::AccountRefused | Self::CredentialsMissing | Self::CertificateNotTrusted => Exit::Account,
            Self::FiguresDiffer | Self::ArchiveDiffers => Exit::Difference,
        }
    }
}

impl Serialize for ReasonId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One reason why a run needs a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Which.
    pub id: ReasonId,
    /// The exit code that this alone would give.
    pub exit_code: Exit,
    /// How many records, rows, files or other things it is about; 1 where it can't be counted.
    pub count: u64,
    /// A sentence for a person.
    pub reason: String,
}

impl Reason {
    /// A reason about `count` things.
    pub fn new(id: ReasonId, count: u64, reason: impl Into<String>) -> Self {
        Self {
            id,
            exit_code: id.exit(),
            count,
            reason: reason.into(),
        }
    }

    /// A reason that is about one thing, or about nothing that can be counted.
    pub fn one(id: ReasonId, reason: impl Into<String>) -> Self {
        Self::new(id, 1, reason)
    }
}

/// As a person reads it on a terminal and on the page.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.exit_code {
            Exit::Done => write!(f, " (warning, {})", self.id.as_str()),
            exit => write!(f, " (exit {}, {})", exit.code(), self.id.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_made_of_lower_case_words() {
        let ids: BTreeSet<&str> = ReasonId::ALL.iter().map(|id| id.as_str()).collect();
        assert_eq!(ids.len(), ReasonId::ALL.len());
        for id in ids {
            assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{id}");
        }
    }
}
