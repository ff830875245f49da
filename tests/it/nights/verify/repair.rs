//! `idvault verify --repair`: what it mends, what it leaves, and that it loses nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use idvault::record::sha256_hex;

use super::super::{Ended, Place, files_below};
use super::{archive, edit, one_file, sound};

/// How many files have these bytes, in all rooms in which the bytes of the archive may be.
fn kept(place: &Place) -> BTreeMap<String, usize> {
    let mut kept = BTreeMap::new();
    for room in ["archive", "set-aside", ".staging"] {
        for path in files_below(&place.data().join(room)) {
            *kept.entry(sha256_hex(&fs::read(path).unwrap())).or_default() += 1;
        }
    }
    kept
}

/// Repairs: it exits so, says this, and all bytes that were there are there still.
#[track_caller]
pub(super) fn repair(place: &Place, code: i32, said: &[&str]) -> Ended {
    let before = kept(place);
    let ended = place.idvault(&["verify", "--repair"]).expect(code);
    let after = kept(place);
    for (hash, count) in before {
        assert!(
            after.get(&hash).copied().unwrap_or(0) >= count,
            "a file is gone: {}",
            ended.stdout
        );
    }
    for line in said {
        assert!(ended.stdout.contains(line), "{line}: {}", ended.stdout);
    }
    if code == 0 {
        // What it says of its work, and the line of the comparison.
        assert_eq!(ended.stdout.lines().count(), said.len() + 2, "{}", ended.stdout);
        let again = place.idvault(&["verify", "--repair", "--read-data"]).expect(0).stdout;
        assert_eq!(again.lines().count(), 2, "nothing is left to do: {again}");
        let next = place.night(&[]);
        assert!(
            [Some(0), Some(4)].contains(&next.code),
            "the next night: {}",
            next.stderr
        );
        place.idvault(&["verify", "--read-data"]).expect(0);
    }
    ended
}

pub(super) fn mv(place: &Place, from: &str, to: &str) {
    fs::create_dir_all(archive(place, to).parent().unwrap()).unwrap();
    fs::rename(archive(place, from), archive(place, to)).unwrap();
}

fn swap(place: &Place, one: &str, other: &str) {
    mv(place, one, "aside");
    mv(place, other, one);
    mv(place, "aside", other);
}

#[test]
fn a_file_that_was_moved_or_renamed_is_put_back() {
    let place = sound();
    let files = place.archive_files();
    mv(&place, &files[0], "face_images/billing_day=2026-10-31/moved.parquet");
    mv(&place, &files[3], "verifications/deep/er/renamed");
    place.idvault(&["verify"]).expect(9);
    repair(
        &place,
        0,
        &[
            &format!(
                "put back: archive/{}, which was found as archive/face_images/billing_day=2026-10-31/moved.parquet\n",
                files[0]
            ),
            &format!(
                "put back: archive/{}, which was found as archive/verifications/deep/er/renamed\n",
                files[3]
            ),
        ],
    );
    assert_eq!(place.archive_files(), files);
}

