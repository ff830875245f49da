//! The Parquet archive: rows are handed in, facts of files are handed out.
//!
//! - [`Archive`]: the folder `archive/` of a data folder, and `.staging/` beside it
//! - [`Dataset`]: the two kinds of files
//! - [`StagedDay`]: the files of one billing day while they are written; [`StagedFile`]: one that may be published;
//!   [`StagedFolder`]: a day's folder with one file in the place of several
//! - [`Found`], [`FoundFile`], [`CheckedFile`]: what is on the disk; [`StoredRow`], [`StoredFace`]: what is in it
//! - [`write_billing`]: a billing report in the archive's format
//! - [`ArchiveError`]: why the archive can't be written or read
//!
//! `columns` and `schema` say what the files look like. `publish` takes a day's rows, `encode` makes columns of them, and
//! `writer` a file of these. `staged` makes a file visible. `check` and `rows` read back. A file passes
//! through them in that order, and is never changed once it is published. `merge` writes many files into one, which `swap`
//! puts in their place. `mend` puts files that were moved back where they belong.

mod billing;
mod changes;
mod check;
mod columns;
mod dimensions;
mod encode;
mod mend;
mod merge;
mod publish;
mod rows;
mod schema;
mod staged;
mod swap;
#[cfg(test)]
mod tests;
mod writer;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use jiff::civil::Date;
use parquet::errors::ParquetError;

pub use billing::write_billing;
pub use check::{CheckedFile, Found, FoundFile, UnreadableFolder};
pub use columns::SCHEMA_VERSION;
pub use mend::{Room, Stray};
pub use publish::StagedDay;
pub use rows::{Columns, StoredFace, StoredRow};
pub use staged::StagedFile;
pub use swap::StagedFolder;

use crate::files::{self, FileError};
use crate::tally::Counted;
use schema::Limits;
use staged::Place;

/// Where rows of an unknown day were until schema version 2: among the dated ones, under Hive's name for null. Readers
/// then took the days for texts.
const HIVE_UNKNOWN_DAY: &str = "__HIVE_DEFAULT_PARTITION__";

/// What the program writes below `archive/` anew whenever it changes: no file of the manifest.
const DERIVED: [&str; 3] = ["dim/", "_changes/", "ledger_state.parquet"];

/// More than a file system keeps without a block of its own.
const PROBE_BYTES: usize = 64 * 1024;

/// The longest run id that can be part of a file's name, in bytes.
const RUN_ID_BYTES_MAX: usize = 100;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dataset {
    /// One row per final verdict.
    Verifications,
    /// One row per face, apart so that a folder's permissions can keep analysts away from them.
    FaceImages,
}

impl Dataset {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Verifications, Self::FaceImages];

    /// Its folder under `archive/`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verifications => "verifications",
            Self::FaceImages => "face_images",
        }
    }

    /// The dataset in that folder.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dataset| dataset.as_str() == word)
    }
}

/// Why the archive can't be written or read. None of these is worth a retry within a run.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Rows could not be encoded or written, as when the disk is full.
    #[error("failed to write {path}")]
    Write {
        /// The file in the staging folder.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
    /// A file could not be decoded: it is damaged, or it isn't one of the archive's.
    #[error("failed to read {path}: it is damaged, or not a file of this archive")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the decoder stumbled over.
        source: ParquetError,
    },
    /// A file of a later schema: what is new in it would be lost.
    #[error(
        "failed to read {path}: it has schema version {version}, and this idvault knows no later one than {SCHEMA_VERSION}; use the idvault that wrote it, or a later one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        version: u32,
    },
    /// A billing report could not be written.
    #[error("failed to write the billing report as Parquet")]
    Billing(#[from] ParquetError),
    /// A staged file did not read back as it was written: the disk or the memory can't be trusted.
    #[error("failed to read {path} back as it was written: {what}")]
    ReadBack {
        /// The file in the staging folder.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// Rows were handed in out of order: a fault of this program.
    #[error("failed to stage {transaction_id}: its verified_at is before that of the row before it")]
    Unsorted {
        /// The row that came too late.
        transaction_id: String,
    },
    /// A path that does not lead to a file inside `archive/`.
    #[error("failed to use the path {relative_path:?}: it leads out of the archive")]
    Outside {
        /// The path as it was handed in.
        relative_path: String,
    },
    /// A run id that can't be part of a file's name.
    #[error("failed to name a file after the run {run_id:?}: only ASCII letters, digits, '-' and '_' are allowed")]
    RunId {
        /// The run id as it was handed in.
        run_id: String,
    },
    /// The file system has no step in which two folders change places.
    #[error(
        "failed to merge files in {path}: its file system can't put a folder in the place of another in one step, and readers must not see half of it; ext4, XFS, Btrfs and tmpfs can, a container's own layers (overlayfs) can't for what came with its image. Put the data folder on a volume. Nothing was changed"
    )]
    NoSwap {
        /// `archive/`.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
    /// `archive/` and `.staging/` are on two file systems, so that nothing can be renamed from one to the other.
    #[error("failed to use {archive}: it must be on the same file system as {staging}")]
    TwoFileSystems {
        /// `archive/`.
        archive: PathBuf,
        /// `.staging/`.
        staging: PathBuf,
    },
}

