//! The ledger against the archive: nothing missing, nothing extra, nothing changed, nothing twice.
//!
//! - [`verify`]: the comparison; [`Scope`]: how much is decoded
//! - [`Verified`], [`Difference`], [`Differences`]: what it found
//! - [`repair()`]: mends what can be mended without guessing; [`Mended`]: what it did

mod difference;
mod repair;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::archive::{Archive, ArchiveError, Columns, FoundFile};
use crate::closing;
use crate::compact;
use crate::ledger::{Ledger, LedgerError, ManifestFile};
use crate::publish::not_left_over;
use crate::record::State;
use crate::run::RunError;

pub use difference::{Difference, Differences};
pub use repair::{Mended, repair};
use rows::Rows;

/// How much of the archive's files is decoded beyond the columns that the ledger has too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// This share of the bytes, 0 to 100.
    pub percent: u8,
    /// Draws the files where it is not all of them.
    pub seed: u64,
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
    /// Files that were decoded whole.
    pub read_files: u64,
    /// Their bytes, by the manifest.
    pub read_bytes: u64,
    /// Files of a publication that a crash cut off: no difference, as the next run knows and mends them.
    pub left_over: Vec<String>,
    /// Files that are in the place of others already, by a compaction that was cut off: likewise no difference.
    pub half_done: Vec<String>,
    /// Where ledger and archive disagree.
    pub differences: Differences,
}

/// Compares every file of the manifest by size and SHA-256, and every row with the ledger, the tallies and the faces. A
/// ledger that is damaged is an error; whatever else is wrong is a difference.
pub fn verify(data_dir: &Path, ledger: &Ledger, scope: Scope) -> Result<Verified, RunError> {
    ledger.check_integrity()?;
    let archive = &Archive::for_reading(data_dir);
    let (manifest, half_done) = compact::manifest_as_it_stands(ledger, archive)?;
    let mut verified = Verified {
        half_done,
        files: manifest.len() as u64,
        bytes: sum_of(manifest.iter().map(|file| file.bytes)),
        archived: ledger.state_counts_of_all_rows()?.of(State::Archived),
        ..Verified::default()
    };
    let found = &mut verified.differences;
    ledger.contradictions(&mut |what| found.add(Difference::Ledger(what)))?;
    check_counts(ledger, verified.archived, found)?;
    check_closed(data_dir, ledger, &manifest, found)?;
    let mut there = compare_files(ledger, archive, &manifest, &mut verified)?;
    let found = &mut verified.differences;
    let sample = sample(&manifest, &there, scope);
    verified.read_files = sample.len() as u64;
    verified.read_bytes = sum_of(sample.iter().map(|number| manifest[*number].bytes));
    // Faces are held to the verifications, which come first.
    there.sort_by_key(|number| manifest[*number].dataset != "verifications");
    let mut rows = Rows::new(ledger, archive, &manifest)?;
    for number in there {
        let columns = if sample.contains(&number) {
            Columns::All
        } else {
            Columns::Compared
        };
        rows.read(number, columns, found)?;
    }
    rows.finish(verified.archived, found)?;
    Ok(verified)
}

/// Holds what is on the disk to the manifest. Gives the numbers of the files that are there.
fn compare_files(
    ledger: &Ledger,
    archive: &Archive,
    manifest: &[ManifestFile],
    verified: &mut Verified,
) -> Result<Vec<usize>, RunError> {
    let found = &mut verified.differences;
    let mut on_disk = files_on_disk(archive)?;
    let mut there = Vec::new();
    for (number, file) in manifest.iter().enumerate() {
        if let Some(what) = misnamed(file) {
            let path = file.path.clone();
            found.add(Difference::Manifest { path, what });
        }
        let difference = compare_bytes(archive, file, on_disk.remove(&file.path))?;
        // A changed file is read all the same: it may say more.
        if !matches!(difference, Some(Difference::MissingFile(_) | Difference::ExtraFile(_))) {
            there.push(number);
        }
        if let Some(difference) = difference {
            found.add(difference);
        }
    }
    for path in ledger.staged_files()? {
        if !on_disk.get(&path).is_some_and(|file| file.regular) {
            continue;
        }
        on_disk.remove(&path);
        match not_left_over(ledger, archive, &path)? {
            None => verified.left_over.push(path),
            Some(what) => found.add(Difference::Manifest { path, what }),
        }
    }
    for path in on_disk.into_keys() {
        found.add(Difference::ExtraFile(path));
    }
    Ok(there)
}

