//! Whatever comes in the way of an even pace, by seed: no second at the vendor exceeds the rate.

use super::*;

/// What comes in the way of an even pace.
#[derive(Debug)]
struct Pattern {
    qps: f64,
    /// How late timers fire, in seconds: usually up to so much, and one in fifty up to so much more.
    lateness: (f64, f64),
    /// The share of requests that wait before they are sent, and up to how many seconds: their connections are set up.
    unsent: (f64, f64),
    /// The share of attempts that a pause of the caller follows.
    pauses: f64,
    /// The share that is throttled.
    throttled: f64,
    /// An answer takes up to so long, in seconds.
    latency: f64,
}

impl Pattern {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let mut one_of = |choices: [f64; 4]| choices[random.usize(..4)];
        Self {
            qps: one_of([5.0, 10.0, 40.0, 50.0]) + one_of([0.0, 0.0, 0.5, 3.0]),
            lateness: (one_of([0.0, 0.001, 0.001, 0.005]), one_of([0.0, 0.001, 0.010, 0.200])),
            unsent: (one_of([0.0, 0.0, 0.02, 1.0]), one_of([0.001, 0.05, 0.3, 5.0])),
            pauses: one_of([0.0, 0.0, 0.01, 0.3]),
            throttled: one_of([0.0, 0.0, 0.005, 0.1]),
            latency: one_of([0.001, 0.05, 0.2, 2.0]),
        }
    }

    /// Whether the whole rate can be used: no pause, no throttled answer, timers as they are on an idle machine,
    /// connections that stand.
    fn is_smooth(&self) -> bool {
        let timely = self.lateness.0 <= 0.001 && self.lateness.1 <= 0.001;
        timely && self.pauses == 0.0 && self.throttled == 0.0 && self.unsent.0 == 0.0
    }

    /// The seconds at which requests were sent, in order.
    fn requests(&self, seconds: f64, random: &mut fastrand::Rng) -> Vec<f64> {
        let start = Instant::now();
        let mut state = LimiterState::new(self.qps, start);
        let (mut now, mut sent, mut unsent) = (0.0, Vec::new(), Vec::new());
        let mut answers: Vec<(f64, Admitted, bool)> = Vec::new();
        while now < seconds {
            answers.retain(|(came, attempt, throttled)| {
                if *came <= now {
                    tell(&mut state, *attempt, *throttled, None, at(start, now));
                }
                *came > now
            });
            unsent.sort_by(|a: &(f64, u64), b| b.0.total_cmp(&a.0));
            while let Some((goes, number)) = unsent.pop_if(|(goes, _)| *goes <= now) {
                state.sent(number, at(start, goes));
                sent.push(goes);
            }
            match state.try_admit(at(start, now)) {
                Ok(attempt) => {
                    let waits = if random.f64() < self.unsent.0 {
                        self.unsent.1
                    } else {
                        0.0
                    };
                    let goes = now + random.f64() * waits;
                    unsent.push((goes, attempt.number));
                    let throttled = random.f64() < self.throttled;
                    answers.push((goes + random.f64() * self.latency, attempt, throttled));
                    if random.f64() < self.pauses {
                        now += random.f64() * 3.0;
                    }
                }
                Err(wait) => {
                    let more = if random.u32(..50) == 0 { self.lateness.1 } else { 0.0 };
                    now += wait.as_secs_f64() + random.f64() * (self.lateness.0 + more);
                }
            }
        }
        sent
    }
}

/// `IDVAULT_PACE_PATTERNS` sets how many, `IDVAULT_PACE_SEED` the first one.
#[test]
fn no_second_at_the_vendor_exceeds_the_rate_whatever_comes_in_the_way() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how much is tested is no matter of the program's"
    )]
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = setting("IDVAULT_PACE_SEED").unwrap_or(1);
    let (mut requests, mut smooth, mut least_used) = (0, 0, f64::MAX);
    let patterns = setting("IDVAULT_PACE_PATTERNS").unwrap_or(500);
    for seed in first..first + patterns {
        let mut random = fastrand::Rng::with_seed(seed);
        let pattern = Pattern::draw(&mut random);
        let sent = pattern.requests(6.5, &mut random);
        let case = format!("IDVAULT_PACE_SEED={seed}: {pattern:?}");
        // On the way to the vendor.
        let longest = window::GUARD.as_secs_f64();
        let mut arrivals: Vec<f64> = sent.iter().map(|at| at + random.f64() * longest).collect();
        arrivals.sort_by(f64::total_cmp);
        let most = most_in_a_second(&arrivals);
        assert!(most as f64 <= pattern.qps.ceil(), "{case}: {most}");
        requests += sent.len();
        if pattern.is_smooth() {
            smooth += 1;
            least_used = least_used.min(used(&sent, pattern.qps));
            assert!(least_used >= 0.99, "{case}: {least_used}");
        }
    }
    assert!(smooth > 0 || patterns < 500, "none shows how much of the rate is used");
    println!("{requests} requests; {smooth} patterns without a hindrance used {least_used:.4} of the rate at least");
}
