//! What the system lets this process have: open files and threads. They are counted before the first call: what fails later for want
//! of one looks like another fault.
//!
//! - [`check`]: enough for a run
//! - [`connections`]: how many calls can be in flight
//! - [`TooFew`]: what is missing

use std::io;
use std::sync::mpsc;
use std::thread;

use rustix::process::{Resource, getrlimit};

/// Files that a run has open beside its connections: ledger, archive, reports, sources, certificates and name servers.
const FILES_BESIDE: u64 = 96;

/// Files of the ledger that each queue of calls has open.
const FILES_PER_QUEUE: u64 = 4;

/// Calls in flight of a queue with which a run is worth its while.
const LEAST_CONNECTIONS: u64 = 8;

/// Threads that a run has at a time: intake, plan, writer, publication with its encoders, signals, name servers.
const THREADS: usize = 12;

/// What the system gives too little of.
#[derive(Debug, thiserror::Error)]
pub enum TooFew {
    /// Open files.
    #[error(
        "this user may have {limit} open files, and a run needs {needed}: raise the limit (`ulimit -n {recommended}`, `LimitNOFILE=` of a \
         systemd unit)", recommended = RECOMMENDED_FILES
    )]
    Files {
        /// How many there may be.
        limit: u64,
        /// How many it takes.
        needed: u64,
    },
    /// Threads.
    #[error(
        "this user may not have {THREADS} more threads, which a run needs: raise the limit (`ulimit -u`, `TasksMax=` of a systemd unit)"
    )]
    Threads(#[source] io::Error),
}

/// What is recommended: enough for 256 calls in flight of each of several queues.
const RECOMMENDED_FILES: u64 = 4_096;

/// Whether there are threads and files enough for a run.
pub(crate) fn check() -> Result<(), TooFew> {
    connections(1, 1)?;
    let (done, wait) = mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let begun = (0..THREADS).map(|_| {
        let wait = wait.clone();
        // They wait for each other, so that all are there at one time.
        thread::Builder::new().spawn(move || drop(wait.lock().map(|wait| wait.recv())))
    });
    let begun: Vec<io::Result<thread::JoinHandle<()>>> = begun.collect();
    drop(done);
    let mut failed = Ok(());
    for thread in begun {
        match thread {
            Ok(thread) => drop(thread.join()),
            Err(error) => failed = Err(TooFew::Threads(error)),
        }
    }
    failed
}

/// How many calls of each of `queues` can be in flight: `wanted`, or fewer where there are not files enough.
pub(crate) fn connections(wanted: usize, queues: usize) -> Result<usize, TooFew> {
    // None: unlimited.
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    within(limit, wanted, queues)
}

fn within(limit: u64, wanted: usize, queues: usize) -> Result<usize, TooFew> {
    let queues = queues.max(1) as u64;
    let beside = FILES_BESIDE + FILES_PER_QUEUE * queues;
    let each = limit.saturating_sub(beside) / queues;
    if each < LEAST_CONNECTIONS {
        let needed = beside + LEAST_CONNECTIONS * queues;
        return Err(TooFew::Files { limit, needed });
    }
    Ok(wanted.min(usize::try_from(each).unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_in_flight_are_as_many_as_there_are_files_for() {
        assert_eq!(within(u64::MAX, 256, 16).unwrap(), 256);
        assert_eq!(within(1_024, 256, 1).unwrap(), 256);
        assert_eq!(within(200, 256, 1).unwrap(), 100);
        assert_eq!(within(1_024, 256, 16).unwrap(), 54);
        assert!(within(107, 256, 1).is_err());
        let why = within(64, 256, 1).unwrap_err().to_string();
        assert!(why.contains("64 open files, and a run needs 108"), "{why}");
    }

    #[test]
    fn this_machine_is_enough() {
        check().unwrap();
    }
}
