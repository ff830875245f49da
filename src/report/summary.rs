//! The run in one object: `summary.json`, the same on standard output with `--json`, and a table on the terminal.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::billing::{BillingTotals, SubCodeTotal};
use super::expiry::{ExpiryTotals, Loss};
use super::forecast::BacklogForecast;
use super::reason::Reason;
use crate::difference::Differences;
use crate::exit::Exit;
use crate::fetch::{Totals, Trouble};
use crate::ledger::StateCounts;
use crate::pace::Load;
use crate::plain::clean;
use crate::plan::Band;
use crate::publish::Published;
use crate::quota::Limiters;
use crate::record::State;
use crate::tables::Limit;

/// What came of reading the pending sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IntakeTotals {
    /// Rows that were read.
    pub rows: u64,
    /// Unknown ids that were added.
    pub new: u64,
    /// Known ids that were completed.
    pub completed: u64,
    /// Known ids.
    pub known: u64,
    /// Ids that came before in the same run: named in `rejected.csv`.
    pub duplicates: u64,
    /// Rows that could not be taken in: named in `rejected.csv`.
    pub rejected: u64,
    /// Rows that were taken in without cells that could not be read: named in `rejected.csv`. They count above, too.
    pub incomplete: u64,
    /// Sources that could not be read to their end.
    pub failed_sources: Vec<String>,
    /// Sources that gave fewer rows than they must.
    pub short_sources: Vec<String>,
    /// Sources that are older than they may be.
    pub stale_sources: Vec<String>,
    /// Sources that were left where they were, because the run had to end.
    pub cut_short: Vec<String>,
}

/// Seconds by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StageSeconds {
    /// Lock, ledger and archive, and what a cut-off run had left in staging.
    pub open: f64,
    /// The pending sources.
    pub intake: f64,
    /// The calls, with the look at what is due.
    pub fetch: f64,
    /// From the journal to the archive; also what an earlier run had left there.
    pub publish: f64,
    /// The reports.
    pub report: f64,
}

impl fmt::Display for StageSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "open {}, intake {}, fetch {}, publish {}, report {}",
            seconds(self.open),
            seconds(self.intake),
            seconds(self.fetch),
            seconds(self.publish),
            seconds(self.report)
        )
    }
}

/// The version of `summary.json`. A member that is renamed, removed or changes its meaning makes a new one; a new member doesn't.
pub const VERSION: u32 = 1;

/// Everything that is to be said of a run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// [`VERSION`].
    pub version: u32,
    /// The version of idvault.
    pub idvault: &'static str,
    /// The run.
    pub run_id: String,
    /// By the ledger's time.
    pub started_at: Timestamp,
    /// Seconds from start to reports.
    pub seconds: f64,
    /// What they were spent on.
    pub stages: StageSeconds,
    /// The exit code.
    pub exit_code: Exit,
    /// What the exit code is made of, and warnings, which have the exit code 0.
    pub reasons: Vec<Reason>,
    /// The pending sources.
    pub intake: IntakeTotals,
    /// Records that were due when fetching began.
    pub due: u64,
    /// What came of the calls.
    pub fetch: Totals,
    /// What attempts met in place of a good answer, the commonest first.
    pub troubles: Vec<Trouble>,
    /// What was written to the archive.
    pub published: Published,
    /// Where the names and sizes in the archive differ from the manifest: the first 100 of each kind.
    #[serde(serialize_with = "lines")]
    pub archive_differs: Differences,
    /// Verifications of the current and the previous month and of unknown days.
    pub billing: BillingTotals,
    /// How all ids stand; missing where the run had to end before that was read.
    #[serde(flatten)]
    pub backlog: Option<Backlog>,
    /// How the pace was used, the most used first; no more than [`MOST_PACES`].
    pub pace: Vec<PaceUse>,
    /// Where things are.
    pub paths: Paths,
}

/// How all ids stand.
#[derive(Debug, Serialize)]
pub struct Backlog {
    /// Ids by state; they add up to all ids that ever came in.
    pub states: StateCounts,
    /// Unfetched records near their expiry.
    pub expiry: ExpiryTotals,
    /// What is due now, at the set pace.
    pub forecast: BacklogForecast,
}

