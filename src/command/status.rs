//! `idvault status`: what the ledger holds, what is due, and a forecast.

use std::io::Write as _;

use serde::Serialize;

use super::output::stdout;
use super::{CommandError, Context};
use crate::cli::{Global, StatusArgs};
use crate::error_chain;
use crate::exit::Exit;
use crate::ledger::{Ledger, StateCounts};
use crate::plain::clean;
use crate::record::State;
use crate::report::forecast::BacklogForecast;
use crate::report::summary::{forecast, seconds};
use crate::runtime;
use crate::vendor::CredentialsChain;

#[derive(Serialize)]
struct Status {
    ledger: String,
    states: StateCounts,
    ids: u64,
    forecast: BacklogForecast,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<String>,
}

pub(super) fn execute(args: &StatusArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.data_settings(global.overrides())?;
    let now = context.clock(global).now();
    let ledger = Ledger::open_read_only(&settings.data_dir)?;
    let states = ledger.state_counts()?;
    let credentials = if global.verbose > 0 {
        context.check_certificates()?;
        let chain = CredentialsChain::new(context.host.clone(), settings.credentials()?)?;
        let source = runtime::block_on(chain.source()).map_err(CommandError::Start)?;
        Some(source.map_or_else(|error| error_chain(&error), |source| source.to_string()))
    } else {
        None
    };
    let report = Status {
        ledger: ledger.path().display().to_string(),
        ids: states.total(),
        states,
        forecast: BacklogForecast::read(&ledger, now, &settings.pace, true)?,
        credentials,
    };
    let mut out = stdout();
    if args.json || context.config.json.unwrap_or(false) {
        serde_json::to_writer_pretty(&mut out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(Exit::Done);
    }
    writeln!(out, "ledger       {}, {} ids", clean(&report.ledger), report.ids)?;
    for state in State::ALL {
        writeln!(out, "{:<12} {}", state.as_str(), report.states.of(state))?;
    }
    writeln!(out, "forecast     {}", forecast(&report.forecast))?;
    for (region, products) in &report.forecast.regions {
        for (product_code, due) in products {
            let (records, time, expire_first) = (due.due, seconds(due.seconds), due.expire_first);
            writeln!(
                out,
                "  {product_code} in {region}: {records} due, {time}, {expire_first} expire first"
            )?;
        }
    }
    if let Some(credentials) = report.credentials {
        writeln!(out, "credentials  {}", clean(&credentials))?;
    }
    Ok(Exit::Done)
}
