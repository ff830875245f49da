//! The README's job, from the pending source to the archive and the reports, and the ways to feed it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use idvault::record::sha256_hex;
use idvault::sandbox::Mix;
use idvault::sandbox::answers::{answer_for, kind_of, oddity_of};
use jiff::Timestamp;
use jiff::tz::{TimeZone, offset};
use parquet::record::Field;
use rusqlite::Connection;
use serde_json::Value;

use super::{Archived, NEXT_NIGHT, NOW, Place, Running, Vendor, ids_of, lines, made_up, samples};

fn sample() -> String {
    std::fs::read_to_string(samples("pending.csv")).unwrap()
}

fn finals(ids: &[String]) -> BTreeSet<&str> {
    let is_final = |id: &&str| kind_of(id).is_final();
    ids.iter().map(String::as_str).filter(is_final).collect()
}

/// Every id that is final at the vendor is archived exactly once with its verdict, and nothing else is.
#[track_caller]
fn assert_archived_once(place: &Place, ids: &[String]) -> Vec<Archived> {
    let rows = place.archived("verifications");
    let mut seen = BTreeSet::new();
    for row in &rows {
        assert!(seen.insert(row.id()), "{} is in the archive twice", row.id());
        assert_eq!(row.text("sub_code"), kind_of(row.id()).sub_code(), "{}", row.id());
    }
    assert_eq!(seen, finals(ids));
    rows
}

/// Verifications by billing day, product, region and sub code.
fn tallies(rows: &[Archived]) -> BTreeMap<[String; 4], u64> {
    let mut tallies = BTreeMap::new();
    for row in rows {
        let day = row.billing_day().unwrap_or_default().to_owned();
        let [product, region, sub_code] =
            ["product_code", "region", "sub_code"].map(|name| row.text(name).unwrap().to_owned());
        *tallies.entry([day, product, region, sub_code]).or_default() += 1;
    }
    tallies
}

#[track_caller]
fn assert_same_counts(place: &Place, rows: &[Archived]) {
    let counted = tallies(rows);
    let report = place.idvault(&["report", "billing", "--all"]).expect(0);
    let reported: BTreeMap<[String; 4], u64> = lines(&report.stdout)
        .into_iter()
        .map(|line| {
            let key = ["billing_day", "product_code", "region", "sub_code"].map(|name| line[name].clone());
            (key, line["verifications"].parse().unwrap())
        })
        .collect();
    assert_eq!(reported, counted);
    let mut by_code: BTreeMap<(String, String), u64> = BTreeMap::new();
    for ([_, product, _, sub_code], count) in counted {
        *by_code.entry((product, sub_code)).or_default() += count;
    }
    let summary = place.summary();
    let in_summary: BTreeMap<(String, String), u64> = summary["billing"]["sub_codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            let count = line["verifications"].as_u64().unwrap();
            ((text("product_code"), text("sub_code")), count)
        })
        .collect();
    assert_eq!(in_summary, by_code);
    assert_eq!(summary["billing"]["verifications"], rows.len());
    assert_eq!(summary["states"]["archived"], rows.len());
}

#[track_caller]
fn assert_partitioned(rows: &[Archived]) {
    let zone = TimeZone::fixed(offset(8));
    for row in rows {
        let day = row.time("verified_at").map(|time| time.to_zoned(zone.clone()).date());
        assert_eq!(
            row.billing_day(),
            day.map(|day| day.to_string()).as_deref(),
            "{}",
            row.id()
        );
        let epoch = jiff::civil::date(1970, 1, 1);
        let in_file = day.map_or(Field::Null, |day| Field::Date(day.since(epoch).unwrap().get_days()));
        assert_eq!(row.fields["billing_date"], in_file, "{}", row.id());
    }
    let unknown = rows.iter().filter(|row| row.time("verified_at").is_none()).count();
    assert!(unknown > 0 && unknown < rows.len(), "the sample has both kinds");
}

