//! The ledger against the archive: nothing missing, nothing extra, nothing changed, nothing twice.
//!
//! - [`verify`]: the comparison; [`Scope`]: how much is decoded
//! - [`Verified`]: what it found
//! - [`repair()`]: mends what can be mended without guessing; [`refetch()`]: asks again for the rest; [`Mended`]: what they did
//!
//! SQLite checks its own pages and indices. Then the files are read one after the other (`files`), and each row is looked up in
//! the ledger (`rows`). What was seen is kept in SQLite's temporary database, so memory does not grow with the archive.

mod files;
mod refetch;
mod repair;
mod rows;

use std::collections::BTreeSet;
use std::path::Path;

use jiff::civil::Date;

use crate::archive::{Archive, ArchiveError, Columns, Dataset};
use crate::closing;
use crate::compact::AsItStands;
use crate::difference::{Difference, Differences};
use crate::files::is_damage;
use crate::history;
use crate::inventory::{Inventory, OnDisk, other_length};
use crate::ledger::{IdCounts, IntegrityKey, Ledger, LedgerError, ManifestFile};
use crate::publish::PublishError;

pub use refetch::refetch;
pub use repair::{Mended, repair};

use rows::Rows;

/// How much of the archive's files is decoded beyond the columns that the ledger has too.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// This share of the bytes, 0 to 100.
    pub percent: u8,
    /// Draws the files where it is not all of them.
    pub seed: u64,
    /// Authenticates the history.
    pub key: Option<&'a IntegrityKey>,
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
    /// Files that the next run takes into the manifest, as it completes a publication or compaction that was cut off: likewise
    /// no difference.
    pub half_done: Vec<String>,
    /// The records of the history.
    pub history: history::Checked,
    /// Where ledger and archive disagree.
    pub differences: Differences,
}

/// Compares every file of the manifest by size and SHA-256, and every row with the ledger, the tallies and the faces. A
/// ledger that is damaged is an error; whatever else is wrong is a difference.
pub fn verify(data_dir: &Path, ledger: &Ledger, scope: Scope<'_>) -> Result<Verified, PublishError> {
    let archive = &Archive::for_reading(data_dir);
    let snapshot = &ledger.snapshot()?;
    ledger.check_integrity()?;
    let stands = AsItStands::read(ledger, archive)?;
    let mut damaged = ledger.damaged_replies()?;
    let inventory = Inventory::take(ledger, archive, &stands, &mut damaged)?;
    let (manifest, half_done) = (stands.manifest, stands.in_place);
    let sample = sample(&manifest, &inventory.there, scope);
    let mut verified = Verified {
        files: manifest.len() as u64,
        bytes: sum_of(manifest.iter().map(|file| file.bytes)),
        archived: 0,
        read_files: sample.len() as u64,
        read_bytes: sum_of(sample.iter().map(|number| manifest[*number].bytes)),
        left_over: inventory.left_over,
        half_done: [half_done, inventory.half_done].concat(),
        history: history::check(ledger, archive, scope.key)?,
        differences: inventory.differences,
    };
    let found = &mut verified.differences;
    for what in &verified.history.faults {
        found.add(Difference::History(what.clone()));
    }
    for id in damaged.ids() {
        found.add(Difference::Reply(id.to_owned()));
    }
    verified.archived = check_ledger(ledger, found)?;
    check_closed(data_dir, ledger, &manifest, found)?;
    let mut rows = Rows::new(snapshot, (ledger, &manifest), found)?;
    // Faces are held to the verifications, which must all be known by then.
    for dataset in [Dataset::Verifications, Dataset::FaceImages] {
        let of_dataset = |number: &&usize| manifest[**number].dataset == dataset.as_str();
        for number in inventory.there.iter().filter(of_dataset) {
            let columns = if sample.contains(number) {
                Columns::All
            } else {
                Columns::Compared
            };
            files::compare(archive, *number, columns, &mut rows)?;
        }
    }
    rows.finish()?;
    Ok(verified)
}

/// Looks for what contradicts itself in the ledger. Gives the number of archived ids.
fn check_ledger(ledger: &Ledger, found: &mut Differences) -> Result<u64, LedgerError> {
    let IdCounts { ids, highest, archived } = ledger.id_counts()?;
    if highest != ids {
        let what = format!("the highest number is {highest} and there are {ids} ids");
        found.add(Difference::Ledger(what));
    }
    ledger.contradictions(&mut |what| found.add(Difference::Ledger(what)))?;
    check_counts(ledger, archived, found)?;
    Ok(archived)
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
    let signed = ledger.closed_months(None)?;
    let named = |month: Date| month.strftime("%Y-%m").to_string();
    for signed in signed.chunk_by(|one, other| one.month == other.month) {
        let month = signed[0].month;
        let mut tallies = ledger.billing(Some((month, month.last_of_month())))?;
        tallies.retain(|tally| tally.billing_day.is_some());
        if let Some(what) = closing::fault(data_dir, signed, manifest, &tallies) {
            let month = named(month);
            found.add(Difference::Closed { month, what });
        }
    }
    if let Some((month, what)) = closing::chain_fault(&signed) {
        let month = named(month);
        found.add(Difference::Closed { month, what });
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

/// A file of the manifest, as it is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// As it was published.
    InOrder,
    /// Not there.
    Missing,
    /// There with other bytes, or on an unreadable sector.
    Damaged,
    /// It can't be read for another reason, such as its mode.
    Unknown(String),
}

/// Looks at a file of the manifest.
fn condition_of(archive: &Archive, on_disk: &OnDisk, file: &ManifestFile) -> Result<Condition, ArchiveError> {
    if !on_disk.files.get(&file.path).is_some_and(|found| found.regular) {
        return Ok(if on_disk.may_hold(&file.path) {
            Condition::Unknown("its folder can't be listed".to_owned())
        } else {
            Condition::Missing
        });
    }
    match archive.check(&file.path) {
        Ok(found) if (found.bytes, &found.sha256) == (file.bytes, &file.sha256) => Ok(Condition::InOrder),
        Ok(_) => Ok(Condition::Damaged),
        Err(ArchiveError::File(error)) if is_damage(&error.source) => Ok(Condition::Damaged),
        Err(error @ ArchiveError::File(_)) => Ok(Condition::Unknown(crate::error_chain(&error))),
        Err(other) => Err(other),
    }
}

/// Files to be decoded whole, by their number: drawn until they hold the share of the bytes that is asked for.
fn sample(manifest: &[ManifestFile], there: &[usize], scope: Scope<'_>) -> BTreeSet<usize> {
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
