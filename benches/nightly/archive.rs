//! What is asked of a ledger and an archive afterwards: reports, `status`, `verify`.

use std::fs::File;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::time::Instant;

use crate::Bench;
use crate::night::{BenchResult, Place};
use crate::table::{Goal, Row, count, float, megabytes_per_second, mib, per_second, percent, seconds};

pub(crate) fn reports(bench: &mut Bench, place: &Place, rows: u64) -> BenchResult<()> {
    let (mut all, mut each) = (0.0, Vec::new());
    for args in [&["report", "billing", "--all"][..], &["report", "expiry"], &["status"]] {
        let spent = place.run(args)?.wall.as_secs_f64();
        all += spent;
        each.push(format!("{} {}", args.join(" "), seconds(spent)));
    }
    let what = format!("billing, expiry and status over {} rows", count(float(rows)));
    bench
        .table
        .add(Row::new(what, Goal::Below(2.0), all, seconds).beside(each.join(", ")));
    Ok(())
}

/// `archive` says what is in it.
pub(crate) fn verify(bench: &mut Bench, place: &Place, archive: &str) -> BenchResult<()> {
    let (_, bytes) = place.archive();
    let ended = place.run(&["verify", "--read-data"])?;
    let (of_a_core, whole) = (per_second(bytes, ended.cpu), per_second(bytes, ended.wall));
    let (_, read) = bench.floors.disk(&bench.base)?;
    let sha256 = bench.floors.sha256()?;
    let decoding = decoded_alone(place)?;
    let row = Row::new(
        format!("verify --read-data, {archive}, a second of CPU"),
        Goal::AtLeast(1_000.0),
        of_a_core / 1e6,
        megabytes_per_second,
    );
    bench.table.add(row.beside(format!(
        "{} of the parquet crate's decoding alone ({}), {} of SHA-256 alone, each on one core; {} read in {}: {}, {} of the \
         disk's reading; {}",
        percent(of_a_core / decoding),
        megabytes_per_second(decoding / 1e6),
        percent(of_a_core / sha256),
        mib(float(bytes) / 1_048_576.0),
        seconds(ended.wall.as_secs_f64()),
        megabytes_per_second(whole / 1e6),
        percent(whole / read),
        mib(ended.peak_mib())
    )));
    Ok(())
}

/// All columns of all files, decoded one after the other on one core and dropped: in bytes of Parquet a second.
fn decoded_alone(place: &Place) -> BenchResult<f64> {
    let started = Instant::now();
    for path in place.archive_files() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
        for batch in reader.with_batch_size(1024).build()? {
            std::hint::black_box(batch?);
        }
    }
    let (_, bytes) = place.archive();
    Ok(per_second(bytes, started.elapsed()))
}
