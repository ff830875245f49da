//! `idvault verify`: what it finds, and what it reads.
//!
//! - [`sound`]: a folder in which it finds nothing; `edit`: a person's hand in its ledger
//! - `corruption`: damage at random, all of which it finds; `repair`: what it mends; `refused`: and what it can't;
//!   `refetch`: what is asked for again

mod corruption;
mod refetch;
mod refused;
mod repair;

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch};
use idvault::record::sha256_hex;
use idvault::sandbox::Mix;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rusqlite::Connection;

use super::{NEXT_NIGHT, Place, Running, Vendor, made_up, wait_until};

/// A folder after two nights: the first with faces, which are few as they are large, the second without. Rows of several
/// days, one of them unknown, in two products; some are not final.
fn sound() -> Place {
    let mut place = Place::new();
    let mut rows = made_up(4, 2, "FACE_LIVENESS");
    rows.push_str("timeless1,FACE_LIVENESS,ap-southeast-1,\ntimeless2,FACE_LIVENESS,eu-central-1,\n");
    let first = place.write("first.csv", rows);
    place.night(&["--images", "--pending", &first]);
    let second = place.write("second.csv", made_up(40, 2, "eKYC").replace("made", "later"));
    place.now = NEXT_NIGHT;
    place.night(&["--pending", &second]);
    place.idvault(&["verify"]).expect(0);
    place.idvault(&["verify", "--read-data"]).expect(0);
    let files = place.archive_files();
    let faces = files.iter().filter(|file| file.starts_with("face_images")).count();
    assert!(files.len() >= 7 && faces >= 2, "{files:?}");
    place
}

/// A person's hand in the ledger.
pub(super) fn edit(place: &Place, sql: &str) {
    let ledger = Connection::open(place.data().join("ledger.sqlite")).unwrap();
    // As a person's own shell does it.
    ledger.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    ledger.execute_batch(sql).unwrap();
}

/// A folder of its own with the same data.
pub(super) fn copy_of(sound: &Place) -> Place {
    let mut place = Place::new();
    place.now = sound.now;
    let copied = Command::new("cp").arg("-a").args([sound.data(), place.data()]).status();
    assert!(copied.unwrap().success());
    place
}

fn archive(place: &Place, file: &str) -> PathBuf {
    place.data().join("archive").join(file)
}

/// A file of verifications.
fn one_file(place: &Place) -> String {
    let mut files = place.archive_files().into_iter();
    files.find(|file| file.starts_with("verifications/")).unwrap()
}

/// `verify` finds a difference, with `--read-data` and without, and says so.
#[track_caller]
fn assert_found(place: &Place, said: &str) {
    for args in [&["verify"][..], &["verify", "--read-data"]] {
        let ended = place.idvault(args).expect(9);
        assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
    }
}

/// It reads the ledger on several connections, which see different states of it.
#[test]
fn what_somebody_changes_in_the_ledger_meanwhile_is_no_damage() {
    let place = sound();
    assert!(place.count("SELECT count(*) FROM transactions WHERE state = 'pending'") > 0);
    let ledger = place.data().join("ledger.sqlite");
    let verified = AtomicBool::new(false);
    let ended: Vec<_> = thread::scope(|threads| {
        threads.spawn(|| {
            let ledger = Connection::open(ledger).unwrap();
            // As many changes as there can be; they need not last.
            ledger.execute_batch("PRAGMA synchronous = OFF").unwrap();
            let later = "UPDATE transactions SET next_due_at = next_due_at + 1 WHERE state = 'pending'";
            while !verified.load(Ordering::Relaxed) {
                ledger.execute_batch(later).unwrap();
            }
        });
        let ended = (0..5).map(|_| place.idvault(&["verify"])).collect();
        verified.store(true, Ordering::Relaxed);
        ended
    });
    for ended in ended {
        ended.expect(0);
    }
}

#[test]
fn what_is_not_a_published_file_is_extra_wherever_and_whatever_it_is() {
    let place = sound();
    let root = place.data().join("archive");
    let folder = root.join("verifications/billing_day=2026-11-01/deep/er");
    fs::create_dir_all(&folder).unwrap();
    // A folder by itself is nothing to be named.
    place.idvault(&["verify"]).expect(0);
    place.write("data/archive/notes.txt", "");
    place.write(
        "data/archive/verifications/billing_day=2026-11-01/deep/er/.hidden",
        "hidden",
    );
    std::os::unix::fs::symlink("/dev/null", root.join("verifications/link.parquet")).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let said = place.idvault(&["verify"]).expect(9).stdout;
    for extra in [
        "notes.txt",
        "verifications/billing_day=2026-11-01/deep/er/.hidden",
        "verifications/link.parquet",
        "socket",
    ] {
        assert!(
            said.contains(&format!("extra: {extra} is on the disk")),
            "{extra}: {said}"
        );
    }
    assert!(said.ends_with(" 4 differences\n"), "{said}");
}

