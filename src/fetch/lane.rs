//! One product's calls: the gates that its attempts pass, and what is known of the vendor's answers to them.
//!
//! - [`Lane`]: a product's gates; [`Passed`]: an attempt that passed them
//! - [`Probes`]: what the questions in an outage are about

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use super::Seen;
use crate::breaker::{Breaker, Passage};
use crate::pace::{Admitted, Pacer};
use crate::record::{Due, ProductCode};

/// A lane in which the vendor has only throttled, or not answered at all, for so long is left for the next run.
const PATIENCE: Duration = Duration::from_mins(30);

/// One product's calls.
#[derive(Debug)]
pub struct Lane {
    /// The product.
    pub product_code: ProductCode,
    /// Keeps the pace; lanes share it where one rate is set for everything.
    pub pacer: Arc<Pacer>,
    pub(super) breaker: Breaker,
    /// What the questions in an outage are about.
    pub(super) probes: Probes,
    /// The service has answered about an id in this run.
    answers: AtomicBool,
    gave_up: watch::Sender<bool>,
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
    /// The record that comes last in the plan. The first one stands.
    pub(super) fn last(&self, record: Due) {
        let _ = self.last.set(record);
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

    /// What the next question in an outage is about; `None`: the id that waits.
    pub(super) fn next(&self) -> Option<&Due> {
        let other = self.answered.get().or_else(|| self.last.get())?;
        let own = !self.asked_own.fetch_not(Ordering::Relaxed);
        own.then_some(other)
    }
}

/// An attempt that passed both gates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    pub(super) breaker: Passage,
    pub(super) pacer: Admitted,
}

impl Lane {
    /// A lane with its gates.
    pub fn new(product_code: ProductCode, pacer: Arc<Pacer>) -> Self {
        Self {
            product_code,
            pacer,
            breaker: Breaker::default(),
            answers: AtomicBool::new(false),
            probes: Probes::default(),
            gave_up: watch::Sender::new(false),
        }
    }

    /// The gates before every attempt, retries too: an outage first, then the pace. `None` where the lane gave up.
    pub(super) async fn pass(&self) -> Option<Passed> {
        let gates = async {
            let breaker = self.breaker.pass().await;
            let pacer = self.pacer.admit().await;
            Passed { breaker, pacer }
        };
        // Giving up ends the waiting too: a passage that is dropped here would leave the breaker waiting for its end.
        tokio::select! {
            biased;
            () = self.gave_up() => None,
            passed = gates => Some(passed),
        }
    }

    /// Whether the service has answered about an id in this run, as it should.
    pub(super) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    /// What an attempt brought; `new_id`: the first that failed for its id. True while there is an outage.
    pub(super) fn tell(&self, seen: &Seen, passage: Passage, new_id: bool) -> bool {
        if seen.normal {
            self.answers.store(true, Ordering::Relaxed);
        }
        if seen.reached {
            self.breaker.answered(passage);
            return false;
        }
        self.breaker.failed(passage, new_id)
    }

    /// Whether nobody answers about its product now.
    pub fn is_in_outage(&self) -> bool {
        !self.breaker.outage().is_zero()
    }

    /// What is left of the lane is left for the next run where nothing was got for too long.
    pub(super) fn give_up_after(&self, nothing_for: Duration) {
        if nothing_for > PATIENCE && !self.gave_up.send_replace(true) {
            tracing::warn!(product_code = %self.product_code, "no answers for {PATIENCE:?}: left for the next run");
        }
    }

    /// Returns once the lane gave up.
    pub(super) async fn gave_up(&self) {
        let mut gave_up = self.gave_up.subscribe();
        // The sender lives as long as `self`, so this can't fail.
        let _ = gave_up.wait_for(|gave_up| *gave_up).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_gives_up_lets_every_waiting_attempt_go() {
        let product_code = ProductCode::parse("FACE_LIVENESS").unwrap();
        let lane = Arc::new(Lane::new(product_code, Arc::new(Pacer::unlimited())));
        let mut outage = false;
        for _ in 0..20 {
            let passage = lane.breaker.pass().await;
            outage = lane.breaker.failed(passage, true);
        }
        assert!(outage);
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let lane = lane.clone();
            waiting.spawn(async move { lane.pass().await.is_none() });
        }
        tokio::task::yield_now().await;
        lane.give_up_after(PATIENCE * 2);
        assert_eq!(waiting.join_all().await, [true; 5]);
    }
}
