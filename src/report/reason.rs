//! Why a night needs a look. Every reason has an id here that never changes its meaning: monitoring systems read ids, people read
//! sentences.
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
    /// This machine has no more open files for connections.
    LocalOpenFiles,
    /// This machine can't resolve an endpoint's name.
    LocalDns,
    /// This machine has no route to an endpoint.
    LocalNoRoute,
    /// The proxy refuses connections, or can't be reached.
    LocalProxy,
    /// Something on the way does not speak TLS as it should.
    LocalTls,
    /// The vendor refuses every id of a product in a region with one code that is not known.
    EveryIdRefused,
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
    /// No source is configured, and the ledger has nothing to ask for.
    NoSource,
    /// A pending source gave fewer rows than it must.
    SourceShort,
    /// A pending source is older than it may be.
    SourceStale,
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
    /// The vendor's reply has a verdict that is neither Y, N nor P.
    VerdictUnknown,
    /// Rows of pending sources were rejected.
    RowsRejected,
    /// The vendor throttled so much that less than half of the set rate was reached. A warning.
    SlowedByThrottling,
    /// Rows of pending sources were taken in without cells that could not be read.
    RowsIncomplete,
}

impl ReasonId {
    /// Every reason, in the order of this page.
    pub const ALL: [Self; 30] = [
        Self::AccountRefused,
        Self::CredentialsMissing,
        Self::CertificateNotTrusted,
        Self::LocalOpenFiles,
        Self::LocalDns,
        Self::LocalNoRoute,
        Self::LocalProxy,
        Self::LocalTls,
        Self::EveryIdRefused,
        Self::StoppedBySignal,
        Self::StoppedByTimeLimit,
        Self::DiskFull,
        Self::ReportsMissing,
        Self::SourceFailed,
        Self::SourceCutShort,
        Self::NoSource,
        Self::SourceShort,
        Self::SourceStale,
        Self::FiguresDiffer,
        Self::ArchiveDiffers,
        Self::RecordsLost,
        Self::RecordsOverdue,
        Self::RecordsEndangered,
        Self::RecordsLeft,
        Self::RepliesUnpublished,
        Self::RecordsQuarantined,
        Self::VerdictUnknown,
        Self::RowsRejected,
        Self::SlowedByThrottling,
        Self::RowsIncomplete,
    ];

    /// The id in `summary.json` and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountRefused => "account_refused",
            Self::CredentialsMissing => "credentials_missing",
            Self::CertificateNotTrusted => "certificate_not_trusted",
            Self::LocalOpenFiles => "local_open_files",
            Self::LocalDns => "local_dns",
            Self::LocalNoRoute => "local_no_route",
            Self::LocalProxy => "local_proxy",
            Self::LocalTls => "local_tls",
            Self::EveryIdRefused => "every_id_refused",
            Self::StoppedBySignal => "stopped_by_signal",
            Self::StoppedByTimeLimit => "stopped_by_time_limit",
            Self::DiskFull => "disk_full",
            Self::ReportsMissing => "reports_missing",
            Self::SourceFailed => "source_failed",
            Self::SourceCutShort => "source_cut_short",
            Self::NoSource => "no_source",
            Self::SourceShort => "source_short",
            Self::SourceStale => "source_stale",
            Self::FiguresDiffer => "figures_differ",
            Self::ArchiveDiffers => "archive_differs",
            Self::RecordsLost => "records_lost",
            Self::RecordsOverdue => "records_overdue",
            Self::RecordsEndangered => "records_endangered",
            Self::RecordsLeft => "records_left",
            Self::RepliesUnpublished => "replies_unpublished",
            Self::RecordsQuarantined => "records_quarantined",
            Self::VerdictUnknown => "verdict_unknown",
            Self::RowsRejected => "rows_rejected",
            Self::SlowedByThrottling => "slowed_by_throttling",
            Self::RowsIncomplete => "rows_incomplete",
        }
    }

    /// The exit code that this reason alone gives; [`Exit::Done`]: a warning that changes no exit code.
    pub const fn exit(self) -> Exit {
        match self {
            Self::SlowedByThrottling => Exit::Done,
            Self::SourceFailed
            | Self::LocalOpenFiles
            | Self::LocalDns
            | Self::LocalNoRoute
            | Self::LocalProxy
            | Self::LocalTls => Exit::Configuration,
            Self::StoppedBySignal
            | Self::StoppedByTimeLimit
            | Self::ReportsMissing
            | Self::SourceCutShort
            | Self::NoSource
            | Self::SourceShort
            | Self::SourceStale
            | Self::RecordsLeft
            | Self::RepliesUnpublished
            | Self::RecordsQuarantined
            | Self::VerdictUnknown
            | Self::RowsRejected
            | Self::RowsIncomplete => Exit::NeedsALook,
            Self::RecordsLost | Self::RecordsOverdue | Self::RecordsEndangered => Exit::Expiry,
            Self::DiskFull => Exit::Archive,
            Self::AccountRefused | Self::CredentialsMissing | Self::CertificateNotTrusted | Self::EveryIdRefused => {
                Exit::Account
            }
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
