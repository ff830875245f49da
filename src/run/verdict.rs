//! What the night's exit code is made of, pure.

use super::reports::OF_THE_BACKLOG;
use crate::difference::Differences;
use crate::fetch::Totals;
use crate::report::expiry::ExpiryTotals;
use crate::report::forecast::BacklogForecast;
use crate::report::reason::{Reason, ReasonId};
use crate::report::summary::IntakeTotals;
use crate::stop::StopReason;

/// What is known at the end of the night.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) stop: Option<StopReason>,
    pub(super) intake: &'a IntakeTotals,
    pub(super) fetch: &'a Totals,
    /// Quarantined records whose 30 days ended.
    pub(super) expired: u64,
    /// Where figures that must agree differ, a sentence each.
    pub(super) figures_differ: &'a [String],
    /// Where the names and sizes in the archive differ from the manifest.
    pub(super) archive_differs: &'a Differences,
    /// `None`: the run had to end before it was known.
    pub(super) unfetched: Option<Unfetched<'a>>,
}

/// What the ledger holds that is not archived.
#[derive(Debug)]
pub(super) struct Unfetched<'a> {
    pub(super) expiry: &'a ExpiryTotals,
    /// Records in quarantine, also of earlier runs.
    pub(super) quarantined: u64,
    /// Records that are still due.
    pub(super) left: u64,
    /// Replies that are journalled and not published.
    pub(super) unpublished: u64,
    /// The forecast of the next run, without what the customer has not finished.
    pub(super) at_next_run: &'a BacklogForecast,
    /// Unfetched records, quarantined ones too, whose 30 days end before the next run.
    pub(super) endangered: u64,
}

/// Everything that keeps the exit code from being 0.
pub(super) fn reasons(facts: &Facts<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    reasons.extend(stopped(facts));
    if facts.unfetched.is_none() {
        let missing = OF_THE_BACKLOG.join(", ");
        let why = "what the ledger holds was not looked through, as the run had to end first";
        let what = "the next run writes them, `idvault report expiry` and `idvault quarantine list` print them now";
        let sentence = format!("{missing} are missing: {why}; {what}");
        reasons.push(Reason::new(
            ReasonId::ReportsMissing,
            OF_THE_BACKLOG.len() as u64,
            sentence,
        ));
    }
    let of_sources = |id, sentences: &[String]| -> Vec<Reason> {
        sentences
            .iter()
            .map(|sentence| Reason::one(id, sentence.clone()))
            .collect()
    };
    reasons.extend(of_sources(ReasonId::SourceFailed, &facts.intake.failed_sources));
    reasons.extend(of_sources(ReasonId::SourceCutShort, &facts.intake.cut_short));
    if let [first, others @ ..] = facts.figures_differ {
        let more = match others.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        reasons.push(Reason::new(
            ReasonId::FiguresDiffer,
            facts.figures_differ.len() as u64,
            format!("figures that must agree differ: {first}{more}; run `idvault verify`"),
        ));
    }
    if let Some(differ) = facts.archive_differs.sentence() {
        reasons.push(Reason::new(
            ReasonId::ArchiveDiffers,
            facts.archive_differs.total(),
            format!("{differ}; run `idvault verify`"),
        ));
    }
    reasons.extend(counted(
        ReasonId::RecordsLost,
        facts.fetch.lost + facts.expired,
        "record was deleted by the vendor before it was fetched; see expiry.csv, state lost",
        "records were deleted by the vendor before they were fetched; see expiry.csv, state lost",
    ));
    reasons.extend(facts.unfetched.iter().flat_map(of_the_backlog));
    reasons.extend(counted(
        ReasonId::RowsRejected,
        facts.intake.rejected,
        "row was rejected; see rejected.csv",
        "rows were rejected; see rejected.csv",
    ));
    reasons
}

/// Why the run stopped before its plan was done.
fn stopped(facts: &Facts<'_>) -> Option<Reason> {
    let unfetched = facts.unfetched.as_ref();
    let all_done = unfetched.is_some_and(|unfetched| unfetched.left == 0 && unfetched.unpublished == 0);
    Some(match facts.stop.as_ref()? {
        StopReason::Account(fault) => Reason::one(ReasonId::AccountRefused, fault.to_string()),
        StopReason::Credentials(why) => Reason::one(ReasonId::CredentialsMissing, &**why),
        StopReason::Certificate(why) => Reason::one(ReasonId::CertificateNotTrusted, &**why),
        // A stop that cut nothing short is not worth a look.
        StopReason::Signal | StopReason::TimeLimit if all_done && facts.intake.cut_short.is_empty() => return None,
        StopReason::Signal => Reason::one(ReasonId::StoppedBySignal, "a signal stopped the run"),
        StopReason::TimeLimit => Reason::one(ReasonId::StoppedByTimeLimit, "the time limit stopped the run"),
        StopReason::NoSpace(none) => Reason::one(ReasonId::DiskFull, none.to_string()),
        // The night ended with the ledger's error.
        StopReason::LedgerFailed => return None,
    })
}

/// What the ledger holds that is not archived and needs a look.
fn of_the_backlog(unfetched: &Unfetched<'_>) -> Vec<Reason> {
    let reasons = [
        counted(
            ReasonId::RecordsOverdue,
            unfetched.expiry.overdue,
            "unfetched record is past its expiry; see expiry.csv, band lost",
            "unfetched records are past their expiry; see expiry.csv, band lost",
        ),
        counted(
            ReasonId::RecordsEndangered,
            unfetched.endangered + unfetched.at_next_run.expire_first,
            "record will expire before the next run can reach it; see expiry.csv, band 1d",
            "records will expire before the next run can reach them; see expiry.csv, band 1d",
        ),
        counted(
            ReasonId::RecordsLeft,
            unfetched.left,
            "due record is left for the next run",
            "due records are left for the next run",
        ),
        counted(
            ReasonId::RepliesUnpublished,
            unfetched.unpublished,
            "reply is kept and not in the archive yet; the next run publishes it",
            "replies are kept and not in the archive yet; the next run publishes them",
        ),
        counted(
            ReasonId::RecordsQuarantined,
            unfetched.quarantined,
            "record is in quarantine; see quarantine.csv",
            "records are in quarantine; see quarantine.csv",
        ),
    ];
    reasons.into_iter().flatten().collect()
}

/// A reason about `count` things, if there are any.
fn counted(id: ReasonId, count: u64, one: &str, many: &str) -> Option<Reason> {
    let words = if count == 1 { one } else { many };
    (count > 0).then(|| Reason::new(id, count, format!("{count} {words}")))
}
