//! The night, measured from outside: the real program against a load server on loopback, every figure beside its goal and
//! beside something that ran next to it.
//!
//! `cargo bench --bench nightly` measures everything (10 to 15 minutes), `-- --quick` a little of it, `-- --full` also 10^7
//! ids, the long quota runs and a large year; `-- whole quota` only these topics. docs/internals/benchmarks.md says what the figures mean. It reads
//! `/proc`, so it needs Linux.
//!
//! - [`Topic`]: what can be measured, a module each
//! - [`Bench`]: what the topics share

mod archive;
mod check;
mod curve;
mod floors;
mod images;
mod intake;
mod night;
mod pace;
mod peers;
mod process;
mod replies;
mod server;
mod source;
mod table;
mod whole;
mod year;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use mimalloc::MiMalloc;

use crate::night::{BenchResult, Place};
use crate::table::Table;

// The program's own: what runs beside it is measured with the same.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "nightly", about = "Measures idvault's nights end to end")]
struct Args {
    /// What to measure [default: everything]
    topics: Vec<Topic>,
    /// Small sizes: to see that it works, and roughly how fast
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Also 10^7 ids, 20,000 calls under a quota and 365 nights of 100,000 ids: three hours, and 20 GB of disk
    #[arg(long)]
    full: bool,
    /// Of the year: nights
    #[arg(long)]
    nights: Option<u64>,
    /// Of the year: ids a night
    #[arg(long)]
    ids: Option<u64>,
    /// The largest number of ids of intake and curve
    #[arg(long)]
    most: Option<u64>,
    /// Measure this build of idvault [default: the one that was built with the bench]
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_idvault"))]
    program: PathBuf,
    /// The Python of the scripts that idvault is held against
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// The Node of the script that idvault is held against
    #[arg(long, value_name = "PATH", default_value = "node")]
    node: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the load generator of that kind against this URL, for so many calls
    #[arg(long, hide = true, num_args = 3, value_names = ["KIND", "URL", "CALLS"])]
    generate: Option<Vec<String>>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Topic {
    /// The server's ceiling, reqwest, SQLite, SHA-256 and the disk, each alone
    Floors,
    /// A run without a quota, from the CSV file to the reports
    Whole,
    /// The same by scripts, where aiohttp and undici are to be had
    Peers,
    /// The use of a quota of 50 a second
    Quota,
    /// Half of the quota gone without notice
    LowerQuota,
    /// Other traffic of the account beside the run
    OtherTraffic,
    /// Three products with quotas of their own
    Products,
    /// Three regions with quotas of their own, each of which two products share
    Regions,
    /// Pending rows into the ledger, twice, and the first call on a large ledger
    Intake,
    /// From 10^3 to 10^6 ids; then publication, reports and verify over the largest
    Curve,
    /// Runs with face images
    Images,
    /// Night after night on one ledger
    Year,
}

/// What the topics share.
struct Bench {
    args: Args,
    /// Where the runs' folders are made.
    base: PathBuf,
    table: Table,
    floors: floors::Floors,
}

impl Bench {
    /// A folder for runs of the program that is measured.
    fn place(&self, name: &str) -> BenchResult<Place> {
        Place::new(&self.base, name, &self.args.program)
    }

    /// A size by how much was asked for.
    fn size<T>(&self, quick: T, usual: T, full: T) -> T {
        match (self.args.quick, self.args.full) {
            (true, _) => quick,
            (_, true) => full,
            _ => usual,
        }
    }

    fn measure(&mut self, topic: Topic) -> BenchResult<()> {
        match topic {
            Topic::Floors => floors::measure(self),
            Topic::Whole => whole::measure(self),
            Topic::Peers => peers::measure(self),
            Topic::Quota => pace::quota(self),
            Topic::LowerQuota => pace::lower_quota(self),
            Topic::OtherTraffic => pace::other_traffic(self),
            Topic::Products => pace::products(self),
            Topic::Regions => pace::regions(self),
            Topic::Intake => intake::measure(self),
            Topic::Curve => curve::measure(self),
            Topic::Images => images::measure(self),
            Topic::Year => year::measure(self),
        }
    }
}

fn main() -> ExitCode {
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("nightly: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing failed; a goal that is not met is no failure.
fn start() -> BenchResult<bool> {
    let args = Args::parse();
    if let Some(generate) = &args.generate {
        floors::generate(generate)?;
        return Ok(true);
    }
    // In the build's folder, not in the temporary one, which is memory on some machines.
    let base = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let topics = match args.topics[..] {
        [] => Topic::value_variants().to_vec(),
        _ => args.topics.clone(),
    };
    machine();
    check::check()?;
    let mut bench = Bench {
        args,
        base: base.path().to_owned(),
        table: Table::default(),
        floors: floors::Floors::default(),
    };
    for topic in topics {
        println!("\n== {topic:?}");
        // The rows that are there must not be lost with it.
        match catch_unwind(AssertUnwindSafe(|| bench.measure(topic))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => bench.table.fail(format!("{topic:?}: {error}")),
            Err(_) => bench.table.fail(format!("{topic:?} panicked")),
        }
    }
    Ok(bench.table.print())
}

/// What it ran on.
fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory, load) = (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/loadavg"));
    let line = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or_else(String::new, |line| line.trim_start_matches([' ', '\t', ':']).to_owned())
    };
    println!(
        "idvault {}, {cores} cores ({}), {} of memory, load at the start {}",
        env!("CARGO_PKG_VERSION"),
        line(&cpu, "model name"),
        line(&memory, "MemTotal"),
        load.split(' ').next().unwrap_or_default()
    );
}
