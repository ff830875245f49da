//! Reads pending sources: which transactions there are to ask for. Knows nothing of the ledger, and never writes to a
//! source.
//!
//! - [`Source`]: where the rows come from: a CSV file, standard input, a SQLite file
//! - [`IntakeSettings`], [`ColumnNames`]: what the configuration says about sources
//! - [`SourceLimits`]: how many rows a source must and may give, how new, and how long that may take
//! - [`Item`], [`Rejected`]: a row, good or bad
//! - [`IntakeError`]: a source that can't be read as a whole
//! - [`read`]: streams the rows of a source
//! - [`Reading`]: the same in a thread of its own, which can be left, after [`SILENCE`] at the latest
//!
//! Bytes become text in `text`, text becomes rows in `rows` (with which `reconcile` reads bills, too), a row becomes a
//! [`Pending`] in `check`, for CSV and SQLite alike. What a library takes apart is read by a child process (`remote`).

mod check;
mod csv;
mod error;
pub mod made_up;
mod reading;
pub(crate) mod remote;
mod rows;
mod sqlite;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::record::Pending;
use crate::trust;
use crate::worker::Isolation;

pub(crate) use check::moment_of;
pub(crate) use csv::unquoted;
pub use error::IntakeError;
pub use reading::Reading;
pub(crate) use rows::Rows;
pub(crate) use text::Text;

/// How long a source may go on without a row, good or bad. No row at all would hold the whole night up, every night.
pub const SILENCE: Duration = Duration::from_mins(5);

/// How many rows a source must give, where the configuration does not say: one that is empty looks like a dead export.
pub const MIN_ROWS: u64 = 1;

/// How many rows of a source are read, where the configuration does not say: an endless view must not fill the disk.
pub const MAX_ROWS: u64 = 20_000_000;

/// Where the configuration maps the column of the ids; for messages.
const ID_COLUMN_KEY: &str = "intake.columns.transaction_id";
/// Where the configuration sets the query of SQLite sources; for messages.
const QUERY_KEY: &str = "intake.sqlite_query";
/// Where the configuration bounds the time for all sources; for messages.
const TIME_LIMIT_KEY: &str = "intake.time_limit";
/// Where the configuration bounds the rows of a source; for messages.
const MAX_ROWS_KEY: &str = "intake.max_rows";

/// A pending source. Its `Display` is the name that reports use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A CSV file, packed with gzip or not.
    Csv(PathBuf),
    /// CSV on standard input.
    Stdin,
    /// A SQLite file.
    Sqlite(PathBuf),
}

impl Source {
    /// The source of that name: `-` is standard input, a file is SQLite or CSV by how it begins. A pipe is CSV; it is
    /// not touched yet, as what was read from it would be lost.
    pub fn parse(text: &str) -> Result<Self, IntakeError> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        let path = PathBuf::from(text);
        let failed = |source| IntakeError::Open {
            path: path.clone(),
            source,
        };
        trust::refuse_foreign_link(&path).map_err(failed)?;
        let kind = std::fs::metadata(&path).map_err(failed)?.file_type();
        if kind.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let mut start = Vec::new();
        if kind.is_file() {
            let limit = text::SQLITE_MAGIC.len() as u64;
            let file = File::open(&path).map_err(failed)?;
            file.take(limit).read_to_end(&mut start).map_err(failed)?;
        }
        Ok(if start == text::SQLITE_MAGIC {
            Self::Sqlite(path)
        } else {
            Self::Csv(path)
        })
    }
}

impl Source {
    /// When its file was last written; `None` where it has none. A database in WAL mode is as new as its log.
    pub fn modified_at(&self) -> Option<Timestamp> {
        let time_of = |path: &Path| Timestamp::try_from(path.metadata().ok()?.modified().ok()?).ok();
        match self {
            Self::Csv(path) => time_of(path),
            Self::Sqlite(path) => {
                let mut log = path.clone().into_os_string();
                log.push("-wal");
                time_of(path).max(time_of(Path::new(&log)))
            }
            Self::Stdin => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Csv(path) | Self::Sqlite(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}

/// What the configuration says about pending sources.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IntakeSettings {
    /// The columns' names in the sources.
    pub columns: ColumnNames,
    /// The zone of a `verified_at` without an offset; without a zone such a value is rejected.
    #[serde(with = "jiff::fmt::serde::tz::optional")]
    pub time_zone: Option<TimeZone>,
    /// The query for SQLite sources in place of all rows of the table `pending`: one statement that only reads.
    pub sqlite_query: Option<String>,
    /// The regions that have an endpoint; a row of another region is rejected. `None` lets all pass.
    pub regions: Option<BTreeSet<String>>,
    /// How long a row is waited for, until the source is left where it is.
    pub silence: Duration,
    /// How a source is read that a library takes apart.
    #[serde(skip)]
    pub isolation: Isolation,
}

/// What a source must give for the night to be a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimits {
    /// The least number of rows.
    pub min_rows: u64,
    /// How old the newest `verified_at` may be, or the file where no row has one; `None`: any age.
    pub max_age: Option<SignedDuration>,
    /// The most rows that are read of it.
    pub max_rows: u64,
    /// How long all sources together may take: what is due already must not wait for them.
    pub time_limit: Duration,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        Self {
            columns: ColumnNames::default(),
            time_zone: None,
            sqlite_query: None,
            regions: None,
            silence: SILENCE,
            isolation: Isolation::default(),
        }
    }
}

