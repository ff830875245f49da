//! The plan's rows, page by page. One is read while the one before it is asked for, so at most three of a queue are in memory:
//! the third is what waits between the two. One thread reads for all queues.

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::RequestQueue;
use crate::ledger::{Cursor, DuePage, Ledger, LedgerError, Phase, QueueRef};
use crate::record::{Due, ProductCode, Region};

/// Rows of a page at most. In the order of the plan they are anywhere in the ledger, and what SQLite has read is dropped with the
/// writer's next commit: the more rows, the more of them share what is read.
const MOST_PAGE_ROWS: usize = 2_048;

/// Rows of a page at least.
const LEAST_PAGE_ROWS: usize = 64;

/// Rows of one page of every queue together: 32,768 rows have about 12 MiB.
const ROWS_OF_ALL: usize = 32_768;

/// After so many rows it is the turn of all else on the thread: connections send the calls for these, and the vendor is at work, while
/// more are begun (docs/internals/benchmarks.md).
const TURN_ROWS: usize = 16;

/// Requests that may wait for the reading thread: each queue has one at a time.
const REQUESTS: usize = 64;

/// Reads the plan of all queues, in a thread of its own. It ends with the last clone.
#[derive(Debug, Clone)]
pub(super) struct PlanReader {
    requests: mpsc::Sender<Request>,
    page_rows: usize,
}

/// What is asked of the ledger, by a queue.
#[derive(Debug)]
struct Request {
    region: Region,
    product_code: ProductCode,
    now: Timestamp,
    what: What,
}

#[derive(Debug)]
enum What {
    Page {
        phase: Phase,
        after: Cursor,
        page_rows: usize,
        reply: oneshot::Sender<Result<DuePage, LedgerError>>,
    },
    Probes(oneshot::Sender<Result<[Option<Due>; 2], LedgerError>>),
}

impl PlanReader {
    /// Reads through `ledger` for so many queues.
    pub(super) fn start(ledger: Ledger, run_number: i64, queues: usize) -> Self {
        let (requests, mut read) = mpsc::channel::<Request>(REQUESTS);
        drop(tokio::task::spawn_blocking(move || {
            while let Some(request) = read.blocking_recv() {
                request.answer(&ledger, run_number);
            }
        }));
        Self {
            requests,
            page_rows: (ROWS_OF_ALL / queues.max(1)).clamp(LEAST_PAGE_ROWS, MOST_PAGE_ROWS),
        }
    }

