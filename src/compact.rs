//! Many small files of a billing day into one, as late records bring one for each day and night.
//!
//! A day's folder changes in one step: the new one is prepared in the staging folder, with the one file and a second name for
//! each file that stays, and is put in the place of the old. Whoever lists the folder sees the old files or the one, so no
//! row is there twice or missing; for who was about to list the old one it stays whole for [`GRACE`]. Whoever has a file open
//! reads it to its end. Whoever listed the folder before and opens a file after is told that it is gone, and has to begin
//! again.
//!
//! Whenever it is cut off, the rows are all in the archive: the intent is committed before the folders change places, so it
//! can be told from what is there how far it came, and [`recover`] goes on from there. An old file is removed last, once the
//! one was synced, read back and found to hold the same rows in all columns.
//!
//! `idvault archive upgrade` goes the same way: it writes the files of an older schema anew. Undated rows then get into a
//! folder of their own. There the new file comes first, and the old ones go after it. For a moment a reader of both
//! folders sees these rows twice.
//!
//! - [`plan()`]: what is to be merged; [`plan_upgrade`]: what is to be written anew; [`DayPlan`]: of a day
//! - [`Compaction`]: does it; [`Step`]: what it did of a day; [`Compacted`]: in all
//! - [`recover`]: completes what was cut off, or undoes it; [`AsItStands`]: for who may not

mod plan;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use tokio::time::Instant;

use crate::archive::{Archive, ArchiveError, Dataset, SCHEMA_VERSION, StagedFile, StagedFolder};
use crate::closing::Signed;
use crate::day::BillingZone;
use crate::error_chain;
use crate::history;
use crate::ledger::{ChangeKind, Ledger, LedgerError, ManifestFile, NewFile, Replacement, Run};
use crate::publish::{PublishError, new_file};
use crate::stop::Stop;

pub use plan::DayPlan;

/// Days after which no record of a billing day is expected any more: the vendor has deleted what was not fetched by then.
pub const MIN_AGE_DAYS: u16 = 31;

/// Files of a day from which on they are merged even while late records still come: readers open each of them.
pub const MANY_FILES: usize = 8;

/// How long a folder that was replaced is kept: a reader who had opened it still lists all of it. It takes microseconds.
const GRACE: Duration = Duration::from_millis(250);

/// What can be merged of the billing days that are more than `min_age_days` old, or have more than [`MANY_FILES`] files.
/// Undated files count as old by when they were published. Files that a closed month was signed off with are left alone.
pub fn plan(
    ledger: &Ledger,
    zone: &BillingZone,
    now: Timestamp,
    min_age_days: u16,
) -> Result<Vec<DayPlan>, LedgerError> {
    let before = zone.day_of(now).saturating_sub(i64::from(min_age_days).days());
    let age = SignedDuration::from_hours(24 * i64::from(min_age_days));
    let published_before = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
    let signed = Signed::read(ledger)?;
    let mut manifest = ledger.manifest_at_rest(before, published_before)?;
    let mut files: HashMap<String, usize> = HashMap::new();
    for (file, _) in &manifest {
        *files.entry(file.folder().to_owned()).or_default() += 1;
    }
    for (file, is_free) in &mut manifest {
        let many = files.get(file.folder()).is_some_and(|files| *files > MANY_FILES);
        *is_free = (*is_free || many) && !signed.names(file) && !is_old_undated(file);
    }
    Ok(plan::plan(manifest, 2))
}

/// What an archive of an older schema needs.
#[derive(Debug)]
pub struct UpgradePlan {
    /// The files that are written anew, day by day.
    pub days: Vec<DayPlan>,
    /// Older files that closed months were signed off with: they stay as they are.
    pub signed: u64,
}

/// The files that are of an older schema, or where undated rows were before they were a dataset of their own. A file of a
/// newer schema is an error.
pub fn plan_upgrade(ledger: &Ledger, archive: &Archive) -> Result<UpgradePlan, PublishError> {
    let signed = Signed::read(ledger)?;
    let mut signed_files = 0;
    let mut manifest = Vec::new();
    for file in ledger.manifest()? {
        let is_old = match archive.schema_version(&file.path) {
            Ok(version) => version < SCHEMA_VERSION,
            Err(error @ ArchiveError::Newer { .. }) => return Err(error.into()),
            // Left alone later, with the reason.
            Err(_) => true,
        };
        let is_old = is_old || is_old_undated(&file);
        let is_signed = is_old && signed.names(&file);
        signed_files += u64::from(is_signed);
        manifest.push((file, is_old && !is_signed));
    }
    Ok(UpgradePlan {
        days: plan::plan(manifest, 1),
        signed: signed_files,
    })
}

fn is_old_undated(file: &ManifestFile) -> bool {
    file.folder() == Archive::old_undated_folder_of(&file.dataset)
}