#[test]
fn a_link_or_a_pipe_in_the_place_of_a_file_is_not_followed() {
    let place = sound();
    let path = archive(&place, &one_file(&place));
    fs::rename(&path, place.path("elsewhere.parquet")).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere.parquet"), &path).unwrap();
    assert_found(&place, &format!("extra: {}", one_file(&place)));
    fs::remove_file(&path).unwrap();
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert_found(&place, &format!("extra: {}", one_file(&place)));
}

#[test]
fn a_name_that_a_terminal_would_obey_is_shown_harmless() {
    let place = sound();
    place.write("data/archive/\u{1b}[31mred\u{7}\nline", "");
    let said = place.idvault(&["verify"]).expect(9).stdout;
    assert!(said.contains("extra: [31mred line is on the disk"), "{said}");
    assert!(!said.contains('\u{1b}'));
}

#[test]
fn every_column_that_both_sides_hold_is_compared_and_named() {
    let place = sound();
    let row = &place.archived("verifications")[0];
    let (id, file) = (row.id().to_owned(), row.file.clone());
    let edits = [
        ("merchant_biz_id = 'another'", "merchant_biz_id"),
        ("product_code = 'ANOTHER'", "product_code"),
        ("region = 'xx-another-1'", "region"),
        (
            "verified_at = verified_at + 1, deleted_from = deleted_from + 1",
            "verified_at",
        ),
        ("last_call_at = last_call_at - 1", "fetched_at"),
        ("passed = 1 - passed", "passed"),
        ("sub_code = '999'", "sub_code"),
    ];
    for (set, column) in edits {
        let before = fs::read(place.data().join("ledger.sqlite")).unwrap();
        edit(
            &place,
            &format!("UPDATE transactions SET {set} WHERE transaction_id = '{id}'"),
        );
        let said = format!("row: {id} in {file} has another {column} than the ledger\n");
        assert_found(&place, &said);
        place.write("data/ledger.sqlite", before);
    }
    place.idvault(&["verify"]).expect(0);
}

#[test]
fn an_id_that_was_renamed_is_named_on_both_sides_where_the_counts_still_agree() {
    let place = sound();
    let id = place.archived("verifications")[0].id().to_owned();
    edit(
        &place,
        &format!("UPDATE transactions SET transaction_id = 'renamed' WHERE transaction_id = '{id}'"),
    );
    assert_found(&place, &format!("not archived: {id}"));
    assert_found(&place, "not in the archive: renamed");
}

#[test]
fn rows_that_are_twice_in_the_archive_are_found_even_where_the_manifest_has_them_so() {
    let place = sound();
    for dataset in ["verifications", "face_images"] {
        let file = place.archived(dataset)[0].file.clone();
        let copy = file.replace(".parquet", "-copy.parquet");
        fs::copy(archive(&place, &file), archive(&place, &copy)).unwrap();
        edit(
            &place,
            &format!(
                "INSERT INTO files SELECT '{copy}', dataset, billing_day, rows, bytes, sha256, run_id, state, published_at, NULL
                 FROM files WHERE path = '{file}';
                 INSERT INTO tallies SELECT '{copy}', product_code, region, sub_code, verifications
                 FROM tallies WHERE path = '{file}'"
            ),
        );
        let id = place.rows_of(&copy)[0].id().to_owned();
        // In the order of their names.
        assert_found(&place, &format!("twice: {id} is in {copy} and in {file}"));
        fs::remove_file(archive(&place, &copy)).unwrap();
        edit(
            &place,
            &format!("DELETE FROM tallies WHERE path = '{copy}'; DELETE FROM files WHERE path = '{copy}'"),
        );
    }
    place.idvault(&["verify"]).expect(0);
}

#[test]
fn a_tally_that_was_edited_is_found_where_the_sums_still_agree() {
    let place = sound();
    edit(&place, "UPDATE tallies SET sub_code = '999' WHERE sub_code = '200'");
    assert_found(&place, "tallies: verifications/");
}

/// Puts another face into a file, as `image` alone or with its hash, and has the manifest say that it was always so.
fn forge_a_face(place: &Place, with_hash: bool) {
    let file = place.archived("face_images")[0].file.clone();
    let path = archive(place, &file);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let forged = b"another face";
    let mut columns = batch.columns().to_vec();
    let image = batch.schema().index_of("image").unwrap();
    columns[image] = Arc::new(BinaryArray::from_iter_values(vec![forged; batch.num_rows()])) as ArrayRef;
    if with_hash {
        let hash = batch.schema().index_of("sha256").unwrap();
        let hashes = vec![sha256_hex(forged); batch.num_rows()];
        columns[hash] = Arc::new(arrow::array::StringArray::from(hashes)) as ArrayRef;
    }
    let batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let (length, sha256) = (bytes.len(), sha256_hex(&bytes));
    place.write(&format!("data/archive/{file}"), bytes);
    edit(
        place,
        &format!("UPDATE files SET bytes = {length}, sha256 = '{sha256}' WHERE path = '{file}'"),
    );
}

