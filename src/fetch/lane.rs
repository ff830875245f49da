//! One product's calls: the gates that its attempts pass, and what is known of the vendor's answers to them.
//!
//! - [`Lane`]: a product's gates; [`Passed`]: an attempt that passed them
//! - [`Service`]: what is known of the product in one region, as each is served by an endpoint of its own
//! - [`Probes`]: what the questions in an outage are about

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Seen;
use super::refusals::Refusals;
use crate::breaker::{Breaker, Passage};
use crate::ledger::ProductDue;
use crate::pace::{Admitted, Pacer, Unsent};
use crate::record::{Due, ProductCode, Region};

/// A lane in which the vendor has only throttled, or not answered at all, for so long is left for the next run.
const PATIENCE: Duration = Duration::from_mins(30);

/// The same for a region while another of the product answers: the calls that wait for the one hold up those of the other.
const PATIENCE_BESIDE_OTHERS: Duration = Duration::from_secs(10);

/// The same where attempts fail on this machine or at its proxy: a name server or a network that is restarted is back within that
/// time, and what a person must correct is not waited for.
const LOCAL_PATIENCE: Duration = Duration::from_mins(5);

/// One product's calls.
#[derive(Debug)]
pub struct Lane {
    /// The product.
    pub product_code: ProductCode,
    /// Rows that it has for this run, as far as is known at its beginning.
    pub(super) due: u64,
    /// Keeps the pace; lanes share it where one rate is set for everything.
    pub pacer: Arc<Pacer>,
    services: Mutex<BTreeMap<Region, Arc<Service>>>,
    gave_up: Flag,
}

/// What is known of a product in one region.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) breaker: Breaker,
    /// What the questions in an outage are about.
    pub(super) probes: Probes,
    /// Whether it refuses every id.
    pub(super) refusals: Refusals,
    /// It has answered about an id in this run.
    answers: AtomicBool,
    /// When it last answered, whatever it said.
    answered_at: Mutex<Option<Instant>>,
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

/// An attempt that passed both gates.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) breaker: Passage,
    pub(super) pacer: Admitted,
    pub(super) unsent: Option<Unsent>,
}

impl Service {
    /// Whether it has answered about an id in this run, as it should.
    pub(super) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    /// What an attempt brought; `new_id`: the first that failed for its id. True while there is an outage.
    pub(super) fn tell(&self, seen: &Seen, passage: Passage, new_id: bool) -> bool {
        if seen.normal {
            self.answers.store(true, Ordering::Relaxed);
            self.refusals.answered();
        }
        if seen.reached {
            *unpoisoned(&self.answered_at) = Some(Instant::now());
            self.breaker.answered(passage);
            return false;
        }
        self.breaker.failed(passage, new_id)
    }

    /// What is left of it is left for the next run. True for the first who says so.
    pub(super) fn give_up(&self) -> bool {
        self.gave_up.raise()
    }

    fn answered_within(&self, time: Duration) -> bool {
        unpoisoned(&self.answered_at).is_some_and(|at| at.elapsed() < time)
    }
}

