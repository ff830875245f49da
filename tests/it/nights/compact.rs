//! `idvault compact`: the small files of a day become one, with the same rows, while others read.
//!
//! - [`after_nights`]: a folder with many small files of every day; [`rows`]: all that its archive says
//! - `readers`: those who read meanwhile; `disk/compaction`: killed and failing at every step

mod readers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use idvault::record::sha256_hex;
use idvault::sandbox::Mix;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use super::disk::Disk;
use super::stop::said;
use super::{Ended, Place, Running, Vendor, files_below, made_up, wait_until};

/// All days of the nights are at rest by then, and their files of unknown day were published long before, but for those of
/// the last night.
pub(super) const AT_REST: &str = "2026-12-30T02:00:00Z";

/// Those of the nights.
const NIGHTS: [(u8, u8); 4] = [(0, 4), (0, 5), (0, 6), (1, 5)];

/// Two days and the unknown one, each with a file of every night, and faces of half of the nights.
pub(super) fn after_nights() -> Place {
    after_nights_of(11)
}

/// The same with verifications of another month of 2026: one that can be closed by the real clock is October.
pub(super) fn after_nights_of(month: u8) -> Place {
    let mut place = Place::new();
    let vendor = Vendor::start(Mix::AllFinal, std::time::Duration::ZERO);
    for (number, (later, day)) in NIGHTS.into_iter().enumerate() {
        place.now = Box::leak(format!("2026-{:02}-{day:02}T02:00:00Z", month + later).into_boxed_str());
        let images = number % 2 == 0;
        let mut text =
            made_up(if images { 2 } else { 40 }, 2, "FACE_LIVENESS").replace("made", &format!("night{number}x"));
        text = text.replace("2026-11-", &format!("2026-{month:02}-"));
        writeln!(text, "timeless{number},FACE_LIVENESS,ap-southeast-1,").unwrap();
        let source = place.write("pending.csv", text);
        let mut args = vec!["--pending", &source];
        args.extend(images.then_some("--images"));
        Ended::of(place.night_of(&vendor, &args).output().unwrap()).expect(0);
    }
    place.now = AT_REST;
    assert_eq!(
        files_by_folder(&place).into_values().collect::<Vec<_>>(),
        [2, 2, 2, 4, 4, 4]
    );
    place
}

/// How many files are in each folder of a day.
fn files_by_folder(place: &Place) -> BTreeMap<String, usize> {
    let mut folders = BTreeMap::new();
    for file in place.archive_files() {
        *folders.entry(file.rsplit_once('/').unwrap().0.to_owned()).or_default() += 1;
    }
    folders
}

/// By what each is called: the day that it is under, and its columns.
pub(super) type Rows = BTreeMap<[String; 3], (Option<String>, BTreeMap<String, Field>)>;

/// Every row of the archive in all its columns, and the day that it is under, by what it is called; one that is there twice
/// fails the test.
#[track_caller]
pub(super) fn rows(place: &Place) -> Rows {
    let mut rows = BTreeMap::new();
    for dataset in ["verifications", "face_images"] {
        for row in place.archived(dataset) {
            let face = if dataset == "face_images" {
                row.text("sha256").unwrap()
            } else {
                ""
            };
            let key = [dataset, row.id(), face].map(str::to_owned);
            let said = (row.billing_day().map(str::to_owned), row.fields.clone());
            assert!(rows.insert(key.clone(), said).is_none(), "{key:?} is there twice");
        }
    }
    rows
}

/// What only a byte can tell: every file of the data folder but those that SQLite keeps while anybody reads.
fn bytes(place: &Place) -> BTreeMap<String, String> {
    let files = files_below(&place.data()).into_iter();
    files
        .filter(|path| !path.to_string_lossy().contains(".sqlite-"))
        .map(|path| (path.display().to_string(), sha256_hex(&fs::read(&path).unwrap())))
        .collect()
}

