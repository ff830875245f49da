//! A bill in several CSV files, packed in one ZIP archive, as one table.
//!
//! - [`is_one`]: whether a file is such an archive; [`read`]: its lines, file by file
//!
//! Each file is unpacked as it is read, and held to its checksum at its end.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::table::{Cells, Content, Hashed, SourceError, Table, Wanted, open, refused};
use crate::plain::shortened;

/// Files in an archive.
const MAX_PARTS: usize = 1_000;
/// What the files of an archive unpack to, at most, in bytes.
const MAX_UNPACKED_BYTES: u64 = 8 << 30;
/// How much of a file's name is shown, in characters.
const SHOWN_CHARS: usize = 64;
/// How a ZIP archive begins.
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
/// What every workbook has.
const WORKBOOK_PART: &str = "[Content_Types].xml";

/// Whether it is a ZIP archive, and no workbook.
pub(super) fn is_one(path: &Path) -> Result<bool, SourceError> {
    let mut start = Vec::new();
    let read = open(path)?.take(ZIP_MAGIC.len() as u64).read_to_end(&mut start);
    read.map_err(|error| refused(path, format!("it can't be read: {error}")))?;
    let is_named_workbook = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("xlsx"));
    if start != ZIP_MAGIC || is_named_workbook {
        return Ok(false);
    }
    // What can't be read is left to the reader of workbooks, which says so.
    Ok(archive(path).is_ok_and(|archive| archive.index_for_name(WORKBOOK_PART).is_none()))
}

fn archive(path: &Path) -> Result<ZipArchive<BufReader<File>>, SourceError> {
    ZipArchive::new(BufReader::new(open(path)?)).map_err(|error| broken(path, &error))
}

fn broken(path: &Path, why: &dyn std::fmt::Display) -> SourceError {
    refused(
        path,
        format!("the ZIP archive can't be read: {why}; export or copy it again"),
    )
}

/// Hands the lines of all files to `take`, as one table.
pub(super) fn read<E: From<SourceError>>(
    path: &Path,
    wanted: &[Wanted],
    take: &mut dyn FnMut(&mut dyn Cells) -> Result<(), E>,
) -> Result<(), E> {
    let mut packed = Vec::new();
    let mut archive = archive(path)?;
    if archive.len() > MAX_PARTS {
        return Err(broken(path, &format!("it has more than {MAX_PARTS} files")).into());
    }
    let mut unpacked_bytes = 0_u64;
    for at in 0..archive.len() {
        let part = archive.by_index_raw(at).map_err(|error| broken(path, &error))?;
        let name = part.name().map_err(|error| broken(path, &error))?.into_owned();
        if !part.is_file() || !is_text(&name) {
            continue;
        }
        unpacked_bytes = unpacked_bytes.saturating_add(part.size());
        packed.push(Packed {
            name,
            start: part.data_start().unwrap_or_default(),
            compressed_bytes: part.compressed_size(),
            unpacked_bytes: part.size(),
            crc32: part.crc32(),
            method: part.compression(),
        });
    }
    if unpacked_bytes > MAX_UNPACKED_BYTES {
        return Err(broken(path, &format!("it unpacks to more than {MAX_UNPACKED_BYTES} bytes")).into());
    }
    packed.reverse();
    let Some(first) = packed.pop() else {
        return Err(broken(path, &"no file in it is a CSV file").into());
    };
    let whole = Hashed::new(open(path)?);
    let table = first.open(path, wanted, &whole)?;
    take(&mut Parts {
        path,
        wanted,
        header: table.header().to_vec(),
        table,
        packed,
        whole,
    })
}

fn is_text(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".csv", ".tsv", ".txt"].iter().any(|end| name.ends_with(end))
}

/// A file of the archive.
struct Packed {
    name: String,
    start: u64,
    compressed_bytes: u64,
    unpacked_bytes: u64,
    crc32: u32,
    method: CompressionMethod,
}

impl Packed {
    fn open(&self, path: &Path, wanted: &[Wanted], whole: &Hashed) -> Result<Table, SourceError> {
        let mut file = open(path)?;
        let seek = file.seek(SeekFrom::Start(self.start));
        seek.map_err(|error| broken(path, &error))?;
        let packed = BufReader::new(file).take(self.compressed_bytes);
        let unpacked: Box<dyn Read + Send> = match self.method {
            CompressionMethod::Stored => Box::new(packed),
            CompressionMethod::Deflated => Box::new(DeflateDecoder::new(packed)),
            other => return Err(broken(path, &format!("{} is packed by {other}", self.name))),
        };
        let checked = Checked {
            unpacked,
            sum: crc32fast::Hasher::new(),
            left: self.unpacked_bytes,
            crc32: self.crc32,
        };
        let rest = whole.again().map_err(|error| broken(path, &error))?;
        let name = format!("{}, {}", path.display(), shortened(&self.name, SHOWN_CHARS));
        Table::read_from(name, Box::new(checked), false, rest, wanted)
    }
}

/// Fails at the end where the bytes are not those that were packed.
struct Checked {
    unpacked: Box<dyn Read + Send>,
    sum: crc32fast::Hasher,
    left: u64,
    crc32: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.unpacked.read(buffer)?;
        self.sum.update(&buffer[..read]);
        let is_whole = read > 0 || buffer.is_empty() || self.left == 0 && self.sum.clone().finalize() == self.crc32;
        match self.left.checked_sub(read as u64) {
            Some(left) if is_whole => {
                self.left = left;
                Ok(read)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it does not unpack to what was packed",
            )),
        }
    }
}

/// The files, one after the other.
struct Parts<'a> {
    path: &'a Path,
    wanted: &'a [Wanted],
    header: Vec<String>,
    table: Table,
    /// Those that follow, the next one last.
    packed: Vec<Packed>,
    whole: Hashed,
}

impl Cells for Parts<'_> {
    fn file(&self) -> &str {
        self.table.file()
    }

    fn header(&self) -> &[String] {
        &self.header
    }

    fn line(&self) -> u64 {
        self.table.line()
    }

    fn advance(&mut self) -> Result<bool, SourceError> {
        while !self.table.advance()? {
            let Some(next) = self.packed.pop() else {
                return Ok(false);
            };
            self.table = next.open(self.path, self.wanted, &self.whole)?;
            if self.table.header() != self.header {
                return Err(self.wrong("it has another header than the first file of the archive".to_owned()));
            }
        }
        Ok(true)
    }

    fn text(&self, index: usize) -> Result<Cow<'_, str>, SourceError> {
        self.table.text(index)
    }

    /// That of the archive.
    fn content(&mut self) -> Result<Content, SourceError> {
        let read = io::copy(&mut self.whole, &mut io::sink());
        read.map_err(|error| broken(self.path, &error))?;
        Ok(self.whole.content())
    }
}
