//! `idvault archive upgrade`: an archive that an older idvault left behind, file by file as it was.
//!
//! `tests/fixtures/archive_schema_1` is what idvault wrote with schema version 1: two nights with two days each, undated
//! rows and three faces. It is never changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use super::disk::Disk;
use super::verify::edit;
use super::{Ended, Place, files_below, made_up};

const NOW: &str = "2026-10-24T02:00:00Z";

/// What schema version 1 has no column for.
const NEW: [&str; 6] = [
    "billing_date",
    "business_unit",
    "video_sha256",
    "video_bytes",
    "video_encrypted_sha256",
    "encrypted_sha256",
];

const UNDATED: &str = "verifications/billing_day=__HIVE_DEFAULT_PARTITION__";

fn of_schema_1() -> Place {
    let mut place = Place::new();
    place.now = NOW;
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/archive_schema_1");
    let copied = Command::new("cp").arg("-a").arg(fixture).arg(place.data()).status();
    assert!(copied.unwrap().success());
    // Git keeps no modes of folders.
    let private = Command::new("chmod").args(["-R", "go-rwx"]).arg(place.data()).status();
    assert!(private.unwrap().success());
    place
}

/// The same, with a ledger that a run has brought up, so that it can be read.
fn of_schema_1_after_a_run() -> Place {
    let place = of_schema_1();
    // No source is named: that needs a look.
    place.night(&[]).expect(4);
    place
}

type Rows = BTreeMap<[String; 3], BTreeMap<String, Field>>;

/// Every row in the columns of schema version 1. A row that is there twice fails the test.
#[track_caller]
fn rows(place: &Place) -> Rows {
    let mut rows = BTreeMap::new();
    for dataset in ["verifications", "face_images"] {
        for mut row in place.archived(dataset) {
            let face = if dataset == "face_images" {
                row.text("sha256").unwrap()
            } else {
                ""
            };
            let key = [dataset, row.id(), face].map(str::to_owned);
            row.fields.retain(|name, _| !NEW.contains(&&**name));
            assert!(rows.insert(key.clone(), row.fields).is_none(), "{key:?} is there twice");
        }
    }
    rows
}

fn versions(place: &Place) -> Vec<String> {
    let version = |file: &String| {
        let reader = SerializedFileReader::new(File::open(place.data().join("archive").join(file)).unwrap()).unwrap();
        let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
        let pair = pairs.into_iter().find(|pair| pair.key == "idvault.schema_version");
        pair.unwrap().value.unwrap()
    };
    let mut versions: Vec<String> = place.archive_files().iter().map(version).collect();
    versions.dedup();
    versions
}

/// As all commands see an archive that is upgraded.
#[track_caller]
fn assert_upgraded(place: &Place, before: &Rows, why: &str) {
    assert!(rows(place) == *before, "{why}: a row is missing or another");
    place.idvault(&["verify", "--read-data"]).expect(0);
    assert_eq!(versions(place), ["2"], "{why}");
    assert!(!place.data().join("archive").join(UNDATED).exists(), "{why}");
    assert_eq!(files_below(&place.data().join(".staging")).len(), 0, "{why}");
    for row in place.archived("verifications") {
        let epoch = jiff::civil::date(1970, 1, 1);
        let day = row.billing_day().map(|day| day.parse::<jiff::civil::Date>().unwrap());
        let in_file = day.map_or(Field::Null, |day| Field::Date(day.since(epoch).unwrap().get_days()));
        assert_eq!(row.fields["billing_date"], in_file, "{why}: {}", row.id());
    }
    let said = place.idvault(&["archive", "upgrade"]).expect(0).stdout;
    assert!(said.starts_with("nothing to upgrade"), "{why}: {said}");
}

#[test]
fn an_archive_of_schema_1_is_used_as_it_is_and_upgraded_when_asked_for() {
    let place = of_schema_1_after_a_run();
    place.idvault(&["verify", "--read-data"]).expect(0);
    let before = rows(&place);
    assert_eq!(before.len(), 34 + 3);
    let billing = ["report", "billing", "--all"];
    let billed = place.idvault(&billing).expect(0).stdout;

    // A night of today beside the old files.
    let source = place.write(
        "pending.csv",
        made_up(10, 2, "FACE_LIVENESS").replace("2026-11", "2026-10"),
    );
    place.night(&["--pending", &source]);
    place.idvault(&["verify", "--read-data"]).expect(0);
    let mixed = rows(&place);
    assert!(mixed.len() > before.len());

    let would = place.idvault(&["archive", "upgrade", "--dry-run"]).expect(0).stdout;
    assert!(would.contains(&format!("would merge: {UNDATED}: 2 files")), "{would}");
    assert!(rows(&place) == mixed, "a dry run changes nothing");
    let said = place.idvault(&["archive", "upgrade"]).expect(0).stdout;
    assert!(
        said.contains("written anew: face_images/billing_day=2026-10-18: 1 file"),
        "{said}"
    );
    assert!(
        said.contains("merged: verifications/billing_day=2026-10-18: 2 files"),
        "{said}"
    );
    assert_upgraded(&place, &mixed, "with a night of today");
    let changes = files_below(&place.data().join("archive/_changes"));
    let upgrades = changes
        .iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains("\"upgrade\""));
    assert!(
        upgrades.count() > 2,
        "each file that was written anew is in the history"
    );
    let now_billed = place.idvault(&billing).expect(0).stdout;
    assert!(billed.lines().all(|line| now_billed.contains(line)), "{now_billed}");
    assert_eq!(
        place
            .archived("face_images")
            .iter()
            .filter(|row| row.billing_day().is_none())
            .count(),
        1
    );
}

