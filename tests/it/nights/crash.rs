//! What is left when a run is cut off, by `kill -9` at any moment, by a signal or by its time limit.
//!
//! `IDVAULT_CRASH_KILLS` sets the number of kills, `IDVAULT_CRASH_SEED` their moments.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use idvault::sandbox::Mix;
use rusqlite::Connection;

use super::checker::{check, committed, finals};
use super::{Place, Running, Vendor, files_below, made_up, setting, wait_until};

/// Calls in flight: what a kill may cost in calls.
const CONCURRENCY: u64 = 8;
const IDS: usize = 300;
/// How long the vendor takes to answer.
const LATENCY: Duration = Duration::from_millis(5);
const KILLS: u64 = 12;
const SEED: u64 = 20_261_122;
const SIGKILL: i32 = 9;

/// When a run is killed. The moments that matter most are aimed at, the others come by the clock.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after the start.
    After(Duration),
    /// Once so many more final replies are committed.
    Committed(u64),
    /// Once another file is being written.
    Staged,
    /// Once another file has its name, which is just before the ledger takes its rows for archived.
    Named,
}

impl Moment {
    fn draw(random: &mut fastrand::Rng) -> Self {
        match random.u8(..6) {
            0 => Self::After(Duration::from_millis(random.u64(..400))),
            1 | 2 => Self::Committed(random.u64(1..120)),
            3 => Self::Staged,
            _ => Self::Named,
        }
    }

    /// Waits for it; false where the run ended first.
    fn come(self, place: &Place, run: &mut Running) -> bool {
        match self {
            Self::After(time) => std::thread::sleep(time),
            Self::Committed(more) => {
                let enough = committed(place) + more;
                wait_until("replies are committed", || committed(place) >= enough || run.ended());
            }
            Self::Named | Self::Staged => {
                let count = || {
                    if matches!(self, Self::Named) {
                        named(place)
                    } else {
                        staged(place)
                    }
                };
                let before = count();
                // What it waits for lasts a few milliseconds, so it looks all the time.
                while count() <= before && !run.ended() {
                    std::thread::yield_now();
                }
            }
        }
        !run.ended()
    }
}

/// Files of the archive, in the manifest or not.
fn named(place: &Place) -> usize {
    place.archive_files().len()
}

fn staged(place: &Place) -> usize {
    let files = files_below(&place.data().join(".staging"));
    let parquet = files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    parquet.count()
}

/// What kills cost.
#[derive(Debug, Default)]
struct Cost {
    /// Those that hit.
    kills: u64,
    /// Answers that were given and not kept: they had to be asked for again.
    asked_again: u64,
    /// The most of them after one kill.
    asked_again_most: u64,
}

/// Kills and restarts until a run ends.
fn campaign(random: &mut fastrand::Rng, kills_wanted: u64, why: &str) -> Cost {
    let (place, vendor) = (Place::new(), Vendor::start(Mix::Realistic, LATENCY));
    let text = made_up(IDS, 7, "FACE_LIVENESS");
    let source = place.write("pending.csv", &text);
    let mut cost = Cost::default();
    loop {
        let concurrency = CONCURRENCY.to_string();
        let args = ["--pending", &source, "--concurrency", &concurrency];
        let mut run = Running::start(&mut place.night_of(&vendor, &args));
        let moment = Moment::draw(random);
        if cost.kills == kills_wanted || !moment.come(&place, &mut run) {
            let ended = run.end();
            assert_eq!(ended.code, Some(4), "{why}: {}", ended.stderr);
            break;
        }
        run.0.kill().unwrap();
        if run.0.wait().unwrap().signal() != Some(SIGKILL) {
            // It had ended by itself just before.
            continue;
        }
        cost.kills += 1;
        // An answer that was given and not kept stays so: what this kill adds to them is its own.
        let lost = vendor.settled(LATENCY).finals - committed(&place);
        let by_this_kill = lost - cost.asked_again;
        assert!(
            by_this_kill <= CONCURRENCY,
            "{why}: {by_this_kill} answers are lost after {moment:?}, {CONCURRENCY} were in flight"
        );
        cost.asked_again_most = cost.asked_again_most.max(by_this_kill);
        cost.asked_again = lost;
    }
    check(&place, &text, why);
    let asked_again = vendor.counts().finals - finals(&text).len() as u64;
    assert_eq!(
        asked_again, cost.asked_again,
        "{why}: a run that was not killed lost some"
    );
    place.idvault(&["verify", "--read-data"]).expect(0);
    cost
}

