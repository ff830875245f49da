//! Over the quota: the run waits as it is told and slows down, and no attempt is charged.

use std::fmt::Write as _;
use std::time::Duration;

use crate::common::server::Answer;
use crate::common::vendor::{Vendor, error, throttled, verdict};
use crate::common::{FRESH, Idvault, NOW};

/// Asks for one id that is throttled once, and looks at the wait with the vendor's own clock. It starts when the vendor
/// begins to answer, so a correct run can't be too early however slow the machine is.
#[track_caller]
fn waits(answer: Answer, at_least: Duration, qps: &str) {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let case = format!("{answer:?} at {qps} calls a second");
    vendor.script("t1", [answer, verdict("Y", "200")]);
    idvault.pending(&[("t1", FRESH)]);
    idvault.run(&vendor, &["--qps", qps]).exits(0);
    let calls = vendor.calls_for("t1");
    let wait = calls[1].request.at.duration_since(calls[0].answered_at);
    assert!(wait >= at_least, "{case}: asked again after {wait:?}");
    let row = idvault.row("t1");
    assert_eq!(
        (row.state.as_str(), row.attempts),
        ("archived", 1),
        "{case}: nothing is charged"
    );
    let fetch = &idvault.summary()["fetch"];
    assert_eq!(
        (&fetch["attempts"], &fetch["throttled"]),
        (&2.into(), &1.into()),
        "{case}"
    );
    assert_eq!(fetch["retries"], 0, "{case}");
}

#[test]
fn a_throttled_call_waits_as_told_whatever_its_http_status() {
    for (http_status, code) in [
        (403, "Throttling.Api"),
        (400, "Throttling.User"),
        (429, "Throttling"),
        (503, "Throttling"),
    ] {
        waits(throttled(http_status, code, 600), Duration::from_millis(600), "1000");
    }
}

#[test]
fn retry_after_is_obeyed_on_any_other_error() {
    for (http_status, code) in [
        (503, "ServiceUnavailable"),
        (500, "InternalError"),
        (400, "TransactionIdInvalid"),
    ] {
        waits(throttled(http_status, code, 600), Duration::from_millis(600), "1000");
    }
    let page = Answer::new(503, "<html>busy</html>").header("x-acs-retry-after", "600");
    waits(page, Duration::from_millis(600), "1000");
}

#[test]
fn without_a_time_or_with_one_that_is_none_it_still_pauses() {
    let pause = Duration::from_millis(200);
    waits(error(403, "Throttling.Api"), pause, "1000");
    waits(Answer::new(429, ""), pause, "1000");
    for odd in ["0", "soon", "-5"] {
        waits(
            error(403, "Throttling.User").header("x-acs-retry-after", odd),
            pause,
            "1000",
        );
    }
}

#[test]
fn an_unlimited_pace_waits_as_told_too() {
    waits(
        throttled(403, "Throttling.Api", 600),
        Duration::from_millis(600),
        "unlimited",
    );
    waits(error(403, "Throttling.Api"), Duration::from_millis(200), "unlimited");
}

#[test]
fn many_throttled_answers_charge_nothing_and_never_quarantine() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", vec![error(403, "Throttling.User"); 8]);
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.pending(&[("t1", FRESH)]);
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.row("t1").attempts, 1);
    assert_eq!(idvault.summary()["fetch"]["throttled"], 8);
}

/// At 10 calls a second the three calls behind a throttled one would take 0.302 s, at 0.94 of that 0.321 s; 5 ms of it may be
/// made up for.
#[test]
fn a_throttled_answer_slows_the_calls_behind_it_down() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let ids = ["t1", "t2", "t3", "t4"];
    vendor.script("t1", [throttled(403, "Throttling.Api", 200)]);
    for id in ids {
        vendor.script(id, [verdict("Y", "200")]);
    }
    idvault.pending(&ids.map(|id| (id, FRESH)));
    idvault.run(&vendor, &["--qps", "10", "--concurrency", "1"]).exits(0);
    let calls = vendor.calls();
    let four_calls = calls[4].request.at.duration_since(calls[0].answered_at);
    assert!(four_calls >= Duration::from_millis(515), "{four_calls:?}");
}

