//! Every place that writes, with a disk that fails there: the run ends with 6 or 7 and names the file, nothing is seen
//! half-written, nothing is lost, and a run with a good disk completes.
//!
//! By default each place fails in one way, the next one in another; `IDVAULT_FAULTS_ALL=1` takes all. `IDVAULT_FAULT_CALLS` sets how many
//! calls are drawn to fail, `IDVAULT_FAULT_SEED` which.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::checker::check;
use super::super::setting;
use super::night::{CONCURRENCY, Night};
use super::{ANY_CALL, calls_of};

/// What a rule's last step is, the exit code, and what standard error names.
type Place = (&'static str, i32, &'static str);

const PLACES: &[Place] = &[
    ("mkdir:*/data", 7, "/data"),
    ("mkdir:*/data sync:*", 7, "sync"),
    ("create:*/lock", 6, "/lock"),
    ("create:*/ledger.sqlite", 6, "ledger.sqlite"),
    ("create:*/ledger.sqlite#2", 6, "ledger.sqlite"),
    ("write:*/ledger.sqlite-journal", 6, "ledger.sqlite"),
    ("write:*/ledger.sqlite", 6, "ledger.sqlite"),
    ("sync:*/ledger.sqlite", 6, "ledger.sqlite"),
    ("create:*/ledger.sqlite-wal", 6, "ledger.sqlite"),
    ("write:*/ledger.sqlite-wal", 6, "ledger.sqlite"),
    ("write:*/ledger.sqlite-wal#12 sync:*-wal", 6, "ledger.sqlite"),
    ("mkdir:*/data/archive", 7, "/archive"),
    ("mkdir:*/.staging", 7, "/.staging"),
    ("mkdir:*/.staging sync:*/data", 7, "/data"),
    ("mkdir:*/.staging write:*-wal", 6, "ledger.sqlite"),
    ("mkdir:*/.staging sync:*-wal", 6, "ledger.sqlite"),
    ("mkdir:*/data/reports", 7, "/reports"),
    ("mkdir:*/.staging/reports-*", 7, "/reports-"),
    ("create:*/rejected.csv", 7, "rejected.csv"),
    ("write:*/rejected.csv", 7, "rejected.csv"),
    ("create:*/rejected.csv sync:*-wal", 6, "ledger.sqlite"),
    ("create:*/rejected.csv write:*-wal", 6, "ledger.sqlite"),
    ("create:*/rejected.csv write:*-wal#3 sync:*-wal", 6, "ledger.sqlite"),
    ("create:*/.staging/probe", 7, "/.staging/probe"),
    ("write:*/.staging/probe", 7, "/.staging/probe"),
    ("sync:*/.staging/probe", 7, "/.staging/probe"),
    ("recv:socket:* write:*-wal", 6, "ledger.sqlite"),
    ("recv:socket:* sync:*-wal", 6, "ledger.sqlite"),
    ("recv:socket:* sync:*-wal#3", 6, "ledger.sqlite"),
    ("create:*/.staging/*.parquet", 7, ".parquet"),
    ("write:*/.staging/*.parquet", 7, ".parquet"),
    ("sync:*/.staging/*.parquet", 7, ".parquet"),
    (
        "create:*/.staging/*.parquet#2 write:*/.staging/*.parquet",
        7,
        ".parquet",
    ),
    ("sync:*/.staging/*.parquet write:*-wal", 6, "ledger.sqlite"),
    ("sync:*/.staging/*.parquet sync:*-wal", 6, "ledger.sqlite"),
    ("mkdir:*/archive/verifications", 7, "/archive/verifications"),
    ("mkdir:*/archive/verifications sync:*/archive", 7, "/archive"),
    ("mkdir:*/billing_day=*", 7, "/billing_day="),
    (
        "mkdir:*/billing_day=* sync:*/archive/verifications",
        7,
        "/archive/verifications",
    ),
    ("rename:*/archive/*.parquet", 7, ".parquet"),
    ("rename:*/archive/*.parquet#2", 7, ".parquet"),
    ("rename:*/archive/*.parquet sync:*/billing_day=*", 7, "/billing_day="),
    ("rename:*/archive/*.parquet write:*-wal", 6, "ledger.sqlite"),
    ("rename:*/archive/*.parquet sync:*-wal", 6, "ledger.sqlite"),
    ("create:*/billing.csv", 7, "billing.csv"),
    ("write:*/billing.csv", 7, "billing.csv"),
    ("write:*/expiry.csv", 7, "expiry.csv"),
    ("write:*/quarantine.csv", 7, "quarantine.csv"),
    ("write:*/summary.json", 7, "summary.json"),
    ("write:*/report.html", 7, "report.html"),
    ("sync:*/billing.csv", 7, "billing.csv"),
    ("sync:*/.staging/reports-*", 7, "/reports-"),
    ("rename:*/reports/2*", 7, "/reports/2"),
    ("rename:*/reports/2* sync:*/reports", 7, "/reports"),
    ("symlink:*.latest", 7, ".latest"),
    ("rename:*/reports/latest", 7, "/reports/latest"),
    ("rename:*/reports/latest sync:*/reports", 7, "/reports"),
    ("rename:*/reports/latest write:*-wal", 6, "ledger.sqlite"),
    ("rename:*/reports/latest sync:*-wal", 6, "ledger.sqlite"),
    ("rename:*/reports/latest write:*/ledger.sqlite", 6, "ledger.sqlite"),
    ("rename:*/reports/latest sync:*/ledger.sqlite", 6, "ledger.sqlite"),
];

