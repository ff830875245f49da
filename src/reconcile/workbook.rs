//! An XLSX workbook: the first sheet that has the wanted columns, row by row.
//!
//! - [`is_one`]: whether a file is a workbook; [`read`]: its rows
//! - [`Sheet`]: stands on one row at a time
//!
//! A workbook is a zip archive, which can unpack to more than any memory, and what it says of its own sizes is not to be
//! believed. So it is unpacked once to nowhere and counted before calamine sees it. Cells are read one by one. The file, the
//! table of shared texts and the styles are held in memory, which is limited for the process that reads them (`worker`).

use std::borrow::Cow;
use std::io::{self, Cursor, Read, Seek};
use std::path::Path;

use calamine::{DataRef, Reader as _, SheetType, Xlsx, XlsxCellReader, XlsxError};
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use super::table::{Cells, Content, SourceError, Wanted, open, refused, significant};
use crate::record::hex;

/// The largest file: a million records take some 30 MiB.
const MAX_FILE_BYTES: u64 = 128 << 20;
/// What all parts of a workbook unpack to, at most: a million records take some 350 MiB.
const MAX_UNPACKED_BYTES: u64 = 512 << 20;
/// Parts of a workbook: each is held in memory by its name.
const MAX_PARTS: usize = 1_000;
/// Sheets: each may have to be looked into, and several can name one part.
const MAX_SHEETS: usize = 100;
/// Shared texts that a workbook may announce: calamine makes room for them before it reads one.
const MAX_SHARED_TEXTS: u64 = 16 << 20;

/// Digits of such a number.
const MAX_DIGITS: usize = 12;

/// How a zip archive begins.
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
/// How an entry of its directory begins.
const ZIP_ENTRY: &[u8] = b"PK\x01\x02";
/// How a workbook of the format before XLSX begins.
const XLS_MAGIC: &[u8] = b"\xd0\xcf\x11\xe0";

/// How much is looked through at a time, and how much behind a find is looked at, in bytes.
const CHUNK_BYTES: u64 = 64 << 10;
const BEHIND_BYTES: usize = 32;

/// Whether it is a workbook, by its name or by how it begins.
pub(super) fn is_one(path: &Path) -> Result<bool, SourceError> {
    let mut start = Vec::new();
    let read = open(path)?.take(ZIP_MAGIC.len() as u64).read_to_end(&mut start);
    read.map_err(|error| refused(path, format!("it can't be read: {error}")))?;
    if start == XLS_MAGIC {
        let why = "it is a workbook of the old format, or one with a password; save it as XLSX or CSV, without one";
        return Err(refused(path, why.to_owned()));
    }
    let named = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("xlsx"));
    Ok(named || start == ZIP_MAGIC)
}

/// Hands the first sheet that has the columns to `take`.
pub(super) fn read<E: From<SourceError>>(
    path: &Path,
    wanted: &[Wanted],
    take: &mut dyn FnMut(&mut dyn Cells) -> Result<(), E>,
) -> Result<(), E> {
    let bytes = load(path)?;
    check(path, &bytes, MAX_UNPACKED_BYTES)?;
    let content = Content {
        bytes: bytes.len() as u64,
        sha256: hex(&Sha256::digest(&bytes)),
    };
    let mut workbook = Xlsx::new(Cursor::new(bytes)).map_err(|error| damaged(path, &error))?;
    let sheets = workbook.sheets_metadata().iter();
    let sheets = sheets.filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let names: Vec<String> = sheets.map(|sheet| sheet.name.clone()).take(MAX_SHEETS + 1).collect();
    let Some(first) = names.first() else {
        return Err(refused(path, "the workbook has no sheet".to_owned()).into());
    };
    if names.len() > MAX_SHEETS {
        return Err(refused(path, format!("the workbook has more than {MAX_SHEETS} sheets")).into());
    }
    let required = || wanted.iter().filter(|wanted| wanted.required);
    let mut chosen = first;
    for name in &names {
        let sheet = Sheet::open(&mut workbook, path, name, &content)?;
        let has = |name: &String| {
            sheet
                .header
                .iter()
                .any(|column| significant(column) == significant(name))
        };
        if required().all(|wanted| wanted.names.iter().any(has)) {
            chosen = name;
            break;
        }
    }
    take(&mut Sheet::open(&mut workbook, path, chosen, &content)?)
}

