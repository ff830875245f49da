//! The page of a run.

use rust_decimal::Decimal;

use super::chart::{Chart, Series, Value};
use super::text::{clean, counted, exact, grouped, percent, rate, since_start};
use super::{MOST_NAMED, Page, Section, Table, Tile, Verdict, billing, expiry};
use crate::difference::Differences;
use crate::exit::Exit;
use crate::ledger::QuarantineLine;
use crate::plain::shortened;
use crate::plan::Band;
use crate::pricing::BillingRow;
use crate::record::State;
use crate::report::forecast::BacklogForecast;
use crate::report::summary::{Backlog, PaceUse, Summary, seconds};

/// Characters of a reason: it names several errors with what they said.
const REASON_CHARACTERS: usize = 2_000;
/// Quarantined records that are named.
pub const QUARANTINED_NAMED: usize = 20;
/// Products whose pace is drawn.
const MOST_PACES: usize = 3;
/// Rows of the table beside a line over time.
const PACE_ROWS: usize = 30;

/// Amounts of other currencies that are named below the first.
const MORE_AMOUNTS: usize = 2;

/// What the page needs beside the run's summary.
#[derive(Debug)]
pub struct Details {
    /// The rows of `billing.csv`.
    pub billing: Vec<BillingRow>,
    /// The first lines of `quarantine.csv`.
    pub quarantined: Vec<QuarantineLine>,
}

impl Page {
    /// The page of a run.
    pub fn night(summary: &Summary, backlog: &Backlog, details: &Details) -> Self {
        let mut reasons: Vec<String> = summary
            .reasons
            .iter()
            .map(|reason| shortened(&reason.to_string(), REASON_CHARACTERS))
            .collect();
        if reasons.len() > MOST_NAMED {
            let more = reasons.len() - MOST_NAMED;
            reasons.truncate(MOST_NAMED);
            reasons.push(format!("{} more reasons are in summary.json.", grouped(more)));
        }
        let (mood, words) = mood(summary.exit_code);
        Self {
            title: format!("Run of {}", summary.started_at.strftime("%-d %B %Y, %H:%M UTC")),
            about: format!("{}, took {}", clean(&summary.run_id), seconds(summary.seconds)),
            verdict: Verdict {
                mood,
                title: format!("{words} (exit {})", summary.exit_code.code()),
                reasons,
            },
            tiles: tiles(summary, backlog),
            sections: archive(&summary.archive_differs).into_iter().chain([
                calls(summary),
                pace(&summary.pace),
                billing::section(summary, details),
                expiry::section(&backlog.expiry),
                forecast(&backlog.forecast),
                quarantine(backlog, details),
                ledger(backlog),
            ])
            .collect(),
            footer: vec![
                "The figures are those of summary.json, billing.csv, expiry.csv, quarantine.csv and rejected.csv beside this \
                 page; the CSV files have every line."
                    .to_owned(),
                format!(
                    "Archive: {}. Written by idvault {}.",
                    clean(&summary.paths.archive.to_string_lossy()),
                    summary.idvault
                ),
            ],
        }
    }
}

const fn mood(exit: Exit) -> (&'static str, &'static str) {
    match exit {
        Exit::Done => ("good", "Every due record is archived"),
        Exit::NeedsALook | Exit::Configuration => ("look", "Something needs a look"),
        _ => ("bad", "A person is needed soon"),
    }
}

fn tiles(summary: &Summary, backlog: &Backlog) -> Vec<Tile> {
    let (fetch, expiry) = (&summary.fetch, &backlog.expiry);
    let tile = |name, figure: String, detail: String| Tile { name, figure, detail };
    let amounts = summary.billing.amounts.iter();
    let mut amounts: Vec<String> = amounts
        .map(|(currency, amount)| format!("{} {}", grouped(amount), clean(currency)))
        .collect();
    let amount = if amounts.is_empty() {
        "0".to_owned()
    } else {
        amounts.remove(0)
    };
    amounts.truncate(MORE_AMOUNTS);
    amounts.insert(0, "this month and last".to_owned());
    vec![
        tile(
            "Fetched",
            grouped(fetch.fetched),
            format!("of {} due", grouped(summary.due)),
        ),
        tile(
            "Published",
            grouped(summary.published.verifications),
            format!("in {} files", grouped(summary.published.files)),
        ),
        tile(
            "Left for the next run",
            grouped(backlog.forecast.due),
            "due now".to_owned(),
        ),
        tile(
            "Near deletion",
            grouped(expiry.of(Band::Day) + expiry.of(Band::ThreeDays)),
            "unfetched, within 3 days".to_owned(),
        ),
        tile(
            "Lost",
            grouped(expiry.loss.lost),
            format!("{} of the last 30 nights", percent(expiry.loss.rate)),
        ),
        tile(
            "Quarantined",
            grouped(backlog.states.of(State::Quarantined)),
            "need a person".to_owned(),
        ),
        tile(
            "Rejected rows",
            grouped(summary.intake.rejected),
            "of the pending sources".to_owned(),
        ),
        tile("Amount", amount, amounts.join("; ")),
    ]
}

