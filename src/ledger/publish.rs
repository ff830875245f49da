//! From the journal to the manifest: which rows are to be published, and the commit that makes them archived.
//!
//! - [`Place`]: a journalled row's place in the order of publication
//! - [`NewFile`]: a file that is about to get its name; [`Tally`]: what is in it
//! - [`ManifestFile`]: one that has it

use std::borrow::Cow;
use std::ops::ControlFlow;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, Row, named_params};
use serde::{Deserialize, Serialize};

use super::replies::{Reader, Span};
use super::{Change, ChangeKind, Ledger, LedgerError, changes, checked, optional_timestamp, timestamp};
use crate::record::{MerchantBizId, Record, TransactionId, Verification};

/// `verified_order` of what has no `verified_at`: the very end of the order.
const UNKNOWN: i64 = i64::MAX;

/// Where a journalled row stands in the order of publication: by `verified_at`, unknown last, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    order: i64,
    number: i64,
}

/// A file that is about to get its name.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Below archive/.
    pub path: String,
    /// `verifications` or `face_images`.
    pub dataset: &'static str,
    /// The billing day, where it is known.
    pub billing_day: Option<Date>,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes in hex.
    pub sha256: String,
    /// What its rows add up to, where it is one of verifications.
    pub tallies: Vec<Tally>,
}

impl NewFile {
    /// Its entry in the manifest, where this run publishes it.
    fn entry(&self, run_id: &str) -> ManifestFile {
        ManifestFile {
            path: self.path.clone(),
            dataset: self.dataset.to_owned(),
            billing_day: self.billing_day.map(|day| day.to_string()),
            rows: self.rows,
            bytes: self.bytes,
            sha256: self.sha256.clone(),
            run_id: run_id.to_owned(),
        }
    }
}

/// A count of verifications in one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// The sub code.
    pub sub_code: String,
    /// How many.
    pub verifications: u64,
}

impl Tally {
    pub(super) fn insert(&self, commit: &Connection, path: &str) -> rusqlite::Result<()> {
        let insert = named_params! {
            ":path": path,
            ":product_code": self.product_code,
            ":region": self.region,
            ":sub_code": self.sub_code,
            ":verifications": self.verifications,
        };
        commit.execute(include_str!("../../sql/tally_insert.sql"), insert)?;
        Ok(())
    }
}

/// A file of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Below archive/.
    pub path: String,
    /// `verifications` or `face_images`.
    pub dataset: String,
    /// The billing day, where it is known.
    pub billing_day: Option<String>,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes in hex.
    pub sha256: String,
    /// The run that published it.
    pub run_id: String,
}

