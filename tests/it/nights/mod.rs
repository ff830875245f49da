//! Whole nights: the real binary, a sandbox over HTTP on loopback, a real SQLite ledger and real Parquet files.
//!
//! - [`Place`]: a temporary folder with sources, configuration and data
//! - [`Archived`]: a row of the archive, read by Parquet's own row reader and by nothing of idvault's
//! - [`Running`]: the program at work; [`Ended`]: how it ended
//! - [`Vendor`]: a sandbox in this process, whose counters can be read

mod bill_files;
mod bill_forms;
mod billing;
mod checker;
mod closing;
mod commands;
mod compact;
mod config;
mod connections;
mod crash;
mod demo;
mod dictionary;
#[cfg(target_os = "linux")]
mod disk;
mod dry_run;
mod environment;
mod history;
mod hostile;
mod huge;
mod ids;
mod intake;
mod inventory;
mod links;
mod machine;
mod memory;
mod migration;
mod mixed;
mod mutants;
mod nightly;
mod order;
mod outage;
mod overcharge;
mod overlap;
mod passes;
mod permissions;
mod place;
mod poisoned;
mod process;
mod quotas;
mod readers;
mod rebuild;
mod reconcile;
mod records;
mod sandbox;
mod silent;
#[cfg(target_os = "linux")]
mod stop;
mod tallies;
mod throttled;
#[cfg(target_os = "linux")]
mod upgrade;
mod users;
mod vendor;
mod verify;

use std::fmt::Write as _;
use std::time::Duration;

use place::{Archived, Place, files_below, lines};
use process::{Ended, Running};
use vendor::{Vendor, WallClock};

/// The README's night, and the one after it.
const NOW: &str = "2026-11-22T02:00:00Z";
const NEXT_NIGHT: &str = "2026-11-23T02:00:00Z";

/// The folder of the crate's samples.
fn samples(name: &str) -> String {
    format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "only how long a test takes, never what it holds"
)]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Looks again until it is so; fails the test where it never is.
#[track_caller]
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited 30 s in vain until {what}");
}

/// A pending source of `count` made-up ids, spread over `days` days before [`NOW`].
fn made_up(count: usize, days: usize, product: &str) -> String {
    let mut text = "transaction_id,product_code,region,verified_at\n".to_owned();
    for number in 0..count {
        let (day, second) = (1 + number % days, number % 60);
        let verified_at = format!("2026-11-{day:02}T03:04:{second:02}Z");
        writeln!(text, "made{number:05},{product},ap-southeast-1,{verified_at}").unwrap();
    }
    text
}

/// The ids of a pending source.
fn ids_of(source: &str) -> Vec<String> {
    lines(source)
        .into_iter()
        .map(|line| line["transaction_id"].clone())
        .collect()
}
