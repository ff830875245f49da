//! Signals, and the time limit, that ask a command to end, or would end it without a word.
//!
//! A thread of its own waits for them, as all others may be held up: by a disk, or by who reads what they say.

use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;
use std::{future, io, process, thread};

use rustix::process::Signal;
use tokio::runtime;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::exit::Exit;
use crate::stop::{self, Stop, StopReason};

/// How long a line may take to be said: who should read it may not, and must not hold the end up.
const SAYING: Duration = Duration::from_millis(100);

/// The first SIGTERM or SIGINT, or the end of `limit`, asks for a stop; the second signal ends the process at once, and so
/// does the end of [`stop::END`]. Says what is done meanwhile.
pub(super) fn stop_at_first(stop: &Stop, limit: Option<Duration>, meanwhile: &'static str) -> io::Result<()> {
    let limit = limit.map(|limit| Instant::now() + limit);
    let stop = stop.clone();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (ready, listening) = mpsc::sync_channel(1);
    let watching = thread::Builder::new().name("signals".to_owned());
    watching.spawn(move || runtime.block_on(watch(&stop, limit, meanwhile, ready)))?;
    // A signal before that ends the process as if nobody listened. Nothing is sent but that it has begun.
    let _ = listening.recv();
    Ok(())
}

async fn watch(stop: &Stop, limit: Option<Instant>, meanwhile: &'static str, ready: SyncSender<()>) {
    let listening = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [mut terminate, mut interrupt] = listening.map(Result::ok);
    if terminate.is_none() || interrupt.is_none() {
        tracing::warn!("signals can't be listened for: a stop will cut the run off, and the next one mends it");
    }
    drop(ready);
    let mut signalled = false;
    let mut end: Option<(Instant, i32)> = None;
    loop {
        let signal = tokio::select! {
            () = next(&mut terminate) => SignalKind::terminate(),
            () = next(&mut interrupt) => SignalKind::interrupt(),
            () = at(limit), if end.is_none() => {
                stop.request(StopReason::TimeLimit);
                end = Some((Instant::now() + stop::END, Exit::NeedsALook.code().into()));
                continue;
            }
            () = at(end.map(|(end, _)| end)) => break,
        };
        let code = 128 + signal.as_raw_value();
        if signalled {
            process::exit(code);
        }
        signalled = true;
        stop.request(StopReason::Signal);
        end.get_or_insert_with(|| (Instant::now() + stop::END, code));
        say(move || tracing::warn!("stopping: {meanwhile}; a second signal ends at once"));
    }
    say(|| {
        tracing::error!(
            "the stopped run did not end in time, and is cut off: what was committed is kept, and the next run goes on"
        );
    });
    process::exit(end.map_or(0, |(_, code)| code));
}

/// Returns with the next signal; never where it can't be listened for.
async fn next(signals: &mut Option<Signals>) {
    if let Some(signals) = signals
        && signals.recv().await.is_some()
    {
        return;
    }
    future::pending::<()>().await;
}

/// Returns at that time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => future::pending().await,
    }
}

/// Says it in a thread of its own.
fn say(line: impl FnOnce() + Send + 'static) {
    let (said, saying) = mpsc::sync_channel(1);
    // Where there is no thread to be had, the end matters more than the line.
    let _ = thread::Builder::new().spawn(move || {
        line();
        said.send(())
    });
    let _ = saying.recv_timeout(SAYING);
}

/// What is written beyond a limit of the size of files is then an error that names the file, and not the process's end.
pub(super) fn outlive_a_file_limit() -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let _within = runtime.enter();
    // Listened for until the process ends. Where that can't be, it is as it was.
    let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
    Ok(())
}
