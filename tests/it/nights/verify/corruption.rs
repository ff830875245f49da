//! Damage at random, each on a fresh copy of a sound folder: `verify` finds all of it.
//!
//! `IDVAULT_CORRUPTIONS` sets how many, `IDVAULT_CORRUPTION_SEED` draws them. Every failure says both, and what was done.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rusqlite::Connection;

use super::super::{Place, files_below, setting};
use super::{archive, copy_of, edit, sound};

const CORRUPTIONS: u64 = 44;
const SEED: u64 = 20_261_124;

/// What is done to a folder; gives it in words.
type Corruption = fn(&Place, &mut fastrand::Rng) -> String;

/// Damage to the archive: exit 9.
const FILES: [(&str, Corruption); 13] = [
    ("a bit is flipped", |place, random| {
        in_a_file(place, random, |bytes, random| {
            let at = random.usize(..bytes.len());
            bytes[at] ^= 1 << random.u8(..8);
        })
    }),
    ("a file is cut", |place, random| {
        in_a_file(place, random, |bytes, random| {
            bytes.truncate(random.usize(..bytes.len()));
        })
    }),
    ("bytes are appended", |place, random| {
        in_a_file(place, random, |bytes, random| {
            bytes.extend(vec![random.u8(..); random.usize(1..100)]);
        })
    }),
    ("the end is zeroed", |place, random| {
        in_a_file(place, random, |bytes, random| {
            let from = random.usize(..bytes.len());
            bytes[from..].fill(0);
        })
    }),
    ("two files are swapped", |place, random| {
        let [one, other] = two_files(place, random);
        let aside = place.path("aside");
        fs::rename(archive(place, &one), &aside).unwrap();
        fs::rename(archive(place, &other), archive(place, &one)).unwrap();
        fs::rename(aside, archive(place, &other)).unwrap();
        format!("{one} and {other}")
    }),
    ("a file is deleted", |place, random| {
        let file = any_file(place, random);
        fs::remove_file(archive(place, &file)).unwrap();
        file
    }),
    ("a day's folder is deleted", |place, random| {
        let file = any_file(place, random);
        let folder = Path::new(&file).parent().unwrap().to_str().unwrap().to_owned();
        fs::remove_dir_all(archive(place, &folder)).unwrap();
        folder
    }),
    ("a file is moved to another day", |place, random| {
        let file = any_file(place, random);
        let to = on_another_day(place, &file);
        fs::rename(archive(place, &file), archive(place, &to)).unwrap();
        to
    }),
    ("a file is renamed", |place, random| {
        let file = any_file(place, random);
        let to = format!("{file}.{}", random.alphanumeric());
        fs::rename(archive(place, &file), archive(place, &to)).unwrap();
        to
    }),
    ("a file is copied", |place, random| {
        let file = any_file(place, random);
        let to = if random.bool() {
            on_another_day(place, &file)
        } else {
            file.replace(".parquet", "-copy.parquet")
        };
        fs::copy(archive(place, &file), archive(place, &to)).unwrap();
        to
    }),
    ("a file has another's bytes", |place, random| {
        let [one, other] = two_files(place, random);
        fs::copy(archive(place, &one), archive(place, &other)).unwrap();
        other
    }),
    ("a file is extra", |place, random| {
        let folder = *random
            .choice(&[
                "",
                "verifications/",
                "face_images/billing_day=2026-11-01/",
                "other/deep/er/",
            ])
            .unwrap();
        let file = format!("{folder}{}.parquet", random.u32(..));
        fs::create_dir_all(archive(place, &file).parent().unwrap()).unwrap();
        place.write(&format!("data/archive/{file}"), vec![0; random.usize(..50)]);
        file
    }),
    ("a file is a link to where it went", |place, random| {
        let file = any_file(place, random);
        fs::rename(archive(place, &file), place.path("elsewhere")).unwrap();
        symlink(place.path("elsewhere"), archive(place, &file)).unwrap();
        file
    }),
];

