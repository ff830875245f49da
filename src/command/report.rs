//! `idvault report`: the reports again, from what is there, as CSV on standard output.

use jiff::civil::Date;

use super::{CommandError, Context};
use crate::cli::{Global, ReportCommand};
use crate::day::month_before;
use crate::exit::Exit;
use crate::ledger::Ledger;
use crate::report::{ReportError, billing, expiry};

pub(super) fn execute(which: &ReportCommand, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.settings(global.overrides())?;
    let now = context.clock(global).now();
    let ledger = Ledger::open_read_only(&settings.data_dir)?;
    let out = std::io::stdout().lock();
    match which {
        ReportCommand::Billing { month, all } => {
            let today = settings.billing_zone.day_of(now);
            let days = match month {
                _ if *all => None,
                Some(month) => Some(month_before(first_of(month)?, 0)),
                None => Some((month_before(today, 1).0, month_before(today, 0).1)),
            };
            let lines = billing::read(&ledger, &settings.pricing, days)?;
            billing::write(&lines, &settings.pricing.sub_codes, out).map_err(ReportError::from)?;
        }
        ReportCommand::Expiry => {
            expiry::write(&ledger, now, settings.warning_window, out)?;
        }
    }
    Ok(Exit::Done)
}

fn first_of(month: &str) -> Result<Date, CommandError> {
    let wrong = || CommandError::Usage(format!("--month {month:?} is not a month such as 2026-11"));
    if month.len() == 7 {
        format!("{month}-01").parse().map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}
