//! Why a record is lost or endangered: each cause, over two nights, the second of them past every deadline.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::common::vendor::{Vendor, error, throttled, verdict};
use crate::common::{EXPIRED, Idvault};

/// Verified so that it expires between the two nights.
const LAST_DAY: &str = "2026-10-24T10:00:00Z";
const FIRST_NIGHT: &str = "2026-11-22T02:00:00Z";
const SECOND_NIGHT: &str = "2026-11-23T12:00:00Z";

/// A run that asks where the configuration says, so that a region can lose its endpoint; gives what it says of expiry.
fn night(idvault: &Idvault, now: &str, source: &str, more: &[&str], exit: i32) -> Value {
    let args = [
        &[
            "run",
            "--now",
            now,
            "--qps",
            "1000",
            "--concurrency",
            "1",
            "--pending",
            source,
        ],
        more,
    ]
    .concat();
    idvault.execute(&args).exits(exit);
    idvault.summary()["expiry"].clone()
}

fn configure(idvault: &Idvault, vendor: &Vendor, more: &str) {
    let url = &vendor.url;
    idvault.write(
        "idvault.toml",
        format!("[retry]\nattempts_per_call = 1\n[endpoints]\nap-southeast-1 = \"{url}\"\n{more}"),
    );
}

/// Id to cause, band and state.
fn reported(idvault: &Idvault) -> BTreeMap<String, [String; 3]> {
    let lines = idvault.report_rows("expiry.csv");
    lines
        .into_iter()
        .map(|line| {
            (
                line["transaction_id"].clone(),
                ["cause", "band", "state"].map(|name| line[name].clone()),
            )
        })
        .collect()
}

#[track_caller]
fn assert_reported(idvault: &Idvault, expected: &[(&str, [&str; 3])]) {
    let expected: BTreeMap<String, [String; 3]> = expected
        .iter()
        .map(|(id, words)| ((*id).to_owned(), words.map(str::to_owned)))
        .collect();
    assert_eq!(reported(idvault), expected);
}

/// Six records that are endangered, each for another reason, and one that is saved.
fn endangered(idvault: &Idvault, vendor: &Vendor) -> Value {
    vendor.script("a-saved", [verdict("Y", "200")]);
    vendor.script("unfinished", [error(404, "ProcessNotCompleted")]);
    vendor.script("refused", [error(400, "InvalidParameter")]);
    vendor.script("elsewhere", [error(400, "TransactionIdInvalid")]);
    vendor.script("failing", [error(500, "InternalError")]);
    let header = "transaction_id,region,verified_at";
    let asked = ["a-saved", "unfinished", "refused", "elsewhere", "failing"].map(|id| format!("{id},,{LAST_DAY}\n"));
    idvault.write("asked.csv", format!("{header}\n{}", asked.concat()));
    idvault.write("moved.csv", format!("{header}\nmoved,mars-1,{LAST_DAY}\n"));
    idvault.write("waiting.csv", format!("{header}\nwaiting,,{LAST_DAY}\n"));
    // Its region has an endpoint when it comes in, and none when it is asked for.
    configure(idvault, vendor, "mars-1 = \"http://127.0.0.1:9\"\n");
    night(idvault, FIRST_NIGHT, "moved.csv", &["--intake-only"], 0);
    configure(idvault, vendor, "");
    night(idvault, FIRST_NIGHT, "asked.csv", &[], 4);
    night(idvault, FIRST_NIGHT, "waiting.csv", &["--intake-only"], 4)
}

