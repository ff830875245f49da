//! The plan's rows, page by page. One is read while the one before it is asked for, so at most three are in memory: the third is
//! what waits between the two.

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::ledger::{Cursor, Ledger, LedgerError, Phase};
use crate::record::{Due, ProductCode};

/// Rows of a page. In the order of the plan they are anywhere in the ledger, and what SQLite has read is dropped with the
/// writer's next commit: the more rows, the more of them share what is read.
const PAGE_ROWS: usize = 2_048;

/// After so many rows it is the turn of all else on the thread: connections send the calls for these, and the vendor is at work, while
/// more are begun (docs/internals/benchmarks.md).
const TURN_ROWS: usize = 16;

/// The due rows of a product in the order in which they are to be asked for: first those that the vendor should still
/// have, earliest deletion first, then those past their deadline. What is due, and what is past, is decided
/// once for the whole lane: a row whose deadline passes meanwhile must not come in both parts.
pub(super) fn plan(
    reader: Ledger,
    product_code: ProductCode,
    clock: &dyn Clock,
) -> impl Stream<Item = Result<Due, LedgerError>> {
    let now = clock.now();
    let (pages, mut read) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || {
        for phase in [Phase::Live, Phase::Overdue] {
            let (mut after, mut last) = (Cursor::start(), false);
            while !last {
                let page = reader.due_page(&product_code, phase, &after, now, PAGE_ROWS)?;
                (after, last) = (page.next, page.rows.len() < PAGE_ROWS);
                if pages.blocking_send(page.rows).is_err() {
                    return Ok(()); // the lane has ended
                }
            }
        }
        Ok(())
    });
    let rows = futures::stream::poll_fn(move |context| read.poll_recv(context)).flat_map(futures::stream::iter);
    let end = futures::stream::once(reading).map(|ended| ended.unwrap_or(Err(LedgerError::LanePanicked)));
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

    use jiff::Timestamp;

    use super::*;
    use crate::clock::FixedClock;
    use crate::ledger::{Defaults, Lock};
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
        let clock = FixedClock(now);
        let mut rows = pin!(plan(ledger, defaults.product_code, &clock));
        rows.next().await.unwrap().unwrap();
        let before = turns.load(Ordering::Relaxed);
        for _ in 0..TURNS * TURN_ROWS {
            rows.next().await.unwrap().unwrap();
        }
        assert!(turns.load(Ordering::Relaxed) >= before + TURNS);
    }
}
