//! Taking a staged file into the manifest by what it holds, for rows whose replies are no longer in the journal. It happens
//! within one transaction, which [`super::Snapshot::commit`] ends.

use jiff::Timestamp;
use rusqlite::named_params;

use super::{Ledger, LedgerError};
use crate::tally::Counted;

impl Ledger {
    /// A row of the file: its id is answered, and its reply leaves the journal. Times are microseconds since 1970 UTC.
    pub fn complete_row(
        &self,
        transaction_id: &str,
        (passed, sub_code): (bool, &str),
        fetched_at: i64,
    ) -> Result<(), LedgerError> {
        let complete = || -> rusqlite::Result<()> {
            let mut answered = self
                .connection
                .prepare_cached(include_str!("../../sql/complete_row.sql"))?;
            answered.execute(named_params! {
                ":transaction_id": transaction_id,
                ":passed": passed,
                ":sub_code": sub_code,
                ":fetched_at": fetched_at,
            })?;
            let mut dropped = self
                .connection
                .prepare_cached(include_str!("../../sql/complete_journal_drop.sql"))?;
            dropped.execute(named_params! { ":transaction_id": transaction_id })?;
            Ok(())
        };
        complete().map_err(self.failed("complete a publication"))
    }

    /// Takes the file into the manifest, with its tallies.
    pub fn complete_file(&self, path: &str, counted: &Counted, now: Timestamp) -> Result<(), LedgerError> {
        let complete = || -> rusqlite::Result<()> {
            let path_only = named_params! { ":path": path };
            self.connection
                .execute(include_str!("../../sql/tally_forget.sql"), path_only)?;
            self.connection.execute(
                include_str!("../../sql/file_publish.sql"),
                named_params! { ":path": path, ":published_at": now.as_microsecond() },
            )?;
            for ([product_code, region, sub_code], verifications) in counted {
                let tally = named_params! {
                    ":path": path,
                    ":product_code": product_code,
                    ":region": region,
                    ":sub_code": sub_code,
                    ":verifications": verifications,
                };
                self.connection
                    .execute(include_str!("../../sql/tally_insert.sql"), tally)?;
            }
            Ok(())
        };
        complete().map_err(self.failed("complete a publication"))
    }
}
