//! The vendor answers with a verdict, or says that there is none yet.

use jiff::Timestamp;
use parquet::record::Field;

use crate::common::server::Answer;
use crate::common::vendor::{Vendor, error, verdict};
use crate::common::{EXPIRED, FRESH, Idvault, NOW};

fn text(text: &str) -> Field {
    Field::Str(text.to_owned())
}

#[test]
fn a_final_verdict_is_archived_once_and_never_asked_for_again() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("yes", [verdict("Y", "200")]);
    vendor.script("no", [verdict("N", "205")]);
    idvault.pending(&[("yes", FRESH), ("no", FRESH)]);
    idvault.run(&vendor, &[]).exits(0);
    let archived = idvault.archived();
    assert_eq!(archived.len(), 2);
    for (id, passed, sub_code) in [("yes", true, "200"), ("no", false, "205")] {
        let row = &archived[id];
        assert_eq!(
            (&row["passed"], &row["sub_code"]),
            (&Field::Bool(passed), &text(sub_code))
        );
        assert_eq!(row["face_age"], Field::Short(30));
        assert_eq!(row["parse_status"], text("ok"));
        let known = idvault.row(id);
        assert_eq!((known.state.as_str(), known.attempts), ("archived", 1));
    }
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.archived(), archived, "the second run changes nothing");
}

#[test]
fn names_in_lower_case_are_read_like_the_vendors_own() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let body = r#"{"code":"success","requestid":"r1","result":{"passed":"N","subcode":"204"}}"#;
    vendor.script("t1", [Answer::new(200, body)]);
    vendor.script(
        "t2",
        [Answer::new(
            400,
            r#"{"code":"transactionidinvalid","message":"who is that"}"#,
        )],
    );
    idvault.pending(&[("t1", FRESH), ("t2", FRESH)]);
    idvault.run(&vendor, &[]).exits(4);
    let archived = idvault.archived();
    let row = &archived["t1"];
    let found = [&row["passed"], &row["sub_code"], &row["request_id"]];
    assert_eq!(found, [&Field::Bool(false), &text("204"), &text("r1")]);
    assert_eq!(idvault.row("t2").state, "quarantined");
    assert_eq!(idvault.row("t2").last_message.as_deref(), Some("who is that"));
}

#[test]
fn a_verdict_that_is_still_open_stays_pending_for_a_later_day() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("p", [verdict("P", "")]);
    idvault.pending(&[("p", FRESH)]);
    idvault.run(&vendor, &[]).exits(0);
    assert_postponed(&idvault, "p");
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(vendor.calls().len(), 1, "it is not asked for twice in a night");
}

#[track_caller]
fn assert_postponed(idvault: &Idvault, id: &str) {
    assert!(idvault.archived().is_empty());
    let row = idvault.row(id);
    assert_eq!((row.state.as_str(), row.not_completed_runs), ("pending", 1), "{id}");
    assert_eq!((row.attempts, row.failed_runs), (1, 0), "{id}");
    assert!(row.next_due_at > NOW.parse().unwrap(), "{id}");
}

