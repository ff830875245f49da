//! Night after night on one ledger and one archive: what grows, and whether the nights get longer.
//!
//! Most of a night's records are of the day before. Some come late, from up to ten days before, and bring a small file for
//! each of these days, which `idvault compact` merges once a month.

use std::io::{BufWriter, Write as _};

use idvault::files;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags};

use crate::Bench;
use crate::night::{BenchResult, Night, Place};
use crate::server::{Load, LoadServer};
use crate::source::Source;
use crate::table::{Goal, Row, count, float, median, mib, seconds};

/// When the first night is.
const FIRST_NIGHT: &str = "2025-11-22T02:00:00Z";

/// One of so many records is late.
const LATE_ONE_OF: u64 = 50;

/// By up to so many days.
const LATE_DAYS: u64 = 10;

/// Nights between two lines, and between two compactions.
const MONTH: u64 = 30;

/// Nights at the start and at the end that are held against each other.
const COMPARED: usize = 10;

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    let nights = bench.args.nights.unwrap_or_else(|| bench.size(30, 365, 365));
    let ids = bench.args.ids.unwrap_or_else(|| bench.size(500, 1_000, 100_000));
    let server = LoadServer::start(Load::default())?;
    let place = bench.place("year")?;
    let mut walls = Vec::new();
    println!(
        "| night | time | CPU | seconds by stage | ledger | of it free | archive files | new files |\n|---|---|---|---|---|---|---|---|"
    );
    let mut merged = 0;
    for night in 0..nights {
        let before = place.archive().0;
        let run = one_night(&place, &server, night, ids)?;
        walls.push(run.ended.wall.as_secs_f64());
        if night % MONTH == 0 || night + 1 == nights {
            let (files, _) = place.archive();
            let [time, cpu] = [run.ended.wall, run.ended.cpu].map(|time| seconds(time.as_secs_f64()));
            let stages = run.stages()?;
            let night = night + 1;
            println!(
                "| {night} | {time} | {cpu} | {stages} | {} | {files} | {} |",
                ledger(&place)?,
                files - before
            );
        }
        if night % MONTH == MONTH - 1 || night + 1 == nights {
            merged += compact(&place, night)?;
        }
    }
    // The very first night makes the ledger.
    let first = median(walls.iter().skip(1).take(COMPARED).copied().collect());
    let last = median(walls.iter().rev().take(COMPARED).copied().collect());
    let what = format!(
        "{nights} nights of {} ids: the last against the first",
        count(float(ids))
    );
    let row = Row::new(what, Goal::None, last / first, |ratio| format!("{ratio:.2} times"));
    let (files, bytes) = place.archive();
    let per_record = |bytes: u64| count(float(bytes) / float(nights * ids));
    bench.table.add(row.beside(format!(
        "medians of {COMPARED} nights: {} and {}; ledger {} bytes a record, archive {} in {files} files, {merged} merged",
        seconds(first),
        seconds(last),
        per_record(place.ledger_bytes()),
        per_record(bytes),
    )));
    Ok(())
}

/// The ledger's size, and what of it is free, as cells of the table.
fn ledger(place: &Place) -> BenchResult<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let ledger = Connection::open_with_flags(place.path("idvault-data/ledger.sqlite"), flags)?;
    let number = |name| ledger.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let free = number("freelist_count")? * number("page_size")?;
    let [size, free] = [place.ledger_bytes(), free].map(|bytes| mib(float(bytes) / 1_048_576.0));
    Ok(format!("{size} | {free}"))
}

/// `idvault compact` after that night; how many files are gone by it.
fn compact(place: &Place, night: u64) -> BenchResult<u64> {
    let (before, _) = place.archive();
    let ended = place.run(&["compact", "--quiet", "--now", &now_of(night)?.to_string()])?;
    let (files, _) = place.archive();
    println!(
        "| compact | {} | {} | {} | {} | {files} | {} |",
        seconds(ended.wall.as_secs_f64()),
        seconds(ended.cpu.as_secs_f64()),
        mib(ended.peak_mib()),
        ledger(place)?,
        i64::try_from(files)? - i64::try_from(before)?
    );
    Ok(before - files)
}

fn now_of(night: u64) -> BenchResult<Timestamp> {
    let first: Timestamp = FIRST_NIGHT.parse()?;
    Ok(first + SignedDuration::from_hours(24 * i64::try_from(night)?))
}

fn one_night(place: &Place, server: &LoadServer, night: u64, ids: u64) -> BenchResult<Night> {
    let now = now_of(night)?;
    let late = ids / LATE_ONE_OF;
    let path = place.path("pending.csv");
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let mut out = BufWriter::new(files::create_private(&path)?);
    writeln!(out, "transaction_id,merchant_biz_id,product_code,region,verified_at")?;
    let start = night * ids;
    for (first, count, days) in [(start, ids - late, 1), (start + ids - late, late, LATE_DAYS)] {
        Source {
            products: &[("FACE_LIVENESS", count)],
            first,
            days,
            now,
        }
        .rows(&mut out)?;
    }
    out.flush()?;
    drop(out);
    let (path, now) = (path.to_str().ok_or("a path that is not UTF-8")?, now.to_string());
    place
        .night(server, &["--qps", "unlimited", "--pending", path, "--now", &now])?
        .complete(ids)
}
