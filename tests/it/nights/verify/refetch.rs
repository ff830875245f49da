//! `idvault verify --repair --refetch`: what no repair can bring back is asked for again, or named as gone.

use std::collections::BTreeSet;
use std::fs;

use super::super::checker::finals;
#[cfg(target_os = "linux")]
use super::super::disk::Disk;
use super::super::{Ended, Place, made_up};
use super::archive;

const REFETCH: [&str; 3] = ["verify", "--repair", "--refetch"];

/// The vendor has deleted what was verified on 1 and 2 November, and holds the rest.
const LATER: &str = "2026-12-03T02:00:00Z";

/// 60 ids of 20 days in November, archived on the 22nd; `images`: with faces. It is [`LATER`] now.
fn archived(images: bool) -> (Place, String) {
    let mut place = Place::new();
    let text = made_up(60, 20, "FACE_LIVENESS");
    let source = place.write("pending.csv", &text);
    let mut args = vec!["--pending", &source];
    args.extend(images.then_some("--images"));
    place.night(&args);
    place.now = LATER;
    place.idvault(&["verify"]).expect(0);
    (place, text)
}

fn folder(dataset: &str, day: u8) -> String {
    format!("{dataset}/billing_day=2026-11-{day:02}")
}

/// The archived ids of a day.
fn ids_of_day(place: &Place, day: u8) -> BTreeSet<String> {
    let day = folder("verifications", day);
    let rows = place.archived("verifications").into_iter();
    rows.filter(|row| row.file.starts_with(&day))
        .map(|row| row.id().to_owned())
        .collect()
}

fn remove(place: &Place, dataset: &str, day: u8) {
    fs::remove_dir_all(archive(place, &folder(dataset, day))).unwrap();
}

/// Another byte in the only file of a day.
fn damage(place: &Place, dataset: &str, day: u8) -> String {
    let day = folder(dataset, day);
    let file = place
        .archive_files()
        .into_iter()
        .find(|file| file.starts_with(&day))
        .unwrap();
    let mut bytes = fs::read(archive(place, &file)).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 1;
    place.write(&format!("data/archive/{file}"), bytes);
    file
}

/// The next night brings everything back but what is gone, once.
#[track_caller]
fn comes_back(place: &Place, text: &str, images: bool, gone: &BTreeSet<String>) {
    let night = place.night(if images { &["--images"] } else { &[] });
    assert!(matches!(night.code, Some(0 | 4 | 5)), "{}", night.stderr);
    let rows = place.archived("verifications");
    let ids: BTreeSet<String> = rows.iter().map(|row| row.id().to_owned()).collect();
    assert_eq!(rows.len(), ids.len(), "none is twice");
    assert_eq!(ids, finals(text).difference(gone).cloned().collect());
    place.idvault(&["verify", "--read-data"]).expect(0);
}

#[test]
fn what_the_vendor_still_holds_is_pending_again_and_comes_back() {
    let (place, text) = archived(false);
    let wanted: usize = [10, 11, 15].map(|day| ids_of_day(&place, day).len()).iter().sum();
    remove(&place, "verifications", 10);
    remove(&place, "verifications", 11);
    let damaged = damage(&place, "verifications", 15);
    place.idvault(&["verify", "--repair"]).expect(9);
    let said = place.idvault(&REFETCH).expect(0).stdout;
    assert!(
        said.contains(&format!("asked for again: {wanted} records, by the next run\n")),
        "{said}"
    );
    assert!(
        said.contains(&format!("set aside: archive/{damaged} is damaged, ")),
        "{said}"
    );
    assert_eq!(said.matches("taken out: ").count(), 3, "{said}");
    assert!(!said.contains("gone: "), "{said}");
    assert!(place.data().join("set-aside").join(&damaged).exists());
    let pending =
        "SELECT count(*) FROM transactions WHERE last_message LIKE 'asked for again: %' AND state = 'pending'";
    assert_eq!(place.count(pending), wanted as u64);
    place.idvault(&["verify"]).expect(0);
    // There is nothing left to do.
    assert_eq!(place.idvault(&REFETCH).expect(0).stdout.lines().count(), 2);
    comes_back(&place, &text, false, &BTreeSet::new());
}

