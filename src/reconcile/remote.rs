//! A table that a child process reads: see [`crate::worker`].
//!
//! - [`read_table`]: what the child does, and what its parent does where there is none
//! - [`Remote`]: the table as the parent sees it; [`Request`], [`Part`]: what they say to each other

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::{Cells, Content, SourceError, Table, Wanted};
use super::{parts, workbook};
use crate::error_chain;
use crate::worker::{Access, Isolation, Limits, Outlet, Worker, WorkerError};

/// What a file may cost: a million records take a few seconds.
const LIMITS: Limits = Limits {
    cpu_seconds: 30,
    file_bytes: 1 << 30,
};

/// What is wanted of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The columns, by which delimiter and sheet are chosen.
    wanted: Vec<Wanted>,
}

/// A piece of a table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Part {
    Header {
        /// With the sheet's name.
        file: String,
        line: u64,
        columns: Vec<String>,
    },
    Row {
        line: u64,
        cells: Vec<String>,
        /// Cells that have no text, and why.
        wrong: Vec<(usize, String)>,
    },
    Content(Content),
}

/// The child's work: confines itself, and hands the table over.
pub(crate) fn serve(path: &Path, request: &Request, outlet: &mut Outlet<Part>) -> Result<(), String> {
    LIMITS
        .confine(&[Access::read(path)])
        .map_err(|error| format!("failed to confine the process that reads {}: {error}", path.display()))?;
    let handed_over = read_table::<SourceError>(path, &request.wanted, &mut |cells| hand_over(cells, outlet));
    handed_over.map_err(|error| error_chain(&error))
}

fn hand_over(cells: &mut dyn Cells, outlet: &mut Outlet<Part>) -> Result<(), SourceError> {
    let header = Part::Header {
        file: cells.file().to_owned(),
        line: cells.line(),
        columns: cells.header().to_vec(),
    };
    let mut goes_on = outlet.row(header, 0).is_continue();
    let mut file = cells.file().to_owned();
    while goes_on && cells.advance()? {
        if file != cells.file() {
            cells.file().clone_into(&mut file);
            let header = Part::Header {
                file: file.clone(),
                line: 1,
                columns: cells.header().to_vec(),
            };
            let _ = outlet.row(header, 0);
        }
        let (mut row, mut wrong, mut bytes) = (Vec::new(), Vec::new(), 0);
        for at in 0..cells.header().len() {
            let text = cells.text(at).unwrap_or_else(|error| {
                wrong.push((at, reason(error)));
                Cow::Borrowed("")
            });
            bytes += text.len();
            row.push(text.into_owned());
        }
        let row = Part::Row {
            line: cells.line(),
            cells: row,
            wrong,
        };
        goes_on = outlet.row(row, bytes).is_continue();
    }
    let content = cells.content()?;
    let _ = outlet.row(Part::Content(content), 0);
    Ok(())
}

/// What is wrong, without the place.
fn reason(error: SourceError) -> String {
    match error {
        SourceError::Cell { what, .. } | SourceError::Row { what, .. } => what,
        other => error_chain(&other),
    }
}

/// Hands the file's table to `take`: that of a workbook, or of a CSV file.
pub(super) fn read_table<E: From<SourceError>>(
    path: &Path,
    wanted: &[Wanted],
    take: &mut dyn FnMut(&mut dyn Cells) -> Result<(), E>,
) -> Result<(), E> {
    if parts::is_one(path)? {
        parts::read(path, wanted, take)
    } else if workbook::is_one(path)? {
        workbook::read(path, wanted, take)
    } else {
        take(&mut Table::open(path, wanted)?)
    }
}

/// The same table, as a child reads it.
pub(super) struct Remote {
    worker: Worker,
    file: String,
    header: Vec<String>,
    line: u64,
    cells: Vec<String>,
    wrong: Vec<(usize, String)>,
    /// Those that follow, the next one last.
    next: Vec<Part>,
    content: Option<Content>,
}

impl Remote {
    /// Starts the child and takes the header. With `spool`, an empty file, the child reads all before that: the rows wait
    /// there. `None` where files are read in this process.
    pub(super) fn open(
        path: &Path,
        wanted: &[Wanted],
        isolation: &Isolation,
        spool: Option<File>,
    ) -> Result<Option<Self>, SourceError> {
        let request = Request {
            wanted: wanted.to_vec(),
        };
        let Some(worker) = Worker::start(isolation, "table", path, &request, spool)? else {
            return Ok(None);
        };
        let mut remote = Self {
            worker,
            file: path.display().to_string(),
            header: Vec::new(),
            line: 1,
            cells: Vec::new(),
            wrong: Vec::new(),
            next: Vec::new(),
            content: None,
        };
        match remote.part()? {
            Some(Part::Header { file, line, columns }) => {
                (remote.file, remote.line, remote.header) = (file, line, columns);
            }
            _ => return Err(remote.garbled()),
        }
        Ok(Some(remote))
    }

    fn part(&mut self) -> Result<Option<Part>, SourceError> {
        while self.next.is_empty() {
            match self.worker.next()? {
                Some(parts) => self.next = parts,
                None => return Ok(None),
            }
            self.next.reverse();
        }
        Ok(self.next.pop())
    }

    fn garbled(&self) -> SourceError {
        let why = format!("{}: the process that reads it gave no table", self.file);
        WorkerError::Failed(why).into()
    }
}

impl Cells for Remote {
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
        match self.part()? {
            Some(Part::Header { file, columns, .. }) if columns == self.header => {
                self.file = file;
                self.advance()
            }
            Some(Part::Row { line, cells, wrong }) if cells.len() == self.header.len() => {
                (self.line, self.cells, self.wrong) = (line, cells, wrong);
                Ok(true)
            }
            Some(Part::Content(content)) => {
                self.content = Some(content);
                Ok(false)
            }
            _ => Err(self.garbled()),
        }
    }

    fn text(&self, index: usize) -> Result<Cow<'_, str>, SourceError> {
        if let Some((_, why)) = self.wrong.iter().find(|(at, _)| *at == index) {
            return Err(self.wrong_cell(index, why.clone()));
        }
        Ok(Cow::Borrowed(self.cells.get(index).map_or("", String::as_str)))
    }

    fn content(&mut self) -> Result<Content, SourceError> {
        self.content.clone().ok_or_else(|| self.garbled())
    }
}
