//! One product's calls in one region: the gates that its attempts pass, and what is known of the vendor's answers to them.
//!
//! No queue waits for another: each has its own breaker, its own limiter and its own patience. What they share are the limits of
//! their region and product (`pace`).
//!
//! - [`RequestQueue`]: a queue's gates; [`Passed`]: an attempt that passed them
//! - [`Probes`]: what the questions in an outage are about

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::call::Seen;
use super::counts::Counts;
use super::opening::{Alone, Opening};
use super::pass::{Health, SICK_SHARE};
use super::refusals::Refusals;
use crate::breaker::{Breaker, BreakerPermit};
use crate::ledger::QueueDue;
use crate::pace::{Admitted, Limiter, Unsent, Urgency};
use crate::record::{Due, ProductCode, Region};

/// A queue in which the vendor has only throttled, or not answered at all, for so long is left for the next run.
pub const PATIENCE: Duration = Duration::from_mins(30);

/// The same where attempts fail on this machine or at its proxy: a name server or a network that is restarted is back within that
/// time, and what a person must correct is not waited for.
const LOCAL_PATIENCE: Duration = Duration::from_mins(5);

/// The calls of a product in a region.
#[derive(Debug)]
pub struct RequestQueue {
    /// The region.
    pub region: Region,
    /// The product.
    pub product_code: ProductCode,
    /// Rows that it has for this run, as far as is known at its beginning.
    pub(super) due: u64,
    /// What came of its calls.
    pub counts: Counts,
    /// Keeps the pace.
    pub(super) limiter: Arc<Limiter>,
    pub(super) breaker: Breaker,
    /// What the questions in an outage are about.
    pub(super) probes: Probes,
    /// Whether the vendor refuses every id of it.
    pub(super) refusals: Refusals,
    /// How long it is kept up while nothing but throttled answers comes, or none at all.
    patience: Duration,
    /// The first call in the region goes alone.
    pub(super) opening: Arc<Opening>,
    health: Health,
    /// How often the vendor has answered about an id in this run, as it should.
    answers: AtomicU64,
    /// When the last pass ended in which the vendor said something, or when the run began.
    heard_of: Mutex<Instant>,
    gave_up: Flag,
}

/// Raised once, and seen by who waits for it.
#[derive(Debug, Default)]
struct Flag(watch::Sender<bool>);

impl Flag {
    /// True for the first who raises it.
    fn raise(&self) -> bool {
        !self.0.send_replace(true)
    }

    fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    async fn raised(&self) {
        let mut raised = self.0.subscribe();
        // The sender lives as long as `self`, so this can't fail.
        let _ = raised.wait_for(|raised| *raised).await;
    }
}

/// The records that are asked about where it is not known whether the vendor answers at all. The ids that wait may be the
/// very ones that it can't answer, so every other question is about one that it has answered before, or that comes last in
/// the plan.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// The last of the plan.
    last: OnceLock<Due>,
    /// Answered in an earlier run, or in this one.
    answered: OnceLock<Due>,
    asked_own: AtomicBool,
}

impl Probes {
    /// A record that it answered in an earlier run, and the one that comes last in the plan.
    pub(super) fn set(&self, answered: Option<Due>, last: Option<Due>) {
        for (place, record) in [(&self.answered, answered), (&self.last, last)] {
            if let Some(record) = record {
                let _ = place.set(record);
            }
        }
    }

    /// A record that it has answered. The first one stands.
    pub(super) fn answered(&self, record: &Due) {
        if self.answered.get().is_none() {
            let _ = self.answered.set(record.clone());
        }
    }

    /// A record that the vendor has answered before.
    pub(super) fn answered_before(&self) -> Option<&Due> {
        self.answered.get()
    }

    /// A record other than the ids that wait, if there is one.
    fn other(&self) -> Option<&Due> {
        self.answered.get().or_else(|| self.last.get())
    }

    /// What the next question in an outage is about; `None`: the id that waits.
    pub(super) fn next(&self) -> Option<&Due> {
        let other = self.other()?;
        let own = !self.asked_own.fetch_not(Ordering::Relaxed);
        own.then_some(other)
    }
}

/// An attempt that passed all gates.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) breaker: BreakerPermit,
    pub(super) pacer: Admitted,
    pub(super) unsent: Option<Unsent>,
    /// It is the only one in its region, which is not open yet.
    pub(super) alone: Option<Alone>,
}

impl RequestQueue {
    /// A queue with its gates; `opening` is its region's, and `of_run` counts what comes of all queues.
    pub fn new(
        queue: QueueDue,
        limiter: Arc<Limiter>,
        opening: Arc<Opening>,
        patience: Duration,
        of_run: &Arc<Counts>,
    ) -> Self {
        Self {
            region: queue.region,
            product_code: queue.product_code,
            due: queue.due,
            counts: Counts::part_of(of_run),
            limiter,
            breaker: Breaker::default(),
            probes: Probes::default(),
            refusals: Refusals::default(),
            patience,
            opening,
            health: Health::default(),
            answers: AtomicU64::default(),
            heard_of: Mutex::new(Instant::now()),
            gave_up: Flag::default(),
        }
    }

