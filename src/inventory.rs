//! The names and sizes below `archive/` against the ledger's manifest.
//!
//! It reads folders, and a file only where a crash left one that was never published. So every run can afford it: less
//! than a second for 10,000 files. What is in the files is for `verify`.
//!
//! - [`Inventory`]: the comparison
//! - [`OnDisk`]: what is below `archive/`

use std::collections::BTreeMap;
use std::path::Path;

use crate::archive::{Archive, ArchiveError, FoundFile, Room, UnreadableFolder};
use crate::compact::AsItStands;
use crate::difference::{Difference, Differences};
use crate::ledger::{DamagedReplies, Ledger, ManifestFile};
use crate::publish::PublishError;
use crate::publish::recovery::{Staged, judge, published, verifications_first};

/// A Delta log: in `archive/`, or in the folder of a dataset.
const DELTA_LOG: &str = "_delta_log";

/// The manifest against the folder.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The manifest's files that are there, by their number in it.
    pub there: Vec<usize>,
    /// Of these, the files that have another length, and which.
    other_length: Vec<(String, String)>,
    /// Files that a publication left which was cut off. The next run removes them.
    pub left_over: Vec<String>,
    /// Files that complete such a publication. The next run takes them into the manifest.
    pub half_done: Vec<String>,
    /// Files that are missing, and files that are nobody's.
    pub differences: Differences,
}

impl Inventory {
    /// Compares what is there with the manifest. Replies that a staged file holds are taken off `damaged`.
    pub fn take(
        ledger: &Ledger,
        archive: &Archive,
        stands: &AsItStands,
        damaged: &mut DamagedReplies,
    ) -> Result<Self, PublishError> {
        let mut inventory = Self::default();
        let mut on_disk = OnDisk::list(archive)?;
        on_disk.files.retain(|path, _| !stands.replaced.contains(path));
        for (number, file) in stands.manifest.iter().enumerate() {
            inventory.look_for(number, file, &mut on_disk);
        }
        inventory.look_at_staged((ledger, archive), &mut on_disk, damaged)?;
        for path in on_disk.files.into_keys() {
            inventory.differences.add(Difference::ExtraFile(path));
        }
        for folder in on_disk.unreadable {
            let why = crate::error_chain(&folder.error);
            let itself = folder.relative_path.is_empty();
            let path = if itself { ".".to_owned() } else { folder.relative_path };
            inventory.differences.add(Difference::UnreadableFile { path, why });
        }
        Ok(inventory)
    }

    /// All differences of a run's end, those in length too.
    pub fn of_run(ledger: &Ledger, archive: &Archive) -> Result<Differences, PublishError> {
        let stands = AsItStands::read(ledger, archive)?;
        let mut inventory = Self::take(ledger, archive, &stands, &mut DamagedReplies::default())?;
        for (path, what) in inventory.other_length {
            inventory.differences.add(Difference::ChangedFile { path, what });
        }
        Ok(inventory.differences)
    }

    /// Files that a publication left which was cut off.
    fn look_at_staged(
        &mut self,
        (ledger, archive): (&Ledger, &Archive),
        on_disk: &mut OnDisk,
        damaged: &mut DamagedReplies,
    ) -> Result<(), PublishError> {
        let mut staged = verifications_first(ledger.staged_files()?);
        staged.retain(|path| on_disk.files.get(path).is_some_and(|file| file.regular));
        if staged.is_empty() {
            return Ok(());
        }
        let mut published = published(ledger)?;
        for path in staged {
            on_disk.files.remove(&path);
            let file = ledger.staged_file(&path)?;
            match judge(ledger, archive, &file, damaged, &mut published)? {
                Staged::LeftOver => self.left_over.push(path),
                Staged::Completes => self.half_done.push(path),
                Staged::Damaged => self.differences.add(Difference::ChangedFile {
                    path,
                    what: "other bytes than were staged".to_owned(),
                }),
                Staged::Contradicts(what) => self.differences.add(Difference::Manifest { path, what }),
            }
        }
        Ok(())
    }

    fn look_for(&mut self, number: usize, file: &ManifestFile, on_disk: &mut OnDisk) {
        let path = || file.path.clone();
        if let Some(what) = misnamed(file) {
            self.differences.add(Difference::Manifest { path: path(), what });
        }
        match on_disk.files.remove(&file.path) {
            Some(found) if found.regular => {
                self.there.push(number);
                if found.bytes != file.bytes {
                    self.other_length.push((path(), other_length(found.bytes, file)));
                }
            }
            // A link or a socket where the file should be.
            Some(_) => self.differences.add(Difference::ExtraFile(path())),
            None if on_disk.may_hold(&file.path) => self.differences.add(Difference::UnreadableFile {
                path: path(),
                why: "its folder can't be listed".to_owned(),
            }),
            None => self.differences.add(Difference::MissingFile(path())),
        }
    }
}

/// How a file's length differs from the manifest's.
pub fn other_length(bytes: u64, file: &ManifestFile) -> String {
    format!("{bytes} bytes, the manifest says {}", file.bytes)
}

/// What is below `archive/`, without what is known by name and in no manifest.
#[derive(Debug)]
pub struct OnDisk {
    /// By their paths.
    pub files: BTreeMap<String, FoundFile>,
    /// What is in them is not known.
    unreadable: Vec<UnreadableFolder>,
}

impl OnDisk {
    /// Lists it.
    pub fn list(archive: &Archive) -> Result<Self, ArchiveError> {
        let found = archive.files_in(Room::Archive)?;
        let listed = found.files.into_iter().filter(|file| !is_unlisted(&file.relative_path));
        Ok(Self {
            files: listed.map(|file| (file.relative_path.clone(), file)).collect(),
            unreadable: found.unreadable,
        })
    }

    /// Whether a file may be there and not have been found.
    pub fn may_hold(&self, path: &str) -> bool {
        let mut folders = self.unreadable.iter();
        folders.any(|folder| Path::new(path).starts_with(&folder.relative_path))
    }
}

fn is_unlisted(path: &str) -> bool {
    let mut folders = path.split('/');
    // The last part is the file's own name.
    folders.next_back();
    let [first, second] = [folders.next(), folders.next()];
    Archive::is_derived(path) || [first, second].contains(&Some(DELTA_LOG))
}

/// What is wrong with a manifest entry in itself: a file's path says its dataset, its day and its run too.
fn misnamed(file: &ManifestFile) -> Option<String> {
    let folder = Archive::folder_of(&file.dataset, file.billing_day.as_deref());
    // Files of an older schema may still be where undated rows were then.
    let old = Archive::old_undated_folder_of(&file.dataset);
    let in_folder = file.folder() == folder || (file.billing_day.is_none() && file.folder() == old);
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let is_named = in_folder && name.starts_with(&format!("{}-", file.run_id));
    (!is_named).then(|| "its dataset, billing day or run is another than its path says".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_folders_are_known_by_name() {
        for path in [
            "_changes/1.json",
            "dim/a/b.parquet",
            "_delta_log/0.json",
            "verifications/_delta_log/0.json",
        ] {
            assert!(is_unlisted(path), "{path}");
        }
        for path in [
            "_changes",
            "dim.parquet",
            "verifications/dim/a",
            "a/b/_delta_log/0.json",
            "verifications/_delta_log",
        ] {
            assert!(!is_unlisted(path), "{path}");
        }
    }
}
