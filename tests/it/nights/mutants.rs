//! A property of the process that reads a file from outside: whatever the file holds, it ends in time and within its memory,
//! and the run and the other sources don't notice.
//!
//! `MUTANTS=100000 cargo test --release --test it mutants` tries so many files for each reader, else [`MUTANTS`]. A failure
//! names its seed.

use std::io::{Cursor, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use idvault::intake::{IntakeSettings, Source};
use rusqlite::Connection;
use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::{Place, made_up, setting};
use crate::common::peak_kib;

const SEED: u64 = 20_261_201;
/// Files for each reader, where the environment does not say.
const MUTANTS: u64 = 60;
/// What a file may cost.
const MOST_KIB: u64 = 512 << 10;
const MOST_TIME: Duration = Duration::from_secs(30);
/// Of the rows of a file that never ends, so many bytes are read.
const MOST_ROWS_BYTES: u64 = 16 << 20;
/// No query computes for longer without a row.
const SILENCE: Duration = Duration::from_secs(1);

fn mutants() -> u64 {
    setting("MUTANTS").unwrap_or(MUTANTS)
}

/// A child of the program's that reads `path`.
fn child(kind: &str, path: &Path, request: &Value) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_idvault"))
        .args(["read-file", kind, "--"])
        .arg(path)
        .env_clear()
        .env("MIMALLOC_ARENA_RESERVE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A child that ended already has no use for it.
    let _ = child.stdin.take().unwrap().write_all(request.to_string().as_bytes());
    child
}

/// Reads the file in a child, and holds what that takes to the limits.
#[track_caller]
fn read(kind: &str, path: &Path, request: &Value, seed: u64) {
    let started = Instant::now();
    let mut child = child(kind, path, request);
    let stdout = child.stdout.take().unwrap();
    let rows = std::thread::spawn(move || {
        let mut rows = Vec::new();
        let read = stdout.take(MOST_ROWS_BYTES).read_to_end(&mut rows);
        read.map(|_| rows).unwrap()
    });
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_kib(&child).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > MOST_TIME {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("seed {seed}: reading {} did not end in {MOST_TIME:?}", path.display());
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let rows = rows.join().unwrap();
    assert!(peak <= MOST_KIB, "seed {seed}: {peak} KiB");
    // It said how it ended, or left off as nobody took its rows any more, or was ended by a limit.
    let last = rows.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    let said = last.is_some_and(|line| line == b"\"End\"" || line.starts_with(b"{\"Failed\":"));
    let cut_off = rows.len() as u64 == MOST_ROWS_BYTES;
    assert!(
        said || cut_off || status.signal().is_some(),
        "seed {seed}: {status}, {:?}",
        last.map(String::from_utf8_lossy)
    );
}

fn pending(source: &Source) -> Value {
    let settings = IntakeSettings {
        silence: SILENCE,
        ..IntakeSettings::default()
    };
    json!({ "source": source, "settings": settings })
}

fn table() -> Value {
    let wanted = |name: &str, required: bool| json!({ "key": name, "names": [name], "required": required });
    json!({ "wanted": [wanted("TransactionId", true), wanted("VerifyTime", true), wanted("ProductCode", false)] })
}

/// Bytes that parsers stumble over.
fn edge(rng: &mut Rng) -> Vec<u8> {
    let width = rng.choice([1, 2, 4, 8]).unwrap();
    let number: u64 = rng
        .choice([
            0,
            1,
            2,
            0x7f,
            0x80,
            0xff,
            0x7fff,
            0xffff,
            0x7fff_ffff,
            0xffff_ffff,
            u64::MAX,
            u64::MAX - 1,
        ])
        .unwrap();
    number.to_be_bytes()[8 - width..].to_vec()
}

/// A few places changed, taken out, or written twice.
fn scramble(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.usize(1..8) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(..bytes.len());
        let end = (at + rng.usize(1..64)).min(bytes.len());
        match rng.u8(..5) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => bytes.truncate(at.max(16)),
            _ => {
                let edge = edge(rng);
                let end = (at + edge.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&edge[..end - at]);
            }
        }
    }
}

