//! Writing down how a call ended.
//!
//! A final reply goes to the journal, and its verdict to the row of its transaction, in one commit.

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, named_params};

use super::replies::{Replies, Span};
use super::{Ledger, LedgerError, unknown};
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
    /// The call worked and the verdict is none: the reply is kept for a person, and asked again from `next_due_at`.
    Unknown {
        /// What stands in the verdict's place, as JSON.
        passed: Option<String>,
        /// When it is due again.
        next_due_at: Timestamp,
        /// The reply as it came.
        body: Vec<u8>,
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
            Self::Postponed { .. } | Self::Unknown { .. } | Self::Left { .. } => State::Pending,
            Self::Quarantined => State::Quarantined,
            Self::Lost => State::Lost,
            Self::Abandoned => State::Abandoned,
        }
    }
}

impl Ledger {
    /// Writes settlements down, all in one commit.
    pub(super) fn settle(
        &mut self,
        run_number: i64,
        batch: &[Settlement],
        large: &mut Replies,
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
    for (settlement, span) in batch.iter().zip(spans) {
        let written = match &settlement.settled {
            Settled::Journalled { passed, sub_code, body } => {
                let verdict = (*passed, sub_code.as_str());
                let body = if span.is_some() { &[] } else { body.as_slice() };
                let answered = settle_answered(commit, settlement, verdict)?;
                if answered == 1 {
                    keep_reply(commit, run_number, settlement, verdict, (body, *span))?;
                }
                answered
            }
            _ => settle_one(commit, run_number, settlement)?,
        };
        if written != 1 {
            return Ok(Some(settlement));
        }
    }
    Ok(None)
}

/// Writes the verdict of a final reply to its transaction. 0 where that is not pending as the plan gave it.
fn settle_answered(
    commit: &Connection,
    settlement: &Settlement,
    (passed, sub_code): (bool, &str),
) -> rusqlite::Result<usize> {
    let due = &settlement.due;
    commit
        .prepare_cached(include_str!("../../sql/settle_answered.sql"))?
        .execute(named_params! {
            ":number": due.number,
            ":product_code": due.product_code.as_str(),
            ":verified_at": due.verified_at.map(Timestamp::as_microsecond),
            ":attempts": settlement.attempts,
            ":call_code": settlement.call_code,
            ":called_at": settlement.called_at.as_microsecond(),
            ":passed": passed,
            ":sub_code": sub_code,
        })
}

/// Keeps a final reply in the journal: in `body`, or in the file of the large ones.
fn keep_reply(
    commit: &Connection,
    run_number: i64,
    settlement: &Settlement,
    (passed, sub_code): (bool, &str),
    (body, span): (&[u8], Option<Span>),
) -> rusqlite::Result<()> {
    let due = &settlement.due;
    commit
        .prepare_cached(include_str!("../../sql/journal_insert.sql"))?
        .execute(named_params! {
            ":number": due.number,
            ":transaction_id": due.transaction_id.as_str(),
            ":merchant_biz_id": due.merchant_biz_id.as_ref().map(MerchantBizId::as_str),
            ":product_code": due.product_code.as_str(),
            ":region": due.region.as_str(),
            ":verified_at": due.verified_at.map(Timestamp::as_microsecond),
            ":run_number": run_number,
            ":fetched_at": settlement.called_at.as_microsecond(),
            ":passed": passed,
            ":sub_code": sub_code,
            ":body": body,
            ":reply_start": span.map(|span| span.start),
            ":reply_bytes": span.map(|span| span.bytes),
            ":reply_crc32": span.map(|span| span.crc32),
        })?;
    Ok(())
}

/// Writes down how any other call ended. 0 where the transaction is not pending.
fn settle_one(commit: &Connection, run_number: i64, settlement: &Settlement) -> rusqlite::Result<usize> {
    let next_due_at = match settlement.settled {
        Settled::Postponed { next_due_at } | Settled::Unknown { next_due_at, .. } => next_due_at.as_microsecond(),
        _ => 0,
    };
    unknown::settle(commit, settlement)?;
    commit
        .prepare_cached(include_str!("../../sql/settle.sql"))?
        .execute(named_params! {
            ":number": settlement.due.number,
            ":run_number": run_number,
            ":state": settlement.settled.state().as_str(),
            ":attempts": settlement.attempts,
            ":not_completed": matches!(settlement.settled, Settled::Postponed { .. } | Settled::Unknown { .. }),
            ":failed": matches!(settlement.settled, Settled::Left { answered: true } | Settled::Quarantined),
            ":next_due_at": next_due_at,
            ":call_code": settlement.call_code,
            ":called_at": settlement.called_at.as_microsecond(),
            ":message": settlement.message,
        })
}