    /// Whether the vendor has answered about an id in this run, as it should.
    pub(super) fn answers(&self) -> bool {
        self.answered_calls() > 0
    }

    /// How often it has.
    pub(super) fn answered_calls(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// An attempt ended. In a further pass only a part of the rate is used while most attempts fail.
    pub(super) fn slow_down_while_sick(&self, failed: bool, further_pass: bool) {
        let sick = self.health.tell(failed);
        self.limiter
            .slow_to(if sick && further_pass { SICK_SHARE } else { 1.0 });
    }

    /// What an attempt brought; `new_id`: the first that failed for its id. True while there is an outage.
    pub(super) fn tell(&self, seen: &Seen, permit: BreakerPermit, new_id: bool) -> bool {
        if seen.normal {
            self.answers.fetch_add(1, Ordering::Relaxed);
            self.refusals.answered();
        }
        if seen.reached {
            self.breaker.answered(permit);
            return false;
        }
        self.breaker.failed(permit, new_id)
    }

    /// The gates before every attempt, retries too: an outage first, then the pace. `None` where the queue gave up.
    pub(super) async fn pass(&self, urgency: Urgency) -> Option<Passed> {
        let gates = async {
            let alone = self.opening.enter().await;
            let breaker = self.breaker.pass().await;
            let (pacer, unsent) = self.limiter.admit(urgency).await;
            Passed {
                breaker,
                pacer,
                unsent,
                alone,
            }
        };
        if self.gave_up.is_raised() {
            return None;
        }
        // Giving up ends the waiting too: a permit that is dropped here would leave the breaker waiting for its end.
        tokio::select! {
            biased;
            passed = gates => Some(passed),
            () = self.gave_up() => None,
        }
    }

    /// Whether the vendor does not answer now.
    pub fn is_in_outage(&self) -> bool {
        !self.breaker.outage().is_zero()
    }

    /// What is left is left for the next run where it has only been throttled for too long.
    pub(super) fn give_up_throttled(&self) {
        if self.limiter.throttled_for() > self.patience {
            self.give_up("only throttled answers", self.patience);
        }
    }

    /// What is left is left for the next run where nobody has answered for too long; `local`: because of this machine.
    pub(super) fn give_up_unanswered(&self, local: bool) {
        let patience = if local {
            self.patience.min(LOCAL_PATIENCE)
        } else {
            self.patience
        };
        if self.breaker.outage() > patience {
            self.give_up("no answers", patience);
        }
    }

    /// What is left is left for the next run, as every id is refused. True for the first who says so.
    pub(super) fn give_up_refused(&self) -> bool {
        self.gave_up.raise()
    }

    /// A pass has ended in which the vendor said something.
    pub(super) fn was_answered(&self) {
        *self.heard_of.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A pass has ended in which it said nothing: too few attempts to know an outage by. True where that goes on for too long.
    pub(super) fn give_up_silent(&self) -> bool {
        let heard_of = *self.heard_of.lock().unwrap_or_else(PoisonError::into_inner);
        if heard_of.elapsed() > self.patience {
            self.give_up("no answers", self.patience);
        }
        self.has_given_up()
    }

    /// Whether what is left is left for the next run.
    pub(super) fn has_given_up(&self) -> bool {
        self.gave_up.is_raised()
    }

    fn give_up(&self, what: &str, patience: Duration) {
        if self.gave_up.raise() {
            let (region, product_code) = (&self.region, &self.product_code);
            tracing::warn!(%region, %product_code, "{what} for {patience:?}: left for the next run");
        }
    }

    /// Returns once the queue gave up.
    pub(super) async fn gave_up(&self) {
        self.gave_up.raised().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(region: &str) -> Arc<RequestQueue> {
        let due = QueueDue {
            region: Region::parse(region).unwrap(),
            product_code: ProductCode::parse("FACE_LIVENESS").unwrap(),
            due: 1,
            deleted_from: 0,
        };
        let limiter = Arc::new(Limiter::new(None, Vec::new()));
        Arc::new(RequestQueue::new(
            due,
            limiter,
            Arc::default(),
            PATIENCE,
            &Arc::default(),
        ))
    }

    async fn outage(queue: &RequestQueue) {
        let mut outage = false;
        for _ in 0..20 {
            let permit = queue.breaker.pass().await;
            outage = queue.breaker.failed(permit, true);
        }
        assert!(outage);
        // Who asks whether it is over; the others wait.
        assert!(queue.breaker.pass().await.probes());
    }

    fn waiting(queue: &Arc<RequestQueue>) -> tokio::task::JoinSet<bool> {
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let queue = queue.clone();
            waiting.spawn(async move { queue.pass(Urgency(0)).await.is_none() });
        }
        waiting
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_gives_up_lets_every_waiting_attempt_go_and_others_go_on() {
        let (down, well) = (queue("ap-southeast-1"), queue("ap-southeast-5"));
        outage(&down).await;
        let waiting = waiting(&down);
        tokio::time::advance(PATIENCE).await;
        down.give_up_unanswered(false);
        tokio::time::advance(Duration::from_millis(1)).await;
        down.give_up_unanswered(false);
        assert_eq!(waiting.join_all().await, [true; 5]);
        assert!(well.pass(Urgency(0)).await.is_some());
    }
}
