//! One history of ledger and archive: each commit has one record, in the ledger and in `archive/_changes/`. A ledger that is older than
//! the archive, of another one or of another account is refused.

use std::fs;
use std::path::PathBuf;

use idvault::record::sha256_hex;
use serde_json::Value;

use super::closing::{FOURTH, after_october};
use super::verify::{copy_of, edit};
use super::{NEXT_NIGHT, Place, made_up};

/// The records of the archive, each as it is in its file.
pub(super) fn changes(place: &Place) -> Vec<(String, Value)> {
    let folder = place.data().join("archive/_changes");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let texts = paths.into_iter().map(|path| fs::read_to_string(path).unwrap());
    texts
        .map(|text| (text.clone(), serde_json::from_str(&text).unwrap()))
        .collect()
}

fn kinds(place: &Place) -> Vec<String> {
    let kind = |(_, record): (String, Value)| record["kind"].as_str().unwrap().to_owned();
    changes(place).into_iter().map(kind).collect()
}

fn ledger_of(place: &Place) -> PathBuf {
    place.data().join("ledger.sqlite")
}

/// Two nights of 40 verifications each, and a copy of the ledger between them.
pub(super) fn two_nights() -> (Place, Vec<u8>) {
    let mut place = Place::new();
    let first = place.write("first.csv", made_up(40, 3, "FACE_LIVENESS"));
    place.night(&["--pending", &first]);
    let older = fs::read(ledger_of(&place)).unwrap();
    place.now = NEXT_NIGHT;
    let second = place.write("second.csv", made_up(40, 3, "eKYC").replace("made", "later"));
    place.night(&["--pending", &second]);
    place.idvault(&["verify", "--read-data"]).expect(0);
    (place, older)
}

#[test]
fn every_commit_has_one_record_in_the_ledger_and_in_the_archive_chained_by_hashes() {
    let (place, _) = two_nights();
    let changes = changes(&place);
    assert_eq!(kinds(&place), ["run", "run"]);
    let (mut before, mut files) = (Value::Null, Vec::new());
    for (number, (text, record)) in changes.iter().enumerate() {
        assert_eq!(record["commit"], number + 1);
        assert_eq!(record["previous"], before);
        assert_eq!(record["archive_id"], changes[0].1["archive_id"]);
        assert_eq!(record["by"]["arguments"][0], "run");
        before = sha256_hex(text.as_bytes()).into();
        for file in record["added"].as_array().unwrap() {
            let path = place.data().join("archive").join(file["path"].as_str().unwrap());
            let bytes = fs::read(path).unwrap();
            assert_eq!(file["sha256"], sha256_hex(&bytes));
            assert_eq!(file["bytes"], bytes.len());
            files.push(file["path"].as_str().unwrap().to_owned());
        }
        let same = "SELECT count(*) FROM changes WHERE commit_number = ?1 AND record = ?2 AND sha256 = ?3";
        let sha256 = sha256_hex(text.as_bytes());
        let same: u64 = place
            .ledger()
            .query_row(same, (number + 1, text, sha256), |row| row.get(0))
            .unwrap();
        assert_eq!(same, 1, "the ledger has the same bytes");
    }
    files.sort();
    assert_eq!(files, place.archive_files());
}

/// Seen: the next run published the second night once more.
#[test]
fn an_older_ledger_is_refused_and_the_sentence_says_which_and_what_to_do() {
    let (place, older) = two_nights();
    let archive = place.archive_files();
    place.write("data/ledger.sqlite", older);
    for args in [
        &["run", "--sandbox", "--qps", "unlimited"][..],
        &["compact"],
        &["close", "--month", "2026-10", "--accept", "no-bill=a test"],
        &["quarantine", "retry", "--all"],
        &["verify", "--repair"],
    ] {
        let said = place.idvault(args).expect(6).stderr;
        assert!(
            said.contains("is older than the archive: its last commit is 1, the archive's is 2"),
            "{args:?}: {said}"
        );
        assert!(said.contains("idvault rebuild-ledger"), "{said}");
    }
    assert_eq!(place.archive_files(), archive);
    let said = place.idvault(&["verify"]).expect(9).stdout;
    assert!(
        said.contains("history: the ledger") && said.contains("is older than the archive"),
        "{said}"
    );
}

