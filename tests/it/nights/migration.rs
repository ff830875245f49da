//! Ledgers of other versions: an older one is brought up and keeps its rows, a newer or a foreign one stays as it is.

use std::collections::BTreeMap;

use idvault::record::sha256_hex;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::{Ended, Place};

/// A folder whose ledger is the frozen one, changed by `more`.
fn with_ledger(more: &str) -> Place {
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    let fixture = format!("{}/tests/fixtures/ledger_v1.sql", env!("CARGO_MANIFEST_DIR"));
    let sql = std::fs::read_to_string(fixture).unwrap();
    let ledger = Connection::open(place.data().join("ledger.sqlite")).unwrap();
    ledger.execute_batch(&sql).unwrap();
    ledger.execute_batch(more).unwrap();
    place
}

/// Every row of a table, in the columns that schema 1 had.
fn rows(place: &Place, columns: &str, table: &str) -> Vec<Vec<Value>> {
    let ledger = place.ledger();
    let mut query = ledger
        .prepare(&format!("SELECT {columns} FROM {table} ORDER BY 1"))
        .unwrap();
    let count = query.column_count();
    let rows = query.query_map([], |row| (0..count).map(|index| row.get(index)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

const TRANSACTIONS: &str = "transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed, verified_at, \
first_seen_at, first_run, state, next_due_at, attempts, not_completed_runs, failed_runs, last_call_code, last_call_at, \
last_message, passed, sub_code";
const JOURNAL: &str = "transaction_id, run_id, fetched_at, body";
/// From schema 2 on the journal names the run by its number, and up to 6 only the transaction's.
const JOURNAL_BY_NUMBER: &str = "journal JOIN runs USING (run_number)";
const JOURNAL_BY_NUMBERS: &str = "journal JOIN transactions USING (number) JOIN runs USING (run_number)";
const FILES: &str = "path, dataset, billing_day, rows, bytes, sha256, run_id, state, published_at";
const TALLIES: &str = "path, product_code, region, sub_code, verifications";

fn everything(place: &Place) -> Vec<Vec<Vec<Value>>> {
    let journal = match version(place) {
        1 => "journal",
        2..=6 => JOURNAL_BY_NUMBERS,
        _ => JOURNAL_BY_NUMBER,
    };
    let tables = [(JOURNAL, journal), (FILES, "files"), (TALLIES, "tallies")];
    let mut tables = tables.map(|(columns, table)| rows(place, columns, table)).to_vec();
    tables.push(transactions(place));
    tables
}

fn transactions(place: &Place) -> Vec<Vec<Value>> {
    // From schema 7 on the state follows from two tables: a view has it.
    let view = match version(place) {
        1..=6 => return rows(place, TRANSACTIONS, "transactions"),
        7..=8 => "standing",
        _ => "transaction_states",
    };
    let state = format!("(SELECT {view}.state FROM {view} WHERE {view}.number = transactions.number)");
    let columns = TRANSACTIONS.replace(" state,", &format!(" {state},"));
    rows(place, &columns, "transactions")
}

/// What brings a ledger of schema 1 to a later one, step by step.
fn migrations() -> Vec<String> {
    let folder = format!("{}/sql/migrations", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files[1..]
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect()
}

/// As [`with_ledger`], of a later schema.
fn with_ledger_of(schema: usize, more: &str) -> Place {
    let steps = migrations()[..schema - 1].concat();
    with_ledger(&format!(
        "BEGIN; {steps} PRAGMA user_version = {schema}; COMMIT; {more}"
    ))
}

/// In how many states there are rows, in a schema whose rows tell.
fn states(place: &Place) -> u64 {
    place.count("SELECT count(DISTINCT state) FROM transactions")
}

fn version(place: &Place) -> u64 {
    place.count("PRAGMA user_version")
}

#[test]
fn a_ledger_of_schema_1_opens_and_keeps_every_row() {
    let place = with_ledger("");
    let before = everything(&place);
    assert_eq!((version(&place), states(&place)), (1, 6), "a row in every state");
    // Two of its pending rows are past their 30 days.
    place.idvault(&["run", "--intake-only"]).expect(5);
    assert_eq!(everything(&place), before);
    let causes = place.report("expiry.csv").into_iter();
    let causes: Vec<[String; 2]> = causes
        .map(|row| ["state", "cause"].map(|name| row[name].clone()))
        .collect();
    let expected = [
        ["lost", "first_seen_too_late"],
        ["pending", "first_seen_too_late"],
        ["pending", "first_seen_too_late"],
        ["pending", "not_completed"],
        ["pending", "not_completed"],
        ["quarantined", "region"],
    ];
    assert_eq!(causes, expected, "what its calls brought is still known");
    let fresh = Place::new();
    fresh.idvault(&["run", "--intake-only"]).expect(4);
    assert_eq!(version(&place), version(&fresh), "it is of the newest schema now");
}

#[test]
fn a_ledger_of_any_older_schema_keeps_every_row() {
    let newest = migrations().len() + 1;
    for schema in 2..newest {
        let place = with_ledger_of(schema, "");
        let before = everything(&place);
        // From 7 on the journal tells of two of them.
        let told = if schema < 7 { 6 } else { 5 };
        assert_eq!((version(&place), states(&place)), (schema as u64, told));
        place.idvault(&["run", "--intake-only"]).expect(5);
        assert_eq!(everything(&place), before, "schema {schema}");
        assert_eq!(version(&place), newest as u64, "schema {schema}");
        place.idvault(&["quarantine", "list"]).expect(0);
    }
}

/// Schema 4 did not say in which region nobody answered: it may have been any.
#[test]
fn an_outage_of_a_product_in_a_ledger_of_schema_4_is_one_of_its_regions() {
    let row = |id: &str, product: &str, region: &str| {
        format!("('{id}', '{product}', 0, '{region}', 0, 1793000000000000, 1793000000000000, 1, 1795592000000000, 1)")
    };
    let rows = [
        row("one", "FACE_LIVENESS", "ap-southeast-1"),
        row("other", "FACE_LIVENESS", "cn-hongkong"),
        row("another", "eKYC", "ap-southeast-1"),
    ];
    let place = with_ledger_of(
        4,
        &format!(
            "INSERT INTO transactions (transaction_id, product_code, product_assumed, region, region_assumed, verified_at,
                 first_seen_at, first_run, deleted_from, age_known) VALUES {};
             INSERT INTO outages VALUES ('FACE_LIVENESS', 2)",
            rows.join(", ")
        ),
    );
    place.idvault(&["run", "--intake-only"]).expect(5);
    let causes = place.report("expiry.csv").into_iter();
    let causes: BTreeMap<String, String> = causes
        .map(|row| (row["transaction_id"].clone(), row["cause"].clone()))
        .collect();
    let expected = [("one", "outage"), ("other", "outage"), ("another", "not_reached")];
    assert_eq!(
        expected.map(|(id, _)| causes[id].as_str()),
        expected.map(|(_, cause)| cause)
    );
}

/// A ledger that knows no id would fetch and archive everything again, whatever its schema.
#[test]
fn an_empty_ledger_of_an_older_schema_beside_an_archive_is_refused_and_stays_as_it_is() {
    let empty = "PRAGMA foreign_keys = OFF; DELETE FROM transactions; DELETE FROM journal; DELETE FROM tallies; DELETE FROM files";
    for schema in 1..=migrations().len() {
        let place = with_ledger_of(schema, empty);
        let folder = "data/archive/verifications/billing_day=2026-10-18";
        std::fs::create_dir_all(place.path(folder)).unwrap();
        place.write(&format!("{folder}/20261122T020000Z-0001-0001.parquet"), "PAR1");
        let path = place.data().join("ledger.sqlite");
        let before = std::fs::read(&path).unwrap();
        for args in [&["run", "--sandbox"][..], &["run", "--intake-only"]] {
            let Ended { stderr, .. } = place.idvault(args).expect(6);
            assert!(
                stderr.contains("ledger.sqlite, or an empty one; restore both together from a backup"),
                "{stderr}"
            );
        }
        let said = place.idvault(&["status"]).expect(6).stderr;
        assert!(
            said.contains(&format!("has schema {schema}, this idvault needs")),
            "{said}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), before, "schema {schema}");
        assert_eq!(place.archive_files().len(), 1);
    }
}

/// What a later schema added is there: a month without files is closed, and stays.
#[test]
fn a_month_is_closed_in_a_ledger_of_schema_1() {
    let place = with_ledger("");
    place.idvault(&["run", "--intake-only"]).expect(5);
    let before = everything(&place);
    let bill = "BillingDate,BillingItemCode,Region,Usage,PretaxAmount,Currency,Item\n\
                2025-01-10,FACE_LIVENESS,ap-southeast-1,1,0.026,USD,PayAsYouGoBill\n";
    let bill = place.write("bill.csv", bill);
    let month = ["close", "--month", "2025-01", "--bill", &bill, "--tolerance", "1"];
    assert!(place.idvault(&month).expect(0).stdout.contains("2025-01 is closed"));
    assert_eq!(everything(&place), before);
    assert_eq!(
        place.count("SELECT count(*) FROM closed_months WHERE month = '2025-01'"),
        1
    );
    assert!(place.idvault(&month).expect(0).stdout.contains("was closed already"));
}

#[test]
fn a_night_on_a_ledger_of_schema_1_publishes_what_was_journalled_and_fetches_what_was_pending() {
    let place = with_ledger("");
    let ids = |place: &Place, state: &str| {
        let of_state = transactions(place)
            .into_iter()
            .filter(|row| row[9] == Value::Text(state.to_owned()));
        of_state.map(|row| row[0].clone()).collect::<Vec<_>>()
    };
    let (journalled, archived) = (ids(&place, "journalled"), ids(&place, "archived"));
    assert_eq!((journalled.len(), archived.len()), (2, 5));
    // The frozen ledger has no archive beside it: the run names the files that are missing.
    place.night(&[]).expect(9);
    let published: Vec<Value> = place
        .archived("verifications")
        .iter()
        .map(|row| Value::Text(row.id().to_owned()))
        .collect();
    assert!(journalled.iter().all(|id| published.contains(id)), "{published:?}");
    // Two of the four pending ones are due, and final at the vendor.
    assert_eq!(published.len(), 4, "what is archived already is not published again");
    let states = [
        ("abandoned", 1),
        ("archived", 9),
        ("lost", 1),
        ("pending", 2),
        ("quarantined", 1),
    ];
    let states: BTreeMap<String, u64> = states.map(|(state, count)| (state.to_owned(), count)).into();
    assert_eq!(place.states(), states);
}

/// Up to schema 8 a reply was committed before its transaction's row. A run that was killed in between left pending rows with a
/// reply in the journal.
#[test]
fn rows_that_schema_8_left_behind_their_replies_are_brought_up_and_published() {
    let behind = "UPDATE transactions
        SET state = 'pending', attempts = 4, last_call_code = 'unanswered', last_call_at = 1, passed = NULL, sub_code = NULL
        WHERE number IN (SELECT number FROM journal);
        UPDATE journal SET attempts = 2, fetched_at = 1795323600000001";
    let place = with_ledger_of(8, behind);
    let replies = place.count("SELECT count(*) FROM journal");
    assert_eq!(replies, 2);
    // The frozen ledger has no archive beside it: the run names the files that are missing.
    place.night(&[]).expect(9);
    assert_eq!(place.count("SELECT count(*) FROM journal"), 0);
    let archived = place.archived("verifications");
    assert_eq!(archived.len(), 4, "the two replies, and the two ids that were due");
    let brought_up = "SELECT count(*) FROM transactions
        WHERE (state, attempts, next_due_at, last_call_code, last_call_at) = ('answered', 6, 0, 'Success', 1795323600000001)";
    assert_eq!(place.count(brought_up), replies);
}

/// Every command refuses the ledger, says why, and leaves the file as it was.
#[track_caller]
fn assert_refused_unchanged(place: &Place, said: &str) {
    let path = place.data().join("ledger.sqlite");
    let sha256 = || sha256_hex(&std::fs::read(&path).unwrap());
    let before = sha256();
    let commands = [
        &["run", "--sandbox"][..],
        &["run", "--intake-only"],
        &["status"],
        &["verify"],
        &["report", "expiry"],
    ];
    for args in commands {
        let Ended { stderr, .. } = place.idvault(args).expect(6);
        assert!(stderr.contains(said), "{args:?}: {stderr}");
        assert_eq!(sha256(), before, "{args:?} changed the file");
    }
}

#[test]
fn a_ledger_with_a_newer_schema_is_refused_and_stays_as_it_is() {
    assert_refused_unchanged(&with_ledger("PRAGMA user_version = 99"), "has schema 99");
    // A newer idvault may have given up the write-ahead log, or not.
    assert_refused_unchanged(
        &with_ledger("PRAGMA journal_mode = WAL; PRAGMA user_version = 99"),
        "has schema 99",
    );
}

#[test]
fn a_database_of_another_program_is_refused_and_stays_as_it_is() {
    assert_refused_unchanged(&with_ledger("PRAGMA application_id = 7"), "is not an idvault ledger");
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    let other = Connection::open(place.data().join("ledger.sqlite")).unwrap();
    other.execute_batch("CREATE TABLE guests (name TEXT)").unwrap();
    drop(other);
    assert_refused_unchanged(&place, "is not an idvault ledger");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_stays_as_it_is() {
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    place.write("data/ledger.sqlite", "transaction_id,verified_at\n".repeat(100));
    assert_refused_unchanged(&place, "ledger.sqlite");
}
