//! `idvault verify --repair`: mends what can be mended without guessing, and deletes no data.
//!
//! A file is put back only where size and SHA-256 say that it is the one; what is in its way is set aside. Tallies are
//! counted again only from a file whose bytes are those that were published. All else is left to a person.
//!
//! What the file system refuses is said, and the rest is mended all the same.
//!
//! - [`repair()`]: does it; [`Mended`]: one thing that it did

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use super::compare_bytes;
use crate::archive::{Archive, ArchiveError, CheckedFile, Room, Stray};
use crate::compact;
use crate::files::FileError;
use crate::inventory::OnDisk;
use crate::ledger::{GoneRecord, Ledger, LedgerError, ManifestFile, Tally};
use crate::publish::PublishError;
use crate::publish::recovery::recover;

/// Something that was mended, or could not be.
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
    /// A file is in the manifest that a cut-off compaction or publication had put in its place.
    Completed {
        /// Below archive/.
        path: String,
        /// `compaction` or `publication`.
        what: &'static str,
    },
    /// A file was counted again.
    Retallied(String),
    /// A file is in the manifest no more.
    TakenOut(String),
    /// A record is pending again whose large reply is missing or damaged.
    ReplyAskedAgain(String),
    /// Records are pending again.
    AskedAgain {
        /// How many.
        records: u64,
    },
    /// A record is lost: neither archive nor vendor holds it.
    Gone(GoneRecord),
    /// Nothing: the file system refused, or there is nothing to mend it with.
    Not {
        /// What, to which file.
        why: String,
    },
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
            Self::Completed { path, what } => write!(f, "completed: archive/{path}, of a {what} that was cut off"),
            Self::Retallied(path) => write!(f, "tallied: archive/{path} was counted again"),
            Self::TakenOut(path) => write!(f, "taken out: archive/{path} is in the manifest no more"),
            Self::ReplyAskedAgain(id) => write!(
                f,
                "asked for again: {id}, by the next run; its reply is missing or damaged"
            ),
            Self::AskedAgain { records } => write!(f, "asked for again: {records} records, by the next run"),
            Self::Gone(gone) => write_gone(f, gone),
            Self::Not { why } => write!(f, "not mended: {why}"),
        }
    }
}

fn write_gone(f: &mut fmt::Formatter<'_>, gone: &GoneRecord) -> fmt::Result {
    let GoneRecord {
        transaction_id,
        product_code,
        region,
        verified_at,
        passed,
        sub_code,
    } = gone;
    write!(f, "gone: {transaction_id} ({product_code}, {region}, ")?;
    match verified_at {
        Some(time) => write!(f, "verified at {time}")?,
        None => write!(f, "verified at an unknown time")?,
    }
    let verdict = if *passed { "passed" } else { "failed" };
    write!(
        f,
        ", {verdict} with sub code {sub_code}): the vendor has deleted it, so it is lost"
    )
}

/// Mends what can be mended, and says each thing once it is done, or could not be. A second call finishes what a first one
/// could not. Returns how much could not be mended.
pub fn repair(
    ledger: &mut Ledger,
    archive: &Archive,
    now: Timestamp,
    say: &mut dyn FnMut(&Mended),
) -> Result<u64, PublishError> {
    ledger.check_integrity()?;
    // Else the files that were merged would be put back beside the one that they are now.
    for path in compact::recover(ledger, archive, now)? {
        say(&Mended::Completed {
            path,
            what: "compaction",
        });
    }
    let manifest = &ledger.manifest()?;
    let mut repair = Repair {
        ledger,
        archive,
        manifest,
        now,
        say,
        not_mended: 0,
    };
    // Before the left-overs are cleared: a published file could have got among them.
    repair.put_files_back()?;
    repair.clear_left_overs()?;
    repair.set_copies_aside()?;
    repair.tally_again()?;
    Ok(repair.not_mended)
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

struct Repair<'a> {
    ledger: &'a mut Ledger,
    archive: &'a Archive,
    manifest: &'a [ManifestFile],
    now: Timestamp,
    say: &'a mut dyn FnMut(&Mended),
    not_mended: u64,
}