/// What became of some files of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// They are one.
    Merged {
        /// Their folder, below archive/.
        folder: String,
        /// How many there were.
        files: usize,
        /// Their rows.
        rows: u64,
        /// Their bytes.
        bytes_before: u64,
        /// Those of the one.
        bytes: u64,
    },
    /// Nothing: archive and ledger differ.
    LeftAlone {
        /// Their folder, below archive/.
        folder: String,
        /// In what.
        why: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Merged {
                folder,
                files,
                rows,
                bytes_before,
                bytes,
            } => {
                let (verb, noun) = if *files == 1 {
                    ("written anew", "file")
                } else {
                    ("merged", "files")
                };
                write!(
                    f,
                    "{verb}: {folder}: {files} {noun} of {bytes_before} bytes are one of {bytes}, {rows} rows"
                )
            }
            Self::LeftAlone { folder, why } => write!(f, "left alone: {folder}: {why}; run `idvault verify`"),
        }
    }
}

/// What was done in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Folders of a day and dataset in which files were merged.
    pub days: u64,
    /// Folders that were left alone.
    pub left_alone: u64,
    /// Files that were merged.
    pub files_before: u64,
    /// Files that they are now.
    pub files: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// Those of what they are now.
    pub bytes: u64,
    /// Folders that a stop left for another time.
    pub put_off: u64,
}

/// Merges files.
#[derive(Debug)]
pub struct Compaction<'a> {
    /// Has the manifest.
    pub ledger: &'a mut Ledger,
    /// Where the files are.
    pub archive: &'a Archive,
    /// For the names of the new ones.
    pub run: &'a Run,
    /// What the history calls it.
    pub kind: ChangeKind,
    /// The ledger's time.
    pub now: Timestamp,
    /// Asked between two merges.
    pub stop: &'a Stop,
}

impl Compaction<'_> {
    /// Carries the plan out, a folder after the other, and says each step once it is done.
    pub fn carry_out(&mut self, days: Vec<DayPlan>, say: &mut dyn FnMut(&Step)) -> Result<Compacted, PublishError> {
        let mut compacted = Compacted::default();
        let mut replaced = Replaced::default();
        let mut sequence = 0;
        for mut day in days {
            let mut merged = false;
            for files in std::mem::take(&mut day.merges) {
                if self.stop.reason().is_some() {
                    compacted.put_off += 1;
                    break;
                }
                sequence += 1;
                let step = self.merge(&mut day, &files, sequence, &mut replaced)?;
                say(&step);
                let Step::Merged {
                    bytes_before, bytes, ..
                } = step
                else {
                    compacted.left_alone += 1;
                    break;
                };
                merged = true;
                compacted.files_before += files.len() as u64;
                compacted.files += 1;
                compacted.bytes_before += bytes_before;
                compacted.bytes += bytes;
            }
            compacted.days += u64::from(merged);
        }
        replaced.remove(Instant::now() + GRACE)?;
        Ok(compacted)
    }

    fn merge(
        &mut self,
        day: &mut DayPlan,
        files: &[ManifestFile],
        sequence: u32,
        old: &mut Replaced,
    ) -> Result<Step, PublishError> {
        let left_alone = |why| Step::LeftAlone {
            folder: day.folder.clone(),
            why,
        };
        if let Some(why) = self.fault(day, files)? {
            return Ok(left_alone(why));
        }
        let replaced: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        let name = (&*self.run.id, sequence);
        let merged = match self.archive.merge((day.dataset, day.day), name, &replaced) {
            Err(error @ (ArchiveError::Unreadable { .. } | ArchiveError::Newer { .. })) => {
                return Ok(left_alone(error_chain(&error)));
            }
            merged => merged?,
        };
        let entry = new_file(&merged, day.day, Vec::new());
        if day.moves() {
            self.move_rows(day, &merged, &entry, &replaced)?;
        } else {
            self.swap_folder(day, &merged, &entry, &replaced, old)?;
        }
        for path in &replaced {
            day.paths.remove(*path);
        }
        if !day.moves() {
            day.paths.insert(entry.path);
        }
        Ok(Step::Merged {
            folder: day.folder.clone(),
            files: files.len(),
            rows: entry.rows,
            bytes_before: files.iter().map(|file| file.bytes).sum(),
            bytes: entry.bytes,
        })
    }

    /// Puts the folder with the new file in the place of the one with the old ones.
    fn swap_folder(
        &mut self,
        day: &DayPlan,
        merged: &StagedFile,
        entry: &NewFile,
        replaced: &[&str],
        old: &mut Replaced,
    ) -> Result<(), PublishError> {
        let kept = day.paths.iter().map(|path| &**path);
        let kept: Vec<&str> = kept.filter(|path| !replaced.contains(path)).collect();
        let folder = self.archive.assemble(merged, replaced, &kept)?;
        self.ledger.stage_replacement(&self.run.id, entry, replaced)?;
        folder.swap()?;
        self.ledger.publish_replacement(&entry.path, self.kind, self.now)?;
        history::write_files(self.ledger, self.archive)?;
        Ok(old.add(folder)?)
    }

    /// Publishes the new file in another folder, and removes the old ones after it.
    fn move_rows(
        &mut self,
        day: &DayPlan,
        merged: &StagedFile,
        entry: &NewFile,
        replaced: &[&str],
    ) -> Result<(), PublishError> {
        self.ledger.stage_replacement(&self.run.id, entry, replaced)?;
        self.archive.publish_elsewhere(merged, replaced)?;
        for path in replaced {
            self.archive.discard(path)?;
        }
        self.ledger.publish_replacement(&entry.path, self.kind, self.now)?;
        history::write_files(self.ledger, self.archive)?;
        Ok(self.archive.remove_empty(&day.folder)?)
    }

    /// Why a folder can't be replaced as a whole, or files of it can't be believed.
    fn fault(&self, day: &DayPlan, files: &[ManifestFile]) -> Result<Option<String>, ArchiveError> {
        let there = self.archive.paths_in(&day.folder)?;
        if let Some(path) = there.symmetric_difference(&day.paths).next() {
            let why = if there.contains(path) {
                "is there and not in the manifest"
            } else {
                "is in the manifest and not there"
            };
            return Ok(Some(format!("{path} {why}")));
        }
        for file in files {
            let found = self.archive.check(&file.path)?;
            if (found.bytes, &found.sha256) != (file.bytes, &file.sha256) {
                return Ok(Some(format!("{} has other bytes than were published", file.path)));
            }
        }
        Ok(None)
    }
}

