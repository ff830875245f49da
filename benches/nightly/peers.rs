//! The same by scripts on well-known libraries, where they are to be had.
//!
//! - [`measure`]: a whole night with aiohttp, and with undici
//! - [`rewritten`]: an archive's rows by pyarrow's writer

use std::path::Path;
use std::process::Command;

use crate::floors::Generated;
use crate::night::{BenchResult, NOW, Place};
use crate::process::measure as run;
use crate::server::{Load, LoadServer};
use crate::source::Source;
use crate::table::{Goal, Row, count, float, median, micros, per_second, rate};
use crate::whole::{cpu_us, night_of};
use crate::{Args, Bench};

/// How much faster than the fastest peer a whole run is to be.
const TIMES: f64 = 3.0;

/// A script on a library.
struct Peer {
    library: &'static str,
    /// What runs it, and the option that names another one.
    interpreter: fn(&Args) -> &Path,
    option: &'static str,
    /// Fails where the library is not there.
    finds_library: [&'static str; 2],
    /// In the sources.
    script: &'static str,
}

const AIOHTTP: Peer = Peer {
    library: "aiohttp",
    interpreter: |args| &args.python,
    option: "--python",
    finds_library: ["-c", "import aiohttp"],
    script: concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/with_aiohttp.py"),
};

const UNDICI: Peer = Peer {
    library: "undici",
    interpreter: |args| &args.node,
    option: "--node, NODE_PATH",
    finds_library: ["-e", "require('undici')"],
    script: concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/with_undici.js"),
};

const PYARROW: Peer = Peer {
    library: "pyarrow",
    interpreter: |args| &args.python,
    option: "--python",
    finds_library: ["-c", "import pyarrow"],
    script: concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/with_pyarrow.py"),
};

impl Peer {
    /// The script, not started yet; `None`, which it says, where its library is missing.
    fn command(&self, args: &Args) -> Option<Command> {
        let interpreter = (self.interpreter)(args);
        let found = Command::new(interpreter).args(self.finds_library).output();
        if found.is_ok_and(|found| found.status.success()) {
            let mut command = Command::new(interpreter);
            command.arg(self.script);
            return Some(command);
        }
        println!(
            "left out: {} has no {} (set another with {})",
            interpreter.display(),
            self.library,
            self.option
        );
        None
    }
}

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    [AIOHTTP, UNDICI].iter().try_for_each(|peer| against(bench, peer))
}

/// A whole run of idvault against the script's, in turns.
fn against(bench: &mut Bench, peer: &Peer) -> BenchResult<()> {
    let ids = bench.size(10_000, 50_000, 50_000);
    let server = LoadServer::start(Load::default())?;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for turn in 0..bench.size(1, 3, 5) {
        let Some(command) = peer.command(&bench.args) else {
            return Ok(());
        };
        let place = bench.place(&format!("{}{turn}", peer.library))?;
        theirs.push(night_by(command, &place, &server, ids)?);
        let place = bench.place(&format!("ours{turn}"))?;
        let night = night_of(&place, &server, ids, 2)?;
        ours.push(Generated {
            rate: per_second(ids, night.ended.wall),
            cpu_us: cpu_us(&night, ids),
        });
    }
    let of = |runs: &[Generated], figure: fn(&Generated) -> f64| median(runs.iter().map(figure).collect());
    let (their_rate, our_rate) = (of(&theirs, |run| run.rate), of(&ours, |run| run.rate));
    let what = format!(
        "whole run, {} ids, against a script with {}",
        count(float(ids)),
        peer.library
    );
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

/// The script's night: the same source, and every id in its results.
fn night_by(mut script: Command, place: &Place, server: &LoadServer, ids: u64) -> BenchResult<Generated> {
    let source = Source {
        products: &[("FACE_LIVENESS", ids)],
        first: 0,
        days: 2,
        now: NOW.parse()?,
    };
    let pending = place.source("pending.csv", &source)?;
    let results = place.path("results.jsonl");
    let ended = run(script.args([&server.url, &pending]).arg(&results))?;
    let lines = std::fs::read_to_string(&results).map_or(0, |text| text.lines().count());
    if ended.code != Some(0) || lines as u64 != ids {
        return Err(format!("the script brought {lines} of {ids}: {}", ended.stderr).into());
    }
    Ok(Generated {
        rate: per_second(ids, ended.wall),
        cpu_us: ended.cpu.as_secs_f64() * 1e6 / float(ids),
    })
}

/// What pyarrow's writer did.
pub(crate) struct Rewritten {
    /// Rows a second.
    pub(crate) rate: f64,
    pub(crate) bytes: f64,
}

/// Has pyarrow write the rows of `place`'s archive once more; `None` where Python doesn't have it.
pub(crate) fn rewritten(bench: &Bench, place: &Place) -> BenchResult<Option<Rewritten>> {
    let Some(mut command) = PYARROW.command(&bench.args) else {
        return Ok(None);
    };
    let archive = place.path("idvault-data/archive/verifications");
    let ended = run(command.args([&archive, &place.path("rewritten.parquet")]))?;
    let printed: Vec<f64> = ended
        .stdout
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    let [rows, spent, _cpu, bytes] = printed[..] else {
        return Err(format!("pyarrow failed: {}", ended.stderr).into());
    };
    Ok(Some(Rewritten {
        rate: rows / spent,
        bytes,
    }))
}