#[test]
fn killed_at_any_moment_nothing_final_is_lost_and_nothing_is_twice() {
    let seed = setting("IDVAULT_CRASH_SEED").unwrap_or(SEED);
    let wanted = setting("IDVAULT_CRASH_KILLS").unwrap_or(KILLS);
    println!("IDVAULT_CRASH_SEED={seed} IDVAULT_CRASH_KILLS={wanted} repeat this");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut sum, mut campaigns) = (Cost::default(), 0);
    while sum.kills < wanted {
        campaigns += 1;
        let why = format!("IDVAULT_CRASH_SEED={seed}, campaign {campaigns}");
        let cost = campaign(&mut random, wanted - sum.kills, &why);
        sum.kills += cost.kills;
        sum.asked_again += cost.asked_again;
        sum.asked_again_most = sum.asked_again_most.max(cost.asked_again_most);
        assert!(
            campaigns < 10 * (wanted + 1),
            "{why}: the runs end before they are killed"
        );
    }
    println!(
        "{} kills in {campaigns} campaigns, 0 lost, 0 twice; {} ids asked for again, at most {} of {CONCURRENCY} in flight after one kill",
        sum.kills, sum.asked_again, sum.asked_again_most
    );
}

#[test]
fn a_publication_that_was_cut_off_before_its_commit_is_undone_and_done_again() {
    let vendor = Vendor::start(Mix::Realistic, Duration::from_millis(5));
    let (place, mut run) = under_way(&vendor, &[]);
    wait_until("some replies are committed", || committed(&place) >= 10);
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    // What a kill leaves between a file's name and its commit: the intent, the file, and the rows still journalled.
    let path = "verifications/billing_day=2026-11-01/cut-off-0001.parquet";
    let ledger = Connection::open(place.data().join("ledger.sqlite")).unwrap();
    let intent =
        "INSERT INTO files SELECT ?1, 'verifications', '2026-11-01', 1, 1, '', run_id, 'staged', NULL, NULL FROM runs";
    assert_eq!(ledger.execute(intent, [path]).unwrap(), 1);
    drop(ledger);
    std::fs::create_dir_all(place.data().join("archive/verifications/billing_day=2026-11-01")).unwrap();
    place.write(&format!("data/archive/{path}"), "left over");
    place.write("data/.staging/left-over.parquet", "left over");
    std::fs::create_dir(place.data().join(".staging/reports-left-over")).unwrap();
    place.night(&[]).expect(4);
    // What is there under a staged name and can't be read is kept, out of the way.
    let set_aside = files_below(&place.data().join("set-aside"));
    assert_eq!(set_aside.len(), 1, "{set_aside:?}");
    std::fs::remove_dir_all(place.data().join("set-aside")).unwrap();
    check(&place, &made_up(IDS, 3, "FACE_LIVENESS"), "cut off by hand");
    place.idvault(&["verify", "--read-data"]).expect(0);
}

/// A run over 300 slow ids that has committed some of them.
fn under_way(vendor: &Vendor, more: &[&str]) -> (Place, Running) {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(IDS, 3, "FACE_LIVENESS"));
    let mut args = vec!["--pending", &source, "--concurrency", "8"];
    args.extend(more);
    let run = Running::start(&mut place.night_of(vendor, &args));
    (place, run)
}

