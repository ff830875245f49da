//! Reads a SQLite source: the table `pending`, or what the configured query gives.
//!
//! - [`read`]: the whole of it
//!
//! A `verified_at` may also be an INTEGER, which is Unix time: seconds below 100 000 000 000, else milliseconds.
//!
//! The database is opened read-only and may be in use by the company's own program: a lock is waited for, and the
//! journal is honoured (so it is not opened as `immutable`). Beside a database in WAL mode SQLite may
//! leave its `-shm` and an empty `-wal`, as every reader does; the database file itself is never changed.

use std::fs::OpenOptions;
use std::ops::ControlFlow;
use std::os::raw::c_int;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Statement};

use tokio::time::Instant;

use super::check::{self, Columns, Value};
use super::{IntakeError, IntakeSettings, Item, Rejected};
use crate::trust;

/// How long a lock of the company's own program is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest cell that is looked at: a thousand times what an id needs.
const MAX_CELL_BYTES: usize = 64 * 1024;

/// Memory of SQLite's for a source that a child reads: 256 MiB, half of what the child may have.
const HEAP_BYTES: i64 = 256 << 20;

/// What is needed of SQLite, and far less than it could do.
const LIMITS: [(Limit, i32); 10] = [
    // A row with a large column that nobody asked for is still read.
    (Limit::SQLITE_LIMIT_LENGTH, 64 << 20),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 256 << 10),
    (Limit::SQLITE_LIMIT_COLUMN, 1_000),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 16),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Steps of SQLite's virtual machine between two looks at the time.
const STEPS: c_int = 1_000_000;

const GUARD: &str = include_str!("../../sql/pending_source_guard.sql");
const CELL: &str = include_str!("../../sql/pending_source_cell.sql");
const DEFAULT_QUERY: &str = include_str!("../../sql/pending_source_rows.sql");
const TABLES_QUERY: &str = include_str!("../../sql/pending_source_tables.sql");

