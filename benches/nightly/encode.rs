//! The encoding alone: verifications in memory to durable files, as a publication has them written; and the same rows by
//! pyarrow's writer.

use idvault::archive::{Archive, CompletingDay, Row as Verification, StagedFile};
use idvault::files;
use idvault::record::sha256_hex;
use idvault::vendor::normalize;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::night::{BenchResult, NOW, Place};
use crate::process::cpu_of_thread;
use crate::replies::Replies;
use crate::source::{id, scrambled};
use crate::table::{Goal, Row, count, float, median, rate};
use crate::{Bench, peers};

/// Files, a billing day's each.
const FILES: u32 = 20;

/// What it took, in rows a second.
struct Encoded {
    /// From the first row to the last durable file, with all threads.
    rate: f64,
    /// Of the CPU of the thread that encodes.
    by_cpu: f64,
}

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    let day = verifications(bench.size(1_000, 50_000, 50_000))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..bench.size(1, 3, 5) {
        let place = bench.place(&format!("encode{turn}"))?;
        ours.push(encoded(&place, &day)?);
        theirs.extend(peers::rewritten(bench, &place)?);
    }
    let (whole, alone) = ours.iter().map(|ours| (ours.rate, ours.by_cpu)).unzip();
    let (their_whole, their_alone): (Vec<f64>, Vec<f64>) =
        theirs.iter().map(|theirs| (theirs.rate, theirs.by_cpu)).unzip();
    let rows = count(float(day.len()) * f64::from(FILES));
    let mut add = |what: String, ours: Vec<f64>, theirs: Vec<f64>, goal: fn(f64) -> Goal, which: &str| {
        let ours = median(ours);
        let (goal, beside) = if theirs.is_empty() {
            (Goal::None, String::new())
        } else {
            let theirs = median(theirs);
            let times = ours / theirs;
            let beside = format!(
                "{times:.2} times pyarrow's writer over the same rows ({}){which}",
                rate(theirs)
            );
            (goal(theirs), beside)
        };
        bench.table.add(Row::new(what, goal, ours, rate).beside(beside));
    };
    add(
        format!("the encoding alone, {rows} rows, a second of CPU of its thread"),
        alone,
        their_alone,
        Goal::AtLeast,
        "",
    );
    add(
        format!("{rows} rows from memory to durable files, all threads"),
        whole,
        their_whole,
        |_| Goal::None,
        ", which neither syncs nor reads back",
    );
    Ok(())
}

/// So many verifications of one day, with the load server's replies.
fn verifications(number: u64) -> BenchResult<Vec<Verification<'static>>> {
    let replies = Replies::new(None);
    let first: Timestamp = NOW.parse()?;
    let verification = |number: u64| {
        let transaction_id = id(0, number);
        let body = replies.body(&transaction_id, number);
        let verified_at = first + SignedDuration::from_millis(i64::try_from(number)?);
        Ok(Verification {
            transaction_id: transaction_id.into(),
            merchant_biz_id: format!("order{:016x}", scrambled(!number)).into(),
            product_code: "FACE_LIVENESS".into(),
            region: "ap-southeast-1".into(),
            verified_at: Some(verified_at),
            fetched_at: verified_at,
            run_id: "bench".into(),
            reply_sha256: sha256_hex(&body).into(),
            billed: Some(true),
            record: normalize(&body)?,
        })
    };
    (0..number).map(verification).collect()
}

/// Files of the same rows, as a publication makes them: each is completed while the next one is encoded.
fn encoded(place: &Place, day: &[Verification<'_>]) -> BenchResult<Encoded> {
    let data_dir = place.path("idvault-data");
    files::create_private_dir(&data_dir)?;
    let archive = Archive::open(&data_dir)?;
    let started = Instant::now();
    let mut completing: Option<CompletingDay> = None;
    for file in 0..FILES {
        let mut staged = archive.stage(None, "bench", file)?;
        for row in day {
            staged.append(row)?;
        }
        if let Some(before) = completing.replace(staged.complete()?) {
            StagedFile::publish(&before.wait()?)?;
        }
    }
    if let Some(last) = completing {
        StagedFile::publish(&last.wait()?)?;
    }
    let (rows, spent) = (float(day.len()) * f64::from(FILES), started.elapsed());
    Ok(Encoded {
        rate: rows / spent.as_secs_f64(),
        by_cpu: rows / cpu_of_thread("encoder")?.as_secs_f64(),
    })
}
