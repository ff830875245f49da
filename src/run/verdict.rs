//! What the night's exit code is made of, pure.

use super::reports::OF_THE_BACKLOG;
use crate::exit::Exit;
use crate::fetch::Totals;
use crate::report::expiry::ExpiryTotals;
use crate::report::forecast::BacklogForecast;
use crate::report::summary::{IntakeTotals, Reason};
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
    let mut say = |exit_code, reason| reasons.push(Reason { exit_code, reason });
    let unfetched = facts.unfetched.as_ref();
    let all_done = unfetched.is_some_and(|unfetched| unfetched.left == 0 && unfetched.unpublished == 0);
    match &facts.stop {
        Some(StopReason::Account(fault)) => say(Exit::Account, fault.to_string()),
        Some(StopReason::Credentials(why) | StopReason::Certificate(why)) => say(Exit::Account, why.to_string()),
        // A stop that cut nothing short is not worth a look.
        Some(StopReason::Signal | StopReason::TimeLimit) if all_done && facts.intake.cut_short.is_empty() => {}
        Some(StopReason::Signal) => say(Exit::NeedsALook, "a signal stopped the run".to_owned()),
        Some(StopReason::TimeLimit) => say(Exit::NeedsALook, "the time limit stopped the run".to_owned()),
        Some(StopReason::NoSpace(none)) => say(Exit::Archive, none.to_string()),
        // The night ended with the ledger's error.
        Some(StopReason::LedgerFailed) | None => {}
    }
    if unfetched.is_none() {
        let missing = OF_THE_BACKLOG.join(", ");
        let why = "what the ledger holds was not looked through, as the run had to end first";
        let what = "the next run writes them, `idvault report expiry` and `idvault quarantine list` print them now";
        say(Exit::NeedsALook, format!("{missing} are missing: {why}; {what}"));
    }
    for error in &facts.intake.failed_sources {
        say(Exit::Configuration, error.clone());
    }
    for source in &facts.intake.cut_short {
        say(Exit::NeedsALook, source.clone());
    }
    if let [first, others @ ..] = facts.figures_differ {
        let more = match others.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        say(
            Exit::Difference,
            format!("figures that must agree differ: {first}{more}; run `idvault verify`"),
        );
    }
    let mut count = |exit, number: u64, one: &str, many: &str| match number {
        0 => {}
        1 => say(exit, format!("1 {one}")),
        _ => say(exit, format!("{number} {many}")),
    };
    count(
        Exit::Expiry,
        facts.fetch.lost + facts.expired,
        "record was deleted by the vendor before it was fetched; see expiry.csv, state lost",
        "records were deleted by the vendor before they were fetched; see expiry.csv, state lost",
    );
    if let Some(unfetched) = unfetched {
        count(
            Exit::Expiry,
            unfetched.expiry.overdue,
            "unfetched record is past its expiry; see expiry.csv, band lost",
            "unfetched records are past their expiry; see expiry.csv, band lost",
        );
        count(
            Exit::Expiry,
            unfetched.endangered + unfetched.at_next_run.expire_first,
            "record will expire before the next run can reach it; see expiry.csv, band 1d",
            "records will expire before the next run can reach them; see expiry.csv, band 1d",
        );
        count(
            Exit::NeedsALook,
            unfetched.left,
            "due record is left for the next run",
            "due records are left for the next run",
        );
        count(
            Exit::NeedsALook,
            unfetched.unpublished,
            "reply is kept and not in the archive yet; the next run publishes it",
            "replies are kept and not in the archive yet; the next run publishes them",
        );
        count(
            Exit::NeedsALook,
            unfetched.quarantined,
            "record is in quarantine; see quarantine.csv",
            "records are in quarantine; see quarantine.csv",
        );
    }
    count(
        Exit::NeedsALook,
        facts.intake.rejected,
        "row was rejected; see rejected.csv",
        "rows were rejected; see rejected.csv",
    );
    reasons
}
