//! What becomes of each file of the archive.

use std::collections::{BTreeMap, BTreeSet};

use super::{Chain, Rebuild, RebuildError, Rebuilt};
use crate::archive::{Archive, ArchiveError, Dataset};
use crate::error_chain;
use crate::inventory::OnDisk;
use crate::ledger::ManifestFile;

/// What is to become of each file.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// To be taken into the manifest.
    pub(super) add: Vec<ManifestFile>,
    /// To be taken out of it.
    pub(super) drop: Vec<ManifestFile>,
    /// Named by the history, and not there as they should be.
    pub(super) missing: Vec<ManifestFile>,
    /// There, and named by no record.
    pub(super) unnamed: Vec<String>,
}

impl Plan {
    pub(super) fn of(task: &Rebuild<'_>, chain: &Chain, rebuilt: &mut Rebuilt) -> Result<Self, RebuildError> {
        let archive = task.archive;
        let found = OnDisk::list(archive)?.files.into_values();
        let mut there: BTreeSet<String> = found
            .filter(|file| file.regular)
            .map(|file| file.relative_path)
            .collect();
        let known = task.ledger.manifest()?;
        let mut known: BTreeMap<String, ManifestFile> =
            known.into_iter().map(|file| (file.path.clone(), file)).collect();
        let mut plan = Self::default();
        for file in chain.told.files().cloned() {
            let is_there = there.remove(&file.path);
            let before = known.remove(&file.path);
            let is_known = before.as_ref() == Some(&file);
            if let Some(what) = fault(archive, &file, is_there)? {
                rebuilt.faults.push(format!("archive/{} {what}", file.path));
                plan.drop.extend(before);
                plan.missing.push(file);
            } else if !is_known {
                plan.drop.extend(before);
                plan.add.push(file);
            }
        }
        plan.drop.extend(known.into_values());
        // Faces after the verifications that they belong to.
        plan.unnamed = there.into_iter().filter(|path| path.ends_with(".parquet")).collect();
        plan.unnamed
            .sort_by_key(|path| !path.starts_with(Dataset::Verifications.as_str()));
        Ok(plan)
    }
}

/// Why a file of the history can't be taken.
fn fault(archive: &Archive, file: &ManifestFile, is_there: bool) -> Result<Option<String>, RebuildError> {
    if !is_there {
        return Ok(Some("is missing".to_owned()));
    }
    match archive.check(&file.path) {
        Ok(found) if (found.bytes, &found.sha256) == (file.bytes, &file.sha256) => Ok(None),
        Ok(_) => Ok(Some("has other bytes than were published".to_owned())),
        Err(error @ ArchiveError::File(_)) => Ok(Some(format!("can't be read: {}", error_chain(&error)))),
        Err(error) => Err(error.into()),
    }
}
