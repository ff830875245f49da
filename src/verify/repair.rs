//! `idvault verify --repair`: mends what can be mended without guessing, and deletes no data.
//!
//! A file is put back only where size and SHA-256 say that it is the one; what is in its way is set aside. Tallies are
//! counted again only from a file whose bytes are those that were published. All else is left to a person.
//!
//! - [`repair()`]: does it; [`Mended`]: one thing that it did

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use super::rows::{count, differing};
use super::{RunError, compare_bytes, files_on_disk};
use crate::archive::{Archive, ArchiveError, CheckedFile, Columns, Room, Stray};
use crate::compact;
use crate::ledger::{Ledger, LedgerError, ManifestFile, Tally};
use crate::publish::{PublishError, recover};
use crate::tally::Counted;

/// Something that was mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// A file was found where it doesn't belong, and is at its path again.
    PutBack {
        /// Where it was.
        from: Stray,
        /// Below archive/.
        path: String,
    },
    /// A file was in the way, or one too many. It is kept.
    SetAside {
        /// Below archive/, where it was.
        path: String,
        /// Where it is now.
        to: Stray,
        /// Why.
        why: String,
    },
    /// What a cut-off run left in `.staging/` is gone.
    ClearedStaging {
        /// How many files or folders.
        entries: u64,
    },
    /// A file is gone that a cut-off run had named and not published.
    RemovedLeftOver(String),
    /// A file is in the manifest that a cut-off compaction had put in the place of others.
    Completed(String),
    /// A file was counted again.
    Retallied(String),
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutBack { from, path } => write!(f, "put back: archive/{path}, which was found as {from}"),
            Self::SetAside { path, to, why } => write!(f, "set aside: archive/{path} {why}, and is now {to}"),
            Self::ClearedStaging { entries } => {
                write!(f, "cleared: {entries} left in .staging/ by a run that was cut off")
            }
            Self::RemovedLeftOver(path) => write!(
                f,
                "removed: archive/{path}, left by a run that was cut off; its rows are all in the journal"
            ),
            Self::Completed(path) => write!(f, "completed: archive/{path}, of a compaction that was cut off"),
            Self::Retallied(path) => write!(f, "tallied: archive/{path} was counted again"),
        }
    }
}

/// Mends what can be mended, and says each thing once it is done. A second call finishes what a first one could not.
pub fn repair(
    ledger: &mut Ledger,
    archive: &Archive,
    now: Timestamp,
    say: &mut dyn FnMut(&Mended),
) -> Result<(), RunError> {
    ledger.check_integrity()?;
    // Else the files that were merged would be put back beside the one that they are now.
    for path in compact::recover(ledger, archive, now)? {
        say(&Mended::Completed(path));
    }
    let manifest = ledger.manifest()?;
    // Before the left-overs are cleared: a published file could have got among them.
    put_files_back(ledger, archive, &manifest, say)?;
    clear_left_overs(ledger, archive, say)?;
    set_copies_aside(ledger, archive, &manifest, say)?;
    tally_again(ledger, archive, &manifest, say)
}

/// A file that may belong elsewhere.
struct Loose {
    stray: Stray,
    is: CheckedFile,
}

impl Loose {
    fn is_that_of(&self, file: &ManifestFile) -> bool {
        self.is.bytes == file.bytes && self.is.sha256 == file.sha256
    }
}

fn put_files_back(
    ledger: &Ledger,
    archive: &Archive,
    manifest: &[ManifestFile],
    say: &mut dyn FnMut(&Mended),
) -> Result<(), RunError> {
    let wanted: Vec<&ManifestFile> = split_by_order(archive, manifest)?.1;
    if wanted.is_empty() {
        return Ok(());
    }
    let mut loose = loose_files(ledger, archive, manifest, &wanted)?;
    let mut found: Vec<(&ManifestFile, usize)> = Vec::new();
    for file in wanted {
        // Each is put back once, should two entries say the same of their bytes.
        let free = |at: &usize| found.iter().all(|(_, taken)| taken != at);
        let at = (0..loose.len()).find(|at| loose[*at].is_that_of(file) && free(at));
        found.extend(at.map(|at| (file, at)));
    }
    // First every place is made free, then every file put back: so two that were swapped need nothing of their own.
    let on_disk = files_on_disk(archive)?;
    found.retain(|(file, _)| on_disk.get(&file.path).is_none_or(|there| there.regular));
    for (file, _) in &found {
        if !on_disk.contains_key(&file.path) {
            continue;
        }
        let to = archive.set_aside(&file.path)?;
        let in_archive = |stray: &Stray| stray.room == Room::Archive && stray.relative_path == file.path;
        for moved in loose.iter_mut().filter(|loose| in_archive(&loose.stray)) {
            moved.stray = to.clone();
        }
        say(&Mended::SetAside {
            path: file.path.clone(),
            to,
            why: "is not the file that was published there".to_owned(),
        });
    }
    for (file, at) in found {
        let from = loose[at].stray.clone();
        archive.put_back(&from, &file.path)?;
        let path = file.path.clone();
        say(&Mended::PutBack { from, path });
    }
    Ok(())
}

