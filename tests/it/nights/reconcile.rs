//! The vendor's bill against the archive: the samples after the README's night, what a bill can't be, and what the
//! configuration says of it.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use super::{Ended, Place, lines, samples};

const HEADER: &str = "BillingDate,BillingItemCode,Region,Usage,PretaxAmount,Currency,Item";

/// After the README's night.
pub(super) fn after_the_night() -> Place {
    let place = Place::new();
    place.night(&["--pending", &samples("pending.csv")]).expect(5);
    place
}

pub(super) fn reconcile(place: &Place, more: &[&str]) -> Ended {
    let bill = samples("bill-2026-10.csv");
    place.idvault(&[&["reconcile", "--bill", &bill], more].concat())
}

/// The one folder of reports that `reconcile` wrote.
pub(super) fn folder(place: &Place) -> std::path::PathBuf {
    let entries = std::fs::read_dir(place.data().join("reports")).unwrap();
    let mut folders = entries.map(|entry| entry.unwrap().path());
    let own = folders.find(|path| path.to_str().unwrap().contains("-reconcile-"));
    own.expect("a folder of reconcile's")
}

pub(super) fn rows(place: &Place, name: &str) -> Vec<BTreeMap<String, String>> {
    lines(&std::fs::read_to_string(folder(place).join(name)).unwrap())
}

/// Totals by class, as `class calls amount`.
pub(super) fn totals(ended: &Ended) -> Vec<String> {
    let totals = ended.json()["explanations"].as_array().unwrap().clone();
    let total = |total: &Value| {
        let amount = total["amount"]
            .as_str()
            .unwrap()
            .parse::<Decimal>()
            .unwrap()
            .normalize();
        format!("{} {} {amount}", total["class"].as_str().unwrap(), total["quantity"])
    };
    totals.iter().map(total).collect()
}

