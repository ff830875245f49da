//! `idvault report`: the reports again, from what is there, on standard output or in a file.

use std::io::{self, BufWriter, Write};

use jiff::civil::Date;

use super::{CommandError, Context};
use crate::archive::write_billing;
use crate::cli::{BillingArgs, Global, ReportCommand, TableFormat};
use crate::config::Settings;
use crate::day::month_before;
use crate::exit::Exit;
use crate::files;
use crate::ledger::Ledger;
use crate::pricing::{BillingRow, By};
use crate::report::billing::{self, Days};
use crate::report::{ReportError, expiry};

pub(super) fn execute(which: &ReportCommand, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.settings(global.overrides())?;
    let now = context.clock(global).now();
    let ledger = Ledger::open_read_only(&settings.data_dir)?;
    match which {
        ReportCommand::Billing(args) => {
            let days = days(args, settings.billing_zone.day_of(now))?;
            report_billing(args, days, &ledger, &settings, context)?;
        }
        ReportCommand::Expiry => {
            expiry::write(&ledger, &settings.outlook(now), io::stdout().lock())?;
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
) -> Result<(), CommandError> {
    if args.format == TableFormat::Parquet && args.output.is_none() && context.host.stdout_is_terminal {
        let why = "a Parquet file is nothing for a terminal; name a file with --output";
        return Err(CommandError::Usage(why.to_owned()));
    }
    let mut rows = billing::read(ledger, &settings.pricing, days)?;
    if args.by == By::Month {
        rows = BillingRow::by_month(&rows);
    }
    match &args.output {
        None => write(args, &rows, io::stdout()),
        Some(path) => {
            let mut file = BufWriter::new(files::create_private(path)?);
            write(args, &rows, &mut file)?;
            Ok(file.flush()?)
        }
    }
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
        _ if args.all => None,
        Some(month) => Some(month_before(first_of(month)?, 0)),
        None => Some((month_before(today, 1).0, month_before(today, 0).1)),
    })
}

fn first_of(month: &str) -> Result<Date, CommandError> {
    let wrong = || CommandError::Usage(format!("--month {month:?} is not a month such as 2026-11"));
    if month.len() == 7 {
        format!("{month}-01").parse().map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}