#[test]
fn what_the_vendor_has_deleted_is_listed_as_gone_by_id() {
    let (place, text) = archived(false);
    let gone = &ids_of_day(&place, 1) | &ids_of_day(&place, 2);
    for day in [1, 2, 9] {
        remove(&place, "verifications", day);
    }
    assert!(!gone.is_empty());
    let said = place.idvault(&REFETCH).expect(9).stdout;
    let named: BTreeSet<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("gone: ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(named, gone, "{said}");
    assert!(said.contains(" with sub code 20"), "{said}");
    assert!(said.ends_with(": 0 differences\n"), "{said}");
    // The ledger keeps the verdict of each, and the reports name them.
    let kept =
        "SELECT count(*) FROM transactions WHERE state = 'lost' AND last_message LIKE 'was archived as %, sub code 2%'";
    assert_eq!(place.count(kept), gone.len() as u64);
    comes_back(&place, &text, false, &gone);
    let lines = place.report("expiry.csv");
    let lost = lines.iter().filter(|line| line["cause"] == "archive_damaged");
    assert_eq!(
        lost.map(|line| line["transaction_id"].clone()).collect::<BTreeSet<_>>(),
        gone
    );
}

#[test]
fn records_and_their_faces_leave_and_come_back_together() {
    let (place, text) = archived(true);
    let with_faces = |day| {
        place
            .archive_files()
            .iter()
            .any(|file| file.starts_with(&folder("face_images", day)))
    };
    let days: Vec<u8> = (3..=20).filter(|day| with_faces(*day)).collect();
    let [faces_gone, faces_damaged, row_gone, ..] = days[..] else {
        panic!("{days:?}")
    };
    remove(&place, "face_images", faces_gone);
    damage(&place, "face_images", faces_damaged);
    remove(&place, "verifications", row_gone);
    let said = place.idvault(&REFETCH).expect(0).stdout;
    assert_eq!(
        said.matches(" is without its faces, and is now set-aside/").count(),
        2,
        "{said}"
    );
    let orphaned = " has the faces of records that are asked for again or gone, and is now set-aside/";
    assert_eq!(said.matches(orphaned).count(), 1, "{said}");
    let files = place.archive_files();
    for day in [faces_gone, faces_damaged, row_gone] {
        let left = |dataset| files.iter().any(|file| file.starts_with(&folder(dataset, day)));
        assert!(!left("verifications") && !left("face_images"), "{day}: {files:?}");
    }
    comes_back(&place, &text, true, &BTreeSet::new());
    for day in [faces_gone, faces_damaged, row_gone] {
        assert!(with_faces(day));
    }
}

/// The verdict is worth more than the face: it stays, and a backup may still have the face.
#[test]
fn verifications_stay_whose_faces_the_vendor_has_deleted() {
    let (mut place, _) = archived(true);
    place.now = "2027-01-20T02:00:00Z";
    let file = place.archived("face_images")[0].file.clone();
    fs::remove_file(archive(&place, &file)).unwrap();
    let before = place.archived("verifications").len();
    let said = place.idvault(&REFETCH).expect(9).stdout;
    let told = format!(
        "not mended: archive/{file} held faces of records that the vendor has deleted: restore it from a backup\n"
    );
    assert!(said.contains(&told), "{said}");
    assert!(
        said.contains("has a face_image_sha256 and no face in the archive"),
        "{said}"
    );
    assert_eq!(place.archived("verifications").len(), before);
    assert_eq!(place.count("SELECT count(*) FROM transactions WHERE state = 'lost'"), 0);
}

/// Files that can't be read at the moment are not gone: nobody knows which records they hold.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_can_not_be_read_for_now_keeps_all_from_being_asked_again() {
    let (place, text) = archived(false);
    remove(&place, "verifications", 10);
    let states = place.states();
    let disk = Disk::that("open:*/billing_day=2026-11-12/*.parquet fail:EACCES");
    let mut command = place.command(&REFETCH);
    let said = Ended::of(disk.under(&mut command).output().unwrap()).expect(9).stdout;
    assert!(
        said.contains("not mended: archive/verifications/billing_day=2026-11-12/"),
        "{said}"
    );
    assert!(
        !said.contains("asked for again: ") && !said.contains("taken out: "),
        "{said}"
    );
    assert_eq!(place.states(), states);
    place.idvault(&REFETCH).expect(0);
    comes_back(&place, &text, false, &BTreeSet::new());
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_on_an_unreadable_sector_is_damaged() {
    let (place, text) = archived(false);
    let disk = Disk::that("read:*/archive/*/billing_day=2026-11-12/*.parquet fail:EIO");
    let mut command = place.command(&REFETCH);
    let said = Ended::of(disk.under(&mut command).output().unwrap()).expect(0).stdout;
    assert!(
        said.contains(" is damaged, and is now set-aside/verifications/billing_day=2026-11-12/"),
        "{said}"
    );
    comes_back(&place, &text, false, &BTreeSet::new());
}

#[cfg(target_os = "linux")]
#[test]
fn cut_off_at_any_step_it_is_finished_by_the_next() {
    for rule in [
        "rename:*/set-aside/* kill-after",
        "rename:*/set-aside/*#2 kill-after",
        "write:*-wal kill-half",
        "sync:*-wal kill-before",
        "sync:*-wal kill-after",
    ] {
        let (place, text) = archived(true);
        let with_faces = |day| {
            place
                .archive_files()
                .iter()
                .any(|file| file.starts_with(&folder("face_images", day)))
        };
        let days: Vec<u8> = (3..=20).filter(|day| with_faces(*day)).collect();
        remove(&place, "face_images", days[0]);
        remove(&place, "verifications", days[1]);
        let disk = Disk::that(rule);
        let output = disk.under(&mut place.command(&REFETCH)).output().unwrap();
        assert!(
            output.status.code().is_none() && disk.fired().is_some(),
            "{rule}: never came"
        );
        place.idvault(&REFETCH).expect(0);
        comes_back(&place, &text, true, &BTreeSet::new());
    }
}

#[test]
fn it_is_an_option_of_repair() {
    let (place, _) = archived(false);
    place.idvault(&["verify", "--refetch"]).expect(2);
    assert_eq!(place.idvault(&REFETCH).expect(0).stdout.lines().count(), 2);
}
