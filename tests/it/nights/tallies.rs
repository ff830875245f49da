//! The tallies of archive and ledger are counted apart and compared in every run. What makes them differ is a hand in the
//! ledger: its tallies are changed in ways that no sum over all shows.

use rusqlite::Connection;

use super::{Ended, NEXT_NIGHT, Place, made_up};

/// Changes the ledger as no run does.
fn edit(place: &Place, sql: &str) {
    let ledger = Connection::open(place.data().join("ledger.sqlite")).unwrap();
    ledger.execute_batch(sql).unwrap();
}

fn night(place: &Place, pending: &str) -> Ended {
    let path = place.write(&format!("{}.csv", pending.len()), pending);
    place.night(&["--pending", &path])
}

#[track_caller]
fn says_one_difference(place: &Place, night: Ended, what: &str) {
    let night = night.expect(9);
    assert!(night.stderr.contains(what), "{}", night.stderr);
    let summary = place.summary();
    let reasons = summary["reasons"].as_array().unwrap();
    let named: Vec<&str> = reasons
        .iter()
        .filter(|reason| reason["exit_code"] == 9)
        .map(|reason| reason["reason"].as_str().unwrap())
        .collect();
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].contains(what), "{named:?}");
}

/// The rows of what a run published are counted again from its files: here one was tallied with another sub code.
#[test]
fn a_run_holds_what_it_published_to_its_tallies() {
    let place = Place::new();
    night(&place, &made_up(30, 2, "FACE_LIVENESS"));
    edit(
        &place,
        "CREATE TRIGGER another_sub_code AFTER INSERT ON tallies WHEN NEW.sub_code = '200' BEGIN
             UPDATE tallies SET sub_code = '777' WHERE path = NEW.path AND sub_code = '200';
         END",
    );
    let second = night(&place, &made_up(90, 1, "FACE_LIVENESS").replace("made", "later"));
    let file = place
        .archive_files()
        .into_iter()
        .find(|file| file.contains("-0002-"))
        .unwrap();
    assert!(second.stderr.contains(&file), "{file}: {}", second.stderr);
    says_one_difference(&place, second, "tallied as 0");
    place.idvault(&["verify"]).expect(9);
}

/// Two files' tallies, one too many here and one too few there: their sum is what it was.
#[test]
fn a_run_holds_every_files_tallies_to_its_rows() {
    let mut place = Place::new();
    night(&place, &made_up(60, 2, "FACE_LIVENESS"));
    edit(
        &place,
        "UPDATE tallies SET verifications = verifications + 1
         WHERE (path, sub_code) = (SELECT path, sub_code FROM tallies WHERE verifications > 1 ORDER BY path LIMIT 1);
         UPDATE tallies SET verifications = verifications - 1
         WHERE (path, sub_code) = (SELECT path, sub_code FROM tallies WHERE verifications > 1 ORDER BY path DESC LIMIT 1);",
    );
    place.now = NEXT_NIGHT;
    let second = place.night(&[]);
    let first = &place.archive_files()[0];
    let rows = place.rows_of(first).len();
    says_one_difference(
        &place,
        second,
        &format!("{first} has {rows} rows, tallied as {}", rows + 1),
    );
}

/// A month that is compared with the bill is counted again, whichever run published it. The bill is right.
#[test]
fn a_month_that_is_compared_with_the_bill_is_counted_again() {
    let mut place = Place::new();
    night(&place, &made_up(60, 1, "FACE_LIVENESS"));
    place.now = "2026-12-04T02:00:00Z";
    let calls = place.archived("verifications").len();
    let bill = format!(
        "BillingDate,BillingItemCode,Region,Usage,PretaxAmount,Currency,Item\n\
         2026-11-01,FACE_LIVENESS,ap-southeast-1,{calls},{}.{:03},USD,PayAsYouGoBill\n",
        calls * 26 / 1_000,
        calls * 26 % 1_000
    );
    let bill = place.write("bill.csv", bill);
    let reconcile = ["reconcile", "--bill", &bill];
    place.idvault(&reconcile).expect(0);
    edit(
        &place,
        "UPDATE tallies SET verifications = verifications - 1 WHERE sub_code = '200';
         UPDATE tallies SET verifications = verifications + 1
         WHERE sub_code = (SELECT max(sub_code) FROM tallies WHERE sub_code <> '200')",
    );
    let after = place.idvault(&reconcile).expect(9);
    assert!(after.stderr.contains("archive and ledger differ"), "{}", after.stderr);
}