#[test]
fn the_samples_bill_is_explained_to_the_cent() {
    let place = after_the_night();
    let latest = std::fs::read_link(place.data().join("reports/latest")).unwrap();
    let archive = place.archive_files();
    let ended = reconcile(&place, &["--json"]).expect(9);
    assert_eq!(
        totals(&ended),
        [
            "refund -2 -0.052",
            "price 0 0.01",
            "unknown_sub_code 44 4.062",
            "day_boundary 0 0",
            "lost 1 0.026",
            "not_billed -1 -0.026",
            "unexplained 1 0.026",
        ]
    );
    assert_eq!(ended.json()["beyond_tolerance"], 2);
    let total = &ended.json()["totals"][0];
    assert_eq!(
        (&total["overcharged"], &total["undercharged"], &total["open"]),
        (&"0.036".into(), &"0.026".into(), &"4.088".into())
    );
    assert_eq!(ended.json()["month_is_final"], true);

    // Every line adds up, and the files say what the JSON says.
    let mut shown = 0;
    for row in rows(&place, "reconcile.csv") {
        let number = |column: &str| row[column].parse::<Decimal>().unwrap();
        let (mut calls, mut amount) = (Decimal::ZERO, Decimal::ZERO);
        for explanation in row["explanations"].split("; ").filter(|text| !text.is_empty()) {
            let words: Vec<&str> = explanation.split(' ').collect();
            calls += words[1].parse::<Decimal>().unwrap();
            amount += words[2].parse::<Decimal>().unwrap();
            shown += 1;
        }
        assert_eq!(calls, number("bill_calls") - number("archive_calls"), "{row:?}");
        assert_eq!(amount, number("bill_amount") - number("archive_amount"), "{row:?}");
        assert_eq!(
            (calls, amount),
            (number("calls_more"), number("amount_more")),
            "{row:?}"
        );
    }
    assert!(shown > 40, "{shown}");
    let written = std::fs::read_to_string(folder(&place).join("reconcile.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), ended.json());

    // The transactions behind them, as SQLite knows them.
    let records = rows(&place, "reconcile-records.csv");
    let of = |class: &str| -> Vec<&str> {
        let own = records.iter().filter(|row| row["explanation"] == class);
        own.map(|row| row["transaction_id"].as_str()).collect()
    };
    assert_eq!(of("lost"), ["hks0c37ea4be931ce2ec337022cd4666"]);
    assert_eq!(of("day_boundary"), ["hks530802d150502ff49d42087783ed9"]);
    let unknown = "SELECT count(*) FROM transaction_states WHERE state = 'archived' AND product_code <> 'FACE_LIVENESS' \
                   AND verified_at BETWEEN 1790784000000000 AND 1793462399999999";
    assert_eq!(of("unknown_sub_code").len() as u64, place.count(unknown));

    assert_eq!(std::fs::read_link(place.data().join("reports/latest")).unwrap(), latest);
    assert_eq!(place.archive_files(), archive);
}

#[test]
fn what_the_bill_lacks_is_open_until_the_fourth() {
    let mut place = after_the_night();
    place.now = "2026-11-03T02:00:00Z";
    let ended = reconcile(&place, &["--json"]).expect(9);
    assert!(
        totals(&ended).contains(&"not_final -1 -0.026".to_owned()),
        "{:?}",
        totals(&ended)
    );
    assert_eq!(ended.json()["beyond_tolerance"], 2);
}

#[test]
fn a_tolerance_lets_small_amounts_pass() {
    let place = after_the_night();
    let ended = reconcile(&place, &["--json", "--tolerance", "0.036"]).expect(4);
    assert_eq!(ended.json()["beyond_tolerance"], 0);
    let ended = reconcile(&place, &["--json", "--tolerance", "0.035"]).expect(9);
    assert_eq!(ended.json()["beyond_tolerance"], 2);
}

#[test]
fn the_configuration_settles_what_is_unknown_and_names_the_bills_items() {
    let place = after_the_night();
    place.write(
        "idvault.toml",
        "[bill.columns]\nday = 'Tag'\n[bill.products]\nocr = 'ID_OCR'\nstorage = '-'\n[bill.regions]\nHome = 'ap-southeast-1'\n\
         [sub_codes.ID_OCR.200]\nmeaning = 'read'\nbilled = true\n",
    );
    let bill = format!(
        "{}\n2026-10-27,ocr,Home,2,0.036,USD,PayAsYouGoBill\n2026-10-27,storage,Mars,1,9,CNY,PayAsYouGoBill\n",
        HEADER.replace("BillingDate", "Tag")
    );
    let bill = place.write("bill.csv", bill);
    let ended = place.idvault(&["reconcile", "--bill", &bill, "--json"]).expect(4);
    let json = ended.json();
    assert_eq!(json["not_ours"], 1);
    let all = json["lines"].as_array().unwrap();
    let ocr = all
        .iter()
        .find(|line| line["product_code"] == "ID_OCR" && line["day"] == "2026-10-27")
        .unwrap();
    assert_eq!(
        (
            &ocr["difference"]["quantity"],
            ocr["explanations"].as_array().unwrap().len()
        ),
        (&Value::from(0), 0)
    );
    assert_eq!(ocr["standing"], "right");
}

/// A malformed bill ends with a sentence, and nothing is written.
#[test]
fn a_malformed_bill_ends_with_its_file_line_and_column_and_nothing_is_written() {
    let place = after_the_night();
    let before = super::files_below(&place.data()).len();
    let line = "2026-10-27,FACE_LIVENESS,ap-southeast-1,10,0.26,USD,PayAsYouGoBill";
    for (text, said) in [
        (
            format!("{}\n{line}\n", HEADER.replace("Usage", "x")),
            "line 1: there is no column \"Usage\"",
        ),
        (
            format!("{HEADER}\n{line}\n{line}\n"),
            "line 3: the line is the same as line 2",
        ),
        (
            format!("{HEADER}\n{line}\n{}\n", line.replace("USD", "CNY")),
            "line 3, column \"Currency\": FACE_LIVENESS in ap-southeast-1 is billed in CNY",
        ),
        (
            format!("{HEADER}\n{}\n", line.replace("10,0.26", "\"1,000\",26")),
            "line 2, column \"Usage\": \"1,000\" has a separator",
        ),
        (
            format!("{HEADER}\n{}\n", line.replace(",10,", ",-10,")),
            "line 2, column \"Usage\": -10 is below zero",
        ),
        (
            format!("{HEADER}\n{}\n", line.replace("FACE_LIVENESS", "MAGIC")),
            "line 2, column \"BillingItemCode\": no product",
        ),
        (
            format!("{HEADER}\n{line}\n2026-10-28,FACE"),
            "line 3: the row has 2 cells and the header 7",
        ),
        (format!("{HEADER}\n{line}"), "line 2: the file ends without a line end"),
    ] {
        let bill = place.write("bill.csv", text);
        let ended = place.idvault(&["reconcile", "--bill", &bill]).expect(3);
        assert!(
            ended.stderr.contains(&format!("bill.csv, {said}")),
            "{said}: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "");
        assert_eq!(super::files_below(&place.data()).len(), before, "{said}");
    }
    // The price is in dollars, which the archive has to tell; SQLite keeps files of its own beside a ledger that is read.
    let written = || {
        super::files_below(&place.data().join("reports")).len()
            + super::files_below(&place.data().join(".staging")).len()
    };
    let before = written();
    let bill = place.write("bill.csv", format!("{HEADER}\n{}\n", line.replace("USD", "CNY")));
    let ended = place.idvault(&["reconcile", "--bill", &bill]).expect(3);
    assert!(
        ended
            .stderr
            .contains("bill.csv, line 2: FACE_LIVENESS in ap-southeast-1 is billed in CNY"),
        "{}",
        ended.stderr
    );
    let ended = place.idvault(&["reconcile", "--bill", "nowhere.csv"]).expect(3);
    assert!(ended.stderr.contains("nowhere.csv"), "{}", ended.stderr);
    assert_eq!(written(), before);
}

#[test]
fn a_bill_of_two_months_needs_to_know_which() {
    let place = after_the_night();
    let line = "2026-10-27,FACE_LIVENESS,ap-southeast-1,10,0.26,USD,PayAsYouGoBill";
    let bill = place.write(
        "bill.csv",
        format!("{HEADER}\n{line}\n{}\n", line.replace("2026-10", "2026-11")),
    );
    let ended = place.idvault(&["reconcile", "--bill", &bill]).expect(2);
    assert!(ended.stderr.contains("--month"), "{}", ended.stderr);
    let ended = place
        .idvault(&["reconcile", "--bill", &bill, "--month", "2026-10", "--json"])
        .expect(4);
    assert_eq!(
        (&ended.json()["month"], &ended.json()["other_months"]),
        (&"2026-10".into(), &1.into())
    );
}

/// The table that finance reads, held by its text.
#[test]
fn the_table_names_totals_reasons_and_lines() {
    let place = after_the_night();
    let table = reconcile(&place, &[]).expect(9).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[..8],
        [
            "2026-10 (final): bill against archive",
            "USD: bill 174 calls, 7.452; archive 131 calls, 3.406; the bill has 43 calls, 4.046 more",
            "form of the bill: api",
            "The bill is 0.036 USD too high and 0.026 USD too low. Open: 4.088 USD.",
            "",
            "why               standing  calls  amount       lines",
            "refund            right        -2  -0.052  USD      1",
            "price             wrong         0    0.01  USD      1",
        ]
    );
    let boundary = "2026-10-28  FACE_LIVENESS      ap-southeast-5      1   0.026  USD  day_boundary 1 0.026";
    assert!(lines.contains(&boundary), "{table}");
}
