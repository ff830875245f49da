//! Reads a source in a thread of its own, so that whoever takes its rows can leave off at any time: a pipe can stay
//! silent, and a line or a view can go on for ever.
//!
//! - [`Reading`]: a source that is being read

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{IntakeError, IntakeSettings, Item, Source};

/// How many rows are read ahead.
const ROWS_AHEAD: usize = 1024;
/// How long a row is waited for until it is asked again whether to leave off.
const PATIENCE: Duration = Duration::from_millis(50);

/// A source that is being read. Dropped before its end, it leaves a thread behind that ends with its next row, or with
/// the process.
pub struct Reading {
    name: String,
    items: Receiver<Item>,
    /// `None` once its result was given.
    thread: Option<JoinHandle<Result<(), IntakeError>>>,
}

impl Reading {
    /// Begins to read, as [`super::read`] does.
    pub fn start(source: Source, stdin: Box<dyn Read + Send>, settings: IntakeSettings) -> Result<Self, IntakeError> {
        let name = source.to_string();
        let (sender, items) = mpsc::sync_channel(ROWS_AHEAD);
        let read = move || {
            super::read(&source, stdin, &settings, &mut |item| match sender.send(item) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        };
        let thread = thread::Builder::new().name("intake".to_owned()).spawn(read);
        let thread = thread.map_err(|source| IntakeError::Read {
            name: name.clone(),
            source,
        })?;
        Ok(Self {
            name,
            items,
            thread: Some(thread),
        })
    }

    /// The next row; `None` at the end. Waits for it until `stopped` says so.
    pub fn next(&mut self, stopped: &dyn Fn() -> bool) -> Result<Option<Item>, IntakeError> {
        loop {
            if stopped() {
                let name = self.name.clone();
                return Err(IntakeError::Stopped { name });
            }
            match self.items.recv_timeout(PATIENCE) {
                Ok(item) => return Ok(Some(item)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    fn end(&mut self) -> Result<Option<Item>, IntakeError> {
        let Some(thread) = self.thread.take() else {
            return Ok(None);
        };
        match thread.join() {
            Ok(ended) => ended.map(|()| None),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
