//! One file of the archive in the place of several: the intent, and the commit that makes it so.
//!
//! From the intent on the new file is `staged` and the old ones, still published, name it. Whether its folder is in place by
//! then only the archive knows; the rows and tallies are the same either way.
//!
//! - [`Replacement`]: one that is under way

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, named_params};

use super::publish::{manifest_file, stage};
use super::{Change, ChangeKind, Ledger, LedgerError, ManifestFile, NewFile, changes};

/// A file that is to be in the place of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Below archive/.
    pub path: String,
    /// Those others, likewise.
    pub replaced: Vec<String>,
}

impl Ledger {
    /// The manifest, and whether each file is at rest: its billing day is before `before`; where that is unknown, it was
    /// published before `published_before`.
    pub fn manifest_at_rest(
        &self,
        before: Date,
        published_before: Timestamp,
    ) -> Result<Vec<(ManifestFile, bool)>, LedgerError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare(include_str!("../../sql/compact_candidates.sql"))?;
            let bounds = named_params! {
                ":before": before.to_string(),
                ":published_before": published_before.as_microsecond(),
            };
            let files = statement.query_map(bounds, |row| Ok((manifest_file(row)?, row.get(7)?)))?;
            files.collect::<rusqlite::Result<_>>()
        };
        read().map_err(self.failed("read the manifest"))
    }

    /// Writes down that `file` is about to be in the place of the published files `replaced`.
    pub fn stage_replacement(&mut self, run_id: &str, file: &NewFile, replaced: &[&str]) -> Result<(), LedgerError> {
        let failed = self.failed("write down the files to replace");
        let commit = self.connection.transaction().map_err(&failed)?;
        let intend = || -> rusqlite::Result<bool> {
            stage(&commit, run_id, file)?;
            for replaced in replaced {
                let names = named_params! { ":path": file.path, ":replaced": replaced };
                if commit.execute(include_str!("../../sql/compact_intent.sql"), names)? != 1 {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if intend().map_err(&failed)? {
            return commit.commit().map_err(&failed);
        }
        drop(commit);
        Err(self.inconsistent(format!("{} would replace a file that is not published", file.path)))
    }

    /// Takes a staged file into the manifest in the place of those that it replaces, and their tallies with it: one commit,
    /// or nothing.
    pub fn publish_replacement(&mut self, path: &str, kind: ChangeKind, now: Timestamp) -> Result<(), LedgerError> {
        let failed = self.failed("take a merged file into the manifest");
        let commit = self.connection.transaction().map_err(&failed)?;
        let (rows, replaced) = counts(&commit, path).map_err(&failed)?;
        if replaced.iter().any(|other| *other != Some(rows)) {
            drop(commit);
            return Err(self.inconsistent(format!(
                "{path} has other rows or tallies than the files that it replaces"
            )));
        }
        let publish = || -> rusqlite::Result<()> {
            let file = staged_file(&commit, path)?;
            let mut old = commit.prepare(include_str!("../../sql/compact_replaced.sql"))?;
            let removed = old.query_map(named_params! { ":path": path }, manifest_file)?;
            let change = Change {
                run_id: Some(file.run_id.clone()),
                removed: removed.collect::<rusqlite::Result<_>>()?,
                added: vec![file],
                ..Change::new(kind)
            };
            changes::add(&commit, &self.author, &change)?;
            let path = named_params! { ":path": path };
            commit.execute(include_str!("../../sql/compact_tallies.sql"), path)?;
            commit.execute(include_str!("../../sql/compact_tallies_drop.sql"), path)?;
            commit.execute(include_str!("../../sql/compact_drop.sql"), path)?;
            Ok(())
        };
        publish().map_err(&failed)?;
        let published = commit.execute(
            include_str!("../../sql/file_publish.sql"),
            named_params! { ":path": path, ":published_at": now.as_microsecond() },
        );
        published.map_err(&failed)?;
        commit.commit().map_err(&failed)
    }

    /// Those that a crash cut off before their commit.
    pub fn replacements(&self) -> Result<Vec<Replacement>, LedgerError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare(include_str!("../../sql/compact_under_way.sql"))?;
            let mut by_path = BTreeMap::<String, Vec<String>>::new();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                by_path.entry(row.get(0)?).or_default().push(row.get(1)?);
            }
            Ok(by_path)
        };
        let by_path = read().map_err(self.failed("look for files that replace others"))?;
        let replacements = by_path.into_iter();
        Ok(replacements
            .map(|(path, replaced)| Replacement { path, replaced })
            .collect())
    }

    /// What the ledger has of a staged file.
    pub fn staged_file(&self, path: &str) -> Result<ManifestFile, LedgerError> {
        staged_file(&self.connection, path).map_err(self.failed("look at a staged file"))
    }

    /// Takes the intent to replace files by `path` back.
    pub fn forget_replacement(&mut self, path: &str) -> Result<(), LedgerError> {
        let failed = self.failed("forget a replacement");
        let commit = self.connection.transaction().map_err(&failed)?;
        for sql in [
            include_str!("../../sql/compact_forget.sql"),
            include_str!("../../sql/file_forget.sql"),
        ] {
            commit.execute(sql, named_params! { ":path": path }).map_err(&failed)?;
        }
        commit.commit().map_err(&failed)
    }
}

fn staged_file(connection: &Connection, path: &str) -> rusqlite::Result<ManifestFile> {
    let sql = include_str!("../../sql/file_staged.sql");
    connection.query_row(sql, named_params! { ":path": path }, manifest_file)
}

/// The rows of a staged file, and those of the files that it replaces: by the manifest, and by the tallies where its dataset
/// has any.
fn counts(commit: &Connection, path: &str) -> rusqlite::Result<(u64, Vec<Option<u64>>)> {
    let sql = include_str!("../../sql/compact_rows.sql");
    commit.query_row(sql, named_params! { ":path": path }, |row| {
        let mut replaced = vec![row.get(2)?];
        if row.get_ref(1)?.as_str()? == "verifications" {
            replaced.push(row.get(3)?);
        }
        Ok((row.get(0)?, replaced))
    })
}
