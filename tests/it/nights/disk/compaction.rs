//! `idvault compact` on a disk that kills it or fails, at every step and at calls in between: whoever reads the archive sees
//! every row once, `verify` finds no difference, and what comes next completes it.
//!
//! `IDVAULT_CRASH_CALLS` sets how many calls are drawn, `IDVAULT_CRASH_SEED` which.

use std::os::unix::process::ExitStatusExt as _;

use super::super::compact::{Rows, after_nights, after_nights_of, rows};
use super::super::verify::copy_of;
use super::super::{Ended, Place, files_below, setting};
use super::{ANY_CALL, Disk, calls_of};

/// Calls that are drawn.
const CALLS: u64 = 8;
const SEED: u64 = 20_261_122;

const SIGKILL: i32 = 9;

/// Each rule kills one compaction; where there are two, the second kills what would have mended the first.
const POINTS: &[&[&str]] = &[
    &["mkdir:*/swap-b kill-after"],
    &["swap:*/swap-b kill-after"],
    &["create:*/.staging/*.parquet kill-after"],
    &["write:*/.staging/face_images.*.parquet kill-half"],
    &["write:*/.staging/verifications.*.parquet kill-half"],
    &["sync:*/.staging/*.parquet kill-before"],
    &["sync:*/.staging/*.parquet kill-after"],
    &["mkdir:*/.staging/verifications.* kill-after"],
    // The second name of a file that stays.
    &["link:*/.staging/* kill-before"],
    &["link:*/.staging/* kill-after"],
    &["rename:*/.staging/*/*.parquet kill-before"],
    &["rename:*/.staging/*/*.parquet kill-after"],
    // The intent.
    &["rename:*/.staging/*/*.parquet write:*-wal kill-half"],
    &["rename:*/.staging/*/*.parquet sync:*-wal kill-before"],
    &["rename:*/.staging/*/*.parquet sync:*-wal kill-after"],
    // The folders change places.
    &["swap:*/archive/* kill-before"],
    &["swap:*/archive/* kill-after"],
    &["swap:*/archive/verifications/* kill-after"],
    &["link:*/.staging/* swap:*/archive/* kill-after"],
    &["swap:*/archive/* sync:*/archive/* kill-before"],
    &["swap:*/archive/* sync:*/.staging kill-after"],
    // The manifest's commit.
    &["swap:*/archive/* write:*-wal kill-before"],
    &["swap:*/archive/* write:*-wal#3 kill-half"],
    &["swap:*/archive/* sync:*-wal kill-before"],
    &["swap:*/archive/* sync:*-wal kill-after"],
    // What was merged is removed.
    &["unlink:*/.staging/*/*.parquet kill-before"],
    &["unlink:*/.staging/*/*.parquet kill-after"],
    &["unlink:*/.staging/*/*.parquet#2 unlink:*/.staging/verifications.* kill-before"],
    // The last commit.
    &["unlink:*/.staging/*/*.parquet#9 write:*-wal kill-half"],
    // What is completed first by the next one.
    &["swap:*/archive/* kill-after", "sync:*/archive/* kill-before"],
    &["swap:*/archive/* kill-after", "write:*-wal kill-half"],
    &["swap:*/archive/* kill-after", "sync:*-wal kill-after"],
    &[
        "swap:*/archive/* kill-after",
        "unlink:*/.staging/*/*.parquet kill-after",
    ],
    // What is taken back first by the next one.
    &["swap:*/archive/* kill-before", "write:*-wal kill-half"],
    &["swap:*/archive/* kill-before", "sync:*-wal kill-after"],
    &[
        "swap:*/archive/* kill-before",
        "unlink:*/.staging/*/*.parquet kill-after",
    ],
];

