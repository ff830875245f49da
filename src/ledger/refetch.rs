//! Records whose file in the archive is missing or damaged: pending again where the vendor still holds them, lost elsewhere.
//!
//! Everything here happens within one transaction, which [`Snapshot::commit`] ends. What the archive still holds is in
//! [`SeenIds`].
//!
//! - [`GoneRecord`]: a record that neither the archive nor the vendor holds

use jiff::Timestamp;
use rusqlite::named_params;

use super::{Ledger, LedgerError, SeenIds, Snapshot, optional_timestamp};

/// A record that neither the archive nor the vendor holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneRecord {
    /// The transaction.
    pub transaction_id: String,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// When it was made, where that is known.
    pub verified_at: Option<Timestamp>,
    /// The verdict, as the ledger kept it.
    pub passed: bool,
    /// The sub code, likewise.
    pub sub_code: String,
}

impl Snapshot<'_> {
    /// Makes everything that was changed since its begin durable.
    pub fn commit(self) -> Result<(), LedgerError> {
        let committed = self.ledger.connection.execute_batch("COMMIT");
        committed.map_err(self.ledger.failed("commit what is asked for again"))
    }
}

impl SeenIds<'_> {
    /// The files of verifications, by their number, that name a face which no file of faces holds; and how many of their records
    /// the vendor has deleted.
    pub fn faceless_files(&self, now: Timestamp) -> Result<Vec<(u64, u64)>, LedgerError> {
        let read = || {
            let mut statement = self
                .ledger
                .connection
                .prepare(include_str!("../../sql/refetch_faceless.sql"))?;
            let now = named_params! { ":now": now.as_microsecond() };
            let files = statement.query_map(now, |row| Ok((row.get(0)?, row.get(1)?)))?;
            files.collect::<rusqlite::Result<_>>()
        };
        read().map_err(self.ledger.failed("look for faces that are missing"))
    }

    /// Forgets what a file of verifications holds.
    pub fn forget_file(&self, file: u64) -> Result<(), LedgerError> {
        let sql = include_str!("../../sql/refetch_unsee.sql");
        let forgotten = self.ledger.connection.execute(sql, named_params! { ":file": file });
        forgotten.map_err(self.ledger.failed("forget a file"))?;
        Ok(())
    }

    /// Whether a file holds this id's verification.
    pub fn contains(&self, number: i64) -> Result<bool, LedgerError> {
        Ok(self.lookup(number)?.is_some())
    }
}

impl Ledger {
    /// Makes the archived ids pending again that were not seen and that the vendor still holds. Returns how many.
    pub fn ask_again(&self, now: Timestamp) -> Result<u64, LedgerError> {
        let asked = self.connection.execute(
            include_str!("../../sql/refetch_pending.sql"),
            named_params! { ":now": now.as_microsecond() },
        );
        Ok(asked.map_err(self.failed("ask for records again"))? as u64)
    }

    /// Hands each archived id to `each` that was not seen and that the vendor has deleted, and makes it lost. Returns how many.
    pub fn lose_gone(&self, now: Timestamp, each: &mut dyn FnMut(GoneRecord)) -> Result<u64, LedgerError> {
        let mut lose = || -> rusqlite::Result<usize> {
            let now = named_params! { ":now": now.as_microsecond() };
            let mut statement = self.connection.prepare(include_str!("../../sql/refetch_gone.sql"))?;
            let mut rows = statement.query(now)?;
            while let Some(row) = rows.next()? {
                each(GoneRecord {
                    transaction_id: row.get(0)?,
                    product_code: row.get(1)?,
                    region: row.get(2)?,
                    verified_at: optional_timestamp(row.get(3)?)?,
                    passed: row.get(4)?,
                    sub_code: row.get(5)?,
                });
            }
            self.connection.execute(include_str!("../../sql/refetch_lost.sql"), now)
        };
        Ok(lose().map_err(self.failed("note the records that are gone"))? as u64)
    }

    /// Takes a published file out of the manifest, with its tallies.
    pub fn take_out(&self, path: &str) -> Result<(), LedgerError> {
        let path = named_params! { ":path": path };
        let taken_out = self
            .connection
            .execute(include_str!("../../sql/tally_forget.sql"), path)
            .and_then(|_| {
                self.connection
                    .execute(include_str!("../../sql/refetch_take_out.sql"), path)
            });
        taken_out.map_err(self.failed("take a file out of the manifest"))?;
        Ok(())
    }
}
