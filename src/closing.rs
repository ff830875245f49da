//! A month that is closed: its figures are signed off, and what comes later is a correction.
//!
//! - [`Record`]: what is signed off; [`SignedFile`]: a file behind it; [`Signed`]: all of these
//! - [`is_final`]: whether the vendor's bill of a month can still change
//! - [`late`]: what came after it was closed
//! - [`keep`]: the record's file; [`fault`]: whether all is as it was signed off

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error_chain;
use crate::files::{self, FileError};
use crate::ledger::{ClosedMonth, Ledger, LedgerError, ManifestFile};
use crate::pricing::BillingRow;
use crate::record::sha256_hex;
use crate::tally::TallyLine;

/// The version of [`Record`]: a change that a reader could notice is a new one.
pub const RECORD_VERSION: u32 = 1;

/// Days of the next month in which the vendor's bill can still change (vendor's billing documents: final on the 4th).
const OPEN_DAYS: i32 = 3;

/// What is signed off of a month.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub record_version: u32,
    /// The version of idvault.
    pub idvault: String,
    /// `YYYY-MM`.
    pub month: String,
    /// By the ledger's time.
    pub closed_at: Timestamp,
    /// Why it was closed although something spoke against it.
    pub accepted: Option<String>,
    /// What spoke against it.
    pub objections: Vec<String>,
    /// Its verifications and what they cost, as the prices were when it was closed.
    pub rows: Vec<BillingRow>,
    /// Their sums, as `summary.json` has them.
    pub totals: Value,
    /// Ids of the month by state: what was not archived when it was closed.
    pub states: Value,
    /// The files of the archive behind the rows.
    pub files: Vec<SignedFile>,
    /// The vendor's bill.
    pub bills: Vec<SignedFile>,
    /// What the comparison with the bill said.
    pub reconciled: Option<Value>,
}

/// A file behind the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedFile {
    /// Below archive/, or as it was named.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Of its bytes, in lower-case hex.
    pub sha256: String,
}

impl Record {
    /// The record as it is kept.
    pub fn sign(&self, month: Date) -> serde_json::Result<ClosedMonth> {
        let record = serde_json::to_string_pretty(self)? + "\n";
        Ok(ClosedMonth {
            month,
            closed_at: self.closed_at,
            sha256: sha256_hex(record.as_bytes()),
            record,
        })
    }

    /// Reads what was kept. It fails where somebody changed it.
    pub fn read(closed: &ClosedMonth) -> Result<Self, String> {
        if sha256_hex(closed.record.as_bytes()) != closed.sha256 {
            return Err("its record is not what was signed off".to_owned());
        }
        serde_json::from_str(&closed.record).map_err(|error| format!("its record can't be read: {error}"))
    }
}

/// The files of the archive that closed months were signed off with, by their hashes: they must stay as they are.
#[derive(Debug)]
pub struct Signed {
    paths: BTreeSet<String>,
    /// `YYYY-MM` of those whose record can't be read: all of their files are taken for signed.
    unreadable: BTreeSet<String>,
}

impl Signed {
    /// Of all closed months.
    pub fn read(ledger: &Ledger) -> Result<Self, LedgerError> {
        let (mut paths, mut unreadable) = (BTreeSet::new(), BTreeSet::new());
        for closed in ledger.closed_months(None)? {
            match Record::read(&closed) {
                Ok(record) => paths.extend(record.files.into_iter().map(|file| file.path)),
                Err(_) => drop(unreadable.insert(closed.month.strftime("%Y-%m").to_string())),
            }
        }
        Ok(Self { paths, unreadable })
    }

    /// Whether a file is one of them.
    pub fn names(&self, file: &ManifestFile) -> bool {
        let month = file.billing_day.as_deref().and_then(|day| day.get(..7));
        self.paths.contains(&file.path) || month.is_some_and(|month| self.unreadable.contains(month))
    }
}

/// Whether the vendor's bill of a month can't change any more on the vendor's day `today`.
pub fn is_final(month: Date, today: Date) -> bool {
    today >= final_from(month)
}

/// The first day on which it can't.
pub fn final_from(month: Date) -> Date {
    let next = month.first_of_month().saturating_add(1.month());
    next.saturating_add(OPEN_DAYS.days())
}

