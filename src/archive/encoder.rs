//! The two threads that turn columns into staged files, while whoever hands them in reads and sorts out the next rows: one
//! encodes, the other waits for the disk and reads back what it kept. They serve one file after another, as a thread's
//! memory stays with it.
//!
//! - [`Encoding`]: the two threads
//! - [`Encoder`]: a file while it is encoded; [`Completed`]: one that is durable and read back well
//! - [`Scratch`]: a file in the staging folder that goes away unless it is published
//! - `Summed`: a file that takes the CRC-32 of what passes through it

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;

use super::check::{CheckedFile, IdDigest, Written, read_back};
use super::pages::Pages;
use super::publish::{Place, StagedFile};
use super::schema::{self, Limits};
use super::{ArchiveError, Dataset};
use crate::files::{self, FileError};

/// Steps that wait for the encoding thread, so that it goes on while whoever hands them in waits for a core: what they hold is
/// bounded by [`Limits`].
const STEPS_AHEAD: usize = 2;

/// The two threads. They end when this and all files that were begun with it are dropped.
#[derive(Debug, Clone)]
pub(super) struct Encoding {
    steps: SyncSender<Step>,
}

/// What the encoding thread is told, of the file that is staged at the path.
type Step = (Arc<Path>, Action);

#[derive(Debug)]
enum Action {
    /// To take it.
    Begin(Box<Open>),
    /// To encode these rows.
    Encode(RecordBatch),
    /// To complete it; its rows have these ids.
    Complete(IdDigest),
    /// To remove it, unless it is completed already.
    LeaveOff,
}

/// A file that is being encoded.
#[derive(Debug)]
struct Open {
    scratch: Scratch,
    writer: ArrowWriter<Summed>,
    ended: Sender<Ended>,
}

/// A file that has all its bytes, some of them perhaps not on the disk yet.
struct Encoded {
    scratch: Scratch,
    summed: Summed,
    ids: IdDigest,
    ended: Sender<Ended>,
}

/// A file that is durable and read back well.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) scratch: Scratch,
    pub(super) rows: u64,
    pub(super) found: CheckedFile,
}

/// A complete file, or why it can't be completed.
type Ended = Result<Completed, ArchiveError>;

impl Encoding {
    /// Starts the threads, for files in the folder `staging`.
    pub(super) fn start(staging: &Path) -> Result<Self, FileError> {
        let failed = || FileError::because("start a thread to write to", staging);
        let (steps, told) = sync_channel(STEPS_AHEAD);
        // Holds the one or two files of a billing day: nobody has a second day completed before the first one is.
        let (encoded, completing) = channel();
        let threads: [(_, Box<dyn FnOnce() + Send>); 2] = [
            ("encoder", Box::new(move || encode(&told, &encoded))),
            ("completer", Box::new(move || complete(&completing))),
        ];
        for (name, work) in threads {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map_err(failed())?;
        }
        Ok(Self { steps })
    }
}

/// A file while it is encoded. Dropped before its end, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Encoder {
    dataset: Dataset,
    place: Place,
    staged_at: Arc<Path>,
    encoding: Encoding,
    ended: Receiver<Ended>,
}

impl Encoder {
    /// Makes the file.
    pub(super) fn start(
        encoding: &Encoding,
        place: &Place,
        dataset: Dataset,
        limits: Limits,
    ) -> Result<Self, ArchiveError> {
        let path = place.scratch(dataset);
        let file = files::create_private(&path)?;
        let scratch = Scratch(path.clone());
        let properties = schema::writer_properties(dataset, limits).map_err(ArchiveError::writing(&path))?;
        let mut options = ArrowWriterOptions::new().with_properties(properties);
        // Faces' row groups are short instead: they would be written twice, and nobody scans them by the row group.
        if dataset == Dataset::Verifications {
            let pages = Pages::create(&path.with_extension("pages"))?;
            options = options.with_page_store_factory(Arc::new(pages));
        }
        let columns = schema::columns(dataset).clone();
        let writer = ArrowWriter::try_new_with_options(Summed::new(file), columns, options)
            .map_err(ArchiveError::writing(&path))?;
        let (sender, ended) = channel();
        let encoder = Self {
            dataset,
            place: place.clone(),
            staged_at: path.into(),
            encoding: encoding.clone(),
            ended,
        };
        encoder.tell(Action::Begin(Box::new(Open {
            scratch,
            writer,
            ended: sender,
        })));
        Ok(encoder)
    }

