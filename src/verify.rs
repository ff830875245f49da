//! The ledger against the archive: nothing missing, nothing extra, nothing changed, nothing twice.
//!
//! - [`verify`]: the comparison; [`Scope`]: how much is decoded
//! - [`Verified`]: what it found
//! - [`repair()`]: mends what can be mended without guessing; [`Mended`]: what it did
//!
//! The ledger is read from its first row to its last while its pages are checked and the files are read (`reading`). Whether both hold the
//! same rows is told by sums (`balance`); where these differ, the rows in question are compared one by one and named (`rows`).

mod balance;
mod reading;
mod repair;
mod rows;

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};

use crate::archive::{Archive, ArchiveError};
use crate::closing;
use crate::compact;
use crate::difference::{Difference, Differences};
use crate::inventory::{Inventory, other_length};
use crate::ledger::{Ledger, LedgerError, ManifestFile};
use crate::record::State;
use crate::run::RunError;
use crate::tally;

pub use repair::{Mended, repair};

use balance::{Balance, Hashes, Item, Key};
use reading::{READERS, ReadFile, Reading, Waiting};

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
    let archive = &Archive::for_reading(data_dir);
    let snapshot = &ledger.snapshot()?;
    let (manifest, half_done) = compact::manifest_as_it_stands(ledger, archive)?;
    let mut verified = Verified {
        half_done,
        files: manifest.len() as u64,
        bytes: sum_of(manifest.iter().map(|file| file.bytes)),
        ..Verified::default()
    };
    let inventory = Inventory::take(ledger, archive, &manifest)?;
    let there = inventory.there;
    verified.left_over = inventory.left_over;
    verified.differences = inventory.differences;
    let sample = sample(&manifest, &there, scope);
    verified.read_files = sample.len() as u64;
    verified.read_bytes = sum_of(sample.iter().map(|number| manifest[*number].bytes));
    let reading = Reading {
        archive,
        manifest: &manifest,
        run_ids: ledger.run_ids()?,
        sample,
        key: Key::random(),
    };
    let waiting = Waiting::new(&there);
    let mut balance = Balance::new(reading.key);
    let files = thread::scope(|threads| {
        let others = ledger.readers();
        let key = reading.key;
        let pages = threads.spawn(move || check_pages_and_add_up_indices(&others.open()?, key));
        let readers: [_; READERS] = std::array::from_fn(|_| threads.spawn(|| reading.read(&waiting)));
        let rows = read_ledger(ledger, &mut verified, (key, &mut balance));
        // What is wrong with the pages says more than what was read of them.
        let sound = joined(pages).and_then(|in_indices| {
            let in_rows = rows?;
            // Another connection sees what somebody has changed meanwhile, so only this one can tell.
            if in_rows == in_indices || in_rows == add_up_indices(ledger, key)? {
                Ok(())
            } else {
                Err(ledger.damaged("an index of the ids is not what their rows say"))
            }
        });
        sound.inspect_err(|_| waiting.leave())?;
        let mut files = Vec::new();
        for reader in readers {
            let (taken, mut more) = joined(reader)?;
            balance.merge(&taken);
            files.append(&mut more);
        }
        Ok::<_, RunError>(files)
    })?;
    let found = &mut verified.differences;
    check_closed(data_dir, ledger, &manifest, found)?;
    add_files(ledger, &manifest, files, found)?;
    if let Some(suspects) = balance.suspects() {
        rows::name_differences((ledger, snapshot), archive, (&manifest, &there), suspects, found)?;
    }
    Ok(verified)
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn check_pages_and_add_up_indices(ledger: &Ledger, key: Key) -> Result<u128, LedgerError> {
    ledger.check_pages_and_small_tables()?;
    add_up_indices(ledger, key)
}

/// Adds up what the indices of the ids hold.
fn add_up_indices(ledger: &Ledger, key: Key) -> Result<u128, LedgerError> {
    let (mut hashes, mut indices) = (Hashes::new(key), 0_u128);
    ledger.for_each_index_entry(&mut |entry| indices = indices.wrapping_add(hashes.of(Item::Entry(entry))))?;
    Ok(indices)
}

/// Looks for what contradicts itself in the ledger, and adds every archived row to the balance. Gives what the indices are to hold.
fn read_ledger(
    ledger: &Ledger,
    verified: &mut Verified,
    (key, balance): (Key, &mut Balance),
) -> Result<u128, LedgerError> {
    let (mut hashes, mut indices) = (Hashes::new(key), 0_u128);
    let (mut ids, mut highest) = (0, 0);
    ledger.for_each_row(&mut |number, row, entries| {
        ids += 1;
        highest = highest.max(number);
        for entry in entries {
            indices = indices.wrapping_add(hashes.of(Item::Entry(*entry)));
        }
        if row.state == Some(State::Archived) {
            verified.archived += 1;
            balance.add(row.transaction_id, Item::Verification(row.into()));
        }
    })?;
    ledger.for_each_journalled_row(&mut |row| {
        verified.archived -= 1;
        balance.take(row.transaction_id, Item::Verification(row.into()));
    })?;
    let found = &mut verified.differences;
    if highest != ids {
        let what = format!("the highest number is {highest} and there are {ids} ids");
        found.add(Difference::Ledger(what));
    }
    ledger.contradictions(&mut |what| found.add(Difference::Ledger(what)))?;
    check_counts(ledger, verified.archived, found)?;
    Ok(indices)
}

/// Adds what is wrong with each file in itself, and with its tallies.
fn add_files(
    ledger: &Ledger,
    manifest: &[ManifestFile],
    mut files: Vec<ReadFile>,
    found: &mut Differences,
) -> Result<(), LedgerError> {
    files.sort_by_key(|file| file.number);
    for file in files {
        found.append(file.found);
        let path = &manifest[file.number].path;
        let Some(counted) = file.counted else { continue };
        if let Some((key, rows, tally)) = tally::differing(&counted, &ledger.tallies_of(path)?).next() {
            let (path, key) = (path.clone(), key.join(" "));
            let what = format!("{rows} rows of {key}, tallied as {tally}");
            found.add(Difference::Tallies { path, what });
        }
    }
    Ok(())
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

/// What is different about a file that is there, by its length and its SHA-256.
fn compare_bytes(archive: &Archive, file: &ManifestFile) -> Result<Option<Difference>, ArchiveError> {
    let path = || file.path.clone();
    let found = match archive.check(&file.path) {
        Ok(found) => found,
        Err(error @ ArchiveError::File(_)) => {
            let why = crate::error_chain(&error);
            return Ok(Some(Difference::UnreadableFile { path: path(), why }));
        }
        Err(other) => return Err(other),
    };
    let what = if found.bytes != file.bytes {
        other_length(found.bytes, file)
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
