//! What the night's exit code is made of, pure.

use std::collections::BTreeMap;

use super::reports::OF_THE_BACKLOG;
use crate::difference::Differences;
use crate::fetch::{Refusal, Totals, Trouble};
use crate::ledger::UnknownVerdicts;
use crate::report::cause::Cause;
use crate::report::expiry::{CauseTotal, ExpiryTotals};
use crate::report::forecast::BacklogForecast;
use crate::report::quarantine::Quarantined;
use crate::report::reason::{Reason, ReasonId};
use crate::report::summary::{IntakeTotals, PaceUse, seconds};
use crate::stop::StopReason;
use crate::vendor::LocalFault;

/// Kinds of errors that a sentence names.
const KINDS_NAMED: usize = 3;

/// A pace that was used for less than this is no measure of what the vendor grants.
const SHORTEST_MEASURE_SECONDS: u64 = 10;

/// Throttling is worth a warning where less than this share of the set rate was answered.
const SLOW_SHARE: f64 = 0.5;

/// What is known at the end of the night.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) stop: Option<StopReason>,
    pub(super) intake: &'a IntakeTotals,
    /// No source is configured, and nothing was pending.
    pub(super) no_source: bool,
    pub(super) fetch: &'a Totals,
    /// What attempts met in place of a good answer, the commonest first.
    pub(super) troubles: &'a [Trouble],
    /// Where the vendor refuses every id.
    pub(super) refusals: &'a [Refusal],
    /// How the pace was used.
    pub(super) pace: &'a [PaceUse],
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
    pub(super) quarantined: &'a Quarantined,
    /// Records whose last reply has a verdict that is none, also of earlier runs.
    pub(super) unknown_verdicts: &'a [UnknownVerdicts],
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
    for refusal in facts.refusals {
        let sentence = format!(
            "{refusal}, so the others were not asked for; no attempt was charged to any id. Check the rights of the access key, the \
             endpoint and the product"
        );
        reasons.push(Reason::one(ReasonId::EveryIdRefused, sentence));
    }
    reasons.extend(local(facts));
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
    reasons.extend(of_sources(ReasonId::SourceShort, &facts.intake.short_sources));
    reasons.extend(of_sources(ReasonId::SourceStale, &facts.intake.stale_sources));
    if facts.no_source {
        let why = "no pending source is configured, and the ledger has nothing to ask for";
        let what = "name a source with --pending, or as `pending` in the configuration";
        reasons.push(Reason::one(ReasonId::NoSource, format!("{why}; {what}")));
    }
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
    if let Some(unfetched) = &facts.unfetched {
        reasons.extend(of_the_backlog(unfetched, facts.troubles));
        reasons.extend(unknown_verdicts(unfetched.unknown_verdicts));
    }
    reasons.extend(counted(
        ReasonId::RowsRejected,
        facts.intake.rejected,
        "row was rejected; see rejected.csv",
        "rows were rejected; see rejected.csv",
    ));
    reasons.extend(counted(
        ReasonId::RowsIncomplete,
        facts.intake.incomplete,
        "row was taken in without cells that can't be read; see rejected.csv",
        "rows were taken in without cells that can't be read; see rejected.csv",
    ));
    reasons.extend(facts.pace.iter().filter_map(slowed));
    reasons
}

/// What kept calls from leaving this machine, where records are left for it.
fn local(facts: &Facts<'_>) -> Vec<Reason> {
    let left = facts.unfetched.as_ref().is_none_or(|unfetched| unfetched.left > 0);
    let mut reasons = BTreeMap::new();
    for trouble in facts.troubles.iter().filter(|_| left) {
        let Some(id) = local_id(&trouble.code) else {
            continue;
        };
        let reason = reasons.entry(id).or_insert_with(|| {
            let said = trouble.message.as_deref().unwrap_or(&trouble.code);
            Reason::new(id, 0, format!("local fault, not the vendor's: {said}"))
        });
        reason.count += trouble.attempts;
    }
    // It is said already, with all that is known of it.
    if let Some(StopReason::Local(kind, _)) = &facts.stop {
        reasons.retain(|id, _| Some(*id) != local_id(kind.code()));
    }
    reasons.into_values().collect()
}

fn local_id(code: &str) -> Option<ReasonId> {
    use LocalFault::{Dns, NoRoute, OpenFiles, Proxy, Tls};
    let kinds = [
        (OpenFiles, ReasonId::LocalOpenFiles),
        (Dns, ReasonId::LocalDns),
        (NoRoute, ReasonId::LocalNoRoute),
        (Proxy, ReasonId::LocalProxy),
        (Tls, ReasonId::LocalTls),
    ];
    let found = kinds.into_iter().find(|(kind, _)| kind.code() == code);
    found.map(|(_, id)| id)
}

/// The commonest errors, in words.
fn commonest(troubles: &[Trouble]) -> String {
    let named = troubles.iter().take(KINDS_NAMED).map(|trouble| {
        let Trouble {
            product_code,
            region,
            host,
            code,
            attempts,
            message,
        } = trouble;
        let times = if *attempts == 1 {
            "once"
        } else {
            &format!("{attempts} times")
        };
        let said = message
            .as_ref()
            .map(|message| format!(" ({message})"))
            .unwrap_or_default();
        format!("{product_code} in {region} at {host} met {code} {times}{said}")
    });
    named.collect::<Vec<String>>().join("; ")
}