impl ArchiveError {
    /// For `map_err`: names the file that was being written.
    fn writing(path: &Path) -> impl FnOnce(ParquetError) -> Self + '_ {
        move |source| Self::Write {
            path: path.to_owned(),
            source,
        }
    }
}

/// The folder `archive/` of a data folder, `.staging/` and `set-aside/` beside it. One writer at a time: the run's lock
/// sees to that.
#[derive(Debug, Clone)]
pub struct Archive {
    root: PathBuf,
    staging: PathBuf,
    set_aside: PathBuf,
}

impl Archive {
    /// Opens the archive under `data_dir`, and creates its folders (0700) where they are missing.
    pub fn open(data_dir: &Path) -> Result<Self, ArchiveError> {
        let archive = Self::for_reading(data_dir);
        let (root, staging) = (&archive.root, &archive.staging);
        files::create_private_dir(root)?;
        files::create_private_dir(staging)?;
        files::sync(data_dir)?;
        if device(root)? != device(staging)? {
            let (archive, staging) = (root.clone(), staging.clone());
            return Err(ArchiveError::TwoFileSystems { archive, staging });
        }
        Ok(archive)
    }

    /// The archive under `data_dir` as it is: nothing is created, so it may be on a disk that can't be written.
    pub fn for_reading(data_dir: &Path) -> Self {
        Self {
            root: data_dir.join("archive"),
            staging: data_dir.join(".staging"),
            set_aside: data_dir.join("set-aside"),
        }
    }

    /// The folder under `archive/` of a dataset's billing day; `None` is the unknown day, whose rows are a dataset of
    /// their own.
    pub fn folder_of(dataset: &str, billing_day: Option<&str>) -> String {
        match billing_day {
            Some(day) => format!("{dataset}/billing_day={day}"),
            None => format!("{dataset}_undated"),
        }
    }

    /// Where the rows of the unknown day were until schema version 2.
    pub fn old_undated_folder_of(dataset: &str) -> String {
        format!("{dataset}/billing_day={HIVE_UNKNOWN_DAY}")
    }

    /// The dataset and the billing day of the files in a folder below `archive/`, of any schema version.
    pub fn of_folder(folder: &str) -> Option<(Dataset, Option<Date>)> {
        Dataset::ALL.into_iter().find_map(|dataset| {
            let name = dataset.as_str();
            if folder == Self::folder_of(name, None) || folder == Self::old_undated_folder_of(name) {
                return Some((dataset, None));
            }
            let day = folder.strip_prefix(name)?.strip_prefix("/billing_day=")?;
            let date: Date = day.parse().ok()?;
            (date.to_string() == day).then_some((dataset, Some(date)))
        })
    }

    /// Whether the program makes the file below `archive/` anew whenever it changes, so that it is in no manifest.
    pub fn is_derived(relative_path: &str) -> bool {
        DERIVED.iter().any(|name| match name.strip_suffix('/') {
            Some(_) => relative_path.starts_with(name),
            None => relative_path == *name,
        })
    }

    /// Whether a data folder has an archive with files in it.
    pub fn holds_files(data_dir: &Path) -> Result<bool, ArchiveError> {
        let root = data_dir.join("archive");
        if !root.is_dir() {
            return Ok(false);
        }
        let found = check::files_under(&root)?.whole()?;
        let parquet = |file: &FoundFile| {
            let path = &file.relative_path;
            file.regular && path.ends_with(".parquet") && !Self::is_derived(path)
        };
        Ok(found.iter().any(parquet))
    }

    /// Writes a file into the staging folder as a Parquet file would be, and removes it: whether an answer could be kept
    /// is found out before it is asked for.
    pub fn probe(&self) -> Result<(), ArchiveError> {
        let path = self.staging.join("probe");
        let mut file = files::create_private(&path)?;
        let kept = file
            .write_all(&vec![b'.'; PROBE_BYTES])
            .map_err(FileError::because("write", &path))
            .and_then(|()| file.sync_all().map_err(FileError::because("sync", &path)));
        let removed = fs::remove_file(&path).map_err(FileError::because("remove", &path));
        Ok(kept.and(removed)?)
    }

    /// Begins the files of one billing day; `None` is the unknown day. `sequence` tells the files of one run and day
    /// apart.
    pub fn stage(&self, day: Option<Date>, run_id: &str, sequence: u32) -> Result<StagedDay, ArchiveError> {
        let place = self.place(day, run_id, sequence)?;
        Ok(StagedDay::new(&place, Limits::ARCHIVE))
    }

