//! Made-up pending sources, for `idvault demo`: rows in, a CSV or SQLite file out.
//!
//! - [`Row`]: one made-up verification
//! - [`write_csv`], [`write_sqlite`]: the two forms that a source can have

use std::io::Write as _;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::files::{self, FileError};

const CREATE: &str = include_str!("../../sql/demo_pending_create.sql");
const INSERT: &str = include_str!("../../sql/demo_pending_insert.sql");

/// One made-up verification.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The vendor's id.
    pub(crate) transaction_id: String,
    /// The vendor's product.
    pub(crate) product_code: &'static str,
    /// Where it was made.
    pub(crate) region: &'static str,
    /// When it was made.
    pub(crate) verified_at: Timestamp,
}

/// Why a made-up source can't be written.
#[derive(Debug, thiserror::Error)]
pub enum MadeUpError {
    /// The file can't be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// SQLite refuses.
    #[error("failed to write the made-up SQLite source")]
    Sqlite(#[from] rusqlite::Error),
}

/// Writes a new CSV source.
pub(crate) fn write_csv(path: &Path, rows: &[Row]) -> Result<(), MadeUpError> {
    let mut text = String::from("transaction_id,product_code,region,verified_at\n");
    for row in rows {
        let cells = [
            &row.transaction_id,
            row.product_code,
            row.region,
            &row.verified_at.to_string(),
        ];
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    let mut file = files::create_private(path)?;
    file.write_all(text.as_bytes())
        .map_err(FileError::because("write", path))?;
    Ok(())
}

/// Writes a new SQLite source with the table `pending`.
pub(crate) fn write_sqlite(path: &Path, rows: &[Row]) -> Result<(), MadeUpError> {
    files::create_private(path)?;
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(CREATE)?;
    {
        let mut insert = transaction.prepare(INSERT)?;
        for row in rows {
            let verified_at = row.verified_at.to_string();
            insert.execute(params![row.transaction_id, row.product_code, row.region, verified_at])?;
        }
    }
    transaction.commit()?;
    Ok(())
}
