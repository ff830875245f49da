//! The rows of the archive's files against what the ledger knows of them.
//!
//! - [`Rows`]: all that were read so far

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Difference, Differences};
use crate::archive::{Archive, ArchiveError, Columns, StoredFace, StoredRow};
use crate::ledger::{KnownRow, Ledger, LedgerError, ManifestFile, SeenFace, SeenIds};
use crate::record::{State, expires_at, sha256_hex};
use crate::run::RunError;
use crate::tally::{self, Counted};

/// Where a day begins first (UTC+14), and where it ends last (UTC-12).
const EAST: SignedDuration = SignedDuration::from_hours(14);
const WEST: SignedDuration = SignedDuration::from_hours(12);

/// The rows that were read so far. Verifications come before faces, which are held to them.
pub(super) struct Rows<'a> {
    ledger: &'a Ledger,
    archive: &'a Archive,
    manifest: &'a [ManifestFile],
    run_ids: BTreeSet<String>,
    seen: SeenIds<'a>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        ledger: &'a Ledger,
        archive: &'a Archive,
        manifest: &'a [ManifestFile],
    ) -> Result<Self, RunError> {
        Ok(Self {
            ledger,
            archive,
            manifest,
            run_ids: ledger.run_ids()?,
            seen: ledger.seen_ids()?,
        })
    }

    /// Reads a file of the manifest, by its number there.
    pub(super) fn read(&mut self, number: usize, columns: Columns, found: &mut Differences) -> Result<(), RunError> {
        let file = &self.manifest[number];
        let read = if file.dataset == "verifications" {
            self.read_verifications(number, columns, found)
        } else {
            self.read_faces(number, columns, found)
        };
        match read {
            Ok(rows) if rows == file.rows => {}
            Ok(rows) => found.add(Difference::ChangedFile {
                path: file.path.clone(),
                what: format!("{rows} rows, the manifest says {}", file.rows),
            }),
            Err(RunError::Archive(error @ (ArchiveError::Unreadable { .. } | ArchiveError::File(_)))) => {
                found.add(Difference::UnreadableFile {
                    path: file.path.clone(),
                    why: crate::error_chain(&error),
                });
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    fn read_verifications(
        &mut self,
        number: usize,
        columns: Columns,
        found: &mut Differences,
    ) -> Result<u64, RunError> {
        let file = &self.manifest[number];
        let day = PossibleTimes::of(file.billing_day.as_deref());
        let mut counted = Counted::new();
        let archive = self.archive;
        let rows = archive.read_verifications(&file.path, columns, &mut |row| {
            count(&mut counted, row);
            self.compare(number, row, day.as_ref(), found).map_err(RunError::from)
        })?;
        if let Some(what) = differing(&counted, &self.ledger.tallies_of(&file.path)?) {
            let path = file.path.clone();
            found.add(Difference::Tallies { path, what });
        }
        Ok(rows)
    }

    fn compare(
        &mut self,
        number: usize,
        row: StoredRow<'_>,
        day: Option<&PossibleTimes>,
        found: &mut Differences,
    ) -> Result<(), LedgerError> {
        let path = &self.manifest[number].path;
        let id = || row.transaction_id.to_owned();
        if let Some(before) = self
            .seen
            .add(row.transaction_id, number as u64, row.face_image_sha256)?
        {
            found.add(Difference::Twice {
                transaction_id: id(),
                paths: [self.path_of(before), path.clone()],
            });
        }
        let known = self.ledger.known(row.transaction_id)?;
        let Some(known) = known.filter(|known| known.state == Some(State::Archived)) else {
            found.add(Difference::NotArchived {
                transaction_id: id(),
                path: path.clone(),
            });
            return Ok(());
        };
        let own_run = row.run_id.is_some_and(|run_id| self.run_ids.contains(run_id));
        let on_day = day.is_none_or(|day| day.hold(row.verified_at));
        let further = [(own_run, "run_id"), (on_day, "billing_day")];
        let columns = agreement(row, &known).into_iter().chain(further);
        for (_, column) in columns.filter(|(agrees, _)| !agrees) {
            found.add(Difference::Row {
                transaction_id: id(),
                path: path.clone(),
                column,
            });
        }
        Ok(())
    }

    fn read_faces(&mut self, number: usize, columns: Columns, found: &mut Differences) -> Result<u64, RunError> {
        let archive = self.archive;
        archive.read_faces(&self.manifest[number].path, columns, &mut |face| {
            self.compare_face(number, face, found).map_err(RunError::from)
        })
    }

    fn compare_face(
        &mut self,
        number: usize,
        face: StoredFace<'_>,
        found: &mut Differences,
    ) -> Result<(), LedgerError> {
        let path = &self.manifest[number].path;
        let transaction_id = || face.transaction_id.to_owned();
        let mut differs = |what: String| {
            found.add(Difference::Face {
                transaction_id: transaction_id(),
                what,
            });
        };
        if face.image.is_some_and(|image| sha256_hex(image) != face.sha256) {
            differs(format!(
                "has an image in {path} whose SHA-256 is another than the file says"
            ));
        }
        match self.seen.add_face(face.transaction_id, number as u64)? {
            SeenFace::First(Some(hash)) if hash == face.sha256 => {}
            SeenFace::Further => {}
            SeenFace::First(_) => differs(format!("has another first face in {path} than face_image_sha256 says")),
            SeenFace::Unknown => differs(format!("has a face in {path} and no verification in the archive")),
            SeenFace::Twice(before) => found.add(Difference::Twice {
                transaction_id: transaction_id(),
                paths: [self.path_of(before), path.clone()],
            }),
        }
        Ok(())
    }

    /// What can only be said once every file was read: `archived` ids are to be there, with their faces.
    pub(super) fn finish(&self, archived: u64, found: &mut Differences) -> Result<(), LedgerError> {
        self.seen.faceless(&mut |transaction_id| {
            let what = "has a face_image_sha256 and no face in the archive".to_owned();
            found.add(Difference::Face { transaction_id, what });
        })?;
        // Each id that was seen and is not archived is a difference already, so equal numbers mean equal sets otherwise.
        if self.seen.distinct() != archived || found.total() > 0 {
            self.seen.unseen(&mut |id| found.add(Difference::NotInArchive(id)))?;
        }
        Ok(())
    }

    fn path_of(&self, number: u64) -> String {
        let file = usize::try_from(number)
            .ok()
            .and_then(|number| self.manifest.get(number));
        file.map_or_else(String::new, |file| file.path.clone())
    }
}

/// Adds a row to the count of its file.
pub(super) fn count(counted: &mut Counted, row: StoredRow<'_>) {
    let key = [row.product_code, row.region, row.sub_code].map(str::to_owned);
    *counted.entry(key).or_default() += 1;
}

/// Where a file's rows and its tallies differ first, in words.
pub(super) fn differing(counted: &Counted, tallied: &Counted) -> Option<String> {
    let (key, rows, tally) = tally::differing(counted, tallied).next()?;
    Some(format!("{rows} rows of {}, tallied as {tally}", key.join(" ")))
}

/// Every column that both sides hold, and whether they agree on it.
fn agreement(row: StoredRow<'_>, known: &KnownRow) -> [(bool, &'static str); 8] {
    let expires = row
        .verified_at
        .and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let expires = expires.map(|time| expires_at(time).as_microsecond());
    [
        (known.merchant_biz_id == row.merchant_biz_id, "merchant_biz_id"),
        (known.product_code == row.product_code, "product_code"),
        (known.region == row.region, "region"),
        (known.verified_at == row.verified_at, "verified_at"),
        (expires == row.expires_at, "expires_at"),
        (known.last_call_at == Some(row.fetched_at), "fetched_at"),
        (known.passed == Some(row.passed), "passed"),
        (known.sub_code.as_deref() == Some(row.sub_code), "sub_code"),
    ]
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