    fn place(&self, day: Option<Date>, run_id: &str, sequence: u32) -> Result<Place, ArchiveError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if run_id.is_empty() || run_id.len() > RUN_ID_BYTES_MAX || !run_id.chars().all(allowed) {
            let run_id = run_id.to_owned();
            return Err(ArchiveError::RunId { run_id });
        }
        Ok(Place {
            root: self.root.clone(),
            staging: self.staging.clone(),
            day: day.map(|day| day.to_string()),
            file_name: format!("{run_id}-{sequence:04}.parquet"),
        })
    }

    /// Removes what a killed run left in the staging folder, and returns how many files or folders that were. Rows of
    /// such a file are still journalled, and reports can be written again. What can't be removed is handed to `failed`, which
    /// says whether to go on without it.
    pub fn clear_staging(
        &self,
        failed: &mut dyn FnMut(ArchiveError) -> Result<(), ArchiveError>,
    ) -> Result<u64, ArchiveError> {
        let unlisted = || FileError::because("list", &self.staging);
        let mut cleared = 0;
        for entry in fs::read_dir(&self.staging).map_err(unlisted())? {
            let entry = entry.map_err(unlisted())?;
            let path = entry.path();
            let removed = if entry.file_type().map_err(unlisted())?.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed.map_err(FileError::because("remove", &path)) {
                Ok(()) => cleared += 1,
                Err(error) => failed(error.into())?,
            }
        }
        Ok(cleared)
    }

    /// Removes a file whose publication was never committed; the caller still has its rows journalled. Returns whether
    /// it was there. A path that leads out of the archive is refused.
    pub fn discard(&self, relative_path: &str) -> Result<bool, ArchiveError> {
        let path = self.locate(relative_path)?;
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(FileError::because("remove", &path)(error).into()),
        }
        files::sync(path.parent().unwrap_or(&self.root))?;
        Ok(true)
    }

    /// The schema version of a file.
    pub fn schema_version(&self, relative_path: &str) -> Result<u32, ArchiveError> {
        rows::schema_version(&self.locate(relative_path)?)
    }

    /// Whether there is anything at a path.
    pub fn holds(&self, relative_path: &str) -> Result<bool, ArchiveError> {
        Ok(fs::symlink_metadata(self.locate(relative_path)?).is_ok())
    }

    /// The length and the hash of a file as it is.
    pub fn check(&self, relative_path: &str) -> Result<CheckedFile, ArchiveError> {
        check::check(&self.locate(relative_path)?)
    }

    /// Decodes every column of every row of a file, so that damage shows, and hands each row's transaction id to
    /// `each`. Returns the rows.
    pub fn read_ids(&self, relative_path: &str, each: &mut dyn FnMut(&str)) -> Result<u64, ArchiveError> {
        rows::read_ids(&self.locate(relative_path)?, each)
    }

    /// Counts the rows of a file of `verifications` by product, region and sub code.
    pub fn tally(&self, relative_path: &str) -> Result<Counted, ArchiveError> {
        rows::tally(&self.locate(relative_path)?)
    }

    /// Hands every row of a file of `verifications` to `each`, until that fails. Returns how many there were by product,
    /// region and sub code.
    pub fn read_verifications<E: From<ArchiveError>>(
        &self,
        relative_path: &str,
        columns: Columns,
        each: &mut dyn FnMut(StoredRow<'_>) -> Result<(), E>,
    ) -> Result<Counted, E> {
        rows::read_verifications(&self.locate(relative_path)?, columns, each)
    }

    /// Hands every row of a file of `face_images` to `each`, until that fails. Returns the rows.
    pub fn read_faces<E: From<ArchiveError>>(
        &self,
        relative_path: &str,
        columns: Columns,
        each: &mut dyn FnMut(StoredFace<'_>) -> Result<(), E>,
    ) -> Result<u64, E> {
        rows::read_faces(&self.locate(relative_path)?, columns, each)
    }

    fn locate(&self, relative_path: &str) -> Result<PathBuf, ArchiveError> {
        locate_in(&self.root, relative_path)
    }
}

/// The full path of `relative_path`, which must stay inside `root`: plain names only, and no link on the way, as that
/// could lead anywhere.
fn locate_in(root: &Path, relative_path: &str) -> Result<PathBuf, ArchiveError> {
    let outside = || ArchiveError::Outside {
        relative_path: relative_path.to_owned(),
    };
    let mut path = root.to_owned();
    for component in Path::new(relative_path).components() {
        let Component::Normal(name) = component else {
            return Err(outside());
        };
        path.push(name);
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(outside());
        }
    }
    if path == root {
        return Err(outside());
    }
    Ok(path)
}

fn device(folder: &Path) -> Result<u64, FileError> {
    let metadata = fs::metadata(folder).map_err(FileError::because("look at", folder))?;
    Ok(metadata.dev())
}
