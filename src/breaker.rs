//! Waits an outage out: while the vendor does not answer at all, one attempt at a time asks whether it does again, and
//! no id is charged for it.
//!
//! - [`Breaker`]: the gate that every attempt of a queue passes
//! - [`ATTEMPTS_IN_A_ROW`]: what an outage is known by
//! - [`BreakerPermit`]: a passed attempt, so that the one that asks is known from those that were under way

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many attempts in a row without an answer are an outage, if they are those of enough ids.
pub const ATTEMPTS_IN_A_ROW: u32 = 20;

/// A few ids that always fail are no outage.
const IDS_IN_A_ROW: u32 = 5;

/// An outage that was over at the first question was perhaps none: then it takes twice as many attempts until the next, up
/// to so many times twice.
const DOUBT_MOST: u32 = 4;

/// So many answers in a row take the doubt away.
const ANSWERS_IN_A_ROW: u32 = 100;

/// The wait before the first question whether the vendor answers again; it doubles with each that fails.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait between two such questions.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How often a waiting attempt looks whether the outage is over.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The gate of one queue's attempts.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

/// An attempt that passed.
#[derive(Debug, Clone, Copy)]
pub struct BreakerPermit {
    probes: bool,
}

impl BreakerPermit {
    /// Whether it is this attempt that asks if the outage is over.
    pub const fn probes(self) -> bool {
        self.probes
    }
}

#[derive(Debug, Default)]
struct State {
    attempts_in_a_row: u32,
    ids_in_a_row: u32,
    answers_in_a_row: u32,
    /// How many outages in a row were over at the first question.
    doubt: u32,
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    wait: Duration,
    probe_at: Instant,
    probing: bool,
}

