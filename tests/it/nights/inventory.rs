//! Every run compares the names and sizes in the archive with the manifest: exit 9, and the files are named.

use std::fs;

use super::{NEXT_NIGHT, Place, made_up};

/// 60 ids of five billing days, archived; and the night after it.
fn after_a_night() -> Place {
    let mut place = Place::new();
    let source = place.write("pending.csv", made_up(60, 5, "FACE_LIVENESS"));
    place.night(&["--pending", &source]);
    place.now = NEXT_NIGHT;
    place
}

/// The differences that the summary and the page of the last run name.
fn named(place: &Place) -> Vec<String> {
    let summary = place.summary();
    let page = fs::read_to_string(place.data().join("reports/latest/report.html")).unwrap();
    let differ = summary["archive_differs"].as_array().unwrap();
    let named: Vec<String> = differ.iter().map(|line| line.as_str().unwrap().to_owned()).collect();
    for line in &named {
        assert!(page.contains(line), "{line} is not on the page");
    }
    named
}

#[test]
fn days_that_are_gone_are_named_by_the_next_run() {
    let place = after_a_night();
    let files = place.archive_files();
    let gone: Vec<&String> = files
        .iter()
        .filter(|file| file.contains("=2026-11-0"))
        .take(3)
        .collect();
    for file in &gone {
        let folder = place.data().join("archive").join(file);
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
    let night = place.night(&[]).expect(9);
    let expected = gone
        .iter()
        .map(|file| format!("missing: {file} is in the manifest and not on the disk"));
    assert_eq!(named(&place), expected.collect::<Vec<_>>());
    let summary = place.summary();
    let reasons = summary["reasons"].as_array().unwrap();
    let reason = reasons.iter().find(|reason| reason["exit_code"] == 9).unwrap();
    let reason = reason["reason"].as_str().unwrap();
    for file in gone {
        assert!(reason.contains(file) && night.stderr.contains(file), "{file}: {reason}");
    }
    assert!(reason.ends_with("; run `idvault verify`"), "{reason}");
    // Until it is mended, each run says it.
    place.night(&[]).expect(9);
}

#[test]
fn what_is_extra_or_of_another_length_or_no_file_is_named_by_the_next_run() {
    let place = after_a_night();
    let files = place.archive_files();
    let path = |file: &str| place.data().join("archive").join(file);
    let bytes = fs::read(path(&files[0])).unwrap();
    fs::write(path(&files[0]), [&bytes[..], b"x"].concat()).unwrap();
    place.write("data/archive/verifications/billing_day=2026-11-01/notes.txt", "notes");
    fs::rename(path(&files[1]), place.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere"), path(&files[1])).unwrap();
    place.night(&[]).expect(9);
    let mut expected = [
        format!("extra: {} is on the disk and not in the manifest", files[1]),
        "extra: verifications/billing_day=2026-11-01/notes.txt is on the disk and not in the manifest".to_owned(),
        format!(
            "changed: {} has {} bytes, the manifest says {}",
            files[0],
            bytes.len() + 1,
            bytes.len()
        ),
    ];
    let mut named = named(&place);
    expected.sort();
    named.sort();
    assert_eq!(named, expected);
}

#[test]
fn more_files_than_a_sentence_can_name_are_listed_in_the_summary() {
    let place = after_a_night();
    let files = place.archive_files();
    fs::remove_dir_all(place.data().join("archive")).unwrap();
    let night = place.night(&[]).expect(9);
    assert_eq!(named(&place).len(), files.len());
    let more = format!("; and {} more; run `idvault verify`", files.len() - 3);
    assert!(night.stderr.contains(&more), "{more}: {}", night.stderr);
}

/// A catalog's log and the dimension tables are no rows of the manifest.
#[test]
fn folders_that_are_known_by_name_are_no_difference() {
    let place = after_a_night();
    let before = place.night(&[]).code;
    for file in [
        "_delta_log/00000000000000000000.json",
        "verifications/_delta_log/00000000000000000000.json",
        "dim/products.parquet",
    ] {
        let path = place.data().join("archive").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        place.write(&format!("data/archive/{file}"), "{}");
    }
    assert_eq!(place.night(&[]).code, before);
    assert_eq!(place.summary()["archive_differs"], serde_json::json!([]));
    place.idvault(&["verify"]).expect(0);
}
