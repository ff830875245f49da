//! Taking pending rows in: unknown ids are added, known ones completed with what they lacked.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Ledger, LedgerError, Run, optional_timestamp};
use crate::record::{MerchantBizId, Pending, ProductCode, Region, State};

/// Rows a commit. Intake is repeated after a crash, so this is only about speed.
const BATCH_ROWS: usize = 20_000;

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
}

/// Takes rows in, in batches. [`Admission::finish`] commits the last one; what is dropped is rolled back.
#[derive(Debug)]
pub struct Admission<'ledger> {
    ledger: &'ledger mut Ledger,
    defaults: &'ledger Defaults,
    run_number: i64,
    now: Timestamp,
    in_batch: usize,
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
            in_batch: 0,
        }
    }
}

impl Admission<'_> {
    /// Takes one row in.
    pub fn admit(&mut self, row: &Pending) -> Result<Admitted, LedgerError> {
        self.try_admit(row).map_err(self.ledger.failed("take a pending row in"))
    }

    /// Commits the last batch.
    pub fn finish(mut self) -> Result<(), LedgerError> {
        self.commit().map_err(self.ledger.failed("commit the pending rows"))
    }

    fn try_admit(&mut self, row: &Pending) -> rusqlite::Result<Admitted> {
        if self.in_batch == 0 {
            self.ledger.connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        self.in_batch += 1;
        let connection = &self.ledger.connection;
        let known = connection
            .prepare_cached(include_str!("../../sql/admit_lookup.sql"))?
            .query_row(
                named_params! { ":transaction_id": row.transaction_id.as_str() },
                Known::read,
            )
            .optional()?;
        let admitted = match known {
            None => {
                self.insert(row)?;
                Admitted::New
            }
            Some(mut known) => match known.merge(row) {
                Merge::Completed => {
                    known.store(connection)?;
                    Admitted::Completed
                }
                Merge::Nothing if known.first_run == self.run_number => Admitted::Duplicate,
                Merge::Nothing => Admitted::Known,
                Merge::Conflict(what) => Admitted::Conflict(what),
            },
        };
        if self.in_batch >= BATCH_ROWS {
            self.commit()?;
        }
        Ok(admitted)
    }

    fn insert(&self, row: &Pending) -> rusqlite::Result<()> {
        let product_code = row.product_code.as_ref().unwrap_or(&self.defaults.product_code);
        let region = row.region.as_ref().unwrap_or(&self.defaults.region);
        self.ledger
            .connection
            .prepare_cached(include_str!("../../sql/admit_insert.sql"))?
            .execute(named_params! {
                ":transaction_id": row.transaction_id.as_str(),
                ":merchant_biz_id": row.merchant_biz_id.as_ref().map(MerchantBizId::as_str),
                ":product_code": product_code.as_str(),
                ":product_assumed": row.product_code.is_none(),
                ":region": region.as_str(),
                ":region_assumed": row.region.is_none(),
                ":verified_at": row.verified_at.map(Timestamp::as_microsecond),
                ":first_seen_at": self.now.as_microsecond(),
                ":first_run": self.run_number,
            })?;
        Ok(())
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        if std::mem::take(&mut self.in_batch) > 0 {
            self.ledger.connection.execute_batch("COMMIT")?;
        }
        Ok(())
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.in_batch > 0 {
            // The connection rolls back by itself when it is closed; this only does it sooner.
            drop(self.ledger.connection.execute_batch("ROLLBACK"));
        }
    }
}

/// What the ledger knows of an id.
struct Known {
    number: i64,
    merchant_biz_id: Option<String>,
    product_code: String,
    product_assumed: bool,
    region: String,
    region_assumed: bool,
    verified_at: Option<Timestamp>,
    first_run: i64,
    state: Option<State>,
}

enum Merge {
    Nothing,
    Completed,
    Conflict(String),
}

impl Known {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            merchant_biz_id: row.get(2)?,
            product_code: row.get(3)?,
            product_assumed: row.get(4)?,
            region: row.get(5)?,
            region_assumed: row.get(6)?,
            verified_at: optional_timestamp(row.get(7)?)?,
            first_run: row.get(8)?,
            state: State::from_word(row.get_ref(9)?.as_str()?),
        })
    }

    /// Adds what `row` says and was not known. What was said before stands, but for a quarantined id: what the row says
    /// differently may be what was wrong. All of an id that is done stands: the archive is never rewritten.
    fn merge(&mut self, row: &Pending) -> Merge {
        if !matches!(
            self.state,
            Some(State::Pending | State::Journalled | State::Quarantined)
        ) {
            return Merge::Nothing;
        }
        let corrects = self.state == Some(State::Quarantined);
        let (mut completed, mut conflicts) = (false, Vec::new());
        let mut hear = |name: &str, said: &str, known: Option<String>| {
            let heard = corrects || known.is_none();
            match known {
                Some(known) if !heard => conflicts.push(format!("{name} {said}, the ledger has {known}")),
                _ => completed = true,
            }
            heard
        };
        if let Some(said) = row.verified_at
            && self.verified_at.map(Timestamp::as_microsecond) != Some(said.as_microsecond())
            && hear(
                "verified_at",
                &said.to_string(),
                self.verified_at.map(|known| known.to_string()),
            )
        {
            self.verified_at = Some(said);
        }
        if let Some(said) = row.merchant_biz_id.as_ref().map(MerchantBizId::as_str)
            && self.merchant_biz_id.as_deref() != Some(said)
            && hear("merchant_biz_id", said, self.merchant_biz_id.clone())
        {
            self.merchant_biz_id = Some(said.to_owned());
        }
        let product_code = row.product_code.as_ref().map(ProductCode::as_str);
        let region = row.region.as_ref().map(Region::as_str);
        for (name, said, known, assumed) in [
            (
                "product_code",
                product_code,
                &mut self.product_code,
                &mut self.product_assumed,
            ),
            ("region", region, &mut self.region, &mut self.region_assumed),
        ] {
            if let Some(said) = said
                && (*assumed || said != known)
                && hear(name, said, (!*assumed).then(|| known.clone()))
            {
                said.clone_into(known);
                *assumed = false;
            }
        }
        if !conflicts.is_empty() {
            Merge::Conflict(format!(
                "contradicts what is known of this id: {}",
                conflicts.join("; ")
            ))
        } else if completed {
            Merge::Completed
        } else {
            Merge::Nothing
        }
    }

    fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection
            .prepare_cached(include_str!("../../sql/admit_complete.sql"))?
            .execute(named_params! {
                ":number": self.number,
                ":merchant_biz_id": self.merchant_biz_id,
                ":product_code": self.product_code,
                ":product_assumed": self.product_assumed,
                ":region": self.region,
                ":region_assumed": self.region_assumed,
                ":verified_at": self.verified_at.map(Timestamp::as_microsecond),
            })?;
        if self.state == Some(State::Journalled)
            && let Some(verified_at) = self.verified_at
        {
            connection.execute(
                include_str!("../../sql/admit_journalled.sql"),
                named_params! { ":number": self.number, ":verified_at": verified_at.as_microsecond() },
            )?;
        }
        Ok(())
    }
}
