#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod patterns;
mod shared_limits;
mod shared_quota;

use super::*;

const SOON: Urgency = Urgency(0);

/// A clock of the test's own: states are handed every instant.
fn at(start: Instant, seconds: f64) -> Instant {
    start + Duration::from_secs_f64(seconds)
}

impl LimiterState {
    /// `Err`: how long to wait before asking again.
    fn try_admit(&mut self, now: Instant) -> Result<Admitted, Duration> {
        match self.wait(now) {
            Duration::ZERO => Ok(self.pass(now)),
            wait => Err(wait),
        }
    }
}

/// An attempt whose request is sent at once.
fn send(state: &mut LimiterState, now: Instant) -> Result<Admitted, Duration> {
    let admitted = state.try_admit(now)?;
    state.sent(admitted.number, now);
    Ok(admitted)
}

/// Attempts for which there is always work, over `seconds`, of a gate whose timers fire late by `lateness()`; gives the
/// seconds at which they passed.
fn admissions(qps: f64, seconds: f64, mut lateness: impl FnMut() -> f64) -> Vec<f64> {
    let start = Instant::now();
    let mut state = LimiterState::new(qps, start);
    let (mut now, mut admitted) = (0.0, Vec::new());
    while now < seconds {
        match send(&mut state, at(start, now)) {
            Ok(_) => admitted.push(now),
            Err(wait) => now += wait.as_secs_f64() + lateness(),
        }
    }
    admitted
}

