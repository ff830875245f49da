//! The vendor refuses an id: a person looks at it, or it is lost.

use crate::common::server::Answer;
use crate::common::vendor::{Vendor, error, error_saying, verdict};
use crate::common::{EXPIRED, FRESH, Idvault};

#[test]
fn a_refused_id_is_quarantined_at_once_with_the_vendors_reason() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let xml = "<?xml version='1.0'?><Error><RequestId>r</RequestId><Code>TransactionIdInvalid</Code>\
               <Message>no such xml</Message></Error>";
    let refusals = [
        (
            "invalid",
            "TransactionIdInvalid",
            error_saying(400, "TransactionIdInvalid", "no such transaction"),
        ),
        (
            "parameter",
            "InvalidParameter",
            error_saying(400, "InvalidParameter", "bad merchant"),
        ),
        (
            "below",
            "InvalidParameter.X",
            error_saying(400, "InvalidParameter.X", "bad x"),
        ),
        (
            "missing",
            "MissingParameter",
            error_saying(400, "MissingParameter", "where is it"),
        ),
        (
            "in200",
            "TransactionIdInvalid",
            error_saying(200, "TransactionIdInvalid", "success it is not"),
        ),
        (
            "in500",
            "TransactionIdInvalid",
            error_saying(500, "TransactionIdInvalid", "the code decides"),
        ),
        ("xml", "TransactionIdInvalid", Answer::new(400, xml)),
    ];
    idvault.pending(&refusals.each_ref().map(|(id, ..)| (*id, FRESH)));
    for (id, _, answer) in &refusals {
        vendor.script(id, [answer.clone()]);
    }
    idvault
        .run(&vendor, &[])
        .exits(4)
        .says("7 records are in quarantine; see quarantine.csv");
    let lines = idvault.report_rows("quarantine.csv");
    assert_eq!(lines.len(), refusals.len());
    for (id, call_code, _) in &refusals {
        let row = idvault.row(id);
        assert_eq!((row.state.as_str(), row.attempts), ("quarantined", 1), "{id}");
        let line = lines.iter().find(|line| line["transaction_id"] == *id).unwrap();
        assert_eq!(line["last_call_code"], *call_code, "{id}");
        assert_eq!(Some(&line["reason"]), row.last_message.as_ref(), "{id}");
        assert!(!line["reason"].is_empty(), "{id}");
    }
    let invalid = lines.iter().find(|line| line["transaction_id"] == "invalid").unwrap();
    assert_eq!(invalid["reason"], "no such transaction");

    // A person has to look: the exit code stays, and the vendor is not asked again.
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(vendor.calls().len(), refusals.len());
}

#[test]
fn an_unknown_transaction_past_its_expiry_is_lost_and_says_so() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("gone", [error(400, "TransactionIdInvalid")]);
    vendor.script("saved", [verdict("Y", "200")]);
    idvault.pending(&[("gone", EXPIRED), ("saved", EXPIRED)]);
    idvault
        .run(&vendor, &[])
        .exits(5)
        .says("1 record was deleted by the vendor before it was fetched");
    assert_eq!(idvault.row("gone").state, "lost");
    let fetch = &idvault.summary()["fetch"];
    assert_eq!((&fetch["lost"], &fetch["quarantined"]), (&1.into(), &0.into()));
    assert_eq!(
        idvault.row("saved").state,
        "archived",
        "past its expiry is not deleted yet"
    );
    let lines = idvault.report_rows("expiry.csv");
    let line = lines.iter().find(|line| line["transaction_id"] == "gone").unwrap();
    assert_eq!((line["band"].as_str(), line["state"].as_str()), ("lost", "lost"));
}

#[test]
fn an_error_other_than_an_unknown_transaction_is_never_read_as_deleted() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.write("idvault.toml", "[retry]\nattempts_per_call = 1\n");
    vendor.script("server", [error(500, "InternalError")]);
    vendor.script("young", [error(404, "TransactionIdInvalid")]);
    vendor.script("notfound", [Answer::new(404, "not found")]);
    idvault.pending(&[("server", EXPIRED), ("young", FRESH), ("notfound", EXPIRED)]);
    idvault
        .run(&vendor, &[])
        .exits(5)
        .says("2 unfetched records are past their expiry");
    assert_eq!(idvault.row("server").state, "pending");
    assert_eq!(idvault.row("notfound").state, "pending");
    assert_eq!(idvault.row("young").state, "quarantined");
    assert_eq!(idvault.summary()["states"]["lost"], 0);
}

