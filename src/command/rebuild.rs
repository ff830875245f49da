//! `idvault rebuild-ledger`: a ledger from the archive.

use std::io::Write as _;

use super::output::stdout;
use super::{CommandError, Context};
use crate::archive::Archive;
use crate::cli::{Global, RebuildArgs};
use crate::compact;
use crate::exit::Exit;
use crate::history;
use crate::ledger::{Ledger, Lock};
use crate::plain::clean;
use crate::rebuild::{Rebuild, rebuild};
use crate::run::RunError;

/// Faults that are named, at most.
const FAULTS_SHOWN: usize = 100;

pub(super) fn execute(args: &RebuildArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.data_settings(global.overrides())?;
    let data_dir = &settings.data_dir;
    if !data_dir.join("archive").is_dir() {
        let why = format!(
            "there is no archive in {}: nothing to make a ledger from; name its folder with --data-dir",
            data_dir.display()
        );
        return Err(CommandError::Usage(why));
    }
    let author = context.author(global, &settings)?;
    let key = settings.integrity_key()?;
    let lock = Lock::acquire(data_dir)?;
    let now = context.clock(global).now();
    let mut ledger = Ledger::open(data_dir, &lock)?;
    ledger.set_author(author);
    let archive = Archive::open(data_dir)?;
    // Where the ledger is not older: its own files are in the history, and a compaction that was cut off is completed.
    if history::compare(&ledger, &archive).is_ok() {
        history::open(&mut ledger, &archive).map_err(RunError::from)?;
        compact::recover(&mut ledger, &archive, now).map_err(RunError::from)?;
    }
    let rebuilt = rebuild(&mut Rebuild {
        ledger: &mut ledger,
        archive: &archive,
        data_dir,
        key: key.as_ref(),
        without_missing: args.without_missing,
        now,
    })?;
    ledger.close()?;
    let mut out = stdout();
    for fault in rebuilt.faults.iter().take(FAULTS_SHOWN) {
        writeln!(out, "{}", clean(fault))?;
    }
    if let Some(more) = rebuilt.faults.len().checked_sub(FAULTS_SHOWN).filter(|more| *more > 0) {
        writeln!(out, "and {more} more")?;
    }
    if rebuilt.refused {
        writeln!(
            out,
            "nothing was changed; restore these files from a backup, or go on without them: --without-missing"
        )?;
        return Ok(Exit::Difference);
    }
    for path in rebuilt.unnamed.iter().take(FAULTS_SHOWN) {
        writeln!(out, "taken: archive/{}, which the history does not name", clean(path))?;
    }
    writeln!(
        out,
        "the ledger has {} more files with {} verifications, {} files fewer, {} open records and {} closed months; run `idvault verify`",
        rebuilt.files, rebuilt.archived, rebuilt.dropped, rebuilt.open, rebuilt.closed
    )?;
    Ok(if rebuilt.faults.is_empty() {
        Exit::Done
    } else {
        Exit::Difference
    })
}