#[track_caller]
fn assert_private(place: &Place) {
    let mut folders = vec![place.data()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every stage took some of the run's time, and none of it is counted twice.
#[track_caller]
fn assert_stages_add_up(summary: &serde_json::Value) {
    let stages = summary["stages"].as_object().unwrap().values();
    let stages: Vec<f64> = stages.map(|spent| spent.as_f64().unwrap()).collect();
    assert!(
        stages.len() == 5 && stages.iter().all(|spent| *spent > 0.0),
        "{stages:?}"
    );
    assert!(stages.iter().sum::<f64>() <= summary["seconds"].as_f64().unwrap());
}

#[test]
fn the_readmes_night_archives_every_final_verdict_once_and_counts_alike_everywhere() {
    let place = Place::new();
    // One id of the sample was deleted at the vendor before it was ever asked for.
    let ended = place.night(&["--pending", &samples("pending.csv"), "--json"]).expect(5);
    assert_eq!(ended.json(), place.summary());
    let ids = ids_of(&sample());
    let rows = assert_archived_once(&place, &ids);
    assert_same_counts(&place, &rows);
    assert_partitioned(&rows);
    assert_private(&place);
    assert_eq!(place.states().values().sum::<u64>(), ids.len() as u64);
    let summary = place.summary();
    let states = summary["states"].as_object().unwrap();
    assert_eq!(states.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 500);
    assert_eq!(summary["states"]["lost"], 1);
    assert_eq!(place.count("SELECT count(*) FROM journal"), 0);
    assert_stages_add_up(&summary);
    place.idvault(&["verify", "--read-data"]).expect(0);
}

#[test]
fn a_sqlite_source_brings_the_same_as_the_csv_and_is_not_changed() {
    let place = Place::new();
    let source = place.path("app.sqlite");
    let sql = std::fs::read_to_string(samples("pending.sql")).unwrap();
    Connection::open(&source).unwrap().execute_batch(&sql).unwrap();
    let before = std::fs::read(&source).unwrap();
    place.night(&["--pending", source.to_str().unwrap()]).expect(5);
    let rows = assert_archived_once(&place, &ids_of(&sample()));
    assert_same_counts(&place, &rows);
    assert_eq!(std::fs::read(&source).unwrap(), before);
}

#[test]
fn the_next_night_asks_for_no_final_id_again_and_leaves_the_archive_as_it_is() {
    let (mut place, vendor) = (Place::new(), Vendor::start(Mix::Realistic, Duration::ZERO));
    let source = samples("pending.csv");
    let night = |place: &Place| place.night_of(&vendor, &["--pending", &source]).output().unwrap();
    assert_eq!(night(&place).status.code(), Some(5));
    let ids = ids_of(&sample());
    let first = vendor.counts();
    assert_eq!((first.calls, first.finals), (500, finals(&ids).len() as u64));
    let files = fingerprints(&place);
    assert!(files.len() > 30, "{files:?}");
    place.now = NEXT_NIGHT;
    // What was lost is lost once: it is no news, the quarantine still is.
    assert_eq!(night(&place).status.code(), Some(4));
    let second = vendor.counts();
    assert!(second.calls > first.calls, "what is not final is asked for again");
    assert_eq!(second.finals, first.finals);
    assert_eq!(fingerprints(&place), files);
}

/// Name, time, inode and bytes of every file of the archive.
fn fingerprints(place: &Place) -> Vec<(String, i64, i64, u64, String)> {
    let root = place.data().join("archive");
    let print = |file: String| {
        let path = root.join(&file);
        let found = std::fs::metadata(&path).unwrap();
        let sha256 = sha256_hex(&std::fs::read(&path).unwrap());
        (file, found.mtime(), found.mtime_nsec(), found.ino(), sha256)
    };
    place.archive_files().into_iter().map(print).collect()
}

#[test]
fn images_stand_apart_with_the_vendors_bytes_and_only_where_they_are_asked_for() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(60, 3, "FACE_LIVENESS"));
    place.night(&["--pending", &source, "--images"]);
    let rows = place.archived("verifications");
    let images = place.archived("face_images");
    let mut compared = 0;
    for row in &rows {
        let of_id: Vec<&Archived> = images.iter().filter(|image| image.id() == row.id()).collect();
        assert_eq!(of_id.is_empty(), !kind_of(row.id()).has_image(), "{}", row.id());
        let sent = sent_image(row.id());
        let Some(hash) = row.text("face_image_sha256") else {
            assert!(of_id.is_empty());
            continue;
        };
        let image = of_id.iter().find(|image| image.text("sha256") == Some(hash)).unwrap();
        assert_eq!(sha256_hex(image.bytes("image")), hash);
        assert_eq!(image.billing_day(), row.billing_day());
        if let Some(sent) = sent {
            assert_eq!(image.bytes("image"), sent);
            compared += 1;
        }
        // The smallest image of the sandbox has 50 kB.
        let kept = row.text("ext_face_info").unwrap();
        assert!(kept.len() < 5_000, "{}: {} bytes", row.id(), kept.len());
    }
    assert!(compared > 40, "{compared}");
    assert_eq!(rows.len(), finals(&ids_of(&made_up(60, 3, "X"))).len());
    place.idvault(&["verify", "--read-data"]).expect(0);

    let plain = Place::new();
    plain.night(&["--pending", &source]);
    assert_eq!(plain.archived("verifications").len(), rows.len());
    assert!(!plain.data().join("archive/face_images").exists());
}

