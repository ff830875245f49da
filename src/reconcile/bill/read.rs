//! The files of a bill, row by row.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::columns::{CURRENCY, ID, ITEM, ITEM_CODE};
use super::row::{Row, Unknown};
use super::settings::Form;
use super::{Bill, BillLine, BillSettings};
use crate::reconcile::names::NOT_OURS;
use crate::reconcile::remote::{Remote, read_table};
use crate::reconcile::table::{Cells, SourceError, Wanted, find, shown};

/// Lines of this service in all files together: many times what a month has with a line a day, product and region.
const MAX_LINES: usize = 500_000;
/// Unknown items that a message lists.
const MAX_UNKNOWN: usize = 30;

/// Reads the files as one bill. A ZIP archive is as many files as it has.
pub fn read(paths: &[PathBuf], settings: &BillSettings) -> Result<Bill, SourceError> {
    let mut bill = Bill::default();
    let mut seen = Seen::default();
    for path in paths {
        read_path(path, settings, &mut bill, &mut seen)?;
    }
    match seen.unknown() {
        Some(error) => Err(error),
        None => Ok(bill),
    }
}

fn read_path(path: &Path, settings: &BillSettings, bill: &mut Bill, seen: &mut Seen) -> Result<(), SourceError> {
    let any_column = settings.any_column();
    bill.files.push(path.display().to_string());
    match Remote::open(path, &any_column, &settings.isolation, None)? {
        Some(mut remote) => read_lines(&mut remote, settings, bill, seen),
        None => read_table(path, &any_column, &mut |table| read_lines(table, settings, bill, seen)),
    }
}

/// What must not come twice, what must be one, and what nobody named.
#[derive(Default)]
struct Seen {
    /// Rows, by their columns and text, or by their id; and where they were.
    rows: HashMap<(Vec<String>, Vec<String>), (String, u64)>,
    /// The currency of each product and region, and where it was.
    currencies: HashMap<(String, String), (String, String, u64)>,
    /// Billing items that no table knows, with their lines.
    unknown: BTreeMap<String, u64>,
    /// The first of them.
    first_unknown: Option<SourceError>,
}

fn read_lines(
    table: &mut dyn Cells,
    settings: &BillSettings,
    bill: &mut Bill,
    seen: &mut Seen,
) -> Result<(), SourceError> {
    let form = settings.form_of(table.header());
    let at = places(table, form)?;
    bill.forms.insert(form.name.clone());
    let header = table.header().to_vec();
    let mut rows = 0;
    while table.advance()? {
        rows += 1;
        // A ZIP archive goes on with its next file.
        if rows == 1 || bill.tables.last().is_none_or(|last| last != table.file()) {
            bill.tables.push(table.file().to_owned());
        }
        let file = bill.tables.len() - 1;
        let row = Row {
            table,
            at: &at,
            settings,
            form,
        };
        if row.is_total()? {
            bill.totals += 1;
            continue;
        }
        if bill.lines.len() == MAX_LINES {
            return Err(table.wrong(format!(
                "the bill has more than {MAX_LINES} lines of this service; reconcile a month at a time"
            )));
        }
        match row.line(file)? {
            Ok(Some(line)) => {
                seen.check(&row, &header, &line)?;
                bill.lines.push(line);
            }
            Ok(None) => bill.not_ours += 1,
            Err(unknown) => seen.add_unknown(&row, unknown),
        }
    }
    if rows == 0 {
        return Err(table.wrong("there is no line below the header: the file may be cut off".to_owned()));
    }
    bill.contents.push(table.content()?);
    Ok(())
}

/// Where each column stands. All that the header lacks is told at once.
fn places(table: &dyn Cells, form: &Form) -> Result<Vec<Option<usize>>, SourceError> {
    let mut wanted = form.wanted.clone();
    let has = |wanted: &Wanted| find(table.file(), table.line(), table.header(), std::slice::from_ref(wanted));
    let is_there = |at: usize| has(&wanted[at]).is_ok_and(|place| place[0].is_some());
    if !is_there(ITEM_CODE) && !is_there(ITEM) {
        wanted[ITEM].required = true;
    }
    find(table.file(), table.line(), table.header(), &wanted)
}

impl Seen {
    fn add_unknown(&mut self, row: &Row<'_>, unknown: Unknown) {
        if self.first_unknown.is_none() {
            self.first_unknown = Some(row.wrong(unknown.column, unknown.why));
        }
        if self.unknown.len() < MAX_UNKNOWN || self.unknown.contains_key(&unknown.item) {
            *self.unknown.entry(unknown.item).or_default() += 1;
        }
    }

    /// The first unknown item, with the lines for the configuration that would settle all.
    fn unknown(self) -> Option<SourceError> {
        let mut error = self.first_unknown?;
        let lines: Vec<String> = self
            .unknown
            .iter()
            .map(|(item, lines)| format!("{} = \"{NOT_OURS}\" # lines: {lines}", shown(item)))
            .collect();
        if let SourceError::Cell { what, .. } = &mut error {
            *what = format!(
                "{what}. Where the bill has other services, name this service's product codes: [bill] product_codes = \
                 [\"...\"]. All unknown items, to be given their products:\n[bill.products]\n{}",
                lines.join("\n")
            );
        }
        Some(error)
    }

    fn check(&mut self, row: &Row<'_>, header: &[String], line: &BillLine) -> Result<(), SourceError> {
        let table = row.table;
        let place = (table.file().to_owned(), table.line());
        let id = row.text(ID)?.trim().to_owned();
        let text = if id.is_empty() {
            (header.to_vec(), table.texts())
        } else {
            (vec![header[row.at[ID].unwrap_or_default()].clone()], vec![id.clone()])
        };
        let may_be_identical = row.settings.allow_identical && id.is_empty();
        if !may_be_identical && let Some((file, number)) = self.rows.insert(text, place) {
            let what = if id.is_empty() {
                format!(
                    "the line is the same as line {number} of {file}: a bill that counts one twice is not taken; remove one \
                     of them, export it again, or take both with --allow-identical"
                )
            } else {
                format!(
                    "the id {} is that of line {number} of {file}, too; export the bill again",
                    shown(&id)
                )
            };
            return Err(table.wrong(what));
        }
        let key = (line.product_code.clone(), line.region.clone());
        let first = self.currencies.entry(key);
        let (currency, file, number) =
            first.or_insert_with(|| (line.currency.clone(), table.file().to_owned(), table.line()));
        if *currency != line.currency {
            let what = format!(
                "{} in {} is billed in {} here and in {currency} in line {number} of {file}; a product has one currency \
                 in a region",
                line.product_code, line.region, line.currency
            );
            return Err(row.wrong(CURRENCY, what));
        }
        Ok(())
    }
}
