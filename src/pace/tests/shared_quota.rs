//! Quotas that are lower than what was set, and such as others use, too.

use std::collections::VecDeque;

use super::*;

/// How a vendor counts.
#[derive(Debug, Clone, Copy)]
enum Counts {
    /// In any second, wherever it begins.
    Sliding,
    /// The same, those that it throttles too.
    Refused,
    /// In each second of the clock.
    ByTheClock,
    /// A bucket that holds so many calls, and is filled evenly.
    Bucket(f64),
}

/// A vendor that answers within 20 to 200 ms.
struct Vendor {
    quota: usize,
    counts: Counts,
    /// When the calls of the last second came that were not throttled.
    counted: VecDeque<f64>,
    /// When the bucket is full again.
    full_at: f64,
    /// When calls of others come, in order.
    others: VecDeque<f64>,
    /// Those of the others that were throttled.
    lost: usize,
}

impl Vendor {
    fn new(quota: usize, others: VecDeque<f64>) -> Self {
        Self {
            quota,
            counts: Counts::Sliding,
            full_at: 0.0,
            counted: VecDeque::new(),
            others,
            lost: 0,
        }
    }

    fn takes(&mut self, now: f64) -> bool {
        let quota = self.quota;
        let gone = |first: &f64| match self.counts {
            Counts::ByTheClock => first.floor() < now.floor(),
            _ => first + 1.0 <= now,
        };
        while self.counted.front().is_some_and(gone) {
            self.counted.pop_front();
        }
        let full_at = self.full_at.max(now) + 1.0 / quota as f64;
        let taken = match self.counts {
            Counts::Bucket(holds) => full_at <= now + holds / quota as f64,
            _ => self.counted.len() < quota,
        };
        if taken || matches!(self.counts, Counts::Refused) {
            self.counted.push_back(now);
            self.full_at = full_at;
        }
        taken
    }

    fn arrives(&mut self, now: f64) -> bool {
        while let Some(came) = self.others.pop_front_if(|came| *came <= now) {
            self.lost += usize::from(!self.takes(came));
        }
        self.takes(now)
    }

    /// Our own calls over `seconds`, for which there is always work: when each came, and whether it was throttled.
    fn asked_at(&mut self, qps: f64, seconds: f64, random: &mut fastrand::Rng) -> Vec<(f64, bool)> {
        let start = Instant::now();
        let mut state = LimiterState::new(qps, start);
        let (mut now, mut calls) = (0.0, Vec::new());
        let mut answers: Vec<(f64, Admitted, bool)> = Vec::new();
        while now < seconds {
            answers.sort_by(|a, b| b.0.total_cmp(&a.0));
            while let Some((came, attempt, throttled)) = answers.pop_if(|answer| answer.0 <= now) {
                tell(&mut state, attempt, throttled, None, at(start, came));
            }
            match send(&mut state, at(start, now)) {
                Ok(attempt) => {
                    let throttled = !self.arrives(now + random.f64() * 0.001);
                    calls.push((now, throttled));
                    answers.push((now + 0.02 + 0.18 * random.f64(), attempt, throttled));
                }
                // A timer has a grain of 1 ms.
                Err(wait) => now += wait.as_secs_f64().min(0.01) + 0.001 * random.f64(),
            }
        }
        calls
    }
}

fn throttled(calls: &[(f64, bool)]) -> usize {
    calls.iter().filter(|call| call.1).count()
}

