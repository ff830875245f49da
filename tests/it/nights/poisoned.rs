//! Ids that the vendor can't answer, however often it is asked: they cost little, hold nothing up, and end with a person.
//!
//! `IDVAULT_POISONED_IDS` sets how many ids there are in the night whose throughput is measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Place, setting};
use crate::common::server::{Answer, serve};
use crate::common::vendor::{error, verdict};

const IDS: u64 = 400;

/// In the night whose throughput is measured. A few hundred are too few: the last of the poisoned ones are tried again when
/// all others are done.
const MEASURED_IDS: u64 = 20_000;

/// Calls a second, well below what this can do, as a night is paced.
const QPS: &str = "200";

/// A vendor that fails at every id with `poison` in it; counts the calls of each id.
struct Vendor {
    url: String,
    calls: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Vendor {
    fn start() -> Self {
        let calls = Arc::new(Mutex::new(BTreeMap::new()));
        let counted = calls.clone();
        let url = serve(move |request| {
            let id = request.parameter("TransactionId").unwrap();
            let answer = if id.contains("poison") {
                failure()
            } else {
                verdict("Y", "200")
            };
            *counted.lock().unwrap().entry(id).or_default() += 1;
            answer
        });
        Self { url, calls }
    }

    /// The calls for poisoned ids since the last time, and the most for one of them.
    fn take(&self) -> (u64, u64) {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        let poisoned = calls.iter().filter(|(id, _)| id.contains("poison"));
        poisoned.fold((0, 0), |(all, most), (_, calls)| (all + calls, most.max(*calls)))
    }
}

fn failure() -> Answer {
    error(500, "InternalError")
}

/// Every `one_in`-th id is poisoned, in the order of the plan as well as of the source.
fn source(ids: u64, one_in: u64) -> String {
    let mut text = "transaction_id,verified_at\n".to_owned();
    for number in 0..ids {
        let name = if number % one_in == one_in / 2 {
            "poison"
        } else {
            "good"
        };
        writeln!(text, "{number:06}{name},2026-11-20T10:00:00Z").unwrap();
    }
    text
}

/// A night at `qps`; gives the exit code and how long it fetched.
fn night(place: &Place, vendor: &Vendor, qps: &str) -> (Option<i32>, Duration) {
    let source = place.path("pending.csv");
    let mut command = place.command(&["run", "--endpoint", &vendor.url, "--qps", qps, "--concurrency", "32"]);
    command.arg("--pending").arg(source);
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    let started = Instant::now();
    let output = command.output().unwrap();
    (output.status.code(), started.elapsed())
}

#[test]
fn one_in_a_hundred_is_asked_a_few_times_a_run_and_ends_in_quarantine() {
    let (place, vendor) = (Place::new(), Vendor::start());
    place.write("pending.csv", source(IDS, 100));
    place.write("idvault.toml", "[retry]\nquarantine_after_runs = 3\n");
    for run in 1..=3 {
        assert_eq!(night(&place, &vendor, "unlimited").0, Some(4));
        let (all, most) = vendor.take();
        // The quota is what bounds a night, so its calls are its throughput: less than 5 % go to those four.
        assert!(
            all * 100 < IDS * 5 && most <= 4,
            "run {run}: {all} calls, {most} for one id"
        );
        let quarantined = if run == 3 { 4 } else { 0 };
        assert_eq!(
            place.count("SELECT count(*) FROM transactions WHERE state = 'quarantined'"),
            quarantined
        );
        assert_eq!(
            place.count("SELECT count(*) FROM transaction_states WHERE state = 'archived'"),
            IDS - 4
        );
    }
    let quarantine = place.report("quarantine.csv");
    assert!(
        quarantine.iter().all(|row| row["last_call_code"] == "InternalError"),
        "{quarantine:?}"
    );
    night(&place, &vendor, "unlimited");
    assert_eq!(vendor.take(), (0, 0), "they wait for a person");

    let id = &quarantine[0]["transaction_id"];
    place.idvault(&["quarantine", "retry", id]).expect(0);
    place
        .idvault(&[
            "quarantine",
            "drop",
            &quarantine[1]["transaction_id"],
            "--reason",
            "test",
        ])
        .expect(0);
    night(&place, &vendor, "unlimited");
    assert_eq!(vendor.take(), (4, 4), "only the one that a person wants again");
}

/// Sixty in a row at the front of the plan, more than are in flight: no answer comes at first, as in an outage.
#[test]
fn a_row_of_them_is_not_taken_for_an_outage_for_long() {
    let (place, vendor) = (Place::new(), Vendor::start());
    let mut text = "transaction_id,verified_at\n".to_owned();
    for number in 0..60 {
        writeln!(
            text,
            "poison{number},2026-11-01T10:00:00Z\ngood{number},2026-11-20T10:00:00Z"
        )
        .unwrap();
    }
    place.write("pending.csv", text);
    place.write("idvault.toml", "[retry]\nquarantine_after_runs = 2\n");
    assert_eq!(night(&place, &vendor, "unlimited").0, Some(4));
    assert_eq!(
        place.count("SELECT count(*) FROM transaction_states WHERE state = 'archived'"),
        60
    );
    let (_, most) = vendor.take();
    assert!(
        most <= 6,
        "{most} calls for one id: four attempts, and a question or two in what looks like an outage"
    );

    // Nothing else is due any more, and still it is seen that the vendor answers.
    night(&place, &vendor, "unlimited");
    night(&place, &vendor, "unlimited");
    assert_eq!(
        place.count("SELECT count(*) FROM transactions WHERE state = 'quarantined'"),
        60
    );
}

#[test]
#[ignore = "a measurement of minutes: docs/internals/reliability.md says how to run it"]
fn throughput_with_one_in_a_hundred_against_none() {
    let ids = setting("IDVAULT_POISONED_IDS").unwrap_or(MEASURED_IDS);
    let seconds = |one_in| {
        let (place, vendor) = (Place::new(), Vendor::start());
        place.write("pending.csv", source(ids, one_in));
        night(&place, &vendor, QPS).1.as_secs_f64()
    };
    let (none, some) = (seconds(u64::MAX), seconds(100));
    println!(
        "{ids} ids at {QPS} calls a second: {none:.1} s, with 1 % poisoned {some:.1} s, ratio {:.3}",
        some / none
    );
    assert!(some < none * 1.05);
}
