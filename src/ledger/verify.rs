//! Looking the archive's rows up, for `idvault verify`.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, named_params};

use super::{Ledger, LedgerError};
use crate::record::State;

/// The ids that were read from the archive so far. They are kept in SQLite's temporary database, which spills to the
/// disk: memory does not grow with the archive.
#[derive(Debug)]
pub struct SeenIds<'ledger> {
    ledger: &'ledger Ledger,
    distinct: u64,
    twice: BTreeSet<String>,
}

impl Ledger {
    /// Starts with none seen.
    pub fn seen_ids(&self) -> Result<SeenIds<'_>, LedgerError> {
        let created = self.connection.execute_batch(include_str!("../../sql/verify_seen.sql"));
        created.map_err(self.failed("start to verify"))?;
        Ok(SeenIds {
            ledger: self,
            distinct: 0,
            twice: BTreeSet::new(),
        })
    }

    /// The tallies of a file: verifications by product, region and sub code.
    pub fn tallies_of(&self, path: &str) -> Result<BTreeMap<[String; 3], u64>, LedgerError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare_cached(include_str!("../../sql/verify_tallies.sql"))?;
            let tallies = statement.query_map(named_params! { ":path": path }, |row| {
                Ok(([row.get(0)?, row.get(1)?, row.get(2)?], row.get(3)?))
            })?;
            tallies.collect::<rusqlite::Result<_>>()
        };
        read().map_err(self.failed("read the tallies of a file"))
    }
}

impl SeenIds<'_> {
    /// An id that the archive holds; false where the ledger doesn't have it as archived.
    pub fn add(&mut self, transaction_id: &str) -> Result<bool, LedgerError> {
        let failed = self.ledger.failed("look an archived id up");
        if self.try_insert(transaction_id).map_err(&failed)? {
            self.distinct += 1;
        } else {
            self.twice.insert(transaction_id.to_owned());
        }
        Ok(self.state_of(transaction_id).map_err(&failed)? == Some(State::Archived))
    }

    /// How many different ids were seen.
    pub const fn distinct(&self) -> u64 {
        self.distinct
    }

    /// Those that were seen more than once.
    pub fn twice(self) -> BTreeSet<String> {
        self.twice
    }

    fn try_insert(&self, transaction_id: &str) -> rusqlite::Result<bool> {
        let mut insert = self
            .ledger
            .connection
            .prepare_cached(include_str!("../../sql/verify_seen_insert.sql"))?;
        Ok(insert.execute(named_params! { ":transaction_id": transaction_id })? == 1)
    }

    fn state_of(&self, transaction_id: &str) -> rusqlite::Result<Option<State>> {
        let mut lookup = self
            .ledger
            .connection
            .prepare_cached(include_str!("../../sql/verify_state.sql"))?;
        let id = named_params! { ":transaction_id": transaction_id };
        let state = lookup
            .query_row(id, |row| Ok(State::from_word(row.get_ref(0)?.as_str()?)))
            .optional()?;
        Ok(state.flatten())
    }
}
