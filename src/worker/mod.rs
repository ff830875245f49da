//! A process of its own for each file from outside that a library parses: SQLite, ZIP, XLSX, gzip. Such a file may be made to
//! harm its reader. So the program starts itself again, and that child reads the one file with next to no rights and hands over
//! its rows.
//!
//! - [`Isolation`]: whether a file is read in a child, and in which program
//! - [`Worker`]: a child at work, as its parent sees it; [`WorkerError`]: why it gave no more rows
//! - [`serve`]: what the child does; [`Limits`], [`Access`]: what it may use
//!
//! The child gets its request as JSON on standard input, and answers with a [`Frame`] a line on standard output. It has no
//! environment, and so no credentials. Its parent ends it once it is done with it.

mod child;
mod confine;
mod parent;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use child::{Outlet, serve};
pub(crate) use confine::{Access, Limits};
pub use parent::WorkerError;
pub(crate) use parent::{Killer, Worker};

/// The memory of a child: 512 MiB. The largest files that are allowed take a third of it.
pub(crate) const MEMORY_BYTES: u64 = 512 << 20;

/// What a line of the child's can have, at most: a batch of rows, and the longest row.
const MAX_FRAME_BYTES: u64 = 16 << 20;

/// How files from outside are read.
#[derive(Debug, Clone, Default)]
pub enum Isolation {
    /// In this process: for tests of the parsers themselves.
    #[default]
    None,
    /// In a child process.
    Process {
        /// The program that knows the hidden command `read-file`: this one.
        program: PathBuf,
        /// The machine's `TZ`, by which SQLite's date functions go.
        time_zone: Option<String>,
    },
}

/// A line of the child's.
#[derive(Debug, Serialize, Deserialize)]
enum Frame<T> {
    /// The next rows.
    Rows(Vec<T>),
    /// There are no more.
    End,
    /// The file can't be read, or not to its end: a sentence about it.
    Failed(String),
}