/// The replies that are kept, by id.
fn kept(idvault: &Idvault) -> Vec<(String, Option<String>, Vec<u8>)> {
    let ledger = idvault.ledger();
    let sql = "SELECT transaction_id, kept.passed, kept.body FROM unknown_verdicts AS kept JOIN transactions USING (number) ORDER BY 1";
    let mut statement = ledger.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_verdict_that_is_none_is_named_from_the_first_night_and_its_reply_is_kept() {
    let with = |passed: &str| format!(r#"{{"Code":"Success","Result":{{"Passed":{passed},"SubCode":"200"}}}}"#);
    for (body, passed, named) in [
        (with("\"true\""), Some("\"true\""), "Passed is \"true\""),
        (with("1"), Some("1"), "Passed is 1"),
        (with("\"\""), Some("\"\""), "Passed is \"\""),
        (
            r#"{"Code":"Success","Result":{"SubCode":"200"}}"#.to_owned(),
            None,
            "Passed is missing",
        ),
        (r#"{"Code":"Success"}"#.to_owned(), None, "Passed is missing"),
    ] {
        let (idvault, vendor) = (Idvault::new(), Vendor::start());
        vendor.script("odd", [Answer::new(200, body.clone())]);
        idvault.pending(&[("odd", FRESH)]);
        let ended = idvault.run(&vendor, &[]).exits(4);
        let named = format!("{named} for 1 of FACE_LIVENESS in ap-southeast-1");
        let ended = ended.says(&named);
        let reasons = idvault.summary()["reasons"].clone();
        assert_eq!(
            (&reasons[0]["id"], &reasons[0]["count"]),
            (&"verdict_unknown".into(), &1.into())
        );
        assert!(reasons[0]["reason"].as_str().unwrap().contains(&named), "{reasons}");
        assert_eq!(idvault.summary()["fetch"]["unknown"], 1, "{}", ended.stderr);
        assert_postponed(&idvault, "odd");
        let expected = vec![("odd".to_owned(), passed.map(str::to_owned), body.into_bytes())];
        assert_eq!(kept(&idvault), expected);
        // Also in a night in which it is not asked for.
        idvault.run(&vendor, &[]).exits(4).says(&named);
        assert_eq!(vendor.calls().len(), 1);
        // Near its end the report says why.
        let near_its_end = "2026-12-19T02:00:00Z";
        vendor.script("odd", [Answer::new(200, with("\"maybe\""))]);
        idvault.run(&vendor, &["--now", near_its_end]).exits(4);
        assert_eq!(idvault.report_rows("expiry.csv")[0]["cause"], "unknown_verdict");
        assert_eq!(kept(&idvault)[0].1.as_deref(), Some("\"maybe\""), "the last one");
        // Once there is a verdict, it is over.
        vendor.script("odd", [verdict("Y", "200")]);
        idvault.run(&vendor, &["--now", "2026-12-20T02:00:00Z"]).exits(0);
        assert!(kept(&idvault).is_empty());
        assert_eq!(idvault.archived().len(), 1);
    }
}

#[test]
fn what_is_not_completed_is_asked_for_again_days_later_and_not_at_once() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", [error(400, "ProcessNotCompleted")]);
    idvault.pending(&[("t1", FRESH)]);
    idvault.run(&vendor, &[]).exits(0);
    let row = idvault.row("t1");
    assert_eq!(
        (row.state.as_str(), row.last_call_code.as_deref()),
        ("pending", Some("ProcessNotCompleted"))
    );
    let wait = row.next_due_at.duration_since(NOW.parse::<Timestamp>().unwrap());
    assert!(
        (12..=24).contains(&wait.as_hours()),
        "due again the next night, not after {wait:#}"
    );

    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(vendor.calls().len(), 1, "the same night asks no more");

    // A backoff: the second answer of that kind puts it off for longer.
    vendor.script("t1", [error(400, "ProcessNotCompleted")]);
    let next_night = "2026-11-23T02:00:00Z";
    idvault.run(&vendor, &["--now", next_night]).exits(0);
    let wait = idvault
        .row("t1")
        .next_due_at
        .duration_since(next_night.parse::<Timestamp>().unwrap());
    assert!((36..=48).contains(&wait.as_hours()), "{wait:#}");

    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &["--now", "2026-11-25T02:00:00Z"]).exits(0);
    assert_eq!(idvault.archived()["t1"]["passed"], Field::Bool(true));
}

#[test]
fn what_is_not_completed_past_its_expiry_is_abandoned_and_no_loss() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", [error(400, "ProcessNotCompleted")]);
    idvault.pending(&[("t1", EXPIRED)]);
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.row("t1").state, "abandoned");
    let summary = idvault.summary();
    assert_eq!(
        (&summary["fetch"]["abandoned"], &summary["fetch"]["lost"]),
        (&1.into(), &0.into())
    );
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(vendor.calls().len(), 1, "it is asked for no more");
}

#[test]
fn more_products_than_are_asked_for_side_by_side_are_all_asked_for() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let ids: Vec<String> = (0..40).map(|number| format!("t{number:02}")).collect();
    let mut rows = "transaction_id,product_code,verified_at\n".to_owned();
    for id in &ids {
        vendor.script(id, [verdict("Y", "200")]);
        rows.push_str(&[id, ",PRODUCT_", id, ",", FRESH, "\n"].concat());
    }
    idvault.write("pending.csv", rows);
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.archived().len(), ids.len());
}
