//! The rows of the archive against what the ledger knows of them, one by one: it takes a lookup or two for each, so it is
//! done only for the ids among which something differs.
//!
//! - [`name_differences`]: what differs, and of which id

use super::balance::{Facts, Suspects};
use crate::archive::{Archive, ArchiveError, Columns, StoredFace, StoredRow};
use crate::difference::{Difference, Differences};
use crate::ledger::{Ledger, LedgerError, ManifestFile, SeenFace, SeenIds, Snapshot};
use crate::record::State;
use crate::run::RunError;

/// Reads the files of the manifest that are `there` again, by their numbers, and names what differs of the suspects. What
/// can't be read was named before.
pub(super) fn name_differences(
    (ledger, snapshot): (&Ledger, &Snapshot<'_>),
    archive: &Archive,
    (manifest, there): (&[ManifestFile], &[usize]),
    suspects: Suspects,
    found: &mut Differences,
) -> Result<(), RunError> {
    let mut rows = Rows {
        ledger,
        manifest,
        suspects,
        seen: SeenIds::new(snapshot)?,
        found,
    };
    let is_verifications = |number: &&usize| manifest[**number].dataset == "verifications";
    for number in there.iter().filter(is_verifications) {
        let path = &manifest[*number].path;
        let compare = &mut |row: StoredRow<'_>| rows.compare(*number, row).map_err(RunError::from);
        skip_unreadable(archive.read_verifications(path, Columns::Compared, compare))?;
    }
    // They are held to the verifications, which are all known now.
    for number in there.iter().filter(|number| !is_verifications(number)) {
        let path = &manifest[*number].path;
        let compare = &mut |face: StoredFace<'_>| rows.compare_face(*number, face).map_err(RunError::from);
        skip_unreadable(archive.read_faces(path, Columns::Compared, compare))?;
    }
    Ok(rows.finish()?)
}

fn skip_unreadable<T>(read: Result<T, RunError>) -> Result<(), RunError> {
    match read {
        Ok(_) | Err(RunError::Archive(ArchiveError::Unreadable { .. } | ArchiveError::File(_))) => Ok(()),
        Err(other) => Err(other),
    }
}

/// The rows that were read so far.
struct Rows<'a> {
    ledger: &'a Ledger,
    manifest: &'a [ManifestFile],
    suspects: Suspects,
    seen: SeenIds<'a>,
    found: &'a mut Differences,
}

impl Rows<'_> {
    fn compare(&mut self, number: usize, row: StoredRow<'_>) -> Result<(), LedgerError> {
        if !self.suspects.contain(row.transaction_id) {
            return Ok(());
        }
        let path = &self.manifest[number].path;
        let id = || row.transaction_id.to_owned();
        let before = self
            .seen
            .add(row.transaction_id, number as u64, row.face_image_sha256)?;
        if let Some(before) = before {
            self.found.add(Difference::Twice {
                transaction_id: id(),
                paths: [self.path_of(before), path.clone()],
            });
        }
        let columns = self.ledger.known(row.transaction_id, |known| {
            (known.state == Some(State::Archived)).then(|| differing(row.into(), known.into()))
        })?;
        let Some(columns) = columns.flatten() else {
            self.found.add(Difference::NotArchived {
                transaction_id: id(),
                path: path.clone(),
            });
            return Ok(());
        };
        for column in columns {
            self.found.add(Difference::Row {
                transaction_id: id(),
                path: path.clone(),
                column,
            });
        }
        Ok(())
    }

    fn compare_face(&mut self, number: usize, face: StoredFace<'_>) -> Result<(), LedgerError> {
        if !self.suspects.contain(face.transaction_id) {
            return Ok(());
        }
        let path = &self.manifest[number].path;
        let transaction_id = face.transaction_id.to_owned();
        let what = match self.seen.add_face(face.transaction_id, number as u64)? {
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
    fn finish(mut self) -> Result<(), LedgerError> {
        self.seen.faceless(&mut |transaction_id| {
            let what = "has a face_image_sha256 and no face in the archive".to_owned();
            let transaction_id = transaction_id.to_owned();
            self.found.add(Difference::Face { transaction_id, what });
        })?;
        self.seen.unseen(&mut |id| {
            if self.suspects.contain(id) {
                self.found.add(Difference::NotInArchive(id.to_owned()));
            }
        })
    }

    fn path_of(&self, number: u64) -> String {
        let file = usize::try_from(number)
            .ok()
            .and_then(|number| self.manifest.get(number));
        file.map_or_else(String::new, |file| file.path.clone())
    }
}

/// The columns of the archive in which a row is another than the ledger knows it.
fn differing(row: Facts<'_>, known: Facts<'_>) -> Vec<&'static str> {
    let columns = [
        (row.merchant_biz_id == known.merchant_biz_id, "merchant_biz_id"),
        (row.product_code == known.product_code, "product_code"),
        (row.region == known.region, "region"),
        (row.verified_at == known.verified_at, "verified_at"),
        (row.fetched_at == known.fetched_at, "fetched_at"),
        (row.passed == known.passed, "passed"),
        (row.sub_code == known.sub_code, "sub_code"),
    ];
    let differing = columns.into_iter().filter(|(agrees, _)| !agrees);
    differing.map(|(_, column)| column).collect()
}
