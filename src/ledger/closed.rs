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
    /// 0: the month itself; else its correction of this number.
    pub number: u32,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// The SHA-256 of the record in lower-case hex.
    pub sha256: String,
    /// The record, as the file has it.
    pub record: String,
}

impl ClosedMonth {
    /// What it is called: `2026-10`, or `2026-10-correction-1`.
    pub fn name(&self) -> String {
        let month = named(self.month);
        match self.number {
            0 => month,
            number => format!("{month}-correction-{number}"),
        }
    }
}

impl Ledger {
    /// The closed months that begin from the first to the last of `days` (`None`: all), the earliest first, each before its
    /// corrections.
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
                    number: row.get(1)?,
                    closed_at: timestamp(row.get(2)?)?,
                    sha256: row.get(3)?,
                    record: row.get(4)?,
                })
            })?;
            months.collect::<rusqlite::Result<_>>()
        };
        read().map_err(self.failed("read the closed months"))
    }

    /// Closes a month, or signs a correction of it, for good. What is closed already is an error.
    pub fn close_month(&mut self, closed: &ClosedMonth) -> Result<(), LedgerError> {
        let failed = self.failed("close the month");
        let month = named(closed.month);
        let change = Change::new(ChangeKind::Close)
            .with("month", closed.name())
            .with("sha256", closed.sha256.as_str());
        let closed_at = closed.closed_at.as_microsecond();
        let commit = self.connection.transaction().map_err(&failed)?;
        let inserted = if closed.number == 0 {
            commit.execute(
                include_str!("../../sql/closed_insert.sql"),
                named_params! {
                    ":month": month,
                    ":closed_at": closed_at,
                    ":sha256": closed.sha256,
                    ":record": closed.record,
                },
            )
        } else {
            commit.execute(
                include_str!("../../sql/closed_correct.sql"),
                named_params! {
                    ":month": month,
                    ":number": closed.number,
                    ":closed_at": closed_at,
                    ":sha256": closed.sha256,
                    ":record": closed.record,
                },
            )
        };
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
