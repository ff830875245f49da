//! The ledger's side of `idvault verify`: whether it is sound in itself, and what it knows of the archive's rows.
//!
//! - [`SeenIds`]: the ids that were read from the archive so far; [`SeenFace`]: how a face fits them
//! - [`KnownRow`]: what the ledger knows of one; [`IdCounts`]: how many there are
//! - [`Snapshot`]: the ledger held still meanwhile

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use rusqlite::{OptionalExtension, Params, Row, named_params};

use super::{Ledger, LedgerError, Tally};
use crate::record::{MerchantBizId, State, TransactionId};
use crate::tally::Counted;

/// What the ledger knows of an id, of that which the archive holds too. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRow<'a> {
    /// Its number in the ledger.
    pub number: i64,
    /// The transaction.
    pub transaction_id: &'a str,
    /// Where it stands; `None` for a word that is no state.
    pub state: Option<State>,
    /// The company's own id, derived where none was given.
    pub merchant_biz_id: Cow<'a, str>,
    /// The product.
    pub product_code: &'a str,
    /// The region.
    pub region: &'a str,
    /// When it was made.
    pub verified_at: Option<i64>,
    /// When the last answer came.
    pub last_call_at: Option<i64>,
    /// The verdict.
    pub passed: Option<bool>,
    /// The sub code.
    pub sub_code: Option<&'a str>,
}

/// The ledger held still: what somebody changes meanwhile is not seen.
#[derive(Debug)]
pub struct Snapshot<'ledger> {
    pub(super) ledger: &'ledger Ledger,
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        // The connection rolls back by itself when it is closed; this only does it sooner.
        drop(self.ledger.connection.execute_batch("ROLLBACK"));
    }
}

/// How many ids the ledger has.
#[derive(Debug, Clone, Copy)]
pub struct IdCounts {
    /// All.
    pub ids: u64,
    /// The highest number: they are numbered without a gap.
    pub highest: u64,
    /// Those that are archived.
    pub archived: u64,
}

/// How a face fits what was seen of its transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenFace {
    /// No file of verifications has the transaction.
    Unknown,
    /// Its verification's first face, and its hash there, where it has one.
    First(Option<String>),
    /// One more face in the same file.
    Further,
    /// Its faces are in this file too, by its number.
    Twice(u64),
}

/// The ids that were read from the archive so far. They are kept in SQLite's temporary database, which spills to the
/// disk: memory does not grow with the archive.
#[derive(Debug)]
pub struct SeenIds<'ledger> {
    pub(super) ledger: &'ledger Ledger,
}

/// A row of the temporary table.
pub(super) struct Seen {
    file: u64,
    face_image_sha256: Option<String>,
    face_file: Option<u64>,
}

