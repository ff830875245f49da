//! Connections are kept and used again: a night needs about as many as there are calls in flight.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::{Place, Running, made_up};
use crate::common::server::serve;
use crate::common::vendor::verdict;

const CALLS: usize = 400;
const IN_FLIGHT: usize = 8;

#[test]
fn a_night_opens_few_connections_and_uses_them_again() {
    // Each connection has a thread of its own.
    let calls = Arc::new(Mutex::new((0, HashSet::<ThreadId>::new())));
    let seen = calls.clone();
    let url = serve(move |_| {
        thread::sleep(Duration::from_millis(5));
        let mut seen = seen.lock().unwrap();
        seen.0 += 1;
        seen.1.insert(thread::current().id());
        verdict("Y", "200")
    });
    let place = Place::new();
    let source = place.write("pending.csv", made_up(CALLS, 20, "FACE_LIVENESS"));
    let in_flight = IN_FLIGHT.to_string();
    let mut command = place.command(&["run", "--endpoint", &url, "--qps", "unlimited", "--pending", &source]);
    command
        .args(["--concurrency", &in_flight])
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    Running::start(&mut command).end().expect(0);
    let (calls, connections) = &*calls.lock().unwrap();
    assert_eq!(*calls, CALLS);
    // A call that finds no idle connection begins a new one, and may still get another's that becomes idle first.
    assert!(connections.len() <= 2 * IN_FLIGHT, "{} connections", connections.len());
    assert!(connections.len() >= IN_FLIGHT / 2, "the calls are made side by side");
}
