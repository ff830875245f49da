//! Files from outside that were made to harm their reader: each costs a sentence about itself, and nothing else.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;
use std::process::Command;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{Place, Running, made_up, samples, wait_until};

const RELATIONS: &str = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
/// Names the workbook among the parts.
const PACKAGE: &str = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const SHEET: &str = r#"<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>x</t></is></c></row></sheetData></worksheet>"#;

/// A workbook of these sheets, all of one part, with other parts beside it.
fn workbook(sheets: usize, parts: &[(&str, String)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut write = |name: &str, text: &str| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    };
    let mut names = String::new();
    for number in 1..=sheets {
        write!(names, r#"<sheet name="s{number}" sheetId="{number}" r:id="rId1"/>"#).unwrap();
    }
    write("_rels/.rels", PACKAGE);
    write("xl/_rels/workbook.xml.rels", RELATIONS);
    write(
        "xl/workbook.xml",
        &format!(
            r#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{names}</sheets></workbook>"#
        ),
    );
    write("xl/worksheets/sheet1.xml", SHEET);
    for (name, text) in parts {
        write(name, text);
    }
    zip.finish().unwrap().into_inner()
}

/// A name of a megabyte, which each of many styles has as its own.
fn cloned_styles() -> String {
    let name = "f".repeat(1 << 20);
    let styles = r#"<xf numFmtId="0" fontId="0" fillId="0" borderId="0" applyFont="1"/>"#.repeat(5_400);
    format!(
        r#"<?xml version="1.0"?><styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><fonts count="1"><font><name val="{name}"/></font></fonts><cellXfs count="5400">{styles}</cellXfs></styleSheet>"#
    )
}

fn shared_texts(count: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" uniqueCount="{count}"><si><t>x</t></si></sst>"#
    )
}

#[test]
fn a_workbook_that_would_take_the_memory_or_hours_is_a_sentence() {
    let place = Place::new();
    place
        .night(&["--pending", &place.write("pending.csv", made_up(3, 3, "FACE_LIVENESS"))])
        .expect(0);
    let zeros = format!("{}40000000000", "0".repeat(30));
    for (name, bytes, said) in [
        (
            "zeros.xlsx",
            workbook(1, &[("xl/sharedStrings.xml", shared_texts(&zeros))]),
            "announces more than",
        ),
        (
            "large.xlsx",
            workbook(1, &[("xl/sharedStrings.xml", shared_texts("99999999999999999999"))]),
            "announces more than",
        ),
        (
            "styles.xlsx",
            workbook(1, &[("xl/styles.xml", cloned_styles())]),
            "more than 512 MiB of memory",
        ),
        ("sheets.xlsx", workbook(20_000, &[]), "more than 100 sheets"),
    ] {
        assert!(bytes.len() < 200_000, "{name}: {}", bytes.len());
        let file = place.write(name, bytes);
        let ended = place
            .idvault(&["reconcile", "--month", "2026-11", "--records", &file])
            .expect(3);
        assert!(ended.stderr.contains(said), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
    }
}

#[test]
fn a_closed_month_has_the_hash_of_the_bill_that_was_compared() {
    let place = Place::new();
    place.night(&["--pending", &samples("pending.csv")]).expect(5);
    let bill = samples("bill-2026-10.csv");
    let close = ["close", "--month", "2026-10", "--bill", &bill];
    let listed = place.idvault(&close).expect(9).stdout;
    let names = listed.lines().filter_map(|line| line.split_once(": "));
    let accepted: Vec<String> = names.map(|(name, _)| format!("--accept={name}=a test")).collect();
    let args: Vec<&str> = close.into_iter().chain(accepted.iter().map(String::as_str)).collect();
    place.idvault(&args).expect(0);
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.data().join("closed/2026-10.json")).unwrap()).unwrap();
    let bytes = std::fs::read(&bill).unwrap();
    let mut hash = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(hash, "{byte:02x}").unwrap();
    }
    assert_eq!(record["bills"][0]["sha256"], hash);
    assert_eq!(record["bills"][0]["bytes"], bytes.len());
}

/// What replies say of people, and nothing else in the ledger says.
const PERSONAL: [&str; 4] = ["faceAge", "faceGender", "facialPictureFront", "EkycResult"];

#[test]
fn what_replies_say_of_people_is_not_left_in_the_ledger() {
    let place = Place::new();
    for count in [400, 900] {
        let source = place.write("pending.csv", made_up(count, 3, "FACE_LIVENESS"));
        let ended = place.night(&["--pending", &source]);
        assert!([Some(0), Some(4)].contains(&ended.code), "{}", ended.stderr);
    }
    assert_eq!(place.count("SELECT count(*) FROM journal"), 0);
    let archived = place.archived("verifications");
    let told = |name: &str| archived.iter().any(|row| format!("{:?}", row.fields).contains(name));
    assert!(told("faceAge"), "the archive has what the ledger has not");
    for file in std::fs::read_dir(place.data()).unwrap() {
        let path = file.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for word in PERSONAL {
            let found = bytes
                .windows(word.len())
                .filter(|window| *window == word.as_bytes())
                .count();
            assert_eq!(found, 0, "{word} stands in {}", path.display());
        }
    }
}

/// A source whose view computes for ever and has no row.
fn silent_view(place: &Place, name: &str) -> String {
    database(
        place,
        name,
        "CREATE VIEW pending AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
         SELECT i AS transaction_id FROM n WHERE i < 0;",
    )
}

fn database(place: &Place, name: &str, sql: &str) -> String {
    let path = place.path(name);
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The folder in `/proc` of the child that reads `source`, where there is one.
fn child_of(source: &str) -> Option<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut paths = processes.map(|entry| entry.path());
    paths.find(|path| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let args: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        args.get(1) == Some(&&b"read-file"[..]) && args.contains(&source.as_bytes())
    })
}

