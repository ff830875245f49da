//! A ledger from the archive: made anew, or an older copy completed with what the archive has beyond it.
//!
//! The manifest is what the history (`archive/_changes/`) says. A file that no record names is taken, too, where it can be read and no
//! other file has an id of it: it is of an archive that is older than its history, or of a publication whose commit was lost with the
//! ledger. Ids that are not archived come from `open-records/`, closed months from `closed/`. No data file is changed or moved.
//!
//! All is one commit of SQLite's. A rebuild that is cut off leaves the ledger as it was before, and can be done again.
//!
//! - `plan`: what becomes of each file
//! - [`rebuild`]: does it; [`Rebuilt`]: what came of it; [`RebuildError`]: why it can't be done

mod plan;

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::archive::{Archive, ArchiveError, Columns, Dataset, StoredRow};
use crate::closing::Record;
use crate::files::FileError;
use crate::history::{HistoryError, Told};
use crate::ledger::{
    Account, AnsweredBy, ArchivedRow, Change, ChangeKind, ChangeRecord, ClosedMonth, IntegrityKey, Ledger, LedgerError,
    ManifestFile, NewFile, Rebuilding, StoredChange, Tally,
};
use crate::open_records::{self, OpenRecordsError};
use crate::record::sha256_hex;
use crate::tally::Counted;
use crate::{error_chain, history};
use plan::Plan;

/// Why a ledger can't be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The ledger can't be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The archive can't be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file beside the archive can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record can't be taken into the history.
    #[error("the history in archive/_changes/ is broken at commit {commit}: {what}; restore that folder from a backup")]
    History {
        /// The record's number.
        commit: u64,
        /// What is wrong with it.
        what: String,
    },
}

impl From<HistoryError> for RebuildError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Archive(error) => Self::Archive(error),
            HistoryError::Ledger(error) => Self::Ledger(error),
        }
    }
}

impl From<OpenRecordsError> for RebuildError {
    fn from(error: OpenRecordsError) -> Self {
        match error {
            OpenRecordsError::File(error) => Self::File(error),
            OpenRecordsError::Ledger(error) => Self::Ledger(error),
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Files that the manifest has now and did not have before.
    pub files: u64,
    /// Their verifications.
    pub archived: u64,
    /// Files that the manifest has no more: they were merged or are missing.
    pub dropped: u64,
    /// Ids that are not archived, from `open-records/`.
    pub open: u64,
    /// Closed months.
    pub closed: u64,
    /// Files that no record named, and that were taken.
    pub unnamed: Vec<String>,
    /// What is missing, damaged or could not be taken, a sentence each.
    pub faults: Vec<String>,
    /// Whether nothing was changed because of the faults.
    pub refused: bool,
}

/// What is to be done.
#[derive(Debug)]
pub struct Rebuild<'a> {
    /// The ledger, which may be empty.
    pub ledger: &'a mut Ledger,
    /// The archive beside it.
    pub archive: &'a Archive,
    /// The folder of both.
    pub data_dir: &'a Path,
    /// Authenticates the history.
    pub key: Option<&'a IntegrityKey>,
    /// Go on where files are missing or damaged: they are dropped from the manifest.
    pub without_missing: bool,
    /// The ledger's time.
    pub now: Timestamp,
}

/// What the history says.
#[derive(Debug, Default)]
struct Chain {
    /// Those that the ledger does not have.
    new: Vec<StoredChange>,
    told: Told,
    archive_id: Option<String>,
    account: Account,
    answered_by: Option<AnsweredBy>,
}

/// Makes or completes the ledger.
pub fn rebuild(task: &mut Rebuild<'_>) -> Result<Rebuilt, RebuildError> {
    let chain = Chain::read(task)?;
    let mut rebuilt = Rebuilt::default();
    let plan = Plan::of(task, &chain, &mut rebuilt)?;
    if !rebuilt.faults.is_empty() && !task.without_missing {
        rebuilt.refused = true;
        return Ok(rebuilt);
    }
    let Rebuild {
        ledger,
        archive,
        data_dir,
        now,
        ..
    } = task;
    let is_behind = !chain.new.is_empty() || !plan.add.is_empty() || ledger.highest_number()? == 0;
    let mut filling = ledger.rebuilding()?;
    filling.answered_by(chain.answered_by);
    for change in &chain.new {
        filling.take_change(change)?;
    }
    if let Some(archive_id) = &chain.archive_id {
        filling.belong_to(archive_id, &chain.account)?;
    }
    for file in &plan.drop {
        filling.remove_file(&file.path)?;
        rebuilt.dropped += 1;
    }
    for file in &plan.add {
        rebuilt.archived += take_file(&mut filling, archive, file, *now)?;
        rebuilt.files += 1;
    }
    let mut added = Vec::new();
    for file in plan.unnamed {
        if let Some(file) = take_unnamed(&mut filling, archive, &file, *now, &mut rebuilt)? {
            rebuilt.unnamed.push(file.path.clone());
            rebuilt.files += 1;
            added.push(file);
        }
    }
    if is_behind {
        open_records::read(data_dir, &mut |record| -> Result<(), RebuildError> {
            rebuilt.open += 1;
            Ok(filling.open_record(record)?)
        })?;
    }
    take_closed(&filling, data_dir, &chain.told, &mut rebuilt)?;
    let details = Change::new(ChangeKind::Rebuild)
        .with("files", rebuilt.files)
        .with("verifications", rebuilt.archived)
        .with("open_records", rebuilt.open)
        .with("faults", rebuilt.faults.clone());
    filling.finish(&Change {
        added,
        removed: plan.missing,
        ..details
    })?;
    history::write_files(ledger, archive)?;
    Ok(rebuilt)
}

impl Chain {
    fn read(task: &Rebuild<'_>) -> Result<Self, RebuildError> {
        let (ledger, archive) = (&*task.ledger, task.archive);
        let known = ledger.last_change()?.map_or(0, |last| last.commit);
        let last = archive.changes()?.pop().unwrap_or(0).max(known);
        let (mut chain, mut before) = (Self::default(), None);
        for commit in 1..=last {
            let broken = |what: String| RebuildError::History { commit, what };
            let (own, there) = (ledger.change(commit)?, archive.change(commit)?);
            let there = there.map(|text| StoredChange::new(commit, text));
            if let (Some(own), Some(there)) = (&own, &there)
                && own != there
            {
                let path = ledger.path().to_owned();
                return Err(LedgerError::OtherHistory { path, commit }.into());
            }
            let is_new = own.is_none();
            let change = own
                .or(there)
                .ok_or_else(|| broken("there is no record of it".to_owned()))?;
            let (record, _) = change.check(before.as_deref(), task.key).map_err(broken)?;
            if chain.archive_id.get_or_insert_with(|| record.archive_id.clone()) != &record.archive_id {
                return Err(broken("it belongs to another archive".to_owned()));
            }
            chain.learn_source(&record);
            chain.told.add(record).map_err(broken)?;
            before = Some(change.sha256.clone());
            if is_new {
                chain.new.push(change);
            }
        }
        Ok(chain)
    }

