//! A file that others export, as rows of cells: strictly, since money or the proof of a verification hangs on each.
//!
//! - [`SourceError`]: what is wrong with it, and where
//! - [`Cells`]: a table that stands on one row at a time; [`Table`]: a CSV file; [`Content`]: what was read of it
//! - [`Wanted`], [`find`]: a column that is looked for, and where it stands

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::gb18030;
use crate::files;
use crate::intake::{IntakeError, Rows, Text, unquoted};
use crate::plain::shortened;
use crate::record::hex;
use crate::trust;
use crate::worker::WorkerError;

/// Tried in this order; the first under which most columns are known is taken.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// How the row with the sum of the others begins.
const TOTALS: [&str; 5] = ["total", "grandtotal", "合计", "总计", "小计"];
/// Lines before the header that are looked through: a title, an account, a period.
const MAX_LINES_BEFORE_HEADER: u64 = 20;
/// So many known columns make a header.
const FEWEST_KNOWN: usize = 3;
/// How much of a value is shown, in characters.
const SHOWN_CHARS: usize = 64;
/// How many columns an error names at most.
const SHOWN_COLUMNS: usize = 30;

/// A bill or an export of records that can't be taken for what it says. Nothing of it is used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file can't be opened, or is not there.
    #[error("failed to open {path}; check the path and its permissions", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no such file, or too large a one.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// It can't be read to its end, or is no text.
    #[error(transparent)]
    Text(#[from] IntakeError),
    /// The process that reads it says why it can't be, or ended.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A cell is not what its column should hold.
    #[error("{file}, line {line}, column {column:?}: {what}")]
    Cell {
        /// The file.
        file: String,
        /// Counted from 1 in the unpacked file, or in the workbook's sheet.
        line: u64,
        /// The column, as the file names it.
        column: String,
        /// What is wrong.
        what: String,
    },
    /// A row is not one of the table's, or the header lacks a column.
    #[error("{file}, line {line}: {what}")]
    Row {
        /// The file.
        file: String,
        /// Counted from 1 in the unpacked file, or in the workbook's sheet.
        line: u64,
        /// What is wrong.
        what: String,
    },
}

/// Opens a file from outside: a regular one, as a pipe could be waited for without end.
pub(super) fn open(path: &Path) -> Result<File, SourceError> {
    let opened = trust::refuse_foreign_link(path).and_then(|()| files::open_regular(path));
    opened.map_err(|source| SourceError::Open {
        path: path.to_owned(),
        source,
    })
}

/// An error about a file as a whole.
pub(super) fn refused(path: &Path, why: String) -> SourceError {
    SourceError::File {
        file: path.display().to_string(),
        why,
    }
}

/// A value from outside in a sentence.
pub(super) fn shown(text: &str) -> String {
    format!("{:?}", shortened(text, SHOWN_CHARS))
}

/// A column that is looked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// Its key in the configuration, as in `bill.columns.day`.
    pub(super) key: String,
    /// How it may be called.
    pub(super) names: Vec<String>,
    /// Whether there is no table without it.
    pub(super) required: bool,
}

impl Wanted {
    fn is(&self, column: &str) -> bool {
        self.names.iter().any(|name| significant(name) == significant(column))
    }
}

/// What matters of the name of a column, region or the like: neither case nor blanks nor underscores.
pub(super) fn significant(name: &str) -> String {
    let kept = name.chars().filter(|c| !c.is_whitespace() && *c != '_');
    kept.flat_map(char::to_lowercase).collect()
}

