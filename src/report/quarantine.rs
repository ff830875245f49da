//! `quarantine.csv`: the records that need a person, and the vendor's last answer.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write;

use super::csv::{cell, writer};
use super::{ReportError, time};
use crate::ledger::{Ledger, QuarantineLine};
use crate::record::expires_at;

pub(super) const HEADER: [&str; 11] = [
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

/// Kinds of answers that are told apart: a server can make up as many codes as it likes.
const MAX_KINDS: usize = 1_024;

/// What is in quarantine.
#[derive(Debug, Default)]
pub struct Quarantined {
    /// How many.
    pub records: u64,
    /// The most urgent of them.
    pub first: Vec<QuarantineLine>,
    /// By product, region and last call code; the first [`MAX_KINDS`].
    kinds: BTreeMap<(String, String, String), u64>,
}

impl Quarantined {
    /// The commonest answer, in words that read on after a sentence.
    pub fn commonest(&self) -> String {
        let most = self.kinds.iter().max_by_key(|(kind, count)| (**count, Reverse(*kind)));
        match most {
            Some(((product_code, region, code), count)) => {
                format!("; commonest answer: {code} for {count} of {product_code} in {region}")
            }
            None => String::new(),
        }
    }

    fn count(&mut self, line: &QuarantineLine) {
        self.records += 1;
        let code = line.last_call_code.clone().unwrap_or_default();
        let kind = (line.product_code.clone(), line.region.clone(), code);
        if self.kinds.len() < MAX_KINDS || self.kinds.contains_key(&kind) {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }
}

/// Writes `quarantine.csv`; gives the number of records, and the first `keep` of them.
pub fn write(ledger: &Ledger, keep: usize, out: impl Write) -> Result<Quarantined, ReportError> {
    let mut out = writer(out);
    let mut quarantined = Quarantined::default();
    out.write_record(HEADER)?;
    ledger.for_each_quarantined::<ReportError>(|line| {
        quarantined.count(&line);
        out.write_record(cells(&line))?;
        if quarantined.first.len() < keep {
            quarantined.first.push(line);
        }
        Ok(())
    })?;
    out.flush()?;
    Ok(quarantined)
}

pub(super) fn cells(line: &QuarantineLine) -> [String; 11] {
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
