//! One call: attempts for one id, from the plan's row to the committed settlement.
//!
//! - [`Fetch::call`]: the call
//! - [`Seen`]: what an attempt brought
//! - [`Ended`]: how a call ended

use std::sync::Arc;

use jiff::Timestamp;

use super::counts::Outcome;
use super::pass::Left;
use super::queue::Passed;
use super::{Fetch, Refusal, RequestQueue, Step, Work, step};
use crate::error_chain;
use crate::ledger::{LedgerError, Settled, Settlement};
use crate::pace::{Admitted, Unsent, Urgency};
use crate::record::{Due, expires_at};
use crate::stop::StopReason;
use crate::vendor::{AccountFault, Answer, Disposition, Fault, FaultyReply, Reply, Room, UntilSent, classify};

/// So often the wish to be left alone for a while is granted in a row to a refusal of one id that is no throttling by its code.
/// Then the refusal stands.
const WAITS_FOR_A_REFUSAL: u32 = 3;

/// After so many throttled answers in a row an id is left for the next pass where the vendor has answered as many others meanwhile.
const THROTTLED_IN_A_ROW: u32 = 5;

/// What an attempt brought, and what is written down of it.
pub(super) struct Seen {
    step: Step,
    /// The service answered, whatever it said, as opposed to failing or not being there.
    pub(super) reached: bool,
    /// It answered about the id that was asked for.
    pub(super) normal: bool,
    origin: Origin,
    call_code: String,
    message: Option<String>,
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

/// How a call ended.
struct Ended {
    settlement: Settlement,
    /// What its reply takes until it is committed.
    room: Room,
    left: Left,
}

/// What follows from an attempt.
enum Next {
    Ended(Box<Ended>),
    Attempt,
}

/// A call under way.
struct Call<'a> {
    due: &'a Due,
    urgency: Urgency,
    /// Attempts that count against the id.
    charged: u32,
    /// The credentials were renewed since the last answer that did not ask for it.
    refreshed: bool,
    /// An attempt has failed.
    failed: bool,
    /// Throttled answers in a row, and how many others were answered when the first of them came.
    throttled: u32,
    others_answered: u64,
}

impl<'a> Call<'a> {
    fn new(due: &'a Due, now: Timestamp) -> Self {
        Self {
            due,
            urgency: urgency(due, now),
            charged: 0,
            refreshed: false,
            failed: false,
            throttled: 0,
            others_answered: 0,
        }
    }

    fn end(&self, seen: Seen, now: Timestamp, attempts: u32, settled: Settled) -> Ended {
        Ended {
            settlement: Settlement {
                due: self.due.clone(),
                attempts,
                call_code: seen.call_code,
                message: seen.message,
                called_at: now,
                settled,
            },
            room: Room::default(),
            left: Left::NextRun,
        }
    }

    /// One more throttled answer. True where it is this id that is throttled, and no other.
    fn is_throttled_alone(&mut self, queue: &RequestQueue) -> bool {
        let answered = queue.answered_calls();
        if self.throttled == 0 {
            self.others_answered = answered;
        }
        self.throttled += 1;
        self.throttled >= THROTTLED_IN_A_ROW && answered - self.others_answered >= u64::from(THROTTLED_IN_A_ROW)
    }
}

impl Fetch {
    /// One call, from the plan's row to the committed settlement. It holds its place among the calls in flight until
    /// then: what a crash can cost is never more than those.
    pub(super) async fn call(&self, work: &Work<'_>, due: Due) -> Result<(), LedgerError> {
        if let Err(none) = self.space.check_call() {
            self.stop.request(StopReason::NoSpace(none));
        }
        let (outcome, left) = match self.attempts(work, &due).await {
            Some(Ended { settlement, room, left }) => {
                let outcome = Outcome::of(&settlement.settled);
                if let Settled::Journalled { body, .. } = &settlement.settled {
                    self.space.keep(body.len());
                }
                if outcome == Outcome::Left && left == Left::NextRun {
                    work.passes.exclude(due.number);
                }
                work.writer.settle(settlement).await?;
                drop(room);
                (outcome, left)
            }
            None => (Outcome::Left, Left::Again),
        };
        work.queue.counts.settle(outcome);
        work.pass.ended(outcome, left);
        Ok(())
    }

