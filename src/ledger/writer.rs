//! The one thread that writes while calls are in flight. It commits what has queued up as one batch and only then
//! acknowledges each settlement: the slower the disk, the larger the batch.

use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::{Ledger, LedgerError, Settlement};

/// Settlements that may wait for the writer. With the calls in flight it bounds the memory that replies take.
const QUEUE: usize = 256;

/// Settlements a commit at most.
const BATCH: usize = 256;

type Job = (Settlement, oneshot::Sender<()>);

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
    /// Takes the ledger into a thread of its own.
    pub fn start(ledger: Ledger, run_id: Arc<str>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = thread::spawn(move || write(ledger, &run_id, jobs));
        Self {
            thread,
            handle: WriterHandle { queue },
        }
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
    /// Returns once the settlement is committed. An error means that the writer has stopped;
    /// [`Writer::finish`] tells why.
    pub async fn settle(&self, settlement: Settlement) -> Result<(), LedgerError> {
        let (committed, acknowledged) = oneshot::channel();
        let sent = self.queue.send((settlement, committed)).await;
        sent.map_err(|_| LedgerError::WriterGone)?;
        acknowledged.await.map_err(|_| LedgerError::WriterGone)
    }
}

fn write(mut ledger: Ledger, run_id: &str, mut jobs: mpsc::Receiver<Job>) -> Result<Ledger, LedgerError> {
    let mut batch: Vec<Job> = Vec::with_capacity(BATCH);
    while jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
        let settlements: Vec<&Settlement> = batch.iter().map(|(settlement, _)| settlement).collect();
        ledger.settle(run_id, &settlements)?;
        for (_, committed) in batch.drain(..) {
            // Nobody waits any more where the call was dropped by a stop; what it brought is committed all the same.
            let _ = committed.send(());
        }
    }
    Ok(ledger)
}
