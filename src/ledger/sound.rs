//! Whether the ledger is sound in itself, for `idvault verify`.
//!
//! SQLite's own `integrity_check` looks each row up in each index, which is slow where ids are in no order. Here the rows and
//! each index of `transactions` are read from end to end. An index must be in its order; whether it holds what the rows say is
//! for whoever reads both.
//!
//! - [`Snapshot`]: the ledger held still meanwhile
//! - [`Index`], [`IndexEntry`]: what an index holds of a row

use rusqlite::Row;

use super::verify::{KnownRow, known};
use super::{Ledger, LedgerError};
use crate::record::State;

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

/// An index of `transactions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Index {
    /// Of all ids.
    Id,
    /// Of the plan: pending rows.
    Pending,
    /// Of the reports: rows that a person must look at.
    Attention,
}

impl Index {
    const ALL: [Self; 3] = [Self::Id, Self::Pending, Self::Attention];

    const fn sql(self) -> &'static str {
        match self {
            Self::Id => include_str!("../../sql/verify_index_id.sql"),
            Self::Pending => include_str!("../../sql/verify_index_pending.sql"),
            Self::Attention => include_str!("../../sql/verify_index_attention.sql"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Id => "transactions_id",
            Self::Pending => "transactions_pending",
            Self::Attention => "transactions_attention",
        }
    }
}

/// What an index holds of a row. Entries compare as they are ordered in the index; columns that it lacks are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry<'a> {
    /// Which.
    pub index: Index,
    /// The first column: the id, the product, the state.
    pub text: &'a str,
    /// The next ones, the row's number among them.
    pub numbers: [i64; 3],
    /// The last call's code, of a pending row.
    pub last_call_code: Option<&'a str>,
    /// Whether its age is known, of a pending row.
    pub age_known: i64,
}

