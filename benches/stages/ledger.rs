//! The ledger's part of a night: taking rows in, the plan, the journal, and what the reports ask.

use std::hint::black_box;
use std::io;

use criterion::{BatchSize, Criterion, Throughput};
use idvault::config::{ConfigFile, Overrides, Settings};
use idvault::ledger::{Cursor, Ledger, Phase};
use idvault::report::expiry;
use idvault::report::forecast::BacklogForecast;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::fixture::{self, product, verified_at};

/// Rows of the ledger.
const ROWS: usize = 20_000;

/// Rows of a page of the plan.
const PAGE_ROWS: usize = 2_048;

/// A data folder with pending rows, all of one day.
fn pending() -> TempDir {
    let data_dir = tempfile::tempdir().expect("a folder");
    let (mut ledger, _lock) = fixture::open(data_dir.path());
    fixture::admit(&mut ledger, &fixture::pending(ROWS));
    ledger.close().expect("a ledger");
    data_dir
}

pub(crate) fn ledger(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    let rows = fixture::pending(ROWS);
    group.bench_function("admit", |bench| {
        bench.iter_with_large_drop(|| {
            let data_dir = tempfile::tempdir().expect("a folder");
            let (mut ledger, _lock) = fixture::open(data_dir.path());
            fixture::admit(&mut ledger, &rows);
            data_dir
        });
    });
    let pending = pending();
    let (mut ledger, _lock) = fixture::open(pending.path());
    group.bench_function("admit, all known", |bench| {
        bench.iter(|| fixture::admit(&mut ledger, &rows));
    });
    let now = verified_at(0, ROWS) + SignedDuration::from_hours(24 * 29);
    group.bench_function("plan", |bench| bench.iter(|| plan(&ledger, now)));
    // All of them are near their expiry, and so a line each.
    let settings = Settings::new(ConfigFile::default(), Overrides::default()).expect("the defaults");
    group.bench_function("report", |bench| bench.iter(|| report(&ledger, &settings, now)));
    group.bench_function("journal", |bench| {
        let setup = || {
            let data_dir = fixture::copy(pending.path());
            let (mut ledger, lock) = fixture::open(data_dir.path());
            let run = ledger.begin_run(Timestamp::UNIX_EPOCH, None).expect("a run");
            let replies: Vec<_> = fixture::settlements(&ledger, ROWS, false).collect();
            ((data_dir, lock), ledger, run, replies)
        };
        bench.iter_batched(
            setup,
            |(held, ledger, run, replies)| (fixture::settle(ledger, &run, replies.into_iter()), held),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Walks all that is due, page by page.
fn plan(ledger: &Ledger, now: Timestamp) {
    let (product, mut cursor, mut rows) = (product(), Cursor::start(), 0);
    loop {
        let page = ledger
            .due_page(&product, Phase::Live, &cursor, now, PAGE_ROWS)
            .expect("a page");
        rows += page.rows.len();
        if page.rows.len() < PAGE_ROWS {
            break;
        }
        cursor = page.next;
    }
    assert_eq!(rows, ROWS);
}

/// What `status` and `expiry.csv` say.
fn report(ledger: &Ledger, settings: &Settings, now: Timestamp) {
    black_box(ledger.state_counts().expect("the states"));
    black_box(BacklogForecast::read(ledger, now, &settings.pace, true).expect("a forecast"));
    let totals = expiry::write(ledger, &settings.outlook(now), io::sink()).expect("a report");
    black_box(totals);
}
