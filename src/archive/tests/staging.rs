//! What happens to files on their way into the archive, and what damage does.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{DAY, Fixture, bare_row, finish, full_row, publish, row};
use crate::archive::check::{IdDigest, Written, read_back};
use crate::archive::schema::Limits;
use crate::archive::{Archive, ArchiveError, Room, StagedDay, StagedFile};
use crate::record::Verification;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// What `rows` must read back as from a file of `bytes`.
fn written(rows: &[Verification], bytes: &[u8]) -> Written {
    let mut ids = IdDigest::default();
    for row in rows {
        ids.add(&row.transaction_id);
    }
    Written {
        ids,
        bytes: bytes.len() as u64,
        crc32: crc32fast::hash(bytes),
    }
}

#[test]
fn files_are_published_under_their_day_and_are_private() {
    let fixture = Fixture::new();
    let files = finish(fixture.stage(), (0..5).map(full_row));
    assert_eq!(fixture.staged().len(), 2);
    let facts: Vec<_> = files.iter().map(|f| (f.rows, f.bytes, f.sha256.clone())).collect();
    let paths = publish(files);
    assert_eq!(
        paths,
        [
            "verifications/billing_day=2026-11-21/20261122T020000Z-1a2b-0001.parquet",
            "face_images/billing_day=2026-11-21/20261122T020000Z-1a2b-0001.parquet"
        ]
    );
    assert!(fixture.staged().is_empty());
    for (path, (rows, bytes, sha256)) in paths.iter().zip(facts) {
        let checked = fixture.archive.check(path).unwrap();
        assert_eq!((checked.bytes, checked.sha256), (bytes, sha256));
        assert_eq!(fixture.archive.read_ids(path, &mut |_| {}).unwrap(), rows);
        let full = fixture.published(path);
        assert_eq!(mode(&full), 0o600);
        let folders = full.ancestors().skip(1).take(3);
        assert!(folders.into_iter().all(|folder| mode(folder) == 0o700));
    }
    assert_eq!(mode(&fixture.data_dir.path().join(".staging")), 0o700);
    let found = fixture.archive.files_in(Room::Archive).unwrap().whole().unwrap();
    let found: Vec<_> = found.into_iter().map(|file| file.relative_path).collect();
    assert_eq!(found, [paths[1].as_str(), paths[0].as_str()]);
}

#[test]
fn undated_rows_are_a_dataset_of_their_own_and_days_without_rows_have_no_files() {
    let fixture = Fixture::new();
    let day = fixture.stage_as(None, "r", 12).unwrap();
    let paths = publish(finish(day, [bare_row(), bare_row()]));
    let expected = "verifications_undated/r-0012.parquet";
    assert_eq!(paths, [expected]);
    assert!(fixture.stage().finish().unwrap().is_empty());
    assert!(fixture.staged().is_empty());
}

#[test]
fn a_published_file_is_never_replaced() {
    let fixture = Fixture::new();
    let path = &publish(finish(fixture.stage(), [row(1)]))[0];
    let before = fixture.archive.check(path).unwrap();
    let again = finish(fixture.stage(), [row(2)]).remove(0);
    assert!(matches!(StagedFile::publish(&[again]), Err(ArchiveError::File(_))));
    assert_eq!(fixture.archive.check(path).unwrap(), before);
    assert!(fixture.staged().is_empty());
}

#[test]
fn rows_out_of_order_are_refused() {
    let fixture = Fixture::new();
    let mut day = fixture.stage();
    day.append(&row(5)).unwrap();
    day.append(&row(5)).unwrap();
    let error = day.append(&row(4)).unwrap_err();
    assert!(matches!(error, ArchiveError::Unsorted { .. }), "{error}");
    assert!(matches!(day.append(&bare_row()), Err(ArchiveError::Unsorted { .. })));
}

#[test]
fn a_run_id_that_could_be_a_path_is_refused() {
    let fixture = Fixture::new();
    for bad in ["", "../x", "a/b", "a.b", "a b", &"x".repeat(101)] {
        let staged = fixture.stage_as(Some(DAY), bad, 1);
        assert!(matches!(staged, Err(ArchiveError::RunId { .. })), "{bad:?}");
    }
}

