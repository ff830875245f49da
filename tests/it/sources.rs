//! What pending sources say: no input is not a good night, and a bad cell never costs an id.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use crate::common::vendor::{Vendor, verdict};
use crate::common::{FRESH, Idvault};

/// The ids of the reasons that the last run gives.
fn reasons(idvault: &Idvault) -> Vec<String> {
    let summary = idvault.summary();
    let reasons = summary["reasons"].as_array().unwrap().iter();
    reasons
        .map(|reason| reason["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Line, id and whether it was taken, of each row of `rejected.csv`.
fn rejected(idvault: &Idvault) -> Vec<(String, String, String)> {
    let rows = idvault.report_rows("rejected.csv").into_iter();
    rows.map(|row| (row["line"].clone(), row["transaction_id"].clone(), row["taken"].clone()))
        .collect()
}

fn named(rows: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    rows.iter()
        .map(|(line, id, taken)| ((*line).to_owned(), (*id).to_owned(), (*taken).to_owned()))
        .collect()
}

/// A vendor that has a verdict for each of these.
fn vendor_of(ids: &[&str]) -> Vendor {
    let vendor = Vendor::start();
    for id in ids {
        vendor.script(id, [verdict("Y", "200")]);
    }
    vendor
}

/// A SQLite source with these statements and this query; gives how the night ended.
fn sqlite(idvault: &Idvault, sql: &str, query: &str) -> crate::common::Ended {
    let path = idvault.path("app.sqlite");
    if !path.exists() {
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    }
    idvault.write("idvault.toml", format!("[intake]\nsqlite_query = '''{query}'''\n"));
    idvault.execute(&["run", "--intake-only", "--pending", "app.sqlite"])
}

#[test]
fn without_a_source_and_with_nothing_to_ask_for_a_night_needs_a_look() {
    let (idvault, vendor) = (Idvault::new(), vendor_of(&["t1"]));
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(reasons(&idvault), ["no_source"]);
    let reason = idvault.summary()["reasons"][0]["reason"].clone();
    assert!(
        reason.as_str().unwrap().contains("no pending source is configured"),
        "{reason}"
    );
    assert!(
        idvault
            .report("report.html")
            .contains("no pending source is configured")
    );
    // What the ledger knows is input enough.
    idvault.pending(&[("t1", FRESH)]);
    idvault
        .execute(&["run", "--intake-only", "--pending", "pending.csv"])
        .exits(0);
    std::fs::remove_file(idvault.path("pending.csv")).unwrap();
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.archived().len(), 1);
    idvault.run(&vendor, &[]).exits(4);
}

#[test]
fn a_source_with_fewer_rows_than_it_must_have_needs_a_look() {
    let (idvault, vendor) = (Idvault::new(), vendor_of(&["t1"]));
    idvault.write("pending.csv", "transaction_id,verified_at\n");
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(reasons(&idvault), ["source_short"]);
    let said = idvault.summary()["intake"]["short_sources"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        said.starts_with("pending.csv has 0 rows, and at least 1 must be there"),
        "{said}"
    );
    idvault.write("idvault.toml", "[intake]\nmin_rows = 0\n");
    idvault.run(&vendor, &[]).exits(0);
    idvault.pending(&[("t1", FRESH)]);
    idvault.write("idvault.toml", "[intake]\nmin_rows = 2\n");
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(
        idvault.row("t1").state,
        "archived",
        "what is there is fetched all the same"
    );
}

#[test]
fn a_source_that_is_older_than_it_may_be_needs_a_look() {
    let (idvault, vendor) = (Idvault::new(), vendor_of(&["t1", "t2"]));
    idvault.write("idvault.toml", "[intake]\nmax_age = \"1d\"\n");
    // Two days before the night.
    idvault.pending(&[("t1", FRESH)]);
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(reasons(&idvault), ["source_stale"]);
    let said = idvault.summary()["intake"]["stale_sources"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        said.contains("the newest verified_at is 2026-11-20T10:00:00Z"),
        "{said}"
    );
    idvault.write("idvault.toml", "[intake]\nmax_age = \"3d\"\n");
    idvault.run(&vendor, &[]).exits(0);
    // Where no row has a time, the file's own counts.
    idvault.write("pending.csv", "transaction_id\nt2\n");
    idvault.run(&vendor, &[]).exits(0);
    let long_ago = SystemTime::now() - Duration::from_hours(100);
    let file = File::options().write(true).open(idvault.path("pending.csv")).unwrap();
    file.set_modified(long_ago).unwrap();
    idvault.run(&vendor, &[]).exits(4);
    let said = idvault.summary()["intake"]["stale_sources"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(said.contains("the file's own time is"), "{said}");
}

#[test]
fn a_query_with_parameters_that_nobody_binds_is_refused() {
    let idvault = Idvault::new();
    let table = "CREATE TABLE t (id TEXT, state TEXT, done_at INT); INSERT INTO t VALUES ('a1', 'done', 1793525400)";
    let ended = sqlite(
        &idvault,
        table,
        "SELECT id AS transaction_id FROM t WHERE done_at > :since",
    );
    ended.exits(3).says("parameters that nothing gives a value: :since");
    sqlite(&idvault, table, "SELECT id AS transaction_id FROM t WHERE done_at > ?")
        .exits(3)
        .says("parameters");
}

#[test]
fn text_in_double_quotes_that_is_no_column_is_refused() {
    let idvault = Idvault::new();
    let table = "CREATE TABLE t (id TEXT, state TEXT); INSERT INTO t VALUES ('a1', 'done')";
    let ended = sqlite(
        &idvault,
        table,
        "SELECT id AS transaction_id FROM t WHERE \"sate\" = 'done'",
    );
    ended.exits(3).says("sate");
    let ended = sqlite(
        &idvault,
        table,
        "SELECT id AS transaction_id FROM t WHERE \"state\" = \"done\"",
    );
    ended.exits(3).says("no such column");
}

#[test]
fn a_header_that_comes_again_is_no_id() {
    let (idvault, vendor) = (Idvault::new(), vendor_of(&["hks1", "hks3"]));
    idvault.write(
        "pending.csv",
        "transaction_id,product_code\nhks1,FACE_LIVENESS\ntransaction_id,product_code\nhks3,\n",
    );
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(rejected(&idvault), named(&[("3", "transaction_id", "no")]));
    assert_eq!(idvault.summary()["states"]["archived"], 2);
    assert_eq!(idvault.archived().keys().collect::<Vec<_>>(), ["hks1", "hks3"]);
}

#[test]
fn placeholders_are_no_ids_and_count_as_missing() {
    let (idvault, vendor) = (Idvault::new(), vendor_of(&["hks3"]));
    idvault.write(
        "pending.csv",
        "transaction_id,merchant_biz_id,product_code,verified_at\nNULL,NULL,NULL,\n\
         hks3,NULL,NULL,2026-11-20T00:00:00Z\nnan,nan,,\nNone,,,\n",
    );
    idvault.run(&vendor, &[]).exits(4);
    assert_eq!(
        rejected(&idvault),
        named(&[("2", "NULL", "no"), ("4", "nan", "no"), ("5", "None", "no")])
    );
    let known = idvault.ledger().query_row(
        "SELECT count(*), max(product_code), max(product_assumed), max(merchant_biz_id) FROM transactions",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    );
    let known: (u64, String, bool, Option<String>) = known.unwrap();
    assert_eq!(known, (1, "FACE_LIVENESS".to_owned(), true, None));
    assert_eq!(idvault.archived().len(), 1);
}

#[test]
fn a_last_line_that_is_cut_is_listed_and_not_taken() {
    for (text, ids, cut) in [
        (
            "transaction_id,verified_at\nhks0001,2026-11-20T00:00:00Z\nhks00",
            &["hks0001"][..],
            Some("3"),
        ),
        (
            "transaction_id,verified_at\nhks0001,\nhks0002,",
            &["hks0001", "hks0002"],
            None,
        ),
        (
            "transaction_id\nhks0001\nhks0002\nhks00",
            &["hks0001", "hks0002"],
            Some("4"),
        ),
        ("transaction_id\nhks0001\nhks0002", &["hks0001", "hks0002"], None),
        ("transaction_id\nhks0001\nhks00\n", &["hks0001", "hks00"], None),
        ("transaction_id\nhks00", &["hks00"], None),
    ] {
        let (idvault, vendor) = (Idvault::new(), vendor_of(ids));
        idvault.write("pending.csv", text);
        idvault.run(&vendor, &[]).exits(if cut.is_some() { 4 } else { 0 });
        let archived = idvault.archived();
        let mut expected = ids.to_vec();
        expected.sort_unstable();
        assert_eq!(archived.keys().collect::<Vec<_>>(), expected, "{text:?}");
        let listed = rejected(&idvault);
        let lines: Vec<&str> = listed.iter().map(|(line, _, _)| line.as_str()).collect();
        assert_eq!(lines, cut.into_iter().collect::<Vec<_>>(), "{text:?}: {listed:?}");
    }
}

#[test]
fn a_bad_cell_never_costs_an_id_and_a_later_row_says_it_right() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let bad = [
        (
            "t1",
            "FACE LIVENESS!,ap-southeast-1,2026-11-20T10:00:00Z",
            "product_code",
        ),
        ("t2", "FACE_LIVENESS,mars-1,2026-11-20T10:00:00Z", "no known endpoint"),
        ("t3", "FACE_LIVENESS,ap-southeast-1,yesterday", "verified_at"),
        (
            "t4",
            "FACE_LIVENESS,ap-southeast-1,2026-11-24T10:00:00Z",
            "more than a day in the future",
        ),
        (
            "t5",
            "FACE_LIVENESS,ap-southeast-1,2026-11-20T10:00:00Z,more",
            "shifted",
        ),
        ("t6", "\"FACE_LIVENESS,ap-southeast-1,2026-11-20T10:00:00Z", "quote"),
    ];
    let rows: String = bad
        .iter()
        .map(|(id, cells, _)| format!("{id},{cells}\n"))
        .collect::<Vec<_>>()
        .concat();
    let header = "transaction_id,product_code,region,verified_at\n";
    idvault.write("pending.csv", format!("{header}{rows}"));
    idvault
        .execute(&[
            "run",
            "--intake-only",
            "--pending",
            "pending.csv",
            "--now",
            crate::common::NOW,
        ])
        .exits(4);
    assert_eq!(reasons(&idvault), ["rows_incomplete"]);
    let intake = idvault.summary()["intake"].clone();
    assert_eq!(
        (&intake["new"], &intake["rejected"], &intake["incomplete"]),
        (&6.into(), &0.into(), &6.into())
    );
    let listed = idvault.report_rows("rejected.csv");
    for (row, (id, _, reason)) in listed.iter().zip(&bad) {
        assert_eq!(
            (row["transaction_id"].as_str(), row["taken"].as_str()),
            (*id, "yes"),
            "{row:?}"
        );
        assert!(row["reason"].contains(reason), "{row:?}");
    }
    assert_eq!(listed.len(), bad.len());
    let assumed = "SELECT count(*) FROM transactions WHERE transaction_id = ?1 AND (product_assumed OR region_assumed \
                   OR verified_at IS NULL)";
    for (id, _, _) in &bad {
        let known: u64 = idvault.ledger().query_row(assumed, [id], |row| row.get(0)).unwrap();
        assert_eq!(known, 1, "{id}");
        vendor.script(id, [verdict("Y", "200")]);
    }
    let right: String = bad
        .iter()
        .map(|(id, _, _)| format!("{id},FACE_GUARD,ap-southeast-1,{FRESH}\n"))
        .collect::<Vec<_>>()
        .concat();
    idvault.write("pending.csv", format!("{header}{right}"));
    // What was said well stands; each row completes what it was missing, or contradicts what was read.
    idvault.run(&vendor, &[]).exits(4);
    let complete = "SELECT count(*) FROM transactions WHERE verified_at IS NOT NULL";
    let dated: u64 = idvault.ledger().query_row(complete, [], |row| row.get(0)).unwrap();
    assert!(dated >= 4, "{dated}");
    assert_eq!(idvault.archived().len(), bad.len());
    assert_eq!(idvault.row("t5").state, "archived");
    let archived: BTreeMap<_, _> = idvault.archived();
    assert_eq!(format!("{:?}", archived["t5"]["product_code"]), "Str(\"FACE_GUARD\")");
}

#[test]
fn a_source_without_end_is_left_after_the_most_rows_that_may_be_read() {
    let idvault = Idvault::new();
    idvault.write("idvault.toml", "[intake]\nmax_rows = 1000\n");
    let endless = "CREATE VIEW pending AS WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) \
                   SELECT 'junk' || i AS transaction_id FROM n";
    Connection::open(idvault.path("app.sqlite"))
        .unwrap()
        .execute_batch(endless)
        .unwrap();
    idvault.pending(&[("t1", FRESH)]);
    let sources = "app.sqlite,pending.csv";
    let ended = idvault.execute(&[
        "run",
        "--intake-only",
        "--pending",
        sources,
        "--now",
        crate::common::NOW,
    ]);
    ended
        .exits(3)
        .says("app.sqlite has more than 1000 rows and was left there");
    assert_eq!(idvault.summary()["intake"]["rows"], 1001);
    assert_eq!(idvault.row("t1").state, "pending", "the other source goes on");
}