#[test]
fn the_files_of_a_day_become_one_with_the_same_rows_in_order() {
    let place = after_nights();
    let before = rows(&place);
    let tallies = place.idvault(&["report", "billing", "--all"]).expect(0).stdout;
    let said = place.idvault(&["compact"]).expect(0).stdout;
    assert!(
        said.contains("merged: verifications/billing_day=2026-11-01: 4 files"),
        "{said}"
    );
    // Of the unknown day the last night's file is young.
    assert!(said.contains("\n6 days, 17 files are 6, "), "{said}");
    assert_eq!(
        files_by_folder(&place).into_values().collect::<Vec<_>>(),
        [1, 1, 1, 1, 1, 2]
    );
    assert!(rows(&place) == before, "a row is another");
    for file in place
        .archive_files()
        .iter()
        .filter(|file| file.starts_with("verifications/"))
    {
        let times: Vec<_> = place.rows_of(file).iter().map(|row| row.time("verified_at")).collect();
        assert!(times.is_sorted(), "{file}: {times:?}");
    }
    assert_eq!(place.idvault(&["report", "billing", "--all"]).expect(0).stdout, tallies);
    place.idvault(&["verify", "--read-data"]).expect(0);
    assert!(
        place
            .idvault(&["verify", "--repair"])
            .expect(0)
            .stdout
            .ends_with(" 0 differences\n")
    );
}

#[test]
fn the_one_is_stored_as_publication_stores_it() {
    let place = after_nights();
    let describe = || {
        let mut described = BTreeSet::new();
        for file in place.archive_files() {
            let open = File::open(place.data().join("archive").join(&file)).unwrap();
            let reader = SerializedFileReader::new(open).unwrap();
            let metadata = reader.metadata();
            let columns = metadata.row_group(0).columns().iter();
            let columns: Vec<_> = columns
                .map(|column| {
                    format!(
                        "{} {:?} {}",
                        column.column_path(),
                        column.compression(),
                        column.bloom_filter_offset().is_some()
                    )
                })
                .collect();
            let file_metadata = metadata.file_metadata();
            described.insert(format!(
                "{} {:?} {:?} {:?} {columns:?}",
                file.split('/').next().unwrap().trim_end_matches("_undated"),
                file_metadata.created_by(),
                file_metadata.key_value_metadata(),
                metadata.row_group(0).sorting_columns()
            ));
        }
        described
    };
    let before = describe();
    place.idvault(&["compact"]).expect(0);
    assert_eq!(before.len(), 2, "a way for each dataset");
    assert_eq!(describe(), before);
}

#[test]
fn a_second_time_there_is_nothing_to_do_and_no_byte_changes() {
    let place = after_nights();
    place.idvault(&["compact"]).expect(0);
    let before = bytes(&place);
    assert_eq!(place.idvault(&["compact"]).expect(0).stdout, "nothing to merge\n");
    assert!(bytes(&place) == before, "a file changed");
}

#[test]
fn what_is_young_stays_and_a_dry_run_changes_nothing() {
    let mut place = after_nights();
    let before = bytes(&place);
    let said = place.idvault(&["compact", "--dry-run"]).expect(0).stdout;
    assert!(
        said.contains("would merge: verifications/billing_day=2026-11-02: 4 files"),
        "{said}"
    );
    assert!(said.contains("6 days, 17 files would be 6"), "{said}");
    // By the vendor's day, UTC+8: 32 days after the 1st, and a moment before it begins.
    place.now = "2026-12-02T15:59:59Z";
    let said = place.idvault(&["compact", "--dry-run"]).expect(0).stdout;
    assert!(said.contains("0 days, 0 files"), "{said}");
    assert!(bytes(&place) == before, "a file changed");
    place.now = "2026-12-02T16:00:00Z";
    let quiet = place.idvault(&["compact", "--quiet"]).expect(0);
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""));
    let folders = files_by_folder(&place);
    assert_eq!(folders["verifications/billing_day=2026-11-01"], 1);
    assert_eq!(folders["verifications/billing_day=2026-11-02"], 4);
    place.now = "2026-12-03T00:00:00Z";
    place.idvault(&["compact", "--min-age-days", "1"]).expect(0);
    assert_eq!(files_by_folder(&place)["verifications/billing_day=2026-11-02"], 1);
}

