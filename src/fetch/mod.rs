//! The only place where vendor, pace and retry meet: admit, one attempt, classify, decide.
//!
//! Every product has a lane of its own, so none waits for another. A lane is one stream of the plan's rows, page by page, and as
//! many callers as calls may be in flight: each takes a row, asks, and waits for the writer's acknowledgement before it takes
//! the next. Memory is bounded by three pages and the calls that may be in flight.
//!
//! - [`Fetch`]: all lanes of a run; [`Lane`]: a product's gates (`lane`)
//! - [`FetchSettings`]: how many at a time, how often
//! - [`Counts`]: what came of it so far (`counts`)
//! - the rows to ask for (`pages`)
//! - [`Troubles`]: what attempts met in place of a good answer (`troubles`), and whether every id is refused (`refusals`)
//! - [`Step`]: what follows from an answer (`step`), the design's table

mod counts;
mod lane;
mod pages;
mod refusals;
mod step;
mod troubles;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use tokio::sync::Mutex;

use counts::Outcome;
pub use counts::{Counts, Totals};
pub use lane::Lane;
use lane::{Passed, Service};
use pages::plan;
pub use step::{Limits, QUARANTINE_AFTER_RUNS, Step, step};
pub use troubles::{Refusal, Trouble, Troubles};

use crate::clock::Clock;
use crate::disk::Space;
use crate::error_chain;
use crate::ledger::{LedgerError, Readers, Settled, Settlement, WriterHandle};
use crate::pace::{Admitted, Unsent};
use crate::record::{Due, Region};
use crate::retry::{RetryBudget, RetryPolicy};
use crate::stop::{Stop, StopReason};
use crate::vendor::{Answer, Client, Disposition, Fault, FaultyReply, Reply, Room, UntilSent, classify};

/// Sooner than the timeouts of a call.
const NEAR_TIMER: Duration = Duration::from_secs(1);

/// Products that are asked for side by side; the vendor has fourteen. More wait for one to be done: each lane holds a
/// connection to the ledger.
pub const LANES: usize = 16;

/// Calls in flight per product.
pub const CONCURRENCY: usize = 256;

/// How many calls at a time, and how often each is tried.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// Calls in flight per product.
    pub concurrency: usize,
    /// When an attempt is made again.
    pub retry: RetryPolicy,
    /// When an id is given up.
    pub limits: Limits,
}

