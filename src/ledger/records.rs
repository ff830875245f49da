//! The vendor's own records of verifications, held to what the ledger knows of them.
//!
//! - [`VendorRecord`]: one of them
//! - [`HeldRecords`]: which of the ledger's ids they named; [`Kept`]: one that is looked at again
//! - [`Adopted`]: what became of those that no source named
//!
//! Of each record its id is looked up once, as it is read. Only those that matter are kept, in SQLite's temporary database,
//! which spills to the disk: memory does not grow with their number.

use rusqlite::{OptionalExtension as _, Row, named_params};

use super::reconcile::month_row;
use super::{Admitted, Defaults, Ledger, LedgerError, MonthRow, Run, checked, optional, timestamp};
use crate::record::{MerchantBizId, Pending, ProductCode, Region, TransactionId};
use jiff::Timestamp;

/// Records that are adopted at a time.
const BATCH_ROWS: u32 = 20_000;

/// A record of the vendor's. What it does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorRecord {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The company's own id.
    pub merchant_biz_id: Option<MerchantBizId>,
    /// The product.
    pub product_code: Option<ProductCode>,
    /// The region.
    pub region: Option<Region>,
    /// When it was made.
    pub verified_at: Timestamp,
    /// The verdict; `None` also where it is not final.
    pub passed: Option<bool>,
    /// The sub code.
    pub sub_code: Option<String>,
}

/// Which of the ledger's ids the records named.
#[derive(Debug, Default)]
pub struct HeldRecords {
    /// A bit for each number.
    named: Vec<u64>,
    /// The number of the last one, and how far it is from the one before.
    last: i64,
    step: i64,
}

impl HeldRecords {
    /// Whether a record named the id with this number.
    pub fn names(&self, number: i64) -> bool {
        let (word, bit) = place(number);
        self.named.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// False where one did already.
    fn name(&mut self, number: i64) -> bool {
        let (word, bit) = place(number);
        if self.named.len() <= word {
            self.named.resize(word + 1, 0);
        }
        let is_first = self.named[word] & bit == 0;
        self.named[word] |= bit;
        (self.step, self.last) = (number - self.last, number);
        is_first
    }

    /// The number that the next one has where they come in the ledger's order or against it, as exports by time mostly do.
    fn guess(&self) -> Option<i64> {
        (self.step.abs() == 1).then(|| self.last + self.step)
    }
}

fn place(number: i64) -> (usize, u64) {
    let number = u64::try_from(number).unwrap_or(0);
    (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64))
}

/// A record that was kept, and what the ledger knows of its id.
#[derive(Debug)]
pub struct Kept<'a> {
    /// The record.
    pub record: &'a VendorRecord,
    /// `None`: no source named it.
    pub known: Option<MonthRow<'a>>,
}

/// What became of the records that no source named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Adopted {
    /// Taken in as pending.
    pub taken: u64,
    /// Of a region without an endpoint, so that they can't be asked for.
    pub refused: u64,
}

impl Ledger {
    /// Starts to hold records to the ledger; only once for each that is opened.
    pub fn hold_records(&self) -> Result<HeldRecords, LedgerError> {
        // One commit for what is kept, instead of one a record.
        let sql = concat!("BEGIN;", include_str!("../../sql/records.sql"));
        let begun = self.connection.execute_batch(sql);
        begun.map_err(self.failed("hold records"))?;
        Ok(HeldRecords::default())
    }

    /// Looks a record's id up, and hands what is known of it to `judge`, which says whether the record is to be kept. False
    /// where the id came before.
    pub fn hold_record(
        &self,
        held: &mut HeldRecords,
        record: &VendorRecord,
        judge: &mut dyn FnMut(Option<MonthRow<'_>>) -> bool,
    ) -> Result<bool, LedgerError> {
        let mut look_up = || -> rusqlite::Result<bool> {
            let id = record.transaction_id.as_str();
            let guess = held.guess();
            let mut known = |row: &Row<'_>| {
                let row = month_row(row)?;
                let is_first = held.name(row.number);
                Ok((is_first, is_first && judge(Some(row))))
            };
            let mut found = None;
            if let Some(number) = guess {
                let sql = include_str!("../../sql/records_guess.sql");
                let guessed = named_params! { ":number": number, ":transaction_id": id };
                found = self
                    .connection
                    .prepare_cached(sql)?
                    .query_row(guessed, &mut known)
                    .optional()?;
            }
            if found.is_none() {
                let sql = include_str!("../../sql/records_lookup.sql");
                let by_id = named_params! { ":transaction_id": id };
                found = self
                    .connection
                    .prepare_cached(sql)?
                    .query_row(by_id, &mut known)
                    .optional()?;
            }
            let (is_new, keep) = match found {
                Some((false, _)) => return Ok(false),
                Some((true, keep)) => (false, keep),
                None => (true, judge(None)),
            };
            Ok(!keep || self.keep(record, is_new)?)
        };
        look_up().map_err(self.failed("look a record up"))
    }

