//! Large replies of the journal, in a file beside the ledger: in the ledger each of their pages would be written to the WAL and then once
//! more, and it would stay as large as they were for good. The file goes when all that is journalled is published, and the faces with it.
//!
//! A reply is durable here before the commit that says where it is. What is here and no commit speaks of is written over.
//!
//! - [`Span`]: where a reply is, and what tells whether it is still the same
//! - [`Replies`]: where the writer puts them; [`Reader`]: where publication has them from
//! - [`DamagedReplies`]: those that are missing or damaged

use std::collections::BTreeMap;
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
    /// Where the next reply goes: behind all that the ledger speaks of.
    end: u64,
}

impl Replies {
    pub(super) fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        let end = ledger
            .connection
            .query_row(include_str!("../../sql/replies_end.sql"), [], |row| row.get(0))
            .optional();
        Ok(Self {
            path: beside(&ledger.path),
            file: None,
            end: end.map_err(ledger.failed("look for large replies"))?.unwrap_or(0),
        })
    }

    /// Makes the large replies among these durable, and tells of each settlement where its reply is, if it has a large one.
    pub(super) fn keep(&mut self, settlements: &[Settlement]) -> Result<Vec<Option<Span>>, LedgerError> {
        let bodies = settlements.iter().map(|settlement| match &settlement.settled {
            Settled::Journalled { body, .. } if body.len() >= LARGE_BYTES => Some(body.as_slice()),
            _ => None,
        });
        self.append(bodies).map_err(failed)
    }

    fn append<'a>(&mut self, bodies: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Vec<Option<Span>>, FileError> {
        let mut spans = Vec::new();
        for body in bodies {
            let span = body.map(|body| self.write(body)).transpose()?;
            spans.push(span);
        }
        if let Some(file) = &self.file
            && spans.iter().any(Option::is_some)
        {
            file.sync_data().map_err(FileError::because("sync", &self.path))?;
        }
        Ok(spans)
    }

    fn write(&mut self, body: &[u8]) -> Result<Span, FileError> {
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

/// Opens the file, without what a crash left behind its `end`.
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
    /// And its length.
    file: Option<(File, u64)>,
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

    /// The reply about the transaction, as long as it is what was kept.
    pub(super) fn read(&mut self, span: Span, transaction_id: &str) -> Result<&[u8], LedgerError> {
        if !self.find(span).map_err(failed)? {
            return Err(LedgerError::DamagedReply {
                path: self.path.clone(),
                transaction_id: transaction_id.to_owned(),
            });
        }
        Ok(&self.reply)
    }

    /// Reads a reply; false where it is not there, or not what was kept.
    fn find(&mut self, span: Span) -> Result<bool, FileError> {
        let because = || FileError::because("read", &self.path);
        let (file, length) = match &self.file {
            Some(opened) => opened,
            None => match files::open_regular(&self.path) {
                Ok(file) => {
                    let length = file.metadata().map_err(because())?.len();
                    self.file.insert((file, length))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(because()(error)),
            },
        };
        // A damaged ledger could speak of more than there is memory for.
        if span.start.saturating_add(span.bytes as u64) > *length {
            return Ok(false);
        }
        self.reply.resize(span.bytes, 0);
        match file.read_exact_at(&mut self.reply, span.start) {
            Ok(()) => Ok(crc32fast::hash(&self.reply) == span.crc32),
            // To try again would not mend an unreadable sector, and keep every later run from its work.
            Err(error) if files::is_damage(&error) => Ok(false),
            Err(error) => Err(because()(error)),
        }
    }
}

/// Large replies of the journal that are missing or damaged, by their transaction.
#[derive(Debug, Default)]
pub struct DamagedReplies(BTreeMap<String, DamagedReply>);

#[derive(Debug)]
struct DamagedReply {
    number: i64,
    start: u64,
}

impl DamagedReplies {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether that of a transaction is one of them.
    pub fn contains(&self, transaction_id: &str) -> bool {
        self.0.contains_key(transaction_id)
    }

    /// Takes one off that is found elsewhere.
    pub fn forget(&mut self, transaction_id: &str) {
        self.0.remove(transaction_id);
    }

    /// The transactions.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Ledger {
    /// Reads every large reply of the journal, and gives those that are not what was kept. Changes nothing.
    pub fn damaged_replies(&self) -> Result<DamagedReplies, LedgerError> {
        let failed = self.failed("look for large replies");
        let mut reader = Reader::of(self);
        let mut damaged = DamagedReplies::default();
        let sql = include_str!("../../sql/replies_all.sql");
        let mut statement = self.connection.prepare(sql).map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let Some(span) = Span::of(row, 2).map_err(&failed)? else {
                continue;
            };
            let transaction_id: String = row.get(1).map_err(&failed)?;
            match reader.read(span, &transaction_id) {
                Err(LedgerError::DamagedReply { .. }) => {
                    let number = row.get(0).map_err(&failed)?;
                    let start = span.start;
                    damaged.0.insert(transaction_id, DamagedReply { number, start });
                }
                read => drop(read?),
            }
        }
        Ok(damaged)
    }

    /// Lets these be asked for again, and gives their ids. Where no large reply is journalled then, removes a file that a crash left
    /// behind.
    pub fn ask_again_for(&mut self, damaged: DamagedReplies) -> Result<Vec<String>, LedgerError> {
        let failed = self.failed("let damaged replies be asked for again");
        let commit = self.connection.transaction().map_err(&failed)?;
        for DamagedReply { number, start } in damaged.0.values() {
            commit
                .execute(include_str!("../../sql/replies_drop.sql"), [start])
                .and_then(|_| commit.execute(include_str!("../../sql/replies_ask_again.sql"), [number]))
                .map_err(&failed)?;
        }
        let last = commit
            .query_row(include_str!("../../sql/replies_end.sql"), [], |row| {
                row.get::<_, u64>(0)
            })
            .optional();
        let last = last.map_err(&failed)?;
        commit.commit().map_err(&failed)?;
        let path = beside(&self.path);
        for id in damaged.ids() {
            let path = path.display();
            tracing::error!("the reply about {id} in {path} is missing or damaged; it is asked for again");
        }
        if last.is_none() {
            self.remove_replies()?;
        }
        Ok(damaged.0.into_keys().collect())
    }

    /// Removes the file, where there is one: nothing in it is journalled any more.
    pub(super) fn remove_replies(&self) -> Result<(), LedgerError> {
        let path = beside(&self.path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(FileError::because("remove", &path)(error)))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn beside(ledger: &Path) -> PathBuf {
    let mut name = OsString::from(ledger);
    name.push(ENDING);
    name.into()
}

fn failed(FileError { action, path, source }: FileError) -> LedgerError {
    LedgerError::Replies { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_go_behind_those_that_count_and_over_what_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite-replies");
        let before = files::create_private(&path).unwrap();
        before.write_all_at(b"counts, does not count", 0).unwrap();
        let mut replies = Replies {
            path: path.clone(),
            file: None,
            end: 6,
        };
        let spans = replies
            .append([Some(&b"one"[..]), None, Some(b"two")].into_iter())
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "countsonetwo");
        let starts: Vec<_> = spans
            .iter()
            .map(|span| span.map(|span| (span.start, span.bytes)))
            .collect();
        assert_eq!(starts, [Some((6, 3)), None, Some((9, 3))]);

        let mut reader = Reader {
            path,
            file: None,
            reply: Vec::new(),
        };
        let [one, _, two] = spans[..] else { panic!("{spans:?}") };
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(reader.read(two, "t2").unwrap(), b"two");
        for other in [
            Span { start: 7, ..one },
            Span { bytes: 2, ..one },
            Span { start: 10, ..two },
            Span {
                bytes: usize::MAX,
                ..one
            },
            Span {
                crc32: one.crc32 ^ 1,
                ..one
            },
        ] {
            let error = reader.read(other, "t1").unwrap_err().to_string();
            assert!(
                error.contains("about t1 in ") && error.contains("is damaged"),
                "{error}"
            );
        }
    }
}