/// Those of a night whose ledger holds ids already, as all do but the first.
const LATER_PLACES: &[Place] = &[
    ("create:*/rejected.csv write:*-wal", 6, "ledger.sqlite"),
    ("create:*/rejected.csv write:*-wal#3 sync:*-wal", 6, "ledger.sqlite"),
];

const ERRORS: [&str; 5] = ["ENOSPC", "EIO", "EDQUOT", "EROFS", "EACCES"];

/// Calls that are drawn to fail.
const CALLS: u64 = 8;
const SEED: u64 = 20_261_122;

/// Every way in which a place can fail, or one of them, another at every place.
fn manners(place: usize, step: &str) -> Vec<String> {
    let lasting = ERRORS.map(|error| format!("fail:{error}"));
    let once = ERRORS.map(|error| format!("fail-once:{error}"));
    let mut all: Vec<String> = lasting.into_iter().zip(once).flat_map(|(a, b)| [a, b]).collect();
    // A disk that fills up takes a part of what is written.
    if step.rsplit(' ').next().unwrap().starts_with("write") {
        all.insert(0, "short:ENOSPC".to_owned());
    }
    if setting("IDVAULT_FAULTS_ALL").is_none() {
        let first = place % all.len();
        all.rotate_left(first);
        all.truncate(1);
    }
    all
}

#[test]
fn wherever_the_disk_fails_the_run_says_so_and_the_next_one_completes() {
    let (mut cases, mut mended) = (0, 0);
    let first = PLACES.iter().map(|place| (place, false));
    let later = LATER_PLACES.iter().map(|place| (place, true));
    for (number, ((steps, code, named), later)) in first.chain(later).enumerate() {
        for manner in manners(number, steps) {
            let rule = format!("{steps} {manner}");
            let why = format!("DISK_RULE={rule:?}");
            let mut night = if later { Night::later() } else { Night::new(false) };
            let (ended, calls) = night.fails(&rule, &why);
            assert!(!calls.is_empty(), "{why}: never came: {}", ended.stderr);
            cases += 1;
            if ended.code == Some(4) && manner.starts_with("fail-once") && !calls[0].starts_with("sync ") {
                // It was done again, and well.
                check(&night.place, &night.text, &why);
                mended += 1;
                continue;
            }
            assert_eq!(ended.code, Some(*code), "{why}: {}", ended.stderr);
            let last = ended.stderr.lines().last().unwrap();
            assert!(last.starts_with("idvault: failed to "), "{why}: {last}");
            assert!(last.contains(named), "{why}: {last}");
            nothing_is_taken_for_durable_after(&calls, &why);
            night.ends_well(&why);
        }
    }
    println!(
        "{} places, {cases} faults: 0 lost, 0 twice; {mended} mended by the run itself",
        PLACES.len() + LATER_PLACES.len()
    );
}

