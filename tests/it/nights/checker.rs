//! What must hold after a run that ended, whatever was done to the runs before it. It reads the ledger with SQLite, the
//! files with Parquet's own reader and the reports as text: none of it is idvault's code.

use std::collections::{BTreeMap, BTreeSet};

use idvault::sandbox::answers::kind_of;
use rusqlite::{Connection, OpenFlags};

use super::{Place, ids_of};

/// The reports of every run.
pub(super) const REPORTS: [&str; 7] = [
    "billing.csv",
    "expiry.csv",
    "left.csv",
    "quarantine.csv",
    "rejected.csv",
    "report.html",
    "summary.json",
];

/// What may be in a data folder. SQLite keeps the last two while anybody reads.
const IN_DATA: [&str; 8] = [
    ".staging",
    "archive",
    "ledger.sqlite",
    "lock",
    "open-records",
    "reports",
    "ledger.sqlite-shm",
    "ledger.sqlite-wal",
];

/// Final replies that are durable; 0 as long as there is no ledger to ask.
pub(super) fn committed(place: &Place) -> u64 {
    let sql = "SELECT count(*) FROM transaction_states WHERE state = 'journalled' OR state = 'archived'";
    let path = place.data().join("ledger.sqlite");
    let ledger = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    ledger
        .and_then(|ledger| ledger.query_row(sql, [], |row| row.get(0)))
        .unwrap_or(0)
}

/// The ids of a source that the sandbox answers with a verdict.
pub(super) fn finals(source: &str) -> BTreeSet<String> {
    ids_of(source).into_iter().filter(|id| kind_of(id).is_final()).collect()
}

/// Of the ids of `source`, no final one is lost and none is there twice; ledger, archive and reports agree; nothing is
/// left over.
#[track_caller]
pub(super) fn check(place: &Place, source: &str, why: &str) {
    no_left_overs(place, why);
    archive_and_ledger_agree(place, source, why);
    faces_agree(place, why);
    reports_are_whole(place, why);
}

#[track_caller]
fn archive_and_ledger_agree(place: &Place, source: &str, why: &str) {
    let finals = finals(source);
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    let mut per_file: BTreeMap<String, u64> = BTreeMap::new();
    for row in place.archived("verifications") {
        *rows.entry(row.id().to_owned()).or_default() += 1;
        *per_file.entry(row.file).or_default() += 1;
    }
    let twice: Vec<_> = rows.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{why}: twice in the archive: {twice:?}");
    assert_eq!(rows.into_keys().collect::<BTreeSet<_>>(), finals, "{why}");

    let ledger = place.ledger();
    let texts = |sql: &str| -> Vec<String> {
        let mut query = ledger.prepare(sql).unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let archived = texts("SELECT transaction_id FROM transaction_states WHERE state = 'archived'");
    assert_eq!(archived.into_iter().collect::<BTreeSet<_>>(), finals, "{why}");
    let ids = ids_of(source).len() as u64;
    assert_eq!(place.count("SELECT count(*) FROM transactions"), ids, "{why}");
    assert_eq!(place.count("SELECT count(*) FROM journal"), 0, "{why}");
    assert_eq!(
        place.count("SELECT sum(verifications) FROM tallies"),
        finals.len() as u64,
        "{why}"
    );
    let staged = texts("SELECT path FROM files WHERE state = 'staged'");
    assert!(staged.is_empty(), "{why}: {staged:?}");
    let manifest = texts("SELECT path FROM files ORDER BY path");
    assert_eq!(place.archive_files(), manifest, "{why}: orphans or missing files");
    for (file, counted) in per_file {
        let sql = format!("SELECT rows FROM files WHERE path = '{file}'");
        assert_eq!(place.count(&sql), counted, "{why}: {file}");
    }
}

/// Each verification that names a face has that face once, and no face is without its verification.
#[track_caller]
fn faces_agree(place: &Place, why: &str) {
    let named: BTreeSet<(String, String)> = place
        .archived("verifications")
        .iter()
        .filter_map(|row| Some((row.id().to_owned(), row.text("face_image_sha256")?.to_owned())))
        .collect();
    let faces = place.archived("face_images");
    let kept = faces
        .iter()
        .map(|row| (row.id().to_owned(), row.text("sha256").unwrap().to_owned()));
    let kept: BTreeSet<(String, String)> = kept.collect();
    assert_eq!(kept.len(), faces.len(), "{why}: a face is twice in the archive");
    assert!(kept.is_superset(&named), "{why}: a face is missing");
    let owners = |of: &BTreeSet<(String, String)>| of.iter().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>();
    assert_eq!(owners(&kept), owners(&named), "{why}: whose face is it?");
}

#[track_caller]
fn no_left_overs(place: &Place, why: &str) {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(place.data().join(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names(".staging"), [""; 0], "{why}: left in .staging");
    for name in names("") {
        assert!(IN_DATA.contains(&&*name), "{why}: {name} is left in the data folder");
    }
}

/// Whoever looks into `reports/` sees whole reports only: also while runs fail.
#[track_caller]
pub(super) fn reports_are_whole(place: &Place, why: &str) {
    let reports = place.data().join("reports");
    let Ok(entries) = std::fs::read_dir(&reports) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        if entry.file_name() == "latest" {
            assert!(entry.file_type().unwrap().is_symlink(), "{why}");
            let target = std::fs::canonicalize(entry.path());
            let target = target.unwrap_or_else(|error| panic!("{why}: latest leads nowhere: {error}"));
            assert_eq!(
                target.parent(),
                Some(&*std::fs::canonicalize(&reports).unwrap()),
                "{why}"
            );
            continue;
        }
        let mut files: Vec<String> = std::fs::read_dir(entry.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files, REPORTS, "{why}: {}", entry.path().display());
        let summary = std::fs::read(entry.path().join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
        assert!(summary["exit_code"].is_u64(), "{why}");
    }
}
