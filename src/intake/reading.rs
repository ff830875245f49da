//! Reads a source in a thread of its own, so that whoever takes its rows can leave off at any time: a pipe can stay
//! silent, and a line or a view can go on for ever.
//!
//! - [`Reading`]: a source that is being read

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::Instant;

use super::{IntakeError, IntakeSettings, Item, Source, remote};
use crate::worker::{Killer, Worker};

/// How many rows are read ahead, and taken at once, at most.
const ROWS_AHEAD: usize = 512;
/// How long a row is waited for until it is asked again whether to leave off.
const PATIENCE: Duration = Duration::from_millis(50);

/// A source that is being read. Dropped before its end, it ends the child that reads it; where there is none, a thread stays
/// behind that ends with its next row, or with the process.
pub struct Reading {
    name: String,
    items: Receiver<Item>,
    silence: Duration,
    /// It is being left: what was read ahead has been given.
    left: bool,
    /// `None` once its result was given.
    thread: Option<JoinHandle<Result<(), IntakeError>>>,
    /// What ends the child that reads it, where there is one.
    killer: Option<Killer>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(killer) = &self.killer {
            killer.kill();
        }
    }
}

impl Reading {
    /// Begins to read, as [`super::read`] does. A row is waited for no longer than [`IntakeSettings::silence`].
    pub fn start(source: Source, stdin: Box<dyn Read + Send>, settings: IntakeSettings) -> Result<Self, IntakeError> {
        let name = source.to_string();
        let silence = settings.silence;
        let (sender, items) = mpsc::sync_channel(ROWS_AHEAD);
        let worker = remote::start(&source, &settings)?;
        let killer = worker.as_ref().map(Worker::killer);
        let read = move || {
            // Each row by itself: one that was read and waits for the next would be lost where that never comes.
            let each = &mut |item| match sender.send(item) {
                Ok(()) => ControlFlow::Continue(()),
                // Where nobody takes them any more, nobody wants them.
                Err(_) => ControlFlow::Break(()),
            };
            match worker {
                Some(worker) => remote::read(worker, each),
                None => super::read(&source, stdin, &settings, each),
            }
        };
        let thread = thread::Builder::new().name("intake".to_owned()).spawn(read);
        let thread = thread.map_err(|source| IntakeError::Read {
            name: name.clone(),
            source,
        })?;
        Ok(Self {
            name,
            items,
            silence,
            left: false,
            thread: Some(thread),
            killer,
        })
    }

    /// The next rows, as many as are there; none at the end. Waits for the first of them until `stopped` says so; what was read
    /// ahead by then is given first.
    pub fn next(&mut self, stopped: &dyn Fn() -> bool) -> Result<Vec<Item>, IntakeError> {
        let waiting_since = Instant::now();
        loop {
            if stopped() {
                let ahead: Vec<Item> = self.items.try_iter().take(ROWS_AHEAD).collect();
                if !std::mem::replace(&mut self.left, true) && !ahead.is_empty() {
                    return Ok(ahead);
                }
                let name = self.name.clone();
                return Err(IntakeError::Stopped { name });
            }
            match self.items.recv_timeout(PATIENCE) {
                Ok(first) => {
                    let more = self.items.try_iter().take(ROWS_AHEAD - 1);
                    return Ok(std::iter::once(first).chain(more).collect());
                }
                Err(RecvTimeoutError::Timeout) if waiting_since.elapsed() > self.silence => {
                    return Err(IntakeError::Silent {
                        name: self.name.clone(),
                        silence: self.silence,
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    fn end(&mut self) -> Result<Vec<Item>, IntakeError> {
        let Some(thread) = self.thread.take() else {
            return Ok(Vec::new());
        };
        match thread.join() {
            Ok(ended) => ended.map(|()| Vec::new()),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_source_that_falls_silent_is_given_up_and_its_rows_stand() {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        writer.write_all(b"transaction_id\na1\n").unwrap();
        let settings = IntakeSettings {
            silence: Duration::from_millis(200),
            ..IntakeSettings::default()
        };
        let mut reading = Reading::start(Source::Stdin, Box::new(reader), settings).unwrap();
        let first = reading.next(&|| false).unwrap();
        assert!(matches!(first[..], [Item::Good { line: 2, .. }]), "{first:?}");
        let silent = reading.next(&|| false);
        assert!(matches!(silent, Err(IntakeError::Silent { .. })), "{silent:?}");
        drop(writer);
    }
}
