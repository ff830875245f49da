//! The rows of the archive against what the ledger knows of them, one by one.
//!
//! - [`Rows`]: the rows that were read so far

use std::collections::BTreeSet;

use crate::archive::{StoredFace, StoredRow};
use crate::difference::{Difference, Differences};
use crate::ledger::{KnownRow, Ledger, LedgerError, ManifestFile, SeenFace, SeenIds, Snapshot};
use crate::record::State;

/// The rows that were read so far.
pub(super) struct Rows<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) manifest: &'a [ManifestFile],
    pub(super) run_ids: BTreeSet<String>,
    pub(super) found: &'a mut Differences,
    seen: SeenIds<'a>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot<'_>,
        (ledger, manifest): (&'a Ledger, &'a [ManifestFile]),
        found: &'a mut Differences,
    ) -> Result<Self, LedgerError> {
        Ok(Self {
            ledger,
            manifest,
            run_ids: ledger.run_ids()?,
            found,
            seen: SeenIds::new(snapshot)?,
        })
    }

    /// A verification in the file of that number.
    pub(super) fn compare(&mut self, file: usize, row: StoredRow<'_>) -> Result<(), LedgerError> {
        let path = || self.manifest[file].path.clone();
        let id = || row.transaction_id.to_owned();
        let known = self.ledger.known(row.transaction_id, |known| {
            let archived = known.state == Some(State::Archived);
            (known.number, archived.then(|| differing(row, known)))
        })?;
        let number = known.as_ref().map(|(number, _)| *number);
        if let Some(number) = number
            && let Some(before) = self.seen.add(number, file as u64, row.face_image_sha256)?
        {
            self.found.add(Difference::Twice {
                transaction_id: id(),
                paths: [self.path_of(before), path()],
            });
        }
        let Some((_, Some(columns))) = known else {
            self.found.add(Difference::NotArchived {
                transaction_id: id(),
                path: path(),
            });
            return Ok(());
        };
        for column in columns {
            self.found.add(Difference::Row {
                transaction_id: id(),
                path: path(),
                column,
            });
        }
        Ok(())
    }

    /// A face in the file of that number.
    pub(super) fn compare_face(&mut self, file: usize, face: StoredFace<'_>) -> Result<(), LedgerError> {
        let path = &self.manifest[file].path;
        let transaction_id = face.transaction_id.to_owned();
        let number = self.ledger.known(face.transaction_id, |known| known.number)?;
        let seen = match number {
            None => SeenFace::Unknown,
            Some(number) => self.seen.add_face(number, file as u64)?,
        };
        let what = match seen {
            SeenFace::First(Some(hash)) if hash == face.sha256 => return Ok(()),
            SeenFace::Further => return Ok(()),
            SeenFace::First(_) => format!("has another first face in {path} than face_image_sha256 says"),
            SeenFace::Unknown => format!("has a face in {path} and no verification in the archive"),
            SeenFace::Twice(before) => {
                let paths = [self.path_of(before), path.clone()];
                self.found.add(Difference::Twice { transaction_id, paths });
                return Ok(());
            }
        };
        self.found.add(Difference::Face { transaction_id, what });
        Ok(())
    }

    /// What can only be said once every file was read: archived ids are to be there, with their faces.
    pub(super) fn finish(self) -> Result<(), LedgerError> {
        let found = self.found;
        self.seen.faceless(&mut |transaction_id| {
            let what = "has a face_image_sha256 and no face in the archive".to_owned();
            let transaction_id = transaction_id.to_owned();
            found.add(Difference::Face { transaction_id, what });
        })?;
        self.seen
            .unseen(&mut |id| found.add(Difference::NotInArchive(id.to_owned())))
    }

    fn path_of(&self, number: u64) -> String {
        let file = usize::try_from(number)
            .ok()
            .and_then(|number| self.manifest.get(number));
        file.map_or_else(String::new, |file| file.path.clone())
    }
}

/// The columns of the archive in which a row is another than the ledger knows it.
fn differing(row: StoredRow<'_>, known: &KnownRow<'_>) -> Vec<&'static str> {
    let columns = [
        (row.merchant_biz_id == known.merchant_biz_id, "merchant_biz_id"),
        (row.product_code == known.product_code, "product_code"),
        (row.region == known.region, "region"),
        (row.verified_at == known.verified_at, "verified_at"),
        (Some(row.fetched_at) == known.last_call_at, "fetched_at"),
        (Some(row.passed) == known.passed, "passed"),
        (Some(row.sub_code) == known.sub_code, "sub_code"),
    ];
    let differing = columns.into_iter().filter(|(agrees, _)| !agrees);
    differing.map(|(_, column)| column).collect()
}
