//! `idvault reconcile`: the vendor's bill, or its own records, against the archive.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::output::stdout;
use super::{CommandError, Context, first_of};
use crate::archive::Archive;
use crate::audit;
use crate::cli::{Global, ReconcileArgs};
use crate::closing;
use crate::config::Settings;
use crate::exit::Exit;
use crate::history;
use crate::ledger::{Adopted, Change, ChangeKind, Ledger, LedgerError, Lock};
use crate::open_records;
use crate::plain::clean;
use crate::reconcile::bill::{self, Bill};
use crate::reconcile::evidence::Month;
use crate::reconcile::records::{self, Recorded, Terms};
use crate::reconcile::{Accepted, Judgement, Reconciled, Request, reconcile};
use crate::record::Region;
use crate::report::page::Page;
use crate::report::reconcile::{Records, write, write_json, write_table};
use crate::report::{ReportDir, ReportError};
use crate::run::RunError;

pub(super) fn execute(args: &ReconcileArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.data_settings(global.overrides())?;
    let now = context.clock(global).now();
    let has_bill = !args.bill.is_empty();
    let bill_settings = settings.bill.with(args.form.as_deref(), args.allow_identical);
    let bill_settings = bill_settings.map_err(CommandError::Usage)?;
    let bill = has_bill.then(|| bill::read(&args.bill, &bill_settings)).transpose()?;
    let day = match (&args.month, &bill) {
        (Some(month), _) => first_of(month)?,
        (None, bill) => only_month(bill.as_ref())?,
    };
    let month = Month::of(day, &settings.billing_zone);
    let month = month.ok_or_else(|| CommandError::Usage(format!("{day} is in no month that can be compared")))?;
    let mut ledger = Ledger::open_read_only(&settings.data_dir)?;
    let has_records = !args.records.is_empty();
    let parse = || records::parse(&args.records, &settings.records, &settings.data_dir);
    let exports = has_records.then(parse).transpose()?;
    // A run that publishes meanwhile would look like differences, and clears the folder that reports are staged in.
    let lock = Lock::acquire(&settings.data_dir)?;
    if args.adopt {
        (ledger, _) = context.open(&settings, &lock, global)?;
    }
    // A closed month keeps the prices that it was signed with.
    let signed = closing::signed_pricing(&ledger, day.first_of_month())?;
    let pricing = signed.as_ref().unwrap_or(&settings.pricing);
    let terms = Terms {
        month: &month,
        sub_codes: &pricing.sub_codes,
        defaults: &settings.defaults,
    };
    let read = |exports| Recorded::read(&ledger, exports, &settings.records, &terms);
    let recorded = exports.map(read).transpose()?;
    if recorded.as_ref().is_some_and(|recorded| recorded.days().is_none()) {
        let why = "the records have none of this month; say another one with --month, or give all files of it";
        return Err(CommandError::Usage(why.to_owned()));
    }
    let accepted = accepted(&args.accept)?;
    let request = Request {
        bill: bill.as_ref(),
        recorded: recorded.as_ref(),
        month: &month,
        today: settings.billing_zone.day_of(now),
        pricing,
        defaults: &settings.defaults,
        tolerance: args.tolerance.unwrap_or(Decimal::ZERO),
        tolerance_line: args.tolerance_line,
        accepted: &accepted,
    };
    let archive = Archive::for_reading(&settings.data_dir);
    let audited = audit::of_days(&ledger, &archive, month.days()).map_err(RunError::from)?;
    for difference in &audited.differences {
        tracing::error!("archive and ledger differ: {}; run `idvault verify`", clean(difference));
    }
    let mut reconciled = reconcile(&ledger, &request)?;
    check_accepted(&accepted, &reconciled)?;
    reconciled.archive_differs = audited.differences;
    let reports = ReportDir::create(&settings.data_dir, &format!("reconcile-{:016x}", context.seed))?;
    reports.write("reconcile-records.csv", |out| {
        let mut records = Records::new(out)?;
        reconciled.for_each_record(&ledger, &request, &mut |record| records.write(&record))?;
        records.finish()
    })?;
    if let (true, Some(records)) = (args.adopt, &mut reconciled.records) {
        records.adopted = Some(adopt(&mut ledger, &settings, now)?);
    }
    write_reports(&reports, &reconciled, now)?;
    if args.json {
        write_json(&reconciled, stdout())?;
    } else {
        write_table(&reconciled, stdout())?;
    }
    if args.adopt {
        history::write_files(&ledger, &Archive::open(&settings.data_dir)?).map_err(RunError::from)?;
        open_records::add_all(&settings.data_dir, &ledger).map_err(RunError::from)?;
        ledger.close()?;
    }
    Ok(exit(reconciled.judgement()))
}

