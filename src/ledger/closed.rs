//! Months that are closed.
//!
//! - [`ClosedMonth`]: what was signed off

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::named_params;

use super::report::billing_day;
use super::{Change, ChangeKind, Ledger, LedgerError, StateCounts, changes, timestamp};

/// A month that is closed: what was signed off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedMonth {
    /// Its first day.
    pub month: Date,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// The SHA-256 of the record in lower-case hex.
    pub sha256: String,
    /// The record, as the file has it.
    pub record: String,
}

impl Ledger {
    /// The closed months that begin from the first to the last of `days` (`None`: all), the earliest first.
    pub fn closed_months(&self, days: Option<(Date, Date)>) -> Result<Vec<ClosedMonth>, LedgerError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare_cached(include_str!("../../sql/closed_months.sql"))?;
            let bounds = named_params! {
                ":from": days.map(|(from, _)| named(from)),
                ":to": days.map(|(_, to)| named(to)),
            };
            let months = statement.query_map(bounds, |row| {
                let month: String = row.get(0)?;
                Ok(ClosedMonth {
                    month: billing_day(&format!("{month}-01"))?,
                    closed_at: timestamp(row.get(1)?)?,
                    sha256: row.get(2)?,
                    record: row.get(3)?,
                })
            })?;
            months.collect::<rusqlite::Result<_>>()
        };
        read().map_err(self.failed("read the closed months"))
    }

    /// Closes a month for good. One that is closed already is an error.
    pub fn close_month(&mut self, closed: &ClosedMonth) -> Result<(), LedgerError> {
        let failed = self.failed("close the month");
        let change = Change::new(ChangeKind::Close)
            .with("month", named(closed.month))
            .with("sha256", closed.sha256.as_str());
        let commit = self.connection.transaction().map_err(&failed)?;
        let inserted = commit.execute(
            include_str!("../../sql/closed_insert.sql"),
            named_params! {
                ":month": named(closed.month),
                ":closed_at": closed.closed_at.as_microsecond(),
                ":sha256": closed.sha256,
                ":record": closed.record,
            },
        );
        inserted.map_err(&failed)?;
        changes::add(&commit, &self.author, &change).map_err(&failed)?;
        commit.commit().map_err(&failed)
    }

    /// How many ids are in each state, of the verifications made from `start` to before `end`.
    pub fn states_between(&self, (start, end): (Timestamp, Timestamp)) -> Result<StateCounts, LedgerError> {
        let bounds = named_params! { ":start": start.as_microsecond(), ":end": end.as_microsecond() };
        self.count_states(include_str!("../../sql/states_between.sql"), bounds)
    }
}

/// A month as the ledger has it.
fn named(day: Date) -> String {
    day.strftime("%Y-%m").to_string()
}