/// What is kept under these locks is consistent between any two statements, so a panic elsewhere leaves nothing half done.
fn unpoisoned<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    /// A product's lane with its gates.
    pub fn new(product: ProductDue, pacer: Arc<Pacer>) -> Self {
        Self {
            product_code: product.product_code,
            due: product.due,
            pacer,
            services: Mutex::default(),
            gave_up: Flag::default(),
        }
    }

    /// The product in a region.
    pub(super) fn service(&self, region: &Region) -> Arc<Service> {
        let mut services = unpoisoned(&self.services);
        if let Some(service) = services.get(region) {
            return service.clone();
        }
        services.entry(region.clone()).or_default().clone()
    }

    /// Another region that may be well, and was not heard of since the outage of `service` began: all calls in flight may
    /// wait for the one.
    pub(super) fn unheard_of(&self, service: &Service) -> Option<(Arc<Service>, Due)> {
        let outage = service.breaker.outage();
        let services = unpoisoned(&self.services);
        let mut unheard = services
            .values()
            .filter(|other| other.breaker.outage().is_zero() && !other.answered_within(outage));
        unheard.find_map(|other| Some((other.clone(), other.probes.other()?.clone())))
    }

    /// The gates before every attempt, retries too: an outage first, then the pace. `None` where the lane or the service
    /// gave up.
    pub(super) async fn pass(&self, service: &Service) -> Option<Passed> {
        let gates = async {
            let breaker = service.breaker.pass().await;
            let (pacer, unsent) = self.pacer.admit().await;
            Passed { breaker, pacer, unsent }
        };
        if self.gave_up.is_raised() || service.gave_up.is_raised() {
            return None;
        }
        // Giving up ends the waiting too: a passage that is dropped here would leave the breaker waiting for its end.
        tokio::select! {
            biased;
            passed = gates => Some(passed),
            () = self.gave_up() => None,
            () = service.gave_up.raised() => None,
        }
    }

    /// The regions in which the product does not answer now.
    pub fn regions_in_outage(&self) -> Vec<Region> {
        let services = unpoisoned(&self.services);
        let in_outage = services
            .iter()
            .filter(|(_, service)| !service.breaker.outage().is_zero());
        in_outage.map(|(region, _)| region.clone()).collect()
    }

    /// What is left of the lane is left for the next run where it has only been throttled for too long.
    pub(super) fn give_up_throttled(&self) {
        let throttled_for = self.pacer.throttled_for();
        if throttled_for > PATIENCE && self.gave_up.raise() {
            tracing::warn!(product_code = %self.product_code, "no answers for {PATIENCE:?}: left for the next run");
        }
    }

    /// What is left of a region is left for the next run where it has not answered for too long; `local`: because of this machine.
    pub(super) fn give_up_unanswered(&self, region: &Region, service: &Service, local: bool) {
        let outage = service.breaker.outage();
        let others_answer = unpoisoned(&self.services)
            .values()
            .any(|other| other.answered_within(outage));
        let patience = if others_answer {
            PATIENCE_BESIDE_OTHERS
        } else if local {
            LOCAL_PATIENCE
        } else {
            PATIENCE
        };
        if outage > patience && service.gave_up.raise() {
            tracing::warn!(product_code = %self.product_code, %region, "no answers for {patience:?}: left for the next run");
        }
    }

    /// Returns once the lane gave up.
    pub(super) async fn gave_up(&self) {
        self.gave_up.raised().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> (Arc<Lane>, [Region; 2]) {
        let product_code = ProductCode::parse("FACE_LIVENESS").unwrap();
        let regions = ["ap-southeast-1", "ap-southeast-5"].map(|region| Region::parse(region).unwrap());
        (
            Arc::new(Lane::new(
                ProductDue { product_code, due: 1 },
                Arc::new(Pacer::unlimited()),
            )),
            regions,
        )
    }

    async fn outage(service: &Service) {
        let mut outage = false;
        for _ in 0..20 {
            let passage = service.breaker.pass().await;
            outage = service.breaker.failed(passage, true);
        }
        assert!(outage);
        // Who asks whether it is over; the others wait.
        assert!(service.breaker.pass().await.probes());
    }

    fn waiting(lane: &Arc<Lane>, region: &Region) -> tokio::task::JoinSet<bool> {
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (lane, service) = (lane.clone(), lane.service(region));
            waiting.spawn(async move { lane.pass(&service).await.is_none() });
        }
        waiting
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_gives_up_lets_every_waiting_attempt_go() {
        let (lane, [one, _]) = lane();
        let service = lane.service(&one);
        outage(&service).await;
        let waiting = waiting(&lane, &one);
        tokio::time::advance(PATIENCE).await;
        lane.give_up_unanswered(&one, &service, false);
        tokio::time::advance(Duration::from_millis(1)).await;
        lane.give_up_unanswered(&one, &service, false);
        assert_eq!(waiting.join_all().await, [true; 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_beside_one_that_is_well_gives_up_sooner_and_alone() {
        let (lane, [down, well]) = lane();
        let service = lane.service(&down);
        outage(&service).await;
        let waiting = waiting(&lane, &down);
        tokio::time::advance(PATIENCE_BESIDE_OTHERS * 2).await;
        lane.give_up_unanswered(&down, &service, false);
        assert!(!*service.gave_up.0.borrow(), "nobody else answers");
        *unpoisoned(&lane.service(&well).answered_at) = Some(Instant::now());
        lane.give_up_unanswered(&down, &service, false);
        assert_eq!(waiting.join_all().await, [true; 5]);
        assert!(lane.pass(&lane.service(&well)).await.is_some());
    }
}
