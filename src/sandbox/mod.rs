//! A local server that behaves as the vendor's CheckResult service: as strict, and as unreliable as it is told to be.
//!
//! - [`Sandbox`]: the server
//! - [`SandboxSettings`]: what it is told
//! - [`SandboxError`]: why it can't serve
//! - [`Window`], [`RegionQuota`]: its quotas
//! - [`answers`]: what it knows of each transaction; [`Mix`], [`Kind`], [`Oddity`], [`Canned`]
//! - [`faults`]: how it misbehaves; [`Faults`]
//! - [`counters`]: what it counts; [`Counters`], [`Counts`]

pub mod answers;
mod checks;
pub mod counters;
mod dice;
mod errors;
pub mod faults;
mod memory;
mod query;
mod quota;
mod result;
mod serve;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use axum::handler::Handler as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use self::answers::{Canned, Kind, Mix, Oddity};
pub use self::counters::{Counters, Counts};
pub use self::faults::Faults;
pub use self::quota::{RegionQuota, Window};
use self::wire::{Lines, Wire};
use crate::clock::Clock;

/// The key id that the sandbox knows unless it is told another: nobody takes it for a real one.
pub const SANDBOX_ACCESS_KEY_ID: &str = "sandbox-key-id-not-real";

/// The secret of [`SANDBOX_ACCESS_KEY_ID`].
pub const SANDBOX_ACCESS_KEY_SECRET: &str = "sandbox-secret-not-real";

/// How long calls under way may take to end once the sandbox stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// What the sandbox is told.
#[derive(Clone)]
pub struct SandboxSettings {
    /// Where to listen: a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The one key id that may call.
    pub access_key_id: String,
    /// Its secret.
    pub access_key_secret: String,
    /// Calls admitted in any one second; `None` is no limit.
    pub qps: Option<u32>,
    /// The limits of the region that it stands for; `None`: no more than `qps`.
    pub quota: Option<RegionQuota>,
    /// How long an answer takes, drawn evenly from this range.
    pub latency: RangeInclusive<Duration>,
    /// How often it misbehaves, and how.
    pub faults: Faults,
    /// The numbers of the calls that are refused as in an outage, the first call being 0.
    pub outage: Range<u64>,
    /// Decides latency and faults, not the answers.
    pub seed: u64,
    /// Which answers there are.
    pub answers: Mix,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key_id: SANDBOX_ACCESS_KEY_ID.to_owned(),
            access_key_secret: SANDBOX_ACCESS_KEY_SECRET.to_owned(),
            qps: None,
            quota: None,
            latency: Duration::ZERO..=Duration::ZERO,
            faults: Faults::default(),
            outage: 0..0,
            seed: 0,
            answers: Mix::Realistic,
        }
    }
}

// The secret may have been set to a real one by mistake, so it is never printed.
impl fmt::Debug for SandboxSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxSettings")
            .field("listen", &self.listen)
            .field("qps", &self.qps)
            .field("quota", &self.quota)
            .field("latency", &self.latency)
            .field("faults", &self.faults)
            .field("outage", &self.outage)
            .field("seed", &self.seed)
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}

/// Why the sandbox can't serve.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It would be reached from outside of this machine.
    #[error("the sandbox listens on a loopback address only, and {0} is none")]
    NotLoopback(SocketAddr),
    /// The latency's end is before its start.
    #[error("the sandbox's latency ends at {end:?}, before it starts at {start:?}")]
    EmptyLatency {
        /// The range's start.
        start: Duration,
        /// The range's end.
        end: Duration,
    },
    /// The address can't be listened on.
    #[error("failed to listen on {listen}")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The server failed.
    #[error("the sandbox failed to serve")]
    Serve(#[source] io::Error),
}

/// The server: bound by [`Sandbox::bind`], answering once it [runs](Sandbox::run).
#[derive(Debug)]
pub struct Sandbox {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<serve::Shared>,
}

impl Sandbox {
    /// Takes the address, so that clients may connect from here on. `clock` judges the calls' dates.
    pub async fn bind(settings: SandboxSettings, clock: Arc<dyn Clock>) -> Result<Self, SandboxError> {
        let listen = settings.listen;
        if !listen.ip().is_loopback() {
            return Err(SandboxError::NotLoopback(listen));
        }
        let (start, end) = (*settings.latency.start(), *settings.latency.end());
        if start > end {
            return Err(SandboxError::EmptyLatency { start, end });
        }
        let cannot = |source| SandboxError::Bind { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        let local_addr = listener.local_addr().map_err(cannot)?;
        let shared = serve::Shared {
            checker: checks::Checker {
                access_key_id: settings.access_key_id,
                access_key_secret: settings.access_key_secret,
                clock,
                nonces: memory::Nonces::default(),
            },
            window: settings.qps.map(quota::Window::new),
            windows: settings.quota.map(quota::Windows::new),
            latency: settings.latency,
            faults: settings.faults,
            outage: settings.outage,
            seed: settings.seed,
            answers: settings.answers,
            counters: Arc::new(Counters::new()),
            stopping: watch::Sender::new(false),
        };
        Ok(Self {
            listener,
            local_addr,
            shared: Arc::new(shared),
        })
    }

    /// The address, with the port that was free.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it counts, also after it has stopped.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Serves until `stop`, and then up to two seconds more for the calls under way.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), SandboxError> {
        let mut stopping = self.shared.stopping.subscribe();
        let shared = Arc::clone(&self.shared);
        let told_to_stop = async move {
            stop.await;
            shared.stopping.send_replace(true);
        };
        let service = serve::answer
            .with_state(self.shared)
            .into_make_service_with_connect_info::<Wire>();
        let serving = axum::serve(Lines(self.listener), service).with_graceful_shutdown(told_to_stop);
        let out_of_patience = async {
            // It can't fail: the service holds the sender.
            let _ = stopping.wait_for(|stopping| *stopping).await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            served = async { serving.await } => served.map_err(SandboxError::Serve),
            () = out_of_patience => Ok(()),
        }
    }
}