/// Late records after a compaction bring files again, which the next one takes in.
#[test]
fn a_merged_file_is_merged_again_with_what_came_later() {
    let mut place = after_nights();
    place.idvault(&["compact"]).expect(0);
    let vendor = Vendor::start(Mix::AllFinal, std::time::Duration::ZERO);
    let later = made_up(6, 3, "FACE_LIVENESS").replace("made", "later");
    let source = place.write("pending.csv", later);
    place.now = "2026-12-31T02:00:00Z";
    Ended::of(place.night_of(&vendor, &["--pending", &source]).output().unwrap()).expect(0);
    let before = rows(&place);
    place.now = "2027-03-01T02:00:00Z";
    place.idvault(&["compact"]).expect(0);
    assert!(files_by_folder(&place).into_values().all(|files| files == 1));
    assert!(rows(&place) == before, "a row is another");
    place.idvault(&["verify", "--read-data"]).expect(0);
}

#[test]
fn what_a_closed_month_was_signed_off_with_stays_and_what_came_later_is_merged() {
    let mut place = after_nights_of(10);
    place.now = "2026-11-06T02:00:00Z";
    let close = [
        "close",
        "--month",
        "2026-10",
        "--accept",
        "no-bill=there is no bill in a test",
    ];
    place.idvault(&close).expect(0);
    let signed = place.archive_files();
    let vendor = Vendor::start(Mix::AllFinal, std::time::Duration::ZERO);
    for (number, now) in ["2026-11-07T02:00:00Z", "2026-11-08T02:00:00Z"].into_iter().enumerate() {
        place.now = now;
        let late = made_up(6, 3, "FACE_LIVENESS")
            .replace("made", &format!("late{number}x"))
            .replace("2026-11-", "2026-10-");
        let source = place.write("pending.csv", late);
        Ended::of(place.night_of(&vendor, &["--pending", &source]).output().unwrap()).expect(0);
    }
    let (before, october) = (
        rows(&place),
        place
            .idvault(&["report", "billing", "--month", "2026-10"])
            .expect(0)
            .stdout,
    );
    place.now = "2027-02-01T02:00:00Z";
    place.idvault(&["compact"]).expect(0);
    let after = place.archive_files();
    let of_known_days = |file: &&String| file.starts_with("verifications/billing_day=2026");
    assert!(signed.iter().filter(of_known_days).all(|file| after.contains(file)));
    // Four signed ones and one of the two that came later.
    assert_eq!(files_by_folder(&place)["verifications/billing_day=2026-10-01"], 5);
    assert_eq!(
        files_by_folder(&place)["face_images/billing_day=2026-10-01"],
        1,
        "faces are not signed"
    );
    assert!(rows(&place) == before, "a row is another");
    assert_eq!(
        place
            .idvault(&["report", "billing", "--month", "2026-10"])
            .expect(0)
            .stdout,
        october
    );
    place.idvault(&["verify", "--read-data"]).expect(0);
}

#[test]
fn a_day_in_which_archive_and_ledger_differ_is_left_alone_and_named() {
    let place = after_nights();
    let archive = place.data().join("archive");
    fs::write(
        archive.join("verifications/billing_day=2026-11-01/extra.parquet"),
        "not ours",
    )
    .unwrap();
    let files = place.archive_files();
    let changed = files
        .iter()
        .find(|file| file.starts_with("verifications/billing_day=2026-11-02"))
        .unwrap();
    let mut bytes = fs::read(archive.join(changed)).unwrap();
    bytes[100] ^= 1;
    fs::write(archive.join(changed), bytes).unwrap();
    let gone = files
        .iter()
        .find(|file| file.starts_with("face_images/billing_day=2026-11-02"))
        .unwrap();
    fs::remove_file(archive.join(gone)).unwrap();
    let before = files_by_folder(&place);
    let said = place.idvault(&["compact", "--quiet"]).expect(9).stdout;
    for why in [
        "left alone: verifications/billing_day=2026-11-01: verifications/billing_day=2026-11-01/extra.parquet is there and not in the manifest; run `idvault verify`\n".to_owned(),
        format!("{changed} has other bytes than were published"),
        format!("{gone} is in the manifest and not there"),
    ] {
        assert!(said.contains(&why), "{why}: {said}");
    }
    let after = files_by_folder(&place);
    for (folder, files) in before {
        let named = [
            "verifications/billing_day=2026-11-01",
            "verifications/billing_day=2026-11-02",
            "face_images/billing_day=2026-11-02",
        ];
        assert_eq!(after[&folder] == files, named.contains(&&*folder), "{folder}");
    }
}

