//! What the reports read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Params, Row, named_params};

use super::{Ledger, LedgerError, ids, optional_timestamp, timestamp};
use crate::record::{MerchantBizId, State, TransactionId, expires_at};
use crate::tally::TallyLine;

/// How many ids are in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct StateCounts(BTreeMap<State, u64>);

impl StateCounts {
    fn none() -> Self {
        Self(State::ALL.into_iter().map(|state| (state, 0)).collect())
    }

    /// How many are in that state.
    pub fn of(&self, state: State) -> u64 {
        self.0.get(&state).copied().unwrap_or(0)
    }

    /// How many ids there are.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// A record that is not fetched.
#[derive(Debug, Clone)]
pub struct ExpiryLine {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The company's own id.
    pub merchant_biz_id: MerchantBizId,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// When it was made, where that is known.
    pub verified_at: Option<Timestamp>,
    /// When idvault first read of it.
    pub first_seen_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Attempts charged to it.
    pub attempts: u64,
    /// The last call code.
    pub last_call_code: Option<String>,
    /// The last one that came before the deadline.
    pub code_in_time: Option<String>,
    /// Whether a run that knew of it ended in an outage of its product and region before the deadline.
    pub met_outage: bool,
}

impl ExpiryLine {
    /// When the result is gone at the latest: reckoned from when the id was first seen where its age is unknown.
    pub fn deadline(&self) -> Timestamp {
        expires_at(self.verified_at.unwrap_or(self.first_seen_at))
    }
}

/// A record that needs a person.
#[derive(Debug, Clone)]
pub struct QuarantineLine {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The company's own id.
    pub merchant_biz_id: MerchantBizId,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// When it was made, where that is known.
    pub verified_at: Option<Timestamp>,
    /// When idvault first read of it.
    pub first_seen_at: Timestamp,
    /// Attempts charged to it.
    pub attempts: u64,
    /// Runs in which the vendor answered it with an error.
    pub failed_runs: u64,
    /// The last call code.
    pub last_call_code: Option<String>,
    /// When that came.
    pub last_call_at: Option<Timestamp>,
    /// The vendor's message with it.
    pub last_message: Option<String>,
}

impl Ledger {
    /// How many ids are in each state. Those that are archived are not looked at: they are what the others leave of the
    /// highest number, as nothing is ever deleted. [`Ledger::check_archived`] holds that to what was archived.
    pub fn state_counts(&self) -> Result<StateCounts, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(include_str!("../../sql/state_counts.sql"))?;
            let mut rows = statement.query([])?;
            let mut counts = StateCounts::none();
            let (mut all, mut others) = (0_u64, 0_u64);
            while let Some(row) = rows.next()? {
                let count: u64 = row.get(1)?;
                if row.get_ref(0)?.as_str()? == "all" {
                    all = count;
                } else {
                    counts.0.insert(state(row, 0)?, count);
                    others += count;
                }
            }
            counts.0.insert(State::Archived, all.saturating_sub(others));
            Ok(counts)
        };
        read().map_err(self.failed("count the states"))
    }

    pub(super) fn count_states(&self, sql: &str, bounds: impl Params) -> Result<StateCounts, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query(bounds)?;
            let mut counts = StateCounts::none();
            while let Some(row) = rows.next()? {
                counts.0.insert(state(row, 0)?, row.get(1)?);
            }
            Ok(counts)
        };
        read().map_err(self.failed("count the states"))
    }

    /// Checks that as many rows are archived as the manifest's files hold, and as their tallies count.
    pub fn check_archived(&self, archived: u64) -> Result<(), LedgerError> {
        let read = || {
            let sql = include_str!("../../sql/archived_counts.sql");
            self.connection
                .query_row(sql, [], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))
        };
        let (rows, tallied) = read().map_err(self.failed("count the archived rows"))?;
        if rows == archived && tallied == archived {
            return Ok(());
        }
        Err(self.inconsistent(format!(
            "{archived} ids are archived, the manifest's files hold {rows} rows and their tallies count {tallied}"
        )))
    }

    /// How many unfetched records expire after `now` and by `until`; without those that the customer had not finished
    /// when they were last asked for, in the last day and a half before their deadline.
    pub fn count_expiring(&self, now: Timestamp, until: Timestamp) -> Result<u64, LedgerError> {
        let bounds = named_params! { ":now": now.as_microsecond(), ":until": until.as_microsecond() };
        let counted = self
            .connection
            .query_row(include_str!("../../sql/count_expiring.sql"), bounds, |row| row.get(0));
        counted.map_err(self.failed("count the records near their expiry"))
    }

    /// How many verifications of the billing days `from..=to` are in the archive.
    pub fn archived_between(&self, (from, to): (Date, Date)) -> Result<u64, LedgerError> {
        let days = named_params! { ":from": from.to_string(), ":to": to.to_string() };
        let counted = self
            .connection
            .query_row(include_str!("../../sql/archived_between.sql"), days, |row| row.get(0));
        counted.map_err(self.failed("count the archived verifications"))
    }

    /// Takes the quarantined records whose 30 days are over for lost; gives their number.
    pub fn expire_quarantined(&mut self, now: Timestamp) -> Result<u64, LedgerError> {
        let bounds = named_params! { ":now": now.as_microsecond() };
        let expired = self
            .connection
            .execute(include_str!("../../sql/expire_quarantined.sql"), bounds);
        Ok(expired.map_err(self.failed("expire the quarantine"))? as u64)
    }

    /// The tallies of the billing days `from..=to` (`None`: of all), and of the unknown days.
    pub fn billing(&self, days: Option<(Date, Date)>) -> Result<Vec<TallyLine>, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(include_str!("../../sql/report_billing.sql"))?;
            let bounds = named_params! {
                ":from": days.map(|(from, _)| from.to_string()),
                ":to": days.map(|(_, to)| to.to_string()),
            };
            let lines = statement.query_map(bounds, |row| {
                let day: Option<String> = row.get(0)?;
                Ok(TallyLine {
                    billing_day: day.as_deref().map(billing_day).transpose()?,
                    product_code: row.get(1)?,
                    region: row.get(2)?,
                    sub_code: row.get(3)?,
                    verifications: row.get(4)?,
                })
            })?;
            lines.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the tallies"))
    }

    /// Calls `each` with every unfetched record that is gone by `horizon`, is of unknown age, or is lost already;
    /// earliest first.
    pub fn for_each_expiring<E: From<LedgerError>>(
        &self,
        horizon: Timestamp,
        mut each: impl FnMut(ExpiryLine) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = self.failed("read the records near their expiry");
        let sql = include_str!("../../sql/report_expiry.sql");
        let mut statement = self.connection.prepare(sql).map_err(&failed)?;
        let bounds = named_params! { ":horizon": horizon.as_microsecond() };
        let mut rows = statement.query(bounds).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            each(expiring(row).map_err(&failed)?)?;
        }
        Ok(())
    }

    /// Calls `each` with every record that is due and was asked for since `since` in vain, by product and most urgent first.
    pub fn for_each_left<E: From<LedgerError>>(
        &self,
        since: Timestamp,
        now: Timestamp,
        mut each: impl FnMut(QuarantineLine) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = self.failed("read what is left");
        let sql = include_str!("../../sql/report_left.sql");
        let mut statement = self.connection.prepare(sql).map_err(&failed)?;
        let times = named_params! { ":since": since.as_microsecond(), ":now": now.as_microsecond() };
        let mut rows = statement.query(times).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            each(quarantined(row).map_err(&failed)?)?;
        }
        Ok(())
    }

    /// Calls `each` with every quarantined record, most urgent first.
    pub fn for_each_quarantined<E: From<LedgerError>>(
        &self,
        mut each: impl FnMut(QuarantineLine) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = self.failed("read the quarantine");
        let sql = include_str!("../../sql/report_quarantine.sql");
        let mut statement = self.connection.prepare(sql).map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            each(quarantined(row).map_err(&failed)?)?;
        }
        Ok(())
    }
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let word = row.get_ref(column)?.as_str()?;
    State::from_word(word).ok_or_else(|| {
        let why = format!("unknown state {word:?}").into();
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, why)
    })
}

