//! What is compared with the vendor's bill, record by record.
//!
//! - [`MonthRow`]: what the ledger knows of one

use jiff::Timestamp;
use rusqlite::{Row, named_params};

use super::report::state;
use super::{Ledger, LedgerError};
use crate::record::State;

/// A record of the month that is compared, or of unknown day.
#[derive(Debug, Clone, Copy)]
pub struct MonthRow<'a> {
    /// Its number in the ledger.
    pub number: i64,
    /// The transaction.
    pub transaction_id: &'a str,
    /// The product.
    pub product_code: &'a str,
    /// The region.
    pub region: &'a str,
    /// When it was made, in microseconds since 1970 UTC, where that is known.
    pub verified_at: Option<i64>,
    /// Where it stands.
    pub state: State,
    /// The verdict, where there is one.
    pub passed: Option<bool>,
    /// The sub code, where there is a verdict.
    pub sub_code: Option<&'a str>,
    /// When a source first named it, in microseconds since 1970 UTC.
    pub first_seen_at: i64,
    /// It is abandoned, and the vendor last said that the customer had not finished.
    pub not_completed: bool,
}

impl Ledger {
    /// Calls `each` with every record made from `start` to before `end`, and with those of unknown day.
    pub fn for_each_of_month<E: From<LedgerError>>(
        &self,
        (start, end): (Timestamp, Timestamp),
        each: &mut dyn FnMut(MonthRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = self.failed("read the records of a month");
        let sql = include_str!("../../sql/reconcile_rows.sql");
        let mut statement = self.connection.prepare(sql).map_err(&failed)?;
        let bounds = named_params! { ":first": start.as_microsecond(), ":last": end.as_microsecond() - 1 };
        let mut rows = statement.query(bounds).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            each(month_row(row).map_err(&failed)?)?;
        }
        Ok(())
    }
}

/// Reads a row of `reconcile_rows.sql`, or what `records_lookup.sql` and `records_kept.sql` begin with.
pub(super) fn month_row<'a>(row: &'a Row<'_>) -> rusqlite::Result<MonthRow<'a>> {
    Ok(MonthRow {
        number: row.get(0)?,
        transaction_id: row.get_ref(1)?.as_str()?,
        product_code: row.get_ref(2)?.as_str()?,
        region: row.get_ref(3)?.as_str()?,
        verified_at: row.get(4)?,
        state: state(row, 5)?,
        passed: row.get(6)?,
        sub_code: row.get_ref(7)?.as_str_or_null()?,
        first_seen_at: row.get(8)?,
        not_completed: row.get::<_, Option<bool>>(9)?.unwrap_or(false),
    })
}
