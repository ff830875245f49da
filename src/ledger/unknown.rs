//! Transactions whose last reply has a verdict that is none that is known. The reply is kept until there is a verdict.

use rusqlite::{Connection, named_params};

use super::{Ledger, LedgerError, Settled, Settlement};

/// Transactions of one product and region with the same in the verdict's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVerdicts {
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// What stands in the verdict's place, as JSON; `None`: nothing.
    pub passed: Option<String>,
    /// How many.
    pub records: u64,
}

/// Keeps or drops the reply, as the settlement of its transaction says.
pub(super) fn settle(commit: &Connection, settlement: &Settlement) -> rusqlite::Result<()> {
    let number = settlement.due.number;
    match &settlement.settled {
        Settled::Unknown { passed, body, .. } => commit
            .prepare_cached(include_str!("../../sql/unknown_verdict_keep.sql"))?
            .execute(named_params! {
                ":number": number,
                ":called_at": settlement.called_at.as_microsecond(),
                ":passed": passed,
                ":body": body,
            })
            .map(drop),
        Settled::Postponed { .. } => commit
            .prepare_cached(include_str!("../../sql/unknown_verdict_settled.sql"))?
            .execute(named_params! { ":number": number })
            .map(drop),
        _ => Ok(()),
    }
}

impl Ledger {
    /// Drops the replies of transactions that have got their verdict.
    pub fn drop_unknown_verdicts(&mut self) -> Result<(), LedgerError> {
        let dropped = self
            .connection
            .execute(include_str!("../../sql/unknown_verdict_drop.sql"), []);
        dropped.map(drop).map_err(self.failed("drop replies without a verdict"))
    }

    /// How many transactions have no verdict that is known, the commonest kind first.
    pub fn unknown_verdicts(&self) -> Result<Vec<UnknownVerdicts>, LedgerError> {
        let read = || {
            let sql = include_str!("../../sql/unknown_verdict_counts.sql");
            let mut statement = self.connection.prepare(sql)?;
            let kinds = statement.query_map([], |row| {
                Ok(UnknownVerdicts {
                    product_code: row.get(0)?,
                    region: row.get(1)?,
                    passed: row.get(2)?,
                    records: row.get(3)?,
                })
            })?;
            kinds.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("count the replies without a verdict"))
    }
}