/// Kinds of errors that the table names; `summary.json` has more.
const TROUBLES_SHOWN: usize = 5;

/// Series that are kept: a source can name as many regions as have an endpoint.
const MOST_PACES: usize = 32;

/// How a pace was used.
#[derive(Debug, Clone, Serialize)]
pub struct PaceUse {
    /// The region, or `all regions` where they share one rate.
    pub of: String,
    /// The set pace; null: unlimited.
    pub calls_per_second: Option<f64>,
    /// The limit that it is a share of, and who says so; null where one rate was set.
    pub limit: Option<Limit>,
    /// Attempts over time.
    #[serde(flatten)]
    pub load: Load,
}

impl PaceUse {
    /// How the limits were used, the most used first.
    pub fn of(limiters: &Limiters) -> Vec<Self> {
        let used = limiters.used().into_iter().map(|used| Self {
            of: used
                .region
                .map_or_else(|| "all regions".to_owned(), |region| region.to_string()),
            calls_per_second: used.calls_per_second,
            limit: used.limit,
            load: used.load,
        });
        let attempts = |pace: &Self| pace.load.attempts.iter().sum::<u64>();
        let mut paces: Vec<Self> = used.filter(|pace| attempts(pace) > 0).collect();
        paces.sort_by_key(|pace| Reverse(attempts(pace)));
        paces.truncate(MOST_PACES);
        paces
    }
}

/// Where things are.
#[derive(Debug, Clone, Serialize)]
pub struct Paths {
    /// The archive.
    #[serde(serialize_with = "readable")]
    pub archive: PathBuf,
    /// This run's reports.
    #[serde(serialize_with = "readable")]
    pub reports: PathBuf,
}

/// One line for each difference: names of files can hold anything.
fn lines<S: Serializer>(differences: &Differences, serializer: S) -> Result<S::Ok, S::Error> {
    let lines = differences
        .shown()
        .iter()
        .map(|difference| clean(&difference.to_string()).into_owned());
    serializer.collect_seq(lines)
}

/// A name of any bytes, as it is shown: one that is no text must not keep a night from its reports.
fn readable<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        let (intake, fetch) = (&self.intake, &self.fetch);
        table.line(
            "run",
            &format!(
                "{} in {}, exit {}",
                self.run_id,
                seconds(self.seconds),
                self.exit_code.code()
            ),
        );
        table.line("time", &self.stages.to_string());
        table.line(
            "intake",
            &format!(
                "{} rows: {} new, {} completed, {} known, {} duplicates, {} rejected; {} taken with unreadable cells",
                intake.rows,
                intake.new,
                intake.completed,
                intake.known,
                intake.duplicates,
                intake.rejected,
                intake.incomplete
            ),
        );
        table.line(
            "fetch",
            &format!(
                "{} due: {} fetched, {} not completed yet, {} quarantined, {} lost, {} abandoned, {} left, {} of unknown verdict",
                self.due, fetch.fetched, fetch.postponed, fetch.quarantined, fetch.lost, fetch.abandoned, fetch.left, fetch.unknown
            ),
        );
        table.line(
            "attempts",
            &format!(
                "{} in {} {}, of which {} retries and {} throttled",
                fetch.attempts,
                fetch.passes,
                if fetch.passes == 1 { "pass" } else { "passes" },
                fetch.retries,
                fetch.throttled
            ),
        );
        for trouble in self.troubles.iter().take(TROUBLES_SHOWN) {
            let Trouble {
                code,
                attempts,
                product_code,
                region,
                ..
            } = trouble;
            table.line("", &format!("{code:<28} {attempts:>10}  {product_code} in {region}"));
        }
        let published = &self.published;
        table.line(
            "published",
            &format!(
                "{} verifications and {} face images in {} files, {} bytes",
                published.verifications, published.face_images, published.files, published.bytes
            ),
        );
        if let Some(backlog) = &self.backlog {
            backlog.lines(&mut table);
        }
        table.line("billing", &billing(&self.billing));
        for code in &self.billing.sub_codes {
            let name = format!("{} {}", code.product_code, code.sub_code);
            table.line(
                "",
                &format!("{name:<28} {:>10}  billed: {}", code.verifications, code.billed),
            );
        }
        for code in self.billing.unknown_sub_codes() {
            table.line("unknown", &unknown_sub_code(code));
        }
        table.line("archive", &self.paths.archive.display().to_string());
        table.line("reports", &self.paths.reports.display().to_string());
        for reason in &self.reasons {
            let name = if reason.exit_code == Exit::Done {
                "warning"
            } else {
                "look"
            };
            table.line(name, &reason.to_string());
        }
        f.write_str(&table.text)
    }
}

