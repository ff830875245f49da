//! The ledger against the archive: nothing missing, nothing extra, nothing changed, nothing twice.
//!
//! - [`verify`]: the comparison
//! - [`Verified`], [`Difference`]: what it found

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::archive::{Archive, ArchiveError};
use crate::ledger::{Ledger, LedgerError, ManifestFile};
use crate::record::State;
use crate::run::RunError;

/// Where ledger and archive disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// In the manifest, not on the disk.
    MissingFile(String),
    /// On the disk, not in the manifest.
    ExtraFile(String),
    /// Other bytes than were published.
    ChangedFile {
        /// Below archive/.
        path: String,
        /// In what.
        what: String,
    },
    /// A file can't be decoded.
    UnreadableFile {
        /// Below archive/.
        path: String,
        /// Why.
        why: String,
    },
    /// The numbers of archived ids, of rows and of tallied verifications differ.
    Counts(String),
    /// A file's rows are not what they were tallied as, so that the billing report is wrong.
    Tallies {
        /// Below archive/.
        path: String,
        /// In what.
        what: String,
    },
    /// A row whose id the ledger doesn't have as archived.
    NotArchived {
        /// The transaction.
        transaction_id: String,
        /// The file, below archive/.
        path: String,
    },
    /// A transaction is in the archive more than once.
    Twice(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingFile(path) => write!(f, "missing: {path} is in the manifest and not on the disk"),
            Self::ExtraFile(path) => write!(f, "extra: {path} is on the disk and not in the manifest"),
            Self::ChangedFile { path, what } => write!(f, "changed: {path} has {what}"),
            Self::UnreadableFile { path, why } => write!(f, "unreadable: {path}: {why}"),
            Self::Counts(what) => write!(f, "counts: {what}"),
            Self::Tallies { path, what } => write!(f, "tallies: {path}: {what}"),
            Self::NotArchived { transaction_id, path } => {
                write!(
                    f,
                    "not archived: {transaction_id} is in {path} and the ledger doesn't have it as archived"
                )
            }
            Self::Twice(transaction_id) => write!(f, "twice: {transaction_id} is in the archive more than once"),
        }
    }
}

/// What was compared, and the differences.
#[derive(Debug, Default)]
pub struct Verified {
    /// Files of the manifest.
    pub files: u64,
    /// Their bytes, by the manifest.
    pub bytes: u64,
    /// Archived ids.
    pub archived: u64,
    /// Where ledger and archive disagree.
    pub differences: Vec<Difference>,
}

/// Compares every file of the manifest by size and SHA-256, and the counts; with `read_data` every row too, and the
/// tallies of which the billing report is made.
pub fn verify(ledger: &Ledger, archive: &Archive, read_data: bool) -> Result<Verified, RunError> {
    let manifest = ledger.manifest()?;
    let mut verified = Verified {
        files: manifest.len() as u64,
        bytes: manifest.iter().map(|file| file.bytes).sum(),
        archived: ledger.state_counts()?.of(State::Archived),
        ..Verified::default()
    };
    let mut on_disk: BTreeSet<String> = archive
        .files_on_disk()?
        .into_iter()
        .map(|file| file.relative_path)
        .collect();
    for file in &manifest {
        if on_disk.remove(&file.path) {
            verified.differences.extend(compare_bytes(archive, file)?);
        } else {
            verified.differences.push(Difference::MissingFile(file.path.clone()));
        }
    }
    // What a crash cut off is known, and the next run mends it.
    for path in ledger.staged_files()? {
        on_disk.remove(&path);
    }
    verified
        .differences
        .extend(on_disk.into_iter().map(Difference::ExtraFile));
    if let Err(error) = ledger.check_archived(verified.archived) {
        match error {
            LedgerError::Inconsistent { what, .. } => verified.differences.push(Difference::Counts(what)),
            other => return Err(other.into()),
        }
    }
    if read_data {
        read_rows(ledger, archive, &manifest, &mut verified)?;
    }
    Ok(verified)
}

fn compare_bytes(archive: &Archive, file: &ManifestFile) -> Result<Option<Difference>, ArchiveError> {
    let found = archive.check(&file.path)?;
    let what = if found.bytes != file.bytes {
        format!("{} bytes, the manifest says {}", found.bytes, file.bytes)
    } else if found.sha256 != file.sha256 {
        "another SHA-256 than the manifest says".to_owned()
    } else {
        return Ok(None);
    };
    Ok(Some(Difference::ChangedFile {
        path: file.path.clone(),
        what,
    }))
}

/// Counts the rows of a file and compares that with its tallies.
fn compare_tallies(ledger: &Ledger, archive: &Archive, path: &str) -> Result<Option<Difference>, RunError> {
    let mut counted: BTreeMap<[String; 3], u64> = BTreeMap::new();
    archive.read_tallies(path, &mut |row| {
        let key = [row.product_code, row.region, row.sub_code].map(str::to_owned);
        *counted.entry(key).or_default() += 1;
    })?;
    let tallied = ledger.tallies_of(path)?;
    let number = |of: &BTreeMap<[String; 3], u64>, key: &[String; 3]| of.get(key).copied().unwrap_or(0);
    let differing = counted
        .keys()
        .chain(tallied.keys())
        .find(|key| number(&counted, key) != number(&tallied, key));
    Ok(differing.map(|key| Difference::Tallies {
        path: path.to_owned(),
        what: format!(
            "{} rows of {}, tallied as {}",
            number(&counted, key),
            key.join(" "),
            number(&tallied, key)
        ),
    }))
}

/// Decodes every column of every file, and looks each id of `verifications` up.
fn read_rows(
    ledger: &Ledger,
    archive: &Archive,
    manifest: &[ManifestFile],
    verified: &mut Verified,
) -> Result<(), RunError> {
    let mut seen = ledger.seen_ids()?;
    for file in manifest {
        let verifications = file.dataset == "verifications";
        let mut looked_up: Result<(), LedgerError> = Ok(());
        let mut found = Vec::new();
        let read = archive.read_ids(&file.path, &mut |id| {
            if !verifications || looked_up.is_err() {
                return;
            }
            match seen.add(id) {
                Ok(true) => {}
                Ok(false) => found.push(id.to_owned()),
                Err(error) => looked_up = Err(error),
            }
        });
        looked_up?;
        for transaction_id in found {
            verified.differences.push(Difference::NotArchived {
                transaction_id,
                path: file.path.clone(),
            });
        }
        match read {
            Ok(rows) if rows == file.rows => {
                if verifications {
                    verified
                        .differences
                        .extend(compare_tallies(ledger, archive, &file.path)?);
                }
            }
            Ok(rows) => {
                let what = format!("{rows} rows, the manifest says {}", file.rows);
                verified.differences.push(Difference::ChangedFile {
                    path: file.path.clone(),
                    what,
                });
            }
            // A file that can't be opened is said already, as missing.
            Err(ArchiveError::File(_)) => {}
            Err(error @ ArchiveError::Unreadable { .. }) => {
                let why = crate::error_chain(&error);
                verified.differences.push(Difference::UnreadableFile {
                    path: file.path.clone(),
                    why,
                });
            }
            Err(other) => return Err(other.into()),
        }
    }
    if seen.distinct() != verified.archived {
        let what = format!(
            "{} ids are archived, the files hold {}",
            verified.archived,
            seen.distinct()
        );
        verified.differences.push(Difference::Counts(what));
    }
    verified
        .differences
        .extend(seen.twice().into_iter().map(Difference::Twice));
    Ok(())
}
