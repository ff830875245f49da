//! The same by scripts on well-known libraries, where Python has them.
//!
//! - [`measure`]: a whole night with aiohttp
//! - [`rewritten`]: an archive's rows by pyarrow's writer

use std::process::Command;

use crate::Bench;
use crate::floors::Generated;
use crate::night::{BenchResult, NOW, Place};
use crate::process::measure as run;
use crate::server::{Load, LoadServer};
use crate::source::Source;
use crate::table::{Goal, Row, count, float, median, micros, per_second, rate};
use crate::whole::{cpu_us, night_of};

/// The scripts, in the sources.
const WITH_AIOHTTP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/with_aiohttp.py");
const WITH_PYARROW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/with_pyarrow.py");

/// How much faster than the fastest peer a whole run is to be.
const TIMES: f64 = 3.0;

/// Whether Python has that library; says so where not.
fn has(bench: &Bench, library: &str) -> bool {
    let python = &bench.args.python;
    let found = Command::new(python).args(["-c", &format!("import {library}")]).output();
    let has = found.is_ok_and(|found| found.status.success());
    if !has {
        println!(
            "left out: {} has no {library} (--python names another one)",
            python.display()
        );
    }
    has
}

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    if !has(bench, "aiohttp") {
        return Ok(());
    }
    let ids = bench.size(10_000, 50_000, 50_000);
    let server = LoadServer::start(Load::default())?;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for turn in 0..bench.size(1, 3, 5) {
        theirs.push(script(bench, &server, ids, turn)?);
        let place = bench.place(&format!("ours{turn}"))?;
        let night = night_of(&place, &server, ids, 2)?;
        ours.push(Generated {
            rate: per_second(ids, night.ended.wall),
            cpu_us: cpu_us(&night, ids),
        });
    }
    let of = |runs: &[Generated], figure: fn(&Generated) -> f64| median(runs.iter().map(figure).collect());
    let (their_rate, our_rate) = (of(&theirs, |run| run.rate), of(&ours, |run| run.rate));
    let what = format!("whole run, {} ids, against a script with aiohttp", count(float(ids)));
    let times = |ratio: f64| format!("{ratio:.1} times");
    bench.table.add(
        Row::new(what, Goal::AtLeast(TIMES), our_rate / their_rate, times).beside(format!(
            "{} against {}; CPU {} against {} a record",
            rate(our_rate),
            rate(their_rate),
            micros(of(&ours, |run| run.cpu_us)),
            micros(of(&theirs, |run| run.cpu_us)),
        )),
    );
    Ok(())
}

fn script(bench: &Bench, server: &LoadServer, ids: u64, turn: u32) -> BenchResult<Generated> {
    let place = bench.place(&format!("theirs{turn}"))?;
    let source = Source {
        products: &[("FACE_LIVENESS", ids)],
        first: 0,
        days: 2,
        now: NOW.parse()?,
    };
    let pending = place.source("pending.csv", &source)?;
    let results = place.path("results.jsonl");
    let mut command = Command::new(&bench.args.python);
    command.args([WITH_AIOHTTP, &server.url, &pending]).arg(&results);
    let ended = run(&mut command)?;
    let lines = std::fs::read_to_string(&results).map_or(0, |text| text.lines().count());
    if ended.code != Some(0) || lines as u64 != ids {
        return Err(format!("the script brought {lines} of {ids}: {}", ended.stderr).into());
    }
    Ok(Generated {
        rate: per_second(ids, ended.wall),
        cpu_us: ended.cpu.as_secs_f64() * 1e6 / float(ids),
    })
}

/// The archive of `place` written once more by pyarrow: how many of its rows a second, and the bytes they come to.
pub(crate) fn rewritten(bench: &mut Bench, place: &Place) -> BenchResult<()> {
    if !has(bench, "pyarrow") {
        return Ok(());
    }
    let archive = place.path("idvault-data/archive/verifications");
    let mut command = Command::new(&bench.args.python);
    command
        .arg(WITH_PYARROW)
        .args([&archive, &place.path("rewritten.parquet")]);
    let ended = run(&mut command)?;
    let printed: Vec<f64> = ended
        .stdout
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    let [rows, spent, written] = printed[..] else {
        return Err(format!("pyarrow failed: {}", ended.stderr).into());
    };
    let (_, bytes) = place.archive();
    let row = Row::new(
        "the same rows by pyarrow's writer, from memory",
        Goal::None,
        rows / spent,
        rate,
    );
    bench.table.add(row);
    let what = "bytes of the archive against pyarrow's";
    let row = Row::new(what, Goal::Below(1.0), float(bytes) / written, |ratio| {
        format!("{ratio:.2} times")
    });
    bench
        .table
        .add(row.beside(format!("{} against {}", count(float(bytes)), count(written))));
    Ok(())
}
