//! `idvault run`.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::output::stdout;
use super::{CommandError, Context, signals};
use crate::cli::{Global, RunArgs};
use crate::clock::{Clock, EarlierOf};
use crate::config::{ConfigError, Settings};
use crate::error_chain;
use crate::exit::Exit;
use crate::plain::clean;
use crate::progress::Style;
use crate::report::summary::Summary;
use crate::run::{Extent, Night, RunError, run};
use crate::sandbox::{SANDBOX_ACCESS_KEY_ID, SANDBOX_ACCESS_KEY_SECRET, Sandbox, SandboxSettings};
use crate::stop::{Stop, StopReason};
use crate::vendor::{
    BaseUrl, Client, ClientSettings, Credentials, CredentialsChain, CredentialsSource, Endpoints, Proxy,
};

pub(super) fn execute(args: &RunArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let json = args.json || context.config.json.unwrap_or(false);
    let quiet = global.quiet || context.config.quiet.unwrap_or(false);
    let (mut night, _sandbox) = prepare(args, global, context, SandboxSettings::default())?;
    // Standard output holds one thing: the summary where that is asked for, else the plan.
    night.plan_out = (!json).then_some(|| Box::new(stdout()));
    let summary = match run(&night) {
        Ok(summary) => summary,
        Err(error) => return failed(error, &night.stop),
    };
    log(&summary);
    let table = context.host.stdout_is_terminal && !quiet && !args.dry_run;
    if let Err(error) = print(&summary, json, table) {
        tracing::error!("{}", error_chain(&CommandError::Output(error)));
        return Ok(summary.exit_code.or_worse(Exit::Unexpected));
    }
    Ok(summary.exit_code)
}

/// A night, ready to begin, and the sandbox that answers it where one was asked for: it serves until it is dropped.
pub(super) fn prepare(
    args: &RunArgs,
    global: &Global,
    context: &Context,
    sandbox: SandboxSettings,
) -> Result<(Night, Option<Runtime>), CommandError> {
    let mut settings = context.data_settings(args.overrides(global))?;
    let quiet = global.quiet || context.config.quiet.unwrap_or(false);
    let stop = Stop::default();
    let meanwhile = "no new calls, replies in flight are kept";
    signals::stop_at_first(&stop, settings.time_limit, meanwhile).map_err(CommandError::Start)?;
    let sandbox = args
        .sandbox
        .then(|| start_sandbox(sandbox, &mut settings, context))
        .transpose()?;
    let credentials = if sandbox.is_some() {
        let fixed = Credentials::new(SANDBOX_ACCESS_KEY_ID, SANDBOX_ACCESS_KEY_SECRET, None, None);
        CredentialsChain::fixed(fixed, CredentialsSource::Sandbox)
    } else {
        context.check_certificates()?;
        CredentialsChain::new(context.host.clone(), settings.credentials()?)?
    };
    let clock = ledger_clock(args, &settings, global, context);
    let night = Night {
        client: Arc::new(client(&settings, credentials, context)?),
        author: context.author(global, &settings)?,
        settings,
        clock,
        wall_clock: context.host.clock.clone(),
        stop,
        progress: match (quiet, context.host.draws_on_stderr()) {
            (true, _) => Style::Hidden,
            (false, true) => Style::Bar,
            (false, false) => Style::Lines,
        },
        seed: context.seed,
        stdin: context.stdin,
        extent: match (args.dry_run, args.intake_only) {
            (true, _) => Extent::DryRun,
            (false, true) => Extent::IntakeOnly,
            (false, false) => Extent::Whole,
        },
        plan_out: None,
    };
    Ok((night, sandbox))
}

