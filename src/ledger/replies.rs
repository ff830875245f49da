//! Large replies of the journal, in a file beside the ledger: in the ledger each of their pages would be written to the WAL and then once
//! more, and it would stay as large as they were for good. The file goes when all that is journalled is published, and the faces with it.
//!
//! A reply is durable here before the commit that says where it is. What no commit speaks of was cut off, and is written over.
//!
//! - [`Span`]: where a reply is, and what tells whether it is still the same
//! - [`Replies`]: where the writer puts them; [`Reader`]: where publication has them from

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension as _, Row};

use super::{Ledger, LedgerError, Settled, Settlement};
use crate::files::{self, FileError};

/// A reply of so many bytes is large: in the ledger it would have pages of its own, eight at least.
const LARGE_BYTES: usize = 32 * 1024;

/// What the file's name has more than the ledger's.
pub(super) const ENDING: &str = "-replies";

/// Where a reply is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) bytes: usize,
    /// Of the reply, so that another one in its place, or a damaged one, is never taken for it.
    pub(super) crc32: u32,
}

impl Span {
    /// That of a row of the journal, in the column `first` and those behind it; `None` where the row itself has the reply.
    pub(super) fn of(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Self>> {
        let Some(start) = row.get(first)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            start,
            bytes: row.get(first + 1)?,
            crc32: row.get(first + 2)?,
        }))
    }
}

/// The file, for writing. It is made with the first large reply.
#[derive(Debug)]
pub(super) struct Replies {
    path: PathBuf,
    file: Option<File>,
    /// Where the last reply ends that the ledger speaks of.
    end: u64,
}

impl Replies {
    pub(super) fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        Ok(Self {
            path: beside(&ledger.path),
            file: None,
            end: end(ledger)?,
        })
    }

    /// Makes the large replies among these durable, and tells of each settlement where its reply is, if it has a large one.
    pub(super) fn keep(&mut self, settlements: &[Settlement]) -> Result<Vec<Option<Span>>, LedgerError> {
        let kept = settlements.iter().map(|settlement| match &settlement.settled {
            Settled::Journalled { body, .. } if body.len() >= LARGE_BYTES => self.append(body).map(Some),
            _ => Ok(None),
        });
        let kept: Vec<_> = kept.collect::<Result<_, FileError>>()?;
        if let Some(file) = &self.file
            && kept.iter().any(Option::is_some)
        {
            file.sync_data().map_err(FileError::because("sync", &self.path))?;
        }
        Ok(kept)
    }

    fn append(&mut self, body: &[u8]) -> Result<Span, FileError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path, self.end)?),
        };
        let start = self.end;
        file.write_all_at(body, start)
            .map_err(FileError::because("write", &self.path))?;
        self.end += body.len() as u64;
        Ok(Span {
            start,
            bytes: body.len(),
            crc32: crc32fast::hash(body),
        })
    }
}

/// Opens the file, and cuts off what a crash left behind its `end`.
fn open(path: &Path, end: u64) -> Result<File, FileError> {
    let file = files::open_private(path)?;
    file.set_len(end)
        .map_err(FileError::because("cut off the end of", path))?;
    files::sync(path.parent().unwrap_or(Path::new(".")))?;
    Ok(file)
}

/// The file, for reading.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    file: Option<File>,
    reply: Vec<u8>,
}

impl Reader {
    pub(super) fn of(ledger: &Ledger) -> Self {
        Self {
            path: beside(&ledger.path),
            file: None,
            reply: Vec::new(),
        }
    }

    /// The reply, as long as it is what was kept; else what is wrong with it.
    pub(super) fn read(&mut self, span: Span) -> Result<Result<&[u8], &'static str>, FileError> {
        let failed = |error| FileError::because("read", &self.path)(error);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(files::open_regular(&self.path).map_err(failed)?),
        };
        self.reply.resize(span.bytes, 0);
        match file.read_exact_at(&mut self.reply, span.start) {
            Ok(()) if crc32fast::hash(&self.reply) == span.crc32 => Ok(Ok(&self.reply)),
            Ok(()) => Ok(Err("is not what was kept of")),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err("ends before")),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Refuses a ledger whose large replies are not all there. Where it has none, removes a file that a crash left behind.
pub(super) fn look_after(ledger: &Ledger) -> Result<(), LedgerError> {
    let (path, end) = (beside(&ledger.path), end(ledger)?);
    if end == 0 {
        return remove(ledger);
    }
    let found = fs::symlink_metadata(&path).map_or(0, |found| found.len());
    if found < end {
        let name = path.file_name().unwrap_or_default().display();
        return Err(ledger.damaged(&format!(
            "{name} beside it has {found} bytes, and replies that are kept nowhere else take {end}"
        )));
    }
    Ok(())
}

/// Removes the file, where there is one: nothing in it is journalled any more.
pub(super) fn remove(ledger: &Ledger) -> Result<(), LedgerError> {
    let path = beside(&ledger.path);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::because("remove", &path)(error).into()),
        _ => Ok(()),
    }
}

/// Where the last reply ends that the ledger speaks of, 0 where it speaks of none.
fn end(ledger: &Ledger) -> Result<u64, LedgerError> {
    let end = ledger
        .connection
        .query_row(include_str!("../../sql/replies_end.sql"), [], |row| row.get(0));
    let end: rusqlite::Result<Option<u64>> = end.optional();
    Ok(end.map_err(ledger.failed("look for large replies"))?.unwrap_or(0))
}

fn beside(ledger: &Path) -> PathBuf {
    let mut name = OsString::from(ledger);
    name.push(ENDING);
    name.into()
}
