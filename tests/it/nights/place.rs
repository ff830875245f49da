//! Where a night takes place, and what it leaves behind, read by nothing of idvault's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use idvault::files;
use idvault::sandbox::{SANDBOX_ACCESS_KEY_ID, SANDBOX_ACCESS_KEY_SECRET};
use jiff::Timestamp;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::NOW;
use super::process::Ended;
use super::vendor::Vendor;
use crate::common::canaries;

/// A temporary folder: sources and configuration in it, data in `data`. The program runs in it, with no environment
/// but what a test gives it.
pub(super) struct Place {
    pub(super) dir: TempDir,
    /// The clock of plan, ledger and reports.
    pub(super) now: &'static str,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            now: NOW,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        files::create_private(&path).unwrap().write_all(bytes.as_ref()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A pipe that nobody writes to.
    pub(super) fn pipe(&self, name: &str) -> String {
        let made = Command::new("mkfifo").arg(self.path(name)).status().unwrap();
        assert!(made.success());
        name.to_owned()
    }

    /// The program with `args`, the data folder left to the test.
    pub(super) fn bare(&self, args: &[&str]) -> Command {
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
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        command.arg("--data-dir").arg(self.data()).args(["--now", self.now]);
        // One pass, where a test does not ask for more.
        command.env("IDVAULT_PAUSES", "none");
        command
    }

    pub(super) fn idvault(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args).output().unwrap())
    }

    /// A night that asks a sandbox of its own.
    pub(super) fn night(&self, args: &[&str]) -> Ended {
        let mut all = vec!["run", "--sandbox", "--qps", "unlimited"];
        all.extend(args);
        self.idvault(&all)
    }

    /// A night that asks `vendor`, not started yet; as fast as it goes where `args` do not say otherwise.
    pub(super) fn night_of(&self, vendor: &Vendor, args: &[&str]) -> Command {
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
    pub(super) fn ledger(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        Connection::open_with_flags(self.data().join("ledger.sqlite"), flags).unwrap()
    }

    /// One number out of the ledger.
    pub(super) fn count(&self, sql: &str) -> u64 {
        self.ledger().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// A column of numbers out of the ledger.
    pub(super) fn counts(&self, sql: &str) -> Vec<u64> {
        let ledger = self.ledger();
        let mut query = ledger.prepare(sql).unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    pub(super) fn states(&self) -> BTreeMap<String, u64> {
        let ledger = self.ledger();
        let mut counts = ledger
            .prepare("SELECT state, count(*) FROM transaction_states GROUP BY state")
            .unwrap();
        let rows = counts.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The reports of the latest run; of the dry run, where there was no other.
    pub(super) fn latest(&self) -> PathBuf {
        let run = self.data().join("reports/latest");
        if run.exists() {
            run
        } else {
            self.data().join("dry-run/reports/latest")
        }
    }

    /// The lines of a report of the latest run, by column.
    pub(super) fn report(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        lines(&std::fs::read_to_string(self.latest().join(name)).unwrap())
    }

    pub(super) fn summary(&self) -> serde_json::Value {
        let text = std::fs::read(self.latest().join("summary.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Every data file below `archive/`, by its path there.
    pub(super) fn archive_files(&self) -> Vec<String> {
        let root = self.data().join("archive");
        let mut found: Vec<String> = files_below(&root)
            .iter()
            .map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned())
            .filter(|path| !path.starts_with("_changes/"))
            .collect();
        // Made anew by each run, and in no manifest.
        found.retain(|path| !path.starts_with("dim/"));
        found.sort();
        found
    }

    /// Every row of a dataset, dated or not.
    pub(super) fn archived(&self, dataset: &str) -> Vec<Archived> {
        let files = self.archive_files();
        let of_dataset = files.into_iter().filter(|file| {
            file.starts_with(&format!("{dataset}/")) || file.starts_with(&format!("{dataset}_undated/"))
        });
        of_dataset.flat_map(|file| self.rows_of(&file)).collect()
    }

    pub(super) fn rows_of(&self, file: &str) -> Vec<Archived> {
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
pub(super) struct Archived {
    /// Below `archive/`.
    pub(super) file: String,
    pub(super) fields: BTreeMap<String, Field>,
}

impl Archived {
    /// A text; `None` for null.
    #[track_caller]
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match &self.fields[name] {
            Field::Str(text) => Some(text),
            Field::Null => None,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn id(&self) -> &str {
        self.text("transaction_id").unwrap()
    }

    #[track_caller]
    pub(super) fn bytes(&self, name: &str) -> &[u8] {
        match &self.fields[name] {
            Field::Bytes(bytes) => bytes.data(),
            other => panic!("{name} is {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn time(&self, name: &str) -> Option<Timestamp> {
        match &self.fields[name] {
            Field::TimestampMicros(micros) => Some(Timestamp::from_microsecond(*micros).unwrap()),
            Field::Null => None,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The folder's `billing_day=`; `None` in the dataset of undated rows.
    pub(super) fn billing_day(&self) -> Option<&str> {
        let (dataset, rest) = self.file.split_once('/').unwrap();
        if dataset.ends_with("_undated") {
            return None;
        }
        let partition = rest.split('/').next().unwrap();
        Some(partition.strip_prefix("billing_day=").unwrap())
    }
}

/// The lines of a CSV text, by column.
pub(super) fn lines(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

pub(super) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .collect()
}
