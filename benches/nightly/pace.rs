//! The use of quotas: a strict sliding window of a second over arrivals, answers after 20 to 200 ms.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use idvault::files;
use idvault::sandbox::Window;
use std::io::Write as _;
use tokio::time::Instant;

use crate::Bench;
use crate::night::{BenchResult, NOW};
use crate::server::{Call, Load, LoadServer};
use crate::source::Source;
use crate::table::{Goal, Row, count, float, percent};

/// The quota of most products.
const QUOTA: u32 = 50;

/// What is left of it when it is lowered.
const LOWERED: u32 = 30;

/// Other traffic: so many calls at once, every second.
const BURST: u64 = 20;

/// Between the calls of a burst.
const BURST_SPACING: Duration = Duration::from_millis(1);

/// After this the pace has had time to settle.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Three products side by side, with their quotas.
const PRODUCTS: [(&str, u32); 3] = [("BENCH_FAST", 50), ("BENCH_MIDDLE", 10), ("BENCH_SLOW", 5)];

fn server(quotas: Vec<u32>) -> BenchResult<LoadServer> {
    let latency = Some(Duration::from_millis(20)..=Duration::from_millis(200));
    Ok(LoadServer::start(Load {
        quotas,
        latency,
        image_bytes: None,
    })?)
}

/// A run of these products against `server`; all of them must be fetched.
fn run(bench: &Bench, server: &LoadServer, products: &[(&str, u64)], config: &str, args: &[&str]) -> BenchResult<()> {
    let place = bench.place("pace")?;
    files::create_private(&place.path("idvault.toml"))?.write_all(config.as_bytes())?;
    let source = Source {
        products,
        first: 0,
        days: 2,
        now: NOW.parse()?,
    };
    let source = place.source("pending.csv", &source)?;
    let mut all = vec!["--pending", &source[..]];
    all.extend(args);
    place
        .night(server, &all)?
        .complete(products.iter().map(|(_, count)| count).sum())?;
    Ok(())
}

/// Answered calls a second between the first and the last answer, and how many were throttled.
fn used(calls: &[Call], product: usize) -> BenchResult<(f64, u64)> {
    let own = || calls.iter().filter(|call| call.product == product);
    let answers: Vec<Instant> = own().filter(|call| !call.throttled).map(|call| call.answered).collect();
    let (Some(first), Some(last)) = (answers.iter().min(), answers.iter().max()) else {
        return Err("nothing was answered".into());
    };
    let rate = crate::table::per_second(answers.len() - 1, *last - *first);
    Ok((rate, own().filter(|call| call.throttled).count() as u64))
}

/// The share of calls that were throttled after the pace had had time to settle.
fn throttled_later(calls: &[Call]) -> f64 {
    let Some(first) = calls.iter().map(|call| call.arrived).min() else {
        return f64::NAN;
    };
    let later: Vec<&Call> = calls
        .iter()
        .filter(|call| call.arrived >= first + SETTLED_AFTER)
        .collect();
    float(later.iter().filter(|call| call.throttled).count()) / float(later.len())
}

fn none_throttled(bench: &mut Bench, what: &str, throttled: u64) {
    // Fewer than one: none.
    let goal = Goal::Below(1.0);
    bench.table.add(Row::new(
        format!("{what}: throttled calls"),
        goal,
        float(throttled),
        count,
    ));
}

pub(crate) fn quota(bench: &mut Bench) -> BenchResult<()> {
    let sizes: &[u64] = bench.size(&[300], &[2_000], &[2_000, 20_000]);
    for records in sizes {
        let server = server(vec![QUOTA])?;
        run(bench, &server, &[("FACE_LIVENESS", *records)], "", &["--qps", "50"])?;
        let (rate, throttled) = used(&server.with_quota(), 0)?;
        let what = format!("use of a quota of 50/s, {} records", count(float(*records)));
        let row = Row::new(what.clone(), Goal::AtLeast(0.99), rate / f64::from(QUOTA), percent);
        bench.table.add(row.beside(format!("{rate:.2}/s answered")));
        none_throttled(bench, &what, throttled);
    }
    println!(
        "for comparison, measured elsewhere: the vendor's SDK in threads with a pacer 98 % and 43 throttled, aiohttp with a \
         limiter 98 % and 88, Scrapy 96 % and 0, dlt 91 % and 1,893"
    );
    Ok(())
}

