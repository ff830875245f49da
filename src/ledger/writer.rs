//! The one thread that writes while calls are in flight. It commits what has queued up as one batch and only then
//! acknowledges each settlement: the slower the disk, the larger the batch. Where many come, a commit waits a moment for more.

use std::time::Duration;
use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use super::replies::Replies;
use super::{Ledger, LedgerError, Settlement};

/// Settlements that may wait for the writer. Their replies are bounded by `vendor::room`.
const QUEUE: usize = 1_024;

/// Settlements a commit at most.
const BATCH: usize = 512;

/// So many settlements in a commit say that more are on their way, and the next commit waits for them: each costs a sync and pages of its
/// own, and the plan's reader its cache.
const CROWD: usize = 8;

/// How long it waits for them.
const GATHER: Duration = Duration::from_millis(1);

/// So many need not wait for more: while they are committed, the calls of the others go on.
const FULL: usize = 48;

struct Job {
    settlement: Settlement,
    committed: oneshot::Sender<()>,
}

/// The running thread.
#[derive(Debug)]
pub struct Writer {
    thread: thread::JoinHandle<Result<Ledger, LedgerError>>,
    handle: WriterHandle,
}

/// Hands settlements to the writer.
#[derive(Debug, Clone)]
pub struct WriterHandle {
    queue: mpsc::Sender<Job>,
}

impl Writer {
    /// Takes the ledger into a thread of its own. `failed` is called as soon as a commit fails: nothing is to be asked
    /// for any more, as nothing can be kept.
    pub fn start(ledger: Ledger, run_number: i64, failed: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new().name("writer".to_owned());
        let thread = thread.spawn(move || write(ledger, run_number, jobs).inspect_err(|_| failed()))?;
        Ok(Self {
            thread,
            handle: WriterHandle { queue },
        })
    }

    /// A handle for the calls. All of them must be dropped before [`Writer::finish`] returns.
    pub fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }

    /// Waits until everything is committed and gives the ledger back, or says what went wrong.
    pub fn finish(self) -> Result<Ledger, LedgerError> {
        drop(self.handle);
        self.thread.join().unwrap_or(Err(LedgerError::WriterGone))
    }
}

impl WriterHandle {
    /// Returns once the settlement is committed. An error means that the writer has stopped; [`Writer::finish`] tells
    /// why.
    pub async fn settle(&self, settlement: Settlement) -> Result<(), LedgerError> {
        let (committed, acknowledged) = oneshot::channel();
        let job = Job { settlement, committed };
        self.queue.send(job).await.map_err(|_| LedgerError::WriterGone)?;
        acknowledged.await.map_err(|_| LedgerError::WriterGone)
    }
}

fn write(mut ledger: Ledger, run_number: i64, mut jobs: mpsc::Receiver<Job>) -> Result<Ledger, LedgerError> {
    let mut batch: Vec<Job> = Vec::with_capacity(BATCH);
    let mut crowded = false;
    let mut large = Replies::of(&ledger)?;
    while jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
        if crowded && batch.len() < FULL {
            thread::sleep(GATHER);
            while batch.len() < BATCH
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
        }
        crowded = batch.len() >= CROWD;
        let (settlements, waiting): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|job| (job.settlement, job.committed)).unzip();
        ledger.settle(run_number, &settlements, &mut large)?;
        for committed in waiting {
            // Nobody waits any more where the lane ended with an error; what the call brought is committed all the same.
            let _ = committed.send(());
        }
    }
    Ok(ledger)
}