    /// Attempts for one id until there is something to settle; `None` where the run stops first. What is rarely awaited is boxed:
    /// each caller would have its size.
    async fn attempts(&self, work: &Work<'_>, due: &Due) -> Option<Ended> {
        let queue = &**work.queue;
        if !self.client.serves(&due.region) {
            return Some(self.unserved(due));
        }
        work.pass.budget.earn();
        let mut call = Call::new(due, self.clock.now());
        loop {
            let passed = self.pass(queue, call.urgency).await?;
            if let Some(other) = passed.breaker.probes().then(|| queue.probes.next()).flatten() {
                Box::pin(self.probe(work, passed, other)).await?;
                continue;
            }
            let tried = self.exchange(queue, due, passed.unsent).await?;
            let now = self.clock.now();
            let reply = tried.as_ref().map(|(reply, _)| reply);
            let seen = self.read(work, passed.pacer, &mut call, reply, now);
            // What is not kept gives its room back now: whoever waits below may wait for one who needs room.
            let kept = tried
                .ok()
                .filter(|_| matches!(seen.step, Step::Journal { .. } | Step::KeepUnknown { .. }));
            let new_id = !seen.reached && !std::mem::replace(&mut call.failed, true);
            let outage = queue.tell(&seen, passed.breaker, new_id);
            if seen.origin == Origin::UnknownCode && queue.refusals.refused(due.number, &seen.call_code) {
                self.give_up_refused(queue, &seen);
            }
            if passed.alone.is_some() && !matches!(seen.step, Step::Refresh(_) | Step::Stop(_)) {
                queue.opening.open();
            }
            if let Some((reply, room)) = kept {
                return Some(self.kept(queue, &call, seen, now, (reply, room)));
            }
            match Box::pin(self.follow(work, &mut call, seen, outage, now)).await? {
                Next::Ended(ended) => return Some(*ended),
                Next::Attempt => {}
            }
            // Only now: where the run stops, nobody else calls.
            drop(passed.alone);
        }
    }

    /// Does what follows from an attempt that brought no final reply.
    async fn follow(
        &self,
        work: &Work<'_>,
        call: &mut Call<'_>,
        mut seen: Seen,
        outage: bool,
        now: Timestamp,
    ) -> Option<Next> {
        let queue = &**work.queue;
        let step = std::mem::replace(&mut seen.step, Step::WaitForQuota);
        match step {
            Step::Settle(settled) => {
                let ended = call.end(seen, now, call.charged + 1, settled);
                return Some(Next::Ended(Box::new(ended)));
            }
            Step::Again { .. } if outage => queue.give_up_unanswered(seen.origin == Origin::ThisMachine),
            Step::Again { answered } => {
                call.charged += 1;
                if call.charged >= self.settings.retry.attempts_per_call || !work.pass.budget.take() {
                    let answered = answered && self.answers_others(work, call.urgency).await?;
                    let settled = self.give_up(work, call.due, answered);
                    let ended = call.end(seen, now, call.charged, settled);
                    let left = Left::Again;
                    return Some(Next::Ended(Box::new(Ended { left, ..ended })));
                }
                queue.counts.retried();
                self.back_off(call.charged).await?;
            }
            Step::WaitForQuota => {
                if call.is_throttled_alone(queue) {
                    let ended = call.end(seen, now, call.charged, Settled::Left { answered: false });
                    let left = Left::Again;
                    return Some(Next::Ended(Box::new(Ended { left, ..ended })));
                }
                queue.give_up_throttled();
            }
            Step::Refresh(fault) => self.refresh(call, fault).await,
            Step::Stop(why) => self.stop.request(why),
            // It was kept.
            Step::Journal { .. } | Step::KeepUnknown { .. } => {}
        }
        Some(Next::Attempt)
    }

    /// Renews the credentials once for the call; where that does not help, nobody has better ones.
    async fn refresh(&self, call: &mut Call<'_>, fault: AccountFault) {
        let newer =
            !std::mem::replace(&mut call.refreshed, true) && self.client.refresh_credentials().await.unwrap_or(false);
        if !newer {
            self.stop.request(StopReason::Account(Arc::new(fault)));
        }
    }

