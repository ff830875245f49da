//! `idvault verify --repair` where the file system refuses something: it is named, and the rest is mended.

use std::fs;

use super::super::disk::Disk;
use super::super::{Ended, Place};
use super::repair::{mv, repair};
use super::{archive, one_file, sound};

/// Repairs on a disk that refuses something to this program, as for a file of another user's.
fn repair_on(place: &Place, rule: &str) -> Ended {
    let disk = Disk::that(rule);
    let mut repair = place.command(&["verify", "--repair"]);
    let ended = Ended::of(disk.under(&mut repair).output().unwrap());
    assert!(disk.fired().is_some(), "{rule}: {}", ended.stdout);
    ended
}

#[test]
fn a_file_in_the_way_that_can_not_be_opened_keeps_nothing_else_from_being_mended() {
    let place = sound();
    let files = place.archive_files();
    let (in_the_way, other) = (&files[0], &files[3]);
    mv(&place, in_the_way, "moved");
    mv(&place, other, "moved_too");
    place.write(&format!("data/archive/{in_the_way}"), "somebody's notes");
    let ended = repair_on(&place, &format!("open:*/{in_the_way} fail:EACCES")).expect(9);
    let path = archive(&place, in_the_way);
    let refused = format!("failed to open {}: Permission denied", path.display());
    for said in [
        format!("not mended: {refused}"),
        format!("put back: archive/{other}, which was found as archive/moved_too\n"),
        format!("unreadable: {in_the_way}: {refused}"),
    ] {
        assert!(ended.stdout.contains(&said), "{said}: {}", ended.stdout);
    }
    assert_eq!(fs::read_to_string(path).unwrap(), "somebody's notes");
    repair(&place, 0, &["set aside: ", "put back: "]);
    assert_eq!(place.archive_files(), files);
}

#[test]
fn a_folder_that_can_not_be_listed_keeps_nothing_else_from_being_mended() {
    let place = sound();
    let files = place.archive_files();
    let file = one_file(&place);
    mv(&place, &file, "verifications/moved");
    let ended = repair_on(&place, "open:*/archive/face_images fail:EACCES").expect(9);
    let faces = files.iter().find(|file| file.starts_with("face_images/")).unwrap();
    let folder = archive(&place, "face_images");
    for said in [
        format!("put back: archive/{file}, "),
        format!(
            "unreadable: face_images: failed to list {}: Permission denied",
            folder.display()
        ),
        format!("unreadable: {faces}: its folder can't be listed\n"),
    ] {
        assert!(ended.stdout.contains(&said), "{said}: {}", ended.stdout);
    }
    place.idvault(&["verify", "--repair"]).expect(0);
    assert_eq!(place.archive_files(), files);
    // The archive itself.
    let ended = repair_on(&place, "open:*/archive fail:EACCES").expect(9);
    assert!(
        ended.stdout.contains("unreadable: .: failed to list "),
        "{}",
        ended.stdout
    );
}

/// What is left over is no difference, so it is the repair itself that was in vain.
#[test]
fn a_left_over_that_can_not_be_removed_is_named() {
    let place = sound();
    for name in ["one", "other"] {
        place.write(&format!("data/.staging/{name}"), "left over");
    }
    let ended = repair_on(&place, "unlink:*/.staging/one fail:EACCES").expect(9);
    assert!(
        ended.stdout.contains("not mended: failed to remove "),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("cleared: 1 left in .staging/"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.ends_with(": 0 differences\n"), "{}", ended.stdout);
    let said = place.idvault(&["verify", "--repair"]).expect(0).stdout;
    assert!(said.contains("cleared: 1 left in .staging/"), "{said}");
}

/// A disk that fails to sync can't be trusted with the next rename.
#[test]
fn a_sync_that_fails_ends_the_repair() {
    let place = sound();
    let files = place.archive_files();
    mv(&place, &files[0], "moved");
    mv(&place, &files[3], "moved_too");
    let ended = repair_on(&place, "sync:*/archive/moved fail:EIO").expect(7);
    assert!(!ended.stdout.contains("put back"), "{}", ended.stdout);
    place.idvault(&["verify", "--repair"]).expect(0);
}