/// The whole file, if it is not too large.
fn load(path: &Path) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| damaged(path, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(path, "the workbook has", MAX_FILE_BYTES));
    }
    Ok(bytes)
}

fn too_large(path: &Path, what: &str, most: u64) -> SourceError {
    let mib = most >> 20;
    refused(
        path,
        format!("{what} more than {mib} MiB; export fewer days at a time, or CSV"),
    )
}

fn damaged(path: &Path, error: &dyn std::error::Error) -> SourceError {
    refused(
        path,
        format!("it is no XLSX workbook, or was damaged or cut off ({error}); export or copy it again"),
    )
}

/// Refuses what would take too much memory, and what does not unpack, or to more than `most_bytes`.
pub(super) fn check(path: &Path, bytes: &[u8], most_bytes: u64) -> Result<(), SourceError> {
    let mut parts = 0;
    scan(bytes, ZIP_ENTRY, &mut |_| parts += 1).map_err(|error| damaged(path, &error))?;
    if parts > MAX_PARTS {
        return Err(refused(path, format!("the workbook has more than {MAX_PARTS} parts")));
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(path, &error))?;
    let mut left = most_bytes;
    for part in 0..archive.len() {
        let part = archive.by_index(part).map_err(|error| damaged(path, &error))?;
        let name = part.name().map_err(|error| damaged(path, &error))?.to_lowercase();
        let (is_shared, mut most) = (name.contains("sharedstrings"), 0);
        let needle: &[u8] = if is_shared { b"uniqueCount" } else { b"" };
        let read = scan(part.take(left + 1), needle, &mut |behind| {
            most = most.max(number(behind));
        });
        let read = read.map_err(|error| damaged(path, &error))?;
        left = left
            .checked_sub(read)
            .ok_or_else(|| too_large(path, "the workbook unpacks to", most_bytes))?;
        if most > MAX_SHARED_TEXTS {
            let why = format!("the workbook announces more than {MAX_SHARED_TEXTS} texts");
            return Err(refused(path, why));
        }
    }
    Ok(())
}

/// Reads to the end, and calls `each` with what stands behind each `needle`; none is found where that is empty. Returns
/// the bytes.
fn scan(mut from: impl Read, needle: &[u8], each: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
    if needle.is_empty() {
        return io::copy(&mut from, &mut io::sink());
    }
    let (mut held, mut bytes) = (Vec::new(), 0);
    loop {
        let read = from.by_ref().take(CHUNK_BYTES).read_to_end(&mut held)? as u64;
        bytes += read;
        // What stands behind a find at the very end is still to come.
        let kept = if read == 0 { 0 } else { needle.len() + BEHIND_BYTES };
        let looked_at = held.len().saturating_sub(kept);
        for at in 0..looked_at {
            if held[at] == needle[0] && held[at..].starts_with(needle) {
                let behind = &held[at + needle.len()..];
                each(&behind[..behind.len().min(BEHIND_BYTES)]);
            }
        }
        if read == 0 {
            return Ok(bytes);
        }
        held.drain(..looked_at);
    }
}

/// The number of an attribute, behind its name; the largest where it is longer than any should be. Zeros in front count: what
/// stands behind them may be out of sight.
fn number(behind: &[u8]) -> u64 {
    let digits = behind.iter().skip_while(|byte| !byte.is_ascii_digit());
    let digits: String = digits
        .take_while(|byte| byte.is_ascii_digit())
        .map(|byte| char::from(*byte))
        .collect();
    if digits.len() > MAX_DIGITS {
        return u64::MAX;
    }
    digits.parse().unwrap_or(u64::MAX)
}

/// A cell, as far as it is one that has a text.
enum Held {
    Text(String),
    /// What it is instead.
    Other(&'static str),
}

/// A sheet; its header is read.
struct Sheet<'a, R: Read + Seek> {
    /// With the sheet's name.
    file: String,
    content: Content,
    header: Vec<String>,
    cells: XlsxCellReader<'a, R>,
    line: u64,
    /// The row that it stands on.
    row: Vec<Held>,
    /// The first cell of the next row: its row, its column and what it holds.
    next: Option<(u32, u32, Held)>,
    /// No cell is left: calamine must not be asked again.
    is_read: bool,
}

