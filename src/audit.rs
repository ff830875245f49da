//! The tallies of the archive against those of the ledger, each counted by itself: the archive's from the columns of its
//! files, the ledger's from what was tallied at publication and from the state of each id.
//!
//! - [`of_days`]: some days, as a month that is compared with the bill or signed off; [`Audited`]: what was found
//!
//! `verify` compares everything, row by row.

use jiff::civil::Date;

use crate::archive::{Archive, ArchiveError, Dataset};
use crate::compact::AsItStands;
use crate::error_chain;
use crate::ledger::{Ledger, LedgerError, ManifestFile};
use crate::publish::PublishError;
use crate::tally::{Counted, differing};

/// Differences that are named, at most; more say no more.
const MAX_NAMED: usize = 100;

/// What was compared of some days.
#[derive(Debug)]
pub struct Audited {
    /// The files of verifications.
    pub files: Vec<ManifestFile>,
    /// Where archive and ledger differ, a sentence each.
    pub differences: Vec<String>,
}

/// Hashes the files of the days `from..=to` and counts them again, and compares all archived ids with all tallies. A compaction
/// that was cut off is no difference.
pub fn of_days(ledger: &Ledger, archive: &Archive, (from, to): (Date, Date)) -> Result<Audited, PublishError> {
    let mut files = AsItStands::read(ledger, archive)?.manifest;
    let within = |file: &ManifestFile| {
        let day = file.billing_day.as_deref().and_then(|day| day.parse().ok());
        day.is_some_and(|day: Date| (from..=to).contains(&day))
    };
    files.retain(|file| is_counted(file) && within(file));
    let mut differences = ledger.adrift()?;
    for file in &files {
        compare(ledger, archive, file, &mut differences)?;
    }
    differences.extend(files.iter().filter_map(|file| changed(archive, file)));
    let (ids, tallied) = (ledger.archived_ids()?, ledger.tallied()?);
    for (key, ids, tally) in differing(&ids, &tallied) {
        let key = key.join(" ");
        differences.push(format!(
            "the ledger has {ids} archived ids of {key}, tallied as {tally}"
        ));
    }
    differences.truncate(MAX_NAMED);
    Ok(Audited { files, differences })
}

fn is_counted(file: &ManifestFile) -> bool {
    file.dataset == Dataset::Verifications.as_str()
}

fn changed(archive: &Archive, file: &ManifestFile) -> Option<String> {
    match archive.check(&file.path) {
        Ok(found) if found.bytes == file.bytes && found.sha256 == file.sha256 => None,
        Ok(_) => Some(format!("{} has another SHA-256 than the manifest says", file.path)),
        // What can't be hashed must not be signed.
        Err(error) => Some(format!("{} can't be hashed: {}", file.path, error_chain(&error))),
    }
}

fn compare(
    ledger: &Ledger,
    archive: &Archive,
    file: &ManifestFile,
    differences: &mut Vec<String>,
) -> Result<(), LedgerError> {
    let path = &file.path;
    let tallied = ledger.tallies_of(path)?;
    match archive.tally(path) {
        Ok(counted) => differences.extend(disagreement(path, &counted, &tallied)),
        Err(error) => differences.push(unread(path, &error)),
    }
    Ok(())
}

fn disagreement(path: &str, counted: &Counted, tallied: &Counted) -> Option<String> {
    let (key, rows, tally) = differing(counted, tallied).next()?;
    Some(format!(
        "{path} has {rows} rows of {}, tallied as {tally}",
        key.join(" ")
    ))
}

fn unread(path: &str, error: &ArchiveError) -> String {
    format!("{path} can't be counted: {}", error_chain(error))
}
