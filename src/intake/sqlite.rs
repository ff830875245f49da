//! Reads a SQLite source: the table `pending`, or what the configured query gives.
//!
//! - [`read`]: the whole of it
//!
//! A `verified_at` may also be an INTEGER, which is Unix time: seconds below 100 000 000 000, else milliseconds.
//!
//! The database is opened read-only and may be in use by the company's own program: a lock is waited for, and the
//! journal is honoured (so it is not opened as `immutable`). Beside a database in WAL mode SQLite may
//! leave its `-shm` and an empty `-wal`, as every reader does; the database file itself is never changed.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Statement};

use super::check::{self, Columns, Value};
use super::{IntakeError, IntakeSettings, Item, Rejected};

/// How long a lock of the company's own program is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest cell that is looked at: a thousand times what an id needs.
const MAX_CELL_BYTES: usize = 64 * 1024;

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
        // Nothing is written to the database itself.
        if source.sqlite_error_code() == Some(ErrorCode::ReadOnly) {
            IntakeError::NeedsItsFolder { name, source }
        } else {
            IntakeError::Query { name, source }
        }
    };
    let connection = open(path).map_err(failed)?;
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
    let header: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let columns = Columns::find(name, &header, &settings.columns)?;
    let mut cells = connection
        .prepare(&cells_of(&statement, header.len(), &columns))
        .map_err(failed)?;
    let mut rows = cells.query([]).map_err(failed)?;
    let mut line = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        line += 1;
        let values = std::array::from_fn(|field| columns.at[field].map_or(Value::NOTHING, |_| value(row, field)));
        let item = match check::pending(&values, settings) {
            Ok(row) => Item::Good { line, row },
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
    connection.execute_batch(GUARD)?;
    Ok(connection)
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
