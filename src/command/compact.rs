//! `idvault compact`: the small files of a billing day into one; `idvault archive upgrade`: files of an older schema into
//! ones of the current schema.

use std::io::{self, Write};

use super::output::stdout;
use super::{CommandError, Context, signals};
use crate::archive::Archive;
use crate::cli::{CompactArgs, Global, UpgradeArgs};
use crate::compact::{self, Compacted, Compaction, DayPlan};
use crate::exit::Exit;
use crate::ledger::{ChangeKind, Ledger, LedgerError, Lock};
use crate::plain::clean;
use crate::publish::recovery::recover;
use crate::run::RunError;
use crate::stop::Stop;

/// What is written anew.
type Planner<'a> = &'a dyn Fn(&Ledger, &Archive) -> Result<Vec<DayPlan>, RunError>;

pub(super) fn execute(args: &CompactArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.data_settings(global.overrides())?;
    let now = context.clock(global).now();
    let zone = &settings.billing_zone;
    let planner = |ledger: &Ledger, _: &Archive| Ok(compact::plan(ledger, zone, now, args.min_age_days)?);
    let what = (ChangeKind::Compact, "nothing to merge");
    rewrite(args.dry_run, what, &planner, global, context)
}

/// `idvault archive upgrade`: files of an older schema are written anew.
pub(super) fn upgrade(args: &UpgradeArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let planner = |ledger: &Ledger, archive: &Archive| {
        let plan = compact::plan_upgrade(ledger, archive)?;
        if plan.signed > 0 {
            let signed = plan.signed;
            tracing::warn!(
                "{signed} files of an older schema stay as they are, as closed months were signed off with them"
            );
        }
        Ok(plan.days)
    };
    let nothing = "nothing to upgrade: every file has the schema of this idvault";
    rewrite(args.dry_run, (ChangeKind::Upgrade, nothing), &planner, global, context)
}

fn rewrite(
    dry_run: bool,
    (kind, nothing): (ChangeKind, &str),
    planner: Planner<'_>,
    global: &Global,
    context: &Context,
) -> Result<Exit, CommandError> {
    let settings = context.data_settings(global.overrides())?;
    let quiet = global.quiet || context.config.quiet.unwrap_or(false);
    let data_dir = &settings.data_dir;
    let now = context.clock(global).now();
    let mut out = stdout();
    // Whether there is one comes first: a command that tidies up must not make an empty ledger.
    match Ledger::open_read_only(data_dir) {
        // Opening it for writing brings an older one up.
        Err(LedgerError::Older { .. }) if !dry_run => {}
        ledger if dry_run => {
            would(&mut out, &planner(&ledger?, &Archive::for_reading(data_dir))?)?;
            return Ok(Exit::Done);
        }
        ledger => drop(ledger?),
    }
    let stop = Stop::default();
    signals::stop_at_first(&stop, None, "the file at hand is completed").map_err(CommandError::Start)?;
    let lock = Lock::acquire(data_dir)?;
    let (mut ledger, archive) = context.open(&settings, &lock, global)?;
    for path in compact::recover(&mut ledger, &archive, now).map_err(RunError::from)? {
        say(
            &mut out,
            quiet,
            &format!("completed: {path}, of a compaction that was cut off"),
        )?;
    }
    recover(&mut ledger, &archive, now, &mut Err).map_err(RunError::from)?;
    let days = planner(&ledger, &archive)?;
    if days.is_empty() {
        say(&mut out, quiet, nothing)?;
        ledger.close()?;
        return Ok(Exit::Done);
    }
    archive.needs_swap(days.iter().map(|day| &*day.folder))?;
    let run = ledger.begin_run(now, None)?;
    let mut compaction = Compaction {
        ledger: &mut ledger,
        archive: &archive,
        run: &run,
        kind,
        now,
        stop: &stop,
    };
    let mut written = Ok(());
    let compacted = compaction.carry_out(days, &mut |step| {
        if written.is_ok() {
            let quiet = quiet && matches!(step, compact::Step::Merged { .. });
            written = say(&mut out, quiet, &step.to_string());
        }
    });
    let compacted = compacted.map_err(RunError::from)?;
    archive.write_columns()?;
    let exit = exit_of(&compacted);
    if compacted.put_off == 0 && ledger.is_checked_by(&run) {
        ledger.check_pages()?;
    }
    ledger.end_run(&run, now, exit.code())?;
    ledger.close()?;
    written?;
    sum_up(&mut out, quiet, &compacted)?;
    Ok(exit)
}

fn exit_of(compacted: &Compacted) -> Exit {
    if compacted.left_alone > 0 {
        Exit::Difference
    } else if compacted.put_off > 0 {
        Exit::NeedsALook
    } else {
        Exit::Done
    }
}

/// What a dry run says.
fn would(out: &mut dyn Write, days: &[DayPlan]) -> io::Result<()> {
    let (mut before, mut after, mut bytes) = (0, 0, 0);
    for day in days {
        for files in &day.merges {
            let of_these = files.iter().map(|file| file.bytes).sum::<u64>();
            let rows = files.iter().map(|file| file.rows).sum::<u64>();
            writeln!(
                out,
                "would merge: {}: {} files of {of_these} bytes, {rows} rows",
                clean(&day.folder),
                files.len()
            )?;
            (before, after, bytes) = (before + files.len(), after + 1, bytes + of_these);
        }
    }
    writeln!(
        out,
        "{} days, {before} files would be {after}, now {bytes} bytes",
        days.len()
    )
}

fn sum_up(out: &mut dyn Write, quiet: bool, compacted: &Compacted) -> io::Result<()> {
    let Compacted {
        days,
        left_alone,
        files_before,
        files,
        bytes_before,
        bytes,
        put_off,
    } = compacted;
    if *put_off > 0 {
        writeln!(out, "stopped: {put_off} days are left for the next time")?;
    }
    let left = match left_alone {
        0 => String::new(),
        _ => format!("; {left_alone} days left alone"),
    };
    let line = format!("{days} days, {files_before} files are {files}, {bytes_before} bytes are {bytes}{left}");
    say(out, quiet, &line)
}

fn say(out: &mut dyn Write, quiet: bool, line: &str) -> io::Result<()> {
    if quiet {
        Ok(())
    } else {
        writeln!(out, "{}", clean(line))
    }
}