#[test]
fn a_view_that_never_has_a_row_is_left_and_its_process_ends() {
    let place = Place::new();
    place.write("idvault.toml", "[intake]\nsilence = '1s'\n");
    let (silent, good) = (
        silent_view(&place, "silent.sqlite"),
        place.write("good.csv", made_up(3, 3, "FACE_LIVENESS")),
    );
    let ended = place.night(&["--pending", &silent, "--pending", &good]).expect(3);
    assert!(ended.stderr.contains("gave no row for 1 s"), "{}", ended.stderr);
    assert_eq!(place.count("SELECT count(*) FROM transactions"), 3);
    assert_eq!(child_of(&silent), None);
}

#[test]
fn values_that_would_take_the_memory_are_a_sentence() {
    for (number, value) in [
        "hex(zeroblob(1000000000))",
        "hex(hex(hex(zeroblob(30000000))))",
        "printf('%.*c', 900000000, 'x')",
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT group_concat(hex(zeroblob(1000000))) FROM n)",
    ]
    .iter()
    .enumerate()
    {
        let place = Place::new();
        let sql = format!("CREATE VIEW pending AS SELECT {value} AS transaction_id;");
        let source = database(&place, &format!("{number}.sqlite"), &sql);
        let good = place.write("good.csv", made_up(3, 3, "FACE_LIVENESS"));
        let ended = place.night(&["--pending", &source, "--pending", &good]).expect(3);
        assert!(ended.stderr.contains("too big") || ended.stderr.contains("memory"), "{value}: {}", ended.stderr);
        assert_eq!(place.count("SELECT count(*) FROM transactions"), 3);
    }
}

/// Sorting what has no end fills neither the disk nor the memory.
#[test]
fn a_sort_without_end_writes_no_scratch_files() {
    let place = Place::new();
    let source = database(
        &place,
        "sort.sqlite",
        "CREATE VIEW pending AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
         SELECT hex(randomblob(100)) AS transaction_id FROM n ORDER BY random();",
    );
    let ended = place.night(&["--pending", &source]).expect(3);
    assert!(ended.stderr.contains("memory"), "{}", ended.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_that_reads_a_source_has_next_to_no_rights_and_ends_with_the_run() {
    let place = Place::new();
    let silent = silent_view(&place, "silent.sqlite");
    let mut command = place.command(&["run", "--sandbox", "--pending", &silent]);
    let run = Running::start(command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "canary-secret"));
    wait_until("there is a child", || child_of(&silent).is_some());
    let child = child_of(&silent).unwrap();
    let status = || std::fs::read_to_string(child.join("status")).unwrap_or_default();
    wait_until("it is confined", || status().contains("NoNewPrivs:\t1"));
    let environment = std::fs::read_to_string(child.join("environ")).unwrap_or_default();
    assert!(!environment.contains("ALIBABA"), "{environment}");
    let limits = std::fs::read_to_string(child.join("limits")).unwrap_or_default();
    for (name, limit) in [
        ("Max address space", "536870912"),
        ("Max data size", "536870912"),
        ("Max open files", "32"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        assert!(line.contains(limit), "{name}: {line}");
    }
    run.signal("-KILL");
    wait_until("the child has ended", || child_of(&silent).is_none());
}

#[test]
fn a_crash_of_the_process_that_reads_a_source_is_a_sentence() {
    let place = Place::new();
    let (silent, good) = (
        silent_view(&place, "silent.sqlite"),
        place.write("good.csv", made_up(3, 3, "FACE_LIVENESS")),
    );
    for (signal, said) in [
        ("-SEGV", "crashed (signal 11)"),
        ("-BUS", "cut short meanwhile"),
        ("-XCPU", "took more time"),
    ] {
        let night = [
            "run",
            "--sandbox",
            "--qps",
            "unlimited",
            "--pending",
            &silent,
            "--pending",
            &good,
        ];
        let run = Running::start(&mut place.command(&night));
        wait_until("there is a child", || child_of(&silent).is_some());
        let child = child_of(&silent).unwrap();
        let id = child.file_name().unwrap().to_str().unwrap();
        // Rust's own handler lets the first of some signals pass, as the instruction that failed would fail again.
        wait_until("the child has ended", || {
            let sent = Command::new("/bin/kill").args([signal, id]).status().unwrap();
            !sent.success() || child_of(&silent).is_none()
        });
        let ended = run.end().expect(3);
        assert!(ended.stderr.contains(said), "{signal}: {}", ended.stderr);
        assert!(ended.stderr.contains("silent.sqlite"), "{}", ended.stderr);
        assert_eq!(place.count("SELECT count(*) FROM transactions"), 3);
    }
}

#[test]
fn a_file_that_is_no_table_is_not_quoted() {
    let (place, source) = (Place::new(), made_up(3, 3, "FACE_LIVENESS"));
    place
        .night(&["--pending", &place.write("pending.csv", source)])
        .expect(0);
    for (name, text) in [
        ("shadow", "root:$6$canary-secret$x:19000:0:99999:7:::\n"),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\ncanary-secret\n"),
        ("token", "canary-secret\n"),
        ("list", "user,canary-secret=1\n"),
    ] {
        let file = place.write(name, text);
        let ended = place.night(&["--pending", &file]).expect(3);
        assert!(ended.stderr.contains(name), "{}", ended.stderr);
        for option in ["--bill", "--records"] {
            let ended = place
                .idvault(&["reconcile", "--month", "2026-11", option, &file])
                .expect(3);
            assert!(ended.stderr.contains(name), "{}", ended.stderr);
        }
        std::fs::remove_file(file).unwrap();
    }
}