/// Where each wanted column stands in `header`, which is on `line`. All that is wrong with the header is told at once, with the
/// lines for the configuration that would settle it.
pub(super) fn find(
    file: &str,
    line: u64,
    header: &[String],
    wanted: &[Wanted],
) -> Result<Vec<Option<usize>>, SourceError> {
    let (mut missing, mut twice, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    let mut place = |wanted: &Wanted| {
        let mut places = (0..header.len()).filter(|at| wanted.is(&header[*at]));
        let place = places.next();
        if let (Some(first), Some(second)) = (place, places.next()) {
            let (first, second) = (shown(&header[first]), shown(&header[second]));
            twice.push(format!("the columns {first} and {second} say the same"));
            lines.push(format!("{} = {first}", wanted.key));
        } else if place.is_none() && wanted.required {
            let name = wanted.names.first().map_or("", String::as_str);
            let name = if name.is_empty() { &wanted.key } else { name };
            missing.push(shown(name));
            lines.push(format!("{} = \"...\"", wanted.key));
        }
        place
    };
    let places: Vec<Option<usize>> = wanted.iter().map(&mut place).collect();
    if lines.is_empty() {
        return Ok(places);
    }
    let mut faults = Vec::new();
    if !missing.is_empty() {
        let there = listed(header);
        faults.push(format!("there is no column {}, only {there}", missing.join(", ")));
    }
    faults.extend(twice);
    Err(SourceError::Row {
        file: file.to_owned(),
        line,
        what: format!(
            "{}; name the columns that are meant in the configuration:\n{}",
            faults.join("; "),
            lines.join("\n")
        ),
    })
}

/// Whether a cell says that its row is the sum of the others.
pub(super) fn is_total(text: &str) -> bool {
    let text = significant(text);
    TOTALS.contains(&text.trim_end_matches([':', '：']))
}

/// The columns in a sentence. Where they do not read as names, the file is no table: its first line may be a secret, and is
/// not quoted.
fn listed(header: &[String]) -> String {
    let reads_as_name = |name: &String| {
        let fits = |c: char| c.is_alphanumeric() || " _-./()（）#".contains(c);
        name.chars().count() <= SHOWN_CHARS && name.chars().all(fits)
    };
    if header.len() > 1 && header.iter().all(reads_as_name) {
        let names: Vec<String> = header.iter().take(SHOWN_COLUMNS).map(|name| shown(name)).collect();
        return names.join(", ");
    }
    let columns = if header.len() == 1 { "column" } else { "columns" };
    format!(
        "{} {columns} whose names are not shown, as the file may be no table at all",
        header.len()
    )
}

/// How many of the `wanted` columns a header has.
fn count_known(header: &[String], wanted: &[Wanted]) -> usize {
    let is_there = |wanted: &&Wanted| header.iter().any(|name| wanted.is(name));
    wanted.iter().filter(is_there).count()
}

/// The bytes of a file that was read, and their SHA-256 in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// How many.
    pub bytes: u64,
    /// The hash.
    pub sha256: String,
}

/// A table that stands on one row at a time; its header is read.
pub(super) trait Cells {
    /// The file, as it was named, and the sheet of a workbook.
    fn file(&self) -> &str;

    /// The columns.
    fn header(&self) -> &[String];

    /// The 1-based line on which the row starts.
    fn line(&self) -> u64;

    /// Goes to the next row; false at the end.
    fn advance(&mut self) -> Result<bool, SourceError>;

    /// The cell at `index` as text.
    fn text(&self, index: usize) -> Result<Cow<'_, str>, SourceError>;

    /// What was read. The table is not to be advanced after it.
    fn content(&mut self) -> Result<Content, SourceError>;

    /// All cells of the row, for comparing it with others.
    fn texts(&self) -> Vec<String> {
        let text = |at| self.text(at).map_or_else(|error| error.to_string(), Cow::into_owned);
        (0..self.header().len()).map(text).collect()
    }

    /// An error about the row.
    fn wrong(&self, what: String) -> SourceError {
        SourceError::Row {
            file: self.file().to_owned(),
            line: self.line(),
            what,
        }
    }

    /// An error about a cell of the row.
    fn wrong_cell(&self, index: usize, what: String) -> SourceError {
        SourceError::Cell {
            file: self.file().to_owned(),
            line: self.line(),
            column: self.header().get(index).cloned().unwrap_or_default(),
            what,
        }
    }
}

/// A CSV file, packed with gzip or not, with comma, semicolon or tab. Stands on one row at a time.
pub(super) struct Table {
    file: String,
    gzip: bool,
    rows: Rows<Box<dyn Read + Send>>,
    header: Vec<String>,
    /// The line of the header, as long as the table stands there.
    header_line: Option<u64>,
    /// The file again, for what no row needed to be read of.
    rest: Hashed,
}

/// A file whose bytes are hashed as they are read.
pub(super) struct Hashed {
    file: File,
    read: Arc<Mutex<(Sha256, u64)>>,
}

impl Hashed {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            read: Arc::default(),
        }
    }

    /// The same file at the same place, with the same hash.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
            read: self.read.clone(),
        })
    }

    pub(super) fn content(&self) -> Content {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        Content {
            bytes: read.1,
            sha256: hex(&read.0.clone().finalize()),
        }
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.0.update(&buffer[..length]);
        read.1 += length as u64;
        Ok(length)
    }
}

impl Table {
    /// Reads the header. The delimiter is the one under which most of the `wanted` columns are there; one under which the
    /// header can't be split has none.
    pub(super) fn open(path: &Path, wanted: &[Wanted]) -> Result<Self, SourceError> {
        let file = path.display().to_string();
        let failed = |source| SourceError::Open {
            path: path.to_owned(),
            source,
        };
        let rest = Hashed::new(open(path)?);
        let opened = rest.again().map_err(failed)?;
        let packed = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
        Self::read_from(file, Box::new(opened), packed, rest, wanted)
    }

