//! A night ends when it has done all it can: what one pass leaves gets further ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use idvault::sandbox::{Faults, Mix, SandboxSettings};

use super::{Ended, Place, Vendor, WallClock, made_up};
use crate::common::server::serve;
use crate::common::vendor::{error, verdict};

/// The pauses of all runs here.
const PAUSES: [&str; 2] = ["--pauses", "20ms,50ms,100ms,200ms"];

/// A run that asks `url`, as fast as it goes, with further passes.
fn run_of(place: &Place, url: &str, args: &[&str]) -> Command {
    let mut all = vec!["run", "--endpoint", url, "--qps", "unlimited"];
    all.extend(PAUSES);
    all.extend(args);
    let mut command = place.command(&all);
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    command
}

fn run(place: &Place, url: &str, args: &[&str]) -> Ended {
    Ended::of(run_of(place, url, args).output().unwrap())
}

fn fetch(place: &Place, name: &str) -> u64 {
    place.summary()["fetch"][name].as_u64().unwrap()
}

#[test]
fn three_faults_in_ten_leave_nothing_after_one_run() {
    let vendor = Vendor::with(
        Arc::new(WallClock),
        SandboxSettings {
            faults: Faults {
                server_errors: 0.1,
                resets: 0.1,
                cut_bodies: 0.1,
                ..Faults::default()
            },
            answers: Mix::AllFinal,
            seed: 5,
            ..SandboxSettings::default()
        },
    );
    let place = Place::new();
    let source = place.write("pending.csv", made_up(2_000, 4, "FACE_LIVENESS"));
    let args = [&PAUSES[..], &["--pending", &source]].concat();
    let ended = Ended::of(place.night_of(&vendor, &args).output().unwrap()).expect(0);
    assert_eq!(place.archived("verifications").len(), 2_000);
    assert_eq!(fetch(&place, "left"), 0);
    let (passes, attempts, retries) = (
        fetch(&place, "passes"),
        fetch(&place, "attempts"),
        fetch(&place, "retries"),
    );
    assert!(
        passes > 1 && ended.stderr.contains("asking again in"),
        "{}",
        ended.stderr
    );
    // The budget of each pass: 20 retries, and one for every six calls.
    assert!(retries <= 20 * passes + (attempts - retries) / 6, "{}", place.summary());
    println!("{passes} passes, {attempts} attempts, {retries} retries");
}

#[test]
fn ids_that_always_fail_keep_no_other_back_and_are_named_in_the_end() {
    let url = serve(|request| {
        let id = request.parameter("TransactionId").unwrap();
        if id.ends_with('7') {
            error(500, "InternalError")
        } else {
            verdict("Y", "200")
        }
    });
    let place = Place::new();
    place.write("idvault.toml", "[retry]\nattempts_per_call = 2\n");
    let source = place.write("pending.csv", made_up(400, 4, "FACE_LIVENESS"));
    let ended = run(&place, &url, &["--pending", &source, "--concurrency", "16"]).expect(4);
    assert_eq!(place.archived("verifications").len(), 360);
    assert!(
        ended.stderr.contains("40 due records are left for the next run"),
        "{}",
        ended.stderr
    );
    let named: BTreeSet<String> = place
        .report("left.csv")
        .into_iter()
        .map(|line| {
            assert_eq!(line["last_call_code"], "InternalError");
            line["transaction_id"].clone()
        })
        .collect();
    let failing: BTreeSet<String> = (0..400)
        .filter(|number| number % 10 == 7)
        .map(|number| format!("made{number:05}"))
        .collect();
    assert_eq!(named, failing);
    assert_eq!(
        fetch(&place, "passes"),
        4,
        "one that brought something, and three that did not"
    );
    // They failed in four passes of one run.
    assert_eq!(
        place.count("SELECT count(*) FROM transactions WHERE failed_runs = 1"),
        40
    );
}

