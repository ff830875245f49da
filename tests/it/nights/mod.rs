//! Whole nights: the real binary, a sandbox over HTTP on loopback, a real SQLite ledger and real Parquet files.
//!
//! - [`Place`]: a temporary folder with sources, configuration and data
//! - [`Ended`]: how the program ended
//! - [`Vendor`]: a sandbox in this process, whose counters can be read
//! - [`Archived`]: a row of the archive, read by Parquet's own row reader and by nothing of idvault's

mod billing;
mod checker;
mod closing;
mod commands;
mod config;
mod connections;
mod crash;
#[cfg(target_os = "linux")]
mod disk;
mod huge;
mod ids;
mod intake;
mod links;
mod memory;
mod migration;
mod mixed;
mod nightly;
mod order;
mod outage;
mod overlap;
mod permissions;
mod poisoned;
mod reconcile;
mod sandbox;
mod stop;
mod tallies;
mod throttled;
mod verify;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use idvault::clock::Clock;
use idvault::files;
use idvault::sandbox::{
    Counters, Counts, Mix, SANDBOX_ACCESS_KEY_ID, SANDBOX_ACCESS_KEY_SECRET, Sandbox, SandboxSettings,
};
use jiff::Timestamp;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::common::canaries;

/// The README's night, and the one after it.
const NOW: &str = "2026-11-22T02:00:00Z";
const NEXT_NIGHT: &str = "2026-11-23T02:00:00Z";

/// The folder of the crate's samples.
fn samples(name: &str) -> String {
    format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "only how long a test takes, never what it holds"
)]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What the sandbox judges signatures' dates by.
#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the binary signs with the real clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// How the program ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        canaries::none_in(&output.stdout, "standard output");
        canaries::none_in(&output.stderr, "standard error");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails with everything that was said, unless it ended so.
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// A temporary folder: sources and configuration in it, data in `data`. The program runs in it, with no environment
/// but what a test gives it.
struct Place {
    dir: TempDir,
    /// The clock of plan, ledger and reports.
    now: &'static str,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            now: NOW,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        files::create_private(&path).unwrap().write_all(bytes.as_ref()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The program with `args`, the data folder left to the test.
    fn bare(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_idvault"));
        command
            .env_clear()
            .current_dir(self.dir.path())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The program with `args` on `data` at `now`.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        command.arg("--data-dir").arg(self.data()).args(["--now", self.now]);
        command
    }

