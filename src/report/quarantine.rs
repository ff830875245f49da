//! `quarantine.csv`: the records that need a person, and the vendor's last answer.

use std::io::Write;

use super::csv::{cell, writer};
use super::{ReportError, time};
use crate::ledger::{Ledger, QuarantineLine};
use crate::record::expires_at;

const HEADER: [&str; 11] = [
    "transaction_id",
    "merchant_biz_id",
    "product_code",
    "region",
    "verified_at",
    "expires_at",
    "attempts",
    "failed_runs",
    "last_call_code",
    "last_call_at",
    "reason",
];

/// What is in quarantine.
#[derive(Debug, Default)]
pub struct Quarantined {
    /// How many.
    pub records: u64,
    /// The most urgent of them.
    pub first: Vec<QuarantineLine>,
}

/// Writes `quarantine.csv`; gives the number of records, and the first `keep` of them.
pub fn write(ledger: &Ledger, keep: usize, out: impl Write) -> Result<Quarantined, ReportError> {
    let mut out = writer(out);
    let mut quarantined = Quarantined::default();
    out.write_record(HEADER)?;
    ledger.for_each_quarantined::<ReportError>(|line| {
        quarantined.records += 1;
        out.write_record(cells(&line))?;
        if quarantined.first.len() < keep {
            quarantined.first.push(line);
        }
        Ok(())
    })?;
    out.flush()?;
    Ok(quarantined)
}

fn cells(line: &QuarantineLine) -> [String; 11] {
    let own = |text: Option<&str>| cell(text.unwrap_or_default()).into_owned();
    [
        own(Some(line.transaction_id.as_str())),
        own(Some(line.merchant_biz_id.as_str())),
        own(Some(&line.product_code)),
        own(Some(&line.region)),
        line.verified_at.map(time).unwrap_or_default(),
        line.verified_at.map(|at| time(expires_at(at))).unwrap_or_default(),
        line.attempts.to_string(),
        line.failed_runs.to_string(),
        own(line.last_call_code.as_deref()),
        line.last_call_at.map(time).unwrap_or_default(),
        own(line.last_message.as_deref()),
    ]
}