/// Takes the ids in that no source named, in a run of its own that asks nobody.
fn adopt(ledger: &mut Ledger, settings: &Settings, now: Timestamp) -> Result<Adopted, LedgerError> {
    let run = ledger.begin_run(now, None)?;
    let regions = settings.intake.regions.as_ref();
    let can_be_asked = |region: &Region| regions.is_none_or(|known| known.contains(region.as_str()));
    let adopted = ledger.adopt(&settings.defaults, &can_be_asked, &run, now)?;
    let exit = if adopted.refused > 0 {
        Exit::NeedsALook
    } else {
        Exit::Done
    };
    ledger.end_run(&run, now, exit.code())?;
    let change = Change {
        run_id: Some(run.id.to_string()),
        ..Change::new(ChangeKind::Adopt)
            .with("taken", adopted.taken)
            .with("refused", adopted.refused)
    };
    ledger.record_change(&change)?;
    tracing::info!(taken = adopted.taken, refused = adopted.refused, "records adopted");
    Ok(adopted)
}

/// What is accepted, by its line.
pub(super) fn accepted(named: &[String]) -> Result<Accepted, CommandError> {
    let pair = |named: &String| {
        let parts = named.split_once('=').filter(|(name, reason)| {
            let is_blank = |text: &str| text.trim().is_empty();
            !is_blank(name) && !is_blank(reason)
        });
        let (name, reason) = parts.ok_or_else(|| {
            CommandError::Usage(format!(
                "--accept {named:?} has no reason; write the line as it is listed, an equals sign and the reason, such as \
                 --accept 'bill.csv:12=credit note 88'"
            ))
        })?;
        Ok((name.trim().to_owned(), reason.trim().to_owned()))
    };
    named.iter().map(pair).collect()
}

/// A line that is accepted must be there, lest a wrong name looks like an answer.
fn check_accepted(accepted: &Accepted, reconciled: &Reconciled) -> Result<(), CommandError> {
    let is_there = |name: &String| reconciled.bill_lines.iter().any(|note| note.name == *name);
    match accepted.keys().find(|name| !is_there(name)) {
        Some(name) => Err(CommandError::Usage(format!(
            "--accept {name:?}: no line that needs a person has this name; run the command without it to list them"
        ))),
        None => Ok(()),
    }
}

const fn exit(reconciled: Judgement) -> Exit {
    match reconciled {
        Judgement::Settled => Exit::Done,
        Judgement::Open => Exit::NeedsALook,
        Judgement::Wrong => Exit::Difference,
    }
}

fn write_reports(reports: &ReportDir, reconciled: &Reconciled, now: Timestamp) -> Result<(), ReportError> {
    reports.write("reconcile.csv", |out| write(reconciled, out))?;
    reports.write("reconcile.json", |out| Ok(write_json(reconciled, out)?))?;
    reports.write("report.html", |out| Page::reconciled(reconciled).write(out))?;
    let target = reports.target_of(&format!("reconcile-{}", reconciled.month), now);
    reports.publish_folder(&target)?;
    tracing::info!(folder = %target.display(), "the reports are written");
    Ok(())
}

/// The month that all lines of the bill are about.
fn only_month(bill: Option<&Bill>) -> Result<Date, CommandError> {
    let lines = bill.iter().flat_map(|bill| &bill.lines);
    let months: BTreeSet<Date> = lines.map(|line| line.day.first_of_month()).collect();
    let mut months = months.into_iter();
    match (months.next(), months.next()) {
        (Some(month), None) => Ok(month),
        (Some(one), Some(other)) => Err(CommandError::Usage(format!(
            "the bill has lines of {} and of {}; say which month with --month",
            one.strftime("%Y-%m"),
            other.strftime("%Y-%m")
        ))),
        _ => Err(CommandError::Usage(
            "the bill has no line of this service; say which month with --month where that is right".to_owned(),
        )),
    }
}
