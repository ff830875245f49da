//! The only place where vendor, pace and retry meet: admit, one attempt, classify, decide (`call`).
//!
//! Every product has a queue of its own in each region, so none waits for another. A queue is one stream of the plan's rows, page by
//! page, and as many callers as calls may be in flight: each takes a row, asks, and waits for the writer's acknowledgement before
//! it takes the next. Memory is bounded by three pages and the calls that may be in flight. What a pass over the plan leaves gets
//! further ones, after pauses that grow (`pass`).
//!
//! - [`Fetch`]: all queues of a run; [`RequestQueue`]: a queue's gates (`queue`)
//! - [`FetchSettings`]: how many at a time, how often
//! - [`Counts`]: what came of it so far (`counts`)
//! - [`Opening`]: the first call in a region goes alone (`opening`)
//! - the rows to ask for (`pages`)
//! - [`Troubles`]: what attempts met in place of a good answer (`troubles`), and whether every id is refused (`refusals`)
//! - [`Step`]: what follows from an answer (`step`), the design's table

mod call;
mod counts;
mod opening;
mod pages;
mod pass;
mod queue;
mod refusals;
mod step;
mod troubles;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::Mutex;

pub use counts::{Counts, Totals};
pub use opening::Opening;
use pages::{PlanReader, plan};
pub use pass::PAUSES;
use pass::{Pass, Passes};
pub use queue::{PATIENCE, RequestQueue};
pub use step::{Limits, QUARANTINE_AFTER_RUNS, Step, step};
pub use troubles::{Refusal, Trouble, Troubles};

use crate::clock::Clock;
use crate::disk::Space;
use crate::ledger::{LedgerError, Readers, WriterHandle};
use crate::record::Due;
use crate::retry::RetryPolicy;
use crate::stop::Stop;
use crate::vendor::Client;

/// Sooner than the timeouts of a call.
const NEAR_TIMER: Duration = Duration::from_secs(1);

/// Queues that are asked for side by side, the most urgent first: more than the vendor has products and regions. More wait for one to
/// be done, as each takes memory.
const QUEUES: usize = 256;

/// Calls in flight per product and region.
pub const CONCURRENCY: usize = 256;

/// Calls in flight of all queues together, but for [`LEAST_CALLERS`] that each may have.
const CALLERS: usize = 4_096;

/// So many queues may have as many calls in flight as is set.
pub const QUEUES_AT_FULL: usize = CALLERS / CONCURRENCY;

/// Calls in flight that each queue may have, however many there are.
const LEAST_CALLERS: usize = 16;

/// How many calls at a time, and how often each is tried.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// Calls in flight per product and region.
    pub concurrency: usize,
    /// When an attempt is made again.
    pub retry: RetryPolicy,
    /// When an id is given up.
    pub limits: Limits,
    /// How long a queue is kept up while only throttled answers come, or none at all.
    pub patience: Duration,
    /// The pauses between the passes over what is left; none: there is one pass.
    pub pauses: Vec<Duration>,
}

/// All queues of a run.
#[derive(Debug)]
pub struct Fetch {
    client: Arc<Client>,
    settings: FetchSettings,
    /// The ledger's time: `--now` moves it.
    clock: Arc<dyn Clock>,
    /// The machine's time: what the vendor's clock is compared with.
    wall_clock: Arc<dyn Clock>,
    stop: Stop,
    space: Space,
    random: std::sync::Mutex<fastrand::Rng>,
}

impl Fetch {
    /// `clock` is the ledger's time, `wall_clock` the machine's; `seed` is for the jitter of the backoff.
    pub fn new(
        client: Arc<Client>,
        settings: FetchSettings,
        (clock, wall_clock): (Arc<dyn Clock>, Arc<dyn Clock>),
        stop: Stop,
        space: Space,
        seed: u64,
    ) -> Self {
        let random = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
        Self {
            client,
            settings,
            clock,
            wall_clock,
            stop,
            space,
            random,
        }
    }

