//! What every test needs: a folder to run the real program in, and what it left there.
//!
//! - [`Idvault`]: the folder
//! - [`Ended`]: how one execution ended
//! - [`LedgerRow`]: what the ledger knows of an id
//! - `canaries`: no secret is shown or left, whatever the test is about
//! - `vendor`: a scripted vendor; `server`: the HTTP below it; `tls`: and the TLS below that

pub(crate) mod canaries;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod vendor;

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use vendor::Vendor;

/// The ledger's time in every test that does not say otherwise.
pub(crate) const NOW: &str = "2026-11-22T02:00:00Z";
/// Verified two days before [`NOW`].
pub(crate) const FRESH: &str = "2026-11-20T10:00:00Z";
/// Verified more than thirty days before [`NOW`].
pub(crate) const EXPIRED: &str = "2026-10-20T10:00:00Z";

pub(crate) const KEY_ID: &str = "test-key-id";
pub(crate) const KEY_SECRET: &str = "canary-key-secret";

/// An execution that takes longer hangs: it is killed, and the test fails.
const TIME_BOUND: Duration = Duration::from_mins(2);

/// A folder that holds the data folder and is working folder and home: no credentials of this machine are found.
pub(crate) struct Idvault {
    dir: TempDir,
    env: BTreeMap<String, String>,
    /// Files that the test wrote, which can hold a secret.
    written: Mutex<Vec<PathBuf>>,
}

/// One column of one row.
pub(crate) type Columns = BTreeMap<String, Field>;

impl Idvault {
    /// With an access key in the environment.
    pub(crate) fn new() -> Self {
        let mut idvault = Self::without_credentials();
        idvault.env("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY_ID);
        idvault.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", KEY_SECRET);
        idvault
    }

    /// With nothing in the environment but what keeps this machine out.
    pub(crate) fn without_credentials() -> Self {
        let mut idvault = Self {
            dir: tempfile::tempdir().unwrap(),
            env: BTreeMap::new(),
            written: Mutex::default(),
        };
        let home = idvault.dir.path().to_str().unwrap().to_owned();
        idvault.env("HOME", &home);
        idvault.env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
        // A script says what each call brings, so a test that wants further passes asks for them.
        idvault.env("IDVAULT_PAUSES", "none");
        idvault
    }

    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// A path below the folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// A path below the data folder.
    pub(crate) fn data(&self, relative: &str) -> PathBuf {
        self.path("idvault-data").join(relative)
    }

    /// Writes a file below the folder, 0600, and the folders above it.
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        self.written.lock().unwrap().push(path);
    }

    /// Writes `pending.csv`: transaction id and `verified_at` of each row.
    pub(crate) fn pending(&self, rows: &[(&str, &str)]) {
        let rows = rows.iter().flat_map(|(id, at)| [id, ",", at, "\n"]);
        let text: String = ["transaction_id,verified_at\n"].into_iter().chain(rows).collect();
        self.write("pending.csv", text);
    }

    /// `idvault run` against the vendor: with `pending.csv` where there is one, at [`NOW`] and 1000 calls a second
    /// where `more` does not say otherwise.
    pub(crate) fn run(&self, vendor: &Vendor, more: &[&str]) -> Ended {
        let mut args = vec!["run", "--endpoint", &vendor.url];
        let defaults = [("--pending", "pending.csv"), ("--now", NOW), ("--qps", "1000")];
        for (name, value) in defaults.iter().filter(|(name, _)| !more.contains(name)) {
            if *name != "--pending" || self.path(value).exists() {
                args.extend([name, value]);
            }
        }
        args.extend(more);
        self.execute(&args)
    }

    /// Executes the program to its end.
    pub(crate) fn execute(&self, args: &[&str]) -> Ended {
        self.execute_into(args, Stdio::piped(), Stdio::piped())
    }

