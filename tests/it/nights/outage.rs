//! A vendor that is not there for some seconds in the middle of a run, or fails at three calls in ten: the run waits the one
//! out, and keeps its retries of the other within their budget.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use idvault::sandbox::{Faults, Mix, SandboxSettings};

use super::{Place, Vendor, WallClock, made_up, setting};
use crate::common::server::{Answer, Manner, serve};
use crate::common::vendor::{error, verdict};

const IDS: usize = 400;

/// Calls that are answered before the outage begins.
const CALLS_BEFORE: usize = 100;

const CONCURRENCY: u64 = 16;

/// `IDVAULT_OUTAGE_SECONDS` sets another.
const SECONDS: u64 = 6;

/// From the call [`CALLS_BEFORE`] on, every call of some seconds comes to `bad`.
fn vendor(bad: Answer, seconds: Duration) -> String {
    let calls: Mutex<(usize, Option<Instant>)> = Mutex::default();
    serve(move |request| {
        let mut calls = calls.lock().unwrap();
        calls.0 += 1;
        if calls.0 == CALLS_BEFORE {
            calls.1 = Some(request.at);
        }
        if calls.1.is_some_and(|start| request.at < start + seconds) {
            bad.clone()
        } else {
            verdict("Y", "200")
        }
    })
}

#[test]
fn an_outage_in_the_middle_of_a_run_is_waited_out() {
    let seconds = Duration::from_secs(setting("IDVAULT_OUTAGE_SECONDS").unwrap_or(SECONDS));
    let ways = [
        error(503, "ServiceUnavailable"),
        Answer::new(502, "<html>Bad Gateway</html>"),
        Answer::none(Manner::Close),
        Answer::none(Manner::Reset),
        Answer::none(Manner::Hang),
    ];
    let nights = ways.map(|bad| {
        std::thread::spawn(move || {
            let (case, url, place) = (format!("{bad:?}"), vendor(bad, seconds), Place::new());
            place.write("idvault.toml", "[timeouts]\nread = '1s'\n");
            let source = place.write("pending.csv", made_up(IDS, 4, "FACE_LIVENESS"));
            let concurrency = CONCURRENCY.to_string();
            let mut command = place.command(&["run", "--endpoint", &url, "--qps", "200", "--pending", &source]);
            command.args(["--concurrency", &concurrency]);
            command
                .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
                .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{case}: {said}");
            assert!(said.contains("the vendor answers again"), "{case}: {said}");
            // Before it is known for an outage, twenty attempts have failed, with what was in flight beside them.
            let charged = place.count("SELECT sum(attempts) FROM transactions") - IDS as u64;
            assert!(
                charged <= 20 + CONCURRENCY,
                "{case}: {charged} attempts charged in vain"
            );
            println!("{case}: {charged} attempts charged in vain");
        })
    });
    for night in nights {
        night.join().unwrap();
    }
}

#[test]
fn three_failures_in_ten_leave_retries_under_a_fifth_of_all_attempts() {
    let vendor = Vendor::with(
        std::sync::Arc::new(WallClock),
        SandboxSettings {
            faults: Faults {
                server_errors: 0.3,
                ..Faults::default()
            },
            answers: Mix::AllFinal,
            ..SandboxSettings::default()
        },
    );
    let place = Place::new();
    let source = place.write("pending.csv", made_up(1_500, 4, "FACE_LIVENESS"));
    let (mut nights, mut left) = (0, u64::MAX);
    while left > 0 {
        nights += 1;
        assert!(nights < 20, "{left} are left");
        let output = place.night_of(&vendor, &["--pending", &source]).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
        let summary = place.summary();
        let count = |name: &str| summary["fetch"][name].as_u64().unwrap();
        left = count("left");
        println!(
            "{} attempts, {} retries, {left} left",
            count("attempts"),
            count("retries")
        );
        if nights == 1 {
            assert!(count("retries") * 5 < count("attempts"), "{summary}");
        }
    }
    assert_eq!(place.archived("verifications").len(), 1_500);
    assert_eq!(
        place.count("SELECT count(*) FROM transaction_states WHERE state <> 'archived'"),
        0
    );
}
