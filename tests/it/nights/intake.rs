//! Dirty pending sources: good rows are done, bad ones are named, and no source takes the others along.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use idvault::sandbox::Kind;
use idvault::sandbox::answers::kind_of;
use rusqlite::{Connection, params};

use super::{NEXT_NIGHT, Place};

/// Ids whose answers are final, so that a good row ends in the archive.
const A: &str = "good00000";
const B: &str = "good00001";
const C: &str = "good00002";
const D: &str = "good00003";

/// A pending source and what is to come of it.
struct Dirty {
    name: &'static str,
    bytes: Vec<u8>,
    good: &'static [&'static str],
    /// Line, id as far as it can be made out, and a part of the reason.
    rejected: &'static [(u64, &'static str, &'static str)],
    code: i32,
}

fn dirty(
    name: &'static str,
    bytes: impl AsRef<[u8]>,
    good: &'static [&'static str],
    rejected: &'static [(u64, &'static str, &'static str)],
    code: i32,
) -> Dirty {
    let bytes = bytes.as_ref().to_vec();
    Dirty {
        name,
        bytes,
        good,
        rejected,
        code,
    }
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

/// Files as they come out of spreadsheets, scripts and hands: nothing in them is wrong.
fn odd_but_good() -> Vec<Dirty> {
    let plain = format!("transaction_id,verified_at\n{A},2026-11-20T00:00:00Z\n{B},\n");
    let utf16_text = format!("\u{feff}{plain}");
    vec![
        dirty("byte order mark", format!("\u{feff}{plain}"), &[A, B], &[], 0),
        dirty("CRLF", plain.replace('\n', "\r\n"), &[A, B], &[], 0),
        dirty("CR", plain.replace('\n', "\r"), &[A, B], &[], 0),
        dirty("no final line end", plain.trim_end(), &[A, B], &[], 0),
        dirty("blank lines", plain.replace('\n', "\n\n\n"), &[A, B], &[], 0),
        dirty("UTF-16 LE", utf16(&utf16_text, u16::to_le_bytes), &[A, B], &[], 0),
        dirty("UTF-16 BE", utf16(&utf16_text, u16::to_be_bytes), &[A, B], &[], 0),
        dirty(
            "UTF-16 without a mark",
            utf16(&plain, u16::to_le_bytes),
            &[A, B],
            &[],
            0,
        ),
        dirty("semicolons", plain.replace(',', ";"), &[A, B], &[], 0),
        dirty(
            "other case and blanks",
            format!("Note , TRANSACTION_ID \nx, {A} \n"),
            &[A],
            &[],
            0,
        ),
        dirty(
            "quoted commas and quotes",
            format!("note,transaction_id\n\"a, \"\"b\"\"\",\"{A}\"\n"),
            &[A],
            &[],
            0,
        ),
    ]
}

/// Files with rows that can't be taken in, or not whole.
fn bad_rows() -> Vec<Dirty> {
    let head = "transaction_id,region,verified_at\n";
    let with = |row: &str| format!("{head}{A},,\n{row}\n{B},,\n");
    let long = "x".repeat(65);
    let mut nul = with("abc,,").into_bytes();
    nul[head.len() + A.len() + 4] = 0;
    let mut not_utf8 = nul.clone();
    not_utf8[head.len() + A.len() + 4] = 0xff;
    let note = format!("note,transaction_id\n\"two\nlines\",{A}\n,../x\n");
    vec![
        dirty(
            "blank id",
            with(" ,,2026-11-20T00:00:00Z"),
            &[A, B],
            &[(3, "", "transaction_id is empty")],
            4,
        ),
        dirty(
            "duplicate id",
            with(&format!("{A},,")),
            &[A, B],
            &[(3, A, "duplicate")],
            0,
        ),
        dirty(
            "over-long id",
            with(&format!("{long},,")),
            &[A, B],
            &[(3, "xxxx", "65 bytes long")],
            4,
        ),
        dirty(
            "id as a path",
            with("../../etc/passwd,,"),
            &[A, B],
            &[(3, "../../etc", "only ASCII letters")],
            4,
        ),
        dirty(
            "no such date",
            with(&format!("{D},,2026-13-45T00:00:00Z")),
            &[A, B, D],
            &[(3, D, "verified_at")],
            4,
        ),
        dirty(
            "date without zone",
            with(&format!("{D},,2026-11-20 09:00:00")),
            &[A, B, D],
            &[(3, D, "verified_at")],
            4,
        ),
        dirty(
            "date as a number",
            with(&format!("{D},,45980.5")),
            &[A, B, D],
            &[(3, D, "bare number")],
            4,
        ),
        dirty(
            "unknown region",
            with(&format!("{D},mars-1,")),
            &[A, B, D],
            &[(3, D, "no known endpoint")],
            4,
        ),
        dirty("NUL byte", nul, &[A, B], &[(3, "", "NUL byte")], 4),
        dirty("not UTF-8", not_utf8, &[A, B], &[(3, "", "not UTF-8")], 4),
        dirty(
            "a cell too many",
            with(&format!("{D},,,,x")),
            &[A, B, D],
            &[(3, D, "shifted")],
            4,
        ),
        dirty("open quote", with("\"bad1,,"), &[A, B], &[(3, "bad1", "quote")], 4),
        dirty(
            "lines are counted in quotes",
            note,
            &[A],
            &[(4, "../x", "only ASCII letters")],
            4,
        ),
    ]
}

/// Files that can't be used as a whole; what is good before the fault is taken all the same.
fn bad_files() -> Vec<Dirty> {
    let text = format!("transaction_id\n{A}\n");
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    let mut cut = packed.finish().unwrap();
    cut.truncate(cut.len() - 6);
    vec![
        dirty("empty file", "", &[], &[], 3),
        dirty("no header", format!("{A},2026-11-20T00:00:00Z\n{B},\n"), &[], &[], 3),
        dirty(
            "two columns of a name",
            format!("transaction_id,Transaction_ID\n{A},{B}\n"),
            &[],
            &[],
            3,
        ),
        dirty("not text at all", "\0\0\0\x01\0transaction_id\n", &[], &[], 3),
        dirty(
            "a damaged database",
            "SQLite format 3\0 and nothing of the kind",
            &[],
            &[],
            3,
        ),
        dirty("gzip cut short", cut, &[A], &[], 3),
    ]
}

#[track_caller]
fn assert_comes_of_it(dirty: &Dirty) {
    let place = Place::new();
    let source = place.write("pending.csv", &dirty.bytes);
    // A second source shows that the first one holds nothing up.
    let other = place.write("other.csv", format!("transaction_id\n{C}\n"));
    let name = dirty.name;
    let ended = place.night(&["--pending", &source, "--pending", &other]);
    assert_eq!(ended.code, Some(dirty.code), "{name}: {}", ended.stderr);
    let archived: BTreeSet<String> = place
        .archived("verifications")
        .iter()
        .map(|row| row.id().to_owned())
        .collect();
    let mut expected: BTreeSet<String> = dirty.good.iter().map(|id| (*id).to_owned()).collect();
    expected.insert(C.to_owned());
    assert_eq!(archived, expected, "{name}");
    let rejected = place.report("rejected.csv");
    assert_eq!(rejected.len(), dirty.rejected.len(), "{name}: {rejected:?}");
    for (found, (line, id, reason)) in rejected.iter().zip(dirty.rejected) {
        assert_eq!(
            (&found["source"], &found["line"]),
            (&source, &line.to_string()),
            "{name}"
        );
        assert!(found["transaction_id"].starts_with(id), "{name}: {found:?}");
        assert!(found["reason"].contains(reason), "{name}: {found:?}");
        let taken = dirty.good.contains(id) && *reason != "duplicate";
        assert_eq!(found["taken"], if taken { "yes" } else { "no" }, "{name}: {found:?}");
    }
    let failed = place.summary()["intake"]["failed_sources"].to_string();
    assert_eq!(failed.contains(&source), dirty.code == 3, "{name}: {failed}");
    assert_eq!(
        ended.stderr.contains(&source),
        dirty.code == 3,
        "{name}: {}",
        ended.stderr
    );
}

#[test]
fn files_that_are_only_odd_are_read_whole() {
    odd_but_good().iter().for_each(assert_comes_of_it);
}

#[test]
fn bad_rows_are_named_with_file_line_and_reason_and_the_rest_is_done() {
    bad_rows().iter().for_each(assert_comes_of_it);
}

#[test]
fn a_bad_source_is_named_and_the_others_go_on() {
    bad_files().iter().for_each(assert_comes_of_it);
}

#[test]
fn a_source_that_is_not_there_is_named_and_what_the_ledger_knows_is_still_fetched() {
    let place = Place::new();
    let source = place.write("pending.csv", format!("transaction_id\n{A}\n"));
    place.night(&["--pending", &source, "--intake-only"]).expect(0);
    let ended = place.night(&["--pending", "nowhere.csv"]).expect(3);
    assert!(ended.stderr.contains("nowhere.csv"), "{}", ended.stderr);
    assert_eq!(place.archived("verifications").len(), 1);
}

#[test]
fn a_later_row_completes_a_known_id_and_one_that_contradicts_is_rejected() {
    let place = Place::new();
    let first = place.write("1.csv", format!("transaction_id\n{A}\n"));
    let row = "2026-11-03T20:00:00Z,ID_OCR,ap-southeast-5";
    let columns = "transaction_id,verified_at,product_code,region";
    let second = place.write("2.csv", format!("{columns}\n{A},{row}\n"));
    let third = place.write(
        "3.csv",
        format!("{columns}\n{A},2026-11-04T20:00:00Z,eKYC,cn-hongkong\n"),
    );
    let args = ["--pending", &first, "--pending", &second, "--pending", &third];
    place.night(&args).expect(4);
    let rows = place.archived("verifications");
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0].time("verified_at"),
        Some("2026-11-03T20:00:00Z".parse().unwrap())
    );
    assert_eq!(
        (rows[0].text("product_code"), rows[0].text("region")),
        (Some("ID_OCR"), Some("ap-southeast-5"))
    );
    assert_eq!(rows[0].billing_day(), Some("2026-11-04"), "at UTC+8");
    let rejected = place.report("rejected.csv");
    assert_eq!(
        (rejected.len(), &rejected[0]["source"], &*rejected[0]["line"]),
        (1, &third, "2")
    );
    for part in ["2026-11-04T20:00:00Z", "2026-11-03T20:00:00Z", "eKYC", "cn-hongkong"] {
        assert!(rejected[0]["reason"].contains(part), "{part}: {rejected:?}");
    }
}

