//! Pending rows into an empty ledger, the same rows again, and the first call of a run on that ledger.

use std::time::Duration;

use crate::Bench;
use crate::night::{BenchResult, NOW, Place};
use crate::server::{Load, LoadServer};
use crate::source::Source;
use crate::table::{Goal, Row, count, float, mib, percent, rate, seconds};

/// Rows that come in.
pub(crate) fn rows(bench: &Bench) -> u64 {
    let size = bench.size(100_000, 1_000_000, 10_000_000);
    bench.args.most.unwrap_or(size)
}

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    let rows = rows(bench);
    let place = bench.place("intake")?;
    let source = Source {
        products: &[("FACE_LIVENESS", rows)],
        first: 0,
        days: 20,
        now: NOW.parse()?,
    };
    let source = place.source("pending.csv", &source)?;
    let floor = bench.floors.filling(&bench.base, rows)?;
    let named = count(float(rows));
    for (what, goal, expected) in [
        (
            format!("intake of {named} CSV rows, empty ledger"),
            400_000.0,
            "/intake/new",
        ),
        (
            format!("intake of {named} CSV rows, all known"),
            800_000.0,
            "/intake/known",
        ),
    ] {
        // Reads the rows, plans and reports; with --json the plan is not printed.
        let args = ["run", "--dry-run", "--json", "--quiet", "--pending", &source];
        let night = crate::night::Night::of(place.run(&args)?)?;
        if night.count(expected)? != rows {
            return Err(format!("{expected} is not {rows}: {}", night.summary["intake"]).into());
        }
        let figure = float(rows) / night.stage("intake")?;
        bench
            .table
            .add(Row::new(what, Goal::AtLeast(goal), figure, rate).beside(format!(
                "{} of SQLite alone, which fills an empty ledger with {}; whole command {}, {}; seconds: {}",
                percent(figure / floor),
                rate(floor),
                seconds(night.ended.wall.as_secs_f64()),
                mib(night.ended.peak_mib()),
                night.stages()?
            )));
    }
    first_call(bench, &place, &named)
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