/// The most admissions in any half-open window of one second.
fn most_in_a_second(admitted: &[f64]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, at) in admitted.iter().enumerate() {
        while admitted[first] <= at - 1.0 {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

/// Calls a second between the first and the last, as a share of `qps`.
fn used(admitted: &[f64], qps: f64) -> f64 {
    let seconds = admitted[admitted.len() - 1] - admitted[0];
    (admitted.len() - 1) as f64 / seconds / qps
}

#[test]
fn the_rate_is_used_to_ninety_nine_hundredths() {
    let mut random = fastrand::Rng::with_seed(7);
    for qps in [0.1, 1.0, 2.5, 5.0, 40.0, 50.0, 333.0, 5_000.0] {
        let seconds = if qps > 1_000.0 { 4.0 } else { 60.0 };
        // A timer has a grain of 1 ms.
        let admitted = admissions(qps, seconds, || random.f64() * 0.001);
        assert!(most_in_a_second(&admitted) as f64 <= qps.ceil(), "{qps}");
        assert!(used(&admitted, qps) > 0.99, "{qps}: {}", used(&admitted, qps));
    }
}

fn tell(state: &mut LimiterState, attempt: Admitted, throttled: bool, retry_after: Option<Duration>, now: Instant) {
    if throttled {
        state.throttled(attempt, retry_after, now);
    } else {
        state.answered(attempt, now);
    }
}

#[test]
fn a_request_holds_its_place_until_a_second_after_it_was_sent() {
    let start = Instant::now();
    let mut state = LimiterState::new(2.0, start);
    let first = state.try_admit(at(start, 1.0)).unwrap();
    let second = state.try_admit(at(start, 2.0)).unwrap();
    assert!(
        state.try_admit(at(start, 60.0)).is_err(),
        "both may reach the vendor at any time"
    );
    state.sent(first.number, at(start, 60.0));
    state.sent(second.number, at(start, 60.5));
    assert!(state.try_admit(at(start, 61.0)).is_err());
    state.try_admit(at(start, 61.01)).unwrap();
}

#[test]
fn a_pause_of_the_caller_is_not_made_up_for_by_a_burst() {
    let start = Instant::now();
    let mut state = LimiterState::new(50.0, start);
    send(&mut state, start).unwrap();
    let later = at(start, 10.0);
    send(&mut state, later).unwrap();
    assert!(state.try_admit(later).is_err());
}

fn rate_of(state: &LimiterState) -> f64 {
    state.limited.as_ref().unwrap().rate.calls_per_second()
}

#[test]
fn throttled_answers_lower_the_rate_once_per_epoch_and_success_restores_it() {
    let start = Instant::now();
    let mut state = LimiterState::new(40.0, start);
    let before = state.try_admit(start).unwrap();
    for _ in 0..10 {
        state.throttled(before, None, at(start, 0.1));
    }
    assert!(
        (rate_of(&state) - 37.6).abs() < 1e-9,
        "ten answers to one rate count once"
    );
    state.answered(before, at(start, 2.0));
    assert!((rate_of(&state) - 37.6).abs() < 1e-9, "it was sent at the rate before");
    let after = state.try_admit(at(start, 2.0)).unwrap();
    for second in 2..=30 {
        state.answered(after, at(start, f64::from(second)));
    }
    assert!((rate_of(&state) - 40.0).abs() < 1e-9);
}

#[test]
fn what_was_granted_is_kept_to_at_once_and_the_first_that_was_throttled_says_it() {
    let start = Instant::now();
    let mut state = LimiterState::new(50.0, start);
    let mut attempts = Vec::new();
    let mut now = 0.0;
    while attempts.len() < 35 {
        match send(&mut state, at(start, now)) {
            Ok(attempt) => attempts.push(attempt),
            Err(wait) => now += wait.as_secs_f64(),
        }
    }
    // 30 were granted. The answers come in another order.
    for (throttled, granted) in [(34, 34.0), (31, 31.0), (30, 30.0), (33, 30.0), (32, 30.0)] {
        state.throttled(attempts[throttled], None, at(start, 0.75));
        assert!((rate_of(&state) - 0.975 * granted).abs() < 1e-9, "{throttled}");
    }
    assert!(
        state.try_admit(at(start, 0.99)).is_err(),
        "the pause is over, but not the second that began with the first call"
    );
    send(&mut state, at(start, 1.01)).unwrap();
}

#[test]
fn the_rate_has_a_floor_from_which_it_recovers_within_thirty_seconds() {
    let start = Instant::now();
    let mut rate = Rate::new(50.0, start);
    for epoch in 0..5 {
        rate.decrease(epoch, None, start);
    }
    assert!(rate.calls_per_second() <= 5.0, "a tenth after five answers in a row");
    for epoch in 5..20 {
        rate.decrease(epoch, None, start);
    }
    assert!((rate.calls_per_second() - 0.5).abs() < 1e-9);
    for second in 1..=30 {
        rate.recover(20, at(start, f64::from(second)));
    }
    assert!((rate.calls_per_second() - 50.0).abs() < 1e-9);
}

/// A vendor that throttles everything for two minutes, as told by its header, and answers within 20 to 200 ms. Gives the
/// seconds at which attempts were admitted.
fn throttled_for_two_minutes(qps: f64, retry_after: Option<Duration>) -> Vec<f64> {
    let (start, mut random) = (Instant::now(), fastrand::Rng::with_seed(3));
    let mut state = LimiterState::new(qps, start);
    let (mut now, mut admitted) = (0.0, Vec::new());
    // Answers on their way: when they come, to which attempt, and whether they are throttled ones.
    let mut answers: Vec<(f64, Admitted, bool)> = Vec::new();
    while now < 200.0 {
        answers.sort_by(|a, b| b.0.total_cmp(&a.0));
        while let Some((came, attempt, throttled)) = answers.pop_if(|answer| answer.0 <= now) {
            tell(&mut state, attempt, throttled, retry_after, at(start, came));
        }
        match send(&mut state, at(start, now)) {
            Ok(attempt) => {
                admitted.push(now);
                let throttled = (10.0..130.0).contains(&now);
                answers.push((now + 0.02 + 0.18 * random.f64(), attempt, throttled));
            }
            Err(_) => now += 0.001,
        }
    }
    admitted
}

#[test]
fn minutes_of_throttling_cost_a_tenth_of_the_rate_within_five_seconds_and_thirty_seconds_after() {
    // Good, missing or garbage (both are none), and huge, as the client caps it.
    for (qps, told) in [50.0, 4.0]
        .into_iter()
        .flat_map(|qps| [Some(300), Some(2_000), None, Some(10_000)].map(|told| (qps, told)))
    {
        let admitted = throttled_for_two_minutes(qps, told.map(Duration::from_millis));
        let case = format!("{qps} a second, told {told:?}");
        // In calls a second.
        let rate = |from: i32, seconds: i32| {
            let (from, seconds) = (f64::from(from), f64::from(seconds));
            let within = admitted.iter().filter(|at| (from..from + seconds).contains(*at));
            within.count() as f64 / seconds
        };
        assert!(rate(5, 5) >= 0.95 * qps, "{case}: at full pace before");
        for second in 15..120 {
            assert!(rate(second, 10) < qps / 10.0, "{case}: second {second}");
        }
        let back = (130..195).find(|second| rate(*second, 5) >= 0.95 * qps);
        assert!(back.is_some_and(|second| second <= 160), "{case}: {back:?}");
    }
}

#[test]
fn a_retry_after_is_obeyed_and_never_shorter_than_our_own_pause() {
    let start = Instant::now();
    for (told, wait) in [(Some(3_000), 3_000), (Some(0), 200), (None, 200)] {
        let mut state = LimiterState::new(50.0, start);
        let admitted = state.try_admit(start).unwrap();
        state.throttled(admitted, told.map(Duration::from_millis), start);
        assert_eq!(state.try_admit(start).unwrap_err(), Duration::from_millis(wait));
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_a_second_after_its_attempt_ended() {
    let limiter = Arc::new(Limiter::new(Some(1.0), Vec::new()));
    let (_, unsent) = limiter.admit(SOON).await;
    let second = tokio::time::timeout(Duration::from_mins(1), limiter.admit(SOON));
    assert!(second.await.is_err(), "the first may still be sent");
    drop(unsent);
    let dropped = Instant::now();
    limiter.admit(SOON).await;
    assert!(dropped.elapsed() > Duration::from_secs(1));
    assert!(dropped.elapsed() < Duration::from_millis(1_100));
}

#[tokio::test(start_paused = true)]
async fn waiting_attempts_pass_in_the_order_in_which_they_came() {
    let limiter = std::sync::Arc::new(Limiter::new(Some(10.0), Vec::new()));
    let order = std::sync::Arc::new(Mutex::new(Vec::new()));
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..5 {
        let (limiter, order) = (limiter.clone(), order.clone());
        waiting.spawn(async move {
            limiter.admit(SOON).await;
            order.lock().unwrap().push(number);
        });
        tokio::task::yield_now().await;
    }
    waiting.join_all().await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}