#[test]
fn an_id_that_is_not_done_yet_is_completed_in_a_later_night() {
    let mut place = Place::new();
    let pending = (0..1_000)
        .map(|number| format!("wait{number:05}"))
        .find(|id| kind_of(id) == Kind::NotCompleted);
    let id = pending.unwrap();
    let first = place.write("1.csv", format!("transaction_id\n{id}\n"));
    place.night(&["--pending", &first]).expect(0);
    let unknown = "SELECT count(*) FROM transactions WHERE verified_at IS NULL AND state = 'pending'";
    assert_eq!(place.count(unknown), 1);
    place.now = NEXT_NIGHT;
    let second = place.write(
        "2.csv",
        format!("transaction_id,verified_at\n{id},2026-11-20T00:00:00Z\n"),
    );
    place.night(&["--pending", &second]).expect(0);
    assert_eq!(
        place.count("SELECT verified_at FROM transactions"),
        1_763_596_800_000_000 + 31_536_000_000_000
    );
    assert_eq!(place.summary()["intake"]["completed"], 1);
    assert_eq!(place.states(), BTreeMap::from([("pending".to_owned(), 1)]));
}

#[test]
fn cells_of_rejected_rows_run_nothing_in_a_spreadsheet() {
    let place = Place::new();
    let cells = ["=1+1", "+1", "-1+2", "@SUM(A1)"];
    let rows = cells.map(|cell| format!("\"{cell} x\"")).join("\n");
    let source = place.write("=pending.csv", format!("transaction_id\n{rows}\n"));
    assert!(source.ends_with("=pending.csv"));
    let mut command = place.command(&["run", "--sandbox", "--pending", "=pending.csv"]);
    assert_eq!(command.output().unwrap().status.code(), Some(4));
    let rejected = place.report("rejected.csv");
    assert_eq!(rejected.len(), cells.len());
    for (line, cell) in rejected.iter().zip(cells) {
        assert_eq!(line["transaction_id"], format!("'{cell} x"));
        assert_eq!(line["source"], "'=pending.csv");
        assert!(!line["reason"].starts_with(['=', '+', '-', '@']), "{line:?}");
    }
}