/// All lanes of a run.
#[derive(Debug)]
pub struct Fetch {
    client: Arc<Client>,
    settings: FetchSettings,
    budget: RetryBudget,
    /// The ledger's time: `--now` moves it.
    clock: Arc<dyn Clock>,
    /// The machine's time: what the vendor's clock is compared with.
    wall_clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
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
        counts: Arc<Counts>,
        stop: Stop,
        space: Space,
        seed: u64,
    ) -> Self {
        let random = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
        Self {
            client,
            settings,
            budget: RetryBudget::default(),
            clock,
            wall_clock,
            counts,
            stop,
            space,
            random,
        }
    }

    /// Asks for every due record of the lanes' products, until the plan is done or a stop is requested. A lane that can't
    /// read its plan ends with an error; the others go on.
    pub async fn run(
        self: Arc<Self>,
        lanes: Vec<Arc<Lane>>,
        readers: Readers,
        writer: WriterHandle,
    ) -> Result<(), LedgerError> {
        let mut running = futures::stream::iter(lanes)
            .map(|lane| tokio::spawn(self.clone().run_lane(lane, readers.clone(), writer.clone())))
            .buffer_unordered(LANES);
        let lanes = async {
            let mut first_error = Ok(());
            while let Some(ended) = running.next().await {
                first_error = first_error.and(ended.unwrap_or(Err(LedgerError::LanePanicked)));
            }
            first_error
        };
        tokio::select! {
            ended = lanes => ended,
            never = a_timer_that_is_near() => match never {},
        }
    }

    async fn run_lane(
        self: Arc<Self>,
        lane: Arc<Lane>,
        readers: Readers,
        writer: WriterHandle,
    ) -> Result<(), LedgerError> {
        let reader = readers.open()?;
        for answered in reader.answered_records(&lane.product_code, self.clock.now())? {
            lane.service(&answered.region).probes.answered(&answered);
        }
        for last in reader.last_records(&lane.product_code)? {
            lane.service(&last.region).probes.last(last);
        }
        let rows = plan(reader, lane.product_code.clone(), &*self.clock)
            .take_until(self.stop.requested())
            .take_until(lane.gave_up())
            .fuse();
        let rows = pin!(rows);
        let rows = Mutex::new(rows);
        // The one concurrent stage. A future for each call would be made, moved and freed again with each.
        let callers = self
            .settings
            .concurrency
            .min(usize::try_from(lane.due).unwrap_or(usize::MAX));
        let callers: FuturesUnordered<_> = (0..callers).map(|_| self.calls(&lane, &rows, &writer)).collect();
        callers.try_collect().await
    }

    /// Calls one after another, each for the row that is the plan's next.
    async fn calls(
        &self,
        lane: &Lane,
        rows: &Mutex<impl Stream<Item = Result<Due, LedgerError>> + Unpin>,
        writer: &WriterHandle,
    ) -> Result<(), LedgerError> {
        loop {
            let Some(due) = rows.lock().await.try_next().await? else {
                return Ok(());
            };
            self.call(lane, due, writer).await?;
        }
    }

    /// One call, from the plan's row to the committed settlement. It holds its place among the calls in flight until
    /// then: what a crash can cost is never more than those.
    async fn call(&self, lane: &Lane, due: Due, writer: &WriterHandle) -> Result<(), LedgerError> {
        if let Err(none) = self.space.check_call() {
            self.stop.request(StopReason::NoSpace(none));
        }
        let outcome = match self.attempts(lane, &due).await {
            Some((settlement, _room)) => {
                let outcome = Outcome::of(&settlement.settled);
                if let Settled::Journalled { body, .. } = &settlement.settled {
                    self.space.keep(body.len());
                }
                writer.settle(settlement).await?;
                outcome
            }
            None => Outcome::Left,
        };
        self.counts.settle(outcome);
        Ok(())
    }

    /// Attempts for one id until there is something to settle, and the room that its reply takes until then; `None` where
    /// the run stops first. What is rarely awaited is boxed: each caller would have its size.
    async fn attempts(&self, lane: &Lane, due: &Due) -> Option<(Settlement, Room)> {
        let (mut charged, mut refreshed, mut failed) = (0, false, false);
        if !self.client.serves(&due.region) {
            return Some((self.unserved(due), Room::default()));
        }
        self.budget.earn();
        let service = &*lane.service(&due.region);
        loop {
            let passed = self.pass(lane, service).await?;
            if let Some(other) = passed.breaker.probes().then(|| service.probes.next()).flatten() {
                Box::pin(self.probe(lane, service, passed, other)).await?;
                continue;
            }
            let tried = self.exchange(due, passed.unsent).await?;
            let now = self.clock.now();
            let seen = self.read(lane, passed.pacer, due, tried.as_ref().map(|(reply, _)| reply), now);
            // What is not kept gives its room back now: whoever waits below may wait for one who needs room.
            let kept = tried
                .ok()
                .filter(|_| matches!(seen.step, Step::Journal { .. } | Step::KeepUnknown { .. }));
            let new_id = !seen.reached && !std::mem::replace(&mut failed, true);
            let outage = service.tell(&seen, passed.breaker, new_id);
            if seen.origin == Origin::UnknownCode && service.refusals.refused(due.number, &seen.call_code) {
                self.give_up_refused(lane, service, &due.region, &seen);
            }
            let settlement = |attempts, settled| Settlement {
                due: due.clone(),
                attempts,
                call_code: seen.call_code,
                message: seen.message,
                called_at: now,
                settled,
            };
            match seen.step {
                Step::Journal { passed, sub_code } => {
                    service.probes.answered(due);
                    let (body, room) = kept.map(|(reply, room)| (reply.body, room)).unwrap_or_default();
                    let journalled = Settled::Journalled { passed, sub_code, body };
                    return Some((settlement(charged + 1, journalled), room));
                }
                Step::KeepUnknown { passed, next_due_at } => {
                    let (body, room) = kept.map(|(reply, room)| (reply.body, room)).unwrap_or_default();
                    let unknown = Settled::Unknown {
                        passed,
                        next_due_at,
                        body: self.client.redact_body(body),
                    };
                    return Some((settlement(charged + 1, unknown), room));
                }
                Step::Settle(settled) => return Some((settlement(charged + 1, settled), Room::default())),
                Step::Again { .. } if outage => {
                    if let Some((other, record)) = passed.breaker.probes().then(|| lane.unheard_of(service)).flatten() {
                        let passed = self.pass(lane, &other).await?;
                        Box::pin(self.probe(lane, &other, passed, &record)).await?;
                    }
                    lane.give_up_unanswered(&due.region, service, seen.origin == Origin::ThisMachine);
                }
                Step::Again { answered } => {
                    charged += 1;
                    if charged >= self.settings.retry.attempts_per_call || !self.budget.take() {
                        let answered = answered && Box::pin(self.answers_others(lane, service)).await?;
                        let settled = self.settings.limits.give_up(due, answered);
                        return Some((settlement(charged, settled), Room::default()));
                    }
                    self.counts.retried();
                    self.back_off(charged).await?;
                }
                Step::WaitForQuota => lane.give_up_throttled(),
                Step::Refresh(fault) => {
                    let newer = !std::mem::replace(&mut refreshed, true)
                        && self.client.refresh_credentials().await.unwrap_or(false);
                    if !newer {
                        self.stop.request(StopReason::Account(Arc::new(fault)));
                    }
                }
                Step::Stop(why) => self.stop.request(why),
            }
        }
    }

    /// Whether the vendor answers other ids of the region, so that a failure is this id's. Asks where nothing has been
    /// answered yet.
    async fn answers_others(&self, lane: &Lane, service: &Service) -> Option<bool> {
        if !service.answers()
            && let Some(other) = service.probes.answered_before()
        {
            let passed = self.pass(lane, service).await?;
            self.probe(lane, service, passed, other).await?;
        }
        Some(service.answers())
    }

    /// Asks about another record whether the vendor answers. What it says of that record is not kept.
    async fn probe(&self, lane: &Lane, service: &Service, passed: Passed, other: &Due) -> Option<()> {
        let tried = self.exchange(other, passed.unsent).await?;
        let reply = tried.as_ref().map(|(reply, _)| reply);
        let seen = self.read(lane, passed.pacer, other, reply, self.clock.now());
        if service.tell(&seen, passed.breaker, false) {
            lane.give_up_unanswered(&other.region, service, seen.origin == Origin::ThisMachine);
        }
        if let Step::Stop(why) = seen.step {
            self.stop.request(why);
        }
        Some(())
    }

    /// Leaves the product in this region for the next run, as every id is refused there.
    fn give_up_refused(&self, lane: &Lane, service: &Service, region: &Region, seen: &Seen) {
        if service.give_up() {
            let refusal = Refusal {
                product_code: lane.product_code.to_string(),
                region: region.to_string(),
                host: self.client.host_of(region).to_owned(),
                code: seen.call_code.clone(),
                message: seen.message.clone(),
            };
            tracing::warn!("{refusal}; the rest is left for the next run");
            self.counts.troubles.every_id_refused(refusal);
        }
    }

    /// A record whose region has lost its endpoint since it came in: nothing can be asked.
    fn unserved(&self, due: &Due) -> Settlement {
        Settlement {
            due: due.clone(),
            attempts: 0,
            call_code: "no_endpoint".to_owned(),
            message: Some(format!("no endpoint is known for the region {}", due.region)),
            called_at: self.clock.now(),
            settled: Settled::Left { answered: false },
        }
    }

    /// Passes the gates; `None` where the run stops before that.
    async fn pass(&self, lane: &Lane, service: &Service) -> Option<Passed> {
        if self.stop.is_requested() {
            return None;
        }
        // Most pass at once, and then nothing has to listen for the stop.
        tokio::select! {
            biased;
            passed = lane.pass(service) => passed,
            () = self.stop.requested() => None,
        }
    }

    /// One attempt; `None` where the run stops before it is answered.
    async fn exchange(&self, due: &Due, unsent: Option<Unsent>) -> Option<Result<(Reply, Room), Fault>> {
        self.counts.attempted();
        let unsent = unsent.map(|unsent| Box::new(unsent) as UntilSent);
        tokio::select! {
            biased;
            tried = self.client.attempt(due, unsent) => Some(tried),
            () = self.stop.grace_over() => None,
        }
    }

    /// What follows from what was tried; tells the pacer.
    fn read(&self, lane: &Lane, admitted: Admitted, due: &Due, tried: Result<&Reply, &Fault>, now: Timestamp) -> Seen {
        match tried {
            Ok(reply) => {
                let classified = self.client.redact(classify(reply, self.wall_clock.now()));
                let step = step(&classified.answer, due, now, &self.settings.limits);
                if let Answer::Throttled { retry_after } = classified.answer {
                    self.counts.throttled();
                    lane.pacer.throttled(admitted, retry_after);
                } else {
                    lane.pacer.answered(admitted);
                }
                let unanswered = matches!(
                    classified.answer,
                    Answer::Faulty(FaultyReply::Server | FaultyReply::Unreadable)
                );
                let abnormal = matches!(
                    classified.answer,
                    Answer::Faulty(_) | Answer::Throttled { .. } | Answer::Account(_)
                );
                if abnormal {
                    let host = self.client.host_of(&due.region);
                    let (code, message) = (&classified.call_code, classified.message.as_deref());
                    let troubles = &self.counts.troubles;
                    troubles.met(&due.product_code, &due.region, host, code, message);
                }
                Seen {
                    step,
                    reached: !unanswered,
                    normal: !abnormal,
                    origin: match classified.answer {
                        Answer::Faulty(FaultyReply::UnknownCode) => Origin::UnknownCode,
                        _ => Origin::Other,
                    },
                    call_code: classified.call_code,
                    message: classified.message,
                }
            }
            Err(fault) => {
                let why = error_chain(fault);
                tracing::debug!(transaction_id = %due.transaction_id, error = %why, "attempt failed");
                let host = self.client.host_of(&due.region);
                let troubles = &self.counts.troubles;
                troubles.met(&due.product_code, &due.region, host, fault.code(), Some(&why));
                let step = match fault.disposition() {
                    Disposition::Retry => Step::Again { answered: false },
                    Disposition::Refuse => Step::Settle(self.settings.limits.give_up(due, true)),
                    Disposition::Abort => Step::Stop(no_call_can_be_made(fault)),
                };
                Seen {
                    step,
                    reached: fault.disposition() != Disposition::Retry,
                    normal: false,
                    origin: match fault {
                        Fault::Local { .. } => Origin::ThisMachine,
                        _ => Origin::Other,
                    },
                    call_code: fault.code().to_owned(),
                    message: Some(fault.to_string()),
                }
            }
        }
    }

    async fn back_off(&self, failed: u32) -> Option<()> {
        let jitter = match self.random.lock() {
            Ok(mut random) => random.f64(),
            Err(_) => 1.0,
        };
        tokio::select! {
            () = self.stop.requested() => None,
            () = tokio::time::sleep(self.settings.retry.backoff(failed, jitter)) => Some(()),
        }
    }
}

/// Sleeps again and again, so that the runtime never sleeps without a timer, or till one that is due after a call's timeouts: it
/// would be woken for each of them that is set meanwhile, by a system call for more than every second record.
async fn a_timer_that_is_near() -> Infallible {
    loop {
        tokio::time::sleep(NEAR_TIMER).await;
    }
}

fn no_call_can_be_made(fault: &Fault) -> StopReason {
    let why = error_chain(fault).into();
    match fault {
        Fault::Certificate { .. } => StopReason::Certificate(why),
        Fault::Local { kind, .. } => StopReason::Local(*kind, why),
        _ => StopReason::Credentials(why),
    }
}

/// Where what an attempt brought comes from, as far as that matters for all ids of a product in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The vendor refused the id with a code that is not known.
    UnknownCode,
    /// The attempt failed on this machine or at its proxy.
    ThisMachine,
    /// Anything else.
    Other,
}

/// What an attempt brought, and what is written down of it.
struct Seen {
    step: Step,
    /// The service answered, whatever it said, as opposed to failing or not being there.
    reached: bool,
    /// It answered about the id that was asked for.
    normal: bool,
    origin: Origin,
    call_code: String,
    message: Option<String>,
}
