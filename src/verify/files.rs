//! One file of the archive: its bytes against the manifest, and its rows against the ledger.
//!
//! - [`compare`]: does it

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::compare_bytes;
use super::rows::Rows;
use crate::archive::{Archive, ArchiveError, Columns, StoredRow};
use crate::difference::Difference;
use crate::ledger::ManifestFile;
use crate::publish::PublishError;
use crate::record::{expires_at, sha256_hex};
use crate::tally;

/// Where a day begins first (UTC+14), and where it ends last (UTC-12).
const EAST: SignedDuration = SignedDuration::from_hours(14);
const WEST: SignedDuration = SignedDuration::from_hours(12);

/// Compares a file that is there, by its number in the manifest.
pub(super) fn compare(
    archive: &Archive,
    number: usize,
    columns: Columns,
    rows: &mut Rows<'_>,
) -> Result<(), PublishError> {
    let file = &rows.manifest[number];
    let different = compare_bytes(archive, file)?;
    // A changed file is read all the same: it may say more.
    let unreadable = matches!(different, Some(Difference::UnreadableFile { .. }));
    if let Some(difference) = different {
        rows.found.add(difference);
    }
    if unreadable {
        return Ok(());
    }
    let read = if file.dataset == "verifications" {
        read_verifications(archive, (number, file), columns, rows)
    } else {
        read_faces(archive, (number, file), columns, rows)
    };
    let path = || file.path.clone();
    match read {
        Ok(read) if read == file.rows => {}
        Ok(read) => {
            let what = format!("{read} rows, the manifest says {}", file.rows);
            rows.found.add(Difference::ChangedFile { path: path(), what });
        }
        Err(PublishError::Archive(
            error @ (ArchiveError::Unreadable { .. } | ArchiveError::Newer { .. } | ArchiveError::File(_)),
        )) => {
            let why = crate::error_chain(&error);
            rows.found.add(Difference::UnreadableFile { path: path(), why });
        }
        Err(other) => return Err(other),
    }
    Ok(())
}

fn read_verifications(
    archive: &Archive,
    (number, file): (usize, &ManifestFile),
    columns: Columns,
    rows: &mut Rows<'_>,
) -> Result<u64, PublishError> {
    let day = PossibleTimes::of(file.billing_day.as_deref());
    let counted = archive.read_verifications(&file.path, columns, &mut |row: StoredRow<'_>| {
        let on_day = day.as_ref().is_none_or(|day| day.hold(row.verified_at));
        let own_run = row.run_id.is_some_and(|run_id| rows.run_ids.contains(run_id));
        let columns = [
            (expires(row) == row.expires_at, "expires_at"),
            (own_run, "run_id"),
            (on_day, "billing_day"),
        ];
        for (_, column) in columns.into_iter().filter(|(agrees, _)| !agrees) {
            rows.found.add(Difference::Row {
                transaction_id: row.transaction_id.to_owned(),
                path: file.path.clone(),
                column,
            });
        }
        rows.compare(number, row).map_err(PublishError::from)
    })?;
    let tallied = rows.ledger.tallies_of(&file.path)?;
    if let Some((key, count, tally)) = tally::differing(&counted, &tallied).next() {
        let (path, key) = (file.path.clone(), key.join(" "));
        let what = format!("{count} rows of {key}, tallied as {tally}");
        rows.found.add(Difference::Tallies { path, what });
    }
    Ok(counted.values().sum())
}

fn read_faces(
    archive: &Archive,
    (number, file): (usize, &ManifestFile),
    columns: Columns,
    rows: &mut Rows<'_>,
) -> Result<u64, PublishError> {
    archive.read_faces(&file.path, columns, &mut |face| {
        if face.image.is_some_and(|image| sha256_hex(image) != face.sha256) {
            let path = &file.path;
            let what = format!("has an image in {path} whose SHA-256 is another than the file says");
            rows.found.add(Difference::Face {
                transaction_id: face.transaction_id.to_owned(),
                what,
            });
        }
        rows.compare_face(number, face).map_err(PublishError::from)
    })
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