impl Ledger {
    /// Holds the ledger still. Only one may be there at a time.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, LedgerError> {
        let begun = self.connection.execute_batch("BEGIN");
        begun.map_err(self.failed("start to verify"))?;
        Ok(Snapshot { ledger: self })
    }

    /// Counts the ids.
    pub fn id_counts(&self) -> Result<IdCounts, LedgerError> {
        let counted = self
            .connection
            .query_row(include_str!("../../sql/verify_counts.sql"), [], |row| {
                Ok(IdCounts {
                    ids: row.get(0)?,
                    highest: row.get(1)?,
                    archived: row.get(2)?,
                })
            });
        counted.map_err(self.failed("count the ids"))
    }

    /// Says where the ledger's tables contradict each other.
    pub fn contradictions(&self, each: &mut dyn FnMut(String)) -> Result<(), LedgerError> {
        let mut read = || -> rusqlite::Result<()> {
            let mut references = self
                .connection
                .prepare(include_str!("../../sql/verify_references.sql"))?;
            let mut broken = references.query([])?;
            while let Some(row) = broken.next()? {
                let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
                each(format!("a row of {table} refers to one of {parent} that is not there"));
            }
            let mut tables = self
                .connection
                .prepare(include_str!("../../sql/verify_contradictions.sql"))?;
            let mut contradictions = tables.query([])?;
            while let Some(row) = contradictions.next()? {
                each(row.get(0)?);
            }
            Ok(())
        };
        read().map_err(self.failed("compare the tables"))
    }

    /// The ids of all runs.
    pub fn run_ids(&self) -> Result<BTreeSet<String>, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(include_str!("../../sql/verify_runs.sql"))?;
            statement
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()
        };
        read().map_err(self.failed("read the runs"))
    }

    /// Hands what is known of an id to `read`, and gives what that makes of it; `None` where nothing is known.
    pub fn known<T>(
        &self,
        transaction_id: &str,
        read: impl FnOnce(&KnownRow<'_>) -> T,
    ) -> Result<Option<T>, LedgerError> {
        let read = || {
            let mut lookup = self
                .connection
                .prepare_cached(include_str!("../../sql/verify_known.sql"))?;
            let id = named_params! { ":transaction_id": transaction_id };
            lookup.query_row(id, |row| Ok(read(&known(row)?))).optional()
        };
        read().map_err(self.failed("look an archived id up"))
    }

    /// The tallies of a file: verifications by product, region and sub code.
    pub fn tallies_of(&self, path: &str) -> Result<Counted, LedgerError> {
        self.counted(
            include_str!("../../sql/verify_tallies.sql"),
            named_params! { ":path": path },
        )
        .map_err(self.failed("read the tallies of a file"))
    }

    /// Published files whose tallies don't add up to their rows, a sentence each.
    pub fn adrift(&self) -> Result<Vec<String>, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(include_str!("../../sql/tallies_adrift.sql"))?;
            let files = statement.query_map([], |row| {
                let (path, rows, tallied): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(format!("{path} has {rows} rows, tallied as {tallied}"))
            })?;
            files.collect::<rusqlite::Result<_>>()
        };
        read().map_err(self.failed("add the tallies up"))
    }

    /// All tallies by product, region and sub code.
    pub fn tallied(&self) -> Result<Counted, LedgerError> {
        self.counted(include_str!("../../sql/tallied.sql"), [])
            .map_err(self.failed("add the tallies up"))
    }

    /// Archived ids by product, region and sub code.
    pub fn archived_ids(&self) -> Result<Counted, LedgerError> {
        let read = || -> rusqlite::Result<Counted> {
            let mut statement = self
                .connection
                .prepare_cached(include_str!("../../sql/archived_ids.sql"))?;
            let mut rows = statement.query([])?;
            let (mut counts, mut key) = (HashMap::<String, u64>::new(), String::new());
            while let Some(row) = rows.next()? {
                key.clear();
                for column in 0..3 {
                    key.push_str(row.get_ref(column)?.as_str()?);
                    key.push('\n');
                }
                match counts.get_mut(&key) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(key.clone(), 1)),
                }
            }
            let of_key = |(key, count): (String, u64)| {
                let mut words = key.split('\n').map(str::to_owned);
                let mut word = || words.next().unwrap_or_default();
                ([word(), word(), word()], count)
            };
            Ok(counts.into_iter().map(of_key).collect())
        };
        read().map_err(self.failed("count the archived ids"))
    }

    fn counted(&self, sql: &str, bound: impl Params) -> rusqlite::Result<Counted> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let counts = statement.query_map(bound, |row| Ok(([row.get(0)?, row.get(1)?, row.get(2)?], row.get(3)?)))?;
        counts.collect()
    }

    /// Puts `tallies` in the place of those of a file, in one commit.
    pub fn retally(&mut self, path: &str, tallies: &[Tally]) -> Result<(), LedgerError> {
        let failed = self.failed("tally a file again");
        let commit = self.connection.transaction().map_err(&failed)?;
        let retally = || -> rusqlite::Result<()> {
            commit.execute(
                include_str!("../../sql/tally_forget.sql"),
                named_params! { ":path": path },
            )?;
            tallies.iter().try_for_each(|tally| tally.insert(&commit, path))
        };
        retally().map_err(&failed)?;
        commit.commit().map_err(&failed)
    }
}

