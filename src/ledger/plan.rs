//! What is due, in which order: read page by page, so that memory does not grow with the number of ids.

use jiff::Timestamp;
use rusqlite::{Row, ToSql, named_params};

use super::{Ledger, LedgerError, checked, optional, optional_timestamp, timestamp};
use crate::record::{Due, MerchantBizId, ProductCode, Region, TransactionId};

/// Which of the due rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Those that the vendor should still have, and those of unknown age.
    Live,
    /// Those past their deadline: asked last, because time spent on them could cost one that can still be saved.
    Overdue,
}

/// The place behind a row in the order of the plan.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    deleted_from: i64,
    number: i64,
}

impl Cursor {
    /// Before the first row.
    pub const fn start() -> Self {
        Self {
            deleted_from: i64::MIN,
            number: 0,
        }
    }
}

/// Due rows in the order in which they are to be asked for.
#[derive(Debug)]
pub struct DuePage {
    /// At most as many as were asked for; none at the end.
    pub rows: Vec<Due>,
    /// Where the next page begins.
    pub next: Cursor,
}

/// How many rows of a product are due.
#[derive(Debug, Clone)]
pub struct ProductDue {
    /// The product.
    pub product_code: ProductCode,
    /// Due rows.
    pub due: u64,
}

/// How many rows of a product are due in a region.
#[derive(Debug, Clone)]
pub struct QueueDue {
    /// The region.
    pub region: Region,
    /// The product.
    pub product_code: ProductCode,
    /// Due rows.
    pub due: u64,
    /// The earliest time at which the vendor may delete one of them, in microseconds.
    pub deleted_from: i64,
}

/// A product in a region, in a run.
#[derive(Debug, Clone, Copy)]
pub struct QueueRef<'a> {
    /// The region.
    pub region: &'a Region,
    /// The product.
    pub product_code: &'a ProductCode,
    /// The run.
    pub run_number: i64,
}

/// When a pending row is gone, for the forecast.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// The latest time at which it can be fetched.
    pub at: Timestamp,
    /// Whether `verified_at` is known; else the deadline is reckoned from when the id was first seen.
    pub age_known: bool,
}

impl Ledger {
    /// The products that have due rows, and how many.
    pub fn due_products(&self, now: Timestamp) -> Result<Vec<ProductDue>, LedgerError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare_cached(include_str!("../../sql/plan_products.sql"))?;
            let rows = statement.query_map(named_params! { ":now": now.as_microsecond() }, |row| {
                Ok(ProductDue {
                    product_code: checked(row.get_ref(0)?.as_str()?, ProductCode::parse)?,
                    due: row.get(1)?,
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("plan"))
    }

    /// The regions and products that have due rows, and how many; the most urgent first.
    pub fn due_queues(&self, now: Timestamp) -> Result<Vec<QueueDue>, LedgerError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare_cached(include_str!("../../sql/plan_queues.sql"))?;
            let mut rows = statement.query(named_params! { ":now": now.as_microsecond() })?;
            // By product already, so that SQLite need not sort all rows for the few regions of each.
            let mut queues: Vec<QueueDue> = Vec::new();
            let mut of_product = 0;
            while let Some(row) = rows.next()? {
                let (product_code, region) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
                if queues
                    .last()
                    .is_some_and(|last| last.product_code.as_str() != product_code)
                {
                    of_product = queues.len();
                }
                let known = queues[of_product..]
                    .iter_mut()
                    .find(|queue| queue.region.as_str() == region);
                match known {
                    Some(queue) => queue.due += 1,
                    // The first of a queue is its most urgent one.
                    None => queues.push(QueueDue {
                        region: checked(region, Region::parse)?,
                        product_code: checked(product_code, ProductCode::parse)?,
                        due: 1,
                        deleted_from: row.get(2)?,
                    }),
                }
            }
            queues.sort_by_key(|queue| queue.deleted_from);
            Ok(queues)
        };
        read().map_err(self.failed("plan"))
    }

    /// The next page of a product's due rows in all regions, earliest possible deletion first.
    pub fn due_page(
        &self,
        product_code: &ProductCode,
        phase: Phase,
        after: &Cursor,
        now: Timestamp,
        page_size: usize,
    ) -> Result<DuePage, LedgerError> {
        self.page((None, product_code, None), phase, after, now, page_size)
    }