#[test]
fn the_ledger_of_another_archive_and_one_that_went_another_way_are_refused() {
    let (place, older) = two_nights();
    let (other, _) = two_nights();
    place.write("data/ledger.sqlite", fs::read(ledger_of(&other)).unwrap());
    let said = place.idvault(&["run", "--sandbox"]).expect(6).stderr;
    assert!(said.contains("belongs to the archive"), "{said}");

    // The older copy got an archive of its own, and a third night there.
    let (elsewhere, _) = two_nights();
    let branch = copy_of(&elsewhere);
    drop(older);
    let third = branch.write("third.csv", made_up(40, 3, "FACE_LIVENESS").replace("made", "branch"));
    branch.night(&["--pending", &third]);
    let third = elsewhere.write("third.csv", made_up(40, 3, "FACE_LIVENESS").replace("made", "other"));
    elsewhere.night(&["--pending", &third]);
    elsewhere.write("data/ledger.sqlite", fs::read(ledger_of(&branch)).unwrap());
    let said = elsewhere.idvault(&["run", "--sandbox"]).expect(6).stderr;
    assert!(said.contains("different histories: commit 3"), "{said}");
}

/// A run that is cut off after its commit leaves no file of it; a folder that is older than the history begins with what it has.
#[test]
fn a_file_that_a_crash_left_out_is_written_and_a_history_begins_with_what_is_there() {
    let (place, _) = two_nights();
    let newest = place.data().join("archive/_changes/0000000002.json");
    let text = fs::read_to_string(&newest).unwrap();
    fs::remove_file(&newest).unwrap();
    place.idvault(&["verify"]).expect(0);
    place.night(&[]);
    assert_eq!(fs::read_to_string(&newest).unwrap(), text);

    fs::remove_dir_all(place.data().join("archive/_changes")).unwrap();
    edit(&place, "DELETE FROM changes; DELETE FROM identity");
    let said = place.idvault(&["verify"]).expect(0).stdout;
    assert!(said.contains("history: none yet"), "{said}");
    place.night(&[]);
    let changes = changes(&place);
    assert_eq!(changes[0].1["kind"], "begin");
    let mut files: Vec<&str> = changes[0].1["added"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    files.sort_unstable();
    assert_eq!(files, place.archive_files());
    assert_eq!(changes[0].1["details"]["source"]["answered_by"], "loopback");
    place.idvault(&["verify", "--read-data"]).expect(0);
}

/// What somebody does to a data folder.
type Hand<'a> = &'a dyn Fn(&Place);

#[test]
fn a_hand_in_the_history_is_found() {
    let (sound, _) = two_nights();
    let file = |number: u32| format!("data/archive/_changes/{number:010}.json");
    let changed = |place: &Place, number: u32, from: &str, to: &str| {
        let text = fs::read_to_string(place.path(&file(number))).unwrap();
        assert!(text.contains(from));
        place.write(&file(number), text.replace(from, to));
    };
    let hands: [(&str, Hand<'_>); 6] = [
        ("has another record than the ledger", &|place| {
            changed(place, 1, "\"rows\":", "\"rows\":1");
        }),
        ("has no record of it", &|place| {
            fs::remove_file(place.path(&file(1))).unwrap();
        }),
        ("another SHA-256 than was written down", &|place| {
            edit(
                place,
                "UPDATE changes SET record = replace(record, 'FACE', 'FAKE') || ' ' WHERE commit_number = 1",
            );
        }),
        ("the ledger has no record of it", &|place| {
            edit(place, "DELETE FROM changes WHERE commit_number = 1");
        }),
        ("is in the history and not in the manifest", &|place| {
            edit(
                place,
                "DELETE FROM tallies WHERE path = (SELECT min(path) FROM files);
                 DELETE FROM files WHERE path = (SELECT min(path) FROM files)",
            );
        }),
        ("belongs to the archive", &|place| {
            edit(place, "UPDATE identity SET archive_id = 'another'");
        }),
    ];
    for (said, hand) in hands {
        let place = copy_of(&sound);
        hand(&place);
        let found = place.idvault(&["verify"]).expect(9).stdout;
        assert!(found.contains("history: ") && found.contains(said), "{said}: {found}");
    }
}

/// Seen: the month's file and its row, edited together, were no difference.
#[test]
fn a_closed_month_that_was_edited_in_both_places_is_found_and_a_key_finds_a_forged_history() {
    let place = after_october();
    place.write("key", "k".repeat(64));
    place.write("idvault.toml", "[integrity]\nkey_file = \"key\"\n");
    let close = [
        "close",
        "--month",
        "2026-10",
        "--accept",
        "no-bill=there is no bill in a test",
    ];
    place.idvault(&close).expect(0);
    let said = place.idvault(&["verify"]).expect(0).stdout;
    assert!(
        said.contains("history: 2 commits, 1 authenticated by [integrity] key_file"),
        "{said}"
    );
    let record = place.data().join("closed/2026-10.json");
    let text = fs::read_to_string(&record)
        .unwrap()
        .replace("there is no bill", "there was a bill");
    place.write("data/closed/2026-10.json", &text);
    let sha256 = sha256_hex(text.as_bytes());
    let text = text.replace('\'', "''");
    edit(
        &place,
        &format!("UPDATE closed_months SET record = '{text}', sha256 = '{sha256}'"),
    );
    let said = place.idvault(&["verify"]).expect(9).stdout;
    assert!(
        said.contains("2026-10 is closed with another record than the history has"),
        "{said}"
    );

    // With the record of the history, too: only the key tells.
    let path = "data/archive/_changes/0000000002.json";
    let change = fs::read_to_string(place.path(path)).unwrap();
    let before: Value = serde_json::from_str(&change).unwrap();
    let forged = change.replace(before["details"]["sha256"].as_str().unwrap(), &sha256);
    place.write(path, &forged);
    let sha256 = sha256_hex(forged.as_bytes());
    let forged = forged.replace('\'', "''");
    edit(
        &place,
        &format!("UPDATE changes SET record = '{forged}', sha256 = '{sha256}' WHERE commit_number = 2"),
    );
    let said = place.idvault(&["verify"]).expect(9).stdout;
    assert!(said.contains("its HMAC is not of the key"), "{said}");
    place.write("idvault.toml", "");
    let said = place.idvault(&["verify"]).expect(0).stdout;
    assert!(said.contains("1 with an HMAC that was not checked"), "{said}");
}

#[test]
fn a_key_in_the_data_folder_and_one_that_is_too_short_are_refused() {
    let place = after_october();
    place.write("data/key", "k".repeat(64));
    place.write("short", "k");
    for (key, why) in [
        ("data/key", "it lies in the data folder"),
        ("short", "a key has from 32"),
    ] {
        place.write("idvault.toml", format!("[integrity]\nkey_file = \"{key}\"\n"));
        let said = place.idvault(&["verify"]).expect(3).stderr;
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn decisions_are_in_the_same_chain_with_who_took_them() {
    let place = after_october();
    edit(
        &place,
        "UPDATE transactions SET state = 'quarantined', passed = NULL, sub_code = NULL
         WHERE number IN (SELECT number FROM transactions WHERE state = 'pending' LIMIT 2)",
    );
    let quarantined: Vec<String> = {
        let ledger = place.ledger();
        let mut ids = ledger
            .prepare("SELECT transaction_id FROM transactions WHERE state = 'quarantined'")
            .unwrap();
        let ids = ids.query_map([], |row| row.get(0)).unwrap();
        ids.map(Result::unwrap).collect()
    };
    assert!(quarantined.len() >= 2, "{quarantined:?}");
    let drop = ["quarantine", "drop", &quarantined[0], "--reason", "a test of ours"];
    let mut command = place.command(&drop);
    let dropped = command.env("USER", "olga").env("SUDO_USER", "ivan").output().unwrap();
    super::Ended::of(dropped).expect(0);
    place.idvault(&["quarantine", "retry", "--all"]).expect(0);
    place.idvault(&["verify", "--repair"]).expect(0);
    assert_eq!(kinds(&place), ["run", "quarantine_drop", "quarantine_retry", "repair"]);
    let dropped = changes(&place).remove(1).1;
    assert_eq!(dropped["details"]["reason"], "a test of ours");
    assert_eq!(
        dropped["details"]["transaction_ids"],
        serde_json::json!([quarantined[0]])
    );
    assert_eq!(dropped["by"]["user"], "olga (sudo by ivan)");
    assert_eq!(dropped["by"]["arguments"][1], "drop");
    assert_eq!(dropped["now"], FOURTH, "the clock that was given is kept");
    assert_ne!(dropped["at"], FOURTH, "beside the real one");
    assert!(!dropped["by"]["host"].as_str().unwrap().is_empty());
    place.idvault(&["verify"]).expect(0);
}

/// A run that publishes nothing is no change, but for the clock that it was given.
#[test]
fn a_clock_that_was_given_is_kept_also_of_a_run_that_changes_nothing() {
    let (place, _) = two_nights();
    let before = kinds(&place).len();
    place.night(&[]);
    let changes = changes(&place);
    assert_eq!(changes.len(), before + 1);
    assert_eq!(changes.last().unwrap().1["now"], NEXT_NIGHT);
    assert_eq!(changes.last().unwrap().1["added"], serde_json::json!([]));
}

#[test]
fn a_month_is_closed_by_the_real_clock_and_not_before_it_is_over_by_it() {
    let mut place = after_october();
    place.now = "2099-01-10T02:00:00Z";
    let close = |month| {
        [
            "close",
            "--month",
            month,
            "--accept",
            "no-bill=there is no bill in a test",
        ]
    };
    let said = place.idvault(&close("2098-12")).expect(2).stderr;
    assert!(
        said.contains("the vendor's bill of 2098-12 can change until 2099-01-04"),
        "{said}"
    );
    let said = place.idvault(&close("2026-10")).expect(0).stdout;
    assert!(!said.contains("at 2099"), "{said}");
    let closed = changes(&place).pop().unwrap().1;
    assert_eq!((&closed["kind"], &closed["now"]), (&"close".into(), &place.now.into()));
}

/// As the vendor's answers and a sandbox's are kept apart.
#[test]
fn the_configuration_of_another_account_is_refused() {
    let place = Place::new();
    let ids = place.write("pending.csv", made_up(4, 1, "FACE_LIVENESS"));
    let named = |name: &str| place.write("idvault.toml", format!("account = \"{name}\"\n"));
    named("one");
    place.night(&["--pending", &ids]);
    named("other");
    let said = place.night(&[]).expect(6).stderr;
    assert!(
        said.contains("it has asked the account \"one\", and this run would ask \"other\""),
        "{said}"
    );
    place.write("idvault.toml", "");
    let said = place.night(&[]).expect(6).stderr;
    assert!(said.contains("write account = \"one\" into it"), "{said}");
    named("one");
    assert_ne!(place.night(&[]).code, Some(6));
}

/// Without names the endpoints decide. Nobody is asked: nothing is due.
#[test]
fn other_endpoints_are_another_account_unless_both_have_its_name() {
    let place = Place::new();
    let run = |host: &str| {
        let url = format!("https://{host}.invalid");
        let mut run = place.command(&["run", "--endpoint", &url]);
        let run = run
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", idvault::sandbox::SANDBOX_ACCESS_KEY_ID)
            .env(
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
                idvault::sandbox::SANDBOX_ACCESS_KEY_SECRET,
            );
        super::Ended::of(run.output().unwrap())
    };
    assert_ne!(run("one").code, Some(6));
    let said = run("other").expect(6).stderr;
    assert!(said.contains("it has asked one.invalid in"), "{said}");
    place.write("idvault.toml", "account = \"same\"\n");
    assert_ne!(run("one").code, Some(6), "the name is remembered with them");
    assert_ne!(run("other").code, Some(6), "the same name may be asked elsewhere");
}
