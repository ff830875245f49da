//! `idvault rebuild-ledger`: a ledger from the archive and what is beside it, and an older one completed.
//!
//! `IDVAULT_REBUILD_KILLS` sets how often a rebuild is killed, `IDVAULT_REBUILD_SEED` the moments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use idvault::record::sha256_hex;
use idvault::sandbox::Mix;

use super::closing::{FOURTH, OCTOBER, after_october};
use super::compact::after_nights;
use super::history::{changes, two_nights};
use super::verify::{copy_of, edit};
use super::{Place, Running, Vendor, made_up, setting};

const KILLS: u64 = 6;
const SEED: u64 = 20_261_201;

fn forget_ledger(place: &Place) {
    for name in [
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "ledger.sqlite-shm",
        "ledger.sqlite-replies",
    ] {
        let _ = fs::remove_file(place.data().join(name));
    }
}

/// The bytes of every data file of the archive.
fn data(place: &Place) -> BTreeMap<String, String> {
    let archive = place.data().join("archive");
    let files = place.archive_files().into_iter();
    files
        .map(|file| {
            let bytes = fs::read(archive.join(&file)).unwrap();
            (file, sha256_hex(&bytes))
        })
        .collect()
}

/// All that is known of the ids that are not archived.
fn open_ids(place: &Place) -> Vec<String> {
    let ledger = place.ledger();
    let sql = "SELECT concat_ws('|', transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, state, next_due_at,
                    attempts, not_completed_runs, failed_runs, last_call_code, last_call_at, last_message, code_in_time,
                    product_assumed, region_assumed)
               FROM transactions WHERE state <> 'answered' ORDER BY 1";
    let mut rows = ledger.prepare(sql).unwrap();
    let rows = rows.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// What `billing.csv` says of all that is archived.
fn billing(place: &Place) -> String {
    place.idvault(&["report", "billing", "--all"]).expect(0).stdout
}

/// A night that takes known ids in again asks for none that is archived.
fn assert_asks_for_none(place: &Place, source: &str) {
    let vendor = Vendor::start(Mix::Realistic, Duration::ZERO);
    let before = place.archived("verifications").len() as u64;
    place.night_of(&vendor, &["--pending", source]).status().unwrap();
    assert_eq!(vendor.counts().finals, 0, "what is archived is not asked for");
    assert_eq!(place.archived("verifications").len() as u64, before);
}

#[test]
fn a_lost_ledger_is_made_again_from_what_is_beside_it() {
    let (place, _) = two_nights();
    let (states, open, bill, data_files) = (place.states(), open_ids(&place), billing(&place), data(&place));
    assert!(states["archived"] > 40 && !open.is_empty(), "{states:?}");
    forget_ledger(&place);
    let refused = place.night(&[]).expect(6).stderr;
    assert!(refused.contains("idvault rebuild-ledger"), "{refused}");
    let refused = place.idvault(&["verify"]).expect(6).stderr;
    assert!(refused.contains("idvault rebuild-ledger"), "{refused}");
    place.idvault(&["rebuild-ledger"]).expect(0);
    assert_eq!(place.states(), states);
    assert_eq!(open_ids(&place), open, "all that was known of them");
    assert_eq!(billing(&place), bill);
    assert_eq!(data(&place), data_files);
    let said = place.idvault(&["verify", "--read-data"]).expect(0).stdout;
    assert!(said.contains(": 0 differences"), "{said}");
    assert_eq!(changes(&place).last().unwrap().1["kind"], "rebuild");
    let both =
        fs::read_to_string(place.path("first.csv")).unwrap() + &fs::read_to_string(place.path("second.csv")).unwrap();
    let header = "transaction_id,product_code,region,verified_at\n";
    let rows = both.replace(header, "");
    let source = place.write("both.csv", format!("{header}{rows}"));
    assert_asks_for_none(&place, &source);
}

