//! One history of the archive, kept twice: in the ledger (`ledger/changes`) and as files in `archive/_changes/`.
//!
//! Every commit that changes the archive has a consecutive number and one record: its kind, time and author, the files added and
//! removed, and the hash of the record before. Decisions about records and months are in the same chain: it is the audit log. The ledger
//! comes first. A record is committed with the change itself, and its file is written afterwards; the next command that writes adds a
//! file that a crash left out. So an archive that has more records than the ledger means that the ledger is an older copy.
//!
//! **How a command adds a change.** It opens ledger and archive, calls [`open`], and works. A change of the manifest is
//! one SQLite transaction in a method of `ledger/`, which ends with `changes::add(&commit, &self.author, &change)`. A decision that
//! changes no file is `ledger.record_change(&change)`. Afterwards the command calls [`write_files`]. A new command adds its
//! [`ChangeKind`], and puts what else a reader needs into `Change::details`.
//!
//! - [`open`]: holds ledger and archive to each other before a command changes either; [`compare`]: the same without writing
//! - [`write_files`]: copies the ledger's records to the archive
//! - [`note_clock`]: a run with `--now` is written down, too
//! - [`HistoryError`]: why the history can't be read or written
//! - [`check`]: holds every record to the next, to its file and to the manifest; [`Checked`]: what it found

use std::collections::BTreeMap;

use crate::archive::{Archive, ArchiveError};
use crate::ledger::{
    Change, ChangeKind, ChangeRecord, IntegrityKey, Ledger, LedgerError, ManifestFile, Run, Signature, StoredChange,
};

/// Why the history can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The archive can't be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The ledger can't be read or written, or is not the archive's.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Refuses a ledger that does not belong to the archive, or is older. Begins the history of a data folder that has none, and
/// writes the files that a crash left out.
pub fn open(ledger: &mut Ledger, archive: &Archive) -> Result<(), HistoryError> {
    compare(ledger, archive)?;
    ledger.begin_history()?;
    write_files(ledger, archive)
}

/// Refuses a ledger that does not belong to the archive, or is older. Changes nothing.
pub fn compare(ledger: &Ledger, archive: &Archive) -> Result<(), HistoryError> {
    let Some(newest) = newest(archive)? else {
        return Ok(());
    };
    let path = || ledger.path().to_owned();
    let last = ledger.last_change()?;
    let record = ChangeRecord::parse(&newest.text).map_err(|what| LedgerError::UnreadableChange {
        commit: newest.commit,
        what,
    })?;
    if let Some(own) = ledger.archive_id()?
        && own != record.archive_id
    {
        return Err(LedgerError::OtherArchive {
            path: path(),
            own,
            found: record.archive_id,
        }
        .into());
    }
    let known = last.map_or(0, |last| last.commit);
    if newest.commit > known {
        return Err(LedgerError::ArchiveNewer {
            path: path(),
            known,
            found: newest.commit,
        }
        .into());
    }
    if ledger
        .change(newest.commit)?
        .is_none_or(|own| own.sha256 != newest.sha256)
    {
        return Err(LedgerError::OtherHistory {
            path: path(),
            commit: newest.commit,
        }
        .into());
    }
    Ok(())
}

/// Writes every record of the ledger that the archive does not have.
pub fn write_files(ledger: &Ledger, archive: &Archive) -> Result<(), HistoryError> {
    let Some(last) = ledger.last_change()? else {
        return Ok(());
    };
    let there = archive.changes()?;
    for commit in (1..=last.commit).filter(|commit| there.binary_search(commit).is_err()) {
        if let Some(change) = ledger.change(commit)? {
            archive.write_change(commit, &change.text)?;
        }
    }
    Ok(())
}

/// The archive's last record; `None` where there is none.
pub fn newest(archive: &Archive) -> Result<Option<StoredChange>, HistoryError> {
    let Some(commit) = archive.changes()?.pop() else {
        return Ok(None);
    };
    let text = archive.change(commit)?;
    Ok(text.map(|text| StoredChange::new(commit, text)))
}

/// Keeps that a run took its time from `--now`, where no record after `before` says so already.
pub fn note_clock(ledger: &mut Ledger, archive: &Archive, run: &Run, before: u64) -> Result<(), HistoryError> {
    let last = ledger.last_change()?.map_or(0, |last| last.commit);
    if ledger.author().now.is_none() || last > before {
        return Ok(());
    }
    ledger.record_change(&Change {
        run_id: Some(run.id.to_string()),
        ..Change::new(ChangeKind::Run)
    })?;
    write_files(ledger, archive)
}

/// What is known of the history.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Records of the ledger.
    pub commits: u64,
    /// Records that the key has signed.
    pub authenticated: u64,
    /// Records with an HMAC, where there is no key to check it with.
    pub unchecked: u64,
    /// What is wrong, a sentence each.
    pub faults: Vec<String>,
}

