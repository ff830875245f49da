//! Reads a CSV source: finds the columns by the header, and judges row by row.
//!
//! - [`read`]: the whole of it
//!
//! The delimiter is the first of comma, semicolon and tab by which the header has a column of ids.

use std::borrow::Cow;
use std::io::{self, Read};
use std::ops::ControlFlow;

use super::check::{self, Columns, Value};
use super::rows::{Fault, Rows};
use super::text::Text;
use super::{ColumnNames, IntakeError, IntakeSettings, Item, Rejected};
use crate::record::Pending;

/// Tried in this order.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Gives the rows of `text` to `each` until that breaks off. `name` is the source's.
pub(super) fn read(
    text: Text,
    name: &str,
    settings: &IntakeSettings,
    each: &mut dyn FnMut(Item) -> ControlFlow<()>,
) -> Result<(), IntakeError> {
    let gzip = text.is_gzip();
    let fault = |error: io::Error| Text::fault(name, gzip, error);
    let mut rows = Rows::new(text.into_bytes());
    let header = header(&mut rows, name, &settings.columns, &fault)?;
    let columns = Columns::find(name, &header, &settings.columns).map_err(|error| without_content(error, &header))?;
    let mut shortest_id = None;
    while rows.advance().map_err(fault)? {
        let line = rows.line();
        let shape = Shape::of(&rows, &columns, header.len());
        let item = match judge(&rows, &columns, &shape, shortest_id, settings) {
            Ok((row, unread)) => {
                let length = row.transaction_id.as_str().len();
                shortest_id = Some(shortest_id.map_or(length, |shortest: usize| shortest.min(length)));
                Item::Good { line, row, unread }
            }
            Err(reason) => Item::Bad(Rejected {
                source: name.to_owned(),
                line,
                transaction_id: id_shown(&rows, &columns),
                reason,
            }),
        };
        if shape.runs_over {
            rows.give_back_all_but_the_first_line();
        }
        if each(item).is_break() {
            break;
        }
    }
    Ok(())
}

/// A file that was named by mistake can hold secrets, and its first line is no header then: it is described, and not quoted.
fn without_content(error: IntakeError, header: &[String]) -> IntakeError {
    match error {
        IntakeError::NoIdColumn { name, wanted, .. } => {
            let cells = header.len();
            let found = format!("{cells} other{} in its first line", if cells == 1 { "" } else { "s" });
            IntakeError::NoIdColumn { name, wanted, found }
        }
        error => error,
    }
}

/// Reads the header and settles the delimiter. Where none gives a column of ids, the columns are those of the
/// delimiter that gives most, for the message.
fn header<R: Read>(
    rows: &mut Rows<R>,
    name: &str,
    wanted: &ColumnNames,
    fault: &dyn Fn(io::Error) -> IntakeError,
) -> Result<Vec<String>, IntakeError> {
    let mut most: Option<Result<Vec<String>, Fault>> = None;
    for delimiter in DELIMITERS {
        rows.set_delimiter(delimiter);
        if !rows.advance().map_err(fault)? {
            return Err(IntakeError::Empty { name: name.to_owned() });
        }
        let Some(line) = utf8(rows.text()) else {
            return Err(IntakeError::Encoding {
                name: name.to_owned(),
                found: "not UTF-8 text",
            });
        };
        if line.contains('\0') {
            return Err(IntakeError::Encoding {
                name: name.to_owned(),
                found: "not text, as its first line holds NUL bytes",
            });
        }
        let cells = match rows.fault() {
            Some(fault) => Err(fault),
            None => Ok((0..rows.cells())
                .map(|index| cell(rows, index).into_owned())
                .collect::<Vec<_>>()),
        };
        if let Ok(cells) = &cells
            && cells.iter().any(|cell| check::is_column(cell, &wanted.transaction_id))
        {
            return Ok(cells.clone());
        }
        if most.as_ref().is_none_or(|most| count(&cells) > count(most)) {
            most = Some(cells);
        }
        rows.stay();
    }
    most.unwrap_or(Ok(Vec::new())).map_err(|fault| IntakeError::Header {
        name: name.to_owned(),
        reason: fault.to_string(),
    })
}

fn count(cells: &Result<Vec<String>, Fault>) -> usize {
    cells.as_ref().map_or(0, Vec::len)
}

/// What is wrong with a row as a whole, and which of its cells can be used all the same.
struct Shape {
    fault: Option<String>,
    /// So many cells from the first on are what they seem to be.
    usable_cells: usize,
    /// The row took in further lines, which it should not have: they are to be read for themselves.
    runs_over: bool,
    /// The input ends within the row, before all its cells.
    is_cut: bool,
}

