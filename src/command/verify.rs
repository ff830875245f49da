//! `idvault verify`: the ledger against the archive.

use std::fmt::Display;
use std::io::{self, Write};

use super::output::stdout;
use super::{CommandError, Context};
use crate::cli::{Global, VerifyArgs};
use crate::exit::Exit;
use crate::history::{self, Checked};
use crate::ledger::{Change, ChangeKind, Ledger, Lock};
use crate::limits;
use crate::open_records;
use crate::plain;
use crate::run::RunError;
use crate::verify::{Mended, Scope, Verified, refetch, repair, verify};

pub(super) fn execute(args: &VerifyArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.data_settings(global.overrides())?;
    let data_dir = &settings.data_dir;
    let now = context.clock(global).now();
    let ledger = Ledger::open_read_only(data_dir)?;
    limits::check().map_err(RunError::TooFew)?;
    // A run that publishes meanwhile would look like differences.
    let lock = Lock::acquire(data_dir)?;
    let mut out = stdout();
    let mut not_mended = 0;
    if args.repair {
        let mut written = Ok(());
        let (mut ledger, archive) = context.open(&settings, &lock, global)?;
        let mut done: Vec<String> = Vec::new();
        let mut tell = |mended: &Mended| {
            done.push(mended.to_string());
            if written.is_ok() {
                written = say(&mut out, mended);
            }
        };
        let mut repaired = repair(&mut ledger, &archive, now, &mut tell);
        if args.refetch {
            repaired = repaired.and_then(|not_mended| Ok(not_mended + refetch(&ledger, &archive, now, &mut tell)?));
        }
        written?;
        not_mended = repaired.map_err(RunError::from)?;
        ledger.record_change(&Change::new(ChangeKind::Repair).with("done", done))?;
        history::write_files(&ledger, &archive).map_err(RunError::from)?;
        // Records that are asked for again are in no file of the archive any more.
        open_records::add_all(data_dir, &ledger).map_err(RunError::from)?;
        ledger.close()?;
    }
    let key = settings.integrity_key()?;
    let scope = Scope {
        key: key.as_ref(),
        percent: args.read_data.unwrap_or(0),
        seed: args.seed.unwrap_or(context.seed),
    };
    let verified = verify(data_dir, &ledger, scope).map_err(RunError::from)?;
    let quiet = global.quiet || context.config.quiet.unwrap_or(false);
    print(&mut out, &verified, scope, quiet && verified.differences.total() == 0)?;
    Ok(if verified.differences.total() + not_mended == 0 {
        Exit::Done
    } else {
        Exit::Difference
    })
}

/// `silent`: nothing but what a cut-off run left is to be said.
fn print(out: &mut dyn Write, verified: &Verified, scope: Scope<'_>, silent: bool) -> io::Result<()> {
    for path in &verified.left_over {
        say(
            out,
            &format!("left over: {path}, of a run that was cut off; the next run removes it, or --repair"),
        )?;
    }
    for path in &verified.half_done {
        say(
            out,
            &format!(
                "half done: {path}, of a publication or compaction that was cut off; the next run completes it, or --repair"
            ),
        )?;
    }
    if silent {
        return Ok(());
    }
    let differences = &verified.differences;
    for difference in differences.shown() {
        say(out, difference)?;
    }
    for (kind, more) in differences.more() {
        writeln!(out, "{kind}: and {more} more")?;
    }
    if (1..100).contains(&scope.percent) {
        writeln!(
            out,
            "read a sample of {} files, {} bytes; --seed {} draws it again",
            verified.read_files, verified.read_bytes, scope.seed
        )?;
    }
    writeln!(out, "{}", history_line(&verified.history, scope.key.is_some()))?;
    writeln!(
        out,
        "{} files, {} bytes, {} archived ids: {} differences",
        verified.files,
        verified.bytes,
        verified.archived,
        differences.total()
    )
}

/// How far the history can be believed.
fn history_line(history: &Checked, has_key: bool) -> String {
    let Checked {
        commits,
        authenticated,
        unchecked,
        ..
    } = history;
    match (commits, has_key) {
        (0, _) => "history: none yet; the next run begins it".to_owned(),
        (_, true) => format!("history: {commits} commits, {authenticated} authenticated by [integrity] key_file"),
        (_, false) if *unchecked > 0 => {
            format!(
                "history: {commits} commits, {unchecked} with an HMAC that was not checked: [integrity] key_file is not set"
            )
        }
        (_, false) => format!(
            "history: {commits} commits, not authenticated: [integrity] key_file is not set, so whoever can write the data folder can forge it"
        ),
    }
}

/// A line, with nothing in it that a terminal would obey: names of files and texts of an edited ledger can hold anything.
fn say(out: &mut dyn Write, line: &dyn Display) -> io::Result<()> {
    writeln!(out, "{}", plain::clean(&line.to_string()))
}
