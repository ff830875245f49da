//! What a run costs from 10^3 ids on, and what the largest one leaves: its publication, its reports, its archive.

use crate::night::{BenchResult, Night, Place};
use crate::server::{Load, LoadServer};
use crate::table::{Goal, Row, count, float, mib, micros, per_second, percent, rate};
use crate::whole::{cpu_us, night_of};
use crate::{Bench, archive, peers};

/// Pending records of a backlog are spread over so many days.
const DAYS: u64 = 20;

/// Whose memory the largest run's is held to.
const FEW: u64 = 10_000;

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    let most = bench
        .args
        .most
        .unwrap_or_else(|| bench.size(FEW, 1_000_000, 10_000_000));
    let server = LoadServer::start(Load::default())?;
    let (mut few_peak, mut largest) = (0.0, None);
    for ids in (3..).map(|power| 10_u64.pow(power)).take_while(|ids| *ids <= most) {
        let place = bench.place(&format!("curve{ids}"))?;
        let night = night_of(&place, &server, ids, DAYS)?;
        row(bench, &place, &night, ids)?;
        if ids == FEW {
            few_peak = night.ended.peak_mib();
        }
        largest = Some((place, night, ids));
    }
    let Some((place, night, ids)) = largest else {
        return Err("the curve begins at 1,000 ids".into());
    };
    memory(bench, few_peak, &night, ids);
    published(bench, &night, ids)?;
    against_pyarrow(bench, &place)?;
    archive::reports(bench, &place, ids)?;
    archive::verify(bench, &place, &format!("{} rows", count(float(ids))))
}

fn row(bench: &mut Bench, place: &Place, night: &Night, ids: u64) -> BenchResult<()> {
    let (files, bytes) = place.archive();
    let per_record = |bytes: u64| count(float(bytes) / float(ids));
    let whole = per_second(ids, night.ended.wall);
    let row = Row::new(
        format!("cost curve, {} ids", count(float(ids))),
        Goal::None,
        whole,
        rate,
    );
    bench.table.add(row.beside(format!(
        "{} CPU a record, {}; ledger {} bytes a record, archive {} in {files} files; seconds: {}",
        micros(cpu_us(night, ids)),
        mib(night.ended.peak_mib()),
        per_record(place.ledger_bytes()),
        per_record(bytes),
        night.stages()?
    )));
    Ok(())
}

fn memory(bench: &mut Bench, few: f64, night: &Night, ids: u64) {
    let many = night.ended.peak_mib();
    let what = format!("peak memory, {} pending ids", count(float(ids)));
    bench.table.add(Row::new(what, Goal::Below(100.0), many, mib));
    let what = format!(
        "peak memory, {} against {} pending ids",
        count(float(ids)),
        count(float(FEW))
    );
    bench.table.add(Row::new(what, Goal::Below(20.0), many - few, mib));
}

fn published(bench: &mut Bench, night: &Night, ids: u64) -> BenchResult<()> {
    let bytes = night.count("/published/bytes")?;
    let spent = night.stage("publish")?;
    let (write, _) = bench.floors.disk(&bench.base)?;
    let what = format!("publication of {} journalled replies", count(float(ids)));
    let row = Row::new(what, Goal::AtLeast(250_000.0), float(ids) / spent, rate);
    let written = float(bytes) / spent;
    bench.table.add(row.beside(format!(
        "{:.1} MB/s of Parquet, {} of what the disk writes ({:.0} MB/s)",
        written / 1e6,
        percent(written / write),
        write / 1e6
    )));
    Ok(())
}

/// The same archive by pyarrow's writer.
fn against_pyarrow(bench: &mut Bench, place: &Place) -> BenchResult<()> {
    let Some(rewritten) = peers::rewritten(bench, place)? else {
        return Ok(());
    };
    let what = "the same rows by pyarrow's writer, from memory";
    bench.table.add(Row::new(what, Goal::None, rewritten.rate, rate));
    let (_, bytes) = place.archive();
    let what = "bytes of the archive against pyarrow's";
    let row = Row::new(what, Goal::Below(1.0), float(bytes) / rewritten.bytes, |ratio| {
        format!("{ratio:.2} times")
    });
    bench
        .table
        .add(row.beside(format!("{} against {}", count(float(bytes)), count(rewritten.bytes))));
    Ok(())
}
