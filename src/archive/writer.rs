//! A Parquet file while it is written. Its thread encodes the batches that come through a bounded channel.
//!
//! The file is complete once it is on the disk and was read back. Its bytes are those that were written, and its rows
//! those that were appended.
//!
//! - [`FileWriter`]: a file and its thread
//! - `Encoder`: the thread; `Summed`: a file that takes the CRC-32 of what passes through it

use std::fs::File;
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use super::check::{IdDigest, Written, read_back};
use super::schema::{self, Limits};
use super::staged::{Place, Scratch, StagedFile};
use super::{ArchiveError, Dataset};
use crate::files::{self, FileError};

/// Batches that wait for the thread. [`Limits`] bounds what each of them holds.
const BATCHES_AHEAD: usize = 2;

/// A file while it is written. Dropped before its end, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct FileWriter {
    dataset: Dataset,
    place: Place,
    // Before the file: a dropped thread has ended when the file is removed.
    encoder: Encoder,
    scratch: Scratch,
}

impl FileWriter {
    /// Makes the file in the staging folder and starts its thread.
    pub(super) fn create(place: &Place, dataset: Dataset, limits: Limits) -> Result<Self, ArchiveError> {
        let path = place.scratch(dataset);
        let file = files::create_private(&path)?;
        let scratch = Scratch(path);
        let path = &scratch.0;
        let options = schema::writer_options(dataset, limits).map_err(ArchiveError::writing(path))?;
        let columns = schema::columns(dataset).clone();
        let writer = ArrowWriter::try_new_with_options(Summed::new(file), columns, options)
            .map_err(ArchiveError::writing(path))?;
        Ok(Self {
            dataset,
            place: place.clone(),
            encoder: Encoder::start(writer, path)?,
            scratch,
        })
    }

    /// Hands rows to the thread. An error may be about rows before them.
    pub(super) fn write(&mut self, rows: RecordBatch) -> Result<(), ArchiveError> {
        self.encoder.send(rows).map_err(|error| self.failed(error))
    }

    /// Completes the file, which holds rows of these ids: it is durable, and was read back from the disk.
    pub(super) fn finish(mut self, ids: IdDigest) -> Result<StagedFile, ArchiveError> {
        let summed = self.encoder.end().map_err(|error| self.failed(error))?;
        let path = &self.scratch.0;
        files::sync_out(&summed.file, path)?;
        let written = Written {
            ids,
            bytes: summed.bytes,
            crc32: summed.crc32.finalize(),
        };
        let found = read_back(path, &written)?;
        let rows = written.ids.rows();
        Ok(StagedFile::new(self.dataset, &self.place, self.scratch, rows, found))
    }

    /// For `map_err`: names the file.
    pub(super) fn failed(&self, error: ParquetError) -> ArchiveError {
        ArchiveError::writing(&self.scratch.0)(error)
    }
}

/// The thread that encodes a file's rows. Dropped, it ends.
#[derive(Debug)]
struct Encoder {
    batches: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<Summed, ParquetError>>>,
}

impl Encoder {
    fn start(writer: ArrowWriter<Summed>, path: &Path) -> Result<Self, FileError> {
        let (batches, incoming) = sync_channel(BATCHES_AHEAD);
        let thread = thread::Builder::new()
            .name("parquet-writer".to_owned())
            .spawn(move || encode(writer, &incoming))
            .map_err(FileError::because("start a thread to write", path))?;
        Ok(Self {
            batches: Some(batches),
            thread: Some(thread),
        })
    }

    fn send(&mut self, rows: RecordBatch) -> Result<(), ParquetError> {
        match self.batches.as_ref().map(|batches| batches.send(rows)) {
            Some(Ok(())) => Ok(()),
            // The thread has ended, so it has an error to tell.
            Some(Err(_)) | None => self.end().map(drop).and_then(|()| Err(ended())),
        }
    }

    /// Waits until all rows are encoded.
    fn end(&mut self) -> Result<Summed, ParquetError> {
        self.batches = None;
        let thread = self.thread.take().ok_or_else(ended)?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // Nobody wants the file any more, so it does not matter how this ends.
            let _ = thread.join();
        }
    }
}

fn ended() -> ParquetError {
    ParquetError::General("its thread has ended before the file was complete".to_owned())
}

fn encode(mut writer: ArrowWriter<Summed>, batches: &Receiver<RecordBatch>) -> Result<Summed, ParquetError> {
    for rows in batches {
        writer.write(&rows)?;
    }
    writer.into_inner()
}

/// A file that takes the CRC-32 of what is written to it.
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
