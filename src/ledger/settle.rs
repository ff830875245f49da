//! Writing down how a call ended.
//!
//! A final reply is kept in the journal, page after page as they come. The row of its transaction follows later (`follow`).

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, named_params, params};

use super::follow::Behind;
use super::replies::{Replies, Span};
use super::{Ledger, LedgerError};
use crate::record::{Due, MerchantBizId, State};

/// How one call ended: all attempts for one id in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The transaction, as the plan gave it.
    pub due: Due,
    /// Attempts charged to it.
    pub attempts: u32,
    /// The last call code, or a word for the fault.
    pub call_code: String,
    /// The vendor's message, without control characters.
    pub message: Option<String>,
    /// When the last answer came.
    pub called_at: Timestamp,
    /// What follows.
    pub settled: Settled,
}

/// What follows from a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The verdict is there: the reply is kept, raw.
    Journalled {
        /// `Passed`.
        passed: bool,
        /// `SubCode`.
        sub_code: String,
        /// The reply as it came.
        body: Vec<u8>,
    },
    /// Not final at the vendor: asked again from `next_due_at`.
    Postponed {
        /// When it is due again.
        next_due_at: Timestamp,
    },
    /// The attempts failed: due again in the next run. `answered`: the vendor answered this id with an error, as
    /// opposed to not answering at all, so the run counts against the id.
    Left {
        /// See above.
        answered: bool,
    },
    /// Needs a person.
    Quarantined,
    /// The vendor deleted it before we had it.
    Lost,
    /// The customer never finished.
    Abandoned,
}

impl Settled {
    /// The state that the transaction is in from then on.
    pub const fn state(&self) -> State {
        match self {
            Self::Journalled { .. } => State::Journalled,
            Self::Postponed { .. } | Self::Left { .. } => State::Pending,
            Self::Quarantined => State::Quarantined,
            Self::Lost => State::Lost,
            Self::Abandoned => State::Abandoned,
        }
    }
}

impl Ledger {
    /// Writes settlements down, all in one commit. The rows of those that brought a final reply are to follow, and
    /// some of those `behind` do.
    pub(super) fn settle(
        &mut self,
        run_number: i64,
        batch: &[Settlement],
        large: &mut Replies,
        behind: &mut Behind,
    ) -> Result<(), LedgerError> {
        let spans = large.keep(batch)?;
        let failed = self.failed("commit the answers");
        // Not begun by reading: who reads first is refused the lock where another program holds it for a moment.
        let commit = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        if let Some(settlement) = write_down(&commit, run_number, batch, &spans).map_err(&failed)? {
            drop(commit);
            let id = &settlement.due.transaction_id;
            return Err(self.inconsistent(format!(
                "{id} was answered and is not pending, or not of the product and age that the plan gave"
            )));
        }
        behind.follow(&commit, batch.len()).map_err(&failed)?;
        commit.commit().map_err(&failed)
    }
}

/// Writes settlements down, and gives the first whose transaction is not pending, or not of the product and age that
/// the plan gave.
fn write_down<'a>(
    commit: &Connection,
    run_number: i64,
    batch: &'a [Settlement],
    spans: &[Option<Span>],
) -> rusqlite::Result<Option<&'a Settlement>> {
    let mut journal = commit.prepare_cached(include_str!("../../sql/journal_insert.sql"))?;
    for (settlement, span) in batch.iter().zip(spans) {
        let due = &settlement.due;
        let written = match &settlement.settled {
            // The values are in the statement's order: to look for their names takes as long as to write them.
            Settled::Journalled { passed, sub_code, body } => journal.execute(params![
                due.number,
                due.transaction_id.as_str(),
                due.merchant_biz_id.as_ref().map(MerchantBizId::as_str),
                due.product_code.as_str(),
                due.verified_at.map(Timestamp::as_microsecond),
                due.region.as_str(),
                run_number,
                settlement.called_at.as_microsecond(),
                settlement.attempts,
                settlement.call_code,
                passed,
                sub_code,
                if span.is_some() { &[] } else { body.as_slice() },
                span.map(|span| span.start),
                span.map(|span| span.bytes),
                span.map(|span| span.crc32),
                due.first_seen_at.as_microsecond(),
            ])?,
            _ => settle_one(commit, settlement)?,
        };
        if written != 1 {
            return Ok(Some(settlement));
        }
    }
    Ok(None)
}

/// Writes down how any other call ended. 0 where the transaction is not pending.
fn settle_one(commit: &Connection, settlement: &Settlement) -> rusqlite::Result<usize> {
    let next_due_at = match settlement.settled {
        Settled::Postponed { next_due_at } => next_due_at.as_microsecond(),
        _ => 0,
    };
    commit
        .prepare_cached(include_str!("../../sql/settle.sql"))?
        .execute(named_params! {
            ":number": settlement.due.number,
            ":state": settlement.settled.state().as_str(),
            ":attempts": settlement.attempts,
            ":not_completed": matches!(settlement.settled, Settled::Postponed { .. }),
            ":failed": matches!(settlement.settled, Settled::Left { answered: true } | Settled::Quarantined),
            ":next_due_at": next_due_at,
            ":call_code": settlement.call_code,
            ":called_at": settlement.called_at.as_microsecond(),
            ":message": settlement.message,
        })
}