/// What of a closed month's tallies was signed off, and what came after that. It fails where less is there than was signed
/// off.
pub fn late(rows: &[BillingRow], tallies: &[TallyLine]) -> Result<(Vec<TallyLine>, Vec<TallyLine>), String> {
    let mut signed: BTreeMap<_, u64> = BTreeMap::new();
    for row in rows {
        let key = (
            row.billing_day,
            row.product_code.as_str(),
            row.region.as_str(),
            row.sub_code.as_str(),
        );
        *signed.entry(key).or_default() += row.verifications;
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for tally in tallies {
        let key = (
            tally.billing_day,
            tally.product_code.as_str(),
            tally.region.as_str(),
            tally.sub_code.as_str(),
        );
        let signed = signed.remove(&key).unwrap_or(0);
        let more = tally.verifications.checked_sub(signed);
        let more = more.ok_or_else(|| gone(tally.billing_day, &tally.product_code, &tally.sub_code))?;
        let of = |verifications| TallyLine {
            verifications,
            ..tally.clone()
        };
        before.push(of(signed));
        after.push(of(more));
    }
    match signed.into_keys().next() {
        None => Ok((before, after)),
        Some((day, product_code, _, sub_code)) => Err(gone(day, product_code, sub_code)),
    }
}

fn gone(day: Option<Date>, product_code: &str, sub_code: &str) -> String {
    let day = day.map_or_else(|| "an unknown day".to_owned(), |day| day.to_string());
    format!("fewer verifications of {product_code} {sub_code} on {day} are archived than were signed off")
}

/// What is wrong with a closed month, if anything: its record, its file, the archive's files behind it, or the tallies.
pub fn fault(
    data_dir: &Path,
    closed: &ClosedMonth,
    manifest: &[ManifestFile],
    tallies: &[TallyLine],
) -> Option<String> {
    let record = match Record::read(closed) {
        Ok(record) => record,
        Err(what) => return Some(what),
    };
    let path = path_of(data_dir, closed.month);
    match files::sha256_of(&path) {
        Ok((_, sha256)) if sha256 == closed.sha256 => {}
        Ok(_) => return Some(format!("{} is not what was signed off", path.display())),
        Err(error) => return Some(error_chain(&error)),
    }
    let manifest: BTreeMap<&str, &ManifestFile> = manifest.iter().map(|file| (&*file.path, file)).collect();
    let as_signed = |file: &&SignedFile| {
        manifest
            .get(&*file.path)
            .is_some_and(|there| there.sha256 == file.sha256)
    };
    if let Some(other) = record.files.iter().find(|file| !as_signed(file)) {
        return Some(format!(
            "the manifest has another {} than was signed off, or none",
            other.path
        ));
    }
    late(&record.rows, tallies).err()
}

/// Where the record of a month is.
pub fn path_of(data_dir: &Path, month: Date) -> PathBuf {
    data_dir
        .join("closed")
        .join(format!("{}.json", month.strftime("%Y-%m")))
}

/// Writes the record's file where it is missing; one that is there is never replaced. Returns whether it was written.
pub fn keep(data_dir: &Path, closed: &ClosedMonth) -> Result<bool, FileError> {
    let target = path_of(data_dir, closed.month);
    if target.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let (folder, staging) = (data_dir.join("closed"), data_dir.join(".staging"));
    files::create_private_dir(&folder)?;
    files::create_private_dir(&staging)?;
    files::sync(data_dir)?;
    let staged = staging.join(format!("closed-{}.json", closed.month.strftime("%Y-%m")));
    // Of a command that was cut off: the lock keeps others away.
    let _ = std::fs::remove_file(&staged);
    let mut file = files::create_private(&staged)?;
    file.write_all(closed.record.as_bytes())
        .map_err(FileError::because("write", &staged))?;
    files::publish(&staged, &target)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_final_on_the_fourth_of_the_next() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        assert!(!is_final(day("2026-12-01"), day("2027-01-03")));
        assert!(is_final(day("2026-12-01"), day("2027-01-04")));
        assert!(!is_final(day("2026-12-01"), day("2026-12-04")));
    }
}
