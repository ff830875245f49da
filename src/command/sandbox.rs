//! `idvault sandbox`: serves until it is stopped.

use std::io::Write as _;
use std::time::Duration;

use super::output::stdout;
use super::{CommandError, Context};
use crate::cli::{Global, SandboxArgs};
use crate::exit::Exit;
use crate::quota::SetPace;
use crate::record::Region;
use crate::runtime;
use crate::sandbox::{Mix, RegionQuota, Sandbox, SandboxSettings};
use crate::tables::Limit;

pub(super) fn execute(args: &SandboxArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let quota = match &args.region {
        Some(region) => Some(quota_of(region, global, context)?),
        None => None,
    };
    runtime::block_on(serve(args, quota, context)).map_err(CommandError::Start)?
}

/// The limits of a region, as the configuration has them.
fn quota_of(region: &str, global: &Global, context: &Context) -> Result<RegionQuota, CommandError> {
    let region = Region::parse(region).map_err(|error| CommandError::Usage(error.to_string()))?;
    let settings = context.settings(global.overrides())?;
    let SetPace::Quotas { quotas, .. } = &settings.pace else {
        let why = "qps is set, so no quota of a region holds; take qps out of the configuration";
        return Err(CommandError::Usage(why.to_owned()));
    };
    let of_product = |product_code: &str| {
        let limit = quotas.product_in_region(region.as_str(), product_code);
        limit.unwrap_or_else(|| quotas.product(product_code))
    };
    let products = quotas
        .products()
        .chain(quotas.products_in_regions().map(|(_, product_code, _)| product_code));
    Ok(RegionQuota {
        limit: whole(quotas.region(region.as_str())),
        products: products
            .map(|product_code| (product_code.to_owned(), whole(of_product(product_code))))
            .collect(),
    })
}

/// Calls in a second: a window counts whole calls.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and a limit is positive"
)]
fn whole(limit: Limit) -> u32 {
    limit.calls_per_second.ceil() as u32
}

async fn serve(args: &SandboxArgs, quota: Option<RegionQuota>, context: &Context) -> Result<Exit, CommandError> {
    let latency = args
        .latency
        .map_or(Duration::ZERO..=Duration::ZERO, |(from, to)| from.std()..=to.std());
    let settings = SandboxSettings {
        listen: args.listen,
        qps: args.qps,
        quota,
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
