//! Runs a program and measures it alone: the load server and the bench itself are not counted.
//!
//! - [`measure`], [`measure_until`]: run a program to its end
//! - [`Ended`]: what it took

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::time::Instant;

/// How often the peak of memory is read. It only ever grows, so what is missed is what it grew by in the last of these.
const SAMPLE_EVERY: Duration = Duration::from_millis(5);

/// Ticks a second of the times in `/proc`, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a program took.
#[derive(Debug)]
pub(crate) struct Ended {
    /// When it was started.
    pub(crate) started: Instant,
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// User and system time of all its threads, to 10 ms.
    pub(crate) cpu: Duration,
    /// Most memory that was resident.
    pub(crate) peak_kib: u64,
    /// The exit code.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn peak_mib(&self) -> f64 {
        crate::table::float(self.peak_kib) / 1024.0
    }
}

/// Ends with the bench, whatever becomes of it.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `command` to its end.
pub(crate) fn measure(command: &mut Command) -> io::Result<Ended> {
    measure_until(command, || false)
}

/// Runs `command`, and tells it to stop once `enough` is true.
pub(crate) fn measure_until(command: &mut Command, enough: impl Fn() -> bool + Sync) -> io::Result<Ended> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = Guard(command.spawn()?);
    let stdout = collect(child.0.stdout.take());
    let stderr = collect(child.0.stderr.take());
    let pid = Pid::from_child(&child.0);
    let ended = AtomicBool::new(false);
    let (wall, peak_kib) = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(pid, &ended, &enough));
        // It stays a zombie, whose times can still be read.
        let waited = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let wall = started.elapsed();
        ended.store(true, Ordering::Release);
        let peak_kib = watching.join().unwrap_or_default();
        waited.map(|_| (wall, peak_kib))
    })?;
    let cpu = cpu_of(pid)?;
    let code = child.0.wait()?.code();
    Ok(Ended {
        started,
        wall,
        cpu,
        peak_kib,
        code,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}

/// Gives the peak of memory in KiB.
fn watch(pid: Pid, ended: &AtomicBool, enough: &dyn Fn() -> bool) -> u64 {
    let (mut peak_kib, mut stopped) = (0, false);
    while !ended.load(Ordering::Acquire) {
        peak_kib = peak_of(pid).unwrap_or(0).max(peak_kib);
        if !stopped && enough() {
            stopped = true;
            // Fails where it has ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        thread::sleep(SAMPLE_EVERY);
    }
    peak_kib
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn peak_of(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn cpu_of(pid: Pid) -> io::Result<Duration> {
    cpu_in(Path::new(&format!("/proc/{}/stat", pid.as_raw_nonzero())))
}

fn cpu_in(stat: &Path) -> io::Result<Duration> {
    let stat = fs::read_to_string(stat)?;
    // The name in parentheses may hold anything; the user and the system time are the 12th and 13th field behind it.
    let fields = stat
        .rsplit_once(')')
        .map_or("", |(_, fields)| fields)
        .split_whitespace();
    let ticks: Vec<u64> = fields.skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Ok(Duration::from_secs_f64(
            crate::table::float(user + system) / TICKS_PER_SECOND,
        )),
        _ => Err(io::Error::other("/proc has no times of it")),
    }
}
