//! A vendor that throttles everything for a while, whatever it says of how long to wait: the run gets out of its way, and
//! comes back at full pace.
//!
//! `IDVAULT_THROTTLE_SECONDS` sets for how long.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Place, Running, made_up, setting};
use crate::common::server::{Answer, serve};
use crate::common::vendor::{error, verdict};

const SECONDS: u64 = 8;

/// Calls a second.
const QPS: usize = 50;

/// Calls that are answered before the throttling begins: three seconds of them.
const CALLS_BEFORE: usize = 3 * QPS;

/// What `x-acs-retry-after` says: milliseconds, nothing, and what is not a time.
const WAITS: [Option<&str>; 5] = [Some("300"), None, Some("soon"), Some("-5"), Some("99999999")];

/// So long after the throttling began the rate is below a tenth.
const SLOWED: Duration = Duration::from_secs(5);

/// So long after its end the rate is back.
const BACK: Duration = Duration::from_secs(30);

const SECOND: Duration = Duration::from_secs(1);

/// When calls came, in their order.
type Arrivals = Arc<Mutex<Vec<Instant>>>;

/// Throttles for `seconds` from the call [`CALLS_BEFORE`] on.
fn vendor(wait: Option<&'static str>, seconds: Duration) -> (String, Arrivals) {
    let arrivals = Arrivals::default();
    let seen = arrivals.clone();
    let url = serve(move |request| {
        let mut seen = seen.lock().unwrap();
        seen.push(request.at);
        let throttles = seen
            .get(CALLS_BEFORE)
            .is_some_and(|start| *start + seconds > request.at);
        match (throttles, wait) {
            (false, _) => verdict("Y", "200"),
            (true, None) => throttled(),
            (true, Some(wait)) => throttled().header("x-acs-retry-after", wait),
        }
    });
    (url, arrivals)
}

fn throttled() -> Answer {
    error(403, "Throttling.Api")
}

/// The most calls within any second of those from `from` to `to`.
fn most_in_a_second(arrivals: &[Instant], from: Instant, to: Instant) -> usize {
    let within: Vec<&Instant> = arrivals.iter().filter(|at| (from..to).contains(*at)).collect();
    let counts = within.iter().enumerate().map(|(first, start)| {
        let later = within[first..].iter();
        later.take_while(|at| at.duration_since(**start) < SECOND).count()
    });
    counts.max().unwrap_or(0)
}

/// A run through the throttling; gives what it printed of itself.
fn night(wait: Option<&'static str>, seconds: Duration) -> String {
    let (url, arrivals) = vendor(wait, seconds);
    let place = Place::new();
    let source = place.write("pending.csv", made_up(20_000, 20, "FACE_LIVENESS"));
    let qps = QPS.to_string();
    let mut command = place.command(&["run", "--endpoint", &url, "--qps", &qps, "--pending", &source]);
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    let run = Running::start(&mut command);
    super::wait_until("it is throttled", || arrivals.lock().unwrap().len() > CALLS_BEFORE);
    let start = arrivals.lock().unwrap()[CALLS_BEFORE];
    let end = start + seconds;
    thread::sleep(seconds);
    let full = QPS * 9 / 10;
    let back = loop {
        let now = Instant::now();
        if most_in_a_second(&arrivals.lock().unwrap(), end, now) >= full {
            break now - end;
        }
        assert!(now < end + BACK, "{wait:?}: not back at full pace {BACK:?} after");
        thread::sleep(Duration::from_millis(100));
    };
    run.terminate();
    run.end().expect(4);
    let slow = most_in_a_second(&arrivals.lock().unwrap(), start + SLOWED, end);
    assert!(slow < QPS / 10, "{wait:?}: {slow} calls in a second");
    let blamed = "SELECT count(*) FROM transactions
                  WHERE attempts > 1 OR failed_runs > 0 OR state NOT IN ('pending', 'answered')";
    assert_eq!(place.count(blamed), 0, "{wait:?}");
    format!("{wait:?}: at most {slow} calls a second after {SLOWED:?}, back after {back:.1?}")
}

#[test]
fn minutes_of_throttling_cost_no_id_anything_and_the_pace_comes_back() {
    let seconds = Duration::from_secs(setting("IDVAULT_THROTTLE_SECONDS").unwrap_or(SECONDS));
    assert!(seconds > SLOWED, "{seconds:?} is too short to see the pace slow down");
    let nights = WAITS.map(|wait| thread::spawn(move || night(wait, seconds)));
    for night in nights {
        println!("throttled for {seconds:?}, {}", night.join().unwrap());
    }
}