#[test]
fn replies_and_rows_of_a_run_that_was_cut_off_are_kept_together() {
    let vendor = Vendor::start(Mix::AllFinal, Duration::from_millis(50));
    let (place, run) = under_way(&vendor, &[]);
    wait_until("some replies are committed", || committed(&place) >= 10);
    drop(run);
    let kept = committed(&place);
    let answered = place.count("SELECT count(*) FROM transactions WHERE state = 'answered'");
    assert_eq!(answered, kept, "the reply and its row are one commit");
    let counted = place.idvault(&["status", "--json"]).expect(0).json();
    assert_eq!(counted["states"]["journalled"], kept);
    assert_eq!(counted["states"]["pending"], IDS as u64 - kept);
    place.idvault(&["verify"]).expect(0);
    let before = vendor.counts().finals;
    place.night_of(&vendor, &[]).status().unwrap();
    assert_eq!(
        vendor.counts().finals - before,
        IDS as u64 - kept,
        "what was kept is not asked for again"
    );
    assert_eq!(place.states(), BTreeMap::from([("archived".to_owned(), IDS as u64)]));
    place.idvault(&["verify", "--read-data"]).expect(0);
}

/// Every call that was begun was waited for and is in the archive, and the rest is still pending.
#[track_caller]
fn assert_nothing_in_flight_lost(place: &Place, vendor: &Vendor) {
    let counts = vendor.counts();
    let answered = counts.finals;
    assert!(answered > 0 && answered < IDS as u64, "{answered}");
    // The sandbox counts a call when it comes, and an answer only where the caller waited for it.
    assert_eq!(counts.calls, answered);
    assert_eq!(place.archived("verifications").len() as u64, answered);
    let states = BTreeMap::from([
        ("archived".to_owned(), answered),
        ("pending".to_owned(), IDS as u64 - answered),
    ]);
    assert_eq!(place.states(), states);
    place.idvault(&["verify", "--read-data"]).expect(0);
}

fn reasons(place: &Place) -> String {
    place.summary()["reasons"].to_string()
}

#[test]
fn a_signal_keeps_and_publishes_what_is_in_flight_and_says_so() {
    for signal in ["-TERM", "-INT"] {
        let vendor = Vendor::start(Mix::AllFinal, Duration::from_millis(200));
        let (place, run) = under_way(&vendor, &[]);
        wait_until("some replies are committed", || committed(&place) >= 10);
        run.signal(signal);
        let asked = tokio::time::Instant::now();
        run.end().expect(4);
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        assert_nothing_in_flight_lost(&place, &vendor);
        let reasons = reasons(&place);
        assert!(reasons.contains("a signal stopped the run"), "{signal}: {reasons}");
        assert!(reasons.contains("due records are left"), "{signal}: {reasons}");
    }
}

#[test]
fn a_second_signal_of_either_kind_ends_at_once() {
    // Nothing is answered within the grace of the first signal, so only the second one can end it with this code.
    let vendor = Vendor::start(Mix::AllFinal, Duration::from_mins(1));
    let (place, mut run) = under_way(&vendor, &[]);
    wait_until("the first call is in flight", || vendor.counts().calls >= 1);
    run.terminate();
    let mut said = BufReader::new(run.0.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("stopping: ")));
    run.signal("-INT");
    assert_eq!(run.0.wait().unwrap().code(), Some(128 + 2));
    assert_eq!(place.states(), BTreeMap::from([("pending".to_owned(), IDS as u64)]));
}

#[test]
fn a_time_limit_begins_no_more_calls_and_publishes_what_it_has() {
    let vendor = Vendor::start(Mix::AllFinal, Duration::from_millis(200));
    // 300 ids of 200 ms, 8 at a time, take 7.5 s.
    let (place, run) = under_way(&vendor, &["--time-limit", "2s"]);
    run.end().expect(4);
    assert_nothing_in_flight_lost(&place, &vendor);
    assert!(
        reasons(&place).contains("the time limit stopped the run"),
        "{}",
        reasons(&place)
    );
}