#[test]
fn each_cause_is_told_apart_while_there_is_time_and_once_it_is_lost() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let first = endangered(&idvault, &vendor);
    assert_reported(
        &idvault,
        &[
            ("unfinished", ["not_completed", "3d", "pending"]),
            ("refused", ["quarantined", "3d", "quarantined"]),
            ("elsewhere", ["region", "3d", "quarantined"]),
            ("moved", ["region", "3d", "pending"]),
            ("failing", ["outage", "3d", "pending"]),
            ("waiting", ["not_reached", "3d", "pending"]),
        ],
    );
    assert_eq!(first["causes"]["region"], json!({"lost": 0, "endangered": 2}));
    assert_eq!(
        first["causes"]["first_seen_too_late"],
        json!({"lost": 0, "endangered": 0})
    );
    // The saved one expires tomorrow, and the first of these nights is 29 days ago.
    let quiet = json!({"from": "2026-10-24", "to": "2026-11-22", "archived": 0, "lost": 0, "rate": 0.0});
    assert_eq!(first["loss"], quiet);

    idvault.write("late.csv", format!("transaction_id,verified_at\nlate,{EXPIRED}\n"));
    for id in ["unfinished", "failing", "waiting", "late"] {
        vendor.script(id, [error(400, "TransactionIdInvalid")]);
    }
    let second = night(&idvault, SECOND_NIGHT, "late.csv", &[], 5);
    assert_reported(
        &idvault,
        &[
            ("unfinished", ["not_completed", "lost", "lost"]),
            ("refused", ["quarantined", "lost", "lost"]),
            ("elsewhere", ["region", "lost", "lost"]),
            ("moved", ["region", "lost", "pending"]),
            ("failing", ["outage", "lost", "lost"]),
            ("waiting", ["not_reached", "lost", "lost"]),
            ("late", ["first_seen_too_late", "lost", "lost"]),
        ],
    );
    assert_eq!(second["causes"]["region"], json!({"lost": 2, "endangered": 0}));
    let day = |day: &str, cause: &str, lost: u64| json!({"day": day, "cause": cause, "lost": lost, "endangered": 0});
    assert_eq!(
        second["days"],
        json!([
            day("2026-11-19", "first_seen_too_late", 1),
            day("2026-11-23", "not_completed", 1),
            day("2026-11-23", "quarantined", 1),
            day("2026-11-23", "region", 2),
            day("2026-11-23", "outage", 1),
            day("2026-11-23", "not_reached", 1),
        ])
    );
    let loss = json!({"from": "2026-10-25", "to": "2026-11-23", "archived": 1, "lost": 7, "rate": 0.875});
    assert_eq!(second["loss"], loss);
}

/// What came in a night before its deadline is late; what had more nights was not reached.
#[test]
fn a_record_that_only_one_run_could_reach_came_in_too_late() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.write(
        "pending.csv",
        "transaction_id,verified_at\nin-a-day,2026-10-24T02:00:00Z\nin-two-days,2026-10-25T02:00:00Z\n",
    );
    configure(&idvault, &vendor, "");
    let report = night(&idvault, FIRST_NIGHT, "pending.csv", &["--intake-only"], 5);
    assert_reported(
        &idvault,
        &[
            ("in-a-day", ["first_seen_too_late", "1d", "pending"]),
            ("in-two-days", ["not_reached", "3d", "pending"]),
        ],
    );
    assert_eq!(
        report["causes"]["first_seen_too_late"],
        json!({"lost": 0, "endangered": 1})
    );
}

/// A loss stays in the rate for thirty nights, and in the report for ever.
#[test]
fn the_loss_rate_is_of_the_last_thirty_nights() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("gone", [error(400, "TransactionIdInvalid")]);
    vendor.script("saved", [verdict("Y", "200")]);
    // Both were verified on 20 October, so that they expired on 19 November.
    idvault.pending(&[("gone", EXPIRED), ("saved", EXPIRED)]);
    idvault.run(&vendor, &["--now", "2026-11-22T02:00:00Z"]).exits(5);
    assert_eq!(idvault.summary()["expiry"]["loss"]["rate"], 0.5);
    for (now, lost, rate) in [("2026-12-18T02:00:00Z", 1, 0.5), ("2026-12-19T02:00:00Z", 0, 0.0)] {
        idvault.run(&vendor, &["--now", now]).exits(0);
        let expiry = &idvault.summary()["expiry"];
        assert_eq!(
            (&expiry["loss"]["lost"], &expiry["loss"]["rate"]),
            (&json!(lost), &json!(rate)),
            "{now}"
        );
        assert_eq!(expiry["causes"]["first_seen_too_late"]["lost"], 1, "{now}");
    }
}

/// The vendor's word for what is deleted does not hide what came before: in quarantine once, put back, and lost.
#[test]
fn what_a_person_put_back_and_is_lost_keeps_its_cause() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    configure(&idvault, &vendor, "");
    vendor.script(
        "elsewhere",
        [error(400, "TransactionIdInvalid"), error(400, "TransactionIdInvalid")],
    );
    vendor.script(
        "refused",
        [error(400, "InvalidParameter"), error(400, "TransactionIdInvalid")],
    );
    let rows = format!("elsewhere,{LAST_DAY}\nrefused,{LAST_DAY}\n");
    idvault.write("pending.csv", format!("transaction_id,verified_at\n{rows}"));
    night(&idvault, FIRST_NIGHT, "pending.csv", &[], 4);
    idvault.execute(&["quarantine", "retry", "--all"]).exits(0);
    night(&idvault, SECOND_NIGHT, "pending.csv", &[], 5);
    assert_reported(
        &idvault,
        &[
            ("elsewhere", ["region", "lost", "lost"]),
            ("refused", ["quarantined", "lost", "lost"]),
        ],
    );
}