    fn idvault(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args).output().unwrap())
    }

    /// A night that asks a sandbox of its own.
    fn night(&self, args: &[&str]) -> Ended {
        let mut all = vec!["run", "--sandbox", "--qps", "unlimited"];
        all.extend(args);
        self.idvault(&all)
    }

    /// A night that asks `vendor`, not started yet; as fast as it goes where `args` do not say otherwise.
    fn night_of(&self, vendor: &Vendor, args: &[&str]) -> Command {
        let mut all = vec!["run", "--endpoint", &vendor.url];
        if !args.contains(&"--qps") {
            all.extend(["--qps", "unlimited"]);
        }
        all.extend(args);
        let mut command = self.command(&all);
        command
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", SANDBOX_ACCESS_KEY_ID)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SANDBOX_ACCESS_KEY_SECRET);
        command
    }

    /// The ledger, read by SQLite and by nothing of idvault's.
    fn ledger(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        Connection::open_with_flags(self.data().join("ledger.sqlite"), flags).unwrap()
    }

    /// One number out of the ledger.
    fn count(&self, sql: &str) -> u64 {
        self.ledger().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn states(&self) -> BTreeMap<String, u64> {
        let ledger = self.ledger();
        let mut counts = ledger
            .prepare("SELECT state, count(*) FROM transactions GROUP BY state")
            .unwrap();
        let rows = counts.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The lines of a report of the latest run, by column.
    fn report(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        lines(&std::fs::read_to_string(self.data().join("reports/latest").join(name)).unwrap())
    }

    fn summary(&self) -> serde_json::Value {
        let text = std::fs::read(self.data().join("reports/latest/summary.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Every file below `archive/`, by its path there.
    fn archive_files(&self) -> Vec<String> {
        let root = self.data().join("archive");
        let mut found: Vec<String> = files_below(&root)
            .iter()
            .map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned())
            .collect();
        found.sort();
        found
    }

    /// Every row of a dataset.
    fn archived(&self, dataset: &str) -> Vec<Archived> {
        let files = self.archive_files();
        let of_dataset = files
            .into_iter()
            .filter(|file| file.starts_with(&format!("{dataset}/")));
        of_dataset.flat_map(|file| self.rows_of(&file)).collect()
    }

    fn rows_of(&self, file: &str) -> Vec<Archived> {
        let open = File::open(self.data().join("archive").join(file)).unwrap();
        let reader = SerializedFileReader::new(open).unwrap();
        let row = |row: Result<parquet::record::Row, _>| Archived {
            file: file.to_owned(),
            fields: row.unwrap().into_columns().into_iter().collect(),
        };
        reader.get_row_iter(None).unwrap().map(row).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            canaries::none_below(self.dir.path(), &[]);
        }
    }
}

/// A row of the archive.
#[derive(Debug, Clone)]
struct Archived {
    /// Below `archive/`.
    file: String,
    fields: BTreeMap<String, Field>,
}

impl Archived {
    /// A text; `None` for null.
    #[track_caller]
    fn text(&self, name: &str) -> Option<&str> {
        match &self.fields[name] {
            Field::Str(text) => Some(text),
            Field::Null => None,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[track_caller]
    fn id(&self) -> &str {
        self.text("transaction_id").unwrap()
    }

    #[track_caller]
    fn bytes(&self, name: &str) -> &[u8] {
        match &self.fields[name] {
            Field::Bytes(bytes) => bytes.data(),
            other => panic!("{name} is {other:?}"),
        }
    }

    #[track_caller]
    fn time(&self, name: &str) -> Option<Timestamp> {
        match &self.fields[name] {
            Field::TimestampMicros(micros) => Some(Timestamp::from_microsecond(*micros).unwrap()),
            Field::Null => None,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The folder's `billing_day=`.
    fn billing_day(&self) -> &str {
        let partition = self.file.split('/').nth(1).unwrap();
        partition.strip_prefix("billing_day=").unwrap()
    }
}

/// The lines of a CSV text, by column.
fn lines(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .collect()
}

/// A sandbox in this process.
struct Vendor {
    url: String,
    counters: Arc<Counters>,
    /// Serves as long as it is there.
    _runtime: tokio::runtime::Runtime,
}

impl Vendor {
    /// On a busy machine what was in flight is taken late.
    const QUIET: Duration = Duration::from_millis(100);

    fn start(answers: Mix, latency: Duration) -> Self {
        Self::start_by(Arc::new(WallClock), answers, latency)
    }

    /// By another clock.
    fn start_by(clock: Arc<dyn Clock>, answers: Mix, latency: Duration) -> Self {
        Self::with(
            clock,
            SandboxSettings {
                answers,
                latency: latency..=latency,
                ..SandboxSettings::default()
            },
        )
    }

    fn with(clock: Arc<dyn Clock>, settings: SandboxSettings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sandbox = runtime.block_on(Sandbox::bind(settings, clock)).unwrap();
        let (url, counters) = (format!("http://{}", sandbox.local_addr()), sandbox.counters());
        runtime.spawn(sandbox.run(std::future::pending()));
        Self {
            url,
            counters,
            _runtime: runtime,
        }
    }

    fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// The counts once nothing more comes in from a run that has ended. What it had in flight may still be counted when
    /// its answer is due, after `latency`.
    fn settled(&self, latency: Duration) -> Counts {
        let mut before = self.counts();
        loop {
            std::thread::sleep((latency * 10).max(Self::QUIET));
            let now = self.counts();
            if now == before {
                return now;
            }
            before = now;
        }
    }
}

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap();
        canaries::none_in_command_line(child.id());
        Self(child)
    }

    fn end(mut self) -> Ended {
        let mut output = (Vec::new(), Vec::new());
        // One pipe after the other is enough for what fits into a pipe's buffer.
        std::io::copy(self.0.stdout.as_mut().unwrap(), &mut output.0).unwrap();
        std::io::copy(self.0.stderr.as_mut().unwrap(), &mut output.1).unwrap();
        Ended::of(Output {
            status: self.0.wait().unwrap(),
            stdout: output.0,
            stderr: output.1,
        })
    }

    fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("/bin/kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks again until it is so; fails the test where it never is.
#[track_caller]
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited 30 s in vain until {what}");
}

/// A pending source of `count` made-up ids, spread over `days` days before [`NOW`].
fn made_up(count: usize, days: usize, product: &str) -> String {
    let mut text = "transaction_id,product_code,region,verified_at\n".to_owned();
    for number in 0..count {
        let (day, second) = (1 + number % days, number % 60);
        let verified_at = format!("2026-11-{day:02}T03:04:{second:02}Z");
        writeln!(text, "made{number:05},{product},ap-southeast-1,{verified_at}").unwrap();
    }
    text
}

/// The ids of a pending source.
fn ids_of(source: &str) -> Vec<String> {
    lines(source)
        .into_iter()
        .map(|line| line["transaction_id"].clone())
        .collect()
}