/// A compaction under that rule; what the archive says is as it was, to everybody. Gives how it ended.
fn compact_under(place: &Place, before: &Rows, rule: &str) -> (Disk, std::process::Output) {
    let disk = Disk::that(rule);
    let output = disk.under(&mut place.command(&["compact"])).output().unwrap();
    assert!(
        rows(place) == *before,
        "DISK_RULE={rule:?}: a row is missing or another"
    );
    let verified = place.idvault(&["verify"]);
    assert_eq!(verified.code, Some(0), "DISK_RULE={rule:?}: {}", verified.stdout);
    (disk, output)
}

/// False where it ended before it was killed.
fn is_killed(place: &Place, before: &Rows, rule: &str) -> bool {
    let (disk, output) = compact_under(place, before, rule);
    if output.status.signal() == Some(SIGKILL) {
        assert!(disk.fired().is_some(), "DISK_RULE={rule:?}: killed by something else");
        return true;
    }
    Ended::of(output).expect(0);
    false
}

/// Whatever is done first mends it, and then it is done.
fn ends_well(place: &Place, before: &Rows, turn: u64, why: &str) {
    match turn % 3 {
        0 => {}
        // Nothing is pending, and no source is named: that needs a look.
        1 => drop(place.night(&[]).expect(4)),
        _ => drop(place.idvault(&["verify", "--repair"]).expect(0)),
    }
    place.idvault(&["compact"]).expect(0);
    assert!(rows(place) == *before, "{why}: a row is missing or another");
    // A file for each day of each dataset, and the young one.
    assert_eq!(place.archive_files().len(), 7, "{why}");
    assert_eq!(files_below(&place.data().join(".staging")).len(), 0, "{why}");
    assert_eq!(
        place.count("SELECT count(*) FROM files WHERE state <> 'published' OR replaced_by IS NOT NULL"),
        0,
        "{why}"
    );
    place.idvault(&["verify", "--read-data"]).expect(0);
}

#[test]
fn killed_at_every_named_point_of_a_compaction_every_row_is_there_once() {
    let sound = after_nights();
    let before = rows(&sound);
    for (number, rules) in (0..).zip(POINTS) {
        let place = copy_of(&sound);
        for rule in *rules {
            assert!(is_killed(&place, &before, rule), "DISK_RULE={rule:?}: never came");
        }
        ends_well(&place, &before, number, &format!("{rules:?}"));
    }
    println!("{} named points of a compaction: 0 rows lost, 0 twice", POINTS.len());
}

#[test]
fn killed_at_any_call_of_a_compaction_every_row_is_there_once() {
    let seed = setting("IDVAULT_CRASH_SEED").unwrap_or(SEED);
    let wanted = setting("IDVAULT_CRASH_CALLS").unwrap_or(CALLS);
    println!("IDVAULT_CRASH_SEED={seed} IDVAULT_CRASH_CALLS={wanted} repeat this");
    let mut random = fastrand::Rng::with_seed(seed);
    let sound = after_nights();
    let before = rows(&sound);
    let calls = calls_of(&mut copy_of(&sound).command(&["compact"]), 0);
    let mut kills = 0;
    while kills < wanted {
        let place = copy_of(&sound);
        let mut why = format!("IDVAULT_CRASH_SEED={seed}");
        for _ in 0..random.u64(1..=3) {
            let call = random.usize(1..=calls);
            let manner = random.choice(["before", "half", "after"]).unwrap();
            let rule = format!("{ANY_CALL}#{call} kill-{manner}");
            why = format!("{why} DISK_RULE={rule:?}");
            kills += u64::from(is_killed(&place, &before, &rule));
        }
        ends_well(&place, &before, random.u64(..), &why);
    }
    println!("{kills} kills of a compaction at random calls of {calls}: 0 rows lost, 0 twice");
}