/// Who was given a day's folder keeps it.
#[test]
fn the_folder_keeps_its_mode_and_the_file_is_for_those_who_could_read_all_of_it() {
    let place = after_nights();
    let folder = |day: &str| {
        place
            .data()
            .join(format!("archive/verifications/billing_day=2026-11-0{day}"))
    };
    fs::set_permissions(folder("1"), fs::Permissions::from_mode(0o750)).unwrap();
    for day in ["1", "2"] {
        for file in files_below(&folder(day)).iter().skip(usize::from(day == "2")) {
            fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
        }
    }
    place.idvault(&["compact"]).expect(0);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let modes = ["1", "2"].map(|day| (mode(&folder(day)), mode(&files_below(&folder(day))[0])));
    assert_eq!(modes, [(0o750, 0o640), (0o700, 0o600)]);
}

#[test]
fn it_makes_no_ledger() {
    let place = Place::new();
    place.idvault(&["compact"]).expect(6);
    assert!(!place.data().exists());
}

/// A signal ends it after the file at hand; the next time does the rest.
#[test]
fn a_signal_ends_it_between_two_files() {
    let place = after_nights();
    let before = rows(&place);
    let goes_on = place.data().join("../goes-on");
    let disk = Disk::that(&format!("swap:*/archive/*#2 wait:{}", goes_on.display()));
    let mut running = Running::start(disk.under(&mut place.command(&["compact"])));
    wait_until("the second file is about to be in its place", || disk.fired().is_some());
    running.terminate();
    said(&mut running, "stopping: ");
    fs::write(&goes_on, "").unwrap();
    let ended = running.end().expect(4);
    assert!(ended.stdout.contains("stopped: 4 days are left"), "{}", ended.stdout);
    assert!(rows(&place) == before, "a row is another");
    place.idvault(&["verify"]).expect(0);
    place.idvault(&["compact"]).expect(0);
    assert_eq!(files_by_folder(&place).into_values().sum::<usize>(), 7);
}

/// Late records of one day, night after night.
#[test]
fn a_young_day_is_merged_once_it_has_more_than_eight_files() {
    let mut place = Place::new();
    let vendor = Vendor::start(Mix::AllFinal, std::time::Duration::ZERO);
    for night in 0..9 {
        place.now = Box::leak(format!("2026-11-{:02}T02:00:00Z", 3 + night).into_boxed_str());
        let mut text = made_up(2, 1, "FACE_LIVENESS").replace("made", &format!("night{night}x"));
        writeln!(text, "timeless{night},FACE_LIVENESS,ap-southeast-1,").unwrap();
        let source = place.write("pending.csv", text);
        let nothing = place.idvault(&["compact"]);
        if night > 0 {
            assert_eq!(
                (nothing.code, &*nothing.stdout),
                (Some(0), "nothing to merge\n"),
                "{night}"
            );
        }
        Ended::of(place.night_of(&vendor, &["--pending", &source]).output().unwrap()).expect(0);
    }
    let before = rows(&place);
    assert_eq!(files_by_folder(&place).into_values().collect::<Vec<_>>(), [9, 9]);
    place.idvault(&["compact"]).expect(0);
    assert_eq!(files_by_folder(&place).into_values().collect::<Vec<_>>(), [1, 1]);
    assert!(rows(&place) == before, "a row is missing or another");
    place.idvault(&["verify", "--read-data"]).expect(0);
}
