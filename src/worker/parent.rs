//! The parent's side of a child that reads a file.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Frame, Isolation, MAX_FRAME_BYTES, MEMORY_BYTES};

/// What is read of a child's rows at a time, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Why a child gave no more rows. Those that it gave before stand.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The child could not be started.
    #[error(
        "failed to start the process that reads {name}; see what limits the processes and memory of this user (`ulimit -a`)"
    )]
    Start {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It ended before the file did.
    #[error(
        "{name} was given up, as the process that read it {how}; look where the file comes from, and write it again"
    )]
    Ended {
        /// The file.
        name: String,
        /// As in "the process that read it HOW".
        how: String,
    },
    /// The file can't be read, or not to its end, in the child's words.
    #[error("{0}")]
    Failed(String),
}

/// A child at work. Dropped, it is ended.
pub(crate) struct Worker {
    name: String,
    killer: Killer,
    frames: BufReader<Box<dyn io::Read + Send>>,
    line: Vec<u8>,
}

/// Ends a child, from whatever thread; what waits for its rows is woken by that.
#[derive(Clone)]
pub(crate) struct Killer(Arc<Mutex<Child>>);

impl Killer {
    /// Ends it, where it has not ended yet.
    pub(crate) fn kill(&self) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Fails where it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }

    fn wait(&self) -> io::Result<ExitStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wait()
    }
}

impl Worker {
    /// Starts a child that reads `path` as a file of this `kind`. The thread that calls it must live until the child is done
    /// with: the kernel ends a child with the thread that started it. With `spool`, an empty file, all is read before this
    /// returns, and the rows wait in the file. `None` where files are read in this process.
    pub(crate) fn start(
        isolation: &Isolation,
        kind: &str,
        path: &Path,
        request: &impl Serialize,
        spool: Option<File>,
    ) -> Result<Option<Self>, WorkerError> {
        let Isolation::Process { program, time_zone } = isolation else {
            return Ok(None);
        };
        let name = path.display().to_string();
        let mut command = command(program, time_zone.as_deref(), kind, path);
        let started = begin(&mut command, request, spool);
        let (killer, frames) = started.map_err(|source| WorkerError::Start {
            name: name.clone(),
            source,
        })?;
        Ok(Some(Self {
            name,
            killer,
            frames: BufReader::with_capacity(READ_BYTES, frames),
            line: Vec::new(),
        }))
    }

    /// What ends the child.
    pub(crate) fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Vec<T>>, WorkerError> {
        self.line.clear();
        let read = self
            .frames
            .by_ref()
            .take(MAX_FRAME_BYTES)
            .read_until(b'\n', &mut self.line);
        if read.is_err() || !self.line.ends_with(b"\n") {
            return Err(self.ended(None));
        }
        match serde_json::from_slice(&self.line) {
            Ok(Frame::Rows(rows)) => Ok(Some(rows)),
            Ok(Frame::End) => Ok(None),
            Ok(Frame::Failed(why)) => Err(WorkerError::Failed(why)),
            Err(_) => Err(self.ended(Some("gave what is no row"))),
        }
    }

    fn ended(&self, how: Option<&str>) -> WorkerError {
        let mut child = self.killer.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has ended by itself keeps the status that it ended with.
        let _ = child.kill();
        let how = match (how, child.wait()) {
            (Some(how), _) => how.to_owned(),
            (None, Ok(status)) => ending(status),
            (None, Err(error)) => format!("ended, nobody knows how ({error})"),
        };
        WorkerError::Ended {
            name: self.name.clone(),
            how,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.killer.kill();
    }
}

/// Starts the child and hands it the request. With `spool` it is waited for, and what it wrote is read from the beginning.
fn begin(
    command: &mut Command,
    request: &impl Serialize,
    spool: Option<File>,
) -> io::Result<(Killer, Box<dyn io::Read + Send>)> {
    let request = serde_json::to_vec(request)?;
    command.stdout(match &spool {
        Some(file) => Stdio::from(file.try_clone()?),
        None => Stdio::piped(),
    });
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let killer = Killer(Arc::new(Mutex::new(child)));
    // A child that ended already says by its status why; its pipe is broken then.
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(&request);
    }
    if let Some(mut file) = spool {
        killer.wait()?;
        file.rewind()?;
        return Ok((killer, Box::new(file)));
    }
    let stdout = stdout.ok_or(io::ErrorKind::BrokenPipe)?;
    Ok((killer, Box::new(stdout)))
}

fn command(program: &Path, time_zone: Option<&str>, kind: &str, path: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg0("idvault")
        .args(["read-file", kind, "--"])
        .arg(path)
        // No credentials, and nothing that steers a library.
        .env_clear()
        // The allocator takes a gigabyte of addresses at once where it may, and would not see the limit.
        .env("MIMALLOC_ARENA_RESERVE", "0")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        // What a terminal interrupts is the parent.
        .process_group(0);
    if let Some(time_zone) = time_zone {
        command.env("TZ", time_zone);
    }
    command
}

/// How a process ended, in words that read on after "the process that read it".
fn ending(status: ExitStatus) -> String {
    use rustix::process::Signal;
    let Some(number) = status.signal() else {
        return format!("ended with the exit code {}", status.code().unwrap_or_default());
    };
    let is = |signal: Signal| signal.as_raw() == number;
    let mib = MEMORY_BYTES >> 20;
    if is(Signal::ABORT) || is(Signal::KILL) {
        format!("was stopped (signal {number}), most likely as it would take more than {mib} MiB of memory")
    } else if is(Signal::XCPU) {
        "took more time to compute than such a file should".to_owned()
    } else if is(Signal::XFSZ) {
        "would write more than such a file should need".to_owned()
    } else if is(Signal::BUS) {
        "met a file that was cut short meanwhile (signal 7)".to_owned()
    } else if is(Signal::SYS) {
        "tried what reading needs not (SIGSYS)".to_owned()
    } else {
        format!("crashed (signal {number})")
    }
}
