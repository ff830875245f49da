//! Queues that share limits: of a region, of a product.

use super::*;

/// Attempts of one queue, one after the other, for as long as the test lasts; counts those that passed.
fn keep_asking(limiter: &Arc<Limiter>, urgency: Urgency, tasks: &mut tokio::task::JoinSet<()>) -> Arc<AtomicU64> {
    let (limiter, passed) = (limiter.clone(), Arc::new(AtomicU64::new(0)));
    let counted = passed.clone();
    tasks.spawn(async move {
        loop {
            let (admitted, unsent) = limiter.admit(urgency).await;
            drop(unsent);
            limiter.answered(admitted);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    passed
}

fn limit(calls_per_second: f64) -> Arc<SharedLimit> {
    Arc::new(SharedLimit::new(Some(calls_per_second)))
}

fn count(passed: &AtomicU64) -> f64 {
    passed.load(Ordering::Relaxed) as f64
}

/// One product in three regions, and a second product in one of them.
#[tokio::test(start_paused = true)]
async fn each_region_is_used_to_the_full_and_none_waits_for_another() {
    const SECONDS: f64 = 120.0;
    let product = limit(50.0);
    let mut tasks = tokio::task::JoinSet::new();
    let mut passed = Vec::new();
    for rate in [10.0, 8.0, 3.0] {
        let region = limit(rate);
        let queue = Arc::new(Limiter::new(Some(rate), vec![region.clone(), product.clone()]));
        let mut of_region = vec![keep_asking(&queue, SOON, &mut tasks)];
        if rate > 9.0 {
            let other = Arc::new(Limiter::new(Some(rate), vec![region, limit(10.0)]));
            of_region.push(keep_asking(&other, SOON, &mut tasks));
        }
        passed.push((rate, of_region));
    }
    tokio::time::sleep(Duration::from_secs_f64(SECONDS)).await;
    for (rate, of_region) in passed {
        let all: f64 = of_region.iter().map(|passed| count(passed)).sum();
        assert!((0.99..=1.0).contains(&(all / (rate * SECONDS))), "{rate}: {all}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_queue_of_a_region_goes_first_and_uses_all_but_what_it_can_not() {
    let (region, slow_product) = (limit(10.0), limit(4.0));
    let mut tasks = tokio::task::JoinSet::new();
    let urgent = Arc::new(Limiter::new(Some(4.0), vec![region.clone(), slow_product]));
    let other = Arc::new(Limiter::new(Some(10.0), vec![region]));
    let other = keep_asking(&other, Urgency(9), &mut tasks);
    let urgent = keep_asking(&urgent, Urgency(1), &mut tasks);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let (urgent, other) = (count(&urgent), count(&other));
    // When its product has room it waits for the region's next call, and makes up for no such wait.
    assert!(urgent > 0.8 * 400.0, "{urgent}");
    assert!(urgent + other > 0.99 * 1_000.0, "{urgent} and {other}");
}

/// The one is throttled whenever it asks.
#[tokio::test(start_paused = true)]
async fn a_queue_that_is_always_throttled_starves_no_other() {
    let all = limit(50.0);
    let mut tasks = tokio::task::JoinSet::new();
    let bad = Arc::new(Limiter::new(Some(50.0), vec![all.clone()]));
    tasks.spawn(async move {
        loop {
            let (admitted, unsent) = bad.admit(Urgency(1)).await;
            drop(unsent);
            bad.throttled(admitted, Some(Duration::from_secs(5)));
        }
    });
    let good = Arc::new(Limiter::new(Some(50.0), vec![all]));
    let good = keep_asking(&good, Urgency(9), &mut tasks);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(count(&good) > 0.98 * 3_000.0, "{}", count(&good));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_holds_nobody_up() {
    let all = limit(1.0);
    let (gone, stays) = (
        Limiter::new(Some(1.0), vec![all.clone()]),
        Limiter::new(Some(1.0), vec![all]),
    );
    let (gone, stays) = (Arc::new(gone), Arc::new(stays));
    drop(stays.admit(SOON).await);
    let given_up = tokio::time::timeout(Duration::from_millis(100), gone.admit(SOON)).await;
    assert!(given_up.is_err());
    let before = Instant::now();
    stays.admit(Urgency(9)).await;
    assert!(
        before.elapsed() < Duration::from_millis(1_100),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn another_share_of_the_quota_holds_from_its_hour_on() {
    let region = limit(8.0);
    let queue = Arc::new(Limiter::new(Some(8.0), vec![region.clone()]));
    let mut tasks = tokio::task::JoinSet::new();
    let passed = keep_asking(&queue, SOON, &mut tasks);
    tokio::time::sleep(Duration::from_secs(50)).await;
    let before = count(&passed);
    region.set_rate(9.0);
    queue.set_rate(9.0);
    tokio::time::sleep(Duration::from_secs(50)).await;
    let after = count(&passed) - before;
    assert!((395.0..=400.0).contains(&before), "{before}");
    assert!((444.0..=450.0).contains(&after), "{after}");
}

/// What the vendor's answers left of the rate stays: a new hour is no reason to be throttled again.
#[test]
fn a_rate_that_was_lowered_stays_where_it_is_when_the_share_grows() {
    let start = Instant::now();
    let mut rate = Rate::new(8.0, start);
    rate.decrease(0, None, start);
    let lowered = rate.calls_per_second();
    rate.set(9.0, start);
    assert!((rate.calls_per_second() - lowered).abs() < 1e-9);
    rate.set(2.0, start);
    assert!((rate.calls_per_second() - 2.0).abs() < 1e-9);
}