#[test]
fn an_older_ledger_is_completed_with_what_the_archive_has_beyond_it() {
    let (place, older) = two_nights();
    let (states, open, bill, data_files) = (place.states(), open_ids(&place), billing(&place), data(&place));
    place.write("data/ledger.sqlite", older);
    place.idvault(&["rebuild-ledger"]).expect(0);
    assert_eq!(place.states(), states);
    assert_eq!(open_ids(&place), open);
    assert_eq!(billing(&place), bill);
    assert_eq!(data(&place), data_files);
    place.idvault(&["verify", "--read-data"]).expect(0);
    let source = place.path("second.csv");
    assert_asks_for_none(&place, source.to_str().unwrap());
    // Once more: nothing is beyond it now.
    let said = place.idvault(&["rebuild-ledger"]).expect(0).stdout;
    assert!(said.contains("the ledger has 0 more files"), "{said}");
}

/// Replies that the older ledger has in its journal are in the archive meanwhile.
#[test]
fn a_copy_made_before_publication_is_completed() {
    let vendor = Vendor::start(Mix::AllFinal, Duration::from_millis(20));
    let place = Place::new();
    let source = place.write("pending.csv", made_up(120, 3, "FACE_LIVENESS"));
    let args = ["--pending", &source, "--concurrency", "8"];
    let run = Running::start(&mut place.night_of(&vendor, &args));
    super::wait_until("some replies are committed", || super::checker::committed(&place) >= 20);
    drop(run);
    let journalled = place.count("SELECT count(*) FROM journal");
    assert!(journalled >= 20);
    let older = copy_of(&place);
    place.night_of(&vendor, &[]).status().unwrap();
    assert_eq!(place.states(), BTreeMap::from([("archived".to_owned(), 120)]));
    for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
        let _ = fs::remove_file(place.data().join(name));
        if let Ok(bytes) = fs::read(older.data().join(name)) {
            place.write(&format!("data/{name}"), bytes);
        }
    }
    place.idvault(&["rebuild-ledger"]).expect(0);
    assert_eq!(place.states(), BTreeMap::from([("archived".to_owned(), 120)]));
    assert_eq!(place.count("SELECT count(*) FROM journal"), 0);
    place.idvault(&["verify", "--read-data"]).expect(0);
}

#[test]
fn merged_files_faces_and_closed_months_come_back() {
    let place = after_nights();
    place.idvault(&["compact"]).expect(0);
    let (states, bill) = (place.states(), billing(&place));
    forget_ledger(&place);
    place.idvault(&["rebuild-ledger"]).expect(0);
    assert_eq!((place.states(), billing(&place)), (states, bill));
    place.idvault(&["verify", "--read-data"]).expect(0);

    let place = after_october();
    assert_eq!(place.now, FOURTH);
    let close = [
        "close",
        "--month",
        "2026-10",
        "--accept",
        "no-bill=there is no bill in a test",
    ];
    place.idvault(&close).expect(0);
    let month = place.idvault(&OCTOBER).expect(0).stdout;
    forget_ledger(&place);
    place.idvault(&["rebuild-ledger"]).expect(0);
    assert_eq!(place.idvault(&OCTOBER).expect(0).stdout, month);
    place.idvault(&["verify", "--read-data"]).expect(0);
    assert!(place.idvault(&close).expect(0).stdout.contains("was closed already"));
}

