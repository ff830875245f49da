//! Killed at every step of a night: each step has a name and a rule, and then the calls in between come at random.
//!
//! Started again, a plain run loses nothing, archives nothing twice, leaves nothing over, and asks again for no more ids
//! than were in flight. `IDVAULT_CRASH_CALLS` sets how many calls are drawn, `IDVAULT_CRASH_SEED` which.

use super::super::setting;
use super::night::{CONCURRENCY, Night};
use super::{ANY_CALL, calls_of};

/// Calls that are drawn.
const CALLS: u64 = 8;
const SEED: u64 = 20_261_122;

/// By its name: the rules of the runs, one after the other, each of which ends the run.
type Point = (&'static str, &'static [&'static str]);

const POINTS: &[Point] = &[
    ("the data folder is made", &["mkdir:*/data kill-after"]),
    ("the lock file is made", &["create:*/lock kill-after"]),
    ("the ledger is made and empty", &["create:*/ledger.sqlite kill-after"]),
    (
        "the ledger's first page is half written",
        &["write:*/ledger.sqlite kill-half"],
    ),
    (
        "the ledger's first page is written",
        &["sync:*/ledger.sqlite kill-before"],
    ),
    (
        "the ledger is turned to WAL mode",
        &["unlink:*/ledger.sqlite-journal kill-before"],
    ),
    (
        "the schema is half written",
        &["write:*/ledger.sqlite-wal#12 kill-half"],
    ),
    (
        "the schema is written",
        &["write:*/ledger.sqlite-wal#12 sync:*/ledger.sqlite-wal kill-before"],
    ),
    (
        "the schema is committed",
        &["write:*/ledger.sqlite-wal#12 sync:*/ledger.sqlite-wal kill-after"],
    ),
    ("the archive's folder is made", &["mkdir:*/data/archive kill-after"]),
    (
        "the rows are half taken in",
        &["create:*/rejected.csv write:*-wal kill-half"],
    ),
    (
        "the rows are taken in, and not durable",
        &["create:*/rejected.csv write:*-wal#3 sync:*-wal kill-before"],
    ),
    (
        "the rows are taken in",
        &["create:*/rejected.csv write:*-wal#3 sync:*-wal kill-after"],
    ),
    ("a reply was received", &["recv:socket:* kill-after"]),
    (
        "a reply was received after some were committed",
        &["recv:socket:* sync:*-wal#3 recv:socket:* kill-after"],
    ),
    ("before the ledger's commit", &["recv:socket:* write:*-wal kill-before"]),
    ("within the ledger's commit", &["recv:socket:* write:*-wal#4 kill-half"]),
    (
        "before the ledger's commit is durable",
        &["recv:socket:* sync:*-wal kill-before"],
    ),
    ("after the ledger's commit", &["recv:socket:* sync:*-wal kill-after"]),
    ("after several commits", &["recv:socket:* sync:*-wal#5 kill-after"]),
    ("a Parquet file is made", &["create:*/.staging/*.parquet kill-after"]),
    ("within a Parquet file", &["write:*/.staging/*.parquet kill-half"]),
    (
        "within the second Parquet file",
        &["create:*/.staging/*.parquet#2 write:*/.staging/*.parquet kill-half"],
    ),
    (
        "before a Parquet file's sync",
        &["sync:*/.staging/*.parquet kill-before"],
    ),
    ("after a Parquet file's sync", &["sync:*/.staging/*.parquet kill-after"]),
    (
        "within the intent to publish",
        &["sync:*/.staging/*.parquet write:*-wal kill-half"],
    ),
    (
        "after the intent to publish",
        &["sync:*/.staging/*.parquet sync:*-wal kill-after"],
    ),
    ("a billing day's folder is made", &["mkdir:*/billing_day=* kill-after"]),
    (
        "before a Parquet file gets its name",
        &["rename:*/archive/*.parquet kill-before"],
    ),
    (
        "after a Parquet file got its name",
        &["rename:*/archive/*.parquet kill-after"],
    ),
    (
        "after the last Parquet file got its name",
        &["rename:*/archive/*.parquet#3 kill-after"],
    ),
    (
        "before the manifest's commit",
        &["rename:*/archive/*.parquet write:*-wal kill-before"],
    ),
    (
        "within the manifest's commit",
        &["rename:*/archive/*.parquet write:*-wal#3 kill-half"],
    ),
    (
        "before the manifest's commit is durable",
        &["rename:*/archive/*.parquet sync:*-wal kill-before"],
    ),
    (
        "after the manifest's commit",
        &["rename:*/archive/*.parquet sync:*-wal kill-after"],
    ),
    (
        "after the last manifest's commit",
        &["rename:*/archive/*.parquet#3 sync:*-wal kill-after"],
    ),
    ("within a report", &["write:*/billing.csv kill-half"]),
    ("within the rejected rows", &["write:*/rejected.csv kill-half"]),
    ("within the summary", &["write:*/summary.json kill-half"]),
    (
        "before the reports get their name",
        &["rename:*/reports/2* kill-before"],
    ),
    ("after the reports got their name", &["rename:*/reports/2* kill-after"]),
    (
        "the link to the latest reports is made",
        &["symlink:*.latest kill-after"],
    ),
    ("before latest is replaced", &["rename:*/reports/latest kill-before"]),
    ("after latest was replaced", &["rename:*/reports/latest kill-after"]),
    (
        "within the run's last commit",
        &["rename:*/reports/latest write:*-wal kill-half"],
    ),
    (
        "after the run's last commit",
        &["rename:*/reports/latest sync:*-wal kill-after"],
    ),
    (
        "within what undoes a publication that was cut off",
        &[
            "rename:*/archive/*.parquet kill-after",
            "unlink:*/archive/*.parquet kill-after",
        ],
    ),
    (
        "before latest is replaced for the second time",
        &[
            "rename:*/reports/latest kill-after",
            "rename:*/reports/latest kill-before",
        ],
    ),
    (
        "twice within a Parquet file",
        &[
            "write:*/.staging/*.parquet kill-half",
            "write:*/.staging/*.parquet kill-half",
        ],
    ),
];

/// Those of a night whose ledger holds ids already, as all do but the first.
const LATER_POINTS: &[Point] = &[
    (
        "the rows are half taken in",
        &["create:*/rejected.csv write:*-wal kill-half"],
    ),
    (
        "the rows are taken in, and not durable",
        &["create:*/rejected.csv write:*-wal#3 sync:*-wal kill-before"],
    ),
    (
        "the rows are taken in",
        &["create:*/rejected.csv write:*-wal#3 sync:*-wal kill-after"],
    ),
];

/// Those that only a run with `--images` has.
const IMAGE_POINTS: &[Point] = &[
    (
        "within a file of faces",
        &["write:*/.staging/face_images.*#2 kill-half"],
    ),
    (
        "the verifications are staged and the faces are not",
        &["create:*/.staging/face_images.* kill-before"],
    ),
    (
        "between the names of the two datasets",
        &["rename:*/archive/verifications/* rename:*/archive/face_images/* kill-before"],
    ),
    (
        "both datasets have their names",
        &["rename:*/archive/face_images/* kill-after"],
    ),
    (
        "within what undoes both datasets' publication",
        &[
            "rename:*/archive/face_images/* kill-after",
            "unlink:*/archive/*.parquet kill-after",
        ],
    ),
];

/// Those of a night whose replies are large: they are kept in a file of their own.
const LARGE_REPLIES_POINTS: &[Point] = &[
    ("the file of large replies is made", &["create:*-replies kill-after"]),
    ("within a large reply", &["write:*-replies kill-half"]),
    ("before the sync of large replies", &["sync:*-replies kill-before"]),
    (
        "large replies are durable, and count only with the commit",
        &["sync:*-replies kill-after"],
    ),
    (
        "within the commit of large replies",
        &["sync:*-replies write:*-wal kill-half"],
    ),
    (
        "before the commit of large replies is durable",
        &["sync:*-replies sync:*-wal kill-before"],
    ),
    (
        "after the commit of large replies",
        &["sync:*-replies sync:*-wal kill-after"],
    ),
    (
        "within a large reply behind others that count, and where the file is begun anew",
        &[
            "sync:*-replies sync:*-wal write:*-replies kill-half",
            "truncate:*-replies kill-after",
        ],
    ),
    (
        "all is published, and the file of large replies is there",
        &["sync:*-replies unlink:*-replies kill-before"],
    ),
    (
        "the file of large replies is gone, as a later run begins",
        &[
            "sync:*-replies unlink:*-replies kill-before",
            "unlink:*-replies kill-after",
        ],
    ),
];

/// What a series of kills cost.
#[derive(Default)]
struct Cost {
    kills: u64,
    asked_again: u64,
    /// The most after a single kill.
    asked_again_most: u64,
}

impl Cost {
    fn add(&mut self, night: &Night, asked_again: u64) {
        self.kills += night.kills;
        self.asked_again += asked_again;
        self.asked_again_most = self.asked_again_most.max(night.asked_again_most);
    }

    fn tell(&self, what: &str) {
        println!(
            "{what}: {} kills, 0 lost, 0 twice; {} ids asked for again, at most {} of {CONCURRENCY} in flight after one kill",
            self.kills, self.asked_again, self.asked_again_most
        );
    }
}

fn killed_at(points: &[Point], night: impl Fn() -> Night) {
    let mut cost = Cost::default();
    for (name, rules) in points {
        let mut night = night();
        for rule in *rules {
            let why = format!("{name}: DISK_RULE={rule:?}");
            assert!(night.is_killed(rule, &why), "{why}: never came");
        }
        let asked_again = night.ends_well(&format!("{name}: {rules:?}"));
        cost.add(&night, asked_again);
    }
    cost.tell(&format!("{} named points", points.len()));
}

#[test]
fn killed_at_every_named_point_of_a_night_nothing_is_lost_and_nothing_is_twice() {
    killed_at(POINTS, || Night::new(false));
}

#[test]
fn killed_at_every_named_point_of_a_later_night_nothing_is_lost_and_nothing_is_twice() {
    killed_at(LATER_POINTS, Night::later);
}

#[test]
fn killed_at_every_named_point_with_faces_nothing_is_lost_and_nothing_is_twice() {
    killed_at(IMAGE_POINTS, || Night::new(true));
}

#[test]
fn killed_at_every_named_point_with_large_replies_nothing_is_lost_and_nothing_is_twice() {
    killed_at(LARGE_REPLIES_POINTS, || Night::new(true));
}

#[test]
fn killed_at_any_call_to_the_disk_nothing_is_lost_and_nothing_is_twice() {
    let seed = setting("IDVAULT_CRASH_SEED").unwrap_or(SEED);
    let wanted = setting("IDVAULT_CRASH_CALLS").unwrap_or(CALLS);
    println!("IDVAULT_CRASH_SEED={seed} IDVAULT_CRASH_CALLS={wanted} repeat this");
    let mut random = fastrand::Rng::with_seed(seed);
    let calls_of_a_night = [false, true].map(|images| calls_of(&mut Night::new(images).command(), 4));
    let (mut cost, mut missed) = (Cost::default(), 0);
    while cost.kills < wanted {
        let images = random.bool();
        let mut night = Night::new(images);
        let mut why = format!("IDVAULT_CRASH_SEED={seed}");
        // Up to three in a row: what mends a crash may crash itself.
        for _ in 0..random.u64(1..=3) {
            let call = random.usize(1..=calls_of_a_night[usize::from(images)]);
            let manner = random.choice(["before", "half", "after"]).unwrap();
            let rule = format!("{ANY_CALL}#{call} kill-{manner}");
            why = format!("{why} DISK_RULE={rule:?}");
            missed += u64::from(!night.is_killed(&rule, &why));
        }
        let asked_again = night.ends_well(&why);
        cost.add(&night, asked_again);
        assert!(missed < 10 * (wanted + 1), "{why}: the runs end before they are killed");
    }
    cost.tell("random calls to the disk");
}
