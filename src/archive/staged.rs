//! A file in the staging folder: where it is, what it will be called, and the step that makes it visible to readers.
//!
//! - [`Place`]: where a day's files are staged, and what they will be called
//! - [`Scratch`]: a file in the staging folder, which goes away unless it is published
//! - [`StagedFile`]: a complete file that was read back, ready to be published

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::check::ReadBack;
use super::{Archive, ArchiveError, Dataset};
use crate::files;
use crate::tally::Counted;

/// Where a day's files are staged, and what they will be called.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `archive/`.
    pub(super) root: PathBuf,
    /// `.staging/`.
    pub(super) staging: PathBuf,
    /// `2026-11-21`; `None` is the unknown day.
    pub(super) day: Option<String>,
    /// `<run id>-0001.parquet`.
    pub(super) file_name: String,
}

impl Place {
    pub(super) fn scratch(&self, dataset: Dataset) -> PathBuf {
        self.staging.join(self.relative_path(dataset).replace('/', "."))
    }

    fn relative_path(&self, dataset: Dataset) -> String {
        let folder = Archive::folder_of(dataset.as_str(), self.day.as_deref());
        format!("{folder}/{}", self.file_name)
    }
}

/// A file in the staging folder. Dropped before it was published, it goes away.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Once published it is not there any more. What can't be removed is left to `Archive::clear_staging`.
        let _ = fs::remove_file(&self.0);
    }
}

/// A complete file in the staging folder that read back well. Dropped unpublished, it goes away.
#[derive(Debug)]
pub struct StagedFile {
    /// What it holds.
    pub dataset: Dataset,
    /// Where it will be, relative to `archive/`: `verifications/billing_day=2026-11-21/<run id>-0001.parquet`.
    pub relative_path: String,
    /// Its rows.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
    /// Its verifications by product, region and sub code, as they were read back; none of faces.
    pub counted: Counted,
    scratch: Scratch,
    root: PathBuf,
}

impl StagedFile {
    pub(super) fn new(dataset: Dataset, place: &Place, scratch: Scratch, rows: u64, found: ReadBack) -> Self {
        Self {
            dataset,
            relative_path: place.relative_path(dataset),
            rows,
            bytes: found.is.bytes,
            sha256: found.is.sha256,
            counted: found.counted,
            scratch,
            root: place.root.clone(),
        }
    }

    /// Where it is until then.
    pub(super) fn staged_at(&self) -> &Path {
        &self.scratch.0
    }

    /// For rows that read back as others than were appended.
    pub fn not_as_appended(&self, what: String) -> ArchiveError {
        ArchiveError::ReadBack {
            path: self.scratch.0.clone(),
            what,
        }
    }

    /// A name for its folder in the staging folder, which no other file's has.
    pub(super) fn folder_name(&self) -> String {
        self.relative_path.trim_end_matches(".parquet").replace('/', ".")
    }

    /// Makes files visible under their names, for good. One that is there already is never replaced. After an error they may
    /// or may not be there: [`super::Archive::discard`] them.
    pub fn publish(files: &[Self]) -> Result<(), ArchiveError> {
        let target = |file: &Self| file.root.join(&file.relative_path);
        let mut above = BTreeSet::new();
        for file in files {
            let target = target(file);
            let folders = target.ancestors().skip(1);
            let folders = folders.take_while(|folder| *folder != file.root);
            let folders: Vec<PathBuf> = folders.map(Path::to_owned).collect();
            for folder in folders.iter().rev() {
                files::create_private_dir(folder)?;
            }
            above.extend(folders.into_iter().skip(1));
            above.insert(file.root.clone());
        }
        // Synced even when what is in them was there: a run that was killed may have made it a moment ago.
        above.iter().try_for_each(|folder| files::sync(folder))?;
        for file in files {
            files::publish(&file.scratch.0, &target(file))?;
        }
        Ok(())
    }
}