/// Nothing is checked: what a person may have put there is to be compared, not refused.
fn known<'row>(row: &'row Row<'_>) -> rusqlite::Result<KnownRow<'row>> {
    let transaction_id = row.get_ref(0)?.as_str()?;
    let derived = || {
        let id = TransactionId::parse(transaction_id).ok();
        Cow::Owned(id.map_or_else(String::new, |id| MerchantBizId::derive(&id).as_str().to_owned()))
    };
    Ok(KnownRow {
        number: row.get(9)?,
        transaction_id,
        state: State::from_word(row.get_ref(2)?.as_str()?),
        merchant_biz_id: row.get_ref(1)?.as_str_or_null()?.map_or_else(derived, Cow::Borrowed),
        product_code: row.get_ref(3)?.as_str()?,
        region: row.get_ref(4)?.as_str()?,
        verified_at: row.get(5)?,
        last_call_at: row.get(6)?,
        passed: row.get(7)?,
        sub_code: row.get_ref(8)?.as_str_or_null()?,
    })
}

impl<'ledger> SeenIds<'ledger> {
    /// Starts with none seen.
    pub fn new(snapshot: &'ledger Snapshot<'_>) -> Result<Self, LedgerError> {
        // The snapshot is one commit that never comes, instead of one an id.
        let ledger = snapshot.ledger;
        let created = ledger
            .connection
            .execute_batch(include_str!("../../sql/verify_seen.sql"));
        created.map_err(ledger.failed("start to compare ids"))?;
        Ok(Self { ledger })
    }

    /// An id that a file of verifications holds, and the hash of its first face; gives the number of the file that had
    /// it before, if any.
    pub fn add(&self, number: i64, file: u64, face_image_sha256: Option<&str>) -> Result<Option<u64>, LedgerError> {
        let insert = || {
            let mut insert = self
                .ledger
                .connection
                .prepare_cached(include_str!("../../sql/verify_seen_insert.sql"))?;
            insert.execute(named_params! {
                ":number": number,
                ":file": file,
                ":face_image_sha256": face_image_sha256,
            })
        };
        if insert().map_err(self.ledger.failed("note an archived id"))? == 1 {
            return Ok(None);
        }
        Ok(self.lookup(number)?.map(|seen| seen.file))
    }

    /// A face that a file holds.
    pub fn add_face(&self, number: i64, file: u64) -> Result<SeenFace, LedgerError> {
        let Some(seen) = self.lookup(number)? else {
            return Ok(SeenFace::Unknown);
        };
        match seen.face_file {
            Some(before) if before == file => Ok(SeenFace::Further),
            Some(before) => Ok(SeenFace::Twice(before)),
            None => {
                let update = || {
                    self.ledger
                        .connection
                        .prepare_cached(include_str!("../../sql/verify_seen_face.sql"))?
                        .execute(named_params! { ":number": number, ":file": file })
                };
                update().map_err(self.ledger.failed("note a face"))?;
                Ok(SeenFace::First(seen.face_image_sha256))
            }
        }
    }

    /// Names those whose face was not seen.
    pub fn faceless(&self, each: &mut dyn FnMut(&str)) -> Result<(), LedgerError> {
        self.each_id(include_str!("../../sql/verify_faceless.sql"), each)
    }

    /// Names the archived ids that were not seen.
    pub fn unseen(&self, each: &mut dyn FnMut(&str)) -> Result<(), LedgerError> {
        self.each_id(include_str!("../../sql/verify_unseen.sql"), each)
    }

    fn each_id(&self, sql: &'static str, each: &mut dyn FnMut(&str)) -> Result<(), LedgerError> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.ledger.connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                each(row.get_ref(0)?.as_str()?);
            }
            Ok(())
        };
        read().map_err(self.ledger.failed("compare the archived ids"))
    }

    pub(super) fn lookup(&self, number: i64) -> Result<Option<Seen>, LedgerError> {
        let read = || {
            let mut lookup = self
                .ledger
                .connection
                .prepare_cached(include_str!("../../sql/verify_seen_lookup.sql"))?;
            let number = named_params! { ":number": number };
            let seen = lookup.query_row(number, |row| {
                Ok(Seen {
                    file: row.get(0)?,
                    face_image_sha256: row.get(1)?,
                    face_file: row.get(2)?,
                })
            });
            seen.optional()
        };
        read().map_err(self.ledger.failed("look an archived id up"))
    }
}
