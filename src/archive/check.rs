//! Reading back: what was written, and what is on the disk.
//!
//! - [`CheckedFile`]: the bytes of a file as it is
//! - [`Found`]: what is below a folder; [`FoundFile`], [`UnreadableFolder`]: one of it
//! - [`Written`], [`IdDigest`]: what a staged file must read back as; [`ReadBack`]: what it did

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::ArchiveError;
use super::rows::read_ids_and_tally;
use crate::files::{self, FileError};
use crate::record::hex;
use crate::tally::Counted;

/// The bytes of a file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
}

/// What is in a folder, folders themselves apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundFile {
    /// Where it is, relative to that folder.
    pub relative_path: String,
    /// Its length.
    pub bytes: u64,
    /// A regular file, and no link, socket or the like.
    pub regular: bool,
}

/// A folder whose files are not known.
#[derive(Debug)]
pub struct UnreadableFolder {
    /// Where it is, relative to the folder that was looked through.
    pub relative_path: String,
    /// Why.
    pub error: FileError,
}

/// What is below a folder, in the order of the paths.
#[derive(Debug, Default)]
pub struct Found {
    /// All but folders.
    pub files: Vec<FoundFile>,
    /// Folders that can't be listed.
    pub unreadable: Vec<UnreadableFolder>,
}

impl Found {
    /// The files, where all folders could be listed.
    pub fn whole(self) -> Result<Vec<FoundFile>, FileError> {
        match self.unreadable.into_iter().next() {
            None => Ok(self.files),
            Some(folder) => Err(folder.error),
        }
    }
}

/// A staged file, as it was read back.
#[derive(Debug)]
pub(super) struct ReadBack {
    pub(super) is: CheckedFile,
    /// Its verifications by product, region and sub code; none of faces.
    pub(super) counted: Counted,
}

/// What a staged file must read back as.
#[derive(Debug)]
pub(super) struct Written {
    /// The transaction ids of its rows.
    pub(super) ids: IdDigest,
    /// Its length.
    pub(super) bytes: u64,
    /// The CRC-32 of its bytes. It need not be proof against ill will, only tell that the disk has something else.
    pub(super) crc32: u32,
}

/// Transaction ids, counted and hashed in their order: two sequences can be compared without keeping either.
#[derive(Debug, Clone, Default)]
pub(super) struct IdDigest {
    rows: u64,
    hasher: Sha256,
}

impl IdDigest {
    /// Takes the next id. Its length goes in too, so that no other cut of the same letters looks the same.
    pub(super) fn add(&mut self, transaction_id: &str) {
        self.rows += 1;
        self.hasher.update((transaction_id.len() as u64).to_le_bytes());
        self.hasher.update(transaction_id);
    }

    /// How many were taken.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }
}

/// Reads the file at `path` from the disk and compares it with what was written: first its bytes, then its rows. Gives its length,
/// its SHA-256 and its tallies, as they were read.
pub(super) fn read_back(path: &Path, written: &Written) -> Result<ReadBack, ArchiveError> {
    let different = |what: String| ArchiveError::ReadBack {
        path: path.to_owned(),
        what,
    };
    let (mut crc32, mut sha256) = (crc32fast::Hasher::new(), Sha256::new());
    let bytes = files::read_through(path, |chunk| {
        crc32.update(chunk);
        sha256.update(chunk);
    })?;
    let crc32 = crc32.finalize();
    if (bytes, crc32) != (written.bytes, written.crc32) {
        return Err(different(format!(
            "{bytes} bytes with CRC-32 {crc32:08x} were read, {} bytes with {:08x} were written",
            written.bytes, written.crc32
        )));
    }
    let mut ids = IdDigest::default();
    let counted = read_ids_and_tally(path, &mut |id| ids.add(id))?;
    if ids.rows != written.ids.rows {
        let (read, appended) = (ids.rows, written.ids.rows);
        return Err(different(format!("{read} rows were read, {appended} were written")));
    }
    if ids.sha256() != written.ids.sha256() {
        return Err(different("its transaction ids are others than were written".to_owned()));
    }
    let sha256 = hex(&sha256.finalize());
    Ok(ReadBack {
        is: CheckedFile { bytes, sha256 },
        counted,
    })
}

/// The length and the hash of the file at `path`.
pub(super) fn check(path: &Path) -> Result<CheckedFile, ArchiveError> {
    let (bytes, sha256) = files::sha256_of(path)?;
    Ok(CheckedFile { bytes, sha256 })
}

/// Everything under `root` but folders; nothing where there is no `root`. Links are not followed, and what can't be read
/// keeps nothing else from being found.
pub(super) fn files_under(root: &Path) -> Result<Found, ArchiveError> {
    let mut found = Found::default();
    let mut folders = Vec::new();
    files::refuse_link(root)?;
    match fs::symlink_metadata(root) {
        Ok(there) if there.is_dir() => folders.push(root.to_owned()),
        Ok(_) => return Err(FileError::because("list", root)(io::ErrorKind::NotADirectory.into()).into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(FileError::because("list", root)(error).into()),
    }
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    while let Some(folder) = folders.pop() {
        let mut list = || -> io::Result<()> {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                found.files.push(FoundFile {
                    relative_path: relative(&entry.path()),
                    bytes: entry.metadata()?.len(),
                    regular: kind.is_file(),
                });
            }
            Ok(())
        };
        if let Err(error) = list() {
            found.unreadable.push(UnreadableFolder {
                relative_path: relative(&folder),
                error: FileError::because("list", &folder)(error),
            });
        }
    }
    found.files.sort();
    found
        .unreadable
        .sort_by(|one, other| one.relative_path.cmp(&other.relative_path));
    Ok(found)
}