/// The name that each field's column has in the sources; looked for without regard to case and to blanks around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnNames {
    /// The transaction's id; the only column that must be there.
    pub transaction_id: String,
    /// The company's own id.
    pub merchant_biz_id: String,
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// When the verification was made.
    pub verified_at: String,
}

impl Default for ColumnNames {
    fn default() -> Self {
        let [transaction_id, merchant_biz_id, product_code, region, verified_at] = check::FIELDS.map(str::to_owned);
        Self {
            transaction_id,
            merchant_biz_id,
            product_code,
            region,
            verified_at,
        }
    }
}

/// A row, in the order of the source. An id that comes twice is delivered twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all rows are good: a box would be an allocation for each"
)]
pub enum Item {
    /// A good row.
    Good {
        /// As [`Rejected::line`].
        line: u64,
        /// What it says.
        row: Pending,
        /// What could not be read of it and counts as missing, for people.
        unread: Option<String>,
    },
    /// A row that was rejected.
    Bad(Rejected),
}

impl Item {
    /// What a good row says.
    pub const fn good(&self) -> Option<&Pending> {
        match self {
            Self::Good { row, .. } => Some(row),
            Self::Bad(_) => None,
        }
    }
}

/// A row that can't be taken in, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The source's name.
    pub source: String,
    /// CSV: the 1-based line of the unpacked file on which the row starts. SQLite: the 1-based number of the row in
    /// the query's result.
    pub line: u64,
    /// The id as far as it can be made out, cut to 64 characters and without control characters.
    pub transaction_id: Option<String>,
    /// Why, for people.
    pub reason: String,
}

/// Streams the rows of `source` to `each` until that breaks off. Memory depends neither on the number of rows nor, for
/// CSV, on the length of a line. `stdin` is read for [`Source::Stdin`] only.
pub fn read(
    source: &Source,
    stdin: Box<dyn Read + Send>,
    settings: &IntakeSettings,
    each: &mut dyn FnMut(Item) -> ControlFlow<()>,
) -> Result<(), IntakeError> {
    let name = source.to_string();
    match source {
        Source::Stdin => csv::read(text::Text::open(&name, stdin, false)?, &name, settings, each),
        Source::Csv(path) => {
            let file = File::open(path).map_err(|source| IntakeError::Open {
                path: path.clone(),
                source,
            })?;
            let text = text::Text::open(&name, Box::new(file), text::is_named_gzip(path))?;
            csv::read(text, &name, settings, each).map_err(|error| with_size(error, path))
        }
        Source::Sqlite(path) => sqlite::read(path, &name, settings, each),
    }
}

/// Tells by the size, too, which file was named, where it seems to be another than was meant.
fn with_size(error: IntakeError, path: &std::path::Path) -> IntakeError {
    let bytes = path.metadata().map(|file| file.len());
    match (error, bytes) {
        (IntakeError::NoIdColumn { name, wanted, found }, Ok(bytes)) => IntakeError::NoIdColumn {
            name,
            wanted,
            found: format!("{found}, and {bytes} bytes in all"),
        },
        (error, _) => error,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::files;

    fn ids(source: &Source) -> Result<Vec<String>, IntakeError> {
        let mut ids = Vec::new();
        let settings = IntakeSettings::default();
        read(source, Box::new(io::empty()), &settings, &mut |item| {
            if let Item::Good { row, .. } = item {
                ids.push(row.transaction_id.to_string());
            }
            ControlFlow::Continue(())
        })?;
        Ok(ids)
    }

    #[test]
    fn a_source_is_what_its_file_is() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("pending.sqlite");
        let text = b"transaction_id\na1\n";
        files::create_private(&plain).unwrap().write_all(text).unwrap();
        let source = Source::parse(plain.to_str().unwrap()).unwrap();
        assert_eq!(source, Source::Csv(plain.clone()));
        assert_eq!(source.to_string(), plain.display().to_string());
        assert_eq!(ids(&source).unwrap(), ["a1"]);
        assert_eq!(std::fs::read(&plain).unwrap(), text);

        let packed = dir.path().join("pending.csv.gz");
        let mut encoder = GzEncoder::new(files::create_private(&packed).unwrap(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap();
        let source = Source::parse(packed.to_str().unwrap()).unwrap();
        assert_eq!(ids(&source).unwrap(), ["a1"]);

        let not_packed = dir.path().join("plain.GZ");
        files::create_private(&not_packed).unwrap().write_all(text).unwrap();
        let refused = ids(&Source::parse(not_packed.to_str().unwrap()).unwrap());
        assert!(matches!(refused, Err(IntakeError::Gzip { .. })), "{refused:?}");

        assert_eq!(Source::parse("-").unwrap(), Source::Stdin);
    }

    #[test]
    fn a_source_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("nowhere.csv"), dir.path().to_owned()] {
            let error = Source::parse(path.to_str().unwrap()).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn the_configuration_maps_single_columns_and_no_unknown_ones() {
        let names: ColumnNames = toml::from_str("verified_at = \"created\"").unwrap();
        assert_eq!(names.verified_at, "created");
        assert_eq!(names.transaction_id, "transaction_id");
        assert!(toml::from_str::<ColumnNames>("verified = \"created\"").is_err());
    }
}
