//! The plan as CSV, for `--dry-run`: what would be asked for, in that order.

use std::collections::VecDeque;
use std::io::Write;

use jiff::Timestamp;

use super::csv::{cell, writer};
use super::{ReportError, time};
use crate::ledger::{Cursor, Ledger, LedgerError, Phase};
use crate::record::{Due, ProductCode, expires_at};

const HEADER: [&str; 5] = ["transaction_id", "product_code", "region", "verified_at", "expires_at"];

/// Rows of each product that are in memory at a time.
const PAGE_ROWS: usize = 256;

/// Writes the due records in the order in which they would be asked for: the products side by side, each earliest
/// possible deletion first, and what is past its deadline at the very end.
pub fn write(ledger: &Ledger, now: Timestamp, out: impl Write) -> Result<(), ReportError> {
    let mut out = writer(out);
    out.write_record(HEADER)?;
    for phase in [Phase::Live, Phase::Overdue] {
        let mut lanes = Vec::new();
        for product in ledger.due_products(now)? {
            lanes.push(Lane::new(product.product_code));
        }
        while let Some(due) = next(&mut lanes, ledger, phase, now)? {
            out.write_record(cells(&due))?;
        }
    }
    out.flush()?;
    Ok(())
}

/// One product's part of the plan, read page by page.
struct Lane {
    product_code: ProductCode,
    rows: VecDeque<Due>,
    /// `None` once the last page is read.
    after: Option<Cursor>,
}

impl Lane {
    fn new(product_code: ProductCode) -> Self {
        Self {
            product_code,
            rows: VecDeque::new(),
            after: Some(Cursor::start()),
        }
    }

    fn fill(&mut self, ledger: &Ledger, phase: Phase, now: Timestamp) -> Result<(), LedgerError> {
        if self.rows.is_empty()
            && let Some(after) = self.after.take()
        {
            let page = ledger.due_page(&self.product_code, phase, &after, now, PAGE_ROWS)?;
            self.after = (page.rows.len() == PAGE_ROWS).then_some(page.next);
            self.rows = page.rows.into();
        }
        Ok(())
    }
}

/// The most urgent row at the head of any lane.
fn next(lanes: &mut [Lane], ledger: &Ledger, phase: Phase, now: Timestamp) -> Result<Option<Due>, LedgerError> {
    for lane in lanes.iter_mut() {
        lane.fill(ledger, phase, now)?;
    }
    let urgent = lanes
        .iter_mut()
        .filter(|lane| !lane.rows.is_empty())
        .min_by_key(|lane| lane.rows.front().map(urgency));
    Ok(urgent.and_then(|lane| lane.rows.pop_front()))
}

/// The earliest time at which the vendor may delete it; of unknown age, that may be any time.
fn urgency(due: &Due) -> (Timestamp, Box<str>) {
    let deleted_from = due.verified_at.map_or(due.first_seen_at, expires_at);
    (deleted_from, due.transaction_id.as_str().into())
}

fn cells(due: &Due) -> [String; 5] {
    [
        cell(due.transaction_id.as_str()).into_owned(),
        cell(due.product_code.as_str()).into_owned(),
        cell(due.region.as_str()).into_owned(),
        due.verified_at.map(time).unwrap_or_default(),
        due.verified_at.map(|at| time(expires_at(at))).unwrap_or_default(),
    ]
}