    /// The same of one region, as it was before the run: what failed in an earlier pass of it has not failed in this run yet.
    pub fn queue_page(
        &self,
        queue: &QueueRef<'_>,
        phase: Phase,
        after: &Cursor,
        now: Timestamp,
        page_size: usize,
    ) -> Result<DuePage, LedgerError> {
        let of = (Some(queue.region), queue.product_code, Some(queue.run_number));
        self.page(of, phase, after, now, page_size)
    }

    fn page(
        &self,
        (region, product_code, run_number): (Option<&Region>, &ProductCode, Option<i64>),
        phase: Phase,
        after: &Cursor,
        now: Timestamp,
        page_size: usize,
    ) -> Result<DuePage, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(include_str!("../../sql/plan_due.sql"))?;
            let mut rows = statement.query(named_params! {
                ":region": region.map(Region::as_str),
                ":run_number": run_number,
                ":product_code": product_code.as_str(),
                ":overdue": phase == Phase::Overdue,
                ":until": if phase == Phase::Overdue { now.as_microsecond() } else { i64::MAX },
                ":after_deleted_from": after.deleted_from,
                ":after_number": after.number,
                ":now": now.as_microsecond(),
                ":page_size": i64::try_from(page_size).unwrap_or(i64::MAX),
            })?;
            let mut page = DuePage {
                rows: Vec::with_capacity(page_size),
                next: *after,
            };
            while let Some(row) = rows.next()? {
                let due = due(row)?;
                page.next = Cursor {
                    deleted_from: row.get(9)?,
                    number: due.number,
                };
                page.rows.push(due);
            }
            Ok(page)
        };
        read().map_err(self.failed("plan"))
    }

    /// A record of a product in a region that the vendor has answered and should not have deleted yet.
    pub fn answered_record(
        &self,
        region: &Region,
        product_code: &ProductCode,
        now: Timestamp,
    ) -> Result<Option<Due>, LedgerError> {
        self.first(
            include_str!("../../sql/probe_archived.sql"),
            named_params! {
                ":region": region.as_str(),
                ":product_code": product_code.as_str(),
                ":now": now.as_microsecond(),
            },
        )
    }

    /// The pending record of a product in a region that comes last in the plan.
    pub fn last_record(&self, region: &Region, product_code: &ProductCode) -> Result<Option<Due>, LedgerError> {
        self.first(
            include_str!("../../sql/probe_pending.sql"),
            named_params! { ":region": region.as_str(), ":product_code": product_code.as_str() },
        )
    }

    fn first(&self, sql: &str, params: &[(&str, &dyn ToSql)]) -> Result<Option<Due>, LedgerError> {
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query(params)?;
            rows.next()?.map(due).transpose()
        };
        read().map_err(self.failed("plan"))
    }

    /// Calls `each` with region, product and deadline of every pending row that is due by `due_by`, by product and in the order of
    /// the plan. `with_not_completed`: also those whose customer had not finished when they were last asked for.
    pub fn for_each_deadline(
        &self,
        due_by: Timestamp,
        with_not_completed: bool,
        mut each: impl FnMut(&str, &str, Deadline),
    ) -> Result<(), LedgerError> {
        let mut read = || {
            let mut statement = self
                .connection
                .prepare_cached(include_str!("../../sql/plan_deadlines.sql"))?;
            let mut rows = statement.query(named_params! {
                ":due_by": due_by.as_microsecond(),
                ":with_not_completed": with_not_completed,
            })?;
            while let Some(row) = rows.next()? {
                let deadline = Deadline {
                    at: timestamp(row.get(1)?)?,
                    age_known: row.get(2)?,
                };
                each(row.get_ref(3)?.as_str()?, row.get_ref(0)?.as_str()?, deadline);
            }
            Ok(())
        };
        read().map_err(self.failed("forecast"))
    }
}

fn due(row: &Row<'_>) -> rusqlite::Result<Due> {
    Ok(Due {
        number: row.get(8)?,
        transaction_id: checked(row.get_ref(0)?.as_str()?, TransactionId::parse)?,
        merchant_biz_id: optional(row, 1, MerchantBizId::parse)?,
        product_code: checked(row.get_ref(2)?.as_str()?, ProductCode::parse)?,
        region: checked(row.get_ref(3)?.as_str()?, Region::parse)?,
        verified_at: optional_timestamp(row.get(4)?)?,
        first_seen_at: timestamp(row.get(5)?)?,
        not_completed_runs: row.get(6)?,
        failed_runs: row.get(7)?,
    })
}
