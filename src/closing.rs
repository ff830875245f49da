//! A month that is closed: its figures are signed off, and what comes later is a correction.
//!
//! - [`Record`]: what is signed off; [`SignedFile`]: a file behind it; [`Signed`]: all of these
//! - [`Accepted`]: what spoke against it; [`signed_pricing`]: the prices that it keeps
//! - [`is_final`]: whether the vendor's bill of a month can still change
//! - [`late`]: what came after it was closed
//! - [`keep`]: the record's file; [`fault`]: whether all is as it was signed off
//! - [`chain_fault`], [`last_signed`]: each record follows the one that was signed before it

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
use crate::pricing::{BillingRow, Pricing};
use crate::record::sha256_hex;
use crate::tally::TallyLine;

/// The version of [`Record`]: a change that a reader could notice is a new one.
pub const RECORD_VERSION: u32 = 2;
/// The first version whose records have the hash of the one before.
const CHAINED_VERSION: u32 = 2;

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
    /// 0: the month itself; else the number of the correction that this is, which has what came since the one before.
    #[serde(default)]
    pub correction: u32,
    /// The hash of the record that was signed before this one, of whatever month. Version 1 has none.
    #[serde(default)]
    pub previous_sha256: Option<String>,
    /// By the ledger's time.
    pub closed_at: Timestamp,
    /// What spoke against it, and why it was closed all the same. Version 1 has sentences in `objections` instead.
    #[serde(default)]
    pub accepted_objections: Vec<Accepted>,
    /// What a verification cost when it was closed, and which were billed. Version 1 has none.
    #[serde(default)]
    pub pricing: Option<Pricing>,
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
    /// The vendor's own records.
    #[serde(default)]
    pub records: Vec<SignedFile>,
    /// What the comparison with the bill said.
    pub reconciled: Option<Value>,
}

/// Something that spoke against closing a month, and was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its name, by which it was accepted.
    pub name: String,
    /// What it is.
    pub objection: String,
    /// Why it was accepted.
    pub reason: String,
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
            number: self.correction,
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

/// The prices that a month was signed off with; `None` where it is open, or its record has none or is not what was signed.
pub fn signed_pricing(ledger: &Ledger, month: Date) -> Result<Option<Pricing>, LedgerError> {
    let closed = ledger.closed_months(Some((month, month)))?.pop();
    Ok(closed.and_then(|closed| Record::read(&closed).ok()?.pricing))
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

/// What is wrong with a closed month and its corrections, if anything: a record, its file, the archive's files behind it, or
/// the tallies.
pub fn fault(
    data_dir: &Path,
    signed: &[ClosedMonth],
    manifest: &[ManifestFile],
    tallies: &[TallyLine],
) -> Option<String> {
    let faults = signed
        .iter()
        .find_map(|closed| fault_of_one(data_dir, closed, manifest));
    faults.or_else(|| {
        let rows = signed.iter().map(|closed| Ok(Record::read(closed)?.rows));
        let rows: Result<Vec<Vec<BillingRow>>, String> = rows.collect();
        rows.and_then(|rows| late(&rows.concat(), tallies)).err()
    })
}

/// What is wrong with the order in which months and corrections were signed: each record has the hash of the one before.
pub fn chain_fault(signed: &[ClosedMonth]) -> Option<(Date, String)> {
    let hashes: BTreeSet<&str> = signed.iter().map(|closed| closed.sha256.as_str()).collect();
    let (mut named, mut firsts) = (BTreeSet::new(), 0);
    for closed in signed {
        // A record that can't be read is named already.
        let Ok(record) = Record::read(closed) else { continue };
        if record.record_version < CHAINED_VERSION {
            continue;
        }
        let what = match record.previous_sha256 {
            None => {
                firsts += 1;
                (firsts > 1).then_some("two records are the first that was signed".to_owned())
            }
            Some(previous) if !hashes.contains(previous.as_str()) => Some(format!(
                "the record that was signed before it, with SHA-256 {previous}, is missing or was changed"
            )),
            Some(previous) => {
                let is_new = named.insert(previous.clone());
                (!is_new).then(|| format!("two records follow the one with SHA-256 {previous}"))
            }
        };
        if let Some(what) = what {
            return Some((closed.month, what));
        }
    }
    None
}

/// The record that was signed last, which no other one follows.
pub fn last_signed(signed: &[ClosedMonth]) -> Option<&ClosedMonth> {
    let records = signed.iter().filter_map(|closed| Record::read(closed).ok());
    let followed: BTreeSet<String> = records.filter_map(|record| record.previous_sha256).collect();
    let last = signed.iter().filter(|closed| !followed.contains(&closed.sha256));
    last.max_by_key(|closed| (closed.closed_at, closed.month, closed.number))
}

/// What is wrong with one record, its file, or the archive's files behind it.
fn fault_of_one(data_dir: &Path, closed: &ClosedMonth, manifest: &[ManifestFile]) -> Option<String> {
    let record = match Record::read(closed) {
        Ok(record) => record,
        Err(what) => return Some(what),
    };
    let path = path_of(data_dir, closed);
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
    let other = record.files.iter().find(|file| !as_signed(file))?;
    Some(format!(
        "the manifest has another {} than was signed off, or none",
        other.path
    ))
}

/// Where a record is.
pub fn path_of(data_dir: &Path, closed: &ClosedMonth) -> PathBuf {
    data_dir.join("closed").join(format!("{}.json", closed.name()))
}

/// Writes the record's file where it is missing; one that is there is never replaced. Returns whether it was written.
pub fn keep(data_dir: &Path, closed: &ClosedMonth) -> Result<bool, FileError> {
    let target = path_of(data_dir, closed);
    if target.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let (folder, staging) = (data_dir.join("closed"), data_dir.join(".staging"));
    files::create_private_dir(&folder)?;
    files::create_private_dir(&staging)?;
    files::sync(data_dir)?;
    let staged = staging.join(format!("closed-{}.json", closed.name()));
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
