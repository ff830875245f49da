//! What a record costs, as far as it does not depend on the machine: allocations and commits. Alone in its process, as all
//! allocations of it are counted.

use std::alloc::System;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use clap::Parser as _;
use futures::future::join_all;
use idvault::cli::Cli;
use idvault::clock::Clock;
use idvault::command::{Context, execute};
use idvault::config::ConfigFile;
use idvault::exit::Exit;
use idvault::files;
use idvault::host::Host;
use idvault::intake::{IntakeSettings, Item, Reading, Source};
use idvault::ledger::{Cursor, Defaults, Ledger, Lock, Phase, Settled, Settlement, Writer};
use idvault::record::{Pending, ProductCode, Region, TransactionId};
use idvault::sandbox::{SANDBOX_ACCESS_KEY_ID, SANDBOX_ACCESS_KEY_SECRET};
use idvault::worker::Isolation;
use jiff::Timestamp;
use rusqlite::Connection;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region as Counted, StatsAlloc};
use tokio::task::unconstrained;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: &str = "2026-11-22T02:00:00Z";

/// Allocations that a record may cost, from its line of CSV to its row in Parquet, but for those of SQLite and zstd: measured
/// 86, and a third on top for other versions of the libraries.
const ALLOCATIONS: usize = 114;

/// Held by the test that runs: the allocations of another one would count.
static ALONE: Mutex<()> = Mutex::new(());

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the sandbox compares signatures with its own clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The sandbox in a process of its own: its allocations are none of ours. What it says must find an open pipe.
struct Sandbox {
    process: Child,
    _said: BufReader<ChildStdout>,
}

impl Sandbox {
    /// Gives its URL, too.
    fn start() -> (Self, String) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_idvault"))
            .args(["sandbox", "--listen", "127.0.0.1:0", "--all-final", "--quiet"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        let url = said.split_whitespace().find_map(|word| word.strip_suffix(';')).unwrap();
        (Self { process, _said: out }, url.to_owned())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Allocations of a night over so many ids, in a folder of its own.
fn allocations(url: &str, ids: usize) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "transaction_id,product_code,region,verified_at\n".to_owned();
    for number in 0..ids {
        let (minute, second) = (number / 60 % 60, number % 60);
        writeln!(
            text,
            "made{number:05},FACE_LIVENESS,ap-southeast-1,2026-11-20T03:{minute:02}:{second:02}Z"
        )
        .unwrap();
    }
    let source = folder.path().join("pending.csv");
    files::create_private(&source)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let (source, data) = (source.to_str().unwrap(), folder.path().join("data"));
    let args = [
        "idvault",
        "run",
        "--quiet",
        "--qps",
        "unlimited",
        "--endpoint",
        url,
        "--pending",
        source,
    ];
    let cli = Cli::parse_from(
        args.into_iter()
            .chain(["--now", NOW, "--data-dir", data.to_str().unwrap()]),
    );
    let env = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", SANDBOX_ACCESS_KEY_ID),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SANDBOX_ACCESS_KEY_SECRET),
    ];
    let context = Context {
        isolation: Isolation::None,
        host: Host {
            env: env.map(|(name, value)| (name.to_owned(), value.into())).into(),
            clock: Arc::new(WallClock),
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        },
        config: ConfigFile::default(),
        seed: 1,
        arguments: Vec::new(),
        machine: String::new(),
        stdin: || Box::new(std::io::empty()),
    };
    let counted = Counted::new(ALLOCATOR);
    let exit = execute(cli, &context).unwrap();
    let change = counted.change();
    assert_eq!(exit, Exit::Done);
    let archived: BTreeMap<String, usize> = [("archived".to_owned(), ids)].into();
    assert_eq!(states(&data.join("ledger.sqlite")), archived);
    change.allocations + change.reallocations
}

fn states(ledger: &Path) -> BTreeMap<String, usize> {
    let ledger = Connection::open(ledger).unwrap();
    let mut query = ledger
        .prepare("SELECT state, count(*) FROM transaction_states GROUP BY state")
        .unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_record_costs_a_bounded_number_of_allocations() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_sandbox, url) = Sandbox::start();
    // What a night costs whatever it fetches is in both.
    let (few, many) = (allocations(&url, 200), allocations(&url, 1_200));
    let each = (many - few) / 1_000;
    println!("{each} allocations a record, {few} for a night of 200");
    assert!(each <= ALLOCATIONS, "{each} allocations a record");
}