    /// False where it is there already.
    fn keep(&self, record: &VendorRecord, is_new: bool) -> rusqlite::Result<bool> {
        let kept = self
            .connection
            .prepare_cached(include_str!("../../sql/records_keep.sql"))?
            .execute(named_params! {
                ":transaction_id": record.transaction_id.as_str(),
                ":merchant_biz_id": record.merchant_biz_id.as_ref().map(MerchantBizId::as_str),
                ":product_code": record.product_code.as_ref().map(ProductCode::as_str),
                ":region": record.region.as_ref().map(Region::as_str),
                ":verified_at": record.verified_at.as_microsecond(),
                ":passed": record.passed,
                ":sub_code": record.sub_code,
                ":is_new": is_new,
            })?;
        Ok(kept == 1)
    }

    /// Ends the holding: all records were read.
    pub fn records_are_held(&self) -> Result<(), LedgerError> {
        let ended = self.connection.execute_batch("COMMIT");
        ended.map_err(self.failed("hold records"))
    }

    /// Calls `each` with the records that were kept, in the order in which they came.
    pub fn for_each_kept<E: From<LedgerError>>(
        &self,
        each: &mut dyn FnMut(Kept<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = self.failed("read the records again");
        let sql = include_str!("../../sql/records_kept.sql");
        let mut statement = self.connection.prepare(sql).map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let record = vendor_record(row, 10).map_err(&failed)?;
            let is_known = row.get_ref(0).is_ok_and(|number| number.as_i64().is_ok());
            let known = is_known.then(|| month_row(row)).transpose().map_err(&failed)?;
            each(Kept { record: &record, known })?;
        }
        Ok(())
    }

    /// Takes the records in that no source named, as a source would: those of the `regions` that can be asked.
    pub fn adopt(
        &mut self,
        defaults: &Defaults,
        can_be_asked: &dyn Fn(&Region) -> bool,
        run: &Run,
        now: Timestamp,
    ) -> Result<Adopted, LedgerError> {
        let (mut adopted, mut last) = (Adopted::default(), 0);
        loop {
            let batch = self.unnamed(last).map_err(self.failed("read the records again"))?;
            let Some((entry, _)) = batch.last() else {
                return Ok(adopted);
            };
            last = *entry;
            let is_asked = |row: &&Pending| row.region.as_ref().is_none_or(can_be_asked);
            let rows: Vec<&Pending> = batch.iter().map(|(_, row)| row).filter(is_asked).collect();
            adopted.refused += (batch.len() - rows.len()) as u64;
            let mut admission = self.admission(defaults, run, now);
            let admitted = admission.admit(&rows)?;
            admission.commit()?;
            adopted.taken += admitted.iter().filter(|what| **what == Admitted::New).count() as u64;
        }
    }

    /// A batch of the records that no source named, behind `entry`.
    fn unnamed(&self, entry: i64) -> rusqlite::Result<Vec<(i64, Pending)>> {
        let mut statement = self
            .connection
            .prepare_cached(include_str!("../../sql/records_unnamed.sql"))?;
        let from = named_params! { ":entry": entry, ":rows": BATCH_ROWS };
        let rows = statement.query_map(from, |row| {
            let record = vendor_record(row, 1)?;
            let pending = Pending {
                transaction_id: record.transaction_id,
                merchant_biz_id: record.merchant_biz_id,
                product_code: record.product_code,
                region: record.region,
                verified_at: Some(record.verified_at),
            };
            Ok((row.get(0)?, pending))
        })?;
        rows.collect()
    }
}

/// The seven columns of a record from `at` on.
fn vendor_record(row: &Row<'_>, at: usize) -> rusqlite::Result<VendorRecord> {
    Ok(VendorRecord {
        transaction_id: checked(row.get_ref(at)?.as_str()?, TransactionId::parse)?,
        merchant_biz_id: optional(row, at + 1, MerchantBizId::parse)?,
        product_code: optional(row, at + 2, ProductCode::parse)?,
        region: optional(row, at + 3, Region::parse)?,
        verified_at: timestamp(row.get(at + 4)?)?,
        passed: row.get(at + 5)?,
        sub_code: row.get(at + 6)?,
    })
}