    /// What becomes of an id for which no more attempts are made in this pass. It is given up for good only when it has had as many
    /// passes as there are at least.
    fn give_up(&self, work: &Work<'_>, due: &Due, answered: bool) -> Settled {
        if work.pass.is_last_chance(self.settings.pauses.is_empty()) {
            self.settings.limits.give_up(due, answered)
        } else {
            Settled::Left { answered }
        }
    }

    /// Whether the vendor answers other ids of the queue, so that a failure is this id's. Asks where nothing has been
    /// answered yet.
    async fn answers_others(&self, work: &Work<'_>, urgency: Urgency) -> Option<bool> {
        let queue = &**work.queue;
        if !queue.answers()
            && let Some(other) = queue.probes.answered_before()
        {
            let passed = self.pass(queue, urgency).await?;
            self.probe(work, passed, other).await?;
        }
        Some(queue.answers())
    }

    /// A pass has brought no answer, from too few ids to know an outage by: it is asked about a record that was answered before,
    /// where there is one.
    pub(super) async fn ask_whether_it_answers(&self, work: &Work<'_>) {
        if let Some(other) = work.queue.probes.answered_before()
            && let Some(passed) = self.pass(work.queue, urgency(other, self.clock.now())).await
        {
            // Where the run stops meanwhile it does not matter.
            let _ = self.probe(work, passed, other).await;
        }
    }

    /// Asks about another record whether the vendor answers. What it says of that record is not kept.
    async fn probe(&self, work: &Work<'_>, passed: Passed, other: &Due) -> Option<()> {
        let queue = &**work.queue;
        let tried = self.exchange(queue, other, passed.unsent).await?;
        let now = self.clock.now();
        let reply = tried.as_ref().map(|(reply, _)| reply);
        let seen = self.read(work, passed.pacer, &mut Call::new(other, now), reply, now);
        if queue.tell(&seen, passed.breaker, false) {
            queue.give_up_unanswered(seen.origin == Origin::ThisMachine);
        }
        if let Step::Stop(why) = seen.step {
            self.stop.request(why);
        }
        Some(())
    }

    /// An attempt met something in place of a good answer.
    fn met_trouble(&self, queue: &RequestQueue, code: &str, message: Option<&str>) {
        let host = self.client.host_of(&queue.region);
        let troubles = queue.counts.troubles();
        troubles.met(&queue.product_code, &queue.region, host, code, message);
    }

    /// Leaves the queue for the next run, as every id is refused there.
    fn give_up_refused(&self, queue: &RequestQueue, seen: &Seen) {
        if queue.give_up_refused() {
            let refusal = Refusal {
                product_code: queue.product_code.to_string(),
                region: queue.region.to_string(),
                host: self.client.host_of(&queue.region).to_owned(),
                code: seen.call_code.clone(),
                message: seen.message.clone(),
            };
            tracing::warn!("{refusal}; the rest is left for the next run");
            queue.counts.troubles().every_id_refused(refusal);
        }
    }

    /// A record whose region has lost its endpoint since it came in: nothing can be asked.
    fn unserved(&self, due: &Due) -> Ended {
        let seen = Seen {
            step: Step::WaitForQuota,
            reached: false,
            normal: false,
            origin: Origin::Other,
            call_code: "no_endpoint".to_owned(),
            message: Some(format!("no endpoint is known for the region {}", due.region)),
        };
        let now = self.clock.now();
        Call::new(due, now).end(seen, now, 0, Settled::Left { answered: false })
    }

    /// Passes the gates; `None` where the run stops before that.
    async fn pass(&self, queue: &RequestQueue, urgency: Urgency) -> Option<Passed> {
        if self.stop.is_requested() {
            return None;
        }
        // Most pass at once, and then nothing has to listen for the stop.
        tokio::select! {
            biased;
            // Who waited for the first call of the region may have waited for the one that stops the run.
            passed = queue.pass(urgency) => passed.filter(|_| !self.stop.is_requested()),
            () = self.stop.requested() => None,
        }
    }

    /// One attempt; `None` where the run stops before it is answered.
    async fn exchange(
        &self,
        queue: &RequestQueue,
        due: &Due,
        unsent: Option<Unsent>,
    ) -> Option<Result<(Reply, Room), Fault>> {
        queue.counts.attempted();
        let unsent = unsent.map(|unsent| Box::new(unsent) as UntilSent);
        tokio::select! {
            biased;
            tried = self.client.attempt(due, unsent) => Some(tried),
            () = self.stop.grace_over() => None,
        }
    }