/// Commits in the WAL: a frame that ends one says how large the database is then. (SQLite's file format, section 4.1.)
fn commits(wal: &Path) -> usize {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let wal = std::fs::read(wal).unwrap();
    let page_bytes = u32::from_be_bytes(wal[8..12].try_into().unwrap()) as usize;
    let frames = wal[HEADER..].chunks_exact(FRAME_HEADER + page_bytes);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[test]
fn what_has_queued_up_while_the_disk_was_busy_is_one_commit() {
    // No more than the writer takes at once.
    const IDS: usize = 500;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let lock = Lock::acquire(folder.path()).unwrap();
    let mut ledger = Ledger::open(folder.path(), &lock).unwrap();
    let now = NOW.parse().unwrap();
    let run = ledger.begin_run(now, None).unwrap();
    let defaults = Defaults {
        product_code: ProductCode::parse("FACE_LIVENESS").unwrap(),
        region: Region::parse("ap-southeast-1").unwrap(),
    };
    let row = |number: usize| Pending {
        transaction_id: TransactionId::parse(&format!("id-{number:04}")).unwrap(),
        merchant_biz_id: None,
        product_code: None,
        region: None,
        verified_at: Some(now),
    };
    let mut admission = ledger.admission(&defaults, &run, now);
    let rows: Vec<Pending> = (1..=IDS).map(row).collect();
    admission.admit(&rows.iter().collect::<Vec<_>>()).unwrap();
    admission.commit().unwrap();
    drop(admission);
    ledger.close().unwrap();
    let ledger = Ledger::open(folder.path(), &lock).unwrap();

    let due = ledger.due_page(&defaults.product_code, Phase::Live, &Cursor::start(), now, IDS);
    let due = due.unwrap();
    let wal = folder.path().join("ledger.sqlite-wal");
    assert_eq!(wal.metadata().unwrap().len(), 0, "opening it commits nothing");
    // Somebody else's, as a disk that takes its time.
    let busy = Connection::open(Ledger::path_in(folder.path())).unwrap();
    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writer = Writer::start(ledger, run.number, || panic!("a commit failed")).unwrap();
    let handle = writer.handle();
    let settlement = |due| Settlement {
        due,
        attempts: 1,
        call_code: "Success".to_owned(),
        message: None,
        called_at: now,
        settled: Settled::Journalled {
            passed: true,
            sub_code: "200".to_owned(),
            body: b"{}".to_vec(),
        },
    };
    // Tokio would let 128 of them begin, and the others only when the disk is no longer busy.
    let mut all = Box::pin(unconstrained(join_all(
        due.rows.into_iter().map(|due| handle.settle(settlement(due))),
    )));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let settled = runtime.block_on(async {
        let waits = poll_fn(|context| Poll::Ready(all.as_mut().poll(context).is_pending())).await;
        assert!(waits, "nothing counts before it is committed");
        busy.execute_batch("ROLLBACK").unwrap();
        all.await
    });
    assert!(
        settled.iter().all(Result::is_ok),
        "who holds the ledger for a moment is waited for"
    );
    drop(handle);
    let _ledger = writer.finish().unwrap();
    // One for the first, and one for all others.
    let made = commits(&wal);
    println!("{made} commits for {IDS} settlements");
    assert!(made <= 2, "{made} commits for {IDS} settlements");
    assert_eq!(states(&Ledger::path_in(folder.path()))["journalled"], 500);
}

/// Rows of the database, where the environment does not say: `COST_ROWS=1000000` for what a large one costs.
const DATABASE_ROWS: u64 = 2_000;

/// What the process of its own costs is printed, and not held to anything: it is for a machine that does nothing else.
#[test]
#[expect(clippy::disallowed_methods, reason = "only how long it takes, never what it gives")]
fn a_database_gives_the_same_in_a_process_of_its_own() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = std::env::var("COST_ROWS")
        .ok()
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(DATABASE_ROWS);
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("pending.sqlite");
    let database = Connection::open(&source).unwrap();
    database
        .execute_batch(
            "CREATE TABLE pending (transaction_id TEXT, product_code TEXT, region TEXT, verified_at INTEGER)",
        )
        .unwrap();
    database
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?1)
             INSERT INTO pending SELECT printf('made%08d', i), 'FACE_LIVENESS', 'ap-southeast-1', 1795000000 + i % 100000 FROM n",
            [rows],
        )
        .unwrap();
    drop(database);
    let apart = Isolation::Process {
        program: env!("CARGO_BIN_EXE_idvault").into(),
        time_zone: None,
    };
    for (number, isolation) in [&Isolation::None, &apart, &Isolation::None, &apart]
        .into_iter()
        .enumerate()
    {
        let settings = IntakeSettings {
            isolation: isolation.clone(),
            ..IntakeSettings::default()
        };
        let started = std::time::Instant::now();
        let taken = take_in(&source, settings, &folder.path().join(number.to_string()));
        println!("{rows} rows, {isolation:?}: {:?}", started.elapsed());
        assert_eq!(taken, rows);
    }
}

/// Takes the rows of a source into a ledger of its own, and says how many are in it.
fn take_in(source: &Path, settings: IntakeSettings, data: &Path) -> u64 {
    let now = NOW.parse().unwrap();
    let lock = Lock::acquire(data).unwrap();
    let mut ledger = Ledger::open(data, &lock).unwrap();
    let run = ledger.begin_run(now, None).unwrap();
    let defaults = Defaults {
        product_code: ProductCode::parse("FACE_LIVENESS").unwrap(),
        region: Region::parse("ap-southeast-1").unwrap(),
    };
    let mut admission = ledger.admission(&defaults, &run, now);
    let source = Source::parse(source.to_str().unwrap()).unwrap();
    let mut reading = Reading::start(source, Box::new(std::io::empty()), settings).unwrap();
    loop {
        let items = reading.next(&|| false).unwrap();
        if items.is_empty() {
            break;
        }
        let rows: Vec<&Pending> = items.iter().filter_map(Item::good).collect();
        admission.admit(&rows).unwrap();
    }
    admission.commit().unwrap();
    let ledger = Connection::open(data.join("ledger.sqlite")).unwrap();
    ledger
        .query_row("SELECT count(*) FROM transactions", [], |row| row.get(0))
        .unwrap()
}
