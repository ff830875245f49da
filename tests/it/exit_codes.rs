//! Every exit code, and the one that needs a person soonest where several hold.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::Stdio;

use rusqlite::Connection;

use crate::common::vendor::{Vendor, error, verdict};
use crate::common::{EXPIRED, FRESH, Idvault, NOW, files_below};

/// A folder with one pending row.
fn with_one_row() -> Idvault {
    let idvault = Idvault::new();
    idvault.pending(&[("t1", FRESH)]);
    idvault
}

/// A run that must fail before any call: the vendor has no script, and fails the test where it is asked.
#[track_caller]
fn fails_before_any_call(idvault: &Idvault, code: i32, sentence: &str) {
    let vendor = Vendor::start();
    idvault.run(&vendor, &[]).exits(code).says(sentence);
    assert!(vendor.calls().is_empty());
}

#[test]
fn exit_0_nothing_is_due_or_all_is_archived() {
    let (idvault, vendor) = (with_one_row(), Vendor::start());
    vendor.script("t1", [verdict("Y", "200")]);
    let ended = idvault.run(&vendor, &["--quiet"]).exits(0);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("", ""),
        "silence when all is well"
    );
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.summary()["reasons"], serde_json::json!([]));
}

#[test]
fn exit_1_what_nobody_foresaw() {
    let idvault = with_one_row();
    // The address is taken.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    idvault
        .execute(&["sandbox", "--listen", &address])
        .exits(1)
        .says(&address);
    // Standard output can't be written.
    let vendor = Vendor::start();
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(0);
    for args in [&["status"][..], &["man"], &["verify"], &["completions", "bash"]] {
        idvault
            .execute_into(args, full(), Stdio::piped())
            .exits(1)
            .says("failed to write to standard output");
    }
}

/// Nothing can be written to it.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_summary_that_can_not_be_printed_hides_neither_exit_code_nor_reasons() {
    let (idvault, vendor) = (with_one_row(), Vendor::start());
    vendor.script("t1", [error(400, "InvalidAccessKeyId.NotFound"), verdict("Y", "200")]);
    let args = [
        "run",
        "--json",
        "--pending",
        "pending.csv",
        "--now",
        NOW,
        "--endpoint",
        &vendor.url,
    ];
    let ended = idvault.execute_into(&args, full(), Stdio::piped()).exits(8);
    ended
        .says("the vendor refused the credentials")
        .says("failed to write to standard output");
    idvault.execute_into(&args, full(), Stdio::piped()).exits(1);
    assert_eq!(idvault.archived().len(), 1, "the night's work is done");
}

#[test]
fn a_log_that_can_not_be_written_changes_neither_the_night_nor_the_exit_code() {
    let (idvault, vendor) = (with_one_row(), Vendor::start());
    vendor.script("t1", [verdict("Y", "200")]);
    let args = [
        "run",
        "--pending",
        "pending.csv",
        "--now",
        NOW,
        "--endpoint",
        &vendor.url,
        "-vv",
    ];
    idvault.execute_into(&args, Stdio::piped(), full()).exits(0);
    assert_eq!(idvault.archived().len(), 1);
    for (args, code) in [(&["run", "--config", "nowhere.toml"][..], 3), (&["fly"], 2)] {
        idvault.execute_into(args, Stdio::piped(), full()).exits(code);
    }
}

#[test]
fn exit_2_wrong_usage() {
    let idvault = with_one_row();
    for args in [
        &["fly"][..],
        &["run", "--no-such-option"],
        &["run", "--qps", "many"],
        &["run", "--now", "yesterday"],
        &["run", "--endpoint", "http://127.0.0.1:1", "--sandbox"],
        &["report", "billing", "--month", "2026-13", "--all"],
    ] {
        idvault.execute(args).exits(2).says("--help");
    }
    assert!(!idvault.data("").exists(), "nothing is made");
}

#[test]
fn exit_3_wrong_configuration() {
    for (text, sentence) in [
        ("qqs = 5", "unknown field `qqs`"),
        ("qps = ", "idvault.toml is wrong"),
        ("concurrency = 0", "concurrency is wrong"),
        (
            "qps = 'unlimited'\n[endpoints]\nap-southeast-1 = 'https://example.com'",
            "qps is wrong",
        ),
        ("quota_share = 2.0", "quota_share is wrong"),
    ] {
        let idvault = with_one_row();
        idvault.write("idvault.toml", text);
        idvault.execute(&["run", "--now", NOW]).exits(3).says(sentence);
        assert!(!idvault.data("").exists(), "{text}: nothing is made");
    }
    let idvault = with_one_row();
    idvault
        .execute(&["run", "--config", "nowhere.toml"])
        .exits(3)
        .says("nowhere.toml");
    idvault
        .execute(&["run", "--endpoint", "http://example.com"])
        .exits(3)
        .says("endpoint is wrong");
}

