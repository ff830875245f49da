//! What is left when the disk fails, or the program dies, at a named call. `shim.c` is a double for disk and clock, preloaded
//! into the unmodified program: it obeys one [`Rule`] and says that it did, so that no point is missed silently.
//!
//! - `points`: killed at every step of a night; `closing`: of `close`; `compaction`: of `compact`, and failing there
//! - `commits`: how many a publication takes
//! - `conditions`: a ledger that can't be used, and a disk without room
//! - `faults`: every write and every sync fails once, or for good
//! - `night`: the runs over one data folder
//! - [`Disk`]: the rule of one run, and what came of it
//! - [`HeldClock`]: a clock that stands still, and leaps when it is told to

mod closing;
mod commits;
mod compaction;
mod conditions;
mod faults;
mod night;
mod points;

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

/// A call that touches the data folder; the last word but one of a rule.
const ANY_CALL: &str = "@(create|write|sync|truncate|rename|swap|link|symlink|mkdir|unlink):*/data*";

/// The double, compiled once a process.
fn shim() -> &'static PathBuf {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let shim = folder.join(format!("disk-{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/nights/disk/shim.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&shim)
            .args([source, "-ldl", "-pthread"])
            .status();
        assert!(compiled.unwrap().success(), "cc can't compile {source}");
        shim
    })
}

/// The disk of one run.
pub(super) struct Disk {
    rule: String,
    logs: TempDir,
}

impl Disk {
    /// `rule` as `shim.c` has it.
    pub(super) fn that(rule: &str) -> Self {
        Self {
            rule: rule.to_owned(),
            logs: tempfile::tempdir().unwrap(),
        }
    }

    /// Puts it under the program.
    pub(super) fn under<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_PRELOAD", shim())
            .env("DISK_RULE", &self.rule)
            .env("DISK_FIRED", self.logs.path().join("fired"))
    }

    /// The call at which the rule took place, and all calls after it; `None` where it never did.
    pub(super) fn fired(&self) -> Option<Vec<String>> {
        let log = std::fs::read_to_string(self.logs.path().join("fired")).ok()?;
        Some(log.lines().map(str::to_owned).collect())
    }
}

/// The clock by which a run measures how long it has taken: what it makes of that does not depend on the machine.
pub(super) struct HeldClock(NamedTempFile);

impl HeldClock {
    /// Not held yet.
    pub(super) fn new() -> Self {
        let clock = Self(NamedTempFile::new().unwrap());
        clock.set(Duration::ZERO);
        clock
    }

    /// Puts it under the program.
    pub(super) fn under<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", shim()).env("CLOCK_LEAP", self.0.path())
    }

    /// From here on it stands still.
    pub(super) fn hold(&self) {
        self.set(Duration::from_nanos(1));
    }

    /// It stands so much later than where it was held.
    pub(super) fn leap(&self, time: Duration) {
        self.set(time);
    }

    fn set(&self, time: Duration) {
        let nanoseconds = i64::try_from(time.as_nanos()).unwrap();
        self.0.as_file().write_all_at(&nanoseconds.to_ne_bytes(), 0).unwrap();
    }
}

/// How many calls to its data folder the program makes that ends so.
fn calls_of(command: &mut Command, code: i32) -> usize {
    let disk = Disk::that(&format!("{ANY_CALL} note"));
    assert_eq!(disk.under(command).output().unwrap().status.code(), Some(code));
    let calls = disk.fired().unwrap();
    let touches_data = |call: &&String| call.contains("/data") && !call.starts_with("open ");
    calls.iter().filter(touches_data).count()
}