/// Views as an attacker would write them.
const VIEWS: [&str; 7] = [
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'junk' || i AS transaction_id FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS transaction_id FROM n WHERE i < 0",
    "SELECT hex(zeroblob(1000000000)) AS transaction_id",
    "SELECT hex(hex(hex(zeroblob(30000000)))) AS transaction_id",
    "SELECT a.i AS transaction_id FROM big a, big b, big c, big d ORDER BY random()",
    "SELECT group_concat(hex(randomblob(1000000))) AS transaction_id FROM big a, big b",
    "SELECT printf('%.*c', 900000000, 'x') AS transaction_id",
];

/// A database whose table or view is read, and whose bytes were changed.
fn sqlite(path: &Path, rng: &mut Rng) {
    let view = rng.usize(..VIEWS.len() * 400);
    damaged(path, VIEWS.get(view).copied(), rng);
}

fn damaged(path: &Path, view: Option<&str>, rng: &mut Rng) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    let database = Connection::open(path).unwrap();
    let page_size = rng.choice([512, 1024, 4096]).unwrap();
    database.pragma_update(None, "page_size", page_size).unwrap();
    database.pragma_update(None, "synchronous", "off").unwrap();
    database
        .execute_batch(
            "CREATE TABLE big (i); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO big SELECT i FROM n LIMIT 60;",
        )
        .unwrap();
    match view {
        Some(view) => database.execute_batch(&format!("CREATE VIEW pending AS {view}")),
        None => database.execute_batch(
            "CREATE TABLE pending (transaction_id TEXT, note, verified_at);
             INSERT INTO pending SELECT 'id' || i, printf('%.*c', i * 40, 'n'), 1793525400 FROM big;
             CREATE INDEX ids ON pending (transaction_id);",
        ),
    }
    .unwrap();
    if rng.bool() {
        database.pragma_update(None, "journal_mode", "wal").unwrap();
    }
    drop(database);
    let mut bytes = std::fs::read(path).unwrap();
    for _ in 0..rng.usize(..6) {
        // The header of the file, or of a page, or a cell's pointer.
        let page = rng.usize(..bytes.len() / page_size) * page_size;
        let at = page
            + rng
                .choice([
                    0, 16, 18, 20, 24, 28, 36, 44, 52, 56, 100, 103, 105, 108, 3, 5, 7, 8, 12,
                ])
                .unwrap();
        let edge = edge(rng);
        let end = (at + edge.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&edge[..end - at]);
    }
    if rng.bool() {
        scramble(&mut bytes, rng);
    }
    std::fs::write(path, bytes).unwrap();
}

/// A workbook whose parts were changed and packed again, or that was changed as it is.
fn workbook(seed: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    if rng.u8(..4) == 0 {
        scramble(&mut bytes, rng);
        return bytes;
    }
    let mut archive = ZipArchive::new(Cursor::new(seed)).unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let changed = rng.usize(..archive.len());
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).unwrap();
        let name = part.name().unwrap().to_string();
        let mut text = Vec::new();
        part.read_to_end(&mut text).unwrap();
        if at == changed || rng.u8(..6) == 0 {
            change_xml(&mut text, rng);
        }
        let twice = rng.u8(..40) == 0;
        for name in [name.clone(), format!("{name}x")].iter().take(1 + usize::from(twice)) {
            zip.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
            zip.write_all(&text).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

/// Numbers become others, tags come again and again, and some bytes are just changed.
fn change_xml(text: &mut Vec<u8>, rng: &mut Rng) {
    let digits: Vec<usize> = (0..text.len()).filter(|at| text[*at].is_ascii_digit()).collect();
    let tags: Vec<usize> = (0..text.len()).filter(|at| text[*at] == b'<').collect();
    match rng.u8(..4) {
        0 if !digits.is_empty() => {
            let at = rng.choice(digits).unwrap();
            let number = rng
                .choice([
                    "0",
                    "-1",
                    "99999999999999999999",
                    "4294967295",
                    "00000000000000000000000000000040000000000",
                    "1e308",
                    "NaN",
                ])
                .unwrap();
            text.splice(at..=at, number.bytes());
        }
        1 if tags.len() > 2 => {
            let first = rng.usize(..tags.len() - 1);
            let (start, end) = (tags[first], tags[(first + rng.usize(1..6)).min(tags.len() - 1)]);
            let again = text[start..end].repeat(rng.choice([2, 10, 500]).unwrap());
            text.splice(start..start, again);
        }
        2 if !digits.is_empty() => {
            let at = rng.choice(digits).unwrap();
            text.splice(at..at, vec![b'A'; rng.choice([100, 10_000, 1_000_000]).unwrap()]);
        }
        _ => scramble(text, rng),
    }
}

fn good_workbook() -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (column, name) in (0..).zip(["TransactionId", "VerifyTime", "ProductCode"]) {
        sheet.write(0, column, name).unwrap();
    }
    for row in 1..40 {
        sheet.write(row, 0, format!("hks{row}")).unwrap();
        sheet.write(row, 1, "2026-11-21 08:30:00").unwrap();
        sheet.write(row, 2, "FACE_LIVENESS").unwrap();
    }
    workbook.save_to_buffer().unwrap()
}

