//! What an interrupted publication left behind: staged files of the manifest, and what is in the staging folder.
//!
//! Mostly the rows of such a file are all still journalled. Then the file is removed, and its rows are published anew. Where a
//! reply is no longer there, the file is the only copy: if it has the hash that it was staged with, it completes the
//! publication.
//!
//! - [`recover`]: cleans up, or completes; [`Recovered`]: what it did
//! - [`Staged`]: what a staged file is; [`judge`]: tells, and changes nothing

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::PublishError;
use crate::archive::{Archive, ArchiveError, Columns, Dataset, Room, StoredRow, Stray};
use crate::history::{self, Told};
use crate::ledger::{Change, ChangeKind, ChangeRecord, DamagedReplies, Ledger, LedgerError, ManifestFile};
use crate::record::State;
use crate::tally::Counted;

/// What an interrupted publication had left behind.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Files and folders in the staging folder.
    pub staging: u64,
    /// Files that had their name and were never taken into the manifest, below archive/.
    pub files: Vec<String>,
    /// Files that are in the manifest now.
    pub completed: Vec<String>,
    /// Damaged files, and where they are now.
    pub set_aside: Vec<(String, Stray)>,
    /// Ids whose replies are missing or damaged, and that are pending again.
    pub asked_again: Vec<String>,
}

/// What a file is that the manifest has as staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Staged {
    /// Its rows are all in the journal, or are asked for again: it can go.
    LeftOver,
    /// Some of its rows are nowhere else, and it is as it was staged.
    Completes,
    /// It is not as it was staged, and can't be read or has faces of published verifications: it is kept elsewhere.
    Damaged,
    /// Some of its rows are nowhere else, and it can't be believed.
    Contradicts(String),
}

