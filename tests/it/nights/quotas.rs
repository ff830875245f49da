//! The quotas as the vendor grants them: by region and product, each held to, and no region waits for another.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use idvault::sandbox::Window;

use super::{Ended, Place};
use crate::common::server::serve;
use crate::common::vendor::{error, throttled, verdict};

/// Calls of one region: when each came, and whether it was throttled.
type Calls = Arc<Mutex<Vec<(Instant, bool)>>>;

/// A region that grants so many calls in any second.
fn region(calls_per_second: u32) -> (String, Calls) {
    let (window, calls) = (Window::new(calls_per_second), Calls::default());
    let seen = calls.clone();
    let url = serve(move |request| {
        let room = window.arrive().is_ok();
        seen.lock().unwrap().push((request.at, !room));
        if room {
            verdict("Y", "200")
        } else {
            throttled(403, "Throttling.Api", 100)
        }
    });
    (url, calls)
}

fn run(place: &Place, args: &[&str]) -> Ended {
    let mut command = place.command(&[&["run"], args].concat());
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    Ended::of(command.output().unwrap())
}

/// Calls a second between the first and the last.
#[expect(clippy::cast_precision_loss, reason = "a few hundred calls")]
fn rate(calls: &Calls) -> f64 {
    let calls = calls.lock().unwrap();
    let (first, last) = (
        calls.iter().map(|call| call.0).min(),
        calls.iter().map(|call| call.0).max(),
    );
    (calls.len() - 1) as f64 / (last.unwrap() - first.unwrap()).as_secs_f64()
}

/// Nine tenths of each limit are set, so that a server that is held up by this machine sees no second that is too full.
#[test]
fn three_regions_are_held_to_their_own_limits_and_none_waits_for_another() {
    const SECONDS: usize = 6;
    const REGIONS: [(&str, u32); 3] = [("ap-southeast-1", 20), ("cn-hongkong", 10), ("ap-southeast-3", 5)];
    let place = Place::new();
    let servers = REGIONS.map(|(_, limit)| region(limit));
    let (mut endpoints, mut limits) = (String::new(), String::new());
    let mut rows = "transaction_id,product_code,region,verified_at\n".to_owned();
    for ((region, limit), (url, _)) in REGIONS.iter().zip(&servers) {
        writeln!(endpoints, "{region} = '{url}'").unwrap();
        writeln!(limits, "{region} = {limit}").unwrap();
        for number in 0..*limit as usize * SECONDS {
            // Two products, which share the limit of their region.
            let product = ["FACE_LIVENESS", "FACE_IDU"][number % 2];
            writeln!(rows, "{limit}x{number},{product},{region},2026-11-20T10:00:00Z").unwrap();
        }
    }
    place.write(
        "idvault.toml",
        format!("quota_share = 0.9\n[endpoints]\n{endpoints}[quotas.regions]\n{limits}"),
    );
    let source = place.write("pending.csv", rows);
    run(&place, &["--pending", &source]).expect(0);
    let shares = REGIONS.iter().zip(&servers).map(|((region, limit), (_, calls))| {
        let throttled = calls.lock().unwrap().iter().filter(|call| call.1).count();
        assert_eq!(throttled, 0, "{region}");
        rate(calls) / (0.9 * f64::from(*limit))
    });
    let shares: Vec<f64> = shares.collect();
    println!("used of what is set: {shares:.4?}");
    // What holds this machine up holds all of them up alike.
    let (least, most) = (
        shares.iter().copied().fold(f64::MAX, f64::min),
        shares.iter().copied().fold(0.0, f64::max),
    );
    assert!(least > 0.85 * most, "{shares:?}");
    let paces = place.summary()["pace"].as_array().unwrap().clone();
    let set: Vec<(&str, f64)> = paces
        .iter()
        .map(|pace| (pace["of"].as_str().unwrap(), pace["calls_per_second"].as_f64().unwrap()))
        .collect();
    assert_eq!(
        set,
        [("ap-southeast-1", 18.0), ("cn-hongkong", 9.0), ("ap-southeast-3", 4.5)]
    );
}

