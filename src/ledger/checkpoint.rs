//! Writing the WAL back into the ledger while large replies come: a thread of its own copies what is committed, and the writer
//! commits the next ones meanwhile. What is synced when is SQLite's affair, as ever.
//!
//! Other pages are written again by nearly every commit, and wait until the WAL is long; those of a large reply are its own.
//!
//! - [`Ahead`]: has that thread, once it is needed

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::{Ledger, LedgerError, Settled, Settlement};

/// A reply of so many bytes has pages of its own: eight at least.
const LARGE_BYTES: usize = 32 * 1024;

/// Bytes of large replies after which the thread is told to go on. The writer is never further ahead of it.
const STEP_BYTES: usize = 4 * 1024 * 1024;

/// So many steps come together before the writer itself writes back what is left while the thread rests, as the WAL begins anew
/// only when all of it was written back: 28 MiB, less than what makes it long.
const STEPS: u32 = 7;

/// How far the writer is ahead of what was written back.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: usize,
    steps: u32,
    helper: Option<Helper>,
}

/// The thread. It is told when to begin, and says how it went.
#[derive(Debug)]
struct Helper {
    /// `None` once there is nothing more to do.
    begin: Option<SyncSender<()>>,
    done: Receiver<Result<(), LedgerError>>,
    at_work: bool,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Fails where the thread has failed by now: to be called before each commit.
    pub(super) fn look(&mut self) -> Result<(), LedgerError> {
        if let Some(helper) = &mut self.helper
            && helper.at_work
            && let Ok(done) = helper.done.try_recv()
        {
            helper.at_work = false;
            return done;
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
        let helper = match &mut self.helper {
            Some(helper) => helper,
            none => none.insert(Helper::start(ledger)?),
        };
        helper.at_work = helper.begin.as_ref().is_some_and(|begin| begin.send(()).is_ok());
        Ok(())
    }

    /// Waits until the thread has done what it was told.
    pub(super) fn rest(&mut self) -> Result<(), LedgerError> {
        match &mut self.helper {
            Some(helper) if helper.at_work => {
                helper.at_work = false;
                helper.done.recv().unwrap_or(Err(LedgerError::WriterGone))
            }
            _ => Ok(()),
        }
    }
}

impl Helper {
    fn start(ledger: &Ledger) -> Result<Self, LedgerError> {
        let ledger = ledger.another()?;
        let (begin, told) = sync_channel(1);
        let (say, done) = sync_channel(1);
        let thread = thread::spawn(move || {
            for () in told {
                if say.send(ledger.checkpoint()).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            begin: Some(begin),
            done,
            at_work: false,
            thread: Some(thread),
        })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Waits: whoever closes the ledger, or has seen it fail, wants nobody else at its file.
        self.begin = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