/// Completes a publication that was cut off where its replies are gone, and removes the left-overs of the others. Then replies
/// that are missing or damaged are asked for again. What can't be removed is handed to `failed`, which says whether to go on
/// without it.
pub fn recover(
    ledger: &mut Ledger,
    archive: &Archive,
    now: Timestamp,
    failed: &mut dyn FnMut(ArchiveError) -> Result<(), ArchiveError>,
) -> Result<Recovered, PublishError> {
    let mut recovered = Recovered::default();
    let mut damaged = ledger.damaged_replies()?;
    let mut published = published(ledger)?;
    let (mut left_over, mut completing, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for path in verifications_first(ledger.staged_files()?) {
        let file = ledger.staged_file(&path)?;
        if !damaged.is_empty() || published.contains(&verifications_of(&path)) {
            bring_in(archive, &file)?;
        }
        match judge(ledger, archive, &file, &mut damaged, &mut published)? {
            Staged::LeftOver => left_over.push(path),
            Staged::Completes => completing.push(file),
            Staged::Damaged => unreadable.push(path),
            Staged::Contradicts(what) => {
                let (path, what) = (ledger.path().to_owned(), format!("{path}: {what}"));
                return Err(LedgerError::Inconsistent { path, what }.into());
            }
        }
    }
    complete(ledger, archive, &completing, now)?;
    recovered.completed.extend(completing.into_iter().map(|file| file.path));
    for path in unreadable {
        let to = archive.set_aside(&path)?;
        ledger.forget_staged(&path)?;
        recovered.set_aside.push((path, to));
    }
    recovered.staging = archive.clear_staging(failed)?;
    for path in left_over {
        match archive.discard(&path) {
            Ok(removed) => {
                ledger.forget_staged(&path)?;
                recovered.files.extend(removed.then_some(path));
            }
            Err(error) => failed(error)?,
        }
    }
    recovered.asked_again = ledger.ask_again_for(damaged)?;
    Ok(recovered)
}

/// The files of verifications that are published.
pub fn published(ledger: &Ledger) -> Result<BTreeSet<String>, LedgerError> {
    let manifest = ledger.manifest()?.into_iter();
    Ok(manifest
        .map(|file| file.path)
        .filter(|path| is_verifications(path))
        .collect())
}

/// Whether faces count depends on their verifications, so these come first.
pub fn verifications_first(mut staged: Vec<String>) -> Vec<String> {
    staged.sort_by_key(|path| !is_verifications(path));
    staged
}

/// Dated or undated ones.
fn is_verifications(path: &str) -> bool {
    path.starts_with(Dataset::Verifications.as_str())
}

/// The path of the verifications that were staged with this file: a part of a day has a file of each dataset, of one name.
fn verifications_of(path: &str) -> String {
    let rest = path.strip_prefix(Dataset::FaceImages.as_str());
    rest.map_or_else(
        || path.to_owned(),
        |rest| format!("{}{rest}", Dataset::Verifications.as_str()),
    )
}

/// Says what a staged file is. One that completes a publication is added to `published`, and its ids are taken off `damaged`.
pub fn judge(
    ledger: &Ledger,
    archive: &Archive,
    file: &ManifestFile,
    damaged: &mut DamagedReplies,
    published: &mut BTreeSet<String>,
) -> Result<Staged, PublishError> {
    if !is_verifications(&file.path) && published.contains(&verifications_of(&file.path)) {
        return Ok(match (archive.holds(&file.path)?, is_as_staged(archive, file)?) {
            (false, _) => Staged::LeftOver,
            (true, true) => Staged::Completes,
            (true, false) => Staged::Damaged,
        });
    }
    let mut ids = Ids::default();
    let mut looked_up = Ok(());
    let read = archive.read_ids(&file.path, &mut |id| {
        if looked_up.is_ok() {
            looked_up = ids.add(ledger, id, damaged);
        }
    });
    looked_up?;
    let Ids {
        unknown,
        archived,
        open,
    } = ids;
    let contradicts = |id: String| Staged::Contradicts(format!("it is staged, and {id} in it is not in the journal"));
    if let Some(id) = unknown {
        return Ok(contradicts(id));
    }
    if archived.is_none() && open.is_empty() {
        let unreadable = read.is_err() && archive.holds(&file.path)?;
        return Ok(if unreadable { Staged::Damaged } else { Staged::LeftOver });
    }
    if is_verifications(&file.path) && is_as_staged(archive, file)? {
        for id in open {
            damaged.forget(&id);
        }
        published.insert(file.path.clone());
        return Ok(Staged::Completes);
    }
    Ok(archived.map_or(Staged::LeftOver, contradicts))
}

/// Where the ids of a staged file stand whose replies are not in the journal.
#[derive(Debug, Default)]
struct Ids {
    /// The first that the ledger does not know.
    unknown: Option<String>,
    /// The first that is archived.
    archived: Option<String>,
    /// Those that would be asked for again.
    open: Vec<String>,
}

impl Ids {
    fn add(&mut self, ledger: &Ledger, id: &str, damaged: &DamagedReplies) -> Result<(), LedgerError> {
        match ledger.known(id, |known| known.state)? {
            Some(Some(State::Journalled)) if !damaged.contains(id) => {}
            Some(Some(State::Archived)) => drop(self.archived.get_or_insert_with(|| id.to_owned())),
            Some(_) => self.open.push(id.to_owned()),
            None => drop(self.unknown.get_or_insert_with(|| id.to_owned())),
        }
        Ok(())
    }
}

fn is_as_staged(archive: &Archive, file: &ManifestFile) -> Result<bool, ArchiveError> {
    match archive.check(&file.path) {
        Ok(found) => Ok((found.bytes, &found.sha256) == (file.bytes, &file.sha256)),
        Err(ArchiveError::File(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Gives a file its name that is complete in the staging folder.
fn bring_in(archive: &Archive, file: &ManifestFile) -> Result<(), ArchiveError> {
    if archive.holds(&file.path)? {
        return Ok(());
    }
    let staged = Stray {
        room: Room::Staging,
        relative_path: file.path.replace('/', "."),
    };
    match archive.check_stray(&staged) {
        Ok(found) if (found.bytes, &found.sha256) == (file.bytes, &file.sha256) => {
            archive.put_back(&staged, &file.path)
        }
        Ok(_) | Err(ArchiveError::File(_)) => Ok(()),
        Err(other) => Err(other),
    }
}

/// The files that the history does not have. It has a published one that a person's hand made staged.
fn not_in_history(ledger: &Ledger, files: &[ManifestFile]) -> Result<Vec<ManifestFile>, LedgerError> {
    let mut told = Told::default();
    for commit in 1..=ledger.last_change()?.map_or(0, |last| last.commit) {
        let record = ledger.change(commit)?.map(|change| ChangeRecord::parse(&change.text));
        if let Some(Ok(record)) = record {
            // What is wrong with the history is for `verify` to say.
            let _ = told.add(record);
        }
    }
    let mut added = files.to_vec();
    added.retain(|file| !told.files().any(|there| there == file));
    Ok(added)
}

/// Takes staged files into the manifest by what they hold: one commit, or nothing.
fn complete(ledger: &Ledger, archive: &Archive, files: &[ManifestFile], now: Timestamp) -> Result<(), PublishError> {
    if files.is_empty() {
        return Ok(());
    }
    let commit = ledger.snapshot()?;
    for file in files {
        let path = &file.path;
        let counted = if is_verifications(path) {
            archive.read_verifications(path, Columns::Compared, &mut |row: StoredRow<'_>| {
                let verdict = (row.passed, row.sub_code);
                ledger.complete_row(row.transaction_id, verdict, row.fetched_at)?;
                Ok::<_, PublishError>(())
            })?
        } else {
            Counted::new()
        };
        ledger.complete_file(path, &counted, now)?;
        tracing::warn!("archive/{path} completes a publication that was cut off");
    }
    let added = not_in_history(ledger, files)?;
    if !added.is_empty() {
        ledger.record_within(&Change {
            run_id: files.first().map(|file| file.run_id.clone()),
            added,
            ..Change::new(ChangeKind::Run)
        })?;
    }
    // As many ids must be archived now as the manifest has rows.
    ledger.check_archived(ledger.id_counts()?.archived)?;
    commit.commit()?;
    Ok(history::write_files(ledger, archive)?)
}
