//! The child: takes its request, gives up its rights, reads, and hands the rows over.

use std::io::{self, BufWriter, Read as _, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::Frame;

/// No request is longer.
const MAX_REQUEST_BYTES: u64 = 1 << 20;
/// Rows that are handed over at once, by their number and about their bytes.
const BATCH_ROWS: usize = 512;
const BATCH_BYTES: usize = 256 << 10;

/// Rows that are read ahead.
const ROWS_AHEAD: usize = 64;

/// Takes the rows in, as they are read.
pub(crate) struct Outlet<T> {
    sender: SyncSender<(T, usize)>,
}

impl<T> Outlet<T> {
    /// Hands a row of about so many bytes over. Each by itself: one that was read and waits for the next would be lost where that
    /// never comes.
    pub(crate) fn row(&mut self, row: T, bytes: usize) -> ControlFlow<()> {
        match self.sender.send((row, bytes)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Reads the request, has `read` carry it out, and writes what that gives to standard output. `read` confines the process
/// before it looks into the file, and fails with a sentence.
pub(crate) fn serve<Q, T>(read: impl FnOnce(Q, &mut Outlet<T>) -> Result<(), String>) -> io::Result<()>
where
    Q: DeserializeOwned,
    T: Serialize + Send + 'static,
{
    let _kept = outlive_signals()?;
    die_with_parent()?;
    let mut request = String::new();
    io::stdin()
        .lock()
        .take(MAX_REQUEST_BYTES)
        .read_to_string(&mut request)?;
    let request = serde_json::from_str(&request)?;
    let (sender, rows) = mpsc::sync_channel(ROWS_AHEAD);
    let writer = thread::Builder::new()
        .name("rows".to_owned())
        .spawn(move || write_rows(&rows))?;
    let mut outlet = Outlet { sender };
    let ended = read(request, &mut outlet);
    drop(outlet);
    match writer.join() {
        Ok(written) => written?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    let last: Frame<T> = ended.map_or_else(Frame::Failed, |()| Frame::End);
    write_frame(&mut io::stdout().lock(), &last)
}

/// Writes the rows that are there, as many at a time as a frame takes.
fn write_rows<T: Serialize>(rows: &Receiver<(T, usize)>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BATCH_BYTES, io::stdout().lock());
    while let Ok((first, mut bytes)) = rows.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_ROWS
            && bytes < BATCH_BYTES
            && let Ok((row, more)) = rows.try_recv()
        {
            batch.push(row);
            bytes += more;
        }
        write_frame(&mut out, &Frame::Rows(batch))?;
    }
    Ok(())
}

fn write_frame<T: Serialize>(mut out: impl Write, frame: &Frame<T>) -> io::Result<()> {
    serde_json::to_writer(&mut out, frame)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A signal to all processes of the service, or of the terminal, is for the parent to judge: it ends the child when it is
/// done with it.
fn outlive_signals() -> io::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        drop(signal(kind)?);
    }
    drop(entered);
    Ok(runtime)
}

/// A parent that is killed leaves no child behind.
fn die_with_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}
