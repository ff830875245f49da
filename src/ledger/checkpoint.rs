//! Writing the WAL back into the ledger while large replies come: a thread beside the writer copies what is committed, and the
//! writer commits the next ones meanwhile. What is synced when is SQLite's affair, as ever.
//!
//! Other pages are written again by nearly every commit, and wait until the WAL is long; those of a large reply are its own.
//!
//! - [`Ahead`]: begins that thread and holds the writer to it

use std::thread::{self, JoinHandle};

use super::{Ledger, LedgerError, Settled, Settlement};

/// A reply of so many bytes has pages of its own: eight at least.
const LARGE_BYTES: usize = 32 * 1024;

/// Bytes of large replies after which a thread begins. The writer is never further ahead of it.
const STEP_BYTES: usize = 4 * 1024 * 1024;

/// So many steps come together before the writer itself writes back what is left while the thread rests, as the WAL begins anew
/// only when all of it was written back: 28 MiB, less than what makes it long.
const STEPS: u32 = 7;

/// How far the writer is ahead of what was written back.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: usize,
    steps: u32,
    /// The thread's connection while it rests.
    resting: Option<Ledger>,
    at_work: Option<JoinHandle<Result<Ledger, LedgerError>>>,
}

impl Ahead {
    /// Fails where the thread has failed by now: to be called before each commit.
    pub(super) fn look(&mut self) -> Result<(), LedgerError> {
        if self.at_work.as_ref().is_some_and(JoinHandle::is_finished) {
            self.rest()?;
        }
        Ok(())
    }

    /// To be called after each commit. An error may be that of what was to be written back before.
    pub(super) fn committed(&mut self, ledger: &Ledger, settlements: &[Settlement]) -> Result<(), LedgerError> {
        let large = settlements.iter().filter_map(|settlement| match &settlement.settled {
            Settled::Journalled { body, .. } if body.len() >= LARGE_BYTES => Some(body.len()),
            _ => None,
        });
        self.bytes += large.sum::<usize>();
        if self.bytes < STEP_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        self.steps += 1;
        self.rest()?;
        if self.steps == STEPS {
            self.steps = 0;
            return ledger.checkpoint();
        }
        let own = match self.resting.take() {
            Some(own) => own,
            None => ledger.another()?,
        };
        self.at_work = Some(thread::spawn(move || own.checkpoint().map(|()| own)));
        Ok(())
    }

    /// Waits until the thread has done what it was told.
    pub(super) fn rest(&mut self) -> Result<(), LedgerError> {
        if let Some(thread) = self.at_work.take() {
            self.resting = Some(thread.join().unwrap_or(Err(LedgerError::WriterGone))?);
        }
        Ok(())
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Whoever closes the ledger, or has seen it fail, wants nobody else at its file. What a second failure says is not news.
        let _ = self.rest();
    }
}