    /// Has rows encoded. An error may be that of rows before them.
    pub(super) fn encode(&self, rows: RecordBatch) -> Result<(), ArchiveError> {
        self.tell(Action::Encode(rows));
        match self.ended.try_recv() {
            Err(TryRecvError::Empty) => Ok(()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(TryRecvError::Disconnected) => Err(self.left_off()),
        }
    }

    /// Has the file completed, which goes on until [`Encoder::wait`] gives it.
    pub(super) fn complete(&self, ids: IdDigest) {
        self.tell(Action::Complete(ids));
    }

    /// Waits for the complete file: durable, and read back from the disk.
    pub(super) fn wait(self) -> Result<StagedFile, ArchiveError> {
        let completed = self.ended.recv().unwrap_or_else(|_| Err(self.left_off()))?;
        Ok(StagedFile::new(self.dataset, &self.place, completed))
    }

    fn tell(&self, action: Action) {
        // A thread that is not there any more has dropped what `ended` waits for.
        let _ = self.encoding.steps.send((self.staged_at.clone(), action));
    }

    fn left_off(&self) -> ArchiveError {
        self.writing(ParquetError::General(
            "its encoder has ended before the file was complete".to_owned(),
        ))
    }

    /// For `map_err`: names the file.
    pub(super) fn writing(&self, error: ParquetError) -> ArchiveError {
        ArchiveError::writing(&self.staged_at)(error)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Waits, so that nothing is left of the file when this returns.
        self.tell(Action::LeaveOff);
        while self.ended.recv().is_ok() {}
    }
}

fn encode(steps: &Receiver<Step>, encoded: &Sender<Encoded>) {
    let mut files: HashMap<Arc<Path>, Box<Open>> = HashMap::new();
    for (path, action) in steps {
        match action {
            Action::Begin(file) => {
                files.insert(path, file);
            }
            Action::Encode(rows) => {
                let written = files.get_mut(&path).map(|file| file.writer.write(&rows));
                if let Some(Err(error)) = written
                    && let Some(file) = files.remove(&path)
                {
                    file.scratch.give_up(error, &file.ended);
                }
            }
            Action::Complete(ids) => {
                let Some(file) = files.remove(&path) else {
                    continue;
                };
                let Open { scratch, writer, ended } = *file;
                match writer.into_inner() {
                    Err(error) => scratch.give_up(error, &ended),
                    Ok(summed) => {
                        let file = Encoded {
                            scratch,
                            summed,
                            ids,
                            ended,
                        };
                        // The other thread ends after this one.
                        let _ = encoded.send(file);
                    }
                }
            }
            Action::LeaveOff => {
                files.remove(&path);
            }
        }
    }
}

fn complete(completing: &Receiver<Encoded>) {
    for Encoded {
        scratch,
        summed,
        ids,
        ended,
    } in completing
    {
        // Nobody may wait for it any more: then the file goes away.
        let _ = ended.send(completed(scratch, summed, ids));
    }
}

fn completed(scratch: Scratch, summed: Summed, ids: IdDigest) -> Ended {
    let path = &scratch.0;
    files::sync_out(&summed.file, path)?;
    let written = Written {
        ids,
        bytes: summed.bytes,
        crc32: summed.crc32.finalize(),
    };
    let found = read_back(path, &written)?;
    Ok(Completed {
        rows: written.ids.rows(),
        scratch,
        found,
    })
}

/// A file in the staging folder. Dropped before it was published, it goes away.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// Removes the file, and says why it can't be completed.
    fn give_up(self, error: ParquetError, ended: &Sender<Ended>) {
        let error = ArchiveError::writing(&self.0)(error);
        drop(self);
        let _ = ended.send(Err(error));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Once published it is not there any more. What can't be removed is left to `Archive::clear_staging`.
        let _ = fs::remove_file(&self.0);
    }
}

#[derive(Debug)]
struct Summed {
    file: File,
    bytes: u64,
    crc32: crc32fast::Hasher,
}

impl Summed {
    fn new(file: File) -> Self {
        Self {
            file,
            bytes: 0,
            crc32: crc32fast::Hasher::new(),
        }
    }
}

impl Write for Summed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.crc32.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