/// The commonest of the causes that `count` counts, in words.
fn commonest_cause(expiry: &ExpiryTotals, count: impl Fn(CauseTotal) -> u64) -> String {
    let counts = expiry.causes.iter().map(|(cause, total)| (count(*total), *cause));
    match counts.max_by_key(|(count, cause)| (*count, std::cmp::Reverse(*cause))) {
        Some((count, cause)) if count > 0 => format!("; commonest cause: {} ({count})", Cause::as_str(cause)),
        _ => String::new(),
    }
}

/// Replies that have no verdict that is known.
fn unknown_verdicts(kinds: &[UnknownVerdicts]) -> Option<Reason> {
    let records: u64 = kinds.iter().map(|kind| kind.records).sum();
    let named = kinds.iter().take(KINDS_NAMED).map(|kind| {
        let UnknownVerdicts {
            product_code,
            region,
            passed,
            records,
        } = kind;
        let what = match passed {
            Some(value) => format!("Passed is {value}"),
            None => "Passed is missing".to_owned(),
        };
        format!("{what} for {records} of {product_code} in {region}")
    });
    let named = named.collect::<Vec<String>>().join("; ");
    let words = if records == 1 { "record has" } else { "records have" };
    let sentence = format!(
        "{records} {words} a verdict that is neither Y, N nor P: {named}. The replies are kept in the ledger, in unknown_verdicts, and \
         the vendor is asked again; ask it what this verdict means"
    );
    (records > 0).then(|| Reason::new(ReasonId::VerdictUnknown, records, sentence))
}

/// Throttling that kept a pace below half of what was set.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn slowed(used: &PaceUse) -> Option<Reason> {
    let set = used.calls_per_second?;
    let attempts: u64 = used.load.attempts.iter().sum();
    let throttled: u64 = used.load.throttled.iter().sum();
    let lasted = used.load.attempts.len() as u64 * used.load.seconds_per_point;
    let answered = attempts.saturating_sub(throttled) as f64 / lasted.max(1) as f64;
    let slow = throttled > 0 && lasted >= SHORTEST_MEASURE_SECONDS && answered < set * SLOW_SHARE;
    slow.then(|| {
        let sentence = format!(
            "{}: the vendor throttled {throttled} of {attempts} attempts, so that {answered:.1} calls a second were answered in {}, of \
             {set:.1} that are set; ask the vendor for the quota, or look who else uses it",
            used.of,
            seconds(lasted as f64)
        );
        Reason::new(ReasonId::SlowedByThrottling, throttled, sentence)
    })
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
        StopReason::Local(kind, why) => Reason::one(
            local_id(kind.code()).unwrap_or(ReasonId::LocalProxy),
            format!("local fault, not the vendor's: {why}"),
        ),
        StopReason::NoSpace(none) => Reason::one(ReasonId::DiskFull, none.to_string()),
        // The night ended with the ledger's error.
        StopReason::LedgerFailed => return None,
    })
}

/// What the ledger holds that is not archived and needs a look.
fn of_the_backlog(unfetched: &Unfetched<'_>, troubles: &[Trouble]) -> Vec<Reason> {
    let lost = commonest_cause(unfetched.expiry, |total| total.lost);
    let endangered = commonest_cause(unfetched.expiry, |total| total.endangered);
    let because = if troubles.is_empty() {
        String::new()
    } else {
        format!("; {}", commonest(troubles))
    };
    let quarantined = unfetched.quarantined;
    let reasons = [
        counted(
            ReasonId::RecordsOverdue,
            unfetched.expiry.overdue,
            &format!("unfetched record is past its expiry; see expiry.csv, band lost{lost}"),
            &format!("unfetched records are past their expiry; see expiry.csv, band lost{lost}"),
        ),
        counted(
            ReasonId::RecordsEndangered,
            unfetched.endangered + unfetched.at_next_run.expire_first,
            &format!("record will expire before the next run can reach it; see expiry.csv, band 1d{endangered}"),
            &format!("records will expire before the next run can reach them; see expiry.csv, band 1d{endangered}"),
        ),
        counted(
            ReasonId::RecordsLeft,
            unfetched.left,
            &format!("due record is left for the next run{because}; see left.csv"),
            &format!("due records are left for the next run{because}; see left.csv"),
        ),
        counted(
            ReasonId::RepliesUnpublished,
            unfetched.unpublished,
            "reply is kept and not in the archive yet; the next run publishes it",
            "replies are kept and not in the archive yet; the next run publishes them",
        ),
        counted(
            ReasonId::RecordsQuarantined,
            quarantined.records,
            &format!("record is in quarantine; see quarantine.csv{}", quarantined.commonest()),
            &format!(
                "records are in quarantine; see quarantine.csv{}",
                quarantined.commonest()
            ),
        ),
    ];
    reasons.into_iter().flatten().collect()
}

/// A reason about `count` things, if there are any.
fn counted(id: ReasonId, count: u64, one: &str, many: &str) -> Option<Reason> {
    let words = if count == 1 { one } else { many };
    (count > 0).then(|| Reason::new(id, count, format!("{count} {words}")))
}
