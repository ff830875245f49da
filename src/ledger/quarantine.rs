//! What a person decides of quarantined records.

use rusqlite::named_params;

use super::{Change, ChangeKind, Ledger, LedgerError, changes};
use crate::record::TransactionId;

/// What is to be done with quarantined records.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Ask for them again, also for what was given up: a person may have dropped it by mistake.
    Retry,
    /// Give them up: there is nothing to archive.
    Drop {
        /// Why, in the person's words.
        reason: String,
    },
}

impl Ledger {
    /// Asks for every quarantined record again; gives their number.
    pub fn retry_quarantined(&mut self) -> Result<u64, LedgerError> {
        let failed = self.failed("empty the quarantine");
        let commit = self.connection.transaction().map_err(&failed)?;
        let retried = commit.execute(include_str!("../../sql/quarantine_retry.sql"), []);
        let retried = retried.map_err(&failed)? as u64;
        let change = Change::new(ChangeKind::QuarantineRetry).with("records", retried);
        changes::add(&commit, &self.author, &change).map_err(&failed)?;
        commit.commit().map_err(&failed)?;
        Ok(retried)
    }

    /// Carries a decision out for these records, or for none of them: gives the first that it can't be
    /// carried out for.
    pub fn decide_quarantined(
        &mut self,
        ids: &[TransactionId],
        decision: &Decision,
    ) -> Result<Result<(), TransactionId>, LedgerError> {
        let failed = self.failed("change the quarantine");
        let commit = self.connection.transaction().map_err(&failed)?;
        for id in ids {
            let changed = match decision {
                Decision::Retry => commit.execute(
                    include_str!("../../sql/quarantine_retry_one.sql"),
                    named_params! { ":transaction_id": id.as_str() },
                ),
                Decision::Drop { reason } => commit.execute(
                    include_str!("../../sql/quarantine_drop.sql"),
                    named_params! { ":transaction_id": id.as_str(), ":reason": reason },
                ),
            };
            if changed.map_err(&failed)? == 0 {
                return Ok(Err(id.clone()));
            }
        }
        let ids: Vec<&str> = ids.iter().map(TransactionId::as_str).collect();
        let change = match decision {
            Decision::Retry => Change::new(ChangeKind::QuarantineRetry),
            Decision::Drop { reason } => Change::new(ChangeKind::QuarantineDrop).with("reason", reason.as_str()),
        };
        changes::add(&commit, &self.author, &change.with("transaction_ids", ids)).map_err(&failed)?;
        commit.commit().map_err(&failed)?;
        Ok(Ok(()))
    }
}
