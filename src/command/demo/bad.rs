//! `idvault demo --bad`: a night with a loss, a quarantine and an outage, each of them explained.

use std::fmt::Write as _;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use super::{Demo, lines, made_up, say};
use crate::command::CommandError;
use crate::exit::Exit;
use crate::intake::made_up::Row;
use crate::sandbox::{Kind, SandboxSettings};

/// The sandbox's calls that fail: after the first answers, more in a row than an outage begins with, and its first question.
const OUTAGE: Range<u64> = 60..86;
/// Draws the ids that the vendor does not know.
const SEED: u64 = 31;
/// A verification that the vendor has deleted, and one that it should still have.
const AGES: [SignedDuration; 2] = [SignedDuration::from_hours(31 * 24), SignedDuration::from_hours(5 * 24)];

pub(super) fn execute(demo: &Demo) -> Result<Exit, CommandError> {
    let now = demo.now();
    let unknown = unknown_rows(now);
    let mut rows = made_up::good(now);
    rows.extend(unknown.iter().cloned());
    let sandbox = SandboxSettings {
        outage: OUTAGE,
        ..SandboxSettings::default()
    };
    let summary = demo.night(&demo.sources(&rows)?, sandbox, None)?;
    let mut text = lines(&summary);
    let [lost, quarantined] = unknown.as_slice() else {
        return Ok(summary.exit_code);
    };
    let _ = write!(
        text,
        "
Why {} is not a good night:
lost        {}
            It is 31 days old, and the vendor does not know it any more. It is in
            expiry.csv, in the band `lost`, with its cause.
quarantine  {}
            The vendor does not know this id, although it is young. Often its region
            is wrong. `idvault quarantine list` has the vendor's words.
outage      The vendor failed {} calls in a row. idvault asked one at a time until it
            answered again, and no record paid for it ({} retries).
",
        summary.exit_code.code(),
        lost.transaction_id,
        quarantined.transaction_id,
        OUTAGE.end - OUTAGE.start,
        summary.fetch.retries,
    );
    say(&text)?;
    Ok(summary.exit_code)
}

/// One that is lost and one that ends in quarantine.
fn unknown_rows(now: Timestamp) -> Vec<Row> {
    let ids = made_up::ids(SEED, |kind| matches!(kind, Kind::IdInvalid));
    AGES.iter()
        .zip(ids)
        .map(|(age, transaction_id)| Row {
            transaction_id,
            product_code: "FACE_LIVENESS",
            region: "ap-southeast-1",
            verified_at: now - *age,
        })
        .collect()
}