fn check_counts(ledger: &Ledger, archived: u64, found: &mut Differences) -> Result<(), LedgerError> {
    match ledger.check_archived(archived) {
        Err(LedgerError::Inconsistent { what, .. }) => found.add(Difference::Counts(what)),
        other => other?,
    }
    Ok(())
}

fn check_closed(
    data_dir: &Path,
    ledger: &Ledger,
    manifest: &[ManifestFile],
    found: &mut Differences,
) -> Result<(), LedgerError> {
    for closed in ledger.closed_months(None)? {
        let mut tallies = ledger.billing(Some((closed.month, closed.month.last_of_month())))?;
        tallies.retain(|tally| tally.billing_day.is_some());
        if let Some(what) = closing::fault(data_dir, &closed, manifest, &tallies) {
            let month = closed.month.strftime("%Y-%m").to_string();
            found.add(Difference::Closed { month, what });
        }
    }
    Ok(())
}

fn files_on_disk(archive: &Archive) -> Result<BTreeMap<String, FoundFile>, ArchiveError> {
    let files = archive.files_on_disk()?.into_iter();
    Ok(files.map(|file| (file.relative_path.clone(), file)).collect())
}

/// What is wrong with a manifest entry in itself: a file's path says its dataset, its day and its run too.
fn misnamed(file: &ManifestFile) -> Option<String> {
    let folder = Archive::folder_of(&file.dataset, file.billing_day.as_deref());
    let named = format!("{folder}/{}-", file.run_id);
    (!file.path.starts_with(&named)).then(|| "its dataset, billing day or run is another than its path says".to_owned())
}

fn compare_bytes(
    archive: &Archive,
    file: &ManifestFile,
    found: Option<FoundFile>,
) -> Result<Option<Difference>, ArchiveError> {
    let path = || file.path.clone();
    match found {
        None => return Ok(Some(Difference::MissingFile(path()))),
        // A link or a socket where the file should be.
        Some(found) if !found.regular => return Ok(Some(Difference::ExtraFile(path()))),
        Some(_) => {}
    }
    let found = match archive.check(&file.path) {
        Ok(found) => found,
        Err(error @ ArchiveError::File(_)) => {
            let why = crate::error_chain(&error);
            return Ok(Some(Difference::UnreadableFile { path: path(), why }));
        }
        Err(other) => return Err(other),
    };
    let what = if found.bytes != file.bytes {
        format!("{} bytes, the manifest says {}", found.bytes, file.bytes)
    } else if found.sha256 != file.sha256 {
        "another SHA-256 than the manifest says".to_owned()
    } else {
        return Ok(None);
    };
    Ok(Some(Difference::ChangedFile { path: path(), what }))
}

/// Files to be decoded whole, by their number: drawn until they hold the share of the bytes that is asked for.
fn sample(manifest: &[ManifestFile], there: &[usize], scope: Scope) -> BTreeSet<usize> {
    if scope.percent >= 100 {
        return there.iter().copied().collect();
    }
    let bytes_of = |number: &usize| u128::from(manifest[*number].bytes);
    let wanted = there.iter().map(bytes_of).sum::<u128>() * u128::from(scope.percent);
    let mut drawn = there.to_vec();
    fastrand::Rng::with_seed(scope.seed).shuffle(&mut drawn);
    let mut taken = 0;
    drawn.retain(|number| {
        let more = taken * 100 < wanted;
        taken += if more { bytes_of(number) } else { 0 };
        more
    });
    drawn.into_iter().collect()
}

fn sum_of(bytes: impl Iterator<Item = u64>) -> u64 {
    // The ledger is not trusted here: what a person put there may be any number.
    bytes.fold(0, u64::saturating_add)
}
