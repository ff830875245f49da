//! `left.csv`: the records that this run asked for in vain, and the last answer. The next run asks for them again.

use std::io::Write;

use jiff::Timestamp;

use super::ReportError;
use super::csv::writer;
use super::quarantine::{HEADER, cells};
use crate::ledger::Ledger;

/// Writes `left.csv`: what is due at `now` and was asked for since `since`.
pub fn write(ledger: &Ledger, since: Timestamp, now: Timestamp, out: impl Write) -> Result<(), ReportError> {
    let mut out = writer(out);
    out.write_record(HEADER)?;
    ledger.for_each_left::<ReportError>(since, now, |line| Ok(out.write_record(cells(&line))?))?;
    out.flush()?;
    Ok(())
}