/// The files that are not as the manifest says; `None` where all are.
fn archive(differ: &Differences) -> Option<Section> {
    if differ.total() == 0 {
        return None;
    }
    let mut table = Table::new("Files that are not as the manifest says", ["kind", "what"]);
    for difference in differ.shown().iter().take(MOST_NAMED) {
        table.row([difference.kind(), &difference.to_string()]);
        table.mark(true);
    }
    Some(Section {
        id: "archive",
        title: "Archive",
        texts: vec![format!(
            "{} differences in names or sizes. Run `idvault verify`, which also reads the files.",
            grouped(differ.total())
        )],
        tables: vec![table.cut(MOST_NAMED, differ.total(), "summary.json")],
        ..Section::default()
    })
}

fn calls(summary: &Summary) -> Section {
    let fetch = &summary.fetch;
    let outcomes = [
        ("fetched", fetch.fetched),
        ("not completed yet", fetch.postponed),
        ("quarantined", fetch.quarantined),
        ("lost", fetch.lost),
        ("abandoned", fetch.abandoned),
        ("left", fetch.left),
        ("unknown verdict", fetch.unknown),
    ];
    let mut table = Table::new("Records by outcome", ["outcome", "#records"]).folded();
    for (name, number) in outcomes {
        table.row([name, &grouped(number)]);
    }
    let series = Series {
        name: "records".to_owned(),
        values: outcomes.iter().map(|(_, number)| counted(*number)).collect(),
    };
    let names = outcomes.map(|(name, _)| name.to_owned());
    let intake = &summary.intake;
    let texts = vec![
        format!(
            "Pending sources: {} rows, of which {} new, {} completed, {} known, {} duplicates and {} rejected.",
            grouped(intake.rows),
            grouped(intake.new),
            grouped(intake.completed),
            grouped(intake.known),
            grouped(intake.duplicates),
            grouped(intake.rejected)
        ),
        format!(
            "{} attempts, of which {} were retries and {} were throttled.",
            grouped(fetch.attempts),
            grouped(fetch.retries),
            grouped(fetch.throttled)
        ),
    ];
    Section {
        id: "calls",
        title: "Calls and outcomes",
        texts,
        charts: vec![Chart::bars("chart-calls", "Records by outcome", &names, &series)],
        tables: vec![table],
    }
}

fn pace(paces: &[PaceUse]) -> Section {
    let mut section = Section {
        id: "pace",
        title: "Quota use",
        ..Section::default()
    };
    let columns = ["region", "#set pace, 1/s", "#busiest second", "#attempts", "#throttled"];
    let mut table = Table::new("Pace", columns);
    for used in paces {
        let load = &used.load;
        table.row([
            used.of.clone(),
            used.calls_per_second.map_or_else(|| "unlimited".to_owned(), rate),
            grouped(load.busiest_second),
            grouped(load.attempts.iter().sum::<u64>()),
            grouped(load.throttled.iter().sum::<u64>()),
        ]);
    }
    if paces.is_empty() {
        section.texts.push("No call was made.".to_owned());
        return section;
    }
    section
        .tables
        .push(table.cut(MOST_NAMED, paces.len() as u64, "summary.json"));
    for (number, used) in paces.iter().take(MOST_PACES).enumerate() {
        section.charts.push(pace_chart(number, used));
        section.tables.push(pace_table(used));
    }
    section
}

