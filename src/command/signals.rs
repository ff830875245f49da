//! Signals that ask a command to end, or would end it without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::stop::{self, Stop, StopReason};

/// The first SIGTERM or SIGINT asks for a stop, and says what is done meanwhile; the second ends the process at once.
pub(super) fn stop_at_first(stop: &Stop, meanwhile: &'static str) {
    let signalled = Arc::new(AtomicBool::new(false));
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let Ok(mut signals) = signal(kind) else {
            tracing::warn!("signals can't be listened for: a stop will cut the run off, and the next one mends it");
            return;
        };
        let (stop, signalled) = (stop.clone(), signalled.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if signalled.swap(true, Ordering::Relaxed) {
                    std::process::exit(128 + kind.as_raw_value());
                }
                tracing::warn!("stopping: {meanwhile}; a second signal ends at once");
                stop.request(StopReason::Signal);
                tokio::spawn(end_at_last(128 + kind.as_raw_value()));
            }
        });
    }
}

/// What is written beyond a limit of the size of files is then an error that names the file, and not the process's end.
pub(super) fn outlive_a_file_limit() {
    // Where it can't be listened for, it is as it was.
    let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
}

/// Ends a stopped command that has not ended by itself in time, as a crash would: the next one mends it.
pub(super) async fn end_at_last(code: i32) {
    tokio::time::sleep(stop::END).await;
    tracing::error!(
        "the stopped run did not end in time, and is cut off: what was committed is kept, and the next run goes on"
    );
    std::process::exit(code);
}
