//! A run that is told to end, by a signal or by its time limit, ends within 10 s whatever it is doing, and loses nothing.
//!
//! - `cut_off`: what holds it up for longer

mod cut_off;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use idvault::sandbox::Mix;

use super::checker::REPORTS;
use super::disk::HeldClock;
use super::{Ended, Place, Running, Vendor, files_below, made_up, wait_until};
use crate::common::server::{Answer, Manner, serve};
use crate::common::vendor::error;

/// As it is seen from outside, where the machine may be busy with other work. That a run ended by itself, which its exit code
/// tells, says that it was not cut off.
const BOUND: Duration = Duration::from_secs(15);

/// No answer comes at all.
const NEVER: Duration = Duration::from_mins(1);

#[test]
fn calls_that_hang_and_a_reader_of_the_ledger_do_not_hold_the_end_up() {
    for (args, signal) in [(&["--concurrency", "8"][..], true), (&["--time-limit", "2s"], false)] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        // The first call goes alone, and the others wait for its answer.
        let url = serve(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
            0 => error(404, "ProcessNotCompleted"),
            _ => Answer::none(Manner::Hang),
        });
        let place = Place::new();
        let source = place.write("pending.csv", made_up(100, 3, "FACE_LIVENESS"));
        let mut command = place.command(&["run", "--endpoint", &url, "--qps", "unlimited", "--pending", &source]);
        command
            .args(args)
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
        let run = Running::start(&mut command);
        wait_until("calls are in flight", || calls.load(Ordering::Relaxed) >= 8);
        let reader = place.ledger();
        reader.execute_batch("BEGIN; SELECT count(*) FROM runs").unwrap();
        let told = Instant::now();
        if signal {
            run.terminate();
        }
        run.end().expect(4);
        assert!(told.elapsed() < BOUND, "{:?}", told.elapsed());
        let ended = "SELECT count(*) FROM runs WHERE ended_at IS NOT NULL";
        assert_eq!(place.count(ended), 1);
        let seen: u64 = reader.query_row(ended, [], |row| row.get(0)).unwrap();
        assert_eq!(seen, 0, "the reader has the older snapshot all the time");
        assert_eq!(place.states(), BTreeMap::from([("pending".to_owned(), 100)]));
    }
}

/// An endless source, so that only the signal can end it.
#[test]
fn a_source_is_left_where_it_is_and_what_was_read_is_kept() {
    let place = Place::new();
    let endless = "echo transaction_id,verified_at; i=0; while :; do i=$((i+1)); echo id$i,2026-11-20T10:00:00Z; done";
    let mut writer = Command::new("/bin/sh")
        .args(["-c", endless])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut command = place.command(&["run", "--sandbox", "--pending", "-"]);
    let run = Running::start(command.stdin(writer.stdout.take().unwrap()));
    // Its first rows are committed before the source ends, because it doesn't.
    wait_until("the ledger is there", || place.data().join("ledger.sqlite").exists());
    std::thread::sleep(Duration::from_secs(1));
    let told = Instant::now();
    run.terminate();
    let ended = run.end().expect(4);
    assert!(told.elapsed() < BOUND, "{:?}", told.elapsed());
    // It ends by SIGPIPE, unless the shell's own loop outlives it.
    let _ = writer.kill();
    writer.wait().unwrap();
    let summary = place.summary();
    assert_eq!(summary["intake"]["cut_short"].as_array().unwrap().len(), 1);
    let rows = summary["intake"]["rows"].as_u64().unwrap();
    assert!(rows > 0);
    assert_eq!(place.states(), BTreeMap::from([("pending".to_owned(), rows)]));
    assert!(
        ended
            .stderr
            .contains("standard input was not read to its end, as the run was stopped"),
        "{}",
        ended.stderr
    );
}

/// Journalled replies of `rows` ids, as a run leaves them that was killed before it published. All are of one moment.
fn journalled(place: &Place, rows: usize, reply_bytes: usize) {
    let source = place.write("pending.csv", made_up(10, 1, "FACE_LIVENESS"));
    place.night(&["--pending", &source, "--intake-only"]).expect(0);
    let ledger = rusqlite::Connection::open(place.data().join("ledger.sqlite")).unwrap();
    let mut sql = String::from("BEGIN;");
    let body = format!(
        r#"{{"Code":"Success","Result":{{"Passed":"Y","SubCode":"200","ExtInfo":"{}"}}}}"#,
        // Letters would be taken for an image.
        ".".repeat(reply_bytes)
    );
    write!(
        sql,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO transactions (transaction_id, product_code, product_assumed, region, region_assumed, verified_at,
             first_seen_at, last_call_at, first_run, deleted_from, age_known, state, passed, sub_code)
         SELECT 'many' || i, product_code, 0, region, 0, verified_at, first_seen_at, first_seen_at, 1, deleted_from,
             age_known, 'answered', 1, '200'
         FROM n, (SELECT * FROM transactions LIMIT 1);
         INSERT INTO journal (number, verified_order, transaction_id, product_code, region, run_number, fetched_at, passed,
             sub_code, body)
         SELECT number, verified_at, transaction_id, product_code, region, 1, first_seen_at, passed, sub_code, '{body}'
         FROM transactions WHERE state = 'answered';
         COMMIT;"
    )
    .unwrap();
    ledger
        .execute_batch(&sql.replace(&format!("'{body}'"), &format!("CAST('{body}' AS BLOB)")))
        .unwrap();
}

