//! Taking pending rows in: unknown ids are added, known ones completed with what they lacked.
//!
//! - [`Admission`]: takes rows in; [`Defaults`]: what is taken for a row that does not say
//! - [`Admitted`]: what became of a row
//!
//! Three things keep it fast where there are millions of rows. A source mostly repeats in its order what it said the night
//! before, and the ledger has numbered the ids in that order: so rows are first held to the one that comes next in the ledger.
//! Other rows are looked up by their id. And an empty ledger is filled without its indices, which are made at the end by
//! sorting; until then a [`Filter`] tells which ids are certainly new. It is filled past the WAL where nobody else has it open.

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, named_params};

use super::filter::{self, Filter};
use super::known::{Known, Merge};
use super::{Ledger, LedgerError, Run, STEPS_BETWEEN_LOOKS};
use crate::record::{MerchantBizId, Pending, ProductCode, Region};

/// Rows a commit at least. Intake is repeated after a crash, so this is only about speed.
const COMMIT_ROWS: usize = 20_000;

/// Rows of `admit_insert_many.sql`.
const MANY: usize = 16;

/// What is taken for a row that does not say.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The product.
    pub product_code: ProductCode,
    /// The region.
    pub region: Region,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// An unknown id was added.
    New,
    /// A known id was completed.
    Completed,
    /// The ledger knew it all.
    Known,
    /// The id came before in this run.
    Duplicate,
    /// The row contradicts the ledger, which was left as it is; the sentence says in what.
    Conflict(String),
    /// The id perhaps came before in this run: the row is to be given again after [`Admission::make_indices`].
    Later,
}

/// Takes rows in and commits them batch by batch, the last by [`Admission::commit`]; what is dropped is rolled back. That happens
/// where the run ends: an empty ledger may then be out of WAL mode until it is opened again.
#[derive(Debug)]
pub struct Admission<'ledger> {
    ledger: &'ledger mut Ledger,
    defaults: &'ledger Defaults,
    run_number: i64,
    now: Timestamp,
    begun: bool,
    uncommitted: usize,
    /// Until the next commit what is written goes past the WAL.
    past_wal: bool,
    /// The number of the ledger's row that the next one should be about, while the rows come in the ledger's order.
    follows: Option<i64>,
    /// While the ledger has no indices.
    filling: Option<Filling>,
}

/// An empty ledger that is being filled.
#[derive(Debug)]
struct Filling {
    filter: Filter,
    /// What makes the indices again.
    indices: Vec<String>,
}

impl Ledger {
    /// Starts to take rows in.
    pub fn admission<'ledger>(
        &'ledger mut self,
        defaults: &'ledger Defaults,
        run: &Run,
        now: Timestamp,
    ) -> Admission<'ledger> {
        Admission {
            ledger: self,
            defaults,
            run_number: run.number,
            now,
            begun: false,
            uncommitted: 0,
            past_wal: false,
            follows: None,
            filling: None,
        }
    }
}

