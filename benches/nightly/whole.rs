//! A whole run without a quota and without latency, from the CSV file to the published Parquet files and the reports.

use crate::Bench;
use crate::floors::generated;
use crate::night::{BenchResult, NOW, Night, Place};
use crate::server::{Load, LoadServer};
use crate::source::Source;
use crate::table::{Goal, Row, float, median, mib, micros, per_second, percent, rate};

/// What other programs needed for the same on another machine of two cores.
const ELSEWHERE: &str = "for comparison, measured elsewhere: node undici 7,300/s and 123 µs, aiohttp 4,700/s and 170 µs, \
                         Daft 4,350/s, the vendor's SDK in threads 1,360/s and 730 µs, dlt 740/s, Scrapy 530/s";

/// `ids` of one product, of which most are from the last two days, from CSV to reports.
pub(crate) fn night_of(place: &Place, server: &LoadServer, ids: u64, days: u64) -> BenchResult<Night> {
    let source = Source {
        products: &[("FACE_LIVENESS", ids)],
        first: 0,
        days,
        now: NOW.parse()?,
    };
    let source = place.source("pending.csv", &source)?;
    place
        .night(server, &["--qps", "unlimited", "--pending", &source])?
        .complete(ids)
}

/// CPU a record in µs.
pub(crate) fn cpu_us(night: &Night, records: u64) -> f64 {
    night.ended.cpu.as_secs_f64() * 1e6 / float(records)
}

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    let ids = bench.size(10_000, 50_000, 50_000);
    let server = LoadServer::start(Load::default())?;
    let (mut raw, mut reqwest) = (Vec::new(), Vec::new());
    let (mut rates, mut cpus, mut peaks, mut last) = (Vec::new(), Vec::new(), Vec::new(), String::new());
    // In turns, so that all of them meet the same machine.
    for turn in 0..bench.size(1, 3, 5) {
        raw.push(generated("raw", &server, ids)?);
        reqwest.push(generated("reqwest", &server, ids)?);
        let place = bench.place(&format!("whole{turn}"))?;
        let night = night_of(&place, &server, ids, 2)?;
        rates.push(per_second(ids, night.ended.wall));
        cpus.push(cpu_us(&night, ids));
        peaks.push(night.ended.peak_mib());
        last = night.stages()?;
        println!(
            "{} whole, {} CPU: {last}",
            rate(per_second(ids, night.ended.wall)),
            micros(cpu_us(&night, ids))
        );
    }
    let (whole, cpu) = (median(rates), median(cpus));
    let ceiling = median(raw.iter().map(|run| run.rate).collect());
    let alone = median(reqwest.iter().map(|run| run.rate).collect());
    let alone_cpu = median(reqwest.iter().map(|run| run.cpu_us).collect());
    let what = format!("whole run, {} ids, no quota, 0 ms", crate::table::count(float(ids)));
    bench
        .table
        .add(Row::new(what, Goal::AtLeast(20_000.0), whole, rate).beside(format!(
            "{} of the server's ceiling ({}), {} of reqwest alone ({}); seconds: {last}",
            percent(whole / ceiling),
            rate(ceiling),
            percent(whole / alone),
            rate(alone)
        )));
    let row = Row::new("CPU a record, end to end", Goal::Below(60.0), cpu, micros);
    bench.table.add(row.beside(format!(
        "{:.1} times reqwest alone ({} a call)",
        cpu / alone_cpu,
        micros(alone_cpu)
    )));
    bench.table.add(Row::new(
        "peak memory of that run",
        Goal::Below(100.0),
        median(peaks),
        mib,
    ));
    println!("{ELSEWHERE}");
    Ok(())
}