    /// A record of the queue that the vendor has answered before, and the one that comes last in the plan.
    pub(super) async fn probes(&self, queue: &RequestQueue, now: Timestamp) -> Result<[Option<Due>; 2], LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.ask(queue, now, What::Probes(reply)).await?;
        answer.await.map_err(|_| LedgerError::QueuePanicked)?
    }

    async fn ask(&self, queue: &RequestQueue, now: Timestamp, what: What) -> Result<(), LedgerError> {
        let request = Request {
            region: queue.region.clone(),
            product_code: queue.product_code.clone(),
            now,
            what,
        };
        // The thread ends before its requests only where it panics.
        self.requests
            .send(request)
            .await
            .map_err(|_| LedgerError::QueuePanicked)
    }

    async fn page(
        &self,
        queue: &RequestQueue,
        now: Timestamp,
        phase: Phase,
        after: Cursor,
    ) -> Result<DuePage, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let page_rows = self.page_rows;
        let what = What::Page {
            phase,
            after,
            page_rows,
            reply,
        };
        self.ask(queue, now, what).await?;
        answer.await.map_err(|_| LedgerError::QueuePanicked)?
    }

    /// Sends the pages of a queue until its plan is read, or nobody takes them any more.
    async fn send_pages(
        self,
        queue: &RequestQueue,
        now: Timestamp,
        pages: mpsc::Sender<Vec<Due>>,
    ) -> Result<(), LedgerError> {
        for phase in [Phase::Live, Phase::Overdue] {
            let (mut after, mut last) = (Cursor::start(), false);
            while !last {
                let page = self.page(queue, now, phase, after).await?;
                (after, last) = (page.next, page.rows.len() < self.page_rows);
                if pages.send(page.rows).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Request {
    fn answer(self, ledger: &Ledger, run_number: i64) {
        let (region, product_code, now) = (&self.region, &self.product_code, self.now);
        // Nobody waits for the answer any more where the queue gave up meanwhile.
        match self.what {
            What::Page {
                phase,
                after,
                page_rows,
                reply,
            } => {
                let queue = QueueRef {
                    region,
                    product_code,
                    run_number,
                };
                drop(reply.send(ledger.queue_page(&queue, phase, &after, now, page_rows)));
            }
            What::Probes(reply) => {
                let answered = ledger.answered_record(region, product_code, now);
                let both = answered.and_then(|answered| Ok([answered, ledger.last_record(region, product_code)?]));
                drop(reply.send(both));
            }
        }
    }
}

/// The due rows of a queue in the order in which they are to be asked for: first those that the vendor should still have, earliest
/// deletion first, then those past their deadline. What is due, and what is past, is decided once, at `now`: a row whose deadline
/// passes meanwhile must not come in both parts.
pub(super) fn plan(
    reader: PlanReader,
    queue: std::sync::Arc<RequestQueue>,
    now: Timestamp,
) -> impl Stream<Item = Result<Due, LedgerError>> {
    let (pages, mut read) = mpsc::channel(1);
    let reading = tokio::spawn(async move { reader.send_pages(&queue, now, pages).await });
    let rows = futures::stream::poll_fn(move |context| read.poll_recv(context)).flat_map(futures::stream::iter);
    let end = futures::stream::once(reading).map(|ended| ended.unwrap_or(Err(LedgerError::QueuePanicked)));
    rows.map(Ok)
        .chain(end.filter_map(|ended| futures::future::ready(ended.err().map(Err))))
        .enumerate()
        .then(async |(place, row)| {
            if place.is_multiple_of(TURN_ROWS) {
                tokio::task::yield_now().await;
            }
            row
        })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::fetch::Counts;
    use crate::ledger::{Defaults, Lock, QueueDue};
    use crate::pace::Limiter;
    use crate::record::{Pending, Region, TransactionId};

    #[tokio::test]
    async fn others_have_their_turn_while_rows_are_taken_that_are_there() {
        const TURNS: usize = 4;
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path(), &Lock::acquire(folder.path()).unwrap()).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let run = ledger.begin_run(now, None).unwrap();
        let defaults = Defaults {
            product_code: ProductCode::parse("FACE_LIVENESS").unwrap(),
            region: Region::parse("ap-southeast-1").unwrap(),
        };
        let pending = |number| Pending {
            transaction_id: TransactionId::parse(&format!("t{number}")).unwrap(),
            merchant_biz_id: None,
            product_code: None,
            region: None,
            verified_at: None,
        };
        let pending: Vec<Pending> = (0..=TURNS * TURN_ROWS).map(pending).collect();
        let mut admission = ledger.admission(&defaults, &run, now);
        admission.admit(&pending.iter().collect::<Vec<_>>()).unwrap();
        admission.commit().unwrap();
        drop(admission);

        let turns = Arc::new(AtomicUsize::new(0));
        let others = turns.clone();
        tokio::spawn(async move {
            loop {
                others.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let due = QueueDue {
            region: defaults.region,
            product_code: defaults.product_code,
            due: 1,
            deleted_from: 0,
        };
        let limiter = Arc::new(Limiter::new(None, Vec::new()));
        let queue = RequestQueue::new(
            due,
            limiter,
            Arc::default(),
            Duration::ZERO,
            &Arc::new(Counts::default()),
        );
        let mut rows = pin!(plan(PlanReader::start(ledger, run.number, 1), Arc::new(queue), now));
        rows.next().await.unwrap().unwrap();
        let before = turns.load(Ordering::Relaxed);
        for _ in 0..TURNS * TURN_ROWS {
            rows.next().await.unwrap().unwrap();
        }
        assert!(turns.load(Ordering::Relaxed) >= before + TURNS);
    }
}