pub(super) fn billing_day(text: &str) -> rusqlite::Result<Date> {
    text.parse().map_err(|error: jiff::Error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })
}

fn expiring(row: &Row<'_>) -> rusqlite::Result<ExpiryLine> {
    let (transaction_id, merchant_biz_id) = ids(row)?;
    Ok(ExpiryLine {
        transaction_id,
        merchant_biz_id,
        product_code: row.get(2)?,
        region: row.get(3)?,
        verified_at: optional_timestamp(row.get(4)?)?,
        first_seen_at: timestamp(row.get(5)?)?,
        state: state(row, 6)?,
        attempts: row.get(7)?,
        last_call_code: row.get(8)?,
        code_in_time: row.get(9)?,
        met_outage: row.get(10)?,
    })
}

fn quarantined(row: &Row<'_>) -> rusqlite::Result<QuarantineLine> {
    let (transaction_id, merchant_biz_id) = ids(row)?;
    Ok(QuarantineLine {
        transaction_id,
        merchant_biz_id,
        product_code: row.get(2)?,
        region: row.get(3)?,
        verified_at: optional_timestamp(row.get(4)?)?,
        first_seen_at: timestamp(row.get(5)?)?,
        attempts: row.get(6)?,
        failed_runs: row.get(7)?,
        last_call_code: row.get(8)?,
        last_call_at: optional_timestamp(row.get(9)?)?,
        last_message: row.get(10)?,
    })
}