#[test]
fn a_face_that_is_not_that_of_its_verification_is_found() {
    let place = sound();
    forge_a_face(&place, true);
    assert_found(&place, "than face_image_sha256 says");
}

/// What only reading every column shows: file, hash of the image and manifest agree, and the image is another.
#[test]
fn a_face_that_is_not_what_its_hash_says_is_found_by_reading_everything() {
    let place = sound();
    forge_a_face(&place, false);
    // The manifest was edited with it, which the history shows; what is wrong with the image it can't know.
    let said = place.idvault(&["verify"]).expect(9).stdout;
    assert!(
        said.contains("is another file in the manifest than in the history"),
        "{said}"
    );
    assert!(said.contains(": 1 differences"), "{said}");
    let ended = place.idvault(&["verify", "--read-data"]).expect(9);
    assert!(
        ended.stdout.contains("whose SHA-256 is another than the file says"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_sample_is_about_as_large_as_asked_for_and_its_seed_draws_it_again() {
    let place = sound();
    let total = place.count("SELECT sum(bytes) FROM files");
    let largest = place.count("SELECT max(bytes) FROM files");
    let sample = |seed: &str, share: &str| {
        let ended = place.idvault(&["verify", share, "--seed", seed]).expect(0);
        let line = ended.stdout.lines().next().unwrap().to_owned();
        assert!(line.ends_with(&format!("; --seed {seed} draws it again")), "{line}");
        line
    };
    let bytes = |line: &str| -> u64 {
        let (_, after) = line.split_once(" files, ").unwrap();
        after.split(' ').next().unwrap().parse().unwrap()
    };
    for (share, percent) in [("--read-data=1%", 1), ("--read-data=30", 30), ("--read-data=99%", 99)] {
        let drawn: Vec<String> = ["1", "2", "3", "4", "5"].map(|seed| sample(seed, share)).into();
        for line in &drawn {
            let wanted = total * percent / 100;
            assert!(
                (wanted..=wanted + largest).contains(&bytes(line)),
                "{share} of {total}: {line}"
            );
        }
        assert_eq!(sample("3", share), drawn[2], "{share}");
    }
    let some: std::collections::BTreeSet<u64> = (0..20)
        .map(|seed| bytes(&sample(&seed.to_string(), "--read-data=30%")))
        .collect();
    assert!(some.len() > 1, "the seed draws: {some:?}");
    // Without a seed of its own it says which one it took.
    let said = place.idvault(&["verify", "--read-data=30%"]).expect(0).stdout;
    let (_, seed) = said.lines().next().unwrap().split_once("--seed ").unwrap();
    let seed = seed.split(' ').next().unwrap();
    assert_eq!(sample(seed, "--read-data=30%"), said.lines().next().unwrap());
    for wrong in ["0%", "101%", "-1", "x", ""] {
        place.idvault(&["verify", &format!("--read-data={wrong}")]).expect(2);
    }
}

#[test]
fn of_many_differences_of_a_kind_the_first_are_shown_and_the_rest_counted() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(200, 1, "FACE_LIVENESS"));
    place.night(&["--pending", &source]);
    edit(
        &place,
        "UPDATE transactions SET region = 'xx-another-1' WHERE state = 'answered'",
    );
    let archived = place.count("SELECT count(*) FROM transaction_states WHERE state = 'archived'");
    assert!(archived > 150, "{archived}");
    let said = place.idvault(&["verify"]).expect(9).stdout;
    assert_eq!(said.lines().filter(|line| line.starts_with("row: ")).count(), 101);
    assert!(
        said.contains(&format!("\nrow: and {} more\n", archived - 100)),
        "{said}"
    );
    assert!(said.ends_with(&format!(": {archived} differences\n")), "{said}");
}

#[test]
fn it_needs_no_folder_but_the_archive_and_makes_none() {
    let place = sound();
    fs::remove_dir(place.data().join(".staging")).unwrap();
    place.idvault(&["verify", "--read-data"]).expect(0);
    assert!(!place.data().join(".staging").exists() && !place.data().join("set-aside").exists());
    fs::remove_dir_all(place.data().join("archive")).unwrap();
    assert_found(&place, "missing: verifications/");
    assert!(!place.data().join("archive").exists());
}

#[test]
fn what_a_killed_run_left_is_no_difference() {
    let vendor = Vendor::start(Mix::AllFinal, Duration::from_millis(20));
    let place = Place::new();
    let source = place.write("pending.csv", made_up(200, 1, "FACE_LIVENESS"));
    let mut run = Running::start(&mut place.night_of(&vendor, &["--pending", &source, "--concurrency", "4"]));
    wait_until("some replies are committed", || vendor.counts().finals >= 20);
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    place.idvault(&["verify"]).expect(0);
    place.idvault(&["verify", "--repair"]).expect(0);
}
