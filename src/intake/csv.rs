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
    while rows.advance().map_err(fault)? {
        let line = rows.line();
        let item = match judge(&rows, &columns, header.len(), settings) {
            Ok(row) => Item::Good { line, row },
            Err(refusal) => {
                let rejected = Rejected {
                    source: name.to_owned(),
                    line,
                    transaction_id: id_shown(&rows, &columns),
                    reason: refusal.reason,
                };
                if refusal.runs_over {
                    rows.give_back_all_but_the_first_line();
                }
                Item::Bad(rejected)
            }
        };
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

/// Why a row is not good.
struct Refusal {
    reason: String,
    /// The row took in further lines, which it should not have: they are to be read for themselves.
    runs_over: bool,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self {
            reason,
            runs_over: false,
        }
    }
}

fn judge<R: Read>(
    rows: &Rows<R>,
    columns: &Columns,
    header_cells: usize,
    settings: &IntakeSettings,
) -> Result<crate::record::Pending, Refusal> {
    if let Some(fault) = rows.fault() {
        return Err(fault.to_string().into());
    }
    let Some(text) = utf8(rows.text()) else {
        return Err("the row is not UTF-8 text".to_owned().into());
    };
    if text.contains('\0') {
        return Err("the row holds a NUL byte".to_owned().into());
    }
    let values = columns
        .at
        .map(|at| at.map_or(Cow::Borrowed(""), |index| cell(rows, index)));
    // No field of ours goes over a line end, so its quote was meant to close before it. Without this, two missing
    // quotes could hide every id between them.
    if rows.runs_over() && values.iter().any(|value| value.trim().contains(['\n', '\r'])) {
        return Err(Refusal {
            reason: Fault::Unclosed.to_string(),
            runs_over: true,
        });
    }
    if rows.cells() > header_cells {
        return Err(Refusal {
            reason: format!(
                "the row has {} cells and the header {header_cells}: its columns may have shifted",
                rows.cells()
            ),
            runs_over: true,
        });
    }
    Ok(check::pending(&values.map(Value::Text), settings)?)
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