impl Shape {
    fn of<R: Read>(rows: &Rows<R>, columns: &Columns, header_cells: usize) -> Self {
        let cells = rows.cells();
        let mut shape = Self {
            fault: None,
            usable_cells: cells,
            runs_over: false,
            is_cut: cells < header_cells && rows.ends_the_input(),
        };
        // No field of ours goes over a line end, so its quote was meant to close before it. Without this, two missing
        // quotes could hide every id between them.
        let over_a_line = |at: &usize| {
            let text = rows.cell(*at).unwrap_or_default().trim_ascii();
            text.contains(&b'\n') || text.contains(&b'\r')
        };
        let first_over = columns.at.into_iter().flatten().filter(over_a_line).min();
        if let Some(fault) = rows.fault() {
            shape.fault = Some(fault.to_string());
            shape.usable_cells = cells - 1;
        } else if let Some(first) = first_over.filter(|_| rows.runs_over()) {
            shape.fault = Some(Fault::Unclosed.to_string());
            shape.usable_cells = first;
            shape.runs_over = true;
        } else if shape.is_cut {
            shape.fault = Some(format!(
                "the last line has {cells} cells, the header {header_cells}, and no line end: it was cut short"
            ));
        } else if utf8(rows.text()).is_none() {
            shape.fault = Some("the row is not UTF-8 text".to_owned());
        } else if rows.text().contains(&0) {
            shape.fault = Some("the row holds a NUL byte".to_owned());
        }
        if cells > header_cells {
            // A delimiter too many shifts the cells behind it; only the first one is surely in its place.
            shape.fault.get_or_insert_with(|| {
                format!("the row has {cells} cells and the header {header_cells}: its columns may have shifted")
            });
            shape.usable_cells = shape.usable_cells.min(1);
            shape.runs_over = true;
        }
        shape
    }
}

/// The row with what could not be read of it, or why it has no good id.
fn judge<R: Read>(
    rows: &Rows<R>,
    columns: &Columns,
    shape: &Shape,
    shortest_id: Option<usize>,
    settings: &IntakeSettings,
) -> Result<(Pending, Option<String>), String> {
    let reason = |why: &str| shape.fault.clone().unwrap_or_else(|| why.to_owned());
    if shape.is_cut || columns.transaction_id >= shape.usable_cells && shape.fault.is_some() {
        return Err(reason("the row has no id"));
    }
    let values = columns.at.map(|at| match at {
        Some(index) if index < shape.usable_cells => value(rows, index),
        _ => Value::NOTHING,
    });
    let (row, unread) = check::pending(&values, settings).map_err(|why| reason(&why))?;
    let id = row.transaction_id.as_str();
    if is_last_and_open(rows, columns) && shortest_id.is_some_and(|shortest| id.len() < shortest) {
        return Err(
            "the last line has no line end, and its id is shorter than all others: it may be cut short".to_owned(),
        );
    }
    let unread: Vec<String> = shape.fault.iter().cloned().chain(unread).collect();
    Ok((row, Some(unread.join("; ")).filter(|unread| !unread.is_empty())))
}

/// Whether the input ends with the row's id, so that more of it may be missing.
fn is_last_and_open<R: Read>(rows: &Rows<R>, columns: &Columns) -> bool {
    columns.transaction_id + 1 == rows.cells()
        && rows.ends_the_input()
        && !rows.text().trim_ascii_end().ends_with(b"\"")
}

fn value<R: Read>(rows: &Rows<R>, index: usize) -> Value<'_> {
    let raw = rows.cell(index).unwrap_or_default();
    utf8(raw).map_or(Value::Unusable("not UTF-8 text"), |raw| Value::Text(unquoted(raw)))
}

/// The row's id as far as it can be made out, however broken the row is.
fn id_shown<R: Read>(rows: &Rows<R>, columns: &Columns) -> Option<String> {
    let raw = String::from_utf8_lossy(rows.cell(columns.transaction_id)?);
    check::shown(raw.trim().trim_matches('"'))
}

/// The cell at `index` without its quotes; empty where the row ends before it.
fn cell<R: Read>(rows: &Rows<R>, index: usize) -> Cow<'_, str> {
    unquoted(rows.cell(index).and_then(utf8).unwrap_or_default())
}

/// A cell as it stands in its row, without its quotes.
pub(crate) fn unquoted(raw: &str) -> Cow<'_, str> {
    let quoted = raw.trim().strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    match quoted {
        Some(text) if text.contains('"') => Cow::Owned(text.replace("\"\"", "\"")),
        Some(text) => Cow::Borrowed(text),
        None => Cow::Borrowed(raw),
    }
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