/// What the sandbox sends for an id, where it sends it in the usual form.
fn sent_image(id: &str) -> Option<Vec<u8>> {
    if oddity_of(id).is_some() {
        return None;
    }
    let body: Value = serde_json::from_str(&answer_for(id, true).body).unwrap();
    let face: Value = serde_json::from_str(body["Result"]["ExtFaceInfo"].as_str()?).unwrap();
    let image = face["faceImg"].as_str()?;
    Some(base64::engine::general_purpose::STANDARD.decode(image).unwrap())
}

#[test]
fn rows_of_unknown_age_are_a_dataset_of_their_own() {
    let place = Place::new();
    let source = place.write("pending.csv", "transaction_id\nmade00000\nmade00001\nmade00003\n");
    place.night(&["--pending", &source]);
    let rows = place.archived("verifications");
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!(row.billing_day(), None);
        assert_eq!((row.time("verified_at"), row.time("expires_at")), (None, None));
        assert_eq!(row.time("fetched_at"), Some(NOW.parse().unwrap()));
    }
    let billing = place.report("billing.csv");
    assert!(billing.iter().all(|line| line["billing_day"].is_empty()));
    let billed: usize = billing
        .iter()
        .map(|line| line["verifications"].parse::<usize>().unwrap())
        .sum();
    assert_eq!(billed, rows.len());
}

#[test]
fn packed_files_standard_input_and_databases_all_bring_their_rows_in_one_night() {
    let place = Place::new();
    let ids: Vec<String> = ids_of(&made_up(40, 5, "FACE_LIVENESS"));
    let part = |from: usize| {
        let rows: Vec<String> = ids[from..from + 10]
            .iter()
            .map(|id| format!("{id},2026-11-20T00:00:00Z"))
            .collect();
        format!("transaction_id,verified_at\n{}\n", rows.join("\n"))
    };
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(part(0).as_bytes()).unwrap();
    let packed = place.write("a.csv.gz", packed.finish().unwrap());
    let plain = place.write("b.csv", part(10));
    let database = place.path("c.sqlite");
    let open = Connection::open(&database).unwrap();
    open.execute_batch("CREATE TABLE pending (transaction_id TEXT, verified_at TEXT)")
        .unwrap();
    for id in &ids[20..30] {
        let insert = "INSERT INTO pending VALUES (?1, '2026-11-20T00:00:00Z')";
        open.execute(insert, [id]).unwrap();
    }
    drop(open);
    let mut command = place.command(&["run", "--sandbox", "--qps", "unlimited", "--json"]);
    for source in [&packed, &plain, database.to_str().unwrap(), "-"] {
        command.args(["--pending", source]);
    }
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let mut stdin = running.0.stdin.take().unwrap();
    stdin.write_all(part(30).as_bytes()).unwrap();
    drop(stdin);
    let summary = running.end().json();
    assert_eq!(
        (&summary["intake"]["rows"], &summary["intake"]["new"]),
        (&40.into(), &40.into())
    );
    assert_archived_once(&place, &ids);
}

