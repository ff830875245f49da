//! Pending rows into an empty ledger, the same rows again, and the first call of a run on that ledger.

use std::time::Duration;

use crate::Bench;
use crate::night::{BenchResult, NOW, Night, Place};
use crate::server::{Load, LoadServer};
use crate::source::Source;
use crate::table::{Goal, Row, count, float, median, mib, percent, rate, seconds};

/// Rows that come in.
pub(crate) fn rows(bench: &Bench) -> u64 {
    let size = bench.size(100_000, 1_000_000, 10_000_000);
    bench.args.most.unwrap_or(size)
}

/// What the rows meet, the goal in rows a second, and where the run's summary counts them.
const KINDS: [(&str, f64, &str); 2] = [
    ("empty ledger", 33_400.0, "/intake/new"),
    ("all known", 200_000.0, "/intake/known"),
];

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    let rows = rows(bench);
    let mut place = bench.place("intake")?;
    let mut turns = vec![taken_in(&place, rows)?];
    for _ in 1..bench.size(1, 3, 3) {
        drop(place);
        place = bench.place("intake")?;
        turns.push(taken_in(&place, rows)?);
    }
    let floor = bench.floors.filling(&bench.base, rows)?;
    let named = count(float(rows));
    for (kind, (ledger, goal, _)) in KINDS.iter().enumerate() {
        let nights: Vec<&Night> = turns.iter().map(|turn| &turn[kind]).collect();
        let stages: BenchResult<Vec<f64>> = nights.iter().map(|night| night.stage("intake")).collect();
        let figure = float(rows) / median(stages?);
        let last = nights.last().ok_or("no turn was taken")?;
        let row = Row::new(
            format!("intake of {named} CSV rows, {ledger}"),
            Goal::AtLeast(*goal),
            figure,
            rate,
        );
        bench.table.add(row.beside(format!(
            "{} of SQLite alone, which fills an empty ledger with {}; the last of {}: whole command {}, {}; seconds: {}",
            percent(figure / floor),
            rate(floor),
            nights.len(),
            seconds(last.ended.wall.as_secs_f64()),
            mib(last.ended.peak_mib()),
            last.stages()?
        )));
    }
    first_call(bench, &place, &named)
}

/// A run for each of [`KINDS`].
fn taken_in(place: &Place, rows: u64) -> BenchResult<Vec<Night>> {
    let source = Source {
        products: &[("FACE_LIVENESS", rows)],
        first: 0,
        days: 20,
        now: NOW.parse()?,
    };
    let source = place.source("pending.csv", &source)?;
    // Reads the rows, plans and reports; with --json the plan is not printed.
    let args = ["run", "--intake-only", "--json", "--quiet", "--pending", &source];
    let night = |(_, _, counted): &(&str, f64, &str)| {
        let night = Night::of(place.run(&args)?)?;
        if night.count(counted)? == rows {
            Ok(night)
        } else {
            Err(format!("{counted} is not {rows}: {}", night.summary["intake"]).into())
        }
    };
    KINDS.iter().map(night).collect()
}

fn first_call(bench: &mut Bench, place: &Place, rows: &str) -> BenchResult<()> {
    let server = LoadServer::start(Load::default())?;
    let night = place.night_until(&server, &["--qps", "unlimited"], || server.first_arrival().is_some())?;
    let first = server.first_arrival().ok_or("no call was made")?;
    let waited: Duration = first - night.ended.started;
    let what = format!("first call after start, ledger of {rows} rows");
    let row = Row::new(what, Goal::Below(1.0), waited.as_secs_f64(), seconds);
    let ledger = mib(float(place.ledger_bytes()) / 1_048_576.0);
    bench.table.add(row.beside(format!(
        "ledger of {ledger}; opening took {}",
        seconds(night.stage("open")?)
    )));
    Ok(())
}
