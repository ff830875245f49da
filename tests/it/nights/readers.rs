//! Who looks does not hold up who works.

use std::io::Read as _;

use super::verify::edit;
use super::{NEXT_NIGHT, Place, Running, made_up};

/// More lines than a pipe holds.
const QUARANTINED: usize = 3_000;

/// `quarantine list | less`, left open: the run's commits must not pile up in the write-ahead log until that ends.
#[test]
fn a_reader_that_stays_does_not_keep_the_write_ahead_log_from_being_written_back() {
    let mut place = Place::new();
    let source = place.write("first.csv", made_up(20, 2, "FACE_LIVENESS"));
    place.night(&["--pending", &source]);
    edit(
        &place,
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {QUARANTINED})
             INSERT INTO transactions (number, transaction_id, product_code, product_assumed, region, region_assumed,
                 verified_at, first_seen_at, first_run, deleted_from, age_known, state, failed_runs, last_call_code)
             SELECT last + i, 'quarantined' || i, 'FACE_LIVENESS', 0, 'ap-southeast-1', 0,
                 made, made, 1, made + 2592000000000, 1, 'quarantined', 5, 'InternalError'
             FROM n, (SELECT max(number) AS last FROM transactions),
                 (SELECT CAST(strftime('%s', '2026-11-20T10:00:00Z') AS INTEGER) * 1000000 AS made)"
        ),
    );
    let mut reader = Running::start(&mut place.command(&["quarantine", "list"]));
    let mut first = [0];
    reader.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();

    place.now = NEXT_NIGHT;
    let source = place.write("second.csv", made_up(200, 2, "FACE_LIVENESS").replace("made", "later"));
    place.night(&["--pending", &source]).expect(4);
    assert!(!reader.ended(), "it stays");
    let log = place.data().join("ledger.sqlite-wal");
    assert!(!log.exists(), "{} bytes", log.metadata().unwrap().len());
    let list = reader.end().expect(0).stdout;
    assert_eq!(list.lines().count(), 1 + QUARANTINED);
}
