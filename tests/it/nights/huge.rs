//! Sources that are too long, and sources that never end: what is good in them is taken, memory stays small, and a run can
//! always be stopped.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read as _, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use idvault::files;
use rusqlite::{Connection, OpenFlags, params};

use super::{Ended, Place, Running, lines, setting};
use crate::common::peak_kib;

/// No run may need more, whatever is fed to it, in KiB.
const MOST_MEMORY_KIB: u64 = 100 * 1024;
/// The size of a source, in MB, where `IDVAULT_CSV_MB` does not say otherwise: 1024 is the test in full.
const CSV_MB: u64 = 30;
/// A third of a small source is its long line; it is no longer than this, in MB.
const LONGEST_LINE_MB: u64 = 100;
const ROW_BYTES: usize = 1_000;
/// How long a run that was told to stop may take to end.
const END_BOUND: Duration = Duration::from_secs(10);
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// A source of `mb` MB with a long line in its middle.
#[derive(Debug, Clone, Copy)]
struct Huge {
    mb: u64,
    line_mb: u64,
    /// What the long line's second cell begins with: a quote, or nothing.
    quote: &'static str,
}

impl Huge {
    fn new(quote: &'static str) -> Self {
        let mb = setting("IDVAULT_CSV_MB").unwrap_or(CSV_MB);
        let line_mb = (mb / 3).min(LONGEST_LINE_MB);
        Self { mb, line_mb, quote }
    }

    /// Good rows before the long line, and as many after it.
    fn half(self) -> u64 {
        (self.mb - self.line_mb) * 1_000_000 / ROW_BYTES as u64 / 2
    }

    fn write(self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"transaction_id,note\n")?;
        self.rows(out, 0)?;
        write!(out, "long,{}", self.quote)?;
        io::copy(&mut io::repeat(b'x').take(self.line_mb * 1_000_000), out)?;
        out.write_all(b"\n")?;
        self.rows(out, self.half())
    }

    fn rows(self, out: &mut impl Write, first: u64) -> io::Result<()> {
        let note = "n".repeat(ROW_BYTES - "good0000000,\n".len());
        (first..first + self.half()).try_for_each(|number| writeln!(out, "good{number:07},{note}"))
    }
}

