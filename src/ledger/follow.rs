//! The rows of transactions, which take over what their replies say later than the journal: many together, in the order of their
//! numbers. Rows that are due after one another are anywhere in a large ledger, and each alone would cost a page of its own. Until
//! then a row is pending, and its reply in the journal is what counts.
//!
//! - [`Behind`]: the rows that are to follow

use std::vec;

use rusqlite::{Connection, named_params, params};

use super::{Ledger, LedgerError, Settled, Settlement};

/// Rows that are put into order together. More of them would share pages, and all pages can be in the WAL at once: so many take 64 MiB
/// where each has its own.
const TOGETHER: usize = 16 * 1024;

/// Rows that follow with each settlement that is committed: those that are in order are done before there are as many again.
const WITH_EACH: usize = 2;

/// What a row takes over from its reply.
#[derive(Debug)]
struct Said {
    number: i64,
    attempts: u32,
    call_code: String,
    called_at: i64,
    passed: bool,
    sub_code: String,
}

/// The rows that are to follow.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// In order, and on their way.
    ordered: vec::IntoIter<Said>,
    /// As they came after those.
    came: Vec<Said>,
}

impl Behind {
    /// Takes in what was committed.
    pub(super) fn add(&mut self, settlements: Vec<Settlement>) {
        self.came.extend(settlements.into_iter().filter_map(said));
        if self.came.len() >= TOGETHER && self.ordered.as_slice().is_empty() {
            self.order();
        }
    }

    /// Lets some rows follow, within a commit of so many settlements.
    pub(super) fn follow(&mut self, commit: &Connection, settlements: usize) -> rusqlite::Result<()> {
        take_over(commit, self.ordered.by_ref().take(WITH_EACH * settlements))
    }

    /// Lets all rows follow.
    pub(super) fn follow_all(mut self, ledger: &mut Ledger) -> Result<(), LedgerError> {
        ledger.take_over(self.ordered.by_ref())?;
        self.order();
        ledger.take_over(self.ordered)
    }

    fn order(&mut self) {
        let mut came = std::mem::take(&mut self.came);
        came.sort_unstable_by_key(|said| said.number);
        self.ordered = came.into_iter();
    }
}

impl Ledger {
    /// Lets the rows follow that a run left behind which was cut off.
    pub(super) fn follow_journal(&mut self) -> Result<(), LedgerError> {
        let failed = self.failed("look for answers that their rows lack");
        let mut last = 0;
        loop {
            let mut behind = Behind::default();
            let mut read = || -> rusqlite::Result<()> {
                let mut statement = self
                    .connection
                    .prepare_cached(include_str!("../../sql/journal_behind.sql"))?;
                let mut rows = statement.query(named_params! { ":after": last, ":most": TOGETHER })?;
                while let Some(row) = rows.next()? {
                    behind.came.push(Said {
                        number: row.get(0)?,
                        attempts: row.get(1)?,
                        call_code: row.get(2)?,
                        called_at: row.get(3)?,
                        passed: row.get(4)?,
                        sub_code: row.get(5)?,
                    });
                    last = row.get(6)?;
                }
                Ok(())
            };
            read().map_err(&failed)?;
            if behind.came.is_empty() {
                return Ok(());
            }
            behind.follow_all(self)?;
        }
    }

    fn take_over(&mut self, rows: impl Iterator<Item = Said>) -> Result<(), LedgerError> {
        let failed = self.failed("let the rows follow the answers");
        let commit = self.connection.transaction().map_err(&failed)?;
        take_over(&commit, rows).map_err(&failed)?;
        commit.commit().map_err(&failed)
    }
}

fn said(settlement: Settlement) -> Option<Said> {
    match settlement.settled {
        Settled::Journalled { passed, sub_code, .. } => Some(Said {
            number: settlement.due.number,
            attempts: settlement.attempts,
            call_code: settlement.call_code,
            called_at: settlement.called_at.as_microsecond(),
            passed,
            sub_code,
        }),
        _ => None,
    }
}

fn take_over(commit: &Connection, rows: impl Iterator<Item = Said>) -> rusqlite::Result<()> {
    let mut statement = commit.prepare_cached(include_str!("../../sql/journal_follow.sql"))?;
    for said in rows {
        statement.execute(params![
            said.number,
            said.attempts,
            said.call_code,
            said.called_at,
            said.passed,
            said.sub_code,
        ])?;
    }
    Ok(())
}
