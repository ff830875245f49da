//! The thread that turns columns into a staged file, while whoever hands them in reads and sorts out the next rows.
//!
//! - [`Encoder`]: a file while it is encoded
//! - [`Scratch`]: a file in the staging folder that goes away unless it is published
//! - `Hashed`: a file that takes the SHA-256 of what passes through it

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use sha2::{Digest, Sha256};

use super::check::{IdDigest, Written, read_back};
use super::publish::{Place, StagedFile};
use super::schema::{self, Limits};
use super::{ArchiveError, Dataset};
use crate::files::{self, FileError};
use crate::record::hex;

/// Batches that wait for the thread; each is bounded by [`Limits`].
const BATCHES_AHEAD: usize = 1;

/// A file while it is encoded, in a thread of its own. Dropped before its end, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Encoder {
    dataset: Dataset,
    place: Place,
    /// `None` once nothing more is to be encoded.
    steps: Option<SyncSender<Step>>,
    /// `None` once its result was given.
    thread: Option<JoinHandle<Ended>>,
}

/// What the thread is told.
#[derive(Debug)]
enum Step {
    /// To encode these rows.
    Encode(RecordBatch),
    /// To complete the file, whose rows have these ids.
    Complete(IdDigest),
}

/// A complete file; `None` where the thread was not told to complete it.
type Ended = Result<Option<(Scratch, Written)>, ArchiveError>;

impl Encoder {
    /// Makes the file, and starts the thread.
    pub(super) fn start(place: &Place, dataset: Dataset, limits: Limits) -> Result<Self, ArchiveError> {
        let path = place.scratch(dataset);
        let file = files::create_private(&path)?;
        let scratch = Scratch(path.clone());
        let writer = schema::writer_properties(dataset, limits)
            .and_then(|properties| {
                ArrowWriter::try_new(Hashed::new(file), schema::columns(dataset).clone(), Some(properties))
            })
            .map_err(ArchiveError::writing(&path))?;
        let (sender, steps) = sync_channel(BATCHES_AHEAD);
        let thread = thread::Builder::new().name("encoder".to_owned());
        let thread = thread.spawn(move || encode(scratch, writer, &steps));
        let thread = thread.map_err(FileError::because("start a thread for", &path))?;
        Ok(Self {
            dataset,
            place: place.clone(),
            steps: Some(sender),
            thread: Some(thread),
        })
    }

    /// Has rows encoded. An error may be that of rows before them.
    pub(super) fn encode(&mut self, batch: RecordBatch) -> Result<(), ArchiveError> {
        self.tell(Step::Encode(batch))
    }

    /// Has the file completed, which goes on until [`Encoder::wait`] gives it.
    pub(super) fn complete(&mut self, ids: IdDigest) -> Result<(), ArchiveError> {
        self.tell(Step::Complete(ids))
    }

    /// Waits for the complete file: durable, and read back from the disk.
    pub(super) fn wait(mut self) -> Result<StagedFile, ArchiveError> {
        match self.ended()? {
            Some((scratch, written)) => Ok(StagedFile::new(self.dataset, &self.place, scratch, &written)),
            None => Err(self.left_off()),
        }
    }

    fn tell(&mut self, step: Step) -> Result<(), ArchiveError> {
        if self.steps.as_ref().is_some_and(|steps| steps.send(step).is_ok()) {
            return Ok(());
        }
        // It takes steps until it fails.
        self.ended()?;
        Err(self.left_off())
    }

    fn ended(&mut self) -> Ended {
        self.steps = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(None),
        }
    }

    fn left_off(&self) -> ArchiveError {
        let why = ParquetError::General("its encoder has ended before the file was complete".to_owned());
        ArchiveError::writing(&self.place.scratch(self.dataset))(why)
    }

    /// For `map_err`: names the file.
    pub(super) fn writing(&self, error: ParquetError) -> ArchiveError {
        ArchiveError::writing(&self.place.scratch(self.dataset))(error)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Waits, so that nothing is left of the file when this returns.
        self.steps = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn encode(scratch: Scratch, mut writer: ArrowWriter<Hashed>, steps: &Receiver<Step>) -> Ended {
    for step in steps {
        match step {
            Step::Encode(batch) => writer.write(&batch).map_err(ArchiveError::writing(&scratch.0))?,
            Step::Complete(ids) => return complete(scratch, writer, ids).map(Some),
        }
    }
    Ok(None)
}

fn complete(scratch: Scratch, writer: ArrowWriter<Hashed>, ids: IdDigest) -> Result<(Scratch, Written), ArchiveError> {
    let path = &scratch.0;
    let hashed = writer.into_inner().map_err(ArchiveError::writing(path))?;
    files::sync_out(&hashed.file, path)?;
    let written = Written {
        ids,
        bytes: hashed.bytes,
        sha256: hex(&hashed.hasher.finalize()),
    };
    read_back(path, &written)?;
    Ok((scratch, written))
}

/// A file in the staging folder. Dropped before it was published, it goes away.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Once published it is not there any more. What can't be removed is left to `Archive::clear_staging`.
        let _ = fs::remove_file(&self.0);
    }
}

#[derive(Debug)]
struct Hashed {
    file: File,
    bytes: u64,
    hasher: Sha256,
}

impl Hashed {
    fn new(file: File) -> Self {
        Self {
            file,
            bytes: 0,
            hasher: Sha256::new(),
        }
    }
}

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