    /// Asks for every due record of the queues, until the plan is done or a stop is requested. A queue that can't read its plan
    /// ends with an error; the others go on.
    pub async fn run(
        self: Arc<Self>,
        queues: Vec<Arc<RequestQueue>>,
        run_number: i64,
        readers: Readers,
        writer: WriterHandle,
    ) -> Result<(), LedgerError> {
        if queues.is_empty() {
            return Ok(());
        }
        let side_by_side = queues.len().min(QUEUES);
        let reader = PlanReader::start(readers.open()?, run_number, side_by_side);
        let callers = (CALLERS / side_by_side)
            .max(LEAST_CALLERS)
            .min(self.settings.concurrency);
        let mut running = futures::stream::iter(queues)
            .map(|queue| tokio::spawn(self.clone().run_queue(queue, callers, reader.clone(), writer.clone())))
            .buffer_unordered(QUEUES);
        let queues = async {
            let mut first_error = Ok(());
            while let Some(ended) = running.next().await {
                first_error = first_error.and(ended.unwrap_or(Err(LedgerError::QueuePanicked)));
            }
            first_error
        };
        tokio::select! {
            ended = queues => ended,
            never = a_timer_that_is_near() => match never {},
        }
    }

    async fn run_queue(
        self: Arc<Self>,
        queue: Arc<RequestQueue>,
        callers: usize,
        reader: PlanReader,
        writer: WriterHandle,
    ) -> Result<(), LedgerError> {
        let [answered, last] = reader.probes(&queue, self.clock.now()).await?;
        queue.probes.set(answered, last);
        let (mut passes, mut left) = (Passes::default(), queue.due);
        for number in 1.. {
            let pass = Pass::new(number);
            queue.counts.pass(number);
            let work = Work {
                queue: &queue,
                pass: &pass,
                passes: &passes,
                writer: &writer,
            };
            let callers = callers.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.make_pass(&work, callers, reader.clone()).await?;
            left = pass.left();
            if left > 0 && !pass.was_answered() {
                self.ask_whether_it_answers(&work).await;
            }
            let over = left == 0 || self.stop.is_requested() || queue.has_given_up();
            if over || !passes.goes_on_after(&pass) || !self.pause(&queue, &pass).await {
                break;
            }
            queue.counts.ask_again(left);
        }
        Ok(())
    }

    /// One pass over what is due.
    async fn make_pass(&self, work: &Work<'_>, callers: usize, reader: PlanReader) -> Result<(), LedgerError> {
        let queue = work.queue;
        let rows = plan(reader, queue.clone(), self.clock.now())
            .take_until(self.stop.requested())
            .take_until(queue.gave_up())
            .fuse();
        let rows = pin!(rows);
        let rows = Mutex::new(rows);
        // The one concurrent stage. A future for each call would be made, moved and freed again with each.
        let callers: FuturesUnordered<_> = (0..callers).map(|_| self.calls(work, &rows)).collect();
        callers.try_collect().await
    }

    /// Waits until the next pass. False where there is none: no pause is set, the run stops, or nobody has answered for too long.
    async fn pause(&self, queue: &RequestQueue, pass: &Pass) -> bool {
        let pauses = &self.settings.pauses;
        let place = usize::try_from(pass.number - 1).unwrap_or(usize::MAX);
        let Some(pause) = pauses.get(place).or_else(|| pauses.last()) else {
            return false;
        };
        if pass.was_answered() {
            queue.was_answered();
        } else if queue.give_up_silent() {
            return false;
        }
        let (region, product_code, left) = (&queue.region, &queue.product_code, pass.left());
        tracing::info!(%region, %product_code, left, pass = pass.number, "asking again in {pause:?}");
        tokio::select! {
            () = self.stop.requested() => false,
            () = tokio::time::sleep(*pause) => true,
        }
    }

    /// Calls one after another, each for the row that is the plan's next.
    async fn calls(
        &self,
        work: &Work<'_>,
        rows: &Mutex<impl Stream<Item = Result<Due, LedgerError>> + Unpin>,
    ) -> Result<(), LedgerError> {
        loop {
            let Some(due) = rows.lock().await.try_next().await? else {
                return Ok(());
            };
            if !work.passes.excludes(due.number) {
                self.call(work, due).await?;
            }
        }
    }
}

/// What the calls of a pass work with.
struct Work<'a> {
    queue: &'a Arc<RequestQueue>,
    pass: &'a Pass,
    passes: &'a Passes,
    writer: &'a WriterHandle,
}

/// Sleeps again and again, so that the runtime never sleeps without a timer, or till one that is due after a call's timeouts: it
/// would be woken for each of them that is set meanwhile, by a system call for more than every second record.
async fn a_timer_that_is_near() -> Infallible {
    loop {
        tokio::time::sleep(NEAR_TIMER).await;
    }
}