fn pace_chart(number: usize, used: &PaceUse) -> Chart {
    let load = &used.load;
    let names = (0_u64..).take(load.attempts.len());
    let names: Vec<String> = names.map(|point| since_start(point * load.seconds_per_point)).collect();
    let series = |name: &str, counts: &[u64]| Series {
        name: name.to_owned(),
        values: counts
            .iter()
            .map(|count| exact(Decimal::from(*count) / Decimal::from(load.seconds_per_point)))
            .collect(),
    };
    let mut lines = vec![series("attempts", &load.attempts)];
    if load.throttled.iter().any(|count| *count > 0) {
        lines.push(series("throttled", &load.throttled));
    }
    let limit = used.calls_per_second.map(|set| Value {
        length: set,
        text: format!("set pace {}/s", rate(set)),
    });
    Chart::lines(
        &format!("chart-pace-{number}"),
        &format!("{}: calls a second, by time since the start", used.of),
        &names,
        &lines,
        limit.as_ref(),
    )
}

/// The figures of the line, several points a row where there are many.
fn pace_table(used: &PaceUse) -> Table {
    let load = &used.load;
    let points = load.attempts.len().div_ceil(PACE_ROWS).max(1);
    let seconds = load.seconds_per_point * points as u64;
    let caption = format!("{}: attempts in each {seconds} s", used.of);
    let mut table = Table::new(&caption, ["from", "#attempts", "#throttled"]).folded();
    let rows = load.attempts.chunks(points).zip(load.throttled.chunks(points));
    for (start, (attempts, throttled)) in (0_u64..).zip(rows) {
        table.row([
            since_start(start * seconds),
            grouped(attempts.iter().sum::<u64>()),
            grouped(throttled.iter().sum::<u64>()),
        ]);
    }
    table
}

fn forecast(forecast: &BacklogForecast) -> Section {
    let columns = [
        "region",
        "product",
        "#due",
        "#past expiry",
        "#expire first",
        "#time needed",
    ];
    let mut table = Table::new("What is due now, at the set pace", columns);
    let queues = || {
        let regions = forecast.regions.iter();
        regions.flat_map(|(region, products)| products.iter().map(move |(product, due)| (region, product, due)))
    };
    for (region, product_code, due) in queues().take(MOST_NAMED) {
        table.row([
            region.clone(),
            product_code.clone(),
            grouped(due.due),
            grouped(due.overdue),
            grouped(due.expire_first),
            seconds(due.seconds),
        ]);
    }
    let texts = vec![crate::report::summary::forecast(forecast)];
    let tables = match queues().count() {
        0 => Vec::new(),
        count => vec![table.cut(MOST_NAMED, count as u64, "summary.json")],
    };
    Section {
        id: "forecast",
        title: "Forecast",
        texts,
        tables,
        ..Section::default()
    }
}

fn quarantine(backlog: &Backlog, details: &Details) -> Section {
    let records = backlog.states.of(State::Quarantined);
    let columns = [
        "transaction",
        "product",
        "region",
        "expires",
        "last call code",
        "reason",
    ];
    let mut table = Table::new("Records that need a person", columns);
    for line in details.quarantined.iter().take(QUARANTINED_NAMED) {
        let expires_at = line.verified_at.map(crate::record::expires_at);
        table.row([
            line.transaction_id.to_string(),
            line.product_code.clone(),
            line.region.clone(),
            expires_at.map_or_else(|| "unknown".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M").to_string()),
            line.last_call_code.clone().unwrap_or_default(),
            line.last_message.clone().unwrap_or_default(),
        ]);
    }
    let mut section = Section {
        id: "quarantine",
        title: "Quarantine",
        ..Section::default()
    };
    if records == 0 {
        section.texts.push("No record is in quarantine.".to_owned());
    } else {
        section
            .tables
            .push(table.cut(QUARANTINED_NAMED, records, "quarantine.csv"));
    }
    section
}

fn ledger(backlog: &Backlog) -> Section {
    let mut table = Table::new("Every id that ever came in", ["state", "#ids"]);
    for state in State::ALL {
        table.row([state.as_str(), &grouped(backlog.states.of(state))]);
    }
    table.row(["in all", &grouped(backlog.states.total())]);
    Section {
        id: "ledger",
        title: "Ledger",
        tables: vec![table],
        ..Section::default()
    }
}