#[test]
fn what_was_in_quarantine_until_its_expiry_is_lost() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", [error(400, "InvalidParameter")]);
    idvault.pending(&[("t1", FRESH)]);
    idvault.run(&vendor, &[]).exits(4);
    // Deleted on 2026-12-20T10:00.
    idvault.run(&vendor, &["--now", "2026-12-18T02:00:00Z"]).exits(4);
    idvault
        .run(&vendor, &["--now", "2026-12-20T02:00:00Z"])
        .exits(5)
        .says("will expire before the next run");
    assert_eq!(idvault.row("t1").state, "quarantined");
    // Nobody has told yet that this machine's clock is right.
    idvault
        .run(&vendor, &["--now", "2026-12-21T02:00:00Z"])
        .exits(5)
        .says("1 unfetched record is past its expiry");
    assert_eq!(idvault.row("t1").state, "quarantined");
    vendor.script("t2", [verdict("Y", "200")]);
    idvault.pending(&[("t2", "2026-12-21T01:00:00Z")]);
    idvault
        .run(&vendor, &["--now", "2026-12-21T02:00:00Z"])
        .exits(5)
        .says("was deleted by the vendor");
    assert_eq!(idvault.row("t1").state, "lost");
}

#[test]
fn what_was_asked_too_often_gets_one_attempt_a_run_and_is_quarantined_after_five() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.pending(&[("t1", FRESH)]);
    for run in 1..=5 {
        vendor.script("t1", [error(403, "Forbidden.ExceptionRepeatedInvoke")]);
        idvault.run(&vendor, &[]).exits(4);
        let row = idvault.row("t1");
        let state = if run < 5 { "pending" } else { "quarantined" };
        assert_eq!(
            (row.state.as_str(), row.attempts, row.failed_runs),
            (state, run, run),
            "run {run}"
        );
        assert_eq!(idvault.report_rows("quarantine.csv").len(), usize::from(run == 5));
    }
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(vendor.calls().len(), 5, "in quarantine it is asked for no more");
}

#[test]
fn a_corrected_row_takes_an_id_out_of_quarantine() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let row = |region: &str| format!("transaction_id,region,verified_at\nt1,{region},{FRESH}\n");
    idvault.write("pending.csv", row("cn-hongkong"));
    vendor.script("t1", [error(400, "TransactionIdInvalid")]);
    idvault.run(&vendor, &[]).exits(4);
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(
        idvault.row("t1").state,
        "quarantined",
        "the same row again corrects nothing"
    );
    idvault.write("pending.csv", row("ap-southeast-1"));
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.archived()["t1"]["region"].to_string(), "\"ap-southeast-1\"");
}

#[test]
fn a_person_retries_or_drops_what_is_in_quarantine() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let ids = ["t1", "t2", "t3"];
    for id in ids {
        vendor.script(id, [error(400, "InvalidParameter")]);
    }
    idvault.pending(&ids.map(|id| (id, FRESH)));
    idvault.run(&vendor, &[]).exits(4);
    let listed = idvault.execute(&["quarantine", "list"]).exits(0).stdout;
    assert_eq!(listed, idvault.report("quarantine.csv"));

    idvault
        .execute(&["quarantine", "retry", "t1", "unheard-of"])
        .exits(2)
        .says("unheard-of is not in quarantine");
    assert_eq!(idvault.row("t1").state, "quarantined", "all or none");
    idvault.execute(&["quarantine", "drop", "t3"]).exits(2).says("--reason");
    idvault
        .execute(&["quarantine", "drop", "t3", "--reason", "a test of ours"])
        .exits(0);
    let dropped = idvault.row("t3");
    assert_eq!(
        (dropped.state.as_str(), dropped.last_message.as_deref()),
        ("abandoned", Some("a test of ours"))
    );

    idvault.execute(&["quarantine", "retry", "t1"]).exits(0);
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(
        (idvault.row("t1").state, idvault.row("t2").state),
        ("archived".into(), "quarantined".into())
    );
    idvault.execute(&["quarantine", "retry", "--all"]).exits(0);
    vendor.script("t2", [verdict("N", "204")]);
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.archived().len(), 2);
}