/// Folders that were replaced, until they may go.
#[derive(Debug, Default)]
struct Replaced(VecDeque<(Instant, StagedFolder)>);

impl Replaced {
    fn add(&mut self, folder: StagedFolder) -> Result<(), ArchiveError> {
        let now = Instant::now();
        self.0.push_back((now + GRACE, folder));
        self.remove(now)
    }

    /// Removes those whose time has come by `until`, and waits for it.
    fn remove(&mut self, until: Instant) -> Result<(), ArchiveError> {
        while let Some((due, folder)) = self.0.pop_front_if(|(due, _)| *due <= until) {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            folder.remove_replaced()?;
        }
        Ok(())
    }
}

/// Completes what was cut off after the folders had changed places, and takes back the intent of the rest. Gives the files
/// that are in the manifest now. It comes before the staging folder is cleared, which has what is one file now.
pub fn recover(ledger: &mut Ledger, archive: &Archive, now: Timestamp) -> Result<Vec<String>, PublishError> {
    let mut completed = Vec::new();
    for replacement in ledger.replacements()? {
        let Some(file) = in_place(ledger, archive, &replacement)? else {
            ledger.forget_replacement(&replacement.path)?;
            continue;
        };
        archive.sync_swapped(&file.path)?;
        for path in &replacement.replaced {
            // Where the new file is in another folder, they may still be there. It holds their rows.
            archive.discard(path)?;
        }
        // Of an upgrade, too: the rows are the same either way.
        ledger.publish_replacement(&file.path, ChangeKind::Compact, now)?;
        history::write_files(ledger, archive)?;
        completed.push(file.path);
    }
    for dataset in Dataset::ALL {
        // What an upgrade that was cut off has emptied.
        archive.remove_empty(&Archive::old_undated_folder_of(dataset.as_str()))?;
    }
    Ok(completed)
}

/// The archive, where a compaction may have been cut off.
#[derive(Debug)]
pub struct AsItStands {
    /// The manifest, with a file that is in its place already instead of those that it replaces.
    pub manifest: Vec<ManifestFile>,
    /// The paths of such files.
    pub in_place: Vec<String>,
    /// Those that they replace. They may still be there.
    pub replaced: Vec<String>,
}

impl AsItStands {
    /// Changes nothing.
    pub fn read(ledger: &Ledger, archive: &Archive) -> Result<Self, PublishError> {
        let mut stands = Self {
            manifest: ledger.manifest()?,
            in_place: Vec::new(),
            replaced: Vec::new(),
        };
        for replacement in ledger.replacements()? {
            if archive.holds(&replacement.path)? {
                let file = ledger.staged_file(&replacement.path)?;
                stands
                    .manifest
                    .retain(|there| !replacement.replaced.contains(&there.path));
                stands.in_place.push(file.path.clone());
                stands.manifest.push(file);
                stands.replaced.extend(replacement.replaced);
            }
        }
        Ok(stands)
    }
}

/// The file that is to replace others, where it does already; `None` where those are all in their places.
fn in_place(
    ledger: &Ledger,
    archive: &Archive,
    replacement: &Replacement,
) -> Result<Option<ManifestFile>, PublishError> {
    let Replacement { path, replaced } = replacement;
    let inconsistent = |what: &str| {
        let what = format!("{path} {what}; what it was merged from is in .staging/, so keep that");
        let path = ledger.path().to_owned();
        PublishError::from(LedgerError::Inconsistent { path, what })
    };
    if !archive.holds(path)? {
        for old in replaced {
            if !archive.holds(old)? {
                return Err(inconsistent(
                    "is not in the archive, nor are all files that it was to replace",
                ));
            }
        }
        return Ok(None);
    }
    let file = ledger.staged_file(path)?;
    let found = archive.check(path)?;
    if (found.bytes, &found.sha256) != (file.bytes, &file.sha256) {
        return Err(inconsistent("is not the file that was written there"));
    }
    Ok(Some(file))
}
