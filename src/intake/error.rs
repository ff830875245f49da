//! Why a pending source can't be read as a whole. One bad row is no error: see [`super::Rejected`].

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::worker::WorkerError;

/// A pending source that can't be read, or not to its end. Each sentence says what happened, to which source, and what
/// to do about it. Rows that were delivered before the error stand.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The file can't be opened, or is not there.
    #[error("failed to open the pending source {path}; check the path and its permissions", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading failed on the way.
    #[error("failed to read {name} to its end; what comes after the fault is missing, run again when it can be read")]
    Read {
        /// The source.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Whoever took its rows left off before its end.
    #[error("{name} was not read to its end, as the run was stopped; name it again in the next run")]
    Stopped {
        /// The source.
        name: String,
    },
    /// The time for reading sources was over before its end.
    #[error("{name} was not read to its end within {key} ({limit:?}); the next run reads it again, and what is due is asked for now", key = super::TIME_LIMIT_KEY)]
    OutOfTime {
        /// The source.
        name: String,
        /// How long the sources may take.
        limit: Duration,
    },
    /// No row came for too long.
    #[error("{name} gave no row for {seconds} s and was left; see what writes to it", seconds = silence.as_secs_f64())]
    Silent {
        /// The source.
        name: String,
        /// How long one was waited for.
        silence: Duration,
    },
    /// The gzip stream is damaged or cut short.
    #[error("failed to unpack {name}: the gzip data is damaged or cut short; write or copy the file again")]
    Gzip {
        /// The source.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Not a single line.
    #[error("{name} is empty; its first line must be a header that names the columns, even where there are no rows")]
    Empty {
        /// The source.
        name: String,
    },
    /// Not text that idvault can decode.
    #[error("{name} is {found}; write it as UTF-8 (with or without a byte order mark), or as UTF-16 with one")]
    Encoding {
        /// The source.
        name: String,
        /// What it seems to be.
        found: &'static str,
    },
    /// The header line can't be split into columns.
    #[error("the header of {name} can't be read: {reason}; its first line must name the columns")]
    Header {
        /// The source.
        name: String,
        /// Why.
        reason: String,
    },
    /// No column holds the ids.
    #[error(
        "{name} has no column {wanted:?}; it has {found}. Name the column of the ids so (a CSV file's first line is its \
         header), or set {key} in the configuration to the name that it has",
        key = super::ID_COLUMN_KEY
    )]
    NoIdColumn {
        /// The source.
        name: String,
        /// The column's name that was looked for.
        wanted: String,
        /// The columns that are there, for people.
        found: String,
    },
    /// Two columns have the name of one that is wanted.
    #[error("{name} has more than one column {column:?}; rename or remove all but one")]
    DuplicateColumn {
        /// The source.
        name: String,
        /// The name.
        column: String,
    },
    /// A SQLite database that comes packed or through a pipe.
    #[error("{name} holds a SQLite database, which can only be read from a plain file; unpack it to one and name that")]
    DatabaseInStream {
        /// The source.
        name: String,
    },
    /// The database has no table `pending`, and no query is configured.
    #[error(
        "{name} has no table pending; it has {found}. Create a table or view of that name, or set {key} in the \
         configuration to a query that selects the rows",
        key = super::QUERY_KEY
    )]
    NoTable {
        /// The source.
        name: String,
        /// The tables that are there, for people.
        found: String,
    },
    /// The configured query would change something, or gives no rows.
    #[error("the query for {name} must be one statement that only reads; set {key} to a SELECT", key = super::QUERY_KEY)]
    NotARead {
        /// The source.
        name: String,
    },
    /// It has more rows than are read of one source.
    #[error("{name} has more than {limit} rows and was left there; see whether it ends, and set {key} if all of them are meant", key = super::MAX_ROWS_KEY)]
    TooManyRows {
        /// The source.
        name: String,
        /// How many are read.
        limit: u64,
    },
    /// The configured query has parameters, and nobody gives them values.
    #[error("the query for {name} has parameters that nothing gives a value: {parameters}; write the values into {key}", key = super::QUERY_KEY)]
    Unbound {
        /// The source.
        name: String,
        /// The parameters, for people.
        parameters: String,
    },
    /// The database is in WAL mode, and SQLite may not make the files beside it that this needs.
    #[error(
        "failed to read {name}: it is in WAL mode, and while no program has it open, reading it makes files beside it; let this user \
         write to its folder, or name a copy of it that is not (`sqlite3 FILE \"VACUUM INTO 'copy.sqlite'\"`)"
    )]
    NeedsItsFolder {
        /// The source.
        name: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The process that reads it says why it can't be, or ended.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// SQLite reports an error.
    #[error("failed to query {name}; check the file, and {key} if it is set", key = super::QUERY_KEY)]
    Query {
        /// The source.
        name: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}
