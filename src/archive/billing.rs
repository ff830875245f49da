//! A billing report as a Parquet file: dates and exact decimals, as analysts join them with the archive.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use rust_decimal::Decimal;

use super::ArchiveError;
use super::schema::{CREATED_BY, epoch_day};
use crate::pricing::{BillingRow, By, MAX_BILL_DECIMALS};

/// Digits of an amount or price, those behind the point included: what fits 128 bits.
const PRECISION: u8 = 38;
/// Those behind the point: no price and no amount has more.
const SCALE: i8 = 9;

const _: () = assert!(
    SCALE.unsigned_abs() as u32 == MAX_BILL_DECIMALS,
    "an amount would lose digits"
);

/// Writes the rows as one Parquet file. `billing_day` is a date, `billing_month` a text such as `2026-11`; both are null
/// where the day is unknown.
pub fn write_billing(rows: &[BillingRow], by: By, out: impl Write + Send) -> Result<(), ArchiveError> {
    let batch = batch(rows, by).map_err(ParquetError::from)?;
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(out, batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

fn batch(rows: &[BillingRow], by: By) -> Result<RecordBatch, ArrowError> {
    let text = |column: fn(&BillingRow) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(column).collect::<StringArray>())
    };
    let periods: ArrayRef = match by {
        By::Day => Arc::new(
            rows.iter()
                .map(|row| row.billing_day.map(epoch_day))
                .collect::<Date32Array>(),
        ),
        By::Month => Arc::new(rows.iter().map(|row| by.cell(row.billing_day)).collect::<StringArray>()),
    };
    let columns = [
        (by.column(), periods, true),
        ("product_code", text(|row| Some(&row.product_code)), false),
        ("region", text(|row| Some(&row.region)), false),
        ("sub_code", text(|row| Some(&row.sub_code)), false),
        (
            "meaning",
            text(|row| Some(row.meaning.as_str()).filter(|text| !text.is_empty())),
            true,
        ),
        (
            "billed",
            Arc::new(rows.iter().map(|row| row.billed).collect::<BooleanArray>()),
            true,
        ),
        (
            "verifications",
            Arc::new(rows.iter().map(count).map(Some).collect::<Int64Array>()),
            false,
        ),
        ("unit_price", money(rows, |row| row.unit_price)?, true),
        ("currency", text(|row| row.currency.as_deref()), true),
        ("amount", money(rows, |row| row.amount)?, true),
        ("package", text(|row| row.package.as_deref()), true),
        (
            "correction",
            Arc::new(rows.iter().map(|row| Some(row.correction)).collect::<BooleanArray>()),
            false,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns)
}

/// Signed, as every reader knows it: the ledger counts no further.
fn count(row: &BillingRow) -> i64 {
    i64::try_from(row.verifications).unwrap_or(i64::MAX)
}

fn money(rows: &[BillingRow], column: fn(&BillingRow) -> Option<Decimal>) -> Result<ArrayRef, ArrowError> {
    let scaled = rows.iter().map(|row| column(row).map(scaled).transpose());
    let scaled = scaled.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(
        Decimal128Array::from(scaled).with_precision_and_scale(PRECISION, SCALE)?,
    ))
}

/// In units of 10^-9. What has more decimals is refused rather than cut off.
fn scaled(amount: Decimal) -> Result<i128, ArrowError> {
    let amount = amount.normalize();
    let missing = u32::from(SCALE.unsigned_abs()).checked_sub(amount.scale());
    let scaled = missing.and_then(|missing| amount.mantissa().checked_mul(10_i128.pow(missing)));
    scaled.ok_or_else(|| ArrowError::InvalidArgumentError(format!("{amount} has more than {SCALE} decimals")))
}
