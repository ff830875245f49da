//! What is found at the start: a ledger that can't be used, or a disk without room. No call is made, nothing is changed,
//! the sentence says which file and what to do, and once it is mended a plain run completes.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use idvault::disk::{FLOOR_BYTES, RECORD_BYTES};
use rusqlite::Connection;

use super::super::checker::{check, finals};
use super::super::verify::edit;
use super::super::{Ended, made_up};
use super::Disk;
use super::night::Night;

/// Not enough for anything.
const LITTLE: u64 = 1_000_000;

/// Done to a file.
type Damage<'a> = &'a dyn Fn(&File);

/// A night that was, and a new source with twice its records.
fn after_a_night() -> Night {
    let mut night = Night::new(false);
    night.source(&[("FACE_LIVENESS", 20)]);
    Ended::of(night.command().output().unwrap()).expect(0);
    night.source(&[("FACE_LIVENESS", 40)]);
    night
}

/// The run must end with this code and these words, without a call or a changed byte in ledger and archive.
#[track_caller]
fn is_refused(night: &Night, command: &mut Command, code: i32, words: &[&str]) {
    let state = || {
        let ledger = fs::read(night.place.data().join("ledger.sqlite")).ok();
        (ledger, night.place.archive_files(), night.vendor.counts().calls)
    };
    let before = state();
    let ended = Ended::of(command.output().unwrap()).expect(code);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
    assert!(before == state(), "a call was made or a file was changed: {words:?}");
}

#[track_caller]
fn completes(night: &Night) {
    let ended = Ended::of(night.command().output().unwrap());
    assert!(matches!(ended.code, Some(0 | 4)), "{}", ended.stderr);
    check(&night.place, &night.text, "afterwards");
    night.place.idvault(&["verify", "--read-data"]).expect(0);
}

#[test]
fn a_source_in_wal_mode_that_no_program_has_open_is_read() {
    let night = after_a_night();
    let source = night.place.path("app.sqlite");
    let app = Connection::open(&source).unwrap();
    app.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE pending AS SELECT 'w1' AS transaction_id")
        .unwrap();
    drop(app);
    let mut command = night.command();
    let ended = Ended::of(command.args(["--pending", source.to_str().unwrap()]).output().unwrap());
    assert!(matches!(ended.code, Some(0 | 4)), "{}", ended.stderr);
    let taken = "SELECT count(*) FROM transactions WHERE transaction_id = 'w1'";
    assert_eq!(night.place.count(taken), 1, "{}", ended.stderr);
}

#[test]
fn a_ledger_that_another_program_holds_is_left_alone() {
    let night = after_a_night();
    let theirs = Connection::open(night.place.data().join("ledger.sqlite")).unwrap();
    theirs.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let words = [
        "ledger.sqlite; another program holds it: wait for it, or end it",
        "database is locked",
    ];
    is_refused(&night, &mut night.command(), 6, &words);
    drop(theirs);
    completes(&night);
}

#[test]
fn a_ledger_that_can_not_be_written_is_left_alone() {
    let night = after_a_night();
    for error in ["EROFS", "EACCES"] {
        for (files, words) in [
            (
                "*/data/*",
                [
                    "failed to lock ",
                    "/data/lock; check that the data folder can be written",
                ],
            ),
            (
                "*/ledger.sqlite*",
                ["ledger.sqlite; check that this user can write the file", "read-only"],
            ),
        ] {
            let disk = Disk::that(&format!("create:{files} fail:{error}"));
            is_refused(&night, disk.under(&mut night.command()), 6, &words);
            assert!(disk.fired().is_some());
        }
    }
    completes(&night);
}