#[test]
fn a_quota_that_is_lower_than_what_was_set_is_found_and_used_however_the_vendor_counts() {
    use Counts::{Bucket, ByTheClock, Refused, Sliding};
    let seconds = 400.0;
    for (set, quota) in [(50.0, 30), (50.0, 10), (50.0, 45), (8.0, 6), (4.0, 3)] {
        for (counts, seed) in [Sliding, Refused, ByTheClock, Bucket(2.0), Bucket(10.0)]
            .into_iter()
            .zip(1..)
        {
            let mut vendor = Vendor::new(quota, VecDeque::new());
            vendor.counts = counts;
            let calls = vendor.asked_at(set, seconds, &mut fastrand::Rng::with_seed(seed));
            let good = calls.len() - throttled(&calls);
            let used = good as f64 / seconds / quota as f64;
            let later = &calls[calls.iter().position(|call| call.0 > 10.0).unwrap()..];
            let share = throttled(later) as f64 / later.len() as f64;
            let case = format!("{quota} of {set}, {counts:?}");
            println!("{case}: {used:.4} used, {share:.4} throttled");
            assert!(used >= 0.95, "{case}: {used}");
            assert!(share < 0.03, "{case}: {share}");
        }
    }
}

/// Calls of others, who use two fifths of a quota of 50 while they are at it: bursts of `on` seconds with `off` seconds
/// between them, both up to so much longer, at `rate` calls a second.
fn bursts((on, off, longer): (f64, f64, f64), rate: f64, seconds: f64, random: &mut fastrand::Rng) -> VecDeque<f64> {
    let (mut calls, mut now) = (VecDeque::new(), 0.0);
    while now < seconds {
        let end = now + on + longer * random.f64();
        while now < end {
            calls.push_back(now);
            now += 2.0 / rate * random.f64();
        }
        now = end + off + longer * random.f64();
    }
    calls
}

#[test]
fn others_who_use_the_same_quota_lose_next_to_nothing() {
    let seconds = 400.0;
    let cases = [
        (2.0, 2.0, 8.0, 20.0),
        (20.0, 20.0, 20.0, 20.0),
        // All of a second's within a fifth of it.
        (0.2, 0.8, 0.0, 100.0),
    ];
    for (set, seed) in [40.0, 50.0].into_iter().flat_map(|set| [(set, 1), (set, 2), (set, 3)]) {
        for (on, off, longer, rate) in cases {
            let mut random = fastrand::Rng::with_seed(seed);
            let others = bursts((on, off, longer), rate, seconds, &mut random);
            let all = others.len();
            let mut vendor = Vendor::new(50, others);
            let calls = vendor.asked_at(set, seconds, &mut random);
            let lost = vendor.lost as f64 / all as f64;
            let ours = (calls.len() - throttled(&calls)) as f64 / seconds;
            let case = format!("set {set}, seed {seed}, {rate} a second for {on} s, none for {off} s, +{longer} s");
            println!("{case}: others lost {lost:.4}, we had {ours:.1} a second");
            assert!(lost < 0.02, "{case}: {lost}");
            assert!(ours > 20.0, "{case}: {ours} a second of 30 that are left at least");
        }
    }
}

/// All of a second's at once, second after second: whatever of ours is in the window when they come stays there for all of them.
#[test]
fn others_who_come_in_step_with_the_second_lose_next_to_nothing() {
    const CALLS: u32 = 20;
    const SEEDS: u64 = 40;
    let seconds = 68_u32;
    let (mut lost, mut ours) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let first = random.f64();
        let mut others = VecDeque::new();
        for second in 0..seconds {
            // A timer has a grain.
            let mut at = first + f64::from(second) + 0.000_2 * random.f64();
            for _ in 0..CALLS {
                others.push_back(at);
                at += 0.001_05 + 0.000_1 * random.f64();
            }
        }
        let mut vendor = Vendor::new(50, others);
        let calls = vendor.asked_at(40.0, f64::from(seconds), &mut random);
        lost += vendor.lost;
        ours += calls.len() - throttled(&calls);
    }
    let runs = SEEDS as f64 * f64::from(seconds);
    let (lost, ours) = (lost as f64 / runs / f64::from(CALLS), ours as f64 / runs);
    println!("others lost {lost:.4}, we had {ours:.1} a second of 30 that are left");
    assert!(lost < 0.013, "{lost}");
    assert!(ours > 0.94 * 30.0, "{ours}");
}