/// Each rule kills one upgrade; where there are two, the second kills what would have mended the first.
const POINTS: &[&[&str]] = &[
    &["create:*/.staging/*.parquet kill-after"],
    &["write:*/.staging/verifications_undated.*.parquet kill-half"],
    &["mkdir:*/archive/verifications_undated kill-after"],
    // The intent of what moves.
    &["create:*/.staging/verifications_undated.* write:*-wal kill-half"],
    &["create:*/.staging/verifications_undated.* sync:*-wal kill-after"],
    // The new file is there.
    &["rename:*/archive/verifications_undated/* kill-before"],
    &["rename:*/archive/verifications_undated/* kill-after"],
    // The old ones go.
    &["unlink:*/archive/verifications/*/*.parquet kill-before"],
    &["unlink:*/archive/verifications/*/*.parquet kill-after"],
    &["unlink:*/archive/verifications/*/*.parquet#2 kill-after"],
    &["unlink:*/archive/verifications/*/*.parquet#2 write:*-wal kill-half"],
    &["unlink:*/archive/verifications/*/*.parquet#2 sync:*-wal kill-after"],
    // Days.
    &["swap:*/archive/* kill-before"],
    &["swap:*/archive/* kill-after"],
    &["swap:*/archive/* write:*-wal kill-half"],
    // What is completed first by the next one.
    &[
        "rename:*/archive/verifications_undated/* kill-after",
        "unlink:*/archive/verifications/*/*.parquet kill-after",
    ],
    &[
        "unlink:*/archive/verifications/*/*.parquet kill-after",
        "write:*-wal kill-half",
    ],
];

#[test]
fn an_upgrade_that_is_killed_at_any_step_is_completed_by_whatever_comes_next() {
    let before = rows(&of_schema_1());
    for (number, rules) in POINTS.iter().enumerate() {
        let place = of_schema_1_after_a_run();
        let why = rules.join(", then ");
        for rule in *rules {
            let disk = Disk::that(rule);
            let output = disk
                .under(&mut place.command(&["archive", "upgrade"]))
                .output()
                .unwrap();
            assert_eq!(output.status.signal(), Some(9), "DISK_RULE={rule:?}: not killed");
            let verified = place.idvault(&["verify"]);
            assert_eq!(verified.code, Some(0), "DISK_RULE={rule:?}: {}", verified.stdout);
        }
        match number % 3 {
            0 => {}
            1 => drop(place.night(&[]).expect(4)),
            _ => drop(place.idvault(&["verify", "--repair"]).expect(0)),
        }
        place.idvault(&["archive", "upgrade"]).expect(0);
        assert_upgraded(&place, &before, &why);
    }
}

/// What an idvault of the future may write.
fn write_as_of_schema_3(place: &Place, file: &str) {
    let path = place.data().join("archive").join(file);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let version = KeyValue::new("idvault.schema_version".to_owned(), "3".to_owned());
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(vec![version]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let (length, sha256) = (bytes.len(), idvault::record::sha256_hex(&bytes));
    fs::write(&path, bytes).unwrap();
    edit(
        place,
        &format!("UPDATE files SET bytes = {length}, sha256 = '{sha256}' WHERE path = '{file}'"),
    );
}

#[test]
fn a_file_of_a_newer_schema_is_refused_with_a_sentence_and_left_as_it_is() {
    let place = of_schema_1_after_a_run();
    let file = place
        .archive_files()
        .into_iter()
        .find(|file| file.starts_with("verifications/"))
        .unwrap();
    write_as_of_schema_3(&place, &file);
    let path = place.data().join("archive").join(&file);
    let bytes = fs::read(&path).unwrap();
    let sentence = "has schema version 3, and this idvault knows no later one than 2; use the idvault that wrote it, or a later one";
    let upgrade = place.idvault(&["archive", "upgrade"]).expect(7);
    assert!(upgrade.stderr.contains(sentence), "{}", upgrade.stderr);
    let verify = place.idvault(&["verify"]).expect(9);
    assert!(verify.stdout.contains(sentence), "{}", verify.stdout);
    let compact: Ended = place.idvault(&["compact", "--min-age-days", "0"]).expect(9);
    assert!(
        compact.stdout.contains("left alone") && compact.stdout.contains(sentence),
        "{}",
        compact.stdout
    );
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn what_a_closed_month_was_signed_off_with_stays_as_it_is() {
    let mut place = of_schema_1_after_a_run();
    place.now = "2026-11-05T02:00:00Z";
    let close = ["close", "--month", "2026-10", "--accept", "no-bill=a test"];
    let listed = place.idvault(&close).expect(9).stdout;
    let names = listed.lines().filter_map(|line| line.split_once(": "));
    let accepted: Vec<String> = names.map(|(name, _)| format!("--accept={name}=a test")).collect();
    let args: Vec<&str> = close.into_iter().chain(accepted.iter().map(String::as_str)).collect();
    place.idvault(&args).expect(0);
    let before = rows(&place);
    let ended = place.idvault(&["archive", "upgrade"]).expect(0);
    assert!(
        ended.stderr.contains("4 files of an older schema stay as they are"),
        "{}",
        ended.stderr
    );
    assert!(rows(&place) == before, "a row is missing or another");
    place.idvault(&["verify", "--read-data"]).expect(0);
    assert!(!place.data().join("archive").join(UNDATED).exists());
}

/// Who upgrades the archive first need not run a night for the ledger's sake.
#[test]
fn an_upgrade_brings_an_older_ledger_up_by_itself() {
    let place = of_schema_1();
    let before = rows(&place);
    place.idvault(&["archive", "upgrade"]).expect(0);
    assert_upgraded(&place, &before, "straight away");
}