#[test]
fn the_limits_are_printed_with_their_sources_and_the_share_of_the_hour() {
    let place = Place::new();
    place.write(
        "idvault.toml",
        "[endpoints]\nmars-1 = 'https://example.com'\n\
         [quotas]\ntime_zone = 'Asia/Singapore'\nshare = [{ from = '22:00', to = '06:00', share = 0.9 }]\n\
         [quotas.regions]\ncn-hongkong = { limit = 12, products = { eKYC = 2 } }\n\
         [quotas.products]\nFACE_LIVENESS = 60\n",
    );
    let table = |now: &str| place.bare(&["quotas", "--now", now]).output().unwrap();
    // 23:00 and 10:00 in Singapore.
    let (night, day) = (
        Ended::of(table("2026-11-22T15:00:00Z")),
        Ended::of(table("2026-11-22T02:00:00Z")),
    );
    let line = |of: &Ended, begins: &[&str]| -> Vec<String> {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let line = of
            .stdout
            .lines()
            .map(words)
            .find(|words| words.iter().zip(begins).all(|(a, b)| a == b));
        line.unwrap_or_else(|| panic!("{begins:?}: {}", of.stdout))
    };
    assert_eq!(line(&night, &["ap-southeast-1"])[3..5], ["10", "9.000"]);
    assert_eq!(line(&day, &["ap-southeast-1"])[3..5], ["10", "8.000"]);
    assert_eq!(
        line(&day, &["cn-hongkong", "all"])[3..6],
        ["12", "9.600", "configuration"]
    );
    assert_eq!(
        line(&day, &["cn-hongkong", "eKYC"])[2..5],
        ["2", "1.600", "configuration"]
    );
    assert_eq!(
        line(&day, &["all", "together", "FACE_LIVENESS"])[3..6],
        ["60", "48.000", "configuration"]
    );
    assert!(
        day.stdout.contains("2026-10-20") && day.stdout.contains("2025-12-18"),
        "{}",
        day.stdout
    );
    let unknown = day.stdout.lines().find(|line| line.starts_with("mars-1")).unwrap();
    assert!(unknown.contains("not known: the lowest of"), "{unknown}");
    let json = Ended::of(place.bare(&["quotas", "--json"]).output().unwrap())
        .expect(0)
        .json();
    let limits = json["limits"].as_array().unwrap();
    let mars = limits.iter().find(|limit| limit["region"] == "mars-1").unwrap();
    assert_eq!(
        (&mars["calls_per_second"], &mars["origin"]),
        (&3.0.into(), &"lowest-known".into())
    );
}

#[test]
fn a_region_without_a_known_limit_is_held_to_the_lowest_and_that_is_said() {
    let place = Place::new();
    let (url, calls) = region(100);
    place.write("idvault.toml", format!("[endpoints]\nmars-1 = '{url}'\n"));
    let rows = "transaction_id,region,verified_at\na,mars-1,2026-11-20T10:00:00Z\nb,mars-1,2026-11-20T10:00:00Z\n";
    let source = place.write("pending.csv", rows);
    let ended = run(&place, &["--pending", &source]).expect(0);
    assert!(
        ended.stderr.contains("no limit of this region is known"),
        "{}",
        ended.stderr
    );
    assert_eq!(calls.lock().unwrap().len(), 2);
    assert_eq!(place.summary()["pace"][0]["limit"]["origin"], "lowest-known");
}

/// The vendor is down until it was asked four times whether it is back, 15 s later. An id of a region that has lost its endpoint can't
/// be asked for, which says nothing of the vendor.
#[test]
fn an_id_that_can_not_be_asked_for_does_not_cut_the_patience_in_an_outage() {
    const IDS: usize = 30;
    const HEADER: &str = "transaction_id,region,verified_at\n";
    let calls = Mutex::new(0);
    let url = serve(move |_| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls < IDS + 4 {
            error(503, "ServiceUnavailable")
        } else {
            verdict("Y", "200")
        }
    });
    let place = Place::new();
    let config = format!("account = 'one'\n[endpoints]\nap-southeast-1 = '{url}'\n");
    let mut rows = HEADER.to_owned();
    for number in 0..IDS {
        writeln!(rows, "t{number},ap-southeast-1,2026-11-21T10:00:00Z").unwrap();
    }
    let source = place.write("pending.csv", rows);
    // Nobody listens there.
    place.write("idvault.toml", format!("{config}mars-1 = 'http://127.0.0.1:9'\n"));
    let of_mars = place.write("mars.csv", format!("{HEADER}lost,mars-1,2026-11-20T10:00:00Z\n"));
    run(&place, &["--pending", &of_mars]).expect(4);
    place.write("idvault.toml", config);
    let args = ["--qps", "1000", "--concurrency", "30", "--pending", &source];
    let ended = run(&place, &args).expect(4);
    assert!(ended.stderr.contains("the vendor answers again"), "{}", ended.stderr);
    assert_eq!(place.archived("verifications").len(), IDS);
    assert_eq!(place.report("left.csv")[0]["last_call_code"], "no_endpoint");
}
