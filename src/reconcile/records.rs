//! The vendor's own records of verifications: an export of them, read strictly. It is either taken as a whole, or refused
//! with the line and column that can't be.
//!
//! - [`RecordsSettings`], [`RecordColumns`]: how the configuration names things
//! - [`parse`]: the files, CSV or XLSX; [`read`]: record by record (`row`)
//! - [`Recorded`]: what they say of a month, held to the ledger; `judge`: one record, held to it

mod judge;
mod recorded;
mod row;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::names::{Names, by_name};
use super::remote::{Remote, read_table};
use super::table::{Cells, SourceError, Wanted, find, shown};
use crate::files;
use crate::ledger::VendorRecord;
use crate::worker::Isolation;
pub use recorded::{Recorded, Terms};
use row::Row;

/// The columns, by their keys in the configuration; the arrays here have this order.
const COLUMNS: [&str; 7] = [
    "transaction_id",
    "time",
    "product",
    "region",
    "passed",
    "sub_code",
    "merchant_biz_id",
];
const TRANSACTION_ID: usize = 0;
const TIME: usize = 1;
const PRODUCT: usize = 2;
const REGION: usize = 3;
const PASSED: usize = 4;
const SUB_CODE: usize = 5;
const MERCHANT_BIZ_ID: usize = 6;
/// No export is one of records without these.
const REQUIRED: [usize; 2] = [TRANSACTION_ID, TIME];

/// The names of an export's columns, over those that are built in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "samples/idvault.toml documents the keys, and a test holds it to them"
)]
pub struct RecordColumns {
    pub transaction_id: Option<String>,
    pub time: Option<String>,
    pub product: Option<String>,
    pub region: Option<String>,
    pub passed: Option<String>,
    pub sub_code: Option<String>,
    pub merchant_biz_id: Option<String>,
}

impl RecordColumns {
    /// In the order of their keys.
    pub fn by_key(&self) -> [&Option<String>; 7] {
        [
            &self.transaction_id,
            &self.time,
            &self.product,
            &self.region,
            &self.passed,
            &self.sub_code,
            &self.merchant_biz_id,
        ]
    }
}

/// The names that the vendor's exports have.
#[derive(Debug, Deserialize)]
struct BuiltIn {
    columns: BTreeMap<String, Vec<String>>,
    passed: Verdicts,
}

#[derive(Debug, Deserialize)]
struct Verdicts {
    yes: Vec<String>,
    no: Vec<String>,
    open: Vec<String>,
}

impl BuiltIn {
    fn new() -> Self {
        toml::from_str(include_str!("../tables/records.toml")).expect("the built-in table is read by a test")
    }
}

/// How an export of records names things.
#[derive(Debug, Clone)]
pub struct RecordsSettings {
    wanted: Vec<Wanted>,
    /// By what matters of their names; `None`: not final.
    verdicts: BTreeMap<String, Option<bool>>,
    names: Names,
    /// That of a time without an offset.
    zone: TimeZone,
    /// How the files are read.
    pub isolation: Isolation,
}

impl RecordsSettings {
    /// `names` are those of products and regions, `zone` that of a time without an offset.
    pub fn new(columns: &RecordColumns, names: Names, zone: TimeZone) -> Self {
        let built_in = BuiltIn::new();
        let keys = COLUMNS.iter().zip(columns.by_key()).enumerate();
        let wanted = keys.map(|(at, (key, named))| Wanted {
            key: format!("records.columns.{key}"),
            names: match named {
                Some(name) => vec![name.clone()],
                None => built_in.columns.get(*key).cloned().unwrap_or_default(),
            },
            required: REQUIRED.contains(&at),
        });
        let Verdicts { yes, no, open } = built_in.passed;
        let verdicts = [(yes, Some(true)), (no, Some(false)), (open, None)];
        let verdicts = verdicts
            .into_iter()
            .flat_map(|(words, verdict)| words.into_iter().map(move |word| (word, verdict)));
        Self {
            wanted: wanted.collect(),
            verdicts: by_name(verdicts),
            names,
            zone,
            isolation: Isolation::default(),
        }
    }
}

/// Exports of records that were parsed, and wait to be held to the ledger.
pub struct Exports {
    /// `None`: the file is read in this process, later.
    tables: Vec<(PathBuf, Option<Remote>)>,
}

impl Exports {
    /// The files, as they were named.
    fn names(&self) -> Vec<String> {
        self.tables.iter().map(|(path, _)| path.display().to_string()).collect()
    }
}

/// Parses the files, and keeps their rows in files without a name in `scratch`.
pub fn parse(paths: &[PathBuf], settings: &RecordsSettings, scratch: &Path) -> Result<Exports, SourceError> {
    let parse = |path: &PathBuf| {
        let spool = match &settings.isolation {
            Isolation::None => None,
            Isolation::Process { .. } => Some(spool(scratch)?),
        };
        let remote = Remote::open(path, &settings.wanted, &settings.isolation, spool)?;
        Ok((path.clone(), remote))
    };
    let tables = paths.iter().map(parse).collect::<Result<_, SourceError>>()?;
    Ok(Exports { tables })
}

/// A new file without a name.
fn spool(scratch: &Path) -> Result<File, SourceError> {
    let path = scratch.join(format!(".records-{}", std::process::id()));
    let failed = |source| SourceError::Open {
        path: path.clone(),
        source,
    };
    let file = files::create_private(&path).map_err(|error| failed(error.source))?;
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(file)
}

/// Hands every record of the files to `take`, which says false of one whose id came before. Returns how many were of other
/// services, by `[bill.products]`.
pub fn read<E: From<SourceError>>(
    exports: Exports,
    settings: &RecordsSettings,
    take: &mut dyn FnMut(&VendorRecord) -> Result<bool, E>,
) -> Result<u64, E> {
    let mut not_ours = 0;
    for (path, remote) in exports.tables {
        let mut read = |cells: &mut dyn Cells| -> Result<(), E> {
            not_ours += read_rows(cells, settings, take)?;
            Ok(())
        };
        match remote {
            Some(mut remote) => read(&mut remote)?,
            None => read_table(&path, &settings.wanted, &mut read)?,
        }
    }
    Ok(not_ours)
}

/// Hands every row below the header to `take`.
fn read_rows<E: From<SourceError>>(
    table: &mut dyn Cells,
    settings: &RecordsSettings,
    take: &mut dyn FnMut(&VendorRecord) -> Result<bool, E>,
) -> Result<u64, E> {
    let at = find(table.file(), table.line(), table.header(), &settings.wanted)?;
    let (mut rows, mut not_ours) = (0_u64, 0);
    while table.advance()? {
        rows += 1;
        let row = Row {
            cells: table,
            at: &at,
            settings,
        };
        let Some(record) = row.record()? else {
            not_ours += 1;
            continue;
        };
        if !take(&record)? {
            let what = format!(
                "the record of {} came before, in this file or in another one: an export that names a verification twice \
                 is not taken; remove one of the two, or export it again",
                shown(record.transaction_id.as_str())
            );
            return Err(row.wrong(TRANSACTION_ID, what).into());
        }
    }
    if rows == 0 {
        let what = "there is no line below the header: the file may be cut off";
        return Err(table.wrong(what.to_owned()).into());
    }
    Ok(not_ours)
}

#[cfg(test)]
mod tests;