/// Ids that were given up stay so, with the reason.
#[test]
fn decisions_come_back() {
    let place = after_october();
    edit(
        &place,
        "UPDATE transactions SET state = 'quarantined' WHERE number = (SELECT min(number) FROM transactions WHERE state = 'pending')",
    );
    let id: String = place
        .ledger()
        .query_row(
            "SELECT transaction_id FROM transactions WHERE state = 'quarantined'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    place
        .idvault(&["quarantine", "drop", &id, "--reason", "made twice, by hand"])
        .expect(0);
    let open = open_ids(&place);
    assert!(
        open.iter()
            .any(|row| row.contains("abandoned") && row.contains("made twice, by hand"))
    );
    forget_ledger(&place);
    place.idvault(&["rebuild-ledger"]).expect(0);
    assert_eq!(open_ids(&place), open);
}

/// An archive of a version without a history has only its files.
#[test]
fn an_archive_without_a_history_is_enough() {
    let (place, _) = two_nights();
    let (archived, bill) = (place.states()["archived"], billing(&place));
    forget_ledger(&place);
    fs::remove_dir_all(place.data().join("archive/_changes")).unwrap();
    fs::remove_dir_all(place.data().join("open-records")).unwrap();
    let said = place.idvault(&["rebuild-ledger"]).expect(0).stdout;
    assert!(said.contains("which the history does not name"), "{said}");
    assert_eq!(place.states(), BTreeMap::from([("archived".to_owned(), archived)]));
    assert_eq!(billing(&place), bill);
    place.idvault(&["verify", "--read-data"]).expect(0);
}

#[test]
fn files_that_are_missing_or_damaged_are_named_and_only_left_out_when_that_is_said() {
    let (place, _) = two_nights();
    let file = place.archive_files().remove(0);
    fs::remove_file(place.data().join("archive").join(&file)).unwrap();
    forget_ledger(&place);
    let said = place.idvault(&["rebuild-ledger"]).expect(9).stdout;
    assert!(said.contains(&format!("archive/{file} is missing")), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    let said = place.idvault(&["rebuild-ledger", "--without-missing"]).expect(9).stdout;
    assert!(said.contains(&format!("archive/{file} is missing")), "{said}");
    place.idvault(&["verify", "--read-data"]).expect(0);
    let removed = changes(&place).pop().unwrap().1["removed"][0]["path"].clone();
    assert_eq!(removed, file.as_str());
}

#[test]
fn a_broken_history_and_a_folder_without_an_archive_are_refused() {
    let (place, _) = two_nights();
    let path = "data/archive/_changes/0000000001.json";
    let text = fs::read_to_string(place.path(path)).unwrap();
    place.write(path, text.replace("\"kind\":\"run\"", "\"kind\":\"compact\""));
    forget_ledger(&place);
    let said = place.idvault(&["rebuild-ledger"]).expect(6).stderr;
    assert!(said.contains("is broken at commit 2"), "{said}");
    let said = Place::new().idvault(&["rebuild-ledger"]).expect(2).stderr;
    assert!(said.contains("there is no archive"), "{said}");
}

#[test]
fn a_rebuild_that_is_killed_leaves_a_ledger_that_a_second_one_completes() {
    let seed = setting("IDVAULT_REBUILD_SEED").unwrap_or(SEED);
    let kills = setting("IDVAULT_REBUILD_KILLS").unwrap_or(KILLS);
    println!("IDVAULT_REBUILD_SEED={seed} IDVAULT_REBUILD_KILLS={kills} repeat this");
    let mut random = fastrand::Rng::with_seed(seed);
    let (sound, older) = two_nights();
    let (states, bill, data_files) = (sound.states(), billing(&sound), data(&sound));
    let ids: BTreeSet<String> = sound
        .archived("verifications")
        .iter()
        .map(|row| row.id().to_owned())
        .collect();
    let mut cut_off = 0;
    for number in 0..kills {
        let place = copy_of(&sound);
        forget_ledger(&place);
        if number % 2 == 0 {
            place.write("data/ledger.sqlite", &older);
        }
        let mut run = Running::start(&mut place.command(&["rebuild-ledger"]));
        std::thread::sleep(Duration::from_micros(random.u64(..60_000)));
        cut_off += u64::from(!run.ended());
        drop(run);
        assert_eq!(data(&place), data_files, "{number}: no data file is touched");
        // Usable: either it is as new, or it is refused as before.
        let code = place.idvault(&["verify"]).code;
        assert!([Some(0), Some(6), Some(9)].contains(&code), "{number}: {code:?}");
        let night = place.night(&[]).code;
        let refused = night == Some(6);
        place.idvault(&["rebuild-ledger"]).expect(0);
        assert_eq!(place.states(), states, "{number}, refused: {refused}");
        assert_eq!(billing(&place), bill, "{number}");
        place.idvault(&["verify", "--read-data"]).expect(0);
        let archived = place.archived("verifications");
        assert_eq!(archived.len(), ids.len(), "{number}");
    }
    println!("{cut_off} of {kills} were cut off");
}
