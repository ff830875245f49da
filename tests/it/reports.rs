//! What comes from outside is harmless in every report: a spreadsheet runs none of it, and a terminal obeys none of it.

use std::collections::BTreeSet;

use crate::common::vendor::{Vendor, error_saying, verdict};
use crate::common::{EXPIRED, FRESH, Idvault, NOW};

const CONFIG: &str = r#"
[endpoints]
"-1-1" = "http://127.0.0.1:9"
[retry]
attempts_per_call = 1
quarantine_after_runs = 1
[[packages]]
name = "+PACK;=1"
product = "FACE_LIVENESS"
quantity = 1
from = "2026-01-01"
until = "2026-12-31"
[sub_codes.FACE_LIVENESS]
"=1+1" = { meaning = "@SUM(A1);=1\t=2\u001b[31m", billed = true }
"00123" = { meaning = "1E10", billed = true }
"#;
const SOURCE: &str = "=1;@x\u{1b}[31m\u{202e}.csv";
/// Fifteen days before `NOW`: what is not fetched is reported only if it is in the warning window.
const LAST_DAY: &str = "2026-10-24T10:00:00Z";

/// A report's text, which column by column must be harmless; gives its cells.
#[track_caller]
fn harmless_cells(report: &str, text: &str) -> BTreeSet<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let mut cells = BTreeSet::new();
    for row in reader.records().map(Result::unwrap) {
        assert_eq!(row.len(), names.len(), "{report}: {row:?}");
        for (name, cell) in names.iter().zip(&row) {
            // The program's own number, negative where a record is past its expiry.
            if name != "days_left" {
                let runs = |part: &str| {
                    part.trim_start()
                        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
                };
                assert!(!cell.split(';').any(runs), "{report}, {name}: {cell:?}");
            }
            let steers = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!cell.contains(steers), "{report}, {name}: {cell:?}");
            cells.insert(cell.to_owned());
        }
    }
    cells
}

/// A run after which every report has hostile values in all columns that come from outside.
fn hostile_night() -> Idvault {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.write("idvault.toml", CONFIG);
    let rows = [
        // Asked for first and in the same region, so that what fails after it is the id's own fault.
        "first,1,FACE_LIVENESS,-1-1,2026-10-23T02:30:00Z".to_owned(),
        format!("-1,-2,FACE_LIVENESS,-1-1,{FRESH}"),
        format!("00123,1E10,FACE_LIVENESS,,{FRESH}"),
        format!("-3,-4,FACE_LIVENESS,-1-1,{LAST_DAY}"),
        format!("-5,-6,FACE_LIVENESS,-1-1,{EXPIRED}"),
        "=1+1,,,,".to_owned(),
        "\"@x;=1\u{1b}[31m\",,,,".to_owned(),
        "bad1,,,,\"＝1;+2\"".to_owned(),
    ];
    let header = "transaction_id,merchant_biz_id,product_code,region,verified_at";
    idvault.write(SOURCE, format!("{header}\n{}\n", rows.join("\n")));
    vendor.script("first", [verdict("Y", "200")]);
    vendor.script("bad1", [verdict("Y", "200")]);
    vendor.script("-1", [verdict("Y", "=1+1")]);
    vendor.script("00123", [verdict("Y", "00123")]);
    let message = "＝1+1;@x\r\n=2\u{1b}[31m\u{9b}2J\u{202e}";
    vendor.script("-3", [error_saying(400, "=cmd|' /C calc'!A0", message)]);
    vendor.script("-5", [error_saying(400, "TransactionIdInvalid", message)]);
    let ended = idvault
        .run(&vendor, &["--pending", SOURCE, "--concurrency", "1"])
        .exits(5);
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    idvault
}

#[test]
fn no_report_holds_what_a_spreadsheet_runs_or_a_terminal_obeys() {
    let idvault = hostile_night();
    let code = "'=cmd|' /C calc'!A0";
    let printed = |args: &[&str]| idvault.execute(&[args, &["--now", NOW]].concat()).exits(0).stdout;
    let expiry: &[&str] = &["'-3", "'-4", "'-1-1", "'-5", "'-6", code];
    let quarantine: &[&str] = &["'-3", "'-4", "'-1-1", code, r"'＝1+1;'@x  =2[31m2J\u{202e}"];
    let billing: &[&str] = &["'-1-1", "'=1+1", "'@SUM(A1);'=1 =2[31m", "'+PACK;'=1", "00123", "1E10"];
    let rejected: &[&str] = &[r"'=1;'@x[31m\u{202e}.csv", "'=1+1", "'@x;'=1[31m"];
    for (report, text, hostile) in [
        ("billing.csv", idvault.report("billing.csv"), billing),
        ("report billing", printed(&["report", "billing", "--all"]), billing),
        ("expiry.csv", idvault.report("expiry.csv"), expiry),
        ("report expiry", printed(&["report", "expiry"]), expiry),
        ("quarantine.csv", idvault.report("quarantine.csv"), quarantine),
        ("quarantine list", printed(&["quarantine", "list"]), quarantine),
        ("rejected.csv", idvault.report("rejected.csv"), rejected),
    ] {
        let cells = harmless_cells(report, &text);
        for cell in hostile {
            assert!(cells.contains(*cell), "{report} has no {cell:?}: {cells:?}");
        }
    }
    let reason = &idvault.report_rows("rejected.csv")[2]["reason"];
    assert!(reason.contains("\"＝1;'+2\""), "{reason}");
}

#[test]
fn the_plan_is_harmless_too() {
    let idvault = Idvault::new();
    idvault.write("idvault.toml", CONFIG);
    idvault.write(
        "pending.csv",
        format!("transaction_id,region,verified_at\n-1,-1-1,{FRESH}\n00123,,{FRESH}\n1E10,,{FRESH}\n"),
    );
    let ended = idvault
        .execute(&["run", "--dry-run", "--pending", "pending.csv", "--now", NOW])
        .exits(0);
    let cells = harmless_cells("the plan", &ended.stdout);
    for cell in ["'-1", "'-1-1", "00123", "1E10"] {
        assert!(cells.contains(cell), "{cell}: {cells:?}");
    }
}

/// As docs/compliance/privacy.md tells: without the apostrophe, and behind `--`.
#[test]
fn an_id_that_begins_with_a_hyphen_can_be_read_back_from_a_report_and_decided_of() {
    let idvault = hostile_night();
    let quarantined = &idvault.report_rows("quarantine.csv")[0]["transaction_id"];
    let id = quarantined.strip_prefix('\'').unwrap();
    idvault.execute(&["quarantine", "retry", "--", id]).exits(0);
    assert_eq!(idvault.row("-3").state, "pending");
}
