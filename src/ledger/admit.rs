//! Taking pending rows in: an unknown id is added, a known one is completed with what it lacked.
//!
//! - [`Admission`]: takes rows in; [`Defaults`]: what is taken for a row that does not say
//! - [`Admitted`]: what became of a row

use jiff::{SignedDuration, Timestamp};
use rusqlite::named_params;

use super::known::{Clock, Known, Merge};
use super::{Ledger, LedgerError, Run};
use crate::record::{LAST_CHANCE, MerchantBizId, Pending, ProductCode, Region};

/// Rows a commit at least. The ids come in random order, so a larger commit writes fewer pages of the indices twice.
const COMMIT_ROWS: usize = 20_000;

/// What is taken for a row that does not say.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The product.
    pub product_code: ProductCode,
    /// The region.
    pub region: Region,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// An unknown id was added.
    New,
    /// A known id was completed.
    Completed,
    /// The ledger knew it all.
    Known,
    /// The id came before in this run.
    Duplicate,
    /// The row contradicts the ledger, which was left as it is, or comes too late to change what the id came to; the sentence says it.
    Conflict(String),
}

/// Takes rows in and commits them batch by batch, the last by [`Admission::commit`]. What was not committed when it is dropped is
/// rolled back.
#[derive(Debug)]
pub struct Admission<'ledger> {
    ledger: &'ledger mut Ledger,
    defaults: &'ledger Defaults,
    run_number: i64,
    clock: Clock,
    uncommitted: usize,
}

impl Ledger {
    /// Starts to take rows in.
    pub fn admission<'ledger>(
        &'ledger mut self,
        defaults: &'ledger Defaults,
        run: &Run,
        now: Timestamp,
    ) -> Admission<'ledger> {
        Admission {
            ledger: self,
            defaults,
            run_number: run.number,
            clock: Clock {
                now,
                last_chance: LAST_CHANCE,
            },
            uncommitted: 0,
        }
    }
}

impl Admission<'_> {
    /// So long before its deadline an id is due at the latest, in place of [`LAST_CHANCE`].
    #[must_use]
    pub fn with_last_chance(mut self, last_chance: SignedDuration) -> Self {
        self.clock.last_chance = last_chance;
        self
    }

    /// Takes rows in; tells of each, in their order, what became of it.
    pub fn admit(&mut self, rows: &[&Pending]) -> Result<Vec<Admitted>, LedgerError> {
        let admitted = self.try_admit(rows);
        let admitted = admitted.map_err(self.ledger.failed("take pending rows in"))?;
        self.uncommitted += rows.len();
        if self.uncommitted >= COMMIT_ROWS {
            self.commit()?;
        }
        Ok(admitted)
    }

    /// Commits what was taken in.
    pub fn commit(&mut self) -> Result<(), LedgerError> {
        self.uncommitted = 0;
        let connection = &self.ledger.connection;
        if !connection.is_autocommit() {
            let committed = connection.execute_batch("COMMIT");
            committed.map_err(self.ledger.failed("commit the pending rows"))?;
        }
        Ok(())
    }

    fn try_admit(&self, rows: &[&Pending]) -> rusqlite::Result<Vec<Admitted>> {
        let connection = &self.ledger.connection;
        if connection.is_autocommit() {
            connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        let mut lookup = connection.prepare_cached(include_str!("../../sql/admit_lookup.sql"))?;
        let admit = |row: &&Pending| {
            let mut found = lookup.query(named_params! { ":transaction_id": row.transaction_id.as_str() })?;
            match found.next()? {
                Some(found) => self.merge(&Known::read(found)?, row),
                None => self.add(row),
            }
        };
        rows.iter().map(admit).collect()
    }

    fn merge(&self, known: &Known<'_>, row: &Pending) -> rusqlite::Result<Admitted> {
        Ok(match known.merge(row, &self.ledger.connection, self.clock)? {
            Merge::Completed(completed) => {
                completed.store(&self.ledger.connection, self.clock)?;
                Admitted::Completed
            }
            Merge::TooLate(completed, why) => {
                completed.store(&self.ledger.connection, self.clock)?;
                Admitted::Conflict(why)
            }
            Merge::Nothing if known.first_run == self.run_number => Admitted::Duplicate,
            Merge::Nothing => Admitted::Known,
            Merge::Conflict(what) => Admitted::Conflict(what),
        })
    }

    fn add(&self, row: &Pending) -> rusqlite::Result<Admitted> {
        let product_code = row.product_code.as_ref().unwrap_or(&self.defaults.product_code);
        let region = row.region.as_ref().unwrap_or(&self.defaults.region);
        self.ledger
            .connection
            .prepare_cached(include_str!("../../sql/admit_insert.sql"))?
            .execute(named_params! {
                ":transaction_id": row.transaction_id.as_str(),
                ":merchant_biz_id": row.merchant_biz_id.as_ref().map(MerchantBizId::as_str),
                ":product_code": product_code.as_str(),
                ":product_assumed": row.product_code.is_none(),
                ":region": region.as_str(),
                ":region_assumed": row.region.is_none(),
                ":verified_at": row.verified_at.map(Timestamp::as_microsecond),
                ":first_seen_at": self.clock.now.as_microsecond(),
                ":first_run": self.run_number,
            })?;
        Ok(Admitted::New)
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.ledger.connection.is_autocommit() {
            // The connection rolls back by itself when it is closed; this only does it sooner.
            drop(self.ledger.connection.execute_batch("ROLLBACK"));
        }
    }
}