/// Puts a reply to an id into the journal; `region`: of which the journal has it.
macro_rules! in_journal {
    ($region:literal) => {
        concat!(
            "INSERT INTO journal (number, verified_order, transaction_id, merchant_biz_id, product_code, region, run_number,
                                  fetched_at, passed, sub_code, body)
             SELECT number, coalesce(verified_at, 9223372036854775807), transaction_id, merchant_biz_id, product_code, ",
            $region,
            ", first_run, 0, coalesce(passed, 1), coalesce(sub_code, '200'), x'00' FROM transactions"
        )
    };
}

/// Edits of the ledger by hand: exit 9. A table, its key, the rows in question, and what is done to one of them.
const EDITS: [(&str, &str, &str, &[&str]); 8] = [
    (
        "transactions",
        "transaction_id",
        // A time that is unknown can't be moved.
        "state = 'answered' AND verified_at IS NOT NULL",
        &[
            "UPDATE transactions SET merchant_biz_id = 'edited'",
            "UPDATE transactions SET product_code = product_code || 'X'",
            "UPDATE transactions SET region = region || '-x'",
            "UPDATE transactions SET verified_at = verified_at + 1, deleted_from = deleted_from + 1",
            "UPDATE transactions SET verified_at = verified_at - 86400000000, deleted_from = deleted_from - 86400000000",
            "UPDATE transactions SET verified_at = NULL, deleted_from = first_seen_at, age_known = 0",
            "UPDATE transactions SET last_call_at = last_call_at + 1",
            "UPDATE transactions SET last_call_at = NULL",
            "UPDATE transactions SET passed = 1 - passed",
            "UPDATE transactions SET sub_code = sub_code || '0'",
            "UPDATE transactions SET transaction_id = transaction_id || 'x'",
            "UPDATE transactions SET state = 'lost', passed = NULL, sub_code = NULL",
            "UPDATE transactions SET state = 'pending', passed = NULL, sub_code = NULL",
            in_journal!("region"),
        ],
    ),
    (
        "transactions",
        "transaction_id",
        "state = 'answered'",
        &["DELETE FROM transactions"],
    ),
    // That the last one is gone can't be seen: the numbers before it have no gap.
    (
        "transactions",
        "transaction_id",
        "state <> 'answered' AND number < (SELECT max(number) FROM transactions)",
        &["DELETE FROM transactions"],
    ),
    (
        "transactions",
        "transaction_id",
        "state <> 'answered'",
        &[
            "UPDATE transactions SET state = 'answered', passed = 1, sub_code = '200'",
            in_journal!("region || '-x'"),
        ],
    ),
    (
        "files",
        "path",
        "TRUE",
        &[
            "UPDATE files SET path = path || 'x'",
            "UPDATE files SET path = replace(path, 'billing_day=', 'day=')",
            "UPDATE files SET dataset = iif(dataset = 'verifications', 'face_images', 'verifications')",
            "UPDATE files SET billing_day = '2026-10-01'",
            "UPDATE files SET rows = rows + 1",
            "UPDATE files SET bytes = bytes - 1",
            "UPDATE files SET sha256 = substr(sha256, 2) || 'x'",
            "UPDATE files SET run_id = 'edited'",
            "UPDATE files SET state = 'staged'",
            "UPDATE files SET state = 'staged', published_at = NULL",
            "UPDATE files SET published_at = NULL",
        ],
    ),
    ("files", "path", "TRUE", &["DELETE FROM files"]),
    (
        "tallies",
        "path",
        "TRUE",
        &[
            "UPDATE tallies SET verifications = verifications + 1",
            "UPDATE tallies SET sub_code = sub_code || '0'",
            "UPDATE tallies SET product_code = 'X' || product_code",
            "UPDATE tallies SET region = 'x' || region",
            "UPDATE tallies SET path = path || 'x'",
            "DELETE FROM tallies",
            "INSERT INTO tallies SELECT path, 'X', 'x', 'x', 1 FROM files",
        ],
    ),
    (
        "runs",
        "run_id",
        "TRUE",
        &["UPDATE runs SET run_id = 'edited'", "DELETE FROM runs"],
    ),
];