#[test]
fn a_whole_day_that_was_moved_is_put_back_into_a_private_folder() {
    let place = sound();
    let files = place.archive_files();
    let archive = place.data().join("archive");
    fs::rename(archive.join("verifications"), archive.join("moved")).unwrap();
    let count = files.iter().filter(|file| file.starts_with("verifications/")).count();
    repair(&place, 0, &vec!["put back: "; count]);
    assert_eq!(place.archive_files(), files);
    let mode = fs::metadata(archive.join("verifications"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn files_that_were_swapped_or_went_round_in_a_circle_are_put_back() {
    let place = sound();
    let files = place.archive_files();
    swap(&place, &files[0], &files[4]);
    let (one, other) = (format!("archive/{}", files[0]), format!("archive/{}", files[4]));
    repair(
        &place,
        0,
        &[
            &format!(
                "set aside: {one} is not the file that was published there, and is now set-aside/{}\n",
                files[0]
            ),
            &format!(
                "set aside: {other} is not the file that was published there, and is now set-aside/{}\n",
                files[4]
            ),
            &format!("put back: {one}, which was found as set-aside/{}\n", files[4]),
            &format!("put back: {other}, which was found as set-aside/{}\n", files[0]),
        ],
    );
    swap(&place, &files[1], &files[2]);
    swap(&place, &files[2], &files[3]);
    repair(
        &place,
        0,
        &[
            "set aside: ",
            "set aside: ",
            "set aside: ",
            "put back: ",
            "put back: ",
            "put back: ",
        ],
    );
    assert_eq!(place.archive_files(), files);
}

/// Wherever a repair is cut off, each file is in the archive or set aside, and another repair finishes.
#[test]
fn a_repair_that_was_cut_off_is_finished_by_the_next() {
    let place = sound();
    let files = place.archive_files();
    let aside = |file: &str| place.data().join("set-aside").join(file);
    // After the first was set aside, after both were, and after one was put back.
    for cut_off in 1..=3 {
        swap(&place, &files[0], &files[4]);
        for file in [&files[0], &files[4]].into_iter().take(cut_off) {
            fs::create_dir_all(aside(file).parent().unwrap()).unwrap();
            fs::rename(archive(&place, file), aside(file)).unwrap();
        }
        if cut_off == 3 {
            fs::rename(aside(&files[4]), archive(&place, &files[0])).unwrap();
        }
        place.idvault(&["verify"]).expect(9);
        place.idvault(&["verify", "--repair"]).expect(0);
        assert_eq!(place.archive_files(), files);
        assert!(files_below(&place.data().join("set-aside")).is_empty());
    }
}

#[test]
fn what_is_in_the_way_of_a_file_is_set_aside_and_kept() {
    let place = sound();
    let file = one_file(&place);
    mv(&place, &file, "moved");
    place.write(&format!("data/archive/{file}"), "somebody's notes");
    place.write(&format!("data/archive/{file}"), "somebody's notes");
    let said = format!("is not the file that was published there, and is now set-aside/{file}\n");
    repair(&place, 0, &[&said, "which was found as archive/moved\n"]);
    let kept = fs::read_to_string(place.data().join("set-aside").join(&file)).unwrap();
    assert_eq!(kept, "somebody's notes");
    // And once more, with the name taken.
    mv(&place, &file, "moved");
    place.write(&format!("data/archive/{file}"), "other notes");
    repair(&place, 0, &[&format!("and is now set-aside/{file}.1\n"), "put back: "]);
}

#[test]
fn a_copy_is_set_aside_and_what_is_nothing_known_stays() {
    let place = sound();
    let file = one_file(&place);
    fs::copy(archive(&place, &file), archive(&place, "verifications/copy")).unwrap();
    let said =
        format!("set aside: archive/verifications/copy is a copy of {file}, and is now set-aside/verifications/copy\n");
    repair(&place, 0, &[&said]);
    let copy = place.data().join("set-aside/verifications/copy");
    assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o077, 0);
    let folder = fs::metadata(place.data().join("set-aside")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);

    place.write("data/archive/notes.txt", "somebody's notes");
    symlink("/dev/null", archive(&place, "link")).unwrap();
    let ended = repair(&place, 9, &["extra: link ", "extra: notes.txt ", ": 2 differences\n"]);
    assert!(!ended.stdout.contains("set aside"), "{}", ended.stdout);
    assert!(archive(&place, "notes.txt").exists() && archive(&place, "link").is_symlink());
}

#[test]
fn a_copy_that_was_set_aside_is_there_when_its_original_is_lost() {
    let place = sound();
    let file = one_file(&place);
    fs::copy(archive(&place, &file), archive(&place, "copy")).unwrap();
    repair(&place, 0, &["set aside: "]);
    fs::remove_file(archive(&place, &file)).unwrap();
    repair(
        &place,
        0,
        &[&format!(
            "put back: archive/{file}, which was found as set-aside/copy\n"
        )],
    );
}

#[test]
fn a_file_that_got_among_the_left_overs_is_not_cleared_with_them() {
    let place = sound();
    let file = one_file(&place);
    fs::rename(archive(&place, &file), place.data().join(".staging/moved")).unwrap();
    repair(
        &place,
        0,
        &[&format!(
            "put back: archive/{file}, which was found as .staging/moved\n"
        )],
    );
}

#[test]
fn tallies_are_counted_again_from_a_file_that_is_intact_and_from_no_other() {
    let place = sound();
    let (file, other) = {
        let files = place.archive_files();
        let mut files = files.into_iter().filter(|file| file.starts_with("verifications/"));
        (files.next().unwrap(), files.next().unwrap())
    };
    let tallies = |file: &str| -> Vec<String> {
        let ledger = place.ledger();
        let sql = "SELECT product_code || region || sub_code || verifications FROM tallies WHERE path = ?1 ORDER BY 1";
        let mut query = ledger.prepare(sql).unwrap();
        let rows = query.query_map([file], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let (before, before_other) = (tallies(&file), tallies(&other));
    for sql in [
        format!("UPDATE tallies SET sub_code = sub_code || '9' WHERE path = '{file}'"),
        format!("UPDATE tallies SET verifications = verifications + 5 WHERE path = '{file}'"),
        format!("DELETE FROM tallies WHERE path = '{file}'"),
        format!("INSERT INTO tallies VALUES ('{file}', 'X', 'x', 'x', 1)"),
    ] {
        edit(&place, &sql);
        place.idvault(&["verify"]).expect(9);
        repair(&place, 0, &[&format!("tallied: archive/{file} was counted again\n")]);
        assert_eq!(tallies(&file), before);
    }
    // Its bytes are not what was published, so what it counts is not the truth.
    let sound = fs::read(archive(&place, &other)).unwrap();
    edit(
        &place,
        &format!("UPDATE tallies SET sub_code = 'x' || sub_code WHERE path = '{other}'"),
    );
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    place.write(&format!("data/archive/{other}"), flipped);
    let ended = repair(&place, 9, &[&format!("changed: {other}")]);
    assert!(!ended.stdout.contains("tallied: "), "{}", ended.stdout);
    assert_ne!(tallies(&other), before_other);
}

#[test]
fn what_a_cut_off_run_left_is_removed_as_the_next_run_would() {
    let place = sound();
    // What a kill leaves between a file's name and its commit: the file, the intent, and the rows still journalled.
    let file = one_file(&place);
    edit(
        &place,
        &format!(
            "UPDATE files SET state = 'staged', published_at = NULL WHERE path = '{file}';
             DELETE FROM tallies WHERE path = '{file}'"
        ),
    );
    for row in place.rows_of(&file) {
        edit(
            &place,
            &format!(
                "INSERT INTO journal (number, verified_order, transaction_id, merchant_biz_id, product_code, region, run_number,
                     fetched_at, passed, sub_code, body)
                 SELECT number, coalesce(verified_at, 9223372036854775807), transaction_id, merchant_biz_id, product_code,
                     region, 1, 0, passed, sub_code, x'00'
                 FROM transactions WHERE transaction_id = '{id}'",
                id = row.id()
            ),
        );
    }
    // Its faces are another file's, and not staged: taken out of the picture.
    let faces = file.replace("verifications/", "face_images/");
    edit(&place, &format!("DELETE FROM files WHERE path = '{faces}'"));
    let _ = fs::remove_file(archive(&place, &faces));
    place.write("data/.staging/left-over.parquet", "left over");
    // The manifest was edited by hand, which the history shows.
    let said = place.idvault(&["verify"]).expect(9).stdout;
    assert!(said.contains(&format!("left over: {file}, ")), "{said}");
    assert!(said.contains("is in the history and not in the manifest"), "{said}");
    let said = place.idvault(&["verify", "--repair"]).expect(9).stdout;
    assert!(said.contains("cleared: 1 left in .staging/"), "{said}");
    assert!(
        said.contains(&format!("removed: archive/{file}, left by a run that was cut off")),
        "{said}"
    );
    assert!(!archive(&place, &file).exists());
}

/// An edited word must not make a published file a left-over: it is as it was published, so it is taken into the manifest again.
#[test]
fn a_published_file_that_the_manifest_calls_staged_is_taken_in_again() {
    for dataset in ["verifications", "face_images"] {
        for by_run in [false, true] {
            let place = sound();
            let file = called_staged(&place, dataset);
            place.idvault(&["verify"]).expect(9);
            if by_run {
                let night = place.night(&[]);
                assert!(matches!(night.code, Some(0 | 4)), "{}", night.stderr);
            } else {
                repair(
                    &place,
                    0,
                    &[&format!(
                        "completed: archive/{file}, of a publication that was cut off\n"
                    )],
                );
            }
            assert!(archive(&place, &file).exists());
            place.idvault(&["verify", "--read-data"]).expect(0);
        }
    }
}

/// Where it can't be read, too, it is kept elsewhere, and its records can be asked for again.
#[test]
fn a_damaged_file_that_the_manifest_calls_staged_is_set_aside() {
    let place = sound();
    let file = called_staged(&place, "verifications");
    let mut bytes = fs::read(archive(&place, &file)).unwrap();
    bytes.push(0);
    place.write(&format!("data/archive/{file}"), &bytes);
    let said = format!("set aside: archive/{file} is not as it was staged, and is now set-aside/{file}\n");
    repair(&place, 9, &[&said, "not in the archive: "]);
    assert_eq!(fs::read(place.data().join("set-aside").join(&file)).unwrap(), bytes);
    let ended = place.night(&[]).expect(6);
    assert!(
        ended.stderr.contains("ids are archived, the manifest's files hold"),
        "{}",
        ended.stderr
    );
    // The history says for ever that a published file left the manifest without a record.
    let said = place.idvault(&["verify", "--repair", "--refetch"]).expect(9).stdout;
    assert!(said.contains("asked for again: "), "{said}");
    assert!(said.contains("is in the history and not in the manifest"), "{said}");
    assert!(!said.contains("not in the archive: "), "{said}");
}

/// A person's hand in the manifest.
fn called_staged(place: &Place, dataset: &str) -> String {
    let file = place.archived(dataset)[0].file.clone();
    edit(
        place,
        &format!("UPDATE files SET state = 'staged', published_at = NULL WHERE path = '{file}'"),
    );
    file
}

#[test]
fn nothing_is_touched_where_the_ledger_itself_is_damaged() {
    let place = sound();
    let file = one_file(&place);
    mv(&place, &file, "moved");
    let path = place.data().join("ledger.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[4096..half].fill(0xa5);
    place.write("data/ledger.sqlite", bytes);
    let ended = place.idvault(&["verify", "--repair"]).expect(6);
    assert!(ended.stderr.contains("ledger.sqlite"), "{}", ended.stderr);
    assert!(archive(&place, "moved").exists() && !archive(&place, &file).exists());
}

/// As with a mode or a bad sector, but for root too: a name that is no text leads nowhere.
#[test]
fn what_can_not_be_read_keeps_nothing_else_from_being_mended() {
    let place = sound();
    let files = place.archive_files();
    let odd = archive(&place, "verifications").join(OsStr::from_bytes(b"\xff"));
    fs::copy(archive(&place, &files[0]), &odd).unwrap();
    mv(&place, &files[0], "moved");
    let put_back = format!("put back: archive/{}, which was found as archive/moved\n", files[0]);
    let ended = place.idvault(&["verify", "--repair"]).expect(9);
    assert!(ended.stdout.contains(&put_back), "{}", ended.stdout);
    assert!(ended.stdout.ends_with(": 1 differences\n"), "{}", ended.stdout);
    assert!(odd.exists());
}

#[test]
fn two_entries_of_the_same_bytes_are_given_one_file_once() {
    let place = sound();
    let files = place.archive_files();
    edit(
        &place,
        &format!(
            "UPDATE files SET (bytes, sha256) = (SELECT bytes, sha256 FROM files WHERE path = '{}') WHERE path = '{}'",
            files[0], files[1]
        ),
    );
    mv(&place, &files[0], "moved");
    let ended = repair(&place, 9, &["put back: "]);
    assert_eq!(ended.stdout.matches("put back: ").count(), 1, "{}", ended.stdout);
}
