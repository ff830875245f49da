//! `idvault reconcile`: the vendor's bill against the archive.

use std::collections::BTreeSet;
use std::io;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::{CommandError, Context, first_of};
use crate::archive::Archive;
use crate::audit;
use crate::cli::{Global, ReconcileArgs};
use crate::exit::Exit;
use crate::ledger::{Ledger, Lock};
use crate::plain::clean;
use crate::reconcile::bill::{self, Bill};
use crate::reconcile::evidence::Month;
use crate::reconcile::{Reconciled, Request, reconcile};
use crate::report::page::Page;
use crate::report::reconcile::{Records, write, write_json, write_table};
use crate::report::{ReportDir, ReportError};

pub(super) fn execute(args: &ReconcileArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.settings(global.overrides())?;
    let now = context.clock(global).now();
    let bill = bill::read(&args.bill, &settings.bill)?;
    let day = match &args.month {
        Some(month) => first_of(month)?,
        None => only_month(&bill)?,
    };
    let month = Month::of(day, &settings.billing_zone);
    let month = month.ok_or_else(|| CommandError::Usage(format!("{day} is in no month that can be compared")))?;
    let ledger = Ledger::open_read_only(&settings.data_dir)?;
    // A run that publishes meanwhile would look like differences, and clears the folder that reports are staged in.
    let _lock = Lock::acquire(&settings.data_dir)?;
    let request = Request {
        bill: &bill,
        month: &month,
        today: settings.billing_zone.day_of(now),
        pricing: &settings.pricing,
        tolerance: args.tolerance.unwrap_or(Decimal::ZERO),
    };
    let audited = audit::of_days(&ledger, &Archive::for_reading(&settings.data_dir), month.days())?;
    for difference in &audited.differences {
        tracing::error!("archive and ledger differ: {}; run `idvault verify`", clean(difference));
    }
    let mut reconciled = reconcile(&ledger, &request)?;
    reconciled.archive_differs = audited.differences;
    let reports = ReportDir::create(&settings.data_dir, &format!("reconcile-{:016x}", context.seed))?;
    write_reports(&reports, &mut reconciled, &ledger, &request, now)?;
    if args.json {
        write_json(&reconciled, io::stdout().lock())?;
    } else {
        write_table(&reconciled, io::stdout().lock())?;
    }
    Ok(
        if reconciled.beyond_tolerance > 0 || !reconciled.archive_differs.is_empty() {
            Exit::Difference
        } else {
            Exit::Done
        },
    )
}

fn write_reports(
    reports: &ReportDir,
    reconciled: &mut Reconciled,
    ledger: &Ledger,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<(), ReportError> {
    reports.write("reconcile-records.csv", |out| {
        let mut records = Records::new(out)?;
        reconciled.for_each_record(ledger, request, &mut |record| records.write(&record))?;
        records.finish()
    })?;
    reports.write("reconcile.csv", |out| write(reconciled, out))?;
    reports.write("reconcile.json", |out| Ok(write_json(reconciled, out)?))?;
    reports.write("report.html", |out| Page::reconciled(reconciled).write(out))?;
    let target = reports.target_of(&format!("reconcile-{}", reconciled.month), now);
    reports.publish_folder(&target)?;
    tracing::info!(folder = %target.display(), "the reports are written");
    Ok(())
}

/// The month that all lines of the bill are about.
fn only_month(bill: &Bill) -> Result<Date, CommandError> {
    let months: BTreeSet<Date> = bill.lines.iter().map(|line| line.day.first_of_month()).collect();
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