#[test]
fn a_damaged_ledger_is_left_alone() {
    let night = after_a_night();
    let path = night.place.data().join("ledger.sqlite");
    let good = fs::read(&path).unwrap();
    let pages = good.len() / 4096;
    let damage: [(&str, Damage<'_>); 5] = [
        ("file is not a database", &|file| {
            file.write_all_at(&[0xFF; 100], 0).unwrap();
        }),
        ("is damaged", &|file| {
            // The pages behind the first: every table and index begins with one.
            (1..pages).for_each(|page| file.write_all_at(&[0xAA; 64], page as u64 * 4096).unwrap());
        }),
        ("is damaged", &|file| file.write_all_at(&[0; 4096], 4096).unwrap()),
        ("is damaged", &|file| file.set_len(good.len() as u64 / 2).unwrap()),
        ("file is not a database", &|file| file.set_len(10).unwrap()),
    ];
    for (words, damage) in damage {
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(0).unwrap();
        file.write_all_at(&good, 0).unwrap();
        damage(&file);
        let words = [
            words,
            "ledger.sqlite",
            "restore ledger and archive together from a backup",
        ];
        is_refused(&night, &mut night.command(), 6, &words);
    }
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(&good, 0)
        .unwrap();
    completes(&night);
}

#[test]
fn large_replies_that_are_not_what_was_kept_are_asked_for_again() {
    // What is done to the file, and whether that concerns more than one.
    let damage = [
        (
            "a byte is another",
            (|path| overwrite_last(path, 1)) as fn(&Path),
            false,
        ),
        ("it is cut", |path| overwrite_last(path, 0), false),
        ("it is gone", |path| fs::remove_file(path).unwrap(), true),
    ];
    for (why, damage, all) in damage {
        let mut night = Night::new(true);
        let cut_off = "create:*/.staging/*.parquet kill-after";
        assert!(night.is_killed(cut_off, cut_off), "{cut_off}: never came");
        let path = night.place.data().join("ledger.sqlite-replies");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let large = night
            .place
            .count("SELECT count(*) FROM journal WHERE reply_start IS NOT NULL");
        assert!(large > 1, "{why}");
        let answered = night.vendor.counts().finals;

        damage(&path);
        let ended = Ended::of(night.command().output().unwrap()).expect(4);
        let again = if all { large } else { 1 };
        let said = "ledger.sqlite-replies is missing or damaged; it is asked for again";
        assert_eq!(
            ended.stderr.matches(said).count() as u64,
            again,
            "{why}: {}",
            ended.stderr
        );
        assert_eq!(night.vendor.counts().finals, answered + again, "{why}");
        check(&night.place, &night.text, why);
        night.place.idvault(&["verify", "--read-data"]).expect(0);
    }
}

/// A disk that can't read a reply back has damaged it: no later run must end with that.
#[test]
fn a_large_reply_on_an_unreadable_sector_is_asked_for_again() {
    let mut night = Night::new(true);
    let cut_off = "create:*/.staging/*.parquet kill-after";
    assert!(night.is_killed(cut_off, cut_off), "{cut_off}: never came");
    let answered = night.vendor.counts().finals;
    let disk = Disk::that("read:*-replies fail-once:EIO");
    let ended = Ended::of(disk.under(&mut night.command()).output().unwrap()).expect(4);
    assert!(disk.fired().is_some());
    let said = "ledger.sqlite-replies is missing or damaged; it is asked for again";
    assert_eq!(ended.stderr.matches(said).count(), 1, "{}", ended.stderr);
    assert_eq!(night.vendor.counts().finals, answered + 1);
    check(&night.place, &night.text, "EIO");
    night.place.idvault(&["verify", "--read-data"]).expect(0);
}

/// Killed when files have their names and the manifest does not have them, and then the large replies are gone: the files are
/// all that there is of them. By whom the publication is completed, and what was done to the ledger by an older version.
#[test]
fn staged_files_complete_a_publication_whose_replies_are_gone() {
    let between = "rename:*/archive/verifications/* rename:*/archive/face_images/* kill-before";
    let after_one = "rename:*/archive/face_images/* kill-after";
    let last = "rename:*/archive/*.parquet#6 kill-after";
    let taken_back = "UPDATE transactions SET state = 'pending', last_call_code = NULL, passed = NULL, sub_code = NULL
         WHERE number IN (SELECT number FROM journal WHERE reply_start IS NOT NULL);
         DELETE FROM journal WHERE reply_start IS NOT NULL";
    for (rule, by, hand) in [
        (between, "run", ""),
        (after_one, "run", ""),
        (last, "run", ""),
        (last, "repair", ""),
        (last, "run", taken_back),
    ] {
        let mut night = Night::new(true);
        assert!(night.is_killed(rule, rule), "{rule}: never came");
        let answered = night.vendor.counts().finals;
        fs::remove_file(night.place.data().join("ledger.sqlite-replies")).unwrap();
        edit(&night.place, hand);
        if rule == last {
            let said = night.place.idvault(&["verify"]).expect(0).stdout;
            assert!(said.contains("half done: verifications/"), "{said}");
        }
        if by == "repair" {
            let said = night.place.idvault(&["verify", "--repair"]).expect(0).stdout;
            assert!(said.contains("completed: archive/verifications/"), "{said}");
        }
        Ended::of(night.command().output().unwrap()).expect(4);
        assert_eq!(
            night.vendor.counts().finals,
            answered,
            "{rule}: nothing is asked for again"
        );
        check(&night.place, &night.text, rule);
        night.place.idvault(&["verify", "--read-data"]).expect(0);
    }
}

#[test]
fn verify_looks_at_the_large_replies() {
    let mut night = Night::new(true);
    let cut_off = "create:*/.staging/*.parquet kill-after";
    assert!(night.is_killed(cut_off, cut_off), "{cut_off}: never came");
    night.place.idvault(&["verify"]).expect(0);
    overwrite_last(&night.place.data().join("ledger.sqlite-replies"), 1);
    let said = night.place.idvault(&["verify"]).expect(9).stdout;
    assert_eq!(said.matches("reply: that about made").count(), 1, "{said}");
    completes(&night);
}

/// Takes the last byte of the file, and puts as many others there.
fn overwrite_last(path: &Path, others: usize) {
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.pop().unwrap();
    bytes.extend(vec![last ^ 1; others]);
    fs::write(path, bytes).unwrap();
}

/// A large ledger is not checked before its first call, but after its last: what is wrong with it is found that night, and
/// from then on it is left alone.
#[test]
fn damage_of_a_large_ledger_is_found_at_the_end_and_then_at_each_start() {
    let night = after_a_night();
    let path = night.place.data().join("ledger.sqlite");
    let ledger = Connection::open(&path).unwrap();
    ledger
        .execute_batch(
            "CREATE TABLE large (filler BLOB);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO large SELECT zeroblob(4000) FROM n",
        )
        .unwrap();
    let page = "SELECT pageno FROM dbstat WHERE name = 'large' AND pagetype = 'leaf' LIMIT 1 OFFSET 7";
    let page: u64 = ledger.query_row(page, [], |row| row.get(0)).unwrap();
    drop(ledger);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    assert!(file.metadata().unwrap().len() > 64 * 1024 * 1024);
    let mut good = [0; 64];
    file.read_exact_at(&mut good, (page - 1) * 4096).unwrap();
    file.write_all_at(&[0xAA; 64], (page - 1) * 4096).unwrap();

    let calls = night.vendor.counts().calls;
    let ended = Ended::of(night.command().output().unwrap()).expect(6);
    assert!(ended.stderr.contains("ledger.sqlite is damaged: "), "{}", ended.stderr);
    assert!(
        night.vendor.counts().calls > calls,
        "nothing is damaged that the night needs"
    );
    let last = "SELECT count(*) FROM runs WHERE ended_at IS NULL";
    assert_eq!(night.place.count(last), 1, "it did not come to its end");
    assert_eq!(
        night.place.count("SELECT count(*) FROM journal"),
        0,
        "and all is published"
    );
    is_refused(&night, &mut night.command(), 6, &["ledger.sqlite is damaged: "]);
    file.write_all_at(&good, (page - 1) * 4096).unwrap();
    completes(&night);
    assert_eq!(night.place.count(last), 1, "the runs after it end well");
}

#[test]
fn a_ledger_that_is_gone_is_not_replaced_by_an_empty_one() {
    let night = after_a_night();
    let (ledger, elsewhere) = (night.place.data().join("ledger.sqlite"), night.place.path("elsewhere"));
    #[expect(clippy::disallowed_methods, reason = "as an operator would")]
    let put = |from: &std::path::Path, to: &std::path::Path| fs::rename(from, to).unwrap();
    put(&ledger, &elsewhere);
    let words = [
        "there is an archive and no ledger at ",
        "ledger.sqlite, or an empty one; restore both together from a backup",
    ];
    is_refused(&night, &mut night.command(), 6, &words);

    // As a restore onto a full disk leaves it, with what belonged to the good one beside it or not.
    night.place.write("data/ledger.sqlite", "");
    is_refused(&night, &mut night.command(), 6, &words);
    let wal = night.place.write("data/ledger.sqlite-wal", "a WAL");
    is_refused(&night, &mut night.command(), 6, &words);
    assert_eq!(fs::read(&wal).unwrap(), b"a WAL", "nothing is changed");
    fs::remove_file(&wal).unwrap();

    // As a run leaves it that is killed before the schema is there.
    fs::remove_file(&ledger).unwrap();
    let mode = Connection::open(&ledger).unwrap();
    mode.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    drop(mode);
    assert!(fs::metadata(&ledger).unwrap().len() > 0);
    is_refused(&night, &mut night.command(), 6, &words);
    for args in [&["status"][..], &["verify"], &["quarantine", "list"]] {
        let said = night.place.idvault(args).expect(6).stderr;
        assert!(
            said.contains("is empty: where there is an archive beside it, restore both"),
            "{said}"
        );
    }

    // As somebody leaves it who empties it by hand; with the manifest too, or without.
    for sql in ["DELETE FROM transactions", "DELETE FROM tallies; DELETE FROM files"] {
        if sql.contains("transactions") {
            fs::copy(&elsewhere, &ledger).unwrap();
        }
        let emptied = Connection::open(&ledger).unwrap();
        emptied
            .execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
            .unwrap();
        drop(emptied);
        is_refused(&night, &mut night.command(), 6, &words);
    }

    put(&elsewhere, &ledger);
    completes(&night);
}

#[test]
fn a_disk_that_is_not_mounted_is_not_written_into() {
    let night = Night::new(false);
    let missing = night.place.path("mnt");
    let mut command = night
        .place
        .bare(&["run", "--endpoint", &night.vendor.url, "--data-dir"]);
    command.arg(missing.join("idvault-data"));
    let there = missing.display().to_string();
    is_refused(
        &night,
        &mut command,
        6,
        &["there is no folder ", &there, "mount its disk"],
    );
    assert!(!missing.exists(), "nothing is made");
    // The data folder itself is made.
    fs::create_dir(&missing).unwrap();
    assert_ne!(command.output().unwrap().status.code(), Some(6));
    assert!(missing.join("idvault-data/ledger.sqlite").exists());
}

#[test]
fn a_ledger_on_a_network_is_refused_and_one_on_fuse_is_said_where_not_quiet() {
    let night = after_a_night();
    for (magic, name) in [
        ("0x6969", "NFS"),
        ("0xFF534D42", "CIFS"),
        ("0xFE534D42", "SMB2"),
        ("0x01021997", "9P"),
    ] {
        let disk = Disk::that(&format!("statfs:* magic:{magic}"));
        let words = [&*format!("is on {name}, a network file system"), "use a local disk"];
        is_refused(&night, disk.under(&mut night.command()), 6, &words);
        is_refused(&night, disk.under(&mut night.place.command(&["status"])), 6, &words);
    }
    let new = Night::new(false);
    let disk = Disk::that("statfs:* magic:0x00C36400");
    is_refused(&new, disk.under(&mut new.command()), 6, &["is on Ceph"]);
    assert!(!new.place.data().exists(), "nothing is made");

    let disk = Disk::that("statfs:* magic:0x65735546");
    let ended = Ended::of(disk.under(&mut night.command()).output().unwrap());
    assert!(matches!(ended.code, Some(0 | 4)), "{}", ended.stderr);
    assert!(ended.stderr.contains("is on FUSE"), "{}", ended.stderr);
    for quiet in [&["status", "--quiet"], &["verify", "--quiet"]] {
        let disk = Disk::that("statfs:* magic:0x65735546");
        let ended = Ended::of(disk.under(&mut night.place.command(quiet)).output().unwrap());
        assert_eq!(ended.stderr, "");
    }
    completes(&night);
}

#[test]
fn nothing_is_asked_for_where_the_staging_folder_or_the_ledger_can_not_be_written() {
    let mut night = Night::new(false);
    for rule in [
        "create:*/.staging/probe fail:ENOSPC",
        "write:*/.staging/probe short:ENOSPC",
        "sync:*/.staging/probe fail-once:EIO",
        "mkdir:*/.staging write:*-wal fail:ENOSPC",
        "create:*/rejected.csv sync:*-wal fail-once:EIO",
    ] {
        // The first makes the data folder, and the others find it.
        fs::remove_dir_all(night.place.data()).ok();
        let (ended, calls) = night.fails(rule, rule);
        assert!(matches!(ended.code, Some(6 | 7)), "{rule}: {}", ended.stderr);
        assert!(!calls.is_empty(), "{rule}: never came");
        assert_eq!(night.vendor.counts().calls, 0, "{rule}");
    }
    completes(&night);
}

#[test]
fn where_the_disk_has_no_room_nothing_is_asked_for() {
    let night = after_a_night();
    let disk = Disk::that(&format!("statvfs:* space:{LITTLE}"));
    let before = night.vendor.counts().calls;
    let ended = Ended::of(disk.under(&mut night.command()).output().unwrap()).expect(7);
    assert_eq!(night.vendor.counts().calls, before);
    let data = night.place.data().display().to_string();
    for word in [
        "the disk of ",
        &data,
        " has 0 MiB free, and 256 MiB are needed",
        "free some",
    ] {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
    assert_eq!(night.place.summary()["exit_code"], 7);
    completes(&night);
}

#[test]
fn where_nothing_is_due_no_room_is_needed() {
    let mut night = after_a_night();
    night.source(&[("FACE_LIVENESS", 20)]);
    let disk = Disk::that(&format!("statvfs:* space:{LITTLE}"));
    let ended = Ended::of(disk.under(&mut night.command()).output().unwrap()).expect(0);
    assert!(!ended.stderr.contains("MiB"), "{}", ended.stderr);
    assert_eq!(night.place.summary()["due"], 0);
}

#[test]
fn where_the_room_is_less_than_the_plan_may_need_that_is_said_and_what_fits_is_fetched() {
    let night = Night::new(false);
    let disk = Disk::that(&format!("statvfs:* space:{}", FLOOR_BYTES + 31 * RECORD_BYTES));
    let ended = Ended::of(disk.under(&mut night.command()).output().unwrap()).expect(4);
    let said = "has room for about 31 of 60 due records";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    // They turn out to be smaller.
    check(&night.place, &night.text, "with little room");
}

#[test]
fn a_disk_that_fills_up_stops_the_run_while_all_that_was_fetched_can_be_published() {
    let mut night = Night::new(false);
    let text = made_up(60, 3, "FACE_LIVENESS");
    let rule = format!("recv:socket:* sync:*-wal#3 statvfs:* space:{LITTLE}");
    let (ended, calls) = night.fails(&rule, &rule);
    assert!(!calls.is_empty(), "never came");
    let ended = ended.expect(7);
    assert!(ended.stderr.contains(" has 0 MiB free"), "{}", ended.stderr);
    let kept = night.place.archived("verifications").len();
    assert!(kept > 0 && kept < finals(&text).len(), "{kept}");
    assert_eq!(night.place.count("SELECT count(*) FROM journal"), 0);
    assert_eq!(
        night.vendor.counts().finals,
        kept as u64,
        "what was in flight is kept too"
    );
    assert_eq!(night.ends_well("afterwards"), 0, "and nothing is asked for again");
}