impl<'a, R: Read + Seek> Sheet<'a, R> {
    fn open(workbook: &'a mut Xlsx<R>, path: &Path, name: &str, content: &Content) -> Result<Self, SourceError> {
        let mut sheet = Self {
            content: content.clone(),
            file: format!("{}, sheet {name:?}", path.display()),
            header: Vec::new(),
            cells: workbook
                .worksheet_cells_reader(name)
                .map_err(|error| damaged(path, &error))?,
            line: 1,
            row: Vec::new(),
            next: None,
            is_read: false,
        };
        if sheet.advance_any()? {
            let header = (0..sheet.row.len()).map(|at| Ok(sheet.text(at)?.into_owned()));
            sheet.header = header.collect::<Result<_, SourceError>>()?;
        }
        Ok(sheet)
    }

    /// Goes to the next row with anything in it.
    fn advance_any(&mut self) -> Result<bool, SourceError> {
        self.row.clear();
        loop {
            let Some((row, column, held)) = (match self.next.take() {
                Some(next) => Some(next),
                None => self.next_cell()?,
            }) else {
                return Ok(!self.row.is_empty());
            };
            let line = u64::from(row) + 1;
            if self.row.is_empty() {
                if line < self.line {
                    return Err(self.wrong(format!("line {line} of the sheet comes after it; export it again")));
                }
                self.line = line;
            } else if line != self.line {
                self.next = Some((row, column, held));
                return Ok(true);
            }
            let at = usize::try_from(column).unwrap_or(usize::MAX);
            let room = if self.header.is_empty() {
                MAX_COLUMNS
            } else {
                self.header.len()
            };
            if at >= room || at < self.row.len() {
                let what = format!(
                    "there is a cell in column {}, where the header has {room}",
                    at.saturating_add(1)
                );
                return Err(self.wrong(what));
            }
            while self.row.len() < at {
                self.row.push(Held::Text(String::new()));
            }
            self.row.push(held);
        }
    }

    /// The next cell that is not blank.
    fn next_cell(&mut self) -> Result<Option<(u32, u32, Held)>, SourceError> {
        while !self.is_read {
            let cell = match self.cells.next_cell() {
                Ok(Some(cell)) => cell,
                Ok(None) => {
                    self.is_read = true;
                    break;
                }
                Err(error) => return Err(self.cut_off(&error)),
            };
            let held = held(cell.get_value());
            if !matches!(&held, Held::Text(text) if text.trim().is_empty()) {
                let (row, column) = cell.get_position();
                return Ok(Some((row, column, held)));
            }
        }
        Ok(None)
    }

    fn cut_off(&self, error: &XlsxError) -> SourceError {
        self.wrong(format!(
            "the sheet is damaged or cut off here ({error}); export or copy it again"
        ))
    }
}

/// Columns of a header, at most.
const MAX_COLUMNS: usize = 1_000;

/// A number is taken for a text only where it has all its digits.
fn held(value: &DataRef<'_>) -> Held {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        DataRef::Empty => Held::Text(String::new()),
        DataRef::String(text) | DataRef::DateTimeIso(text) => Held::Text(text.clone()),
        DataRef::SharedString(text) => Held::Text((*text).to_owned()),
        DataRef::Bool(value) => Held::Text(value.to_string()),
        DataRef::Int(number) => Held::Text(number.to_string()),
        DataRef::Float(number) if number.abs() < EXACT => Held::Text(number.to_string()),
        DataRef::Float(_) => Held::Other("a number that has lost digits; write the column as text"),
        DataRef::DateTime(time) if time.is_datetime() => {
            let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
            Held::Text(format!(
                "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milli:03}"
            ))
        }
        DataRef::DateTime(_) | DataRef::DurationIso(_) => Held::Other("a length of time"),
        DataRef::Error(_) => Held::Other("an error of the spreadsheet's"),
    }
}

impl<R: Read + Seek> Cells for Sheet<'_, R> {
    fn file(&self) -> &str {
        &self.file
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn advance(&mut self) -> Result<bool, SourceError> {
        self.advance_any()
    }

    fn content(&mut self) -> Result<Content, SourceError> {
        Ok(self.content.clone())
    }

    fn text(&self, index: usize) -> Result<Cow<'_, str>, SourceError> {
        match self.row.get(index) {
            None => Ok("".into()),
            Some(Held::Text(text)) => Ok(Cow::Borrowed(text)),
            Some(Held::Other(what)) => Err(self.wrong_cell(index, format!("the cell holds {what}"))),
        }
    }
}