/// The vendor wants the one product to be left alone for longer than the run may take.
#[test]
fn a_product_that_is_throttled_holds_up_no_other() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let others = ["t2", "t3", "t4", "t5"];
    vendor.script("t1", [throttled(403, "Throttling.Api", 60_000)]);
    for id in others {
        vendor.script(id, [verdict("Y", "200")]);
    }
    let rows = others.map(|id| format!("{id},eKYC,{FRESH}\n")).concat();
    let header = "transaction_id,product_code,verified_at\n";
    idvault.write("pending.csv", format!("{header}t1,FACE_LIVENESS,{FRESH}\n{rows}"));
    let args = [
        "run",
        "--endpoint",
        &vendor.url,
        "--pending",
        "pending.csv",
        "--now",
        NOW,
        "--time-limit",
        "6s",
    ];
    idvault.execute(&args).exits(4).says("the time limit stopped the run");
    assert_eq!(idvault.archived().len(), others.len());
    assert_eq!(idvault.row("t1").attempts, 0, "a throttled attempt is not charged");
}

/// The code is no throttling: the wish to be left alone is granted a few times, and then the refusal stands.
#[test]
fn a_refusal_that_always_asks_for_a_wait_is_taken_at_its_word() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", vec![throttled(400, "TransactionIdInvalid", 50); 4]);
    vendor.script("t2", [verdict("Y", "200")]);
    idvault.pending(&[("t1", FRESH), ("t2", FRESH)]);
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(vendor.calls_for("t1").len(), 4);
    let row = idvault.row("t1");
    assert_eq!((row.state.as_str(), row.attempts), ("quarantined", 1));
    assert_eq!(idvault.row("t2").state, "archived");
}

/// One id is throttled whenever it is asked for, among forty that are not: it is left for later, and charged for nothing.
#[test]
fn an_id_that_is_throttled_alone_does_not_keep_the_run_up() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.always("t00", error(403, "Throttling.User"));
    let ids: Vec<String> = (0..60).map(|number| format!("t{number:02}")).collect();
    for id in &ids[1..] {
        vendor.script(id, [verdict("Y", "200")]);
    }
    idvault.pending(&ids.iter().map(|id| (id.as_str(), FRESH)).collect::<Vec<_>>());
    idvault.write("idvault.toml", "[retry]\npatience = '5s'\n");
    let ended = idvault.run(&vendor, &["--qps", "50", "--concurrency", "2"]).exits(4);
    assert_eq!(idvault.archived().len(), 59);
    let row = idvault.row("t00");
    assert_eq!((row.state.as_str(), row.attempts), ("pending", 0));
    assert!(vendor.calls_for("t00").len() <= 60, "{}", ended.stderr);
}

/// One rate for everything, and a product that is throttled whenever it is asked for.
#[test]
fn with_one_rate_a_product_that_is_always_throttled_starves_no_other() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let mut rows = "transaction_id,product_code,verified_at\n".to_owned();
    for number in 0..300 {
        let id = format!("good{number:03}");
        vendor.script(&id, [verdict("Y", "200")]);
        writeln!(rows, "{id},eKYC,{FRESH}").unwrap();
    }
    for number in 0..30 {
        writeln!(rows, "bad{number:02},FACE_LIVENESS,2026-11-01T10:00:00Z").unwrap();
    }
    vendor.otherwise(throttled(403, "Throttling.Api", 1_000));
    idvault.write("pending.csv", rows);
    idvault.write("idvault.toml", "[retry]\npatience = '8s'\n");
    let args = ["--qps", "50", "--concurrency", "16"];
    idvault
        .run(&vendor, &args)
        .exits(4)
        .says("only throttled answers for 8s");
    assert_eq!(idvault.archived().len(), 300);
    // Alone the 300 take 6 s: the throttled product was still at it when the last of them came.
    let calls = vendor.calls();
    let last_good = calls.iter().rposition(|call| call.transaction_id.starts_with("good"));
    let bad_before = calls[..last_good.unwrap()]
        .iter()
        .filter(|call| call.transaction_id.starts_with("bad"));
    assert!(bad_before.count() < 40, "they were asked as told");
    assert!(calls.last().unwrap().transaction_id.starts_with("bad"));
}