impl ManifestFile {
    /// The folder that its path names, below archive/.
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

impl Ledger {
    /// Calls `each` with the journalled rows in the order of publication, until it breaks off. Of what a reply says they
    /// have only the verdict, as it was read when the reply came.
    pub fn for_each_journalled<E: From<LedgerError>>(
        &self,
        mut each: impl FnMut(Place, Verification<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let failed = self.failed("read the journal");
        let sql = include_str!("../../sql/publish_rows.sql");
        let mut statement = self.connection.prepare_cached(sql).map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        let mut large = Reader::of(self);
        while let Some(row) = rows.next().map_err(&failed)? {
            let (place, mut journalled) = journalled(row).map_err(&failed)?;
            if let Some(span) = Span::of(row, 11).map_err(&failed)? {
                journalled.body = Cow::Borrowed(large.read(span, &journalled.transaction_id)?);
            }
            if each(place, journalled)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Writes down that these files are about to get their names.
    pub fn stage_files(&mut self, run_id: &str, files: &[NewFile]) -> Result<(), LedgerError> {
        let failed = self.failed("write down the files to publish");
        let commit = self.connection.transaction().map_err(&failed)?;
        for file in files {
            stage(&commit, run_id, file).map_err(&failed)?;
        }
        commit.commit().map_err(&failed)
    }

    /// Takes the run's files into the manifest, with their tallies, and drops the journalled replies that are in them, which
    /// makes these rows archived: one commit, or nothing. They are those up to `last` in the order of publication, and must
    /// be `rows`.
    pub fn publish_rows(
        &mut self,
        run_id: &str,
        last: Place,
        rows: u64,
        files: &[NewFile],
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let details = self.source()?;
        let failed = self.failed("take the published files into the manifest");
        let commit = self.connection.transaction().map_err(&failed)?;
        let publish = || -> rusqlite::Result<(usize, bool)> {
            for file in files {
                commit.execute(
                    include_str!("../../sql/file_publish.sql"),
                    named_params! { ":path": file.path, ":published_at": now.as_microsecond() },
                )?;
                for tally in &file.tallies {
                    tally.insert(&commit, &file.path)?;
                }
            }
            drop_replies(&commit, last)
        };
        let (dropped, more) = publish().map_err(&failed)?;
        if dropped as u64 != rows {
            drop(commit);
            return Err(self.inconsistent(format!(
                "{rows} rows were written to the archive, {dropped} were journalled for them"
            )));
        }
        let change = Change {
            run_id: Some(run_id.to_owned()),
            details,
            added: files.iter().map(|file| file.entry(run_id)).collect(),
            ..Change::new(ChangeKind::Run)
        };
        changes::add(&commit, &self.author, &change).map_err(&failed)?;
        commit.commit().map_err(&failed)?;
        if more { Ok(()) } else { self.remove_replies() }
    }

    /// Files whose publication a crash cut off: their rows are all still journalled.
    pub fn staged_files(&self) -> Result<Vec<String>, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(include_str!("../../sql/files_staged.sql"))?;
            statement
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<String>>>()
        };
        read().map_err(self.failed("look for interrupted publications"))
    }

    /// Takes the intent to publish a file back, once the file is gone. A person may have left tallies of it.
    pub fn forget_staged(&mut self, path: &str) -> Result<(), LedgerError> {
        let failed = self.failed("forget an interrupted publication");
        let commit = self.connection.transaction().map_err(&failed)?;
        for sql in [
            include_str!("../../sql/tally_forget.sql"),
            include_str!("../../sql/file_forget.sql"),
        ] {
            commit.execute(sql, named_params! { ":path": path }).map_err(&failed)?;
        }
        commit.commit().map_err(&failed)
    }

    /// The manifest: every published file.
    pub fn manifest(&self) -> Result<Vec<ManifestFile>, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(include_str!("../../sql/files_published.sql"))?;
            let files = statement.query_map([], manifest_file)?;
            files.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the manifest"))
    }
}

/// Writes down that a file is about to get its name.
pub(super) fn stage(commit: &Connection, run_id: &str, file: &NewFile) -> rusqlite::Result<()> {
    let stage = named_params! {
        ":path": file.path,
        ":dataset": file.dataset,
        ":billing_day": file.billing_day.map(|day| day.to_string()),
        ":rows": file.rows,
        ":bytes": file.bytes,
        ":sha256": file.sha256,
        ":run_id": run_id,
    };
    commit.execute(include_str!("../../sql/file_stage.sql"), stage)?;
    Ok(())
}

pub(super) fn manifest_file(row: &Row<'_>) -> rusqlite::Result<ManifestFile> {
    Ok(ManifestFile {
        path: row.get(0)?,
        dataset: row.get(1)?,
        billing_day: row.get(2)?,
        rows: row.get(3)?,
        bytes: row.get(4)?,
        sha256: row.get(5)?,
        run_id: row.get(6)?,
    })
}

/// Gives how many there were, and whether there are more behind them.
fn drop_replies(commit: &Connection, last: Place) -> rusqlite::Result<(usize, bool)> {
    let last = named_params! { ":last_order": last.order, ":last_number": last.number };
    let more = commit.query_row(include_str!("../../sql/publish_more.sql"), last, |row| row.get(0))?;
    let dropped = if more {
        commit.execute(include_str!("../../sql/publish_journal_drop.sql"), last)?
    } else {
        commit.execute(include_str!("../../sql/publish_journal_empty.sql"), [])?
    };
    Ok((dropped, more))
}

fn journalled<'row>(row: &'row Row<'_>) -> rusqlite::Result<(Place, Verification<'row>)> {
    let transaction_id = checked(row.get_ref(0)?.as_str()?, TransactionId::check)?;
    let merchant_biz_id = if let Some(given) = row.get_ref(1)?.as_str_or_null()? {
        Cow::Borrowed(checked(given, MerchantBizId::check)?)
    } else {
        let transaction_id = checked(transaction_id, TransactionId::parse)?;
        Cow::Owned(MerchantBizId::derive(&transaction_id).as_str().to_owned())
    };
    let order: i64 = row.get(4)?;
    let verified_at = (order != UNKNOWN).then_some(order);
    let text = |column| Ok::<_, rusqlite::Error>(Cow::Borrowed(row.get_ref(column)?.as_str()?));
    let place = Place {
        order,
        number: row.get(10)?,
    };
    let verification = Verification {
        transaction_id: Cow::Borrowed(transaction_id),
        merchant_biz_id,
        product_code: text(2)?,
        region: text(3)?,
        verified_at: optional_timestamp(verified_at)?,
        billing_day: None,
        fetched_at: timestamp(row.get(8)?)?,
        run_id: text(7)?,
        body: Cow::Borrowed(row.get_ref(9)?.as_blob()?),
        billed: None,
        record: Record::unparsed(row.get(5)?, text(6)?.into_owned()),
    };
    Ok((place, verification))
}