/// `calls` from the one that failed: it is not synced again, no file gets a name in the archive, and only calls that were
/// begun already go out.
#[track_caller]
fn nothing_is_taken_for_durable_after(calls: &[String], why: &str) {
    let (failed, mut after) = calls.split_first().unwrap();
    // The first page of a new ledger has a rollback journal: SQLite undoes it by writing anew, and syncs that.
    let of_ledger = |call: &String, what: &str| call.starts_with(what) && call.ends_with("/ledger.sqlite");
    let undone = |call: &&String| of_ledger(call, "truncate ") || of_ledger(call, "write ");
    let anew = after.iter().take_while(undone).count();
    if let (1.., Some((synced, rest))) = (anew, after[anew..].split_first())
        && of_ledger(synced, "sync ")
    {
        after = rest;
    }
    if failed.starts_with("sync ") {
        assert!(!after.contains(failed), "{why}: synced again: {after:?}");
        let named = after
            .iter()
            .find(|call| call.starts_with("rename ") && call.contains("/archive/"));
        assert!(named.is_none(), "{why}: {named:?}");
    }
    let asked = after.iter().filter(|call| call.starts_with("send ")).count() as u64;
    assert!(asked <= CONCURRENCY, "{why}: {asked} calls after the fault");
}

#[test]
fn after_a_sync_of_the_ledger_that_failed_no_call_goes_out_and_the_run_ends_at_once() {
    for fault in ["sync:*-wal fail-once:EIO", "write:*-wal fail-once:ENOSPC"] {
        let mut night = Night::new(false);
        // Of two products: the lane that waits for its pace hears of it too.
        night.source(&[("FACE_LIVENESS", 40), ("ID_OCR", 40)]);
        // So slow that nothing can be due just when it fails.
        night.add_args(&["--qps", "4"]);
        let rule = format!("recv:socket:* {fault}");
        let started = Instant::now();
        let (ended, calls) = night.fails(&rule, &rule);
        ended.expect(6);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        assert!(!calls.is_empty(), "{rule}: never came");
        let asked: Vec<_> = calls[1..].iter().filter(|call| call.starts_with("send ")).collect();
        assert!(asked.is_empty(), "{rule}: {asked:?}");
        assert!(night.place.archive_files().is_empty(), "nothing is published");
    }
}

#[test]
fn where_large_replies_can_not_be_kept_or_removed_the_run_says_so_and_the_next_one_completes() {
    for fault in ["create:", "truncate:", "write:", "sync:", "sync:*-replies unlink:"] {
        for manner in ["fail:ENOSPC", "fail-once:EIO"] {
            let rule = format!("{fault}*-replies {manner}");
            let mut night = Night::new(true);
            let (ended, calls) = night.fails(&rule, &rule);
            let ended = ended.expect(6);
            assert!(
                ended.stderr.contains("ledger.sqlite-replies; check its disk"),
                "{rule}: {}",
                ended.stderr
            );
            assert!(!calls.is_empty(), "{rule}: never came");
            nothing_is_taken_for_durable_after(&calls, &rule);
            night.ends_well(&rule);
        }
    }
}

#[test]
fn wherever_the_disk_fails_by_chance_nothing_is_lost_and_nothing_is_twice() {
    let seed = setting("IDVAULT_FAULT_SEED").unwrap_or(SEED);
    let wanted = setting("IDVAULT_FAULT_CALLS").unwrap_or(CALLS);
    println!("IDVAULT_FAULT_SEED={seed} IDVAULT_FAULT_CALLS={wanted} repeat this");
    let mut random = fastrand::Rng::with_seed(seed);
    let calls_of_a_night = calls_of(&mut Night::new(false).command(), 4);
    let (mut codes, mut faults, mut missed) = (BTreeMap::new(), 0, 0);
    while faults < wanted {
        let call = random.usize(1..=calls_of_a_night);
        let manner = random.choice(["fail", "fail-once"]).unwrap();
        let error = random.choice(ERRORS).unwrap();
        let rule = format!("{ANY_CALL}#{call} {manner}:{error}");
        let why = format!("IDVAULT_FAULT_SEED={seed} DISK_RULE={rule:?}");
        let mut night = Night::new(false);
        let (ended, calls) = night.fails(&rule, &why);
        if calls.is_empty() {
            // The number of calls differs a little from night to night.
            missed += 1;
            assert!(missed < 10 * (wanted + 1), "{why}: the runs end before they fail");
            continue;
        }
        faults += 1;
        let code = ended.code.unwrap();
        match code {
            6 | 7 => {}
            // One that is no matter: something that could not be tidied away, or the sync of the folder, which SQLite does
            // not look at and idvault repeats for itself.
            4 if !calls[0].starts_with("sync ") || calls[0].ends_with("/data") => {
                check(&night.place, &night.text, &why);
            }
            _ => panic!("{why}: exit {code} after {}: {}", calls[0], ended.stderr),
        }
        *codes.entry(code).or_insert(0) += 1;
        night.ends_well(&why);
    }
    println!("{wanted} faults at random calls, by exit code {codes:?}: 0 lost, 0 twice");
}