/// Does one of the statements to one of the rows.
fn edit_a_row(place: &Place, random: &mut fastrand::Rng, at: usize) -> String {
    let (table, key, of, statements) = EDITS[at];
    let row = {
        let ledger = place.ledger();
        let sql = format!("SELECT DISTINCT {key} FROM {table} WHERE {of} ORDER BY 1");
        let mut query = ledger.prepare(&sql).unwrap();
        let keys = query.query_map([], |row| row.get(0)).unwrap();
        let keys: Vec<String> = keys.map(Result::unwrap).collect();
        random.choice(keys).unwrap()
    };
    let sql = format!("{} WHERE {key} = '{row}'", random.choice(statements).unwrap());
    edit(place, &sql);
    sql
}

/// Overwrites a page of the ledger that is in use: exit 6, as nothing that it says can be trusted.
fn damage_a_page(place: &Place, random: &mut fastrand::Rng) -> String {
    let path = place.data().join("ledger.sqlite");
    let page: usize = {
        let ledger = Connection::open(&path).unwrap();
        let mut used = ledger.prepare("SELECT pageno FROM dbstat ORDER BY 1").unwrap();
        let used = used.query_map([], |row| row.get(0)).unwrap();
        let used: Vec<usize> = used.map(Result::unwrap).collect();
        random.choice(used).unwrap()
    };
    let mut bytes = fs::read(&path).unwrap();
    let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let zeroed = random.bool();
    bytes[(page - 1) * size..page * size].fill_with(|| if zeroed { 0 } else { random.u8(..) });
    place.write("data/ledger.sqlite", bytes);
    format!("page {page} is {}", if zeroed { "zeroed" } else { "noise" })
}

/// Changes the bytes of some file.
fn in_a_file(place: &Place, random: &mut fastrand::Rng, change: fn(&mut Vec<u8>, &mut fastrand::Rng)) -> String {
    let file = any_file(place, random);
    let before = fs::read(archive(place, &file)).unwrap();
    let mut bytes = before.clone();
    change(&mut bytes, random);
    assert_ne!(before, bytes);
    place.write(&format!("data/archive/{file}"), bytes);
    file
}

fn any_file(place: &Place, random: &mut fastrand::Rng) -> String {
    random.choice(place.archive_files()).unwrap()
}

fn two_files(place: &Place, random: &mut fastrand::Rng) -> [String; 2] {
    let mut files = place.archive_files();
    random.shuffle(&mut files);
    let mut files = files.into_iter();
    [files.next().unwrap(), files.next().unwrap()]
}

/// The path of a file were it of the day before all others; its folder is there.
fn on_another_day(place: &Place, file: &str) -> String {
    let (dataset, rest) = file.split_once('/').unwrap();
    let dataset = dataset.trim_end_matches("_undated");
    let name = rest.rsplit('/').next().unwrap();
    let folder = format!("{dataset}/billing_day=2026-10-31");
    fs::create_dir_all(archive(place, &folder)).unwrap();
    format!("{folder}/{name}")
}