#[test]
fn exit_3_a_pending_source_that_can_not_be_read_and_the_rest_goes_on() {
    let (idvault, vendor) = (with_one_row(), Vendor::start());
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.write("noid.csv", "merchant_biz_id\nm1\n");
    let sources = "nowhere.csv,noid.csv,pending.csv";
    let ended = idvault.run(&vendor, &["--pending", sources]).exits(3);
    ended.says("nowhere.csv").says("noid.csv");
    assert_eq!(idvault.row("t1").state, "archived", "the source that can be read is");
}

#[test]
fn exit_4_something_is_left_in_quarantine_or_rejected() {
    let (idvault, vendor) = (with_one_row(), Vendor::start());
    idvault.write("idvault.toml", "[retry]\nattempts_per_call = 1\n");
    vendor.script("t1", [error(500, "InternalError")]);
    idvault.run(&vendor, &[]).exits(4).says("1 due record is left");
    vendor.script("t1", [error(400, "InvalidParameter")]);
    idvault.run(&vendor, &[]).exits(4).says("1 record is in quarantine");

    let (idvault, vendor) = (with_one_row(), Vendor::start());
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.write(
        "pending.csv",
        format!("transaction_id,verified_at\nt1,{FRESH}\nt/2,{FRESH}\n"),
    );
    idvault.run(&vendor, &[]).exits(4).says("1 row was rejected");
    assert_eq!(idvault.report_rows("rejected.csv")[0]["line"], "3");
}

#[test]
fn exit_5_a_record_is_overdue_or_will_expire_before_the_next_run() {
    let idvault = Idvault::new();
    idvault.write("idvault.toml", "[retry]\nattempts_per_call = 1\n");
    // Deleted twelve hours after NOW; the next run is a day away.
    for (verified_at, sentence) in [
        (
            "2026-10-23T14:00:00Z",
            "1 record will expire before the next run can reach it",
        ),
        (EXPIRED, "1 unfetched record is past its expiry"),
    ] {
        let vendor = Vendor::start();
        vendor.script("t1", [error(500, "InternalError")]);
        idvault.pending(&[("t1", verified_at)]);
        fs::remove_dir_all(idvault.data("")).ok();
        idvault.run(&vendor, &[]).exits(5).says(sentence);
    }
}

#[test]
fn exit_6_a_ledger_that_can_not_be_used_is_left_as_it_is() {
    let newer = "PRAGMA application_id = 0x69647674; PRAGMA user_version = 99; CREATE TABLE runs (x);";
    let foreign = "PRAGMA application_id = 0x12345678; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);";
    let nameless = "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);";
    for (sql, sentence) in [
        (Some(newer), "use the newer idvault that wrote it"),
        (Some(foreign), "is not an idvault ledger (application id 0x12345678)"),
        (Some(nameless), "is not an idvault ledger"),
        (None, "file is not a database"),
    ] {
        let idvault = with_one_row();
        idvault.write("idvault-data/ledger.sqlite", "");
        match sql {
            Some(sql) => Connection::open(idvault.data("ledger.sqlite"))
                .unwrap()
                .execute_batch(sql)
                .unwrap(),
            None => idvault.write(
                "idvault-data/ledger.sqlite",
                "not a database, but somebody's notes\n".repeat(50),
            ),
        }
        let before = fs::read(idvault.data("ledger.sqlite")).unwrap();
        fails_before_any_call(&idvault, 6, sentence);
        for command in [&["status"][..], &["verify"], &["report", "expiry"]] {
            idvault.execute(command).exits(6).says("ledger.sqlite");
        }
        assert!(
            fs::read(idvault.data("ledger.sqlite")).unwrap() == before,
            "{sentence}: the file was changed"
        );
    }
}

/// Nothing is asked: the first thing that the second run would need of the vendor is a name that can't be resolved here.
#[test]
fn exit_6_a_ledger_of_made_up_answers_is_never_filled_up_by_the_vendor() {
    let idvault = Idvault::new();
    idvault.pending(&[("t1", FRESH)]);
    let sandbox = ["run", "--sandbox", "--qps", "unlimited", "--pending", "pending.csv"];
    let ended = idvault.execute(&sandbox);
    assert!([0, 4].contains(&ended.code), "{}", ended.stderr);
    let vendor = ["run", "--pending", "pending.csv"];
    idvault
        .execute(&vendor)
        .exits(6)
        .says("made-up answers must not get among real ones");
    assert_eq!(idvault.row("t1").attempts, 1);
    let runs: i64 = idvault
        .ledger()
        .query_row("SELECT count(*) FROM runs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(runs, 1, "the refused run is none");
}

#[test]
fn exit_6_a_folder_in_the_ledgers_place_or_no_ledger_to_read() {
    let idvault = with_one_row();
    idvault.execute(&["status"]).exits(6).says("there is no ledger at");
    idvault.execute(&["verify"]).exits(6).says("there is no ledger at");
    fs::create_dir_all(idvault.data("ledger.sqlite")).unwrap();
    fails_before_any_call(&idvault, 6, "ledger.sqlite");
}

#[test]
fn exit_7_a_file_in_the_place_of_a_folder() {
    for place in ["archive", "reports", ".staging"] {
        let idvault = with_one_row();
        idvault.write(&format!("idvault-data/{place}"), "mine");
        fails_before_any_call(&idvault, 7, "it is there and is not a folder");
        assert_eq!(fs::read(idvault.data(place)).unwrap(), b"mine");
    }
    let idvault = with_one_row();
    idvault.write("idvault-data", "mine");
    fails_before_any_call(&idvault, 7, "idvault-data");
}

#[test]
fn exit_7_what_was_fetched_is_kept_and_archived_once_the_archive_can_be_written() {
    let (idvault, vendor) = (with_one_row(), Vendor::start());
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.write("idvault-data/archive/verifications", "in the way");
    idvault.run(&vendor, &[]).exits(7).says("verifications");
    assert_eq!(idvault.row("t1").state, "journalled");
    fs::remove_file(idvault.data("archive/verifications")).unwrap();
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.archived().len(), 1);
    assert_eq!(vendor.calls().len(), 1, "it is not asked for again");
}