impl Backlog {
    fn lines(&self, table: &mut Table) {
        let states = State::ALL.map(|state| format!("{} {}", self.states.of(state), state.as_str()));
        table.line("ledger", &format!("{} ids: {}", self.states.total(), states.join(", ")));
        let bands = Band::ALL.map(|band| format!("{} {}", self.expiry.of(band), band.as_str()));
        table.line("expiry", &bands.join(", "));
        for (cause, total) in self.expiry.causes.iter().filter(|(_, total)| !total.is_none()) {
            let name = cause.as_str();
            table.line(
                "",
                &format!("{name:<28} {:>10}  lost, {} endangered", total.lost, total.endangered),
            );
        }
        table.line("loss", &loss(&self.expiry.loss));
        table.line("forecast", &forecast(&self.forecast));
    }
}

/// The loss rate in a line.
fn loss(loss: &Loss) -> String {
    format!(
        "{:.4} % of what expired from {} to {}: {} lost, {} archived",
        loss.rate * 100.0,
        loss.from,
        loss.to,
        loss.lost,
        loss.archived
    )
}

/// The forecast in a line.
pub fn forecast(forecast: &BacklogForecast) -> String {
    if forecast.due == 0 {
        return "nothing is due".to_owned();
    }
    format!(
        "{} due, done in {} at this pace; {} expire before they are reached, {} are past their expiry",
        forecast.due,
        seconds(forecast.seconds),
        forecast.expire_first,
        forecast.overdue
    )
}

fn billing(totals: &BillingTotals) -> String {
    let mut text = format!(
        "{} verifications this month and last: {} billed, {} unbilled, {} of unknown sub codes",
        totals.verifications, totals.billed, totals.unbilled, totals.unknown
    );
    for (currency, amount) in &totals.amounts {
        let _ = write!(text, "; {amount} {currency}");
    }
    if totals.deducted > 0 {
        let _ = write!(text, "; {} paid for by packages", totals.deducted);
    }
    if totals.corrections > 0 {
        let _ = write!(text, "; {} came after their month was closed", totals.corrections);
    }
    if totals.unpriced > 0 {
        let _ = write!(text, "; {} billed without a known price", totals.unpriced);
    }
    text
}

/// What settles a sub code that no table knows.
fn unknown_sub_code(code: &SubCodeTotal) -> String {
    let (product, sub_code) = (&code.product_code, &code.sub_code);
    format!(
        "whether {} verifications of {product} with the sub code {sub_code} are billed; a line under \
         [sub_codes.{product}.\"{sub_code}\"] in idvault.toml settles it",
        code.verifications
    )
}

/// A duration for people.
pub fn seconds(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a duration for people, saturating")]
    let whole = seconds.round() as i64;
    match whole {
        ..60 => format!("{seconds:.1} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// Names at the left, texts at the right.
#[derive(Default)]
struct Table {
    text: String,
}

impl Table {
    fn line(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.text, "{name:<10} {}", clean(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_sub_code_is_named_with_what_settles_it() {
        let code = SubCodeTotal {
            product_code: "eKYC".to_owned(),
            sub_code: "299".to_owned(),
            billed: "unknown",
            verifications: 7,
        };
        let said = unknown_sub_code(&code);
        assert!(
            said.starts_with("whether 7 verifications of eKYC with the sub code 299 are billed"),
            "{said}"
        );
        assert!(said.contains("[sub_codes.eKYC.\"299\"]"), "{said}");
    }

    #[test]
    fn durations_are_for_people() {
        let texts = [0.04, 59.2, 61.0, 3_661.0, 90_000.0].map(seconds);
        assert_eq!(texts, ["0.0 s", "59.2 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
