//! Killed at every step of `close`: the month is not closed, or closed with its record whole. The next `close` makes good for
//! it, and says the same figures. And what a run that was killed left in the journal keeps its month open.
//!
//! `IDVAULT_CRASH_CLOSES` sets how many random calls are drawn beside the named points, `IDVAULT_CRASH_SEED` which.

use std::os::unix::process::ExitStatusExt as _;

use idvault::record::sha256_hex;
use rusqlite::OptionalExtension as _;

use super::super::closing::{FOURTH, OCTOBER, after_october, october, record_path};
use super::super::verify::copy_of;
use super::super::{Ended, Place, setting};
use super::{ANY_CALL, Disk, calls_of};

/// Calls that are drawn.
const CALLS: u64 = 6;
const SEED: u64 = 20_261_104;
const CLOSE: [&str; 5] = [
    "close",
    "--month",
    "2026-10",
    "--accept",
    "no-bill=there is no bill in a test",
];
const SIGKILL: i32 = 9;

/// By its name: the rules of one `close` after the other, and whether the month is closed then.
type Point = (&'static str, &'static [&'static str], bool);

const POINTS: &[Point] = &[
    ("before the record is committed", &["write:*-wal kill-before"], false),
    ("within the record's commit", &["write:*-wal#2 kill-half"], false),
    ("the WAL is begun", &["sync:*-wal kill-after"], false),
    ("before the record is durable", &["sync:*-wal#2 kill-before"], true),
    ("after the record's commit", &["sync:*-wal#2 kill-after"], true),
    (
        "the folder of the records is made",
        &["mkdir:*/closed kill-after"],
        true,
    ),
    (
        "the record's file is made",
        &["create:*/.staging/closed-* kill-after"],
        true,
    ),
    (
        "within the record's file",
        &["write:*/.staging/closed-* kill-half"],
        true,
    ),
    (
        "before the file's sync",
        &["sync:*/.staging/closed-* kill-before"],
        true,
    ),
    ("after the file's sync", &["sync:*/.staging/closed-* kill-after"], true),
    (
        "before the file gets its name",
        &["rename:*/closed/* kill-before"],
        true,
    ),
    ("after the file got its name", &["rename:*/closed/* kill-after"], true),
    (
        "the file's name is durable",
        &["rename:*/closed/* sync:*/closed kill-after"],
        true,
    ),
    (
        "within the last checkpoint",
        &["rename:*/closed/* write:*/ledger.sqlite kill-half"],
        true,
    ),
    (
        "twice: before the record is committed, and before its file gets its name",
        &["write:*-wal kill-before", "rename:*/closed/* kill-before"],
        true,
    ),
    (
        "twice: within the record's file",
        &[
            "write:*/.staging/closed-* kill-half",
            "write:*/.staging/closed-* kill-half",
        ],
        true,
    ),
];

/// A `close` that the rule kills; false where it ended before that.
fn is_killed(place: &Place, rule: &str, why: &str) -> bool {
    let disk = Disk::that(rule);
    let output = disk.under(&mut place.command(&CLOSE)).output().unwrap();
    if output.status.signal() == Some(SIGKILL) {
        assert!(disk.fired().is_some(), "{why}: killed by something else");
        return true;
    }
    assert!(disk.fired().is_none(), "{why}: not killed");
    Ended::of(output).expect(0);
    false
}

/// The second look at a file is for its hash.
#[test]
fn a_month_with_a_file_that_can_not_be_hashed_is_not_closed() {
    let place = after_october();
    for error in ["EIO", "EACCES"] {
        let files = place
            .archive_files()
            .iter()
            .filter(|file| file.starts_with("verifications/"))
            .count();
        let disk = Disk::that(&format!(
            "open:*/archive/verifications/*.parquet#{} fail-once:{error}",
            files + 1
        ));
        let ended = Ended::of(disk.under(&mut place.command(&CLOSE)).output().unwrap()).expect(9);
        assert!(disk.fired().is_some());
        assert!(ended.stdout.contains(".parquet can't be hashed: "), "{}", ended.stdout);
        assert_eq!(closed(&place, error), None);
    }
    Ended::of(place.command(&CLOSE).output().unwrap()).expect(0);
}

/// The record in the ledger. What is there is whole, and so is its file.
#[track_caller]
fn closed(place: &Place, why: &str) -> Option<String> {
    let row = place
        .ledger()
        .query_row("SELECT record, sha256 FROM closed_months", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })
        .optional()
        .unwrap();
    let file = std::fs::read_to_string(record_path(place)).ok();
    let Some((record, sha256)) = row else {
        assert_eq!(file, None, "{why}: a file without a record");
        return None;
    };
    assert_eq!(sha256_hex(record.as_bytes()), sha256, "{why}");
    assert!(
        file.is_none_or(|file| file == record),
        "{why}: another file than the record"
    );
    Some(record)
}

/// A plain `close`, and what must be so after it.
#[track_caller]
fn ends_well(place: &Place, figures: &str, why: &str) {
    let before = closed(place, why);
    let said = place.idvault(&CLOSE).expect(0).stdout;
    let after = closed(place, why).expect("the month is closed");
    assert_eq!(said.contains("was closed already"), before.is_some(), "{why}: {said}");
    assert!(
        before.is_none_or(|before| before == after),
        "{why}: the record was changed"
    );
    assert_eq!(std::fs::read_to_string(record_path(place)).unwrap(), after, "{why}");
    assert_eq!(place.idvault(&OCTOBER).expect(0).stdout, figures, "{why}");
    place.idvault(&["verify"]).expect(0);
}

#[test]
fn killed_at_every_named_point_of_close_the_month_is_open_or_closed_whole() {
    let whole = after_october();
    let figures = copy_of(&whole).idvault(&OCTOBER).expect(0).stdout;
    for (name, rules, is_closed) in POINTS {
        let place = copy_of(&whole);
        for rule in *rules {
            let why = format!("{name}: DISK_RULE={rule:?}");
            assert!(is_killed(&place, rule, &why), "{why}: never came");
        }
        assert_eq!(closed(&place, name).is_some(), *is_closed, "{name}");
        ends_well(&place, &figures, name);
    }
}

#[test]
fn killed_at_any_call_of_close_the_month_is_open_or_closed_whole() {
    let seed = setting("IDVAULT_CRASH_SEED").unwrap_or(SEED);
    let wanted = setting("IDVAULT_CRASH_CLOSES").unwrap_or(CALLS);
    println!("IDVAULT_CRASH_SEED={seed} IDVAULT_CRASH_CLOSES={wanted} repeat this");
    let mut random = fastrand::Rng::with_seed(seed);
    let whole = after_october();
    let figures = copy_of(&whole).idvault(&OCTOBER).expect(0).stdout;
    let calls = calls_of(&mut copy_of(&whole).command(&CLOSE), 0);
    let (mut kills, mut missed) = (0, 0);
    while kills < wanted {
        let place = copy_of(&whole);
        let call = random.usize(1..=calls);
        let manner = random.choice(["before", "half", "after"]).unwrap();
        let rule = format!("{ANY_CALL}#{call} kill-{manner}");
        let why = format!("IDVAULT_CRASH_SEED={seed} DISK_RULE={rule:?}");
        if is_killed(&place, &rule, &why) {
            kills += 1;
        } else {
            missed += 1;
            assert!(missed < 10 + wanted, "{why}: close ends before it is killed");
        }
        closed(&place, &why);
        ends_well(&place, &figures, &why);
    }
    println!("{kills} random calls of close: each month is open or closed whole, and then closed");
}

/// Replies that are in the ledger and not in the archive would be missing in the figures. Those that the vendor has not
/// given yet are named in the record.
#[test]
fn a_month_is_not_closed_while_replies_of_it_are_only_in_the_journal() {
    let mut place = Place::new();
    place.now = "2026-10-20T02:00:00Z";
    let pending = place.write("october.csv", october(40, 2, "FACE_LIVENESS"));
    let night = ["run", "--sandbox", "--qps", "unlimited", "--pending", &pending];
    let disk = Disk::that("create:*/.staging/*.parquet kill-before");
    let killed = disk.under(&mut place.command(&night)).output().unwrap();
    assert_eq!(killed.status.signal(), Some(SIGKILL));
    let states = place.states();
    assert!(states["journalled"] > 20 && states["pending"] > 0, "{states:?}");
    place.now = FOURTH;
    let said = place.idvault(&CLOSE).expect(4).stdout;
    let replies = format!("{} replies are not in the archive yet", states["journalled"]);
    assert!(said.contains(&replies), "{said}");
    assert_eq!(closed(&place, "journalled"), None);
    place.night(&[]);
    let record = closed_now(&place);
    let states = place.states();
    assert!(
        !states.contains_key("journalled") && states["pending"] > 0,
        "{states:?}"
    );
    for (state, count) in states {
        assert_eq!(record["states"][&state], count, "{state}");
    }
}

fn closed_now(place: &Place) -> serde_json::Value {
    place.idvault(&CLOSE).expect(0);
    serde_json::from_str(&closed(place, "closed now").unwrap()).unwrap()
}