#[test]
fn what_is_dropped_unpublished_goes_away_and_what_a_crash_left_is_cleared() {
    let fixture = Fixture::new();
    let limits = Limits {
        batch_rows: 1,
        ..Limits::ARCHIVE
    };
    let mut day = fixture.stage_within(limits);
    day.append(&full_row(1)).unwrap();
    assert_eq!(fixture.staged().len(), 2);
    drop(day);
    assert!(fixture.staged().is_empty());

    let mut day = fixture.stage_within(limits);
    day.append(&full_row(1)).unwrap();
    std::mem::forget(day);
    let archive = Archive::open(fixture.data_dir.path()).unwrap();
    assert_eq!(archive.clear_staging(&mut Err).unwrap(), 2);
    assert_eq!(archive.clear_staging(&mut Err).unwrap(), 0);
    assert!(archive.files_in(Room::Archive).unwrap().whole().unwrap().is_empty());
}

#[test]
fn reading_back_notices_every_flipped_byte() {
    let fixture = Fixture::new();
    let rows: Vec<Verification> = (0..3).map(full_row).collect();
    let path = &publish(finish(fixture.stage(), rows.clone()))[0];
    let path = fixture.published(path);
    let bytes = fs::read(&path).unwrap();
    read_back(&path, &written(&rows, &bytes)).unwrap();
    for index in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[index] ^= 0x10;
        overwrite(&path, &damaged);
        let error = read_back(&path, &written(&rows, &bytes)).unwrap_err();
        assert!(matches!(error, ArchiveError::ReadBack { .. }), "{index}: {error}");
        // Without the checksum it is up to the decoder, which must fail or answer, not panic.
        let _ = read_back(&path, &written(&rows, &damaged));
    }
    overwrite(&path, &bytes[..bytes.len() / 2]);
    let error = read_back(&path, &written(&rows, &bytes[..bytes.len() / 2])).unwrap_err();
    assert!(matches!(error, ArchiveError::Unreadable { .. }), "{error}");
}

#[test]
fn reading_back_notices_missing_and_exchanged_rows() {
    let fixture = Fixture::new();
    let rows: Vec<Verification> = (0..3).map(row).collect();
    let path = &publish(finish(fixture.stage(), rows.clone()))[0];
    let path = fixture.published(path);
    let bytes = fs::read(&path).unwrap();
    let four: Vec<Verification> = (0..4).map(row).collect();
    let other = [row(0), row(1), row(9)];
    for (expected, what) in [(four.as_slice(), "3 rows were read, 4"), (&other, "transaction ids")] {
        let error = read_back(&path, &written(expected, &bytes)).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_file_that_is_damaged_while_it_is_staged_is_not_handed_out() {
    let fixture = Fixture::new();
    let limits = Limits {
        batch_rows: 1,
        row_group_rows: 1,
        ..Limits::ARCHIVE
    };
    let mut day = fixture.stage_within(limits);
    // More than the writer's own buffer holds, so that some of it is on the disk.
    for index in 0..20 {
        day.append(&row(index)).unwrap();
    }
    let path = fixture.data_dir.path().join(".staging").join(&fixture.staged()[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    overwrite(&path, &bytes);
    let error = day.finish().unwrap_err();
    assert!(matches!(error, ArchiveError::ReadBack { .. }), "{error}");
    assert!(fixture.staged().is_empty());
}

/// Changes the bytes of a file in place, as a bad disk would.
fn overwrite(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).open(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn discarding_removes_a_file_of_the_archive_and_nothing_else() {
    let fixture = Fixture::new();
    let path = &publish(finish(fixture.stage(), [row(1)]))[0];
    let secret = fixture.data_dir.path().join("ledger.sqlite");
    fs::copy(fixture.published(path), &secret).unwrap();
    symlink(fixture.data_dir.path(), fixture.published("link")).unwrap();
    let absolute = secret.to_str().unwrap();
    for outside in [
        "",
        ".",
        "..",
        "../ledger.sqlite",
        "link/ledger.sqlite",
        "link",
        absolute,
        "a/../../ledger.sqlite",
    ] {
        let discarded = fixture.archive.discard(outside);
        assert!(matches!(discarded, Err(ArchiveError::Outside { .. })), "{outside:?}");
        assert!(fixture.archive.check(outside).is_err(), "{outside:?}");
    }
    assert!(secret.exists());
    assert!(fixture.archive.discard(path).unwrap());
    assert!(!fixture.archive.discard(path).unwrap());
    let found = fixture.archive.files_in(Room::Archive).unwrap().whole().unwrap();
    let found: Vec<_> = found.iter().map(|file| (&*file.relative_path, file.regular)).collect();
    assert_eq!(found, [("link", false)]);
}

#[test]
fn days_can_be_staged_on_a_blocking_thread() {
    fn is_send<T: Send>() {}
    is_send::<StagedDay>();
    is_send::<Archive>();
}