/// Holds every record to the one before, to its file in the archive and to the key, and what they say together to the manifest and
/// the closed months. A ledger whose history has not begun has nothing to be held to.
pub fn check(ledger: &Ledger, archive: &Archive, key: Option<&IntegrityKey>) -> Result<Checked, HistoryError> {
    let mut checked = Checked::default();
    match compare(ledger, archive) {
        Err(HistoryError::Ledger(
            error @ (LedgerError::ArchiveNewer { .. }
            | LedgerError::OtherArchive { .. }
            | LedgerError::OtherHistory { .. }
            | LedgerError::UnreadableChange { .. }),
        )) => checked.faults.push(error.to_string()),
        compared => compared?,
    }
    let Some(last) = ledger.last_change()? else {
        return Ok(checked);
    };
    checked.commits = last.commit;
    let (mut before, mut told) = (None, Told::default());
    let archive_id = ledger.archive_id()?;
    for commit in 1..=last.commit {
        let mut fault = |what: String| checked.faults.push(format!("commit {commit}: {what}"));
        let Some(change) = ledger.change(commit)? else {
            fault("the ledger has no record of it".to_owned());
            before = None;
            continue;
        };
        match archive.change(commit)? {
            Some(text) if text == change.text => {}
            Some(_) => fault("archive/_changes/ has another record than the ledger".to_owned()),
            // A run that was cut off after its commit: the next command writes the file.
            None if commit == last.commit => {}
            None => fault("archive/_changes/ has no record of it".to_owned()),
        }
        match change.check(before.as_deref(), key) {
            Ok((record, signature)) => {
                if Some(&record.archive_id) != archive_id.as_ref() {
                    fault("it belongs to another archive".to_owned());
                }
                match signature {
                    Signature::Good => checked.authenticated += 1,
                    Signature::Unchecked => checked.unchecked += 1,
                    Signature::None if checked.authenticated > 0 => {
                        fault("it has no HMAC, and an earlier record has one".to_owned());
                    }
                    Signature::None | Signature::Wrong => {}
                }
                if let Err(what) = told.add(record) {
                    checked.faults.push(format!("commit {commit}: {what}"));
                }
            }
            Err(what) => fault(what),
        }
        before = Some(change.sha256);
    }
    // What a broken chain says is nothing to hold the manifest to.
    if checked.faults.is_empty() {
        checked.faults = told.differences(ledger)?;
    }
    Ok(checked)
}

/// What the records say together.
#[derive(Debug, Default)]
pub struct Told {
    files: BTreeMap<String, ManifestFile>,
    /// The SHA-256 of each closed month's record.
    closed: BTreeMap<String, String>,
}

impl Told {
    /// Takes the next record.
    pub fn add(&mut self, record: ChangeRecord) -> Result<(), String> {
        for file in &record.removed {
            if self.files.remove(&file.path).as_ref() != Some(file) {
                return Err(format!("it removes {}, which was not there so", file.path));
            }
        }
        for file in record.added {
            if let Some(before) = self.files.insert(file.path.clone(), file) {
                return Err(format!("it adds {}, which was there", before.path));
            }
        }
        let text = |value: &serde_json::Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        let details = serde_json::Value::Object(record.details);
        let earlier = details.get("closed").and_then(serde_json::Value::as_array);
        for closed in earlier.into_iter().flatten().chain([&details]) {
            if let (Some(month), Some(sha256)) = (text(closed, "month"), text(closed, "sha256")) {
                self.closed.insert(month, sha256);
            }
        }
        Ok(())
    }

    /// The manifest, in the order of the paths.
    pub fn files(&self) -> impl Iterator<Item = &ManifestFile> {
        self.files.values()
    }

    /// The SHA-256 of a closed month's record; the month as in `2026-11`.
    pub fn closed(&self, month: &str) -> Option<&str> {
        self.closed.get(month).map(String::as_str)
    }

    fn differences(mut self, ledger: &Ledger) -> Result<Vec<String>, LedgerError> {
        let mut differences = Vec::new();
        for file in ledger.manifest()? {
            match self.files.remove(&file.path) {
                Some(told) if told == file => {}
                Some(_) => differences.push(format!(
                    "{} is another file in the manifest than in the history",
                    file.path
                )),
                None => differences.push(format!("{} is in the manifest and not in the history", file.path)),
            }
        }
        let gone = self.files.into_keys();
        differences.extend(gone.map(|path| format!("{path} is in the history and not in the manifest")));
        for closed in ledger.closed_months(None)? {
            let month = closed.name();
            if self.closed.remove(&month).as_deref() != Some(&*closed.sha256) {
                differences.push(format!("{month} is closed with another record than the history has"));
            }
        }
        let gone = self.closed.into_keys();
        differences.extend(gone.map(|month| format!("{month} is closed in the history and not in the ledger")));
        Ok(differences)
    }
}