    fn learn_source(&mut self, record: &ChangeRecord) {
        let Some(source) = record.details.get("source") else {
            return;
        };
        let text = |name: &str| source.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        self.answered_by = text("answered_by").as_deref().and_then(AnsweredBy::from_word);
        let endpoints = source.get("endpoints").cloned().unwrap_or_default();
        self.account = Account {
            name: text("account"),
            endpoints: serde_json::from_value(endpoints).unwrap_or_default(),
        };
    }
}

/// Takes a file of the history into the manifest, and its rows into the ledger. Gives the number of its verifications.
fn take_file(
    filling: &mut Rebuilding<'_>,
    archive: &Archive,
    file: &ManifestFile,
    now: Timestamp,
) -> Result<u64, RebuildError> {
    let is_verifications = file.dataset == Dataset::Verifications.as_str();
    let tallies = if is_verifications {
        take_rows(filling, archive, file)?
    } else {
        Counted::new()
    };
    let rows = tallies.values().sum();
    filling.add_file(&entry(file, tallies), &file.run_id, now)?;
    Ok(rows)
}

fn take_rows(filling: &mut Rebuilding<'_>, archive: &Archive, file: &ManifestFile) -> Result<Counted, RebuildError> {
    let take = &mut |row: StoredRow<'_>| -> Result<(), RebuildError> {
        Ok(filling.archive(&ArchivedRow {
            transaction_id: row.transaction_id,
            merchant_biz_id: row.merchant_biz_id,
            product_code: row.product_code,
            region: row.region,
            verified_at: row.verified_at,
            fetched_at: row.fetched_at,
            passed: row.passed,
            sub_code: row.sub_code,
            run_id: row.run_id.unwrap_or(&file.run_id),
        })?)
    };
    archive.read_verifications(&file.path, Columns::Compared, take)
}

