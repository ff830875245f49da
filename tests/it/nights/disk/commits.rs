//! A commit is a sync of the disk, and its pages are written twice: their number must not grow with what is published.

use super::super::{Ended, made_up};
use super::Disk;
use super::night::Night;

/// Syncs of the WAL from the first Parquet file on.
fn commits_with(days: usize) -> usize {
    let night = Night::new(false);
    night.place.write("pending.csv", made_up(60, days, "FACE_LIVENESS"));
    let disk = Disk::that("create:*/.staging/*.parquet note");
    Ended::of(disk.under(&mut night.command()).output().unwrap()).expect(4);
    assert_eq!(night.place.archive_files().len(), days);
    let calls = disk.fired().unwrap();
    let commits = calls
        .iter()
        .filter(|call| call.starts_with("sync ") && call.ends_with("ledger.sqlite-wal"));
    commits.count()
}

#[test]
fn a_publication_takes_as_many_commits_however_many_days_it_covers() {
    let (few, many) = (commits_with(1), commits_with(20));
    assert!(few > 0);
    assert_eq!(few, many);
}