    /// Executes the program to its end, with this standard output and standard error.
    pub(crate) fn execute_into(&self, args: &[&str], stdout: Stdio, stderr: Stdio) -> Ended {
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_idvault"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        if !args.iter().any(|arg| arg.contains("canary-")) {
            canaries::none_in_command_line(child.id());
        }
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        let (code, peak_kib) = wait(&mut child, started);
        let text = |collected: Option<JoinHandle<String>>| collected.map_or_else(String::new, |it| it.join().unwrap());
        let (stdout, stderr) = (text(stdout), text(stderr));
        let code = code.unwrap_or_else(|| panic!("{args:?} did not end in {TIME_BOUND:?}: {stderr}"));
        canaries::none_in(stdout.as_bytes(), "standard output");
        canaries::none_in(stderr.as_bytes(), "standard error");
        Ended {
            code,
            stdout,
            stderr,
            took: started.elapsed(),
            peak_kib,
        }
    }

    /// The summary of the last run.
    pub(crate) fn summary(&self) -> serde_json::Value {
        serde_json::from_str(&self.report("summary.json")).unwrap()
    }

    /// A report of the last run.
    pub(crate) fn report(&self, name: &str) -> String {
        fs::read_to_string(self.data("reports/latest").join(name)).unwrap()
    }

    /// The rows of a report of the last run, by the names of their columns.
    pub(crate) fn report_rows(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let text = self.report(name);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.deserialize().map(Result::unwrap).collect()
    }

    /// The archive by transaction id, as Parquet's own row reader sees it; an id that is there twice fails the test.
    pub(crate) fn archived(&self) -> BTreeMap<String, Columns> {
        let mut rows = BTreeMap::new();
        let folders = ["archive/verifications", "archive/verifications_undated"];
        let files = folders.into_iter().flat_map(|folder| files_below(&self.data(folder)));
        for path in files {
            let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
            for row in reader.get_row_iter(None).unwrap() {
                let columns: Columns = row.unwrap().into_columns().into_iter().collect();
                let Field::Str(id) = columns["transaction_id"].clone() else {
                    panic!("{}: no transaction_id", path.display());
                };
                assert!(rows.insert(id.clone(), columns).is_none(), "{id} is archived twice");
            }
        }
        rows
    }

    /// The ledger, for reading.
    pub(crate) fn ledger(&self) -> Connection {
        Connection::open_with_flags(self.data("ledger.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
    }

    /// What the ledger knows of an id.
    pub(crate) fn row(&self, transaction_id: &str) -> LedgerRow {
        let sql = "SELECT transaction_states.state, attempts, not_completed_runs, failed_runs, next_due_at, last_call_code, \
                   last_message FROM transactions JOIN transaction_states USING (number) WHERE transactions.transaction_id = ?1";
        let row = self.ledger().query_row(sql, [transaction_id], |row| {
            Ok(LedgerRow {
                state: row.get(0)?,
                attempts: row.get(1)?,
                not_completed_runs: row.get(2)?,
                failed_runs: row.get(3)?,
                next_due_at: Timestamp::from_microsecond(row.get(4)?).unwrap(),
                last_call_code: row.get(5)?,
                last_message: row.get(6)?,
            })
        });
        row.unwrap_or_else(|error| panic!("{transaction_id}: {error}"))
    }
}

impl Drop for Idvault {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            canaries::none_below(self.dir.path(), &self.written.lock().unwrap());
        }
    }
}

/// What the ledger knows of an id.
#[derive(Debug)]
pub(crate) struct LedgerRow {
    pub(crate) state: String,
    pub(crate) attempts: u32,
    pub(crate) not_completed_runs: u32,
    pub(crate) failed_runs: u32,
    pub(crate) next_due_at: Timestamp,
    pub(crate) last_call_code: Option<String>,
    pub(crate) last_message: Option<String>,
}

/// How one execution ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    /// The most memory that it held, up to 5 ms before its end.
    pub(crate) peak_kib: u64,
}

impl Ended {
    /// Fails the test where the exit code is another.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "standard error: {}", self.stderr);
        self
    }

    /// Fails the test where standard error does not say this.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in {}", self.stderr);
        self
    }
}

/// Every regular file below a folder; none where it is not there.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    })
}

/// The most memory that a process has held so far, in KiB; `None` once it has ended.
pub(crate) fn peak_kib(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The exit code, `None` where the time bound passed first, or a signal ended it; and the most memory that it held.
fn wait(child: &mut Child, started: Instant) -> (Option<i32>, u64) {
    let mut peak = None;
    loop {
        peak = peak_kib(child).max(peak);
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), peak.unwrap_or(0));
        }
        if started.elapsed() > TIME_BOUND {
            child.kill().unwrap();
            child.wait().unwrap();
            return (None, peak.unwrap_or(0));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