fn entry(file: &ManifestFile, tallies: Counted) -> NewFile {
    let tally = |([product_code, region, sub_code], verifications): ([String; 3], u64)| Tally {
        product_code,
        region,
        sub_code,
        verifications,
    };
    let dataset = if file.dataset == Dataset::FaceImages.as_str() {
        Dataset::FaceImages
    } else {
        Dataset::Verifications
    };
    NewFile {
        path: file.path.clone(),
        dataset: dataset.as_str(),
        billing_day: file.billing_day.as_deref().and_then(|day| day.parse().ok()),
        rows: file.rows,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        tallies: tallies.into_iter().map(tally).collect(),
    }
}

/// Takes a file that no record names, unless it can't be read or has an id of another file. `None` where it was left alone.
fn take_unnamed(
    filling: &mut Rebuilding<'_>,
    archive: &Archive,
    path: &str,
    now: Timestamp,
    rebuilt: &mut Rebuilt,
) -> Result<Option<ManifestFile>, RebuildError> {
    let mut fault = |what: String| rebuilt.faults.push(format!("archive/{path} is not taken: {what}"));
    let Some((dataset, billing_day, run_id)) = parts(path) else {
        fault("its name is none of the archive's".to_owned());
        return Ok(None);
    };
    let mut taken = None;
    let rows = archive.read_ids(path, &mut |id| {
        if matches!(taken, None | Some(Ok(false))) {
            taken = Some(filling.is_archived(id));
        }
    });
    let rows = match rows {
        Err(error) => {
            fault(error_chain(&error));
            return Ok(None);
        }
        Ok(rows) => rows,
    };
    let is_archived = taken.transpose()?.unwrap_or(false);
    // Faces belong to verifications that are archived; these must not be there yet.
    let is_faces = dataset == Dataset::FaceImages.as_str();
    if is_archived != is_faces {
        fault(if is_faces {
            "the archive has no verification of its faces".to_owned()
        } else {
            "another file has a verification of it".to_owned()
        });
        return Ok(None);
    }
    let found = archive.check(path)?;
    let file = ManifestFile {
        dataset: dataset.to_owned(),
        billing_day: billing_day.map(|day: Date| day.to_string()),
        rows,
        bytes: found.bytes,
        sha256: found.sha256,
        run_id: run_id.to_owned(),
        path: path.to_owned(),
    };
    rebuilt.archived += take_file(filling, archive, &file, now)?;
    Ok(Some(file))
}

/// Dataset, billing day and run, as a file's path says: `verifications/billing_day=2026-11-01/20261122T020000Z-0001-0001.parquet`.
fn parts(path: &str) -> Option<(&'static str, Option<Date>, &str)> {
    let (folder, file) = path.rsplit_once('/')?;
    let (run_id, _) = file.strip_suffix(".parquet")?.rsplit_once('-')?;
    let (dataset, day) = Archive::of_folder(folder)?;
    Some((dataset.as_str(), day, run_id))
}

/// Takes the closed months from `closed/`: those that the history names as it names them, and those of a data folder without one.
fn take_closed(
    filling: &Rebuilding<'_>,
    data_dir: &Path,
    told: &Told,
    rebuilt: &mut Rebuilt,
) -> Result<(), RebuildError> {
    let folder = data_dir.join("closed");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(FileError::because("list", &folder))?,
    };
    for entry in entries {
        let path = entry.map_err(FileError::because("list", &folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(month) = name.strip_suffix(".json") else {
            continue;
        };
        let (of_month, number) = month.split_once("-correction-").unwrap_or((month, "0"));
        let (Ok(first), Ok(number)) = (format!("{of_month}-01").parse::<Date>(), number.parse()) else {
            continue;
        };
        let mut record = String::new();
        let read = crate::files::open_regular(&path)
            .and_then(|mut file| std::io::Read::read_to_string(&mut file, &mut record));
        read.map_err(FileError::because("read", &path))?;
        let mut closed = ClosedMonth {
            month: first,
            number,
            closed_at: Timestamp::UNIX_EPOCH,
            sha256: sha256_hex(record.as_bytes()),
            record,
        };
        let other = told.closed(month).is_some_and(|sha256| sha256 != closed.sha256);
        match Record::read(&closed) {
            Ok(record) if !other => {
                closed.closed_at = record.closed_at;
                filling.close_month(&closed)?;
                rebuilt.closed += 1;
            }
            Ok(_) => rebuilt.faults.push(format!("closed/{name} is not what was signed off")),
            Err(what) => rebuilt.faults.push(format!("closed/{name}: {what}")),
        }
    }
    Ok(())
}
