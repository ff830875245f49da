//! What a source says later, when it is better: an id that was given up is asked for again, and none is due too late.

use crate::common::vendor::{Vendor, error, verdict};
use crate::common::{EXPIRED, FRESH, Idvault, NOW};

/// Undated, not completed on 1, 2 and 4 November, so due again on the 7th or later; on the 5th a source says that it is deleted on
/// the 7th at 00:00.
#[test]
fn a_date_that_comes_later_brings_the_next_question_forward() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.write("pending.csv", "transaction_id,verified_at\nt1,\n");
    for night in ["2026-11-01T02:00:00Z", "2026-11-02T02:00:00Z", "2026-11-04T02:00:00Z"] {
        vendor.script("t1", [error(404, "ProcessNotCompleted")]);
        idvault.run(&vendor, &["--now", night]).exits(0);
    }
    assert_eq!(idvault.row("t1").next_due_at, "2026-11-07T22:00:00Z".parse().unwrap());
    idvault.pending(&[("t1", "2026-10-08T00:00:00Z")]);
    idvault.run(&vendor, &["--now", "2026-11-05T02:00:00Z"]).exits(0);
    assert_eq!(idvault.row("t1").next_due_at, "2026-11-05T12:00:00Z".parse().unwrap());
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &["--now", "2026-11-06T02:00:00Z"]).exits(0);
    assert_eq!(idvault.row("t1").state, "archived");
}

/// Runs are a week apart: what is not completed comes up before its deadline all the same.
#[test]
fn what_is_not_completed_is_due_in_time_however_far_apart_the_runs_are() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.write("idvault.toml", "run_interval = \"7d\"\n");
    idvault.pending(&[("t1", "2026-11-01T12:00:00Z")]);
    for night in ["2026-11-02T02:00:00Z", "2026-11-09T02:00:00Z", "2026-11-16T02:00:00Z"] {
        vendor.script("t1", [error(404, "ProcessNotCompleted")]);
        idvault.run(&vendor, &["--now", night]).exits(0);
    }
    // The next night but one is past its deadline, 1 December.
    vendor.script("t1", [error(404, "ProcessNotCompleted")]);
    idvault.run(&vendor, &["--now", "2026-11-23T02:00:00Z"]).exits(0);
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &["--now", "2026-11-30T02:00:00Z"]).exits(0);
    assert_eq!(idvault.row("t1").state, "archived");
}

#[test]
fn a_corrected_row_reopens_an_id_that_was_given_up() {
    for (code, state) in [("TransactionIdInvalid", "lost"), ("ProcessNotCompleted", "abandoned")] {
        let (idvault, vendor) = (Idvault::new(), Vendor::start());
        vendor.script("t1", [error(404, code)]);
        idvault.pending(&[("t1", EXPIRED)]);
        idvault.run(&vendor, &[]);
        assert_eq!(idvault.row("t1").state, state);
        // Earlier still: named, and it stays as it is.
        idvault.pending(&[("t1", "2026-10-19T10:00:00Z")]);
        idvault.run(&vendor, &[]).exits(4);
        let listed = idvault.report_rows("rejected.csv");
        let reason = &listed[0]["reason"];
        assert!(
            reason.contains(&format!("the id is {state}, and by this row, too")),
            "{reason}"
        );
        assert_eq!(idvault.row("t1").state, state);
        // A day that is not over for the vendor.
        idvault.pending(&[("t1", FRESH)]);
        vendor.script("t1", [verdict("Y", "200")]);
        idvault.run(&vendor, &[]).exits(0);
        assert_eq!(idvault.row("t1").state, "archived");
        // What is archived stays as it is.
        idvault.pending(&[("t1", "2026-11-21T00:00:00Z")]);
        idvault.run(&vendor, &[]).exits(0);
        idvault.execute(&["verify", "--read-data", "--now", NOW]).exits(0);
    }
}

#[test]
fn a_drop_by_mistake_can_be_undone() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", [error(400, "InvalidParameter")]);
    idvault.pending(&[("t1", FRESH)]);
    idvault.run(&vendor, &[]).exits(4);
    idvault
        .execute(&["quarantine", "drop", "t1", "--reason", "a test record"])
        .exits(0);
    assert_eq!(idvault.row("t1").state, "abandoned");
    // The source that says the same again is no reason.
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.row("t1").state, "abandoned");
    idvault.execute(&["quarantine", "retry", "t1"]).exits(0);
    assert_eq!(idvault.row("t1").state, "pending");
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.row("t1").state, "archived");
    idvault
        .execute(&["quarantine", "retry", "t1"])
        .exits(2)
        .says("t1 is not in quarantine, nor dropped, abandoned or lost");
}

#[test]
fn what_is_not_completed_and_was_not_asked_for_in_its_last_day_and_a_half_is_endangered() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", [error(404, "ProcessNotCompleted")]);
    // Deleted 40 hours after the first night; the second one can't ask.
    idvault.pending(&[("t1", "2026-10-24T18:00:00Z")]);
    idvault.run(&vendor, &[]).exits(0);
    idvault.write("idvault.toml", "[retry]\nattempts_per_call = 1\n");
    vendor.script("t1", [error(500, "InternalError")]);
    idvault.run(&vendor, &["--now", "2026-11-23T02:00:00Z"]).exits(5);
}
