//! Runs that meet: one works, and whoever comes meanwhile leaves at once.
//!
//! `IDVAULT_OVERLAP_ROUNDS` sets how often 20 runs are started at once.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};

use idvault::sandbox::Mix;

use super::{Ended, Place, Running, Vendor, made_up, setting, wait_until};

const ROUNDS: u64 = 2;
const RUNS: usize = 20;
const IDS: usize = 60;

/// From its start to its exit a run that finds the lock taken has this long.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);

/// A run that was started, and when.
struct Started {
    run: Running,
    at: Instant,
    stdin: ChildStdin,
}

impl Started {
    /// A run that reads its pending source from standard input: once it holds the lock it waits there.
    fn new(place: &Place, vendor: &Vendor) -> Self {
        let mut command = place.night_of(vendor, &["--pending", "-"]);
        let at = Instant::now();
        let mut run = Running::start(command.stdin(Stdio::piped()));
        let stdin = run.0.stdin.take().unwrap();
        Self { run, at, stdin }
    }
}

/// 20 runs at once on an empty folder: gives how long each of the 19 took that had to leave.
fn round(number: u64) -> Vec<Duration> {
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    let place = Place::new();
    let mut runs: Vec<Started> = (0..RUNS).map(|_| Started::new(&place, &vendor)).collect();
    let (mut took, mut left) = (Vec::new(), Vec::new());
    wait_until("all but one have left", || {
        for started in runs.extract_if(.., |started| started.run.ended()) {
            took.push(started.at.elapsed());
            left.push(started.run);
        }
        left.len() >= RUNS - 1
    });
    for run in left {
        let ended = run.end().expect(75);
        assert!(ended.stderr.contains("another run holds the lock"), "{}", ended.stderr);
    }
    let [working] = <[Started; 1]>::try_from(runs).ok().unwrap();
    assert_eq!(vendor.counts().calls, 0, "round {number}: nobody has asked yet");
    let mut stdin = working.stdin;
    stdin.write_all(made_up(IDS, 3, "FACE_LIVENESS").as_bytes()).unwrap();
    drop(stdin);
    working.run.end().expect(0);
    let counts = vendor.counts();
    assert_eq!(
        (counts.calls, counts.distinct),
        (IDS as u64, IDS as u64),
        "round {number}: each id is asked for once"
    );
    assert_eq!(place.states(), BTreeMap::from([("archived".to_owned(), IDS as u64)]));
    assert_eq!(place.count("SELECT count(*) FROM runs"), 1);
    place.idvault(&["verify", "--read-data"]).expect(0);
    took
}

#[test]
fn of_twenty_runs_at_once_one_works_and_the_others_leave_at_once() {
    let rounds = setting("IDVAULT_OVERLAP_ROUNDS").unwrap_or(ROUNDS);
    let mut took: Vec<Duration> = (0..rounds).flat_map(round).collect();
    took.sort();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{rounds} rounds of {RUNS} runs at once: {} left, half of them within {median:?}, all within {longest:?}",
        took.len()
    );
    assert!(longest < LEAVES_WITHIN, "the slowest took {longest:?} to leave");
}

/// A run that holds the lock: it waits for its standard input.
fn at_work(place: &Place, vendor: &Vendor) -> Started {
    let before = if place.data().exists() { numbered(place) } else { None };
    let started = Started::new(place, vendor);
    let number = before.unwrap_or(0) + 1;
    wait_until("the run is numbered", || {
        place.data().join("ledger.sqlite").exists() && numbered(place) == Some(number)
    });
    started
}

/// The runs in the ledger; `None` as long as there is no such table.
fn numbered(place: &Place) -> Option<u64> {
    let count = "SELECT count(*) FROM runs";
    place.ledger().query_row(count, [], |row| row.get(0)).ok()
}

#[test]
fn whoever_would_write_or_compare_leaves_while_a_run_is_at_work() {
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    let place = Place::new();
    let mut working = at_work(&place, &vendor);
    working
        .stdin
        .write_all(made_up(IDS, 3, "FACE_LIVENESS").as_bytes())
        .unwrap();
    for args in [
        &["run"][..],
        &["verify"],
        &["verify", "--read-data"],
        &["verify", "--repair"],
        &["compact"],
        &["quarantine", "retry", "--all"],
        &["quarantine", "retry", "made00001"],
        &["quarantine", "drop", "made00001", "--reason", "gone"],
    ] {
        let ended = if args == ["run"] {
            place.night(&[]).expect(75)
        } else {
            place.idvault(args).expect(75)
        };
        assert!(
            ended.stderr.contains("another run holds the lock"),
            "{args:?}: {}",
            ended.stderr
        );
    }
    // Whoever only looks needs no lock.
    place.idvault(&["status"]).expect(0);
    place.idvault(&["quarantine", "list"]).expect(0);
    drop(working.stdin);
    working.run.end().expect(0);
    assert_eq!(vendor.counts().calls, IDS as u64);
}

/// Intake commits batch by batch: who reads sees the rows so far, and a kill costs the last batch only.
#[test]
fn while_a_first_run_takes_many_rows_in_status_answers_and_what_a_kill_leaves_is_kept() {
    /// Two batches, and a third that is not full.
    const ROWS: usize = 50_000;
    let place = Place::new();
    let text = made_up(ROWS, 3, "FACE_LIVENESS");
    let mut command = place.command(&["run", "--intake-only", "--pending", "-"]);
    let mut run = Running::start(command.stdin(Stdio::piped()));
    let mut stdin = run.0.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    let taken_in = || {
        if !place.data().join("ledger.sqlite").exists() || numbered(&place).is_none() {
            return 0;
        }
        let status = place.idvault(&["status", "--json"]).expect(0);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        status["states"]["pending"].as_u64().unwrap()
    };
    wait_until("two batches are taken in", || taken_in() >= 40_000);
    assert!(!run.ended());
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    let kept = taken_in();
    assert!(kept >= 40_000, "{kept}");
    let source = place.write("pending.csv", &text);
    place.idvault(&["run", "--intake-only", "--pending", &source]).expect(0);
    assert_eq!(place.states(), BTreeMap::from([("pending".to_owned(), ROWS as u64)]));
    place.idvault(&["verify"]).expect(0);
}

/// The lock is the kernel's: it ends with the process that held it, however that ended.
#[test]
fn after_a_kill_the_next_run_starts_with_nothing_to_clean_up() {
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    let place = Place::new();
    let source = place.write("pending.csv", made_up(IDS, 3, "FACE_LIVENESS"));
    for _ in 0..3 {
        let mut killed = at_work(&place, &vendor);
        place.idvault(&["verify"]).expect(75);
        killed.run.0.kill().unwrap();
        killed.run.0.wait().unwrap();
        assert!(
            place.data().join("lock").exists(),
            "the file may stay, the lock does not"
        );
        place.idvault(&["verify"]).expect(0);
    }
    let next = place.night_of(&vendor, &["--pending", &source]).output();
    Ended::of(next.unwrap()).expect(0);
    assert_eq!(place.states(), BTreeMap::from([("archived".to_owned(), IDS as u64)]));
}