/// Gives the rows of the database at `path` to `each` until that breaks off. `name` is the source's.
pub(super) fn read(
    path: &Path,
    name: &str,
    settings: &IntakeSettings,
    each: &mut dyn FnMut(Item) -> ControlFlow<()>,
) -> Result<(), IntakeError> {
    let failed = |source: rusqlite::Error| {
        let name = name.to_owned();
        // The only one who interrupts is the handler of `leave_when_silent`.
        if source.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            let silence = settings.silence;
            return IntakeError::Silent { name, silence };
        }
        // Nothing is written to the database itself.
        if source.sqlite_error_code() == Some(ErrorCode::ReadOnly) {
            IntakeError::NeedsItsFolder { name, source }
        } else {
            IntakeError::Query { name, source }
        }
    };
    trust::check_companions(path).map_err(|error| IntakeError::Open {
        path: error.path,
        source: error.source,
    })?;
    let mut connection = open(path).map_err(failed)?;
    let last_row = leave_when_silent(&mut connection, settings.silence).map_err(failed)?;
    let query = if let Some(query) = &settings.sqlite_query {
        query
    } else {
        let tables = tables(&connection).map_err(failed)?;
        if !tables.iter().any(|table| table.eq_ignore_ascii_case("pending")) {
            return Err(IntakeError::NoTable {
                name: name.to_owned(),
                found: check::list(&tables),
            });
        }
        DEFAULT_QUERY
    };
    let statement = match connection.prepare(query) {
        Err(rusqlite::Error::MultipleStatement) => return Err(IntakeError::NotARead { name: name.to_owned() }),
        prepared => prepared.map_err(failed)?,
    };
    // What gives no columns is no SELECT: SQLite calls ATTACH and BEGIN read-only.
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(IntakeError::NotARead { name: name.to_owned() });
    }
    if statement.parameter_count() > 0 {
        let names = (1..=statement.parameter_count()).map(|at| statement.parameter_name(at).unwrap_or("?").to_owned());
        return Err(IntakeError::Unbound {
            name: name.to_owned(),
            parameters: names.collect::<Vec<_>>().join(", "),
        });
    }
    let header: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let columns = Columns::find(name, &header, &settings.columns)?;
    let mut cells = connection
        .prepare(&cells_of(&statement, header.len(), &columns))
        .map_err(failed)?;
    let mut rows = cells.query([]).map_err(failed)?;
    let mut line = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        line += 1;
        *last_row.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let values = std::array::from_fn(|field| columns.at[field].map_or(Value::NOTHING, |_| value(row, field)));
        let item = match check::pending(&values, settings) {
            Ok((row, unread)) => Item::Good {
                line,
                row,
                unread: Some(unread.join("; ")).filter(|unread| !unread.is_empty()),
            },
            Err(reason) => Item::Bad(Rejected {
                source: name.to_owned(),
                line,
                transaction_id: values[0].shown(),
                reason,
            }),
        };
        if each(item).is_break() {
            break;
        }
    }
    Ok(())
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    // The bundled SQLite takes a name that starts with `file:` for a URI, which could ask for another mode.
    let path = if path.is_relative() {
        Path::new(".").join(path)
    } else {
        path.to_owned()
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    for (limit, most) in LIMITS {
        connection.set_limit(limit, most)?;
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Text in double quotes is a column's name. Where there is none, SQLite would take it for a text, and a mistyped name would
    // give no row and no error.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.execute_batch(GUARD)?;
    Ok(connection)
}

/// Has a query end that computes for longer than `silence` without a row; gives where the time of the last row is to stand.
fn leave_when_silent(connection: &mut Connection, silence: Duration) -> rusqlite::Result<Arc<Mutex<Instant>>> {
    let last_row = Arc::new(Mutex::new(Instant::now()));
    let seen = last_row.clone();
    let is_silent = move || seen.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > silence;
    connection.progress_handler(STEPS, Some(is_silent))?;
    Ok(last_row)
}

/// Limits the memory of SQLite in this process, which is to read a source and nothing else.
pub(super) fn bound_memory() {
    // In vain only where there is no memory at all.
    if let Ok(connection) = Connection::open_in_memory() {
        let _ = connection.pragma_update(None, "hard_heap_limit", HEAP_BYTES);
    }
}

/// Makes the two files that SQLite needs beside a database in WAL mode, as SQLite would: a confined process may not. Where
/// that fails, SQLite says what is missing.
pub(super) fn make_companions(path: &Path) {
    /// Where the file's header says by which version it may be read and written; 2 is the WAL.
    const VERSIONS: u64 = 18;
    let Ok(file) = crate::files::open_regular(path) else {
        return;
    };
    let mut versions = [0; 2];
    let (Ok(()), Ok(database)) = (file.read_exact_at(&mut versions, VERSIONS), file.metadata()) else {
        return;
    };
    if versions != [2, 2] {
        return;
    }
    for end in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(database.mode() & 0o666)
            .open(name);
        if let Ok(made) = made {
            // In vain where this user is not root: then they are this user's, as SQLite would have it.
            let _ = fchown(&made, Some(database.uid()), Some(database.gid()));
        }
    }
}

/// The query for the cells of the fields, two columns a field: the cell, unless it is too long, and its length. So neither
/// such a cell nor a column that nobody asked for gets into memory. The columns get names that are made up here: those of
/// the source are never pasted.
fn cells_of(statement: &Statement<'_>, width: usize, columns: &Columns) -> String {
    let query = statement.expanded_sql().unwrap_or_default();
    let query = query.trim_end().trim_end_matches(';');
    let names: Vec<String> = (0..width).map(|column| format!("c{column}")).collect();
    let cells = columns.at.map(|at| {
        let name = at.map_or("NULL", |column| &names[column]);
        CELL.trim_end()
            .replace("{cell}", name)
            .replace("{limit}", &MAX_CELL_BYTES.to_string())
    });
    // A comment at the end of the query or of a cell must not reach further than its line.
    format!(
        "WITH source({}) AS (\n{query}\n) SELECT\n{}\nFROM source",
        names.join(", "),
        cells.join("\n,")
    )
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(TABLES_QUERY)?
        .query_map([], |row| row.get(0))?
        .collect()
}

fn value<'row>(row: &'row Row<'_>, field: usize) -> Value<'row> {
    let (Ok(value), Ok(length)) = (row.get_ref(2 * field), row.get_ref(2 * field + 1)) else {
        return Value::NOTHING;
    };
    match value {
        ValueRef::Null if matches!(length, ValueRef::Integer(_)) => Value::Unusable("longer than 64 KiB"),
        ValueRef::Null => Value::NOTHING,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(_) => Value::Unusable("a REAL number; text or an INTEGER is needed"),
        ValueRef::Blob(_) => Value::Unusable("a BLOB; text or an INTEGER is needed"),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Unusable("not UTF-8 text"),
        },
    }
}

#[cfg(test)]
mod tests;
