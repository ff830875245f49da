//! The vendor's own records as a third side of `reconcile`, and in the place of a bill: what they find, what is taken into
//! the ledger, and what can't be taken.

use std::collections::BTreeMap;

use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};

use super::reconcile::{after_the_night, folder, reconcile, rows, totals};
use super::{Ended, NEXT_NIGHT, Place, files_below, lines, made_up, samples};

const HEADER: &str = "TransactionId,ProductCode,Region,VerifyTime,Passed,SubCode";
/// What the sample's records hold beside what both sides have.
const LOST_CALLBACK: &str = "hksfe8305944f8b19fcdaae1fee02f30";
const ONLY_OURS: &str = "hks558a600db504d77a15b4d29552626";
const OTHER_VERDICT: &str = "hks0309f886fe548d199276e0152816b";

/// After a night of made-up records of November, all final, seen on the 4th of December.
fn after_november() -> Place {
    let mut place = Place::new();
    let pending = place.write("pending.csv", made_up(40, 4, "FACE_LIVENESS"));
    place.night(&["--pending", &pending]);
    place.now = "2026-12-04T02:00:00Z";
    place
}

/// The records of what is archived, by the id of each.
fn right_records(place: &Place) -> BTreeMap<String, String> {
    let archived = place.archived("verifications");
    let line = |row: &super::Archived| {
        let passed = if row.text("sub_code") == Some("200") { "Y" } else { "N" };
        let (id, code) = (row.id().to_owned(), row.text("sub_code").unwrap());
        let time = row.time("verified_at").unwrap();
        (
            id.clone(),
            format!("{id},FACE_LIVENESS,ap-southeast-1,{time},{passed},{code}"),
        )
    };
    archived.iter().map(line).collect()
}

fn write_records(place: &Place, records: &BTreeMap<String, String>) -> String {
    let lines: Vec<&str> = records.values().map(String::as_str).collect();
    place.write("records.csv", format!("{HEADER}\n{}\n", lines.join("\n")))
}

fn compare(place: &Place, records: &str, more: &[&str]) -> Ended {
    place.idvault(&[&["reconcile", "--records", records, "--month", "2026-11"], more].concat())
}