    /// What follows from what was tried; tells the limiter and the pass.
    fn read(
        &self,
        work: &Work<'_>,
        admitted: Admitted,
        call: &mut Call<'_>,
        tried: Result<&Reply, &Fault>,
        now: Timestamp,
    ) -> Seen {
        let seen = match tried {
            Ok(reply) => self.read_reply(work.queue, admitted, call, reply, now),
            Err(fault) => self.read_fault(work.queue, call.due, fault),
        };
        if seen.reached {
            work.pass.answered();
        }
        if !matches!(seen.step, Step::Refresh(_)) {
            call.refreshed = false;
        }
        if !matches!(seen.step, Step::WaitForQuota) {
            call.throttled = 0;
        }
        let failed = matches!(seen.step, Step::Again { .. });
        work.queue.slow_down_while_sick(failed, work.pass.number > 1);
        seen
    }

    fn read_reply(
        &self,
        queue: &RequestQueue,
        admitted: Admitted,
        call: &Call<'_>,
        reply: &Reply,
        now: Timestamp,
    ) -> Seen {
        let mut classified = self.client.redact(classify(reply, self.wall_clock.now()));
        if let Answer::Throttled {
            refused: Some(refused), ..
        } = &classified.answer
            && call.throttled >= WAITS_FOR_A_REFUSAL
        {
            classified.answer = Answer::clone(refused);
        }
        let step = step(&classified.answer, call.due, now, &self.settings.limits);
        if let Answer::Throttled { retry_after, .. } = classified.answer {
            queue.counts.throttled();
            queue.limiter.throttled(admitted, retry_after);
        } else {
            queue.limiter.answered(admitted);
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
            let (code, message) = (&classified.call_code, classified.message.as_deref());
            self.met_trouble(queue, code, message);
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

    fn read_fault(&self, queue: &RequestQueue, due: &Due, fault: &Fault) -> Seen {
        let why = error_chain(fault);
        tracing::debug!(transaction_id = %due.transaction_id, error = %why, "attempt failed");
        self.met_trouble(queue, fault.code(), Some(&why));
        let step = match fault.disposition() {
            Disposition::Retry => Step::Again { answered: false },
            Disposition::Refuse => Step::Settle(self.settings.limits.give_up(due, true)),
            Disposition::Abort => Step::Stop(no_call_can_be_made(fault)),
        };
        Seen {
            step,
            // A fault before anything was sent is no answer.
            reached: matches!(fault, Fault::TooLarge { .. }),
            normal: false,
            origin: match fault {
                Fault::Local { .. } => Origin::ThisMachine,
                _ => Origin::Other,
            },
            call_code: fault.code().to_owned(),
            message: Some(fault.to_string()),
        }
    }

    /// A reply that is kept: a final one, or one whose verdict is none.
    fn kept(
        &self,
        queue: &RequestQueue,
        call: &Call<'_>,
        mut seen: Seen,
        now: Timestamp,
        (reply, room): (Reply, Room),
    ) -> Ended {
        let settled = match std::mem::replace(&mut seen.step, Step::WaitForQuota) {
            Step::Journal { passed, sub_code } => {
                queue.probes.answered(call.due);
                let body = reply.body;
                Settled::Journalled { passed, sub_code, body }
            }
            Step::KeepUnknown { passed, next_due_at } => Settled::Unknown {
                passed,
                next_due_at,
                body: self.client.redact_body(reply.body),
            },
            _ => Settled::Left { answered: false },
        };
        let ended = call.end(seen, now, call.charged + 1, settled);
        Ended { room, ..ended }
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

/// The same order as that of the plan: the earliest time at which the vendor may delete a record, those past their deadline last.
fn urgency(due: &Due, now: Timestamp) -> Urgency {
    if due.deadline() <= now {
        return Urgency(i64::MAX);
    }
    Urgency(due.verified_at.map_or(due.first_seen_at, expires_at).as_microsecond())
}

fn no_call_can_be_made(fault: &Fault) -> StopReason {
    let why = error_chain(fault).into();
    match fault {
        Fault::Certificate { .. } => StopReason::Certificate(why),
        Fault::Local { kind, .. } => StopReason::Local(*kind, why),
        _ => StopReason::Credentials(why),
    }
}