impl Admission<'_> {
    /// Takes rows in; tells of each, in their order, what became of it.
    pub fn admit(&mut self, rows: &[&Pending]) -> Result<Vec<Admitted>, LedgerError> {
        let admitted = self.try_admit(rows);
        let admitted = admitted.map_err(self.ledger.failed("take pending rows in"))?;
        if self.uncommitted >= COMMIT_ROWS {
            self.commit()?;
        }
        Ok(admitted)
    }

    /// Whether rows may still be put off until later.
    pub const fn puts_off(&self) -> bool {
        self.filling.is_some()
    }

    /// Makes the indices that an empty ledger was filled without; no row is put off from then on. False where `stopped` said
    /// so before they were done: then nothing of this intake is kept.
    pub fn make_indices(&mut self, stopped: impl FnMut() -> bool + Send + 'static) -> Result<bool, LedgerError> {
        let failed = self.ledger.failed("make the indices");
        let Some(Filling { filter, indices }) = self.filling.take() else {
            return Ok(true);
        };
        // Its memory is for sorting now.
        drop(filter);
        let connection = &mut self.ledger.connection;
        let sorters = include_str!("../../sql/admit_sorters.sql");
        let made = connection
            .progress_handler(STEPS_BETWEEN_LOOKS, Some(stopped))
            .and_then(|()| connection.execute_batch(sorters))
            .and_then(|()| indices.iter().try_for_each(|sql| connection.execute_batch(sql)));
        connection.progress_handler(0, None::<fn() -> bool>).map_err(&failed)?;
        match made {
            Ok(()) => Ok(true),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
                self.roll_back();
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Commits what was taken in. The indices are to be made first.
    pub fn commit(&mut self) -> Result<(), LedgerError> {
        debug_assert!(self.filling.is_none(), "the indices are to be made first");
        self.uncommitted = 0;
        let connection = &self.ledger.connection;
        if !connection.is_autocommit() {
            let committed = connection.execute_batch("COMMIT");
            committed.map_err(self.ledger.failed("commit the pending rows"))?;
        }
        self.return_to_wal()
    }

    fn try_admit(&mut self, rows: &[&Pending]) -> rusqlite::Result<Vec<Admitted>> {
        self.begin()?;
        let mut admitted = Vec::with_capacity(rows.len());
        if self.filling.is_some() {
            self.fill(rows, &mut admitted)?;
            return Ok(admitted);
        }
        while admitted.len() < rows.len() {
            self.follow(&rows[admitted.len()..], &mut admitted)?;
            self.look_up(&rows[admitted.len()..], &mut admitted)?;
        }
        self.uncommitted += rows.len();
        Ok(admitted)
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        let connection = &self.ledger.connection;
        let mut is_empty = false;
        if !std::mem::replace(&mut self.begun, true) {
            let any = include_str!("../../sql/admit_any.sql");
            self.follows = connection.query_row(any, [], |row| row.get(0))?;
            is_empty = self.follows.is_none();
            self.past_wal = is_empty && self.ledger.leave_wal()?;
        }
        if connection.is_autocommit() {
            connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        if is_empty {
            self.filling = Some(Filling::begin(connection)?);
        }
        Ok(())
    }

    /// Adds what is certainly new.
    fn fill<'row>(&mut self, rows: &[&'row Pending], admitted: &mut Vec<Admitted>) -> rusqlite::Result<()> {
        let Some(filling) = &mut self.filling else {
            return Ok(());
        };
        let new = filling.filter.add(rows.iter().map(|row| row.transaction_id.as_str()));
        let is_new = |(row, new): (&&'row Pending, &bool)| new.then_some(*row);
        let new_rows: Vec<&Pending> = rows.iter().zip(&new).filter_map(is_new).collect();
        let (many, rest) = new_rows.as_chunks::<MANY>();
        let mut insert_many = self.insert_many()?;
        for rows in many {
            self.add(&mut insert_many, rows)?;
        }
        let mut insert = self.insert()?;
        for row in rest {
            self.add(&mut insert, &[row])?;
        }
        admitted.extend(new.iter().map(|new| if *new { Admitted::New } else { Admitted::Later }));
        Ok(())
    }

    /// Takes rows in for as long as each is about the ledger's next one.
    fn follow(&mut self, rows: &[&Pending], admitted: &mut Vec<Admitted>) -> rusqlite::Result<()> {
        let Some(first) = self.follows.take() else {
            return Ok(());
        };
        let connection = &self.ledger.connection;
        let mut statement = connection.prepare_cached(include_str!("../../sql/admit_follow.sql"))?;
        let mut expected = statement.query([first])?;
        let mut follows = first;
        for row in rows {
            let Some(next) = expected.next()? else {
                return Ok(());
            };
            let known = Known::read(next)?;
            if known.transaction_id != row.transaction_id.as_str() {
                return Ok(());
            }
            follows = known.number + 1;
            admitted.push(self.merge(&known, row)?);
        }
        self.follows = Some(follows);
        Ok(())
    }

    /// Takes rows in one by one, until two of them were about successive rows of the ledger.
    fn look_up(&mut self, rows: &[&Pending], admitted: &mut Vec<Admitted>) -> rusqlite::Result<()> {
        let connection = &self.ledger.connection;
        let mut statement = connection.prepare_cached(include_str!("../../sql/admit_lookup.sql"))?;
        let mut insert = self.insert()?;
        let (mut before, mut follows) = (None, None);
        for row in rows {
            let mut found = statement.query(named_params! { ":transaction_id": row.transaction_id.as_str() })?;
            let Some(found) = found.next()? else {
                self.add(&mut insert, &[row])?;
                admitted.push(Admitted::New);
                continue;
            };
            let known = Known::read(found)?;
            admitted.push(self.merge(&known, row)?);
            if before.replace(known.number) == Some(known.number - 1) {
                follows = Some(known.number + 1);
                break;
            }
        }
        drop((statement, insert));
        self.follows = follows;
        Ok(())
    }

    fn merge(&self, known: &Known<'_>, row: &Pending) -> rusqlite::Result<Admitted> {
        Ok(match known.merge(row, &self.ledger.connection)? {
            Merge::Completed(completed) => {
                completed.store(&self.ledger.connection)?;
                Admitted::Completed
            }
            Merge::Nothing if known.first_run == self.run_number => Admitted::Duplicate,
            Merge::Nothing => Admitted::Known,
            Merge::Conflict(what) => Admitted::Conflict(what),
        })
    }

    fn insert(&self) -> rusqlite::Result<CachedStatement<'_>> {
        self.ledger
            .connection
            .prepare_cached(include_str!("../../sql/admit_insert.sql"))
    }

    fn insert_many(&self) -> rusqlite::Result<CachedStatement<'_>> {
        self.ledger
            .connection
            .prepare_cached(include_str!("../../sql/admit_insert_many.sql"))
    }

    /// Adds as many unknown ids as `insert` takes. The values are in its order: to look for their names takes a tenth of the time.
    fn add(&self, insert: &mut CachedStatement<'_>, rows: &[&Pending]) -> rusqlite::Result<()> {
        insert.raw_bind_parameter(1, self.now.as_microsecond())?;
        insert.raw_bind_parameter(2, self.run_number)?;
        for (row, first) in rows.iter().zip((3..).step_by(7)) {
            let product_code = row.product_code.as_ref().unwrap_or(&self.defaults.product_code);
            let region = row.region.as_ref().unwrap_or(&self.defaults.region);
            insert.raw_bind_parameter(first, row.transaction_id.as_str())?;
            insert.raw_bind_parameter(first + 1, row.merchant_biz_id.as_ref().map(MerchantBizId::as_str))?;
            insert.raw_bind_parameter(first + 2, product_code.as_str())?;
            insert.raw_bind_parameter(first + 3, row.product_code.is_none())?;
            insert.raw_bind_parameter(first + 4, region.as_str())?;
            insert.raw_bind_parameter(first + 5, row.region.is_none())?;
            insert.raw_bind_parameter(first + 6, row.verified_at.map(Timestamp::as_microsecond))?;
        }
        insert.raw_execute()?;
        Ok(())
    }

    fn return_to_wal(&mut self) -> Result<(), LedgerError> {
        if std::mem::take(&mut self.past_wal) {
            self.ledger.set_journal_mode()?;
        }
        Ok(())
    }

    fn roll_back(&self) {
        if !self.ledger.connection.is_autocommit() {
            // The connection rolls back by itself when it is closed; this only does it sooner.
            drop(self.ledger.connection.execute_batch("ROLLBACK"));
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.roll_back();
    }
}

impl Filling {
    fn begin(connection: &Connection) -> rusqlite::Result<Self> {
        let indices = connection
            .prepare(include_str!("../../sql/admit_indices.sql"))?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        connection.execute_batch(include_str!("../../sql/admit_indices_drop.sql"))?;
        Ok(Self {
            filter: Filter::new(filter::BYTES),
            indices,
        })
    }
}