/// 700 rows of three products in no order: of unknown age, overdue, and everything between.
fn unsorted() -> (String, Vec<(String, Option<Timestamp>)>) {
    let products = ["FACE_LIVENESS", "eKYC", "ID_OCR"];
    let now: Timestamp = NOW.parse().unwrap();
    let (mut text, mut rows) = ("transaction_id,product_code,verified_at\n".to_owned(), Vec::new());
    for number in 0..700_usize {
        let id = format!("plan{:03}", number * 389 % 700);
        // Up to 35 days back: some of it is past its 30 days.
        let minutes = i64::try_from(number * 7_919 % 50_400).unwrap();
        let verified_at = (number % 10 != 0).then(|| now - jiff::SignedDuration::from_mins(minutes));
        let written = verified_at.map(|at| at.to_string()).unwrap_or_default();
        writeln!(text, "{id},{},{written}", products[number % 3]).unwrap();
        rows.push((id, verified_at));
    }
    (text, rows)
}

#[test]
fn a_dry_run_prints_the_plan_in_its_order_and_asks_nothing() {
    let (place, vendor) = (Place::new(), Vendor::start(Mix::Realistic, Duration::ZERO));
    let (text, mut rows) = unsorted();
    let source = place.write("pending.csv", text);
    let output = place
        .night_of(&vendor, &["--pending", &source, "--dry-run"])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    rows.sort_by_key(|(_, verified_at)| {
        let expires_at = verified_at.map(|at| at + jiff::SignedDuration::from_hours(720));
        let overdue = expires_at.is_some_and(|at| at <= now);
        (overdue, expires_at.unwrap_or(now))
    });
    let plan = lines(&printed);
    let ids: Vec<&String> = plan.iter().map(|line| &line["transaction_id"]).collect();
    assert_eq!(ids, rows.iter().map(|(id, _)| id).collect::<Vec<_>>());
    assert!(
        plan[..70].iter().all(|line| line["verified_at"].is_empty()),
        "unknown ages first"
    );
    assert_eq!(
        plan[699]["expires_at"],
        (rows[699].1.unwrap() + jiff::SignedDuration::from_hours(720)).to_string()
    );
    assert!(plan[699]["expires_at"].as_str() < NOW, "overdue last");
    assert_eq!(vendor.counts().calls, 0);
    assert!(!place.data().join("ledger.sqlite").exists());
    assert!(place.archive_files().is_empty());
    assert_eq!(place.summary()["due"], 700);

    let again = place
        .night_of(&vendor, &["--pending", &source, "--dry-run", "--json"])
        .output()
        .unwrap();
    let summary: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(
        (&summary["due"], &summary["fetch"]["attempts"]),
        (&700.into(), &0.into())
    );
    assert_eq!(vendor.counts().calls, 0);
}

#[test]
fn a_reader_of_the_plan_may_leave_and_the_reports_are_kept() {
    let place = Place::new();
    // More than a pipe holds, so that the program writes on when no one reads any more.
    let source = place.write("pending.csv", made_up(5_000, 20, "FACE_LIVENESS"));
    let mut run = Running::start(&mut place.command(&["run", "--dry-run", "--pending", &source]));
    let mut header = [0; 14];
    let mut stdout = run.0.stdout.take().unwrap();
    stdout.read_exact(&mut header).unwrap();
    drop(stdout);
    assert_eq!(&header, b"transaction_id");
    assert_eq!(run.0.wait().unwrap().code(), Some(0), "who leaves changes no exit code");
    assert_eq!(place.summary()["due"], 5_000);
}
