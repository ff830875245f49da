//! The tallies of archive and ledger are counted apart and compared in every run. What makes them differ is a hand in the
//! ledger: its tallies are changed in ways that no sum over all shows.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::verify::{copy_of, edit};
use super::{Ended, NEXT_NIGHT, Place, made_up};

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

/// What the vendor should charge for all that is archived, which is of one day.
fn right_bill(place: &Place) -> String {
    let calls = place.archived("verifications").len();
    let bill = format!(
        "BillingDate,BillingItemCode,Region,Usage,PretaxAmount,Currency,Item\n\
         2026-11-01,FACE_LIVENESS,ap-southeast-1,{calls},{}.{:03},USD,PayAsYouGoBill\n",
        calls * 26 / 1_000,
        calls * 26 % 1_000
    );
    place.write("bill.csv", bill)
}

/// A month that is compared with the bill is counted again, whichever run published it. The bill is right.
#[test]
fn a_month_that_is_compared_with_the_bill_is_counted_again() {
    let mut place = Place::new();
    night(&place, &made_up(60, 1, "FACE_LIVENESS"));
    place.now = "2026-12-04T02:00:00Z";
    let bill = right_bill(&place);
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

/// A file that is sound in itself, but for the sub code of one row.
fn change_a_row(place: &Place) {
    let file = place.archive_files().remove(0);
    let path = place.data().join("archive").join(&file);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let at = batch.schema().index_of("sub_code").unwrap();
    let mut codes: Vec<&str> = batch.column(at).as_string::<i32>().iter().flatten().collect();
    *codes.iter_mut().find(|code| **code == "200").unwrap() = "205";
    let mut columns = batch.columns().to_vec();
    columns[at] = Arc::new(StringArray::from(codes));
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    let changed = RecordBatch::try_new(batch.schema(), columns).unwrap();
    writer.write(&changed).unwrap();
    place.write(&format!("data/archive/{file}"), writer.into_inner().unwrap());
}

/// What a person does to a folder.
type Hand = fn(&Place);

/// Three counts are held to each other whatever the bill says: the tallies, the archive's rows and the ledger's ids.
#[test]
fn a_hand_in_any_of_the_three_counts_is_named_by_reconcile() {
    let hands: [(&str, Hand); 4] = [
        ("tallied as", |place| {
            edit(place, "UPDATE tallies SET sub_code = '777' WHERE sub_code = '200'");
        }),
        ("archived ids of FACE_LIVENESS", |place| {
            let one = "(SELECT min(number) FROM transactions WHERE sub_code = '200')";
            edit(
                place,
                &format!("UPDATE transactions SET sub_code = '204' WHERE number = {one}"),
            );
        }),
        ("has another SHA-256", |place| {
            edit(
                place,
                "UPDATE files SET sha256 = replace(sha256, substr(sha256, 1, 1), 'x')",
            );
        }),
        ("rows of FACE_LIVENESS ap-southeast-1 20", change_a_row),
    ];
    let mut place = Place::new();
    night(&place, &made_up(12, 1, "FACE_LIVENESS"));
    place.now = "2026-12-04T02:00:00Z";
    for (what, hand) in hands {
        let place = copy_of(&place);
        let bill = right_bill(&place);
        let reconcile = ["reconcile", "--bill", &bill, "--json"];
        let before = place.idvault(&reconcile).expect(0).json();
        assert_eq!(before["archive_differs"], serde_json::json!([]));
        hand(&place);
        let json = place.idvault(&reconcile).expect(9).json();
        let named = json["archive_differs"].to_string();
        assert!(named.contains(what), "{what}: {named}");
        let table = place.idvault(&reconcile[..3]).expect(9).stdout;
        assert!(
            table.contains("archive and ledger differ: ") && table.contains(what),
            "{what}: {table}"
        );
    }
}