impl Repair<'_> {
    /// What was done; what the file system refused is said, and keeps nothing else from being mended. A sync that failed
    /// is no such thing: the disk can't be trusted then.
    fn done<T>(&mut self, done: Result<T, ArchiveError>) -> Result<Option<T>, ArchiveError> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(error @ ArchiveError::File(FileError { action, .. })) if action != "sync" => {
                self.not_mended += 1;
                let why = crate::error_chain(&error);
                (self.say)(&Mended::Not { why });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn put_files_back(&mut self) -> Result<(), PublishError> {
        let (archive, manifest) = (self.archive, self.manifest);
        let wanted: Vec<&ManifestFile> = split_by_order(archive, manifest)?.1;
        if wanted.is_empty() {
            return Ok(());
        }
        let mut loose = self.loose_files(&wanted)?;
        let mut found: Vec<(&ManifestFile, usize)> = Vec::new();
        for file in wanted {
            // Each is put back once, should two entries say the same of their bytes.
            let free = |at: &usize| found.iter().all(|(_, taken)| taken != at);
            let at = (0..loose.len()).find(|at| loose[*at].is_that_of(file) && free(at));
            found.extend(at.map(|at| (file, at)));
        }
        // First every place is made free, then every file put back: so two that were swapped need nothing of their own.
        let on_disk = OnDisk::list(archive)?.files;
        found.retain(|(file, _)| on_disk.get(&file.path).is_none_or(|there| there.regular));
        let mut ready = Vec::new();
        for (file, at) in found {
            if on_disk.contains_key(&file.path) {
                let Some(to) = self.done(archive.set_aside(&file.path))? else {
                    continue;
                };
                let in_archive = |stray: &Stray| stray.room == Room::Archive && stray.relative_path == file.path;
                for moved in loose.iter_mut().filter(|loose| in_archive(&loose.stray)) {
                    moved.stray = to.clone();
                }
                (self.say)(&Mended::SetAside {
                    path: file.path.clone(),
                    to,
                    why: "is not the file that was published there".to_owned(),
                });
            }
            ready.push((file, at));
        }
        for (file, at) in ready {
            let from = loose[at].stray.clone();
            if self.done(archive.put_back(&from, &file.path))?.is_some() {
                let path = file.path.clone();
                (self.say)(&Mended::PutBack { from, path });
            }
        }
        Ok(())
    }

    /// Files that are not where a file in order is, and as long as one that is wanted.
    fn loose_files(&self, wanted: &[&ManifestFile]) -> Result<Vec<Loose>, PublishError> {
        let wanted_paths: BTreeSet<&str> = wanted.iter().map(|file| &*file.path).collect();
        let lengths: BTreeSet<u64> = wanted.iter().map(|file| file.bytes).collect();
        let mut taken: BTreeSet<String> = self.manifest.iter().map(|file| file.path.clone()).collect();
        taken.retain(|path| !wanted_paths.contains(&**path));
        // Should the bytes of a published file be found under the name of a left-over, they are a copy or moved there.
        taken.extend(self.ledger.staged_files()?);
        let mut loose = Vec::new();
        for room in [Room::Archive, Room::SetAside, Room::Staging] {
            // What is in a folder that can't be listed is not found, as if it were not there.
            for file in self.archive.files_in(room)?.files {
                let in_order = room == Room::Archive && taken.contains(&file.relative_path);
                if in_order || !file.regular || !lengths.contains(&file.bytes) {
                    continue;
                }
                let stray = Stray {
                    room,
                    relative_path: file.relative_path,
                };
                let Some(is) = readable(self.archive.check_stray(&stray))? else {
                    continue;
                };
                loose.push(Loose { stray, is });
            }
        }
        Ok(loose)
    }

    fn clear_left_overs(&mut self) -> Result<(), PublishError> {
        let mut failed = Vec::new();
        let recovered = recover(self.ledger, self.archive, self.now, &mut |error| {
            failed.push(error);
            Ok(())
        });
        for error in failed {
            self.done(Err::<(), _>(error))?;
        }
        let recovered = match recovered {
            Ok(recovered) => recovered,
            // Said by the comparison that follows.
            Err(PublishError::Ledger(LedgerError::Inconsistent { .. })) => return Ok(()),
            Err(error) => return Err(error),
        };
        if recovered.staging > 0 {
            let entries = recovered.staging;
            (self.say)(&Mended::ClearedStaging { entries });
        }
        for path in recovered.completed {
            let what = "publication";
            (self.say)(&Mended::Completed { path, what });
        }
        for (path, to) in recovered.set_aside {
            let why = "is not as it was staged".to_owned();
            (self.say)(&Mended::SetAside { path, to, why });
        }
        for id in recovered.asked_again {
            (self.say)(&Mended::ReplyAskedAgain(id));
        }
        for path in recovered.files {
            (self.say)(&Mended::RemovedLeftOver(path));
        }
        Ok(())
    }

    fn set_copies_aside(&mut self) -> Result<(), PublishError> {
        let mut extra = OnDisk::list(self.archive)?.files;
        let staged = self.ledger.staged_files()?;
        for path in self.manifest.iter().map(|file| &file.path).chain(&staged) {
            extra.remove(path);
        }
        let (in_order, _) = split_by_order(self.archive, self.manifest)?;
        for (path, found) in extra {
            if !found.regular || !in_order.iter().any(|file| file.bytes == found.bytes) {
                continue;
            }
            let Some(is) = readable(self.archive.check(&path))? else {
                continue;
            };
            let original = in_order
                .iter()
                .find(|file| file.bytes == is.bytes && file.sha256 == is.sha256);
            let Some(original) = original else { continue };
            if let Some(to) = self.done(self.archive.set_aside(&path))? {
                let why = format!("is a copy of {}", original.path);
                (self.say)(&Mended::SetAside { path, to, why });
            }
        }
        Ok(())
    }

    fn tally_again(&mut self) -> Result<(), PublishError> {
        let (in_order, _) = split_by_order(self.archive, self.manifest)?;
        for file in in_order.into_iter().filter(|file| file.dataset == "verifications") {
            let Some(counted) = self.done(self.archive.tally(&file.path))? else {
                continue;
            };
            if counted == self.ledger.tallies_of(&file.path)? {
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
            self.ledger.retally(&file.path, &tallies.collect::<Vec<_>>())?;
            (self.say)(&Mended::Retallied(file.path.clone()));
        }
        Ok(())
    }
}

/// The files of the manifest that are as they were published, and those that are not.
fn split_by_order<'a>(
    archive: &Archive,
    manifest: &'a [ManifestFile],
) -> Result<(Vec<&'a ManifestFile>, Vec<&'a ManifestFile>), PublishError> {
    let on_disk = OnDisk::list(archive)?.files;
    let (mut in_order, mut wanted) = (Vec::new(), Vec::new());
    for file in manifest {
        let there = on_disk.get(&file.path).is_some_and(|found| found.regular);
        if there && compare_bytes(archive, file)?.is_none() {
            in_order.push(file);
        } else {
            wanted.push(file);
        }
    }
    Ok((in_order, wanted))
}

/// What can't be read is left where it is, and named by the comparison that follows: the rest is mended all the same.
fn readable(checked: Result<CheckedFile, ArchiveError>) -> Result<Option<CheckedFile>, ArchiveError> {
    match checked {
        Ok(is) => Ok(Some(is)),
        Err(ArchiveError::File(_)) => Ok(None),
        Err(other) => Err(other),
    }
}
