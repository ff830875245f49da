//! Nights of the real program.
//!
//! - [`Place`]: a folder with a ledger and an archive, removed afterwards
//! - [`Night`]: a run that ended; [`BenchResult`]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use idvault::files;
use idvault::sandbox::{SANDBOX_ACCESS_KEY_ID, SANDBOX_ACCESS_KEY_SECRET};

use crate::process::{Ended, measure, measure_until};
use crate::server::LoadServer;
use crate::source::Source;

pub(crate) type BenchResult<T> = Result<T, Box<dyn std::error::Error>>;

/// The clock of the ledger in all runs but those of the year.
pub(crate) const NOW: &str = "2026-11-22T02:00:00Z";

/// How cron starts a night: what it sets for the program's memory is part of what is measured.
const CRONTAB: &str = include_str!("../../samples/crontab");

/// A folder that a run works in.
#[derive(Debug)]
pub(crate) struct Place {
    dir: PathBuf,
    program: PathBuf,
}

impl Place {
    /// A new folder of that name below `base`, for runs of `program`.
    pub(crate) fn new(base: &Path, name: &str, program: &Path) -> BenchResult<Self> {
        let dir = base.join(name);
        files::create_private_dir(&dir)?;
        let program = program.canonicalize()?;
        Ok(Self { dir, program })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a pending source; gives its path.
    pub(crate) fn source(&self, name: &str, source: &Source<'_>) -> BenchResult<String> {
        let path = self.path(name);
        source.write(&path)?;
        Ok(path.to_str().ok_or("a path that is not UTF-8")?.to_owned())
    }

    /// The program with `args`, not started yet. It gets no environment but its credentials, and what samples/crontab sets.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", SANDBOX_ACCESS_KEY_ID)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SANDBOX_ACCESS_KEY_SECRET)
            .envs(variables(CRONTAB))
            .current_dir(&self.dir)
            .args(args);
        if !args.contains(&"--now") {
            command.args(["--now", NOW]);
        }
        command
    }

    /// A program that must end with 0.
    pub(crate) fn run(&self, args: &[&str]) -> BenchResult<Ended> {
        let ended = measure(&mut self.command(args))?;
        match ended.code {
            Some(0) => Ok(ended),
            code => Err(format!("idvault {args:?} ended with {code:?}: {}", ended.stderr).into()),
        }
    }

    /// A night against `server` that must end with 0.
    pub(crate) fn night(&self, server: &LoadServer, args: &[&str]) -> BenchResult<Night> {
        let mut all = vec!["run", "--json", "--quiet", "--endpoint", &server.url];
        all.extend(args);
        Night::of(self.run(&all)?)
    }

    /// A night that is told to stop once `enough` is true, which leaves due records (4).
    pub(crate) fn night_until(
        &self,
        server: &LoadServer,
        args: &[&str],
        enough: impl Fn() -> bool + Sync,
    ) -> BenchResult<Night> {
        let mut all = vec!["run", "--json", "--quiet", "--endpoint", &server.url];
        all.extend(args);
        let ended = measure_until(&mut self.command(&all), enough)?;
        match ended.code {
            Some(0 | 4) => Night::of(ended),
            code => Err(format!("idvault {all:?} ended with {code:?}: {}", ended.stderr).into()),
        }
    }

    pub(crate) fn ledger_bytes(&self) -> u64 {
        fs::metadata(self.path("idvault-data/ledger.sqlite")).map_or(0, |file| file.len())
    }

    /// The archive's files.
    pub(crate) fn archive_files(&self) -> Vec<PathBuf> {
        fn add(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => add(&path, files),
                    path => files.push(path),
                }
            }
        }
        let mut files = Vec::new();
        add(&self.path("idvault-data/archive"), &mut files);
        files
    }

    /// Files and bytes of the archive.
    pub(crate) fn archive(&self) -> (u64, u64) {
        let files = self.archive_files();
        let sizes = files.iter().map(|path| path.metadata().map_or(0, |file| file.len()));
        (files.len() as u64, sizes.sum())
    }
}

/// What a crontab sets: lines of a name, `=` and a value.
fn variables(crontab: &str) -> impl Iterator<Item = (&str, &str)> {
    let of_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let settings = crontab.lines().filter_map(|line| line.split_once('='));
    settings.filter(move |(name, _)| of_name(name))
}

impl Drop for Place {
    fn drop(&mut self) {
        // The folder above is removed as a whole in the end; this only frees the disk early.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A run that ended.
#[derive(Debug)]
pub(crate) struct Night {
    pub(crate) ended: Ended,
    pub(crate) summary: serde_json::Value,
}

impl Night {
    /// Of a run with `--json`.
    pub(crate) fn of(ended: Ended) -> BenchResult<Self> {
        let summary = serde_json::from_str(&ended.stdout)?;
        Ok(Self { ended, summary })
    }

    /// A count of the summary, such as `/fetch/fetched`.
    pub(crate) fn count(&self, pointer: &str) -> BenchResult<u64> {
        let found = self.summary.pointer(pointer).and_then(serde_json::Value::as_u64);
        found.ok_or_else(|| format!("the summary has no count {pointer}").into())
    }

    /// The seconds of a stage.
    pub(crate) fn stage(&self, name: &str) -> BenchResult<f64> {
        let found = self
            .summary
            .pointer(&format!("/stages/{name}"))
            .and_then(serde_json::Value::as_f64);
        found.ok_or_else(|| format!("the summary has no stage {name}").into())
    }

    /// Every one of `records` was fetched and published in this run: a figure of anything else would be worth nothing.
    pub(crate) fn complete(self, records: u64) -> BenchResult<Self> {
        for pointer in ["/fetch/fetched", "/published/verifications"] {
            let count = self.count(pointer)?;
            if count != records {
                return Err(format!("{pointer} is {count} where {records} were to be").into());
            }
        }
        Ok(self)
    }

    /// All stages in a line.
    pub(crate) fn stages(&self) -> BenchResult<String> {
        let names = ["open", "intake", "fetch", "publish", "report"];
        let stages: BenchResult<Vec<String>> = names
            .iter()
            .map(|name| Ok(format!("{name} {:.2}", self.stage(name)?)))
            .collect();
        Ok(stages?.join(", "))
    }
}