#[test]
fn damage_at_random_is_all_found() {
    let seed = setting("IDVAULT_CORRUPTION_SEED").unwrap_or(SEED);
    let wanted = setting("IDVAULT_CORRUPTIONS").unwrap_or(CORRUPTIONS);
    println!("IDVAULT_CORRUPTION_SEED={seed} IDVAULT_CORRUPTIONS={wanted} repeat this");
    let mut random = fastrand::Rng::with_seed(seed);
    let sound = sound();
    let (mut differences, mut damaged, mut missed) = (0, 0, Vec::new());
    let kinds = FILES.len() + EDITS.len() + 1;
    for number in 0..usize::try_from(wanted).unwrap() {
        let place = copy_of(&sound);
        // Every kind comes in turn, what it hits is drawn.
        let kind = number % kinds;
        let (done, code) = if let Some((name, corrupt)) = FILES.get(kind) {
            (format!("{name}: {}", corrupt(&place, &mut random)), 9)
        } else if kind < FILES.len() + EDITS.len() {
            (edit_a_row(&place, &mut random, kind - FILES.len()), 9)
        } else {
            (damage_a_page(&place, &mut random), 6)
        };
        for args in [&["verify"][..], &["verify", "--read-data"]] {
            let ended = place.idvault(args);
            if ended.code != Some(code) {
                let (code, said) = (ended.code, ended.stdout + &ended.stderr);
                missed.push(format!("{number}: {done}: {args:?} exits {code:?}\n{said}"));
            }
        }
        differences += u64::from(code == 9);
        damaged += u64::from(code == 6);
    }
    println!(
        "{differences} differences, {damaged} damaged ledgers; {} of them not found",
        missed.len()
    );
    let missed = missed.join("\n");
    assert!(missed.is_empty(), "IDVAULT_CORRUPTION_SEED={seed}:\n{missed}");
}

/// An index of `transactions`, and a text of one of its entries.
const INDICES: [(&str, &str); 3] = [
    ("transactions_id", "made"),
    ("transactions_pending", "FACE_LIVENESS"),
    ("transactions_attention", "lost"),
];

/// Damage that leaves every page in shape: an index that says something else than its rows, or not in its order.
#[test]
fn an_index_that_does_not_fit_its_rows_is_a_damaged_ledger() {
    let sound = sound();
    edit(
        &sound,
        "UPDATE transactions SET state = 'lost' WHERE number IN (
            SELECT number FROM transactions WHERE state = 'pending' AND product_code = 'eKYC' LIMIT 3)",
    );
    sound.idvault(&["verify"]).expect(0);
    let changes: [fn(&mut [u8], &str); 2] = [change_a_letter, exchange_entries];
    for (index, text) in INDICES {
        for (number, change) in changes.iter().enumerate() {
            let place = copy_of(&sound);
            let path = place.data().join("ledger.sqlite");
            let page = {
                let ledger = Connection::open(&path).unwrap();
                let sql = "SELECT max(pageno) FROM dbstat WHERE name = ?1 AND pagetype = 'leaf'";
                ledger.query_row(sql, [index], |row| row.get::<_, usize>(0)).unwrap()
            };
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes[(page - 1) * 4096..page * 4096], text);
            place.write("data/ledger.sqlite", bytes);
            let ended = place.idvault(&["verify"]);
            let damaged = ended.code == Some(6) && ended.stderr.contains("index");
            assert!(damaged, "{index}, {number}: {}{}", ended.stdout, ended.stderr);
        }
    }
}

/// In the first entry of a leaf: behind its 8 bytes of header stands where each is, in their order.
fn change_a_letter(page: &mut [u8], text: &str) {
    let entry = usize::from(u16::from_be_bytes([page[8], page[9]]));
    let found = page[entry..]
        .windows(text.len())
        .position(|bytes| bytes == text.as_bytes());
    page[entry + found.unwrap()] ^= 1;
}

/// The first two of a leaf of an index.
fn exchange_entries(page: &mut [u8], text: &str) {
    assert!(page[0] == 0x0a && u16::from_be_bytes([page[3], page[4]]) > 1, "{text}");
    let (first, second) = page[8..12].split_at_mut(2);
    first.swap_with_slice(second);
}

#[test]
fn where_nothing_was_done_nothing_is_found() {
    let sound = sound();
    let untouched = copy_of(&sound);
    for args in [&["verify"][..], &["verify", "--read-data"], &["verify", "--repair"]] {
        let said = untouched.idvault(args).expect(0).stdout;
        assert!(said.ends_with(": 0 differences\n"), "{said}");
        assert_eq!(said.lines().count(), 2, "the history and the sum: {said}");
    }
    // The repair is in the history.
    assert_eq!(
        files_below(&untouched.data()).len(),
        files_below(&sound.data()).len() + 1
    );
}