/// A database of many pages, of which one in the middle is damaged: what is read before it counts, the damage is named, and
/// the other source is done.
#[test]
fn a_database_that_is_damaged_in_its_middle_is_named_and_holds_nothing_up() {
    let place = Place::new();
    let path = place.path("app.sqlite");
    {
        let mut app = Connection::open(&path).unwrap();
        let rows = app.transaction().unwrap();
        rows.execute_batch("CREATE TABLE pending (transaction_id, note)")
            .unwrap();
        let note = "n".repeat(500);
        for number in 0..1_000 {
            rows.execute(
                "INSERT INTO pending VALUES (?1, ?2)",
                params![format!("row{number:04}"), note],
            )
            .unwrap();
        }
        rows.commit().unwrap();
    }
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    let source = place.write("app.sqlite", &bytes);
    let good = place.write("good.csv", format!("transaction_id\n{A}\n"));
    let ended = place
        .idvault(&["run", "--dry-run", "--pending", &source, "--pending", &good])
        .expect(3);
    assert!(ended.stderr.contains("app.sqlite"), "{}", ended.stderr);
    let new = place.summary()["intake"]["new"].as_u64().unwrap();
    assert!((2..1_001).contains(&new), "{new}");
    assert!(ended.stdout.contains(A));
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "the source is only read");
}

#[test]
fn the_ids_of_these_tests_are_final_at_the_sandbox() {
    assert!([A, B, C, D].iter().all(|id| kind_of(id).is_final()));
}
