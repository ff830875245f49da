//! The plan as CSV, for `--dry-run`: what would be asked for, in that order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::Write;

use jiff::Timestamp;

use super::csv::{cell, writer};
use super::{ReportError, time};
use crate::ledger::{Cursor, Ledger, LedgerError, Phase};
use crate::record::{Due, ProductCode, expires_at};

const HEADER: [&str; 5] = ["transaction_id", "product_code", "region", "verified_at", "expires_at"];

/// Rows of a product that are in memory at a time.
const PAGE_ROWS: usize = 256;
/// Rows of all products together, but for one a product: a source can name as many products as it has rows.
const MAX_ROWS: usize = 16 * PAGE_ROWS;

/// Writes the due records in the order in which they would be asked for: the products side by side, each earliest
/// possible deletion first, and what is past its deadline at the very end. False where it was `stopped` before the end.
pub fn write(
    ledger: &Ledger,
    now: Timestamp,
    stopped: &dyn Fn() -> bool,
    out: impl Write,
) -> Result<bool, ReportError> {
    let mut out = writer(out);
    out.write_record(HEADER)?;
    for phase in [Phase::Live, Phase::Overdue] {
        let products = ledger.due_products(now)?;
        let page_rows = (MAX_ROWS / products.len().max(1)).clamp(1, PAGE_ROWS);
        let mut lanes = Vec::new();
        let mut heads = BinaryHeap::new();
        for (index, product) in products.into_iter().enumerate() {
            let mut lane = Lane::new(product.product_code, page_rows);
            heads.extend(lane.head(ledger, phase, now)?.map(|head| Reverse((head, index))));
            lanes.push(lane);
        }
        while let Some(Reverse((_, index))) = heads.pop() {
            if stopped() {
                out.flush()?;
                return Ok(false);
            }
            let lane = &mut lanes[index];
            if let Some(due) = lane.rows.pop_front() {
                out.write_record(cells(&due))?;
            }
            heads.extend(lane.head(ledger, phase, now)?.map(|head| Reverse((head, index))));
        }
    }
    out.flush()?;
    Ok(true)
}

/// One product's part of the plan, read page by page.
struct Lane {
    product_code: ProductCode,
    rows: VecDeque<Due>,
    page_rows: usize,
    /// `None` once the last page is read.
    after: Option<Cursor>,
}

/// What rows are ordered by: the earliest time at which the vendor may delete one, which for unknown age may be any time
/// from when it was first seen; then its number.
type Urgency = (Timestamp, i64);

impl Lane {
    fn new(product_code: ProductCode, page_rows: usize) -> Self {
        Self {
            product_code,
            rows: VecDeque::new(),
            page_rows,
            after: Some(Cursor::start()),
        }
    }

    /// How urgent its first row is, if it has one.
    fn head(&mut self, ledger: &Ledger, phase: Phase, now: Timestamp) -> Result<Option<Urgency>, LedgerError> {
        if self.rows.is_empty()
            && let Some(after) = self.after.take()
        {
            let page = ledger.due_page(&self.product_code, phase, &after, now, self.page_rows)?;
            self.after = (page.rows.len() == self.page_rows).then_some(page.next);
            self.rows = page.rows.into();
        }
        Ok(self.rows.front().map(urgency))
    }
}

fn urgency(due: &Due) -> Urgency {
    let deleted_from = due.verified_at.map_or(due.first_seen_at, expires_at);
    (deleted_from, due.number)
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
