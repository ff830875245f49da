//! `idvault sandbox`: serves until it is stopped.

use std::io::Write as _;
use std::time::Duration;

use super::output::stdout;
use super::{CommandError, Context};
use crate::cli::SandboxArgs;
use crate::exit::Exit;
use crate::runtime;
use crate::sandbox::{Mix, Sandbox, SandboxSettings};

pub(super) fn execute(args: &SandboxArgs, context: &Context) -> Result<Exit, CommandError> {
    runtime::block_on(serve(args, context)).map_err(CommandError::Start)?
}

async fn serve(args: &SandboxArgs, context: &Context) -> Result<Exit, CommandError> {
    let latency = args
        .latency
        .map_or(Duration::ZERO..=Duration::ZERO, |(from, to)| from.std()..=to.std());
    let settings = SandboxSettings {
        listen: args.listen,
        qps: args.qps,
        latency,
        faults: args.faults,
        seed: args.seed,
        answers: if args.all_final { Mix::AllFinal } else { Mix::Realistic },
        ..SandboxSettings::default()
    };
    let (key_id, key_secret) = (settings.access_key_id.clone(), settings.access_key_secret.clone());
    let sandbox = Sandbox::bind(settings, context.host.clock.clone()).await?;
    let counters = sandbox.counters();
    let url = format!("http://{}", sandbox.local_addr());
    let mut out = stdout();
    writeln!(out, "the sandbox answers at {url}; to ask it:")?;
    writeln!(
        out,
        "  export ALIBABA_CLOUD_ACCESS_KEY_ID={key_id} ALIBABA_CLOUD_ACCESS_KEY_SECRET={key_secret}"
    )?;
    writeln!(out, "  idvault run --endpoint {url} --pending samples/pending.csv")?;
    out.flush()?;
    sandbox.run(stopped()).await?;
    serde_json::to_writer(&mut out, &counters.counts()).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(Exit::Done)
}

async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