#[test]
fn a_nonce_that_was_used_costs_a_further_pass_and_no_further_night() {
    let asked: Mutex<BTreeSet<String>> = Mutex::default();
    let url = serve(move |request| {
        let id = request.parameter("TransactionId").unwrap();
        if asked.lock().unwrap().insert(id) {
            error(400, "SignatureNonceUsed")
        } else {
            verdict("Y", "200")
        }
    });
    let place = Place::new();
    let source = place.write("pending.csv", made_up(300, 4, "FACE_LIVENESS"));
    run(&place, &url, &["--pending", &source]).expect(0);
    assert_eq!(place.archived("verifications").len(), 300);
}

/// An id is quarantined after runs in which it failed, and each has several passes. One that was asked for too often is asked for
/// once a run.
#[test]
fn passes_do_not_count_as_runs() {
    let calls: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let counted = calls.clone();
    let url = serve(move |request| {
        let id = request.parameter("TransactionId").unwrap();
        *counted.lock().unwrap().entry(id.clone()).or_default() += 1;
        match id.as_str() {
            "bad" => error(500, "InternalError"),
            "often" => error(401, "Forbidden.ExceptionRepeatedInvoke"),
            _ => verdict("Y", "200"),
        }
    });
    let place = Place::new();
    place.write(
        "idvault.toml",
        "[retry]\nattempts_per_call = 2\nquarantine_after_runs = 2\n",
    );
    let rows =
        "transaction_id,verified_at\ngood,2026-11-20T10:00:00Z\nbad,2026-11-20T10:00:00Z\noften,2026-11-20T10:00:00Z\n";
    let source = place.write("pending.csv", rows);
    run(&place, &url, &["--pending", &source]).expect(4);
    let failed = "SELECT failed_runs FROM transactions WHERE transaction_id <> 'good' AND state = 'pending'";
    assert_eq!(place.counts(failed), [1, 1]);
    assert_eq!(calls.lock().unwrap()["often"], 1);
    assert!(calls.lock().unwrap()["bad"] > 4, "more than the attempts of one pass");
    run(&place, &url, &["--pending", &source]).expect(4);
    assert_eq!(place.states().get("quarantined"), Some(&2));
}

/// The first call of one region is answered only when all of the other region were.
#[test]
fn the_first_call_of_a_region_goes_alone_and_other_regions_do_not_wait_for_it() {
    const IDS: usize = 40;
    let (answered, first_of_slow) = (Arc::new((Mutex::new(0), Condvar::new())), Mutex::new(0));
    let fast_answered = answered.clone();
    let fast = serve(move |_| {
        let (count, changed) = &*fast_answered;
        *count.lock().unwrap() += 1;
        changed.notify_all();
        verdict("Y", "200")
    });
    let alone = Arc::new(Mutex::new(true));
    let was_alone = alone.clone();
    let slow = serve(move |_| {
        let first = {
            let mut calls = first_of_slow.lock().unwrap();
            *calls += 1;
            *calls == 1
        };
        let (count, changed) = &*answered;
        let count = count.lock().unwrap();
        if first {
            drop(changed.wait_while(count, |count| *count < IDS).unwrap());
        } else if *count < IDS {
            *was_alone.lock().unwrap() = false;
        }
        verdict("Y", "200")
    });
    let place = Place::new();
    place.write(
        "idvault.toml",
        format!("[endpoints]\nap-southeast-1 = '{fast}'\nap-southeast-5 = '{slow}'\n"),
    );
    let mut rows = "transaction_id,region,verified_at\n".to_owned();
    for number in 0..IDS {
        for (name, region) in [("f", "ap-southeast-1"), ("s", "ap-southeast-5")] {
            writeln!(rows, "{name}{number:02},{region},2026-11-20T10:00:00Z").unwrap();
        }
    }
    let source = place.write("pending.csv", rows);
    let mut command = place.command(&["run", "--qps", "1000", "--pending", &source]);
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    Ended::of(command.output().unwrap()).expect(0);
    assert_eq!(place.archived("verifications").len(), 2 * IDS);
    assert!(
        *alone.lock().unwrap(),
        "a second call came before the first was answered"
    );
}