impl Ledger {
    /// Holds the ledger still. Only one may be there at a time.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, LedgerError> {
        let begun = self.connection.execute_batch("BEGIN");
        begun.map_err(self.failed("start to verify"))?;
        Ok(Snapshot { ledger: self })
    }

    /// Refuses a file whose pages contradict each other, and a table whose indices don't fit it; those of `transactions`
    /// are only read as far as their pages go.
    pub fn check_pages_and_small_tables(&self) -> Result<(), LedgerError> {
        self.check_pages()?;
        let mut found = Vec::new();
        let mut read = || -> rusqlite::Result<()> {
            let mut tables = self.connection.prepare(include_str!("../../sql/check_tables.sql"))?;
            found = tables
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(())
        };
        read().map_err(self.failed("check the tables"))?;
        found.pop().map_or(Ok(()), |what: String| Err(self.damaged(&what)))
    }

    /// Hands every row to `each`, in the order in which they are stored, with its number and with what the indices are to hold of it.
    /// An answered one counts as archived, which [`Ledger::for_each_journalled_row`] corrects.
    pub fn for_each_row(&self, each: &mut dyn FnMut(i64, &KnownRow<'_>, &[IndexEntry<'_>])) -> Result<(), LedgerError> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare(include_str!("../../sql/verify_rows.sql"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let known = known(row)?;
                let number = row.get(9)?;
                let id = IndexEntry {
                    index: Index::Id,
                    text: known.transaction_id,
                    numbers: [number, 0, 0],
                    last_call_code: None,
                    age_known: 0,
                };
                match state_entry(row, &known, id)? {
                    None => each(number, &known, &[id]),
                    Some(entry) => each(number, &known, &[id, entry]),
                }
            }
            Ok(())
        };
        read().map_err(self.failed("read the ids"))
    }

    /// Hands the rows to `each` that are answered and whose replies are still in the journal.
    pub fn for_each_journalled_row(&self, each: &mut dyn FnMut(&KnownRow<'_>)) -> Result<(), LedgerError> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self
                .connection
                .prepare(include_str!("../../sql/verify_journalled.sql"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                each(&known(row)?);
            }
            Ok(())
        };
        read().map_err(self.failed("read the journalled ids"))
    }

    /// Hands what the indices of `transactions` hold to `each`. One that is not in its order is damage.
    pub fn for_each_index_entry(&self, each: &mut dyn FnMut(IndexEntry<'_>)) -> Result<(), LedgerError> {
        for index in Index::ALL {
            let in_order = self.read_index(index, each).map_err(self.failed("read an index"))?;
            if !in_order {
                return Err(self.damaged(&format!("the index {} is out of order", index.name())));
            }
        }
        Ok(())
    }

    fn read_index(&self, index: Index, each: &mut dyn FnMut(IndexEntry<'_>)) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare(index.sql())?;
        let mut rows = statement.query([])?;
        // The entry before, its texts apart.
        let (mut before, mut text, mut code) = (None, String::new(), String::new());
        while let Some(row) = rows.next()? {
            let entry = IndexEntry {
                index,
                text: row.get_ref(0)?.as_str()?,
                numbers: [row.get(1)?, row.get(2)?, row.get(3)?],
                last_call_code: row.get_ref(4)?.as_str_or_null()?,
                age_known: row.get(5)?,
            };
            let last = before.map(|(numbers, has_code, age_known): ([i64; 3], bool, i64)| IndexEntry {
                index,
                text: &text,
                numbers,
                last_call_code: has_code.then_some(&*code),
                age_known,
            });
            if last.is_some_and(|last| last >= entry) {
                return Ok(false);
            }
            each(entry);
            before = Some((entry.numbers, entry.last_call_code.is_some(), entry.age_known));
            entry.text.clone_into(&mut text);
            entry.last_call_code.unwrap_or_default().clone_into(&mut code);
        }
        Ok(true)
    }

    /// The ledger's pages or indices can't be trusted.
    pub fn damaged(&self, what: &str) -> LedgerError {
        LedgerError::Damaged {
            path: self.path.clone(),
            what: what.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}

/// What the index of a row's state is to hold of it; `None` where none is of that state.
fn state_entry<'a>(
    row: &'a Row<'_>,
    known: &KnownRow<'a>,
    id: IndexEntry<'a>,
) -> rusqlite::Result<Option<IndexEntry<'a>>> {
    let [number, ..] = id.numbers;
    Ok(match known.state {
        Some(State::Pending) => Some(IndexEntry {
            index: Index::Pending,
            text: known.product_code,
            numbers: [row.get(10)?, number, row.get(11)?],
            last_call_code: row.get_ref(12)?.as_str_or_null()?,
            age_known: row.get(13)?,
        }),
        Some(state @ (State::Quarantined | State::Lost | State::Abandoned)) => Some(IndexEntry {
            index: Index::Attention,
            text: state.as_str(),
            numbers: [row.get(10)?, number, 0],
            ..id
        }),
        Some(State::Journalled | State::Archived) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Lock;

    /// A migration that adds an index adds it to [`Index`], too, or `verify` says nothing of it.
    #[test]
    fn every_index_of_the_ids_is_read_from_end_to_end_and_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::acquire(folder.path()).unwrap();
        let ledger = Ledger::open(folder.path(), &lock).unwrap();
        let texts = |sql: &str| -> Vec<String> {
            let mut statement = ledger.connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let mut names: Vec<&str> = Index::ALL.into_iter().map(Index::name).collect();
        names.sort_unstable();
        assert_eq!(
            texts("SELECT name FROM pragma_index_list('transactions') ORDER BY name"),
            names
        );
        for index in Index::ALL {
            let columns = texts(&format!("SELECT name FROM pragma_index_info('{}')", index.name()));
            let read = index.sql().split_once("SELECT ").unwrap().1;
            assert!(read.starts_with(&columns.join(", ")), "{columns:?}: {read}");
            let explain = format!("EXPLAIN QUERY PLAN {}", index.sql());
            let mut statement = ledger.connection.prepare(&explain).unwrap();
            let plan = statement.query_map([], |row| row.get::<_, String>("detail")).unwrap();
            let plan: Vec<String> = plan.map(Result::unwrap).collect();
            // One step, so nothing is sorted and no row is looked up.
            assert!(
                plan.len() == 1 && plan[0].contains(&format!("USING COVERING INDEX {}", index.name())),
                "{plan:?}"
            );
        }
    }
}