/// Every id of the ledger: its state, what was said of it and whether that was assumed.
fn ledger_rows(place: &Place) -> Vec<String> {
    let ledger = place.ledger();
    let mut rows = ledger
        .prepare(
            "SELECT concat_ws('|', transaction_id, state, product_code, product_assumed, region, region_assumed, verified_at)
             FROM transactions ORDER BY number",
        )
        .unwrap();
    rows.query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn ids_of(rows: &[BTreeMap<String, String>], class: &str) -> Vec<String> {
    let own = rows.iter().filter(|row| row["explanation"] == class);
    own.map(|row| row["transaction_id"].clone()).collect()
}

/// The sample's bill had a call that nothing explained, and lacked one: the vendor's records name both.
#[test]
fn the_samples_records_tell_what_the_bill_could_not() {
    let place = after_the_night();
    let records = samples("records-2026-10.csv");
    let ended = reconcile(&place, &["--records", &records, "--json"]).expect(9);
    assert_eq!(
        totals(&ended),
        [
            "refund -2 -0.052",
            "price 0 0.01",
            "never_seen 1 0.026",
            "unknown_sub_code 44 4.062",
            "day_boundary 0 0",
            "lost 1 0.026",
            "not_in_records -1 -0.026",
        ]
    );
    let said = &ended.json()["records"];
    let differ = json!({"verdict": 1, "never_seen": 1, "not_in_records": 1});
    for (class, count) in differ.as_object().unwrap() {
        assert_eq!(&said["differ"][class], count, "{said}");
    }
    let listed = rows(&place, "reconcile-records.csv");
    for (class, id) in [
        ("never_seen", LOST_CALLBACK),
        ("not_in_records", ONLY_OURS),
        ("verdict", OTHER_VERDICT),
        ("day_boundary", "hks530802d150502ff49d42087783ed9"),
        ("lost", "hks0c37ea4be931ce2ec337022cd4666"),
    ] {
        assert_eq!(ids_of(&listed, class), [id], "{class}");
    }
    let verdict = listed.iter().find(|row| row["explanation"] == "verdict").unwrap();
    assert_eq!(
        (
            &*verdict["passed"],
            &*verdict["sub_code"],
            &*verdict["vendor_passed"],
            &*verdict["vendor_sub_code"]
        ),
        ("Y", "200", "N", "204")
    );
    let page = std::fs::read_to_string(folder(&place).join("report.html")).unwrap();
    assert!(
        page.contains("The vendor’s own records") || page.contains("The vendor&#39;s own records"),
        "{page}"
    );
    for id in [LOST_CALLBACK, ONLY_OURS, OTHER_VERDICT] {
        assert!(page.contains(id), "{id}");
    }
}

/// Without a bill the records stand in its place, and are compared in what they cover.
#[test]
fn records_alone_are_compared_id_by_id() {
    let place = after_november();
    let mut records = right_records(&place);
    let right = compare(&place, &write_records(&place, &records), &["--json"])
        .expect(0)
        .json();
    assert_eq!(right["side"], "records");
    assert_eq!(
        (&right["explanations"], &right["records"]["agree"]),
        (&json!([]), &json!(records.len()))
    );

    let ids: Vec<String> = records.keys().cloned().collect();
    records.remove(&ids[3]);
    let line = records.get_mut(&ids[5]).unwrap();
    *line = line.replace("2026-11-0", "2026-11-1");
    records.insert(
        "unheard-of".to_owned(),
        "unheard-of,,,2026-11-02T05:00:00Z,Y,200".to_owned(),
    );
    let ended = compare(&place, &write_records(&place, &records), &["--json"]).expect(9);
    assert_eq!(
        totals(&ended),
        ["never_seen 1 0.026", "other_day 0 0", "not_in_records -1 -0.026"]
    );
    let differ = json!({"never_seen": 1, "other_day": 1, "not_in_records": 1});
    assert_eq!(ended.json()["records"]["differ"], differ);
    let listed = lines(&std::fs::read_to_string(last_folder(&place).join("reconcile-records.csv")).unwrap());
    assert_eq!(ids_of(&listed, "never_seen"), ["unheard-of"]);
    assert_eq!(ids_of(&listed, "not_in_records"), [ids[3].clone()]);
    assert_eq!(ids_of(&listed, "other_day"), [ids[5].clone()]);
    let table = compare(&place, place.path("records.csv").to_str().unwrap(), &[])
        .expect(9)
        .stdout;
    assert!(
        table.starts_with("2026-11 (final): records against archive\n"),
        "{table}"
    );
    assert!(
        table.contains("; never_seen 1; other_day 1; not_in_records 1\n"),
        "{table}"
    );
}

/// The folder that the last `reconcile` wrote.
pub(super) fn last_folder(place: &Place) -> std::path::PathBuf {
    let entries = std::fs::read_dir(place.data().join("reports")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    let own = folders.filter(|path| path.to_str().unwrap().contains("-reconcile-"));
    own.max_by_key(|path| (path.to_str().unwrap().len(), path.clone()))
        .unwrap()
}

/// An export of one product says nothing of another, and one of some days nothing of others.
#[test]
fn what_the_records_do_not_cover_is_not_compared() {
    let place = after_november();
    let other = place.write("other.csv", made_up(9, 1, "eKYC").replace("made", "other"));
    let mut place = place;
    place.now = NEXT_NIGHT;
    place.night(&["--pending", &other]);
    place.now = "2026-12-04T02:00:00Z";
    let mut records = right_records(&place);
    records.retain(|id, line| !id.starts_with("other") && (line.contains("2026-11-02") || line.contains("2026-11-03")));
    let ended = compare(&place, &write_records(&place, &records), &["--json"]).expect(0);
    let json = ended.json();
    let days: Vec<&Value> = json["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["day"])
        .collect();
    assert_eq!(days, ["2026-11-02", "2026-11-03"]);
    assert_eq!(
        (&json["records"]["from"], &json["records"]["to"]),
        (&json!("2026-11-02"), &json!("2026-11-03"))
    );
}

#[test]
fn lost_callbacks_are_adopted_once_and_fetched_by_the_next_run() {
    let mut place = after_november();
    let known = ledger_rows(&place);
    let mut records = right_records(&place);
    for (id, rest) in [
        ("callback1", ",,2026-12-03T01:00:00Z,Y,200"),
        ("callback2", "FACE_LIVENESS,ap-southeast-1,2026-11-04T01:00:00Z,Y,200"),
        ("callback3", ",,2026-11-03 09:00:00,,"),
        ("callback4", "FACE_LIVENESS,far-away-1,2026-11-03T01:00:00Z,Y,200"),
    ] {
        records.insert(id.to_owned(), format!("{id},{rest}"));
    }
    place.write("idvault.toml", "[bill.regions]\n'far-away-1' = 'far-away-1'\n");
    let records = write_records(&place, &records);
    // Looked at only: nothing is taken in.
    let table = compare(&place, &records, &[]).expect(4).stdout;
    assert!(table.contains("never_seen 3"), "{table}");
    assert_eq!(ledger_rows(&place), known);

    let adopted = compare(&place, &records, &["--adopt", "--json"]).expect(4).json();
    assert_eq!(adopted["records"]["adopted"], json!({"taken": 2, "refused": 1}));
    let now = ledger_rows(&place);
    assert_eq!(now.len(), known.len() + 2);
    assert!(known.iter().all(|row| now.contains(row)), "what was known is changed");
    let new: Vec<&String> = now.iter().filter(|row| !known.contains(row)).collect();
    assert_eq!(
        new,
        [
            "callback2|pending|FACE_LIVENESS|0|ap-southeast-1|0|1793754000000000",
            "callback3|pending|FACE_LIVENESS|1|ap-southeast-1|1|1793667600000000",
        ]
    );
    // The other month's is left for that month, and what is known now is not taken again.
    let again = compare(&place, &records, &["--adopt", "--json"]).expect(4).json();
    assert_eq!(again["records"]["adopted"], json!({"taken": 0, "refused": 1}));
    assert_eq!(ledger_rows(&place), now);

    place.now = "2026-12-02T02:00:00Z";
    place.night(&[]);
    let archived = place.archived("verifications");
    assert!(archived.iter().any(|row| row.id() == "callback2"), "it is fetched");
    place.idvault(&["verify"]).expect(0);
}

/// A ledger of nothing but what was lost is filled like any other.
#[test]
fn all_that_an_export_names_can_be_adopted() {
    let place = Place::new();
    place.night(&[]);
    let line = |number| format!("id{number:05},,,2026-11-{:02}T01:00:00Z,Y,200", 1 + number % 20);
    let lines: Vec<String> = (0..3_000).map(line).collect();
    let records = place.write("records.csv", format!("{HEADER}\n{}\n", lines.join("\n")));
    let adopted = compare(&place, &records, &["--adopt", "--json"]).expect(4).json();
    assert_eq!(adopted["records"]["adopted"], json!({"taken": 3_000, "refused": 0}));
    assert_eq!(
        place.count("SELECT count(*) FROM transactions WHERE state = 'pending'"),
        3_000
    );
    assert_eq!(
        place.count("SELECT count(*) FROM runs WHERE exit_code = 0 AND answered_by IS NULL"),
        1
    );
    place.idvault(&["verify"]).expect(0);
}

#[test]
fn a_workbook_is_as_good_as_a_csv_file() {
    let place = after_november();
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let records = right_records(&place);
    for (row, line) in (0..).zip(std::iter::once(HEADER).chain(records.values().map(String::as_str))) {
        for (column, cell) in (0..).zip(line.split(',')) {
            sheet.write(row, column, cell).unwrap();
        }
    }
    let path = place.write("records.xlsx", workbook.save_to_buffer().unwrap());
    let json = compare(&place, &path, &["--json"]).expect(0).json();
    assert_eq!(json["records"]["agree"], records.len());
}

#[test]
fn records_that_can_t_be_taken_end_with_a_sentence_and_nothing_is_written() {
    let place = after_november();
    compare(&place, &write_records(&place, &right_records(&place)), &[]).expect(0);
    let before = files_below(&place.data()).len();
    let known = ledger_rows(&place);
    let line = "new1,FACE_LIVENESS,ap-southeast-1,2026-11-03T01:00:00Z,Y,200";
    for (text, said) in [
        (
            format!("{}\n{line}\n", HEADER.replace("TransactionId", "No")),
            "line 1: there is no column \"TransactionId\"",
        ),
        (
            format!("{HEADER}\n{line}\n{line}\n"),
            "line 3, column \"TransactionId\": the record of \"new1\" came before",
        ),
        (
            format!("{HEADER}\nmade00001,,,2026-11-03T01:00:00Z,,\nmade00001,,,2026-11-03T01:00:00Z,,\n"),
            "line 3, column \"TransactionId\"",
        ),
        (
            format!(
                "{HEADER}\n{line}\n{}\n",
                line.replace("new1", "new2").replace("-03T", "-33T")
            ),
            "line 3, column \"VerifyTime\"",
        ),
        (format!("{HEADER}\n{line}\nnew2,FACE"), "line 3: the row has 2 cells"),
    ] {
        let records = place.write("records.csv", text);
        let ended = compare(&place, &records, &["--adopt"]).expect(3);
        assert!(
            ended.stderr.contains(&format!("records.csv, {said}")),
            "{said}: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "");
        assert_eq!(
            (files_below(&place.data()).len(), ledger_rows(&place)),
            (before, known.clone()),
            "{said}"
        );
    }
    let none = place.write(
        "records.csv",
        format!("{HEADER}\n{}\n", line.replace("2026-11", "2026-08")),
    );
    let ended = compare(&place, &none, &["--adopt"]).expect(2);
    assert!(ended.stderr.contains("none of this month"), "{}", ended.stderr);
    place.idvault(&["reconcile", "--records", &none]).expect(2);
    place.idvault(&["reconcile", "--bill", &none, "--adopt"]).expect(2);
    assert_eq!((files_below(&place.data()).len(), ledger_rows(&place)), (before, known));
}

/// What stands in a file is shown harmless, and a spreadsheet runs none of it.
#[test]
fn hostile_cells_are_harmless_wherever_they_come_out() {
    let place = after_november();
    let line = "-1+cmd,FACE_LIVENESS,ap-southeast-1,2026-11-03T01:00:00Z,Y,200";
    let refused = place.write("records.csv", format!("{HEADER}\n{line}\n"));
    compare(&place, &refused, &[]).expect(3);
    let escape = place.write(
        "records.csv",
        format!("{HEADER}\n{}\n", line.replace("-1+cmd", "\u{1b}[2J")),
    );
    let ended = compare(&place, &escape, &[]).expect(3);
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    let formula = format!("{HEADER}\n-id1,,,2026-11-03T01:00:00Z,Y,=1+1\n-id2,,,2026-11-03T01:00:00Z,Y,200\n");
    let formula = place.write("=records.csv", formula);
    compare(&place, &formula, &[]).expect(9);
    let listed = std::fs::read_to_string(last_folder(&place).join("reconcile-records.csv")).unwrap();
    assert!(listed.contains(",'-id1,") && listed.contains(",'=1+1"), "{listed}");
    for cell in listed.lines().flat_map(|line| line.split(',')) {
        assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
    }
}