/// In an outage only a few are asked for, and none is charged: the others are not reached because of it, too.
#[test]
fn what_a_run_in_an_outage_left_is_endangered_by_the_outage() {
    let idvault = Idvault::new();
    let ids: Vec<String> = (0..60).map(|number| format!("id{number:02}")).collect();
    idvault.pending(&ids.iter().map(|id| (id.as_str(), LAST_DAY)).collect::<Vec<_>>());
    // Nobody listens there.
    let away = [
        "--endpoint",
        "http://127.0.0.1:9",
        "--time-limit",
        "4s",
        "--qps",
        "1000",
        "--concurrency",
        "20",
    ];
    let args = [&["run", "--now", FIRST_NIGHT, "--pending", "pending.csv"], &away[..]].concat();
    idvault.execute(&args).exits(4);
    let never_asked = "SELECT count(*) FROM transactions WHERE last_call_code IS NULL";
    let never_asked: u64 = idvault.ledger().query_row(never_asked, [], |row| row.get(0)).unwrap();
    assert!(never_asked > 20, "{never_asked} were not settled");
    let causes = &idvault.summary()["expiry"]["causes"];
    assert_eq!(causes["outage"], json!({"lost": 0, "endangered": 60}));
    // What came in after it has nothing to do with it.
    idvault.write("more.csv", format!("transaction_id,verified_at\nmore,{LAST_DAY}\n"));
    let more = night(&idvault, FIRST_NIGHT, "more.csv", &["--intake-only"], 0);
    assert_eq!(more["causes"]["not_reached"], json!({"lost": 0, "endangered": 1}));
}

/// One region of a product is down, and another answers: what is left of that one was not reached, for whatever reason.
#[test]
fn a_region_that_was_reached_has_nothing_to_do_with_the_outage_of_another() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    // Nobody listens there.
    configure(&idvault, &vendor, "mars-1 = \"http://127.0.0.1:9\"\n");
    vendor.always("a-saved", verdict("Y", "200"));
    let mut rows = "transaction_id,region,verified_at\na-saved,,2026-10-24T09:00:00Z\n".to_owned();
    for number in 0..60 {
        writeln!(rows, "down{number:02},mars-1,{LAST_DAY}").unwrap();
    }
    // It is told to wait for longer than the run lasts.
    vendor.script("waiting", [throttled(403, "Throttling.Api", 60_000)]);
    rows.push_str("waiting,,2026-10-25T10:00:00Z\n");
    idvault.write("pending.csv", rows);
    let run = [
        "--qps",
        "1000",
        "--concurrency",
        "20",
        "--time-limit",
        "4s",
        "--pending",
        "pending.csv",
    ];
    idvault
        .execute(&[&["run", "--now", FIRST_NIGHT], &run[..]].concat())
        .exits(4);
    let reported = reported(&idvault);
    assert_eq!(reported.len(), 61);
    for (id, [cause, ..]) in reported {
        let expected = if id == "waiting" { "not_reached" } else { "outage" };
        assert_eq!(cause, expected, "{id}");
    }
}

/// A clock that leapt ahead takes no record out of a person's hands: the vendor refuses it, and the next night is as any other.
#[test]
fn a_clock_that_the_vendor_refuses_loses_nothing_of_the_quarantine() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    configure(&idvault, &vendor, "");
    vendor.script("refused", [error(400, "InvalidParameter")]);
    vendor.script(
        "open",
        [
            error(404, "ProcessNotCompleted"),
            error(400, "InvalidTimeStamp.Expired"),
        ],
    );
    let rows = format!("refused,{LAST_DAY}\nopen,{LAST_DAY}\n");
    idvault.write("pending.csv", format!("transaction_id,verified_at\n{rows}"));
    night(&idvault, FIRST_NIGHT, "pending.csv", &[], 4);
    night(&idvault, "2100-01-01T02:00:00Z", "pending.csv", &[], 8);
    assert_eq!(idvault.row("refused").state, "quarantined");
    vendor.script("open", [verdict("Y", "200")]);
    night(&idvault, SECOND_NIGHT, "pending.csv", &[], 5);
    assert_eq!(idvault.row("refused").state, "lost");
}
