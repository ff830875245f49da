//! A day's folder in the place of the one that is there, in one step: whoever lists it sees the files of before or those of
//! after, and never some of each.
//!
//! - [`StagedFolder`]: the folder as it will be

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::staged::StagedFile;
use super::{Archive, ArchiveError};
use crate::files::{self, FileError};

/// A day's folder in the staging folder: one new file, and the files that stay, by a second name each.
#[derive(Debug)]
pub struct StagedFolder {
    staged: PathBuf,
    target: PathBuf,
}

impl Archive {
    /// Everything that is in a folder below archive/, by its path there; nothing where there is no such folder.
    pub fn paths_in(&self, folder: &str) -> Result<BTreeSet<String>, ArchiveError> {
        let path = self.locate(folder)?;
        let failed = || FileError::because("list", &path);
        let mut paths = BTreeSet::new();
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(paths),
            entries => entries.map_err(failed())?,
        };
        for entry in entries {
            let name = entry.map_err(failed())?.file_name();
            paths.insert(format!("{folder}/{}", name.to_string_lossy()));
        }
        Ok(paths)
    }

    /// Refuses a file system that can't put one folder in the place of another in one step. It is tried with two empty ones. Of the
    /// `folders` below archive/ each must be one that can be moved: in a container's layers those of a lower layer can't.
    pub fn needs_swap<'a>(&self, folders: impl IntoIterator<Item = &'a str>) -> Result<(), ArchiveError> {
        let empty = ["swap-a", "swap-b"].map(|name| self.staging.join(name));
        for folder in &empty {
            files::create_private_dir(folder)?;
        }
        let swapped = files::swap(&empty[0], &empty[1]).and_then(|()| {
            let inside = empty[0].join("inside");
            files::create_private_dir(&inside)?;
            let movable = folders.into_iter().try_for_each(|folder| {
                let path = self.root.join(folder);
                files::can_be_moved(&path, &empty[0]).map_err(FileError::because("move", &path))
            });
            fs::remove_dir(&inside).map_err(FileError::because("remove", &inside))?;
            movable
        });
        for folder in &empty {
            fs::remove_dir(folder).map_err(FileError::because("remove", folder))?;
        }
        match swapped {
            Err(error) if files::cannot_swap(&error.source) => {
                let of_a_folder = error.path.starts_with(&self.root);
                let path = if of_a_folder { error.path } else { self.root.clone() };
                let source = error.source;
                Err(ArchiveError::NoSwap { path, source })
            }
            swapped => Ok(swapped?),
        }
    }

    /// A folder with `file` and the `kept` files of its day, all durable. It gets the mode and the group of the folder that
    /// it is to replace. The file is for no one to read who can't read all of `replaced`.
    pub fn assemble(&self, file: &StagedFile, replaced: &[&str], kept: &[&str]) -> Result<StagedFolder, ArchiveError> {
        let target = self.locate(&file.relative_path)?;
        let folder = target.parent().unwrap_or(&self.root).to_owned();
        let staged = self.staging.join(file.folder_name());
        files::create_private_dir(&staged)?;
        for path in kept {
            let (from, name) = (self.locate(path)?, path.rsplit('/').next().unwrap_or(path));
            fs::hard_link(&from, staged.join(name)).map_err(FileError::because("give a second name to", &from))?;
        }
        let before = replaced
            .iter()
            .map(|path| self.locate(path))
            .collect::<Result<Vec<_>, _>>()?;
        files::take_after(file.staged_at(), &before)?;
        let name = target.file_name().unwrap_or_default();
        files::publish(file.staged_at(), &staged.join(name))?;
        files::take_after(&staged, std::slice::from_ref(&folder))?;
        files::sync(&staged)?;
        files::sync(&self.staging)?;
        Ok(StagedFolder { staged, target: folder })
    }

    /// Makes `file` visible, whose folder is another than that of the files that it replaces. It is for no one to read who
    /// can't read all of them, and so is its folder where that is new. The old files are still there.
    pub fn publish_elsewhere(&self, file: &StagedFile, replaced: &[&str]) -> Result<(), ArchiveError> {
        let before = replaced
            .iter()
            .map(|path| self.locate(path))
            .collect::<Result<Vec<_>, _>>()?;
        files::take_after(file.staged_at(), &before)?;
        let target = self.locate(&file.relative_path)?;
        let (folder, old) = (target.parent(), before.first().and_then(|path| path.parent()));
        if let (Some(folder), Some(old)) = (folder, old)
            && !folder.exists()
        {
            files::create_private_dir(folder)?;
            files::take_after(folder, &[old.to_owned()])?;
        }
        StagedFile::publish(std::slice::from_ref(file))
    }

    /// Removes a folder below archive/ that nothing is left in.
    pub fn remove_empty(&self, folder: &str) -> Result<(), ArchiveError> {
        // A link on the way is named by whoever writes there.
        let Ok(path) = self.locate(folder) else {
            return Ok(());
        };
        match fs::remove_dir(&path) {
            Ok(()) => Ok(files::sync(path.parent().unwrap_or(&self.root))?),
            // It is not empty, or it is gone already.
            Err(_) => Ok(()),
        }
    }

    /// Makes what a cut-off swap of the folder of `relative_path` did durable, as far as it came.
    pub fn sync_swapped(&self, relative_path: &str) -> Result<(), ArchiveError> {
        let path = self.locate(relative_path)?;
        for folder in path
            .ancestors()
            .skip(1)
            .take_while(|folder| folder.starts_with(&self.root))
        {
            files::sync(folder)?;
        }
        Ok(files::sync(&self.staging)?)
    }
}

impl StagedFolder {
    /// Puts the folder in the place of the one that is there, which is in the staging folder from then on.
    pub fn swap(&self) -> Result<(), ArchiveError> {
        Ok(files::swap(&self.staged, &self.target)?)
    }

    /// Removes the folder that was there, after [`StagedFolder::swap`]. Whoever has a file of it open reads it to its end; who
    /// has just opened the folder itself should have listed it by then.
    pub fn remove_replaced(self) -> Result<(), ArchiveError> {
        Ok(fs::remove_dir_all(&self.staged).map_err(FileError::because("remove", &self.staged))?)
    }
}
