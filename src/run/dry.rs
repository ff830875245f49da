//! A dry run: what a run would take in and ask for. It works on a copy of the ledger, so that ledger, archive and reports stay as they
//! are.
//!
//! The copy and the dry run's reports are in `dry-run/` in the data folder: there is room, and nobody else may read. That folder has a
//! lock of its own, so that a dry run waits for no run, and no run for it. The copy is removed at the end. The reports stay until the
//! next dry run.

use std::fs;
use std::io;
use std::path::Path;

use tokio::time::Instant;

use super::{Laps, Night, RunError, Story};
use crate::archive::Archive;
use crate::exit::Exit;
use crate::files::{self, FileError};
use crate::history;
use crate::ledger::{Ledger, LedgerError, Lock, make_folder};
use crate::report::ReportDir;
use crate::report::plan;
use crate::report::summary::Summary;

/// The folder.
const FOLDER: &str = "dry-run";

/// What stays in it from one dry run to the next: to remove a lock would let a third one in.
const LOCK: &str = "lock";

/// Takes the rows in, plans and reports, all on a copy.
pub(super) fn run(night: &Night) -> Result<Summary, RunError> {
    let started = Instant::now();
    let mut laps = Laps { last: started };
    let data_dir = &night.settings.data_dir;
    make_folder(data_dir)?;
    let folder = data_dir.join(FOLDER);
    let lock = Lock::acquire(&folder)?;
    empty(&folder, |_| true)?;
    if !Ledger::copy(data_dir, &folder)? && Archive::holds_files(data_dir)? {
        let path = Ledger::path_in(data_dir);
        return Err(LedgerError::Gone { path }.into());
    }
    let summary = work(night, &folder, &lock, (started, &mut laps));
    // Also where it failed: the copy is as large as the ledger.
    empty(&folder, |name| name != "reports")?;
    summary
}

fn work(night: &Night, folder: &Path, lock: &Lock, (started, laps): (Instant, &mut Laps)) -> Result<Summary, RunError> {
    let stop = night.stop.clone();
    let mut ledger = Ledger::open_unless(folder, lock, move || stop.is_overdue())?;
    history::compare(&ledger, &Archive::for_reading(&night.settings.data_dir))?;
    ledger.check_account(&night.settings.asked_account())?;
    let now = night.clock.now();
    let run = ledger.begin_run(now, None)?;
    let reports = ReportDir::create(folder, &run.id)?;
    let mut story = Story {
        started_at: now,
        ..Story::default()
    };
    story.stages.open = laps.lap();
    story.intake = night.intake(&mut ledger, &run, &reports)?;
    story.stages.intake = laps.lap();
    let mut report = night.report(&mut ledger, &run, &reports, story)?;
    report.summary.stages.report = laps.lap();
    report.summary.seconds = started.elapsed().as_secs_f64();
    report.publish(reports)?;
    let mut summary = report.summary;
    // Last, as whoever reads it may leave at any line.
    if let Some(out) = night.plan_out
        && !plan::write(&ledger, now, &|| night.stop.is_hurried(), out())?
    {
        tracing::warn!("the plan was not printed to its end, as the run was stopped");
        summary.exit_code = summary.exit_code.or_worse(Exit::NeedsALook);
    }
    Ok(summary)
}

/// Removes what is in the folder, but for its lock and what is not `wanted` away.
fn empty(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), FileError> {
    let failed = || FileError::because("empty", folder);
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == LOCK || !wanted(&name) {
            continue;
        }
        let path = entry.path();
        // A link is removed itself, and not what it leads to.
        let removed = if entry.file_type().map_err(failed())?.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::because("remove", &path)(error));
            }
            _ => {}
        }
    }
    files::sync(folder)
}
