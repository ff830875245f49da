//! The use of quotas: a strict sliding window of a second over arrivals, answers after 20 to 200 ms.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use idvault::files;
use idvault::sandbox::Window;
use tokio::time::Instant;

use crate::Bench;
use crate::night::{BenchResult, NOW, Place};
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

/// Runs beside such traffic, all at once, each with a server and a quota of its own. What is lost hangs on where the bursts
/// meet idvault's own calls, so one run says little.
const RUNS_BESIDE_OTHERS: u32 = 5;

/// After this the pace has had time to settle.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Three products side by side, with their quotas.
const PRODUCTS: [(&str, u32); 3] = [("BENCH_FAST", 50), ("BENCH_MIDDLE", 10), ("BENCH_SLOW", 5)];

fn server(quotas: Vec<u32>, awake: bool) -> BenchResult<LoadServer> {
    let latency = Some(Duration::from_millis(20)..=Duration::from_millis(200));
    Ok(LoadServer::start(Load {
        quotas,
        latency,
        image_bytes: None,
        awake,
    })?)
}

/// A run of these products against `server`; all of them must be fetched.
fn run(place: &Place, server: &LoadServer, products: &[(&str, u64)], config: &str, args: &[&str]) -> BenchResult<()> {
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

/// The shortest time between a call's arrival and that of the [`QUOTA`]th after it: where it is less than a second, the last one is
/// throttled.
fn closest(calls: &[Call]) -> Duration {
    let mut arrivals: Vec<Instant> = calls.iter().map(|call| call.arrived).collect();
    arrivals.sort();
    let spans = arrivals.iter().zip(arrivals.iter().skip(QUOTA as usize));
    spans.map(|(first, last)| *last - *first).min().unwrap_or_default()
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

/// Three regions side by side, with the limits of the vendor's page of October 2026.
const REGIONS: [(&str, u32); 3] = [("ap-southeast-1", 10), ("cn-hongkong", 10), ("ap-southeast-3", 3)];

pub(crate) fn quota(bench: &mut Bench) -> BenchResult<()> {
    let sizes: &[u64] = bench.size(&[300], &[2_000], &[2_000, 20_000]);
    for records in sizes {
        let server = server(vec![QUOTA], true)?;
        let place = bench.place("quota")?;
        run(&place, &server, &[("FACE_LIVENESS", *records)], "", &["--qps", "50"])?;
        let calls = server.with_quota();
        let (rate, throttled) = used(&calls, 0)?;
        let what = format!("use of a quota of 50/s, {} records", count(float(*records)));
        let row = Row::new(what.clone(), Goal::AtLeast(0.99), rate / f64::from(QUOTA), percent);
        let closest = closest(&calls).as_secs_f64();
        bench.table.add(row.beside(format!(
            "{rate:.2}/s answered; a call and the {QUOTA} after it took {closest:.4} s at least"
        )));
        none_throttled(bench, &what, throttled);
    }
    println!(
        "for comparison, measured elsewhere: the vendor's SDK in threads with a pacer 98 % and 43 throttled, aiohttp with a \
         limiter 98 % and 88, Scrapy 96 % and 0, dlt 91 % and 1,893"
    );
    Ok(())
}

pub(crate) fn lower_quota(bench: &mut Bench) -> BenchResult<()> {
    let records = bench.size(600, 2_000, 20_000);
    let server = server(vec![LOWERED], true)?;
    let place = bench.place("lower")?;
    run(&place, &server, &[("FACE_LIVENESS", records)], "", &["--qps", "50"])?;
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

/// Traffic of the account that is not idvault's: a burst at every second after `phase`. Gives when each call was made, and
/// whether it found room.
fn bursts(window: &Window, phase: Duration, stop: &AtomicBool) -> Vec<(Instant, bool)> {
    thread::sleep(phase);
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

/// A run beside other traffic.
struct BesideOthers {
    /// The other traffic's calls while idvault made its own, those of them that were lost, and the same after it had settled.
    others: (usize, usize),
    settled: (usize, usize),
    /// idvault's answered calls a second, and how many of its calls were throttled.
    rate: f64,
    throttled: u64,
}

impl BesideOthers {
    fn run(place: &Place, records: u64, phase: Duration) -> BenchResult<Self> {
        // Not awake: there are more of them than cores.
        let server = server(vec![QUOTA], false)?;
        let window = server.window(0).ok_or("no window")?;
        let stop = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let stop = Arc::clone(&stop);
            move || bursts(&window, phase, &stop)
        });
        // The share by default leaves room for others.
        let config = format!("[quotas.regions]\nap-southeast-1 = {QUOTA}\n");
        let ran = run(place, &server, &[("FACE_LIVENESS", records)], &config, &[]);
        stop.store(true, Ordering::Relaxed);
        let other = other.join().map_err(|_| "the other traffic broke off")?;
        ran?;
        let calls = server.with_quota();
        let (rate, throttled) = used(&calls, 0)?;
        let first = calls.iter().map(|call| call.arrived).min().ok_or("no calls")?;
        let from = |first: Instant| {
            let later = || other.iter().filter(|(at, _)| *at >= first);
            (later().count(), later().filter(|(_, room)| !room).count())
        };
        Ok(Self {
            others: from(first),
            settled: from(first + SETTLED_AFTER),
            rate,
            throttled,
        })
    }
}

pub(crate) fn other_traffic(bench: &mut Bench) -> BenchResult<()> {
    let records = bench.size(600, 2_000, 2_000);
    let all = bench.size(1, RUNS_BESIDE_OTHERS, RUNS_BESIDE_OTHERS);
    let places: BenchResult<Vec<Place>> = (0..all).map(|run| bench.place(&format!("others{run}"))).collect();
    let places = places?;
    let phases = (0..all).map(|run| Duration::from_secs(1) * run / all);
    let runs: Result<Vec<BesideOthers>, String> = thread::scope(|scope| {
        let run =
            |(place, phase)| scope.spawn(move || BesideOthers::run(place, records, phase).map_err(|e| e.to_string()));
        let started: Vec<_> = places.iter().zip(phases).map(run).collect();
        let ended = started.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|run| run.map_err(|_| "a run broke off".to_owned())?)
            .collect()
    });
    let runs = runs?;
    let lost = |of: fn(&BesideOthers) -> (usize, usize)| {
        let calls = runs.iter().map(of);
        let (all, lost) = calls.fold((0, 0), |(all, lost), (more, of_them)| (all + more, lost + of_them));
        float(lost) / float(all)
    };
    let each: Vec<String> = runs
        .iter()
        .map(|run| percent(float(run.others.1) / float(run.others.0)))
        .collect();
    let what = format!("other traffic of 20 calls at once every second (40 %), {all} runs");
    let row = Row::new(
        format!("{what}: its losses"),
        Goal::Below(0.02),
        lost(|run| run.others),
        percent,
    );
    bench.table.add(row.beside(format!(
        "{} after the first 10 s; each run {}",
        percent(lost(|run| run.settled)),
        each.join(", ")
    )));
    let left = f64::from(QUOTA) - float(BURST);
    let rate = runs.iter().map(|run| run.rate).sum::<f64>() / f64::from(all);
    let throttled: u64 = runs.iter().map(|run| run.throttled).sum();
    let row = Row::new(
        format!("{what}: use of what it leaves"),
        Goal::None,
        rate / left,
        percent,
    );
    bench.table.add(row.beside(format!(
        "{rate:.2}/s of {left}/s, {throttled} of idvault's throttled in all"
    )));
    Ok(())
}

/// Each region against its own strict sliding window; the ids say the region to the load server.
pub(crate) fn regions(bench: &mut Bench) -> BenchResult<()> {
    let seconds = bench.size(6, 60, 300);
    let server = server(REGIONS.iter().map(|(_, limit)| *limit).collect(), true)?;
    let place = bench.place("regions")?;
    let mut rows = "transaction_id,product_code,region,verified_at\n".to_owned();
    let (mut limits, mut all) = (String::new(), 0);
    for (index, (region, limit)) in REGIONS.iter().enumerate() {
        writeln!(limits, "{region} = {limit}")?;
        for number in 0..u64::from(*limit) * seconds {
            let product = ["FACE_LIVENESS", "FACE_IDU"][usize::from(number % 2 == 1)];
            let verified_at = crate::source::verified_at(number, 2, NOW.parse()?);
            let id = crate::source::id(index, number);
            writeln!(rows, "{id},{product},{region},{verified_at}")?;
            all += 1;
        }
    }
    let config = format!("quota_share = 1\n[quotas.regions]\n{limits}");
    files::create_private(&place.path("idvault.toml"))?.write_all(config.as_bytes())?;
    files::create_private(&place.path("pending.csv"))?.write_all(rows.as_bytes())?;
    place.night(&server, &["--pending", "pending.csv"])?.complete(all)?;
    let calls = server.with_quota();
    let mut all_throttled = 0;
    for (index, (region, limit)) in REGIONS.iter().enumerate() {
        let (rate, throttled) = used(&calls, index)?;
        all_throttled += throttled;
        let what = format!("regions side by side: use of {limit}/s in {region}");
        let row = Row::new(what, Goal::AtLeast(0.99), rate / f64::from(*limit), percent);
        bench.table.add(row.beside(format!("{rate:.2}/s answered")));
    }
    none_throttled(bench, "regions side by side", all_throttled);
    Ok(())
}

pub(crate) fn products(bench: &mut Bench) -> BenchResult<()> {
    let seconds = bench.size(6, 40, 200);
    let server = server(PRODUCTS.iter().map(|(_, quota)| *quota).collect(), true)?;
    let counts = PRODUCTS.map(|(code, quota)| (code, u64::from(quota) * seconds));
    let lines = PRODUCTS.map(|(code, quota)| format!("{code} = {quota}\n")).concat();
    run(
        &bench.place("products")?,
        &server,
        &counts,
        // The region grants all of them together.
        &format!("quota_share = 1\n[quotas.regions]\nap-southeast-1 = 1000\n[quotas.products]\n{lines}"),
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
