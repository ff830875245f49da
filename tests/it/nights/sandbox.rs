//! The `sandbox` command as a person uses it: started by hand, asked as its own words say, stopped by a signal.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::ChildStdout;
use std::sync::Arc;
use std::time::Duration;

use idvault::clock::Clock;
use idvault::sandbox::Mix;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Ended, Place, Running, Vendor, WallClock, ids_of, made_up};

/// A sandbox that serves, the rest of what it will say, its URL, and the variables that it says to export.
fn started(place: &Place, args: &[&str]) -> (Running, BufReader<ChildStdout>, String, Vec<(String, String)>) {
    let mut sandbox = Running::start(&mut place.bare(args));
    let mut said = BufReader::new(sandbox.0.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        line
    };
    let url = line()
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap()
        .trim_end_matches(';')
        .to_owned();
    let exported = line();
    let credentials: Vec<(String, String)> = exported
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(credentials.len(), 2, "{exported}");
    assert!(line().contains(&url), "and how it is asked");
    (sandbox, said, url, credentials)
}

#[test]
fn a_sandbox_that_misbehaves_costs_calls_and_no_record() {
    let place = Place::new();
    let faults = "throttle=0.05,5xx=0.15,reset=0.05,cut=0.05,malformed=0.05,html=0.05";
    let args = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--all-final",
        "--seed",
        "7",
        "--faults",
        faults,
    ];
    let (mut sandbox, mut said, url, credentials) = started(&place, &args);
    let text = made_up(200, 4, "FACE_LIVENESS");
    let source = place.write("pending.csv", &text);
    let night = || {
        let mut command = place.command(&["run", "--endpoint", &url, "--qps", "unlimited", "--pending", &source]);
        command
            .envs(credentials.iter().cloned())
            .output()
            .unwrap()
            .status
            .code()
    };
    // What failed too often in one night is left for the next.
    let ended: Vec<Option<i32>> = (0..5).map(|_| night()).collect();
    assert_eq!(ended.last(), Some(&Some(0)), "{ended:?}");
    let archived: Vec<String> = place
        .archived("verifications")
        .iter()
        .map(|row| row.id().to_owned())
        .collect();
    assert_eq!(archived.len(), 200);
    assert_eq!(
        archived.into_iter().collect::<BTreeSet<_>>(),
        ids_of(&text).into_iter().collect()
    );
    assert_eq!(
        place.count("SELECT count(*) FROM transaction_states WHERE state <> 'archived'"),
        0
    );

    sandbox.terminate();
    let mut last = String::new();
    said.read_to_string(&mut last).unwrap();
    assert_eq!(sandbox.0.wait().unwrap().code(), Some(0));
    let counts: Value = serde_json::from_str(&last).unwrap();
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(count("distinct"), 200);
    assert!(count("faults") > 40, "{counts}");
    assert_eq!(count("refused"), 0, "{counts}");
    assert_eq!(count("calls"), count("answered") + count("faults"), "{counts}");
}

/// Calls in flight.
const CONCURRENCY: u64 = 8;

#[test]
fn a_wrong_key_costs_no_more_calls_than_are_in_flight_and_no_record() {
    let place = Place::new();
    let args = ["sandbox", "--listen", "127.0.0.1:0", "--all-final", "--latency", "50ms"];
    let (sandbox, mut said, url, credentials) = started(&place, &args);
    let source = place.write("pending.csv", made_up(100, 4, "FACE_LIVENESS"));
    let night = |wrong: Option<usize>| {
        let concurrency = CONCURRENCY.to_string();
        let args = ["run", "--endpoint", &url, "--qps", "unlimited", "--pending", &source];
        let mut command = place.command(&args);
        command
            .args(["--concurrency", &concurrency])
            .envs(credentials.iter().cloned());
        if let Some(wrong) = wrong {
            command.env(&credentials[wrong].0, "canary-of-somebody-else");
        }
        Ended::of(command.output().unwrap())
    };
    for wrong in [0, 1] {
        let ended = night(Some(wrong)).expect(8);
        let sentence = "the vendor refused the credentials (";
        assert!(ended.stderr.contains(sentence), "{}", ended.stderr);
        assert_eq!(
            place.states().into_iter().collect::<Vec<_>>(),
            [("pending".to_owned(), 100)]
        );
        assert_eq!(
            place.count("SELECT sum(attempts) + sum(failed_runs) FROM transactions"),
            0
        );
    }
    night(None).expect(0);
    assert_eq!(place.archived("verifications").len(), 100);
    sandbox.terminate();
    let mut last = String::new();
    said.read_to_string(&mut last).unwrap();
    let counts: Value = serde_json::from_str(&last).unwrap();
    let refused = counts["refused"].as_u64().unwrap();
    assert!((2..=2 * CONCURRENCY).contains(&refused), "two nights: {counts}");
}