impl Breaker {
    /// Waits while there is an outage, unless it is this attempt's turn to ask whether it is over. Dropping the future is
    /// safe; dropping what it gave is not: say how the attempt ended.
    pub async fn pass(&self) -> BreakerPermit {
        loop {
            let passed = self.state().try_pass(Instant::now());
            match passed {
                Ok(permit) => return permit,
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// The vendor answered, whatever it said.
    pub fn answered(&self, permit: BreakerPermit) {
        self.state().answered(permit);
    }

    /// It did not; `new_id`: this was the first attempt for its id. True while there is an outage.
    pub fn failed(&self, permit: BreakerPermit, new_id: bool) -> bool {
        self.state().failed(permit, new_id, Instant::now())
    }

    /// For how long there has been an outage.
    pub fn outage(&self) -> Duration {
        let since = self.state().outage.as_ref().map(|outage| outage.since);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn try_pass(&mut self, now: Instant) -> Result<BreakerPermit, Duration> {
        let Some(outage) = &mut self.outage else {
            return Ok(BreakerPermit { probes: false });
        };
        if outage.probing || now < outage.probe_at {
            return Err(LOOK_EVERY);
        }
        outage.probing = true;
        Ok(BreakerPermit { probes: true })
    }

    fn answered(&mut self, permit: BreakerPermit) {
        (self.attempts_in_a_row, self.ids_in_a_row) = (0, 0);
        self.answers_in_a_row = self.answers_in_a_row.saturating_add(1);
        if self.answers_in_a_row >= ANSWERS_IN_A_ROW {
            self.doubt = 0;
        }
        if let Some(outage) = self.outage.take() {
            if outage.wait > FIRST_WAIT {
                self.doubt = 0;
            } else if permit.probes {
                self.doubt = (self.doubt + 1).min(DOUBT_MOST);
            }
            tracing::warn!("the vendor answers again");
        }
    }

    fn failed(&mut self, permit: BreakerPermit, new_id: bool, now: Instant) -> bool {
        self.answers_in_a_row = 0;
        self.attempts_in_a_row += 1;
        self.ids_in_a_row += u32::from(new_id);
        let unanswered = self.attempts_in_a_row >= ATTEMPTS_IN_A_ROW << self.doubt;
        match &mut self.outage {
            Some(outage) if permit.probes => {
                outage.wait = (outage.wait * 2).min(LONGEST_WAIT);
                outage.probe_at = now + outage.wait;
                outage.probing = false;
            }
            None if unanswered && self.ids_in_a_row >= IDS_IN_A_ROW => {
                tracing::warn!("the vendor does not answer: waiting, and asking from time to time");
                let probe_at = now + FIRST_WAIT;
                self.outage = Some(Outage {
                    since: now,
                    wait: FIRST_WAIT,
                    probe_at,
                    probing: false,
                });
            }
            // One that was under way when it began, or not enough in a row.
            _ => {}
        }
        self.outage.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(at: Instant) -> State {
        let mut state = State::default();
        for _ in 0..ATTEMPTS_IN_A_ROW {
            let permit = state.try_pass(at).unwrap();
            state.failed(permit, true, at);
        }
        state
    }

    #[test]
    fn a_few_ids_that_always_fail_are_no_outage() {
        let now = Instant::now();
        let mut state = State::default();
        for attempt in 0..1_000 {
            let permit = state.try_pass(now).unwrap();
            assert!(!state.failed(permit, attempt % 250 == 0, now), "4 ids, however often");
        }
        state.answered(BreakerPermit { probes: true });
        for _ in 0..1_000 {
            let permit = state.try_pass(now).unwrap();
            assert!(!state.failed(permit, true, now));
            state.answered(BreakerPermit { probes: true });
        }
    }

    #[test]
    fn few_in_flight_are_enough_to_know_an_outage() {
        let now = Instant::now();
        let mut state = State::default();
        let outages = (0..24).map(|attempt| state.failed(BreakerPermit { probes: false }, attempt < 6, now));
        assert_eq!(outages.filter(|outage| !outage).count(), 19);
    }

    #[test]
    fn false_alarms_make_the_next_one_rarer_until_the_vendor_answers_again() {
        let now = Instant::now();
        let (own, probe) = (BreakerPermit { probes: false }, BreakerPermit { probes: true });
        let mut state = State::default();
        let until_the_next = |state: &mut State| 1 + (0..1_000).take_while(|_| !state.failed(own, true, now)).count();
        for expected in [20, 40, 80, 160, 320, 320] {
            assert_eq!(until_the_next(&mut state), expected);
            state.answered(probe);
        }
        for _ in 0..ANSWERS_IN_A_ROW {
            state.answered(own);
        }
        assert_eq!(until_the_next(&mut state), 20);
        // An answer that was under way says nothing of the outage.
        state.answered(own);
        assert_eq!(until_the_next(&mut state), 20);
        state.answered(probe);
        assert_eq!(until_the_next(&mut state), 40);
        // One that was still there at the first question was no false alarm.
        state.failed(probe, false, now);
        state.answered(probe);
        assert_eq!(until_the_next(&mut state), 20);
    }

    #[test]
    fn in_an_outage_one_attempt_at_a_time_asks_and_less_and_less_often() {
        let start = Instant::now();
        let mut state = broken(start);
        let mut now = start;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(
                state
                    .try_pass(now + Duration::from_millis(seconds * 1_000 - 1))
                    .is_err(),
                "{seconds}"
            );
            now += Duration::from_secs(seconds);
            let permit = state.try_pass(now).unwrap();
            assert!(state.try_pass(now).is_err(), "one at a time");
            assert!(state.failed(permit, false, now));
        }
    }

    #[test]
    fn attempts_that_were_under_way_do_not_put_the_question_off() {
        let start = Instant::now();
        let mut state = broken(start);
        for _ in 0..64 {
            assert!(state.failed(BreakerPermit { probes: false }, true, start));
        }
        assert!(state.try_pass(start + FIRST_WAIT).is_ok());
    }

    #[test]
    fn the_first_answer_ends_it() {
        let start = Instant::now();
        let mut state = broken(start);
        assert!(state.try_pass(start).is_err());
        state.answered(BreakerPermit { probes: true });
        assert!(state.try_pass(start).is_ok() && state.try_pass(start).is_ok());
    }
}