#[test]
fn exit_9_verify_finds_what_is_missing_extra_or_changed() {
    let (idvault, vendor) = (with_one_row(), Vendor::start());
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(0);
    idvault.execute(&["verify", "--read-data"]).exits(0);
    let [file] = &files_below(&idvault.data("archive/verifications"))[..] else {
        panic!("one file is published");
    };
    let good = fs::read(file).unwrap();
    let says = |expected: &str| {
        let ended = idvault.execute(&["verify"]).exits(9);
        assert!(ended.stdout.starts_with(expected), "{}", ended.stdout);
    };
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(file, &bad).unwrap();
    says("changed: ");
    fs::write(file, &good).unwrap();
    fs::copy(file, file.with_file_name("copy.parquet")).unwrap();
    says("extra: ");
    fs::rename(file.with_file_name("copy.parquet"), file).unwrap();
    idvault.execute(&["verify"]).exits(0);
    fs::remove_file(file).unwrap();
    says("missing: ");
}

#[test]
fn exit_75_while_another_run_holds_the_lock() {
    let idvault = with_one_row();
    fs::create_dir(idvault.data("")).unwrap();
    let lock = File::create(idvault.data("lock")).unwrap();
    lock.try_lock().unwrap();
    fails_before_any_call(&idvault, 75, "another run holds the lock");
    assert!(!idvault.data("ledger.sqlite").exists(), "nothing was touched");
    // A lock file that nobody holds, as after a crash, is no obstacle.
    drop(lock);
    let vendor = Vendor::start();
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(0);
    idvault.execute(&["status"]).exits(0);
}

#[test]
fn exit_8_wins_over_5_and_4_and_3() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    // In the order of the plan: what the vendor still has comes before what is overdue.
    vendor.script("refused", [error(400, "InvalidParameter")]);
    vendor.script("stop", [error(400, "InvalidAccessKeyId.NotFound")]);
    idvault.pending(&[
        ("refused", "2026-11-01T00:00:00Z"),
        ("stop", FRESH),
        ("overdue", EXPIRED),
    ]);
    idvault
        .run(&vendor, &["--concurrency", "1", "--pending", "pending.csv,nowhere.csv"])
        .exits(8);
    let summary = idvault.summary();
    let reasons = summary["reasons"].as_array().unwrap();
    let mut codes: Vec<u64> = reasons
        .iter()
        .map(|reason| reason["exit_code"].as_u64().unwrap())
        .collect();
    codes.dedup();
    assert_eq!(codes, [8, 3, 5, 4], "all are said: {reasons:?}");
}

#[test]
fn exit_8_wins_over_7() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", [verdict("Y", "200")]);
    vendor.script("t2", [error(400, "InvalidAccessKeyId.NotFound")]);
    idvault.pending(&[("t1", "2026-11-01T00:00:00Z"), ("t2", FRESH)]);
    idvault.write("idvault-data/archive/verifications", "in the way");
    let ended = idvault.run(&vendor, &["--concurrency", "1"]);
    ended
        .exits(8)
        .says("the vendor refused the credentials")
        .says("verifications");
    assert_eq!(idvault.row("t1").state, "journalled");
}

#[test]
fn exit_5_wins_over_4_and_3() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("refused", [error(400, "InvalidParameter")]);
    vendor.script("gone", [error(400, "TransactionIdInvalid")]);
    idvault.pending(&[("refused", FRESH), ("gone", EXPIRED)]);
    idvault
        .run(&vendor, &["--pending", "pending.csv,nowhere.csv"])
        .exits(5)
        .says("nowhere.csv")
        .says("quarantine")
        .says("was deleted by the vendor");
    assert_eq!(idvault.summary()["exit_code"], 5);
}