/// Waits until the program has said so, byte by byte, as what comes after it is read later. Returns all until then.
pub(super) fn said(run: &mut Running, text: &str) -> String {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(text.as_bytes()) {
        run.0.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    String::from_utf8(said).unwrap()
}

/// Tells the run to end and lets it see that `time` is over: none of it depends on how fast the machine is.
fn stopped_for(time: Duration, clock: &HeldClock, mut run: Running) -> Ended {
    clock.hold();
    run.terminate();
    said(&mut run, "stopping: ");
    clock.leap(time);
    run.end().expect(4)
}

#[test]
#[ignore = "does not end under the held clock since publication has a writer thread: not understood yet"]
fn a_publication_that_takes_too_long_is_left_to_the_next_run() {
    const ROWS: usize = 20_000;
    let place = Place::new();
    journalled(&place, ROWS, 2_000);
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    let clock = HeldClock::new();
    let run = Running::start(clock.under(&mut place.night_of(&vendor, &[])));
    wait_until("a file is being written", || {
        std::fs::read_dir(place.data().join(".staging")).is_ok_and(|files| {
            files
                .flatten()
                .any(|file| file.path().extension().is_some_and(|extension| extension == "parquet"))
        })
    });
    let ended = stopped_for(Duration::from_millis(7_001), &clock, run);
    assert!(
        ended
            .stderr
            .contains("20000 replies are kept and not in the archive yet"),
        "{}",
        ended.stderr
    );
    assert_eq!(place.count("SELECT count(*) FROM journal"), ROWS as u64);
    assert!(place.archive_files().is_empty());
    assert_eq!(std::fs::read_dir(place.data().join(".staging")).unwrap().count(), 0);

    let run = Running::start(&mut place.night_of(&vendor, &[]));
    run.end().expect(0);
    assert_eq!(place.states()["archived"], 10 + ROWS as u64);
    assert_eq!(place.archived("verifications").len(), 10 + ROWS);
}

/// The rows of each file in the manifest, in the order of publication.
fn rows_of_files(place: &Place) -> Vec<u64> {
    place.counts("SELECT rows FROM files ORDER BY path")
}

/// A day that takes longer than a run has that must end. Its rows share one `verified_at`: every cut is between equals.
#[test]
#[ignore = "does not end under the held clock since publication has a writer thread: not understood yet"]
fn a_large_day_is_published_in_several_files_and_cut_off_between_them() {
    const ROWS: u64 = 140;
    const REPLY_BYTES: usize = 1024 * 1024;
    const ROWS_OF_A_FILE: u64 = 64;
    let place = Place::new();
    journalled(&place, usize::try_from(ROWS).unwrap(), REPLY_BYTES);
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    let staged_seconds = || -> usize {
        let staged = files_below(&place.data().join(".staging"));
        let seconds = staged
            .iter()
            .filter(|path| path.to_string_lossy().ends_with("-0002.parquet"));
        seconds.count()
    };
    // What the one before it left over is there until it has begun.
    let clock = HeldClock::new();
    let at_its_second_file = || {
        let mut run = Running::start(clock.under(&mut place.night_of(&vendor, &[])));
        for there in [false, true] {
            wait_until("the second file is being written", || {
                assert!(!run.ended());
                (staged_seconds() > 0) == there
            });
        }
        run
    };
    let run = at_its_second_file();
    run.signal("-KILL");
    assert_eq!(run.end().code, None);
    let states = |archived: u64| {
        let states = [("archived", archived), ("journalled", ROWS - archived), ("pending", 10)];
        let states = states.into_iter().filter(|(_, count)| *count > 0);
        states
            .map(|(state, count)| (state.to_owned(), count))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(place.states(), states(0));
    assert!(place.archive_files().is_empty());

    stopped_for(Duration::from_millis(7_001), &clock, at_its_second_file());
    let rows = rows_of_files(&place);
    assert_eq!(rows[0], ROWS_OF_A_FILE, "what is in a complete file is published");
    assert!(
        rows.len() <= 2,
        "the turn ends with it, or with the file that was begun: {rows:?}"
    );
    assert_eq!(place.states(), states(rows.iter().sum()));
    assert_eq!(place.archive_files().len(), rows.len());

    Running::start(&mut place.night_of(&vendor, &[])).end().expect(0);
    assert_eq!(place.states(), BTreeMap::from([("archived".to_owned(), 10 + ROWS)]));
    let ids: BTreeSet<String> = place
        .archived("verifications")
        .iter()
        .map(|row| row.id().to_owned())
        .collect();
    assert_eq!(ids.len() as u64, 10 + ROWS);
    assert!(
        rows_of_files(&place).iter().all(|rows| *rows <= ROWS_OF_A_FILE),
        "{:?}",
        rows_of_files(&place)
    );
    place.idvault(&["verify"]).expect(0);
}

#[test]
#[ignore = "a quarter of a minute for what the test above holds of bytes; docs/internals/reliability.md runs it"]
fn no_file_has_more_rows_than_can_be_committed_in_time() {
    const ROWS_OF_A_FILE: u64 = 128 * 1024;
    const ROWS: u64 = ROWS_OF_A_FILE + 1;
    let place = Place::new();
    journalled(&place, usize::try_from(ROWS).unwrap(), 1);
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    let ended = Ended::of(place.night_of(&vendor, &["--json"]).output().unwrap()).expect(0);
    assert_eq!(place.states(), BTreeMap::from([("archived".to_owned(), 10 + ROWS)]));
    assert_eq!(rows_of_files(&place), [ROWS_OF_A_FILE, 1, 10]);
    assert_eq!(
        ended.json()["published"]["days"],
        2,
        "left by the earlier run, and of this one"
    );
}

/// Told to end while calls hang, until there is no time for reports on what the ledger holds.
#[test]
fn reports_that_take_too_long_are_left_to_the_next_run() {
    const ROWS: usize = 20_000;
    let place = Place::new();
    let source = place.write("pending.csv", made_up(ROWS, 3, "FACE_LIVENESS"));
    let vendor = Vendor::start(Mix::AllFinal, NEVER);
    let clock = HeldClock::new();
    let mut night = place.night_of(&vendor, &["--concurrency", "8"]);
    let run = Running::start(clock.under(night.args(["--pending", &source])));
    wait_until("the first call is in flight", || vendor.counts().calls >= 1);
    let ended = stopped_for(Duration::from_millis(8_001), &clock, run);
    let missing = "expiry.csv, quarantine.csv, left.csv, report.html are missing";
    assert!(ended.stderr.contains(missing), "{}", ended.stderr);
    assert_eq!(reports(&place), ["billing.csv", "rejected.csv", "summary.json"]);
    let summary = place.summary();
    let said: Vec<&str> = summary["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["reason"].as_str().unwrap())
        .collect();
    assert!(said.iter().any(|reason| reason.starts_with(missing)), "{said:?}");
    assert!(
        summary.get("expiry").is_none() && summary.get("states").is_none(),
        "{summary}"
    );
    assert_eq!(place.count("SELECT count(*) FROM runs WHERE exit_code = 4"), 1);
    assert_eq!(std::fs::read_dir(place.data().join(".staging")).unwrap().count(), 0);

    let expiring = place.idvault(&["report", "expiry"]).expect(0).stdout;
    place.idvault(&["run", "--intake-only"]).expect(0);
    assert_eq!(reports(&place), REPORTS);
    assert_eq!(
        std::fs::read_to_string(place.data().join("reports/latest/expiry.csv")).unwrap(),
        expiring
    );
}

/// The names of the latest reports.
fn reports(place: &Place) -> Vec<String> {
    let files = std::fs::read_dir(place.data().join("reports/latest")).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_plan_is_not_printed_to_its_end_after_a_stop() {
    let place = Place::new();
    // More than a pipe holds.
    let source = place.write("pending.csv", made_up(20_000, 3, "FACE_LIVENESS"));
    let mut run = Running::start(&mut place.command(&["run", "--dry-run", "--pending", &source]));
    run.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    run.terminate();
    // The plan may end before that is said, or wait until it is read.
    let before = said(&mut run, "stopping: ");
    let ended = run.end().expect(4);
    let said = before + &ended.stderr;
    assert!(said.contains("the plan was not printed to its end"), "{said}");
    assert!(ended.stdout.lines().count() < 20_000);
}

#[test]
fn what_an_earlier_run_left_is_published_before_a_source_can_hold_it_up() {
    const ROWS: usize = 20;
    let place = Place::new();
    journalled(&place, ROWS, 2_000);
    let source = place.pipe("silent");
    let run = Running::start(&mut place.command(&["run", "--sandbox", "--pending", &source]));
    wait_until("it is published", || {
        place.states().get("archived") == Some(&(ROWS as u64))
    });
    run.terminate();
    run.end().expect(4);
}

/// Whoever writes to a pipe waits until somebody opens it.
#[test]
fn no_source_is_opened_after_a_stop() {
    let place = Place::new();
    let (silent, next) = (place.pipe("silent"), place.pipe("next"));
    let mut writer = Command::new("/bin/sh");
    writer.current_dir(place.dir.path());
    let mut writer = Running::start(writer.args(["-c", "exec echo transaction_id > next"]));
    let mut command = place.command(&["run", "--sandbox", "--pending", &silent, "--pending", &next]);
    let run = Running::start(&mut command);
    wait_until("the ledger is there", || place.data().join("ledger.sqlite").exists());
    std::thread::sleep(Duration::from_secs(1));
    run.terminate();
    let ended = run.end().expect(4);
    let said = "next was not read to its end, as the run was stopped";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!writer.ended(), "the pipe was opened");
}