/// What a rule's last step is, the exit code, and what standard error names.
const FAILING: &[(&str, i32, &str)] = &[
    ("mkdir:*/swap-a", 7, "/swap-a"),
    ("create:*/.staging/*.parquet", 7, ".parquet"),
    ("write:*/.staging/*.parquet", 7, ".parquet"),
    ("sync:*/.staging/*.parquet", 7, ".parquet"),
    ("mkdir:*/.staging/verifications.*", 7, "/.staging/verifications."),
    ("link:*/.staging/*", 7, ".parquet"),
    ("rename:*/.staging/*/*.parquet", 7, ".parquet"),
    ("rename:*/.staging/*/*.parquet write:*-wal", 6, "ledger.sqlite"),
    ("rename:*/.staging/*/*.parquet sync:*-wal", 6, "ledger.sqlite"),
    ("swap:*/archive/*", 7, "/billing_day="),
    ("swap:*/archive/* sync:*/archive/*", 7, "/archive/"),
    ("swap:*/archive/* sync:*/.staging", 7, "/.staging"),
    ("swap:*/archive/* write:*-wal", 6, "ledger.sqlite"),
    ("swap:*/archive/* sync:*-wal", 6, "ledger.sqlite"),
    ("unlink:*/.staging/*/*.parquet", 7, "/.staging/"),
];

#[test]
fn wherever_the_disk_fails_a_compaction_says_so_and_the_next_one_completes() {
    let sound = after_nights();
    let before = rows(&sound);
    for (number, (steps, code, named)) in (0..).zip(FAILING) {
        let manner = ["fail:EIO", "fail-once:ENOSPC", "fail-once:EIO"][number % 3];
        let rule = format!("{steps} {manner}");
        let place = copy_of(&sound);
        let (disk, output) = compact_under(&place, &before, &rule);
        assert!(disk.fired().is_some(), "DISK_RULE={rule:?}: never came");
        let ended = Ended::of(output);
        assert_eq!(ended.code, Some(*code), "DISK_RULE={rule:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(named), "DISK_RULE={rule:?}: {}", ended.stderr);
        ends_well(&place, &before, number as u64, &rule);
    }
}

/// Between the change of places and the manifest's commit the merged files are what the archive has.
#[test]
fn a_month_can_be_compared_and_closed_after_a_compaction_that_was_cut_off() {
    let sound = after_nights_of(10);
    let before = rows(&sound);
    let records = "transaction_id,created_at,product_code\nnever-seen,2026-10-01T08:00:00Z,FACE_LIVENESS\n";
    let compared = |place: &Place| {
        let records = place.write("records.csv", records);
        let ended = place.idvault(&["reconcile", "--records", &records, "--month", "2026-10"]);
        assert!(!ended.stderr.contains("archive and ledger differ"), "{}", ended.stderr);
        (ended.code, ended.stdout)
    };
    let place = copy_of(&sound);
    let rule = "swap:*/archive/verifications/* kill-after";
    assert!(is_killed(&place, &before, rule), "DISK_RULE={rule:?}: never came");
    assert_eq!(compared(&place), compared(&sound));
    let close = [
        "close",
        "--month",
        "2026-10",
        "--accept",
        "no-bill=there is no bill in a test",
    ];
    place.idvault(&close).expect(0);
    for command in ["verify", "compact", "verify"] {
        place.idvault(&[command]).expect(0);
    }
    assert!(rows(&place) == before, "a row is missing or another");
}

/// As on a file system that doesn't know the step.
#[test]
fn where_folders_can_t_change_places_in_one_step_nothing_is_changed() {
    let sound = after_nights();
    let before = rows(&sound);
    let place = copy_of(&sound);
    let files = place.archive_files();
    let runs = place.count("SELECT count(*) FROM runs");
    let (_, output) = compact_under(&place, &before, "swap:* fail:EINVAL");
    let ended = Ended::of(output).expect(7);
    assert!(
        ended
            .stderr
            .contains("its file system can't put a folder in the place of another"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        (place.archive_files(), place.count("SELECT count(*) FROM runs")),
        (files, runs)
    );
    ends_well(&place, &before, 0, "with a file system that can");
}
