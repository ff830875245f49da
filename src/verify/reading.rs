//! The archive's side: every file is hashed and decoded, several at a time, and its rows are taken off the balance.
//!
//! - [`Reading`]: what the readers share; [`Waiting`]: the files that nobody reads yet
//! - [`ReadFile`]: what a file turned out to be

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::balance::{Balance, Item, Key};
use super::compare_bytes;
use crate::archive::{Archive, ArchiveError, Columns, StoredFace, StoredRow};
use crate::difference::{Difference, Differences};
use crate::ledger::ManifestFile;
use crate::record::{expires_at, sha256_hex};
use crate::tally::Counted;

/// Files that are read at the same time, beside the ledger. Each takes some 10 MiB while it is decoded.
pub(super) const READERS: usize = 2;

/// Where a day begins first (UTC+14), and where it ends last (UTC-12).
const EAST: SignedDuration = SignedDuration::from_hours(14);
const WEST: SignedDuration = SignedDuration::from_hours(12);

/// What the readers share.
pub(super) struct Reading<'a> {
    pub(super) archive: &'a Archive,
    pub(super) manifest: &'a [ManifestFile],
    /// The ids of all runs.
    pub(super) run_ids: BTreeSet<String>,
    /// The files that are decoded whole, by their number.
    pub(super) sample: BTreeSet<usize>,
    pub(super) key: Key,
}

/// The files that nobody reads yet.
pub(super) struct Waiting<'a> {
    files: &'a [usize],
    next: AtomicUsize,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(files: &'a [usize]) -> Self {
        let next = AtomicUsize::new(0);
        Self { files, next }
    }

    /// Leaves those that nobody has begun with.
    pub(super) fn leave(&self) {
        self.next.store(self.files.len(), Ordering::Relaxed);
    }

    fn take(&self) -> Option<usize> {
        self.files.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }
}

/// What a file of the manifest turned out to be.
pub(super) struct ReadFile {
    /// Its number there.
    pub(super) number: usize,
    /// What is wrong with it in itself.
    pub(super) found: Differences,
    /// Its verifications by product, region and sub code; `None` where it holds faces, or can't be read.
    pub(super) counted: Option<Counted>,
}

impl Reading<'_> {
    /// Reads one file after the other until none is waiting.
    pub(super) fn read(&self, waiting: &Waiting<'_>) -> Result<(Balance, Vec<ReadFile>), ArchiveError> {
        let mut balance = Balance::new(self.key);
        let mut files = Vec::new();
        while let Some(number) = waiting.take() {
            let read = self.read_file(number, &mut balance);
            files.push(read.inspect_err(|_| waiting.leave())?);
        }
        Ok((balance, files))
    }

    fn read_file(&self, number: usize, balance: &mut Balance) -> Result<ReadFile, ArchiveError> {
        let file = &self.manifest[number];
        let mut read = ReadFile {
            number,
            found: Differences::default(),
            counted: None,
        };
        let different = compare_bytes(self.archive, file)?;
        // A changed file is read all the same: it may say more.
        let unreadable = matches!(different, Some(Difference::UnreadableFile { .. }));
        if let Some(difference) = different {
            read.found.add(difference);
        }
        if unreadable {
            return Ok(read);
        }
        let columns = if self.sample.contains(&number) {
            Columns::All
        } else {
            Columns::Compared
        };
        let rows = if file.dataset == "verifications" {
            let counted = self.read_verifications(file, columns, balance, &mut read.found);
            counted.map(|counted| read.counted.insert(counted).values().sum())
        } else {
            self.read_faces(file, columns, balance, &mut read.found)
        };
        match rows {
            Ok(rows) if rows == file.rows => {}
            Ok(rows) => read.found.add(Difference::ChangedFile {
                path: file.path.clone(),
                what: format!("{rows} rows, the manifest says {}", file.rows),
            }),
            Err(error @ (ArchiveError::Unreadable { .. } | ArchiveError::File(_))) => {
                read.found.add(Difference::UnreadableFile {
                    path: file.path.clone(),
                    why: crate::error_chain(&error),
                });
            }
            Err(other) => return Err(other),
        }
        Ok(read)
    }

    fn read_verifications(
        &self,
        file: &ManifestFile,
        columns: Columns,
        balance: &mut Balance,
        found: &mut Differences,
    ) -> Result<Counted, ArchiveError> {
        let day = PossibleTimes::of(file.billing_day.as_deref());
        self.archive.read_verifications(&file.path, columns, &mut |row| {
            let transaction_id = row.transaction_id;
            balance.take(transaction_id, Item::Verification(row.into()));
            if let Some(sha256) = row.face_image_sha256 {
                balance.add(transaction_id, Item::Face { transaction_id, sha256 });
            }
            let own_run = row.run_id.is_some_and(|run_id| self.run_ids.contains(run_id));
            let on_day = day.as_ref().is_none_or(|day| day.hold(row.verified_at));
            let columns = [
                (expires(row) == row.expires_at, "expires_at"),
                (own_run, "run_id"),
                (on_day, "billing_day"),
            ];
            for (_, column) in columns.into_iter().filter(|(agrees, _)| !agrees) {
                found.add(Difference::Row {
                    transaction_id: transaction_id.to_owned(),
                    path: file.path.clone(),
                    column,
                });
            }
            Ok(())
        })
    }

    /// The faces of a verification are written one after the other, so the first of them is where another's end. Should
    /// they be mixed up nevertheless, the balance is uneven, and the rows are looked at one by one.
    fn read_faces(
        &self,
        file: &ManifestFile,
        columns: Columns,
        balance: &mut Balance,
        found: &mut Differences,
    ) -> Result<u64, ArchiveError> {
        let mut whose: Option<String> = None;
        self.archive.read_faces(&file.path, columns, &mut |face| {
            let StoredFace {
                transaction_id,
                sha256,
                image,
            } = face;
            if image.is_some_and(|image| sha256_hex(image) != sha256) {
                let path = &file.path;
                let what = format!("has an image in {path} whose SHA-256 is another than the file says");
                found.add(Difference::Face {
                    transaction_id: transaction_id.to_owned(),
                    what,
                });
            }
            if whose.as_deref() != Some(transaction_id) {
                balance.take(transaction_id, Item::Face { transaction_id, sha256 });
                whose = Some(transaction_id.to_owned());
            }
            Ok(())
        })
    }
}

/// When a row says that the vendor deletes it, by the time that it gives.
fn expires(row: StoredRow<'_>) -> Option<i64> {
    let verified_at = Timestamp::from_microsecond(row.verified_at?).ok()?;
    Some(expires_at(verified_at).as_microsecond())
}

/// The times that fall on a billing day in some zone: the configured zone may have been another when the file was
/// published, which is no difference.
struct PossibleTimes(Option<(Timestamp, Timestamp)>);

impl PossibleTimes {
    /// `None` where the manifest's day is none.
    fn of(billing_day: Option<&str>) -> Option<Self> {
        let Some(day) = billing_day else {
            return Some(Self(None));
        };
        let day: Date = day.parse().ok()?;
        let begins = |day: Date| Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp());
        let first = begins(day)?.checked_sub(EAST).ok()?;
        let end = begins(day.tomorrow().ok()?)?.checked_add(WEST).ok()?;
        Some(Self(Some((first, end))))
    }

    /// A row of unknown time belongs to the unknown day, and no other.
    fn hold(&self, verified_at: Option<i64>) -> bool {
        match (&self.0, verified_at) {
            (None, None) => true,
            (Some((first, end)), Some(micros)) => (first.as_microsecond()..end.as_microsecond()).contains(&micros),
            _ => false,
        }
    }
}