/// Runs to the end with `feed` at standard input. Gives the most memory that was seen: standard output must be the plan,
/// long enough to fill the pipe, so that the process is still there when all else is done.
fn watched(mut command: Command, feed: impl FnOnce(&mut dyn Write) + Send + 'static) -> (Ended, u64) {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = thread::spawn(move || feed(&mut stdin));
    let mut stderr = child.stderr.take().unwrap();
    let saying = thread::spawn(move || io::read_to_string(&mut stderr).unwrap());
    let mut stdout = child.stdout.take().unwrap();
    let (mut plan, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    let mut peak = None;
    loop {
        let read = stdout.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        plan.extend_from_slice(&piece[..read]);
        peak = peak_kib(&child).max(peak);
    }
    feeding.join().unwrap();
    let ended = Ended {
        code: child.wait().unwrap().code(),
        stdout: String::from_utf8(plan).unwrap(),
        stderr: saying.join().unwrap(),
    };
    (ended, peak.expect("the plan is longer than a pipe"))
}

/// The long line is named by its number, its id and all others are in the plan, and memory stayed small.
#[track_caller]
fn assert_all_but_the_long_line(huge: Huge, place: &Place, (ended, peak_kib): (Ended, u64), reason: &str) {
    let ended = ended.expect(4);
    println!("{huge:?}: {peak_kib} KiB");
    assert!(peak_kib < MOST_MEMORY_KIB, "{peak_kib} KiB");
    let rejected = place.report("rejected.csv");
    assert_eq!(rejected.len(), 1, "{:?}", rejected.first());
    assert_eq!(rejected[0]["line"], (2 + huge.half()).to_string());
    assert_eq!(rejected[0]["transaction_id"], "long");
    assert!(rejected[0]["reason"].contains(reason), "{rejected:?}");
    let mut ids: Vec<String> = lines(&ended.stdout)
        .iter()
        .map(|row| row["transaction_id"].clone())
        .collect();
    ids.sort();
    assert!(
        ids.iter().cloned().eq((0..2 * huge.half())
            .map(|number| format!("good{number:07}"))
            .chain(["long".to_owned()]))
    );
    assert_eq!(place.summary()["intake"]["new"], 2 * huge.half() + 1);
}

#[test]
fn a_huge_source_is_taken_but_for_its_long_line_and_memory_stays_small() {
    for (quote, reason) in [("", "longer than 1048576 bytes"), ("\"", "not closed")] {
        let (place, huge) = (Place::new(), Huge::new(quote));
        let command = place.command(&["run", "--dry-run", "--pending", "-"]);
        let fed = watched(command, move |stdin| huge.write(&mut BufWriter::new(stdin)).unwrap());
        assert_all_but_the_long_line(huge, &place, fed, reason);
    }
}

#[test]
fn a_packed_source_that_unpacks_a_thousandfold_is_no_different() {
    let (place, mut huge) = (Place::new(), Huge::new(""));
    // As little text as fills the pipe, and the rest of it one line.
    huge.line_mb = huge.mb - 5;
    let path = place.path("pending.csv.gz");
    let mut packed = GzEncoder::new(files::create_private(&path).unwrap(), Compression::best());
    huge.write(&mut packed).unwrap();
    let packed_bytes = packed.finish().unwrap().metadata().unwrap().len();
    assert!(packed_bytes * 500 < huge.mb * 1_000_000, "{packed_bytes}");
    let command = place.command(&["run", "--dry-run", "--pending", path.to_str().unwrap()]);
    assert_all_but_the_long_line(huge, &place, watched(command, |_| {}), "longer than 1048576 bytes");
}

#[test]
fn huge_cells_of_a_database_never_get_into_memory() {
    const CELL_BYTES: usize = 100_000_000;
    let place = Place::new();
    let path = place.path("app.sqlite");
    {
        let mut app = Connection::open(&path).unwrap();
        let rows = app.transaction().unwrap();
        rows.execute_batch("CREATE TABLE pending (note, transaction_id)")
            .unwrap();
        let insert = "INSERT INTO pending VALUES (?1, ?2)";
        for number in 0..5_000 {
            rows.execute(insert, params!["", format!("good{number:07}")]).unwrap();
        }
        let long = "x".repeat(CELL_BYTES);
        rows.execute(insert, params![long, "noted"]).unwrap();
        rows.execute(insert, params!["", long]).unwrap();
        rows.execute(insert, params!["", "last"]).unwrap();
        rows.commit().unwrap();
    }
    let command = place.command(&["run", "--dry-run", "--pending", path.to_str().unwrap()]);
    let (ended, peak_kib) = watched(command, |_| {});
    println!("{peak_kib} KiB");
    assert!(peak_kib < MOST_MEMORY_KIB, "{peak_kib} KiB");
    ended.expect(4);
    assert_eq!(place.summary()["intake"]["new"], 5_002);
    let rejected = place.report("rejected.csv");
    assert_eq!((rejected.len(), rejected[0]["line"].as_str()), (1, "5002"));
    assert!(rejected[0]["reason"].contains("longer than 64 KiB"), "{rejected:?}");
}

/// Each row of a product of its own: the plan merges as many lanes as there are rows.
#[test]
fn a_source_of_as_many_products_as_rows_is_planned_in_order() {
    let place = Place::new();
    let rows = (0..1_500_u32).map(|number| {
        let (minute, second) = (number * 7 % 50, number % 60);
        format!("id{number:04},P{number},2026-11-20T10:{minute:02}:{second:02}Z")
    });
    let rows: Vec<String> = rows.collect();
    let source = place.write(
        "pending.csv",
        format!("transaction_id,product_code,verified_at\n{}\n", rows.join("\n")),
    );
    let command = place.command(&["run", "--dry-run", "--pending", &source]);
    let (ended, peak_kib) = watched(command, |_| {});
    assert!(peak_kib < MOST_MEMORY_KIB, "{peak_kib} KiB");
    let plan = lines(&ended.expect(0).stdout);
    let order = |row: &BTreeMap<String, String>| (row["verified_at"].clone(), row["transaction_id"].clone());
    assert_eq!(plan.len(), rows.len());
    assert!(plan.is_sorted_by_key(order));
}

/// How many [`endless`] gives.
const ENDLESS: usize = 4;

/// Sources that never end, and such as never begin.
fn endless(place: &Place) -> Vec<(&'static str, String)> {
    let database = |name: &str, view: &str| {
        let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
        let sql = format!("CREATE VIEW pending AS {numbers} {view}");
        Connection::open(place.path(name)).unwrap().execute_batch(&sql).unwrap();
        name.to_owned()
    };
    vec![
        ("a line", "-".to_owned()),
        (
            "a view without a row",
            database("silent.sqlite", "SELECT i AS transaction_id FROM n WHERE i < 0"),
        ),
        (
            "a view of rows",
            database("rows.sqlite", "SELECT i AS transaction_id FROM n"),
        ),
        ("a pipe that nobody writes to", place.pipe("pipe")),
    ]
}

/// Whether it was stopped in time after what `stop` gives: what is not read is named, what stood before it is taken.
fn assert_stopped(place: &Place, case: &str, source: &str, more: &[&str], stop: impl FnOnce(&Running) -> Instant) {
    let good = place.write("good.csv", "transaction_id\ngood1\n");
    let mut command = place.command(&[
        "run",
        "--intake-only",
        "--json",
        "--pending",
        &good,
        "--pending",
        source,
    ]);
    command.args(more).stdin(Stdio::piped());
    let mut running = Running::start(&mut command);
    let mut stdin = running.0.stdin.take().unwrap();
    let feeding = thread::spawn(move || {
        let mut piece = "transaction_id\n".to_owned();
        while stdin.write_all(piece.as_bytes()).is_ok() {
            piece = "x".repeat(64 * 1024);
        }
    });
    let told = stop(&running);
    let ended = running.end();
    let took = told.elapsed();
    feeding.join().unwrap();
    assert_eq!(ended.code, Some(4), "{case}: {}", ended.stderr);
    assert!(took < END_BOUND, "{case}: {took:?}");
    let failed = ended.json()["intake"]["cut_short"].to_string();
    assert!(
        failed.contains("not read to its end, as the run was stopped"),
        "{case}: {failed}"
    );
    assert!(taken(place), "{case}");
}

/// Whether the good source's row is in the ledger.
fn taken(place: &Place) -> bool {
    let ledger = Connection::open_with_flags(place.data().join("ledger.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY);
    let sql = "SELECT count(*) FROM transactions WHERE transaction_id = 'good1'";
    // There may be none yet, or none with tables.
    ledger.is_ok_and(|ledger| ledger.query_row(sql, [], |row| row.get(0)).unwrap_or(0) == 1)
}

#[test]
fn a_source_that_never_ends_ends_with_the_time_limit() {
    for case in 0..ENDLESS {
        let place = Place::new();
        let (case, source) = endless(&place).swap_remove(case);
        // Or the sources would be left after a quarter of the time.
        place.write("idvault.toml", "[intake]\ntime_limit = \"1h\"\n");
        assert_stopped(&place, case, &source, &["--time-limit", "3s"], |_| {
            Instant::now() + TIME_LIMIT
        });
    }
}

#[test]
fn a_source_that_never_ends_ends_with_the_first_signal() {
    for case in 0..ENDLESS {
        let place = Place::new();
        let (case, source) = endless(&place).swap_remove(case);
        assert_stopped(&place, case, &source, &[], |running| {
            super::wait_until("the source before it is taken", || taken(&place));
            let told = Instant::now();
            running.terminate();
            told
        });
    }
}