    /// A table whose text comes from `bytes`, which are behind `rest` in some way.
    pub(super) fn read_from(
        file: String,
        bytes: Box<dyn Read + Send>,
        packed: bool,
        rest: Hashed,
        wanted: &[Wanted],
    ) -> Result<Self, SourceError> {
        let text = Text::open(&file, bytes, packed)?;
        let gzip = text.is_gzip();
        let bytes = gb18030::decoded(text.into_bytes()).map_err(|error| Text::fault(&file, gzip, error))?;
        let mut table = Self {
            file,
            gzip,
            rows: Rows::new(bytes),
            header: Vec::new(),
            header_line: Some(1),
            rest,
        };
        table.find_header(wanted)?;
        Ok(table)
    }

    /// The header is the first row that has some of the `wanted` columns. Where none has, the first row is it, for the
    /// message about what it lacks.
    fn find_header(&mut self, wanted: &[Wanted]) -> Result<(), SourceError> {
        let required = wanted.iter().filter(|wanted| wanted.required).count();
        let enough = FEWEST_KNOWN.min(required);
        let mut first: Option<(Vec<String>, u64)> = None;
        loop {
            let (known, delimiter) = self.guess_delimiter(wanted)?;
            self.rows.set_delimiter(delimiter);
            let header = match self.read_header() {
                Err(SourceError::Text(IntakeError::Empty { .. })) if first.is_some() => Vec::new(),
                header => header?,
            };
            let line = self.rows.line();
            let is_last = header.is_empty() || line > MAX_LINES_BEFORE_HEADER;
            if known >= enough || is_last && first.is_none() {
                (self.header, self.header_line) = (header, Some(line));
                return Ok(());
            }
            if is_last {
                let (header, line) = first.unwrap_or((header, line));
                (self.header, self.header_line) = (header, Some(line));
                return Ok(());
            }
            first.get_or_insert((header, line));
        }
    }

    /// How many of the columns the next row has under the delimiter that gives most, and that one. Stays before the row.
    fn guess_delimiter(&mut self, wanted: &[Wanted]) -> Result<(usize, u8), SourceError> {
        let mut best = (0, DELIMITERS[0]);
        for delimiter in DELIMITERS {
            self.rows.set_delimiter(delimiter);
            let known = match self.read_header() {
                Ok(header) => count_known(&header, wanted),
                // Cells in quotes can't be split at what does not stand between them.
                Err(SourceError::Row { .. } | SourceError::Text(IntakeError::Empty { .. })) => 0,
                Err(error) => return Err(error),
            };
            if known > best.0 {
                best = (known, delimiter);
            }
            self.rows.stay();
        }
        Ok(best)
    }

    fn read_header(&mut self) -> Result<Vec<String>, SourceError> {
        if !self.advance_any()? {
            let name = self.file.clone();
            return Err(IntakeError::Empty { name }.into());
        }
        (0..self.rows.cells())
            .map(|at| Ok(self.text(at)?.into_owned()))
            .collect()
    }

    fn advance_any(&mut self) -> Result<bool, SourceError> {
        let advanced = self.rows.advance();
        if !advanced.map_err(|error| Text::fault(&self.file, self.gzip, error))? {
            return Ok(false);
        }
        match self.rows.fault() {
            Some(fault) => Err(self.wrong(fault.to_string())),
            None => Ok(true),
        }
    }
}

impl Cells for Table {
    fn file(&self) -> &str {
        &self.file
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn line(&self) -> u64 {
        self.header_line.unwrap_or_else(|| self.rows.line())
    }

    fn content(&mut self) -> Result<Content, SourceError> {
        let read = io::copy(&mut self.rest, &mut io::sink());
        read.map_err(|error| Text::fault(&self.file, self.gzip, error))?;
        Ok(self.rest.content())
    }

    /// A row with more or fewer cells than the header, or without a line end, may have been cut off.
    fn advance(&mut self) -> Result<bool, SourceError> {
        self.header_line = None;
        if !self.advance_any()? {
            return Ok(false);
        }
        let (cells, wanted) = (self.rows.cells(), self.header.len());
        if cells < wanted && self.text(0).is_ok_and(|first| is_total(&first)) {
            return self.advance();
        }
        if cells != wanted {
            return Err(self.wrong(format!(
                "the row has {cells} cells and the header {wanted}: the file may be cut off here, or a cell with a \
                 delimiter in it lacks its quotes"
            )));
        }
        if self.rows.is_cut_off() {
            return Err(self.wrong(
                "the file ends without a line end, so it may be cut off; export it again, or add the line end where it is \
                 complete"
                    .to_owned(),
            ));
        }
        Ok(true)
    }

    /// Without its quotes.
    fn text(&self, index: usize) -> Result<Cow<'_, str>, SourceError> {
        let cell = self.rows.cell(index).unwrap_or_default();
        match std::str::from_utf8(cell) {
            Ok(cell) if !cell.contains('\0') => Ok(unquoted(cell)),
            _ => Err(self.wrong(format!(
                "cell {} is not UTF-8 text; export the file as UTF-8",
                index + 1
            ))),
        }
    }
}
