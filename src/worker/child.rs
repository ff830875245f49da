//! The child: takes its request, gives up its rights, reads, and hands the rows over.

use std::io::{self, BufWriter, Read as _, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
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

/// Takes the rows in, as they are read.
pub(crate) struct Outlet<T> {
    sender: SyncSender<Vec<T>>,
    ahead: Vec<T>,
    bytes: usize,
}

impl<T> Outlet<T> {
    /// Hands a row of about so many bytes over: at once if it is waited for, and else with those that follow it.
    pub(crate) fn row(&mut self, row: T, bytes: usize) -> ControlFlow<()> {
        self.ahead.push(row);
        self.bytes += bytes;
        let rows = std::mem::take(&mut self.ahead);
        if rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.bytes = 0;
            return self
                .sender
                .send(rows)
                .map_or(ControlFlow::Break(()), ControlFlow::Continue);
        }
        match self.sender.try_send(rows) {
            Ok(()) => self.bytes = 0,
            Err(TrySendError::Full(rows)) => self.ahead = rows,
            Err(TrySendError::Disconnected(_)) => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn finish(self) {
        // Where nobody takes them any more, nobody wants them.
        let _ = self.sender.send(self.ahead);
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
    let (sender, rows) = mpsc::sync_channel(1);
    let writer = thread::Builder::new()
        .name("rows".to_owned())
        .spawn(move || write_rows(&rows))?;
    let mut outlet = Outlet {
        sender,
        ahead: Vec::new(),
        bytes: 0,
    };
    let ended = read(request, &mut outlet);
    outlet.finish();
    match writer.join() {
        Ok(written) => written?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    let last: Frame<T> = ended.map_or_else(Frame::Failed, |()| Frame::End);
    write_frame(&mut io::stdout().lock(), &last)
}

fn write_rows<T: Serialize>(rows: &Receiver<Vec<T>>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BATCH_BYTES, io::stdout().lock());
    for rows in rows.iter().filter(|rows| !rows.is_empty()) {
        write_frame(&mut out, &Frame::Rows(rows))?;
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