/// The ledger's time: that of `--now`, but not ahead of the machine's where the vendor itself is asked.
fn ledger_clock(args: &RunArgs, settings: &Settings, global: &Global, context: &Context) -> Arc<dyn Clock> {
    let (clock, wall_clock) = (context.clock(global), context.host.clock.clone());
    if args.dry_run || settings.asks_loopback() {
        return clock;
    }
    if global.now.is_some_and(|now| now > wall_clock.now()) {
        tracing::warn!(
            "--now is ahead of this machine's clock, and the vendor itself is asked: the machine's time is taken"
        );
    }
    Arc::new(EarlierOf(clock, wall_clock))
}

/// The night failed; where the vendor had refused the account before, that is said too, and needs a person sooner.
fn failed(error: RunError, stop: &Stop) -> Result<Exit, CommandError> {
    let refused = match stop.reason() {
        Some(StopReason::Account(fault)) => fault.to_string(),
        Some(StopReason::Credentials(why) | StopReason::Certificate(why)) => why.to_string(),
        Some(StopReason::Local(_, why)) => {
            tracing::error!("{why}");
            return Err(error.into());
        }
        _ => return Err(error.into()),
    };
    tracing::error!("{}", error_chain(&error));
    tracing::error!("{refused}");
    Ok(error.exit().or_worse(Exit::Account))
}

fn client(settings: &Settings, credentials: CredentialsChain, context: &Context) -> Result<Client, CommandError> {
    let mut client = ClientSettings::new(settings.endpoints.clone());
    client.more_cas = settings.more_cas()?;
    client.connect_timeout = settings.connect_timeout.unwrap_or(client.connect_timeout);
    client.read_timeout = settings.read_timeout.unwrap_or(client.read_timeout);
    client.attempt_timeout = settings.attempt_timeout.unwrap_or(client.attempt_timeout);
    client.max_idle_connections = settings.fetch.concurrency;
    client.want_images = settings.images;
    if !settings.asks_loopback() {
        client.proxy = Proxy::of(&context.host).map_err(|error| ConfigError::Value {
            key: error.variable.to_owned(),
            why: error.to_string(),
        })?;
    }
    Ok(Client::new(client, credentials, context.host.clock.clone())?)
}

/// Serves on a free loopback port until the runtime is dropped, and points every region there.
fn start_sandbox(
    sandbox: SandboxSettings,
    settings: &mut Settings,
    context: &Context,
) -> Result<Runtime, CommandError> {
    let runtime = Runtime::new().map_err(CommandError::Start)?;
    let sandbox = runtime.block_on(Sandbox::bind(sandbox, context.host.clock.clone()))?;
    let url = format!("http://{}", sandbox.local_addr());
    let url = BaseUrl::parse(&url).map_err(|error| ConfigError::Value {
        key: "endpoint".to_owned(),
        why: error.to_string(),
    })?;
    let mut endpoints = Endpoints::single(&url);
    for region in settings.endpoints.regions() {
        endpoints.insert(region.clone(), url.clone());
    }
    settings.endpoints = endpoints;
    runtime.spawn(sandbox.run(std::future::pending()));
    Ok(runtime)
}

/// The summary where it is wanted: as JSON, or as a table.
fn print(summary: &Summary, json: bool, table: bool) -> io::Result<()> {
    let mut out = stdout();
    if json {
        serde_json::to_writer_pretty(&mut out, summary)?;
        writeln!(out)?;
    } else if table {
        write!(out, "{summary}")?;
    }
    out.flush()
}

/// What needs a look, and a line on the run.
fn log(summary: &Summary) {
    for reason in &summary.reasons {
        tracing::warn!(
            reason = reason.id.as_str(),
            count = reason.count,
            exit_code = reason.exit_code.code(),
            "{}",
            reason.reason
        );
    }
    tracing::info!(
        run_id = summary.run_id,
        exit_code = summary.exit_code.code(),
        fetched = summary.fetch.fetched,
        published = summary.published.verifications,
        archive = %clean(&summary.paths.archive.to_string_lossy()),
        reports = %clean(&summary.paths.reports.to_string_lossy()),
        "run ended"
    );
}