fn packed(text: &str, rng: &mut Rng) -> Vec<u8> {
    let mut inside = text.as_bytes().to_vec();
    if rng.bool() {
        scramble(&mut inside, rng);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&inside).unwrap();
    let mut bytes = encoder.finish().unwrap();
    if rng.bool() {
        scramble(&mut bytes, rng);
    }
    bytes
}

#[test]
fn a_changed_database_is_read_within_its_limits() {
    let place = Place::new();
    let path = place.path("mutant.sqlite");
    for seed in SEED..SEED + mutants() {
        sqlite(&path, &mut Rng::with_seed(seed));
        read("pending", &path, &pending(&Source::Sqlite(path.clone())), seed);
    }
}

#[test]
fn a_database_with_a_hostile_view_is_read_within_its_limits() {
    let place = Place::new();
    for (number, view) in (0..).zip(VIEWS) {
        let path = place.path(&format!("view{number}.sqlite"));
        let database = Connection::open(&path).unwrap();
        let big = "CREATE TABLE big (i); INSERT INTO big VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9);";
        database
            .execute_batch(&format!("{big} CREATE VIEW pending AS {view}"))
            .unwrap();
        read("pending", &path, &pending(&Source::Sqlite(path.clone())), number);
    }
}

#[test]
fn a_changed_workbook_is_read_within_its_limits() {
    let place = Place::new();
    let (path, good) = (place.path("mutant.xlsx"), good_workbook());
    for seed in SEED..SEED + mutants() {
        std::fs::write(&path, workbook(&good, &mut Rng::with_seed(seed))).unwrap();
        read("table", &path, &table(), seed);
    }
}

#[test]
fn a_changed_gzip_file_is_read_within_its_limits() {
    let place = Place::new();
    let path = place.path("mutant.csv.gz");
    let (ids, records) = (
        made_up(50, 3, "FACE_LIVENESS"),
        "TransactionId,VerifyTime\nhks1,2026-11-21 08:30\n".repeat(9),
    );
    for seed in SEED..SEED + mutants() {
        let mut rng = Rng::with_seed(seed);
        std::fs::write(&path, packed(&ids, &mut rng)).unwrap();
        read("pending", &path, &pending(&Source::Csv(path.clone())), seed);
        std::fs::write(&path, packed(&records, &mut rng)).unwrap();
        read("table", &path, &table(), seed);
    }
}

/// The run goes on, and what another source says is kept as if the changed ones were not there.
#[test]
fn changed_sources_end_no_run_and_change_no_row_of_another_source() {
    const CHANGED: u64 = 12;
    let place = Place::new();
    place.write("idvault.toml", "[intake]\nsilence = '5s'\n");
    let mut sources = vec![place.write("good.csv", made_up(40, 3, "FACE_LIVENESS"))];
    let ids = made_up(50, 3, "eKYC").replace("made", "evil");
    for seed in SEED..SEED + CHANGED {
        let mut rng = Rng::with_seed(seed);
        sources.push(place.write(&format!("mutant{seed}.gz"), packed(&ids, &mut rng)));
        let database = place.path(&format!("mutant{seed}.sqlite"));
        // Those of the kind that has an end.
        damaged(&database, None, &mut rng);
        sources.push(database.to_str().unwrap().to_owned());
    }
    let args: Vec<&str> = sources.iter().flat_map(|source| ["--pending", source]).collect();
    let ended = place.night(&args);
    assert!([Some(3), Some(4), Some(5)].contains(&ended.code), "{}", ended.stderr);
    let kept = "SELECT count(*) FROM transactions WHERE product_code = 'FACE_LIVENESS' AND transaction_id LIKE 'made%'";
    assert_eq!(place.count(kept), 40);
}