/// The vendor's clock, so much ahead.
#[derive(Debug)]
struct Ahead(SignedDuration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        WallClock.now() + self.0
    }
}

#[test]
fn a_clock_that_is_twenty_minutes_off_costs_no_more_calls_than_are_in_flight() {
    for minutes in [20, -20] {
        let clock = Arc::new(Ahead(SignedDuration::from_mins(minutes)));
        let vendor = Vendor::start_by(clock, Mix::AllFinal, Duration::from_millis(50));
        let place = Place::new();
        let source = place.write("pending.csv", made_up(100, 4, "FACE_LIVENESS"));
        let concurrency = CONCURRENCY.to_string();
        let mut night = place.night_of(&vendor, &["--pending", &source, "--concurrency", &concurrency]);
        let ended = Ended::of(night.output().unwrap()).expect(8);
        assert!(ended.stderr.contains("clock"), "{}", ended.stderr);
        let refused = vendor.counts().refused;
        assert!((1..=CONCURRENCY).contains(&refused), "{refused}");
        assert_eq!(
            place.count("SELECT sum(attempts) + sum(failed_runs) FROM transactions"),
            0
        );
    }
    // Ten minutes are within what the vendor allows.
    let clock = Arc::new(Ahead(SignedDuration::from_mins(10)));
    let vendor = Vendor::start_by(clock, Mix::AllFinal, Duration::ZERO);
    let place = Place::new();
    let source = place.write("pending.csv", made_up(10, 4, "FACE_LIVENESS"));
    let mut night = place.night_of(&vendor, &["--pending", &source]);
    Ended::of(night.output().unwrap()).expect(0);
}

/// The region grants 3 calls a second, and 2 of them to one of its products.
#[test]
fn a_sandbox_of_a_region_keeps_its_limit_and_those_of_its_products() {
    const LIMITS: &str = "[quotas.products]\neKYC = 2\n";
    let place = Place::new();
    place.write("idvault.toml", LIMITS);
    let args = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--all-final",
        "--region",
        "ap-southeast-3",
    ];
    let (sandbox, _said, url, credentials) = started(&place, &args);
    place.write(
        "idvault.toml",
        format!("{LIMITS}[endpoints]\nap-southeast-3 = '{url}'\n"),
    );
    let night = |ids: std::ops::Range<u32>, args: &[&str]| {
        let rows = ids.map(|number| {
            let product = ["FACE_LIVENESS", "eKYC"][number as usize % 2];
            format!("{product}-{number},{product},ap-southeast-3,2026-11-20T10:00:00Z\n")
        });
        let header = "transaction_id,product_code,region,verified_at\n".to_owned();
        let source = place.write("pending.csv", header + &rows.collect::<String>());
        let mut command = place.command(&[&["run", "--pending", &source], args].concat());
        Ended::of(command.envs(credentials.clone()).output().unwrap()).expect(0);
        place.summary()["fetch"]["throttled"].as_u64().unwrap()
    };
    assert_eq!(night(0..10, &[]), 0, "eight tenths of each limit are kept to");
    assert!(
        night(10..16, &["--qps", "100"]) > 0,
        "more than is granted is throttled"
    );
    assert_eq!(place.archived("verifications").len(), 16);
    sandbox.terminate();
}
