//! `idvault report`: the reports again, from what is there, on standard output or in a file.

use std::io::{BufWriter, Write};

use jiff::civil::Date;

use super::output::stdout;
use super::spool::Spool;
use super::{CommandError, Context, first_of};
use crate::archive::write_billing;
use crate::cli::{BillingArgs, Global, ReportCommand, TableFormat};
use crate::config::Settings;
use crate::day::month_before;
use crate::exit::Exit;
use crate::files;
use crate::ledger::Ledger;
use crate::plain::clean;
use crate::pricing::{BillingRow, By};
use crate::report::billing::{self, Billing, Days};
use crate::report::{ReportError, expiry};

pub(super) fn execute(which: &ReportCommand, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.data_settings(global.overrides())?;
    let now = context.clock(global).now();
    let ledger = Ledger::open_read_only(&settings.data_dir)?;
    match which {
        ReportCommand::Billing(args) => {
            let days = days(args, settings.billing_zone.day_of(now))?;
            return report_billing(args, days, &ledger, &settings, context);
        }
        ReportCommand::Expiry => {
            let mut spool = Spool::create(&settings.data_dir)?;
            expiry::write(&ledger, &settings.outlook(now), &mut spool)?;
            drop(ledger);
            spool.copy_to(stdout())?;
        }
    }
    Ok(Exit::Done)
}

fn report_billing(
    args: &BillingArgs,
    days: Days,
    ledger: &Ledger,
    settings: &Settings,
    context: &Context,
) -> Result<Exit, CommandError> {
    if args.format == TableFormat::Parquet && args.output.is_none() && context.host.stdout_is_terminal {
        let why = "a Parquet file is nothing for a terminal; name a file with --output";
        return Err(CommandError::Usage(why.to_owned()));
    }
    let billing = billing::read(ledger, &settings.pricing, days)?;
    for fault in &billing.faults {
        tracing::error!("{}; run `idvault verify`", clean(fault));
    }
    let exit = if billing.faults.is_empty() {
        Exit::Done
    } else {
        Exit::Difference
    };
    let mut rows = rows_of(args, ledger, billing)?;
    if args.month.is_some() || args.undated {
        // An undated row is in no month, so that months add up.
        rows.retain(|row| row.billing_day.is_none() == args.undated);
    }
    if args.by == By::Month {
        rows = BillingRow::by_month(&rows);
    }
    match &args.output {
        None => write(args, &rows, stdout())?,
        Some(path) => {
            let mut file = BufWriter::new(files::create_private(path)?);
            write(args, &rows, &mut file)?;
            file.flush()?;
        }
    }
    Ok(exit)
}

/// The rows that are asked for. A closed month by itself is what was signed off, and nothing else.
fn rows_of(args: &BillingArgs, ledger: &Ledger, billing: Billing) -> Result<Vec<BillingRow>, CommandError> {
    let month = args.month.as_deref().map(first_of).transpose()?;
    let closed = month
        .map(|month| ledger.closed_months(Some((month, month))))
        .transpose()?;
    let is_closed = closed.is_some_and(|closed| !closed.is_empty());
    if !is_closed || args.corrections || !billing.faults.is_empty() {
        return Ok(billing.all().0);
    }
    let corrections = billing.signed_corrections.iter().chain(&billing.corrections);
    let late: u64 = corrections.map(|row| row.verifications).sum();
    if late > 0 {
        tracing::warn!("{late} verifications came after the month was closed; --corrections shows them");
    }
    Ok(billing.rows)
}

fn write(args: &BillingArgs, rows: &[BillingRow], out: impl Write + Send) -> Result<(), CommandError> {
    match args.format {
        TableFormat::Csv => billing::write(rows, args.by, out).map_err(ReportError::from)?,
        TableFormat::Json => billing::write_json(rows, args.by, out)?,
        TableFormat::Parquet => write_billing(rows, args.by, out)?,
    }
    Ok(())
}

fn days(args: &BillingArgs, today: Date) -> Result<Days, CommandError> {
    Ok(match &args.month {
        _ if args.all || args.undated => None,
        Some(month) => Some(month_before(first_of(month)?, 0)),
        None => Some((month_before(today, 1).0, month_before(today, 0).1)),
    })
}