pub(crate) fn lower_quota(bench: &mut Bench) -> BenchResult<()> {
    let records = bench.size(600, 2_000, 2_000);
    let server = server(vec![LOWERED])?;
    run(bench, &server, &[("FACE_LIVENESS", records)], "", &["--qps", "50"])?;
    let calls = server.with_quota();
    let (rate, throttled) = used(&calls, 0)?;
    let what = format!("50/s set, 30/s real, {} records", count(float(records)));
    let row = Row::new(
        format!("{what}: use of what is real"),
        Goal::AtLeast(0.95),
        rate / f64::from(LOWERED),
        percent,
    );
    bench
        .table
        .add(row.beside(format!("{rate:.2}/s answered, {throttled} throttled in all")));
    let later = throttled_later(&calls);
    bench.table.add(Row::new(
        format!("{what}: throttled after 10 s"),
        Goal::Below(0.03),
        later,
        percent,
    ));
    Ok(())
}

/// Traffic of the account that is not idvault's. Gives when each call was made, and whether it found room.
fn bursts(window: &Window, stop: &AtomicBool) -> Vec<(Instant, bool)> {
    let (started, mut calls) = (Instant::now(), Vec::new());
    for second in 1.. {
        for _ in 0..BURST {
            calls.push((Instant::now(), window.arrive().is_ok()));
            thread::sleep(BURST_SPACING);
        }
        let next = started + Duration::from_secs(1) * second;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    calls
}

pub(crate) fn other_traffic(bench: &mut Bench) -> BenchResult<()> {
    let records = bench.size(600, 2_000, 2_000);
    let server = server(vec![QUOTA])?;
    let window = server.window(0).ok_or("no window")?;
    let stop = Arc::new(AtomicBool::new(false));
    let other = thread::spawn({
        let stop = Arc::clone(&stop);
        move || bursts(&window, &stop)
    });
    // As configured by default: the quota table, and the share of it that leaves room for others.
    let ran = run(bench, &server, &[("FACE_LIVENESS", records)], "", &[]);
    stop.store(true, Ordering::Relaxed);
    let other = other.join().map_err(|_| "the other traffic broke off")?;
    ran?;
    let calls = server.with_quota();
    let (rate, throttled) = used(&calls, 0)?;
    let first = calls.iter().map(|call| call.arrived).min().ok_or("no calls")?;
    let lost = |from: Instant| {
        let later: Vec<bool> = other
            .iter()
            .filter(|(at, _)| *at >= from)
            .map(|(_, room)| *room)
            .collect();
        float(later.iter().filter(|room| !**room).count()) / float(later.len())
    };
    let what = "other traffic of 20 calls at once every second (40 %)";
    let row = Row::new(format!("{what}: its losses"), Goal::Below(0.02), lost(first), percent);
    bench
        .table
        .add(row.beside(format!("{} after the first 10 s", percent(lost(first + SETTLED_AFTER)))));
    let left = f64::from(QUOTA) - float(BURST);
    let row = Row::new(
        format!("{what}: use of what it leaves"),
        Goal::None,
        rate / left,
        percent,
    );
    bench
        .table
        .add(row.beside(format!("{rate:.2}/s of {left}/s, {throttled} of idvault's throttled")));
    Ok(())
}

pub(crate) fn products(bench: &mut Bench) -> BenchResult<()> {
    let seconds = bench.size(6, 40, 200);
    let server = server(PRODUCTS.iter().map(|(_, quota)| *quota).collect())?;
    let counts = PRODUCTS.map(|(code, quota)| (code, u64::from(quota) * seconds));
    let lines = PRODUCTS.map(|(code, quota)| format!("{code} = {quota}\n")).concat();
    run(
        bench,
        &server,
        &counts,
        &format!("quota_share = 1\n[quotas]\n{lines}"),
        &[],
    )?;
    let calls = server.with_quota();
    let mut all_throttled = 0;
    for (product, (_, quota)) in PRODUCTS.iter().enumerate() {
        let (rate, throttled) = used(&calls, product)?;
        all_throttled += throttled;
        let what = format!("products side by side: use of {quota}/s");
        let row = Row::new(what, Goal::AtLeast(0.99), rate / f64::from(*quota), percent);
        bench.table.add(row.beside(format!("{rate:.2}/s answered")));
    }
    none_throttled(bench, "products side by side", all_throttled);
    Ok(())
}