/// The files of the manifest that are as they were published, and those that are not.
fn split_by_order<'a>(
    archive: &Archive,
    manifest: &'a [ManifestFile],
) -> Result<(Vec<&'a ManifestFile>, Vec<&'a ManifestFile>), RunError> {
    let mut on_disk = files_on_disk(archive)?;
    let (mut in_order, mut wanted) = (Vec::new(), Vec::new());
    for file in manifest {
        match compare_bytes(archive, file, on_disk.remove(&file.path))? {
            None => in_order.push(file),
            Some(_) => wanted.push(file),
        }
    }
    Ok((in_order, wanted))
}

/// Files that are not where a file in order is, and as long as one that is wanted.
fn loose_files(
    ledger: &Ledger,
    archive: &Archive,
    manifest: &[ManifestFile],
    wanted: &[&ManifestFile],
) -> Result<Vec<Loose>, RunError> {
    let wanted_paths: BTreeSet<&str> = wanted.iter().map(|file| &*file.path).collect();
    let lengths: BTreeSet<u64> = wanted.iter().map(|file| file.bytes).collect();
    let mut taken: BTreeSet<String> = manifest.iter().map(|file| file.path.clone()).collect();
    taken.retain(|path| !wanted_paths.contains(&**path));
    // Should the bytes of a published file be found under the name of a left-over, they are a copy or moved there.
    taken.extend(ledger.staged_files()?);
    let mut loose = Vec::new();
    for room in [Room::Archive, Room::SetAside, Room::Staging] {
        for file in archive.files_in(room)? {
            let in_order = room == Room::Archive && taken.contains(&file.relative_path);
            if in_order || !file.regular || !lengths.contains(&file.bytes) {
                continue;
            }
            let stray = Stray {
                room,
                relative_path: file.relative_path,
            };
            let Some(is) = readable(archive.check_stray(&stray))? else {
                continue;
            };
            loose.push(Loose { stray, is });
        }
    }
    Ok(loose)
}

/// What can't be read is left where it is, and named by the comparison that follows: the rest is mended all the same.
fn readable(checked: Result<CheckedFile, ArchiveError>) -> Result<Option<CheckedFile>, ArchiveError> {
    match checked {
        Ok(is) => Ok(Some(is)),
        Err(ArchiveError::File(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

fn clear_left_overs(ledger: &mut Ledger, archive: &Archive, say: &mut dyn FnMut(&Mended)) -> Result<(), RunError> {
    let recovered = match recover(ledger, archive) {
        Ok(recovered) => recovered,
        // Said by the comparison that follows.
        Err(PublishError::Ledger(LedgerError::Inconsistent { .. })) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if recovered.staging > 0 {
        let entries = recovered.staging;
        say(&Mended::ClearedStaging { entries });
    }
    for path in recovered.files {
        say(&Mended::RemovedLeftOver(path));
    }
    Ok(())
}

fn set_copies_aside(
    ledger: &Ledger,
    archive: &Archive,
    manifest: &[ManifestFile],
    say: &mut dyn FnMut(&Mended),
) -> Result<(), RunError> {
    let mut extra = files_on_disk(archive)?;
    let staged = ledger.staged_files()?;
    for path in manifest.iter().map(|file| &file.path).chain(&staged) {
        extra.remove(path);
    }
    let (in_order, _) = split_by_order(archive, manifest)?;
    for (path, found) in extra {
        if !found.regular || !in_order.iter().any(|file| file.bytes == found.bytes) {
            continue;
        }
        let Some(is) = readable(archive.check(&path))? else {
            continue;
        };
        let original = in_order
            .iter()
            .find(|file| file.bytes == is.bytes && file.sha256 == is.sha256);
        if let Some(original) = original {
            let to = archive.set_aside(&path)?;
            let why = format!("is a copy of {}", original.path);
            say(&Mended::SetAside { path, to, why });
        }
    }
    Ok(())
}

fn tally_again(
    ledger: &mut Ledger,
    archive: &Archive,
    manifest: &[ManifestFile],
    say: &mut dyn FnMut(&Mended),
) -> Result<(), RunError> {
    let (in_order, _) = split_by_order(archive, manifest)?;
    for file in in_order.into_iter().filter(|file| file.dataset == "verifications") {
        let mut counted = Counted::new();
        archive.read_verifications(&file.path, Columns::Compared, &mut |row| {
            count(&mut counted, row);
            Ok::<_, RunError>(())
        })?;
        if differing(&counted, &ledger.tallies_of(&file.path)?).is_none() {
            continue;
        }
        let tallies = counted
            .into_iter()
            .map(|([product_code, region, sub_code], verifications)| Tally {
                product_code,
                region,
                sub_code,
                verifications,
            });
        ledger.retally(&file.path, &tallies.collect::<Vec<_>>())?;
        say(&Mended::Retallied(file.path.clone()));
    }
    Ok(())
}
