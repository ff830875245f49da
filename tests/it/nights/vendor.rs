//! The vendor of a night: a sandbox in this process, so that its counters can be read.

use std::sync::Arc;
use std::time::Duration;

use idvault::clock::Clock;
use idvault::sandbox::{Counters, Counts, Mix, Sandbox, SandboxSettings};
use jiff::Timestamp;

/// What the sandbox judges signatures' dates by.
#[derive(Debug)]
pub(super) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the binary signs with the real clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A sandbox in this process.
pub(super) struct Vendor {
    pub(super) url: String,
    pub(super) counters: Arc<Counters>,
    /// Serves as long as it is there.
    runtime: tokio::runtime::Runtime,
}

impl Vendor {
    /// How long nothing may come in.
    const QUIET: Duration = Duration::from_millis(100);

    pub(super) fn start(answers: Mix, latency: Duration) -> Self {
        Self::start_by(Arc::new(WallClock), answers, latency)
    }

    /// By another clock.
    pub(super) fn start_by(clock: Arc<dyn Clock>, answers: Mix, latency: Duration) -> Self {
        Self::with(
            clock,
            SandboxSettings {
                answers,
                latency: latency..=latency,
                ..SandboxSettings::default()
            },
        )
    }

    pub(super) fn with(clock: Arc<dyn Clock>, settings: SandboxSettings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sandbox = runtime.block_on(Sandbox::bind(settings, clock)).unwrap();
        let (url, counters) = (format!("http://{}", sandbox.local_addr()), sandbox.counters());
        runtime.spawn(sandbox.run(std::future::pending()));
        Self { url, counters, runtime }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// The counts once nothing more comes in from a run that has ended. What it had in flight may still be counted when
    /// its answer is due, after `latency`. The vendor's own thread waits for that: on a busy machine it gets its turn late, and
    /// what is there by then goes first.
    pub(super) fn settled(&self, latency: Duration) -> Counts {
        let quiet = (latency * 10).max(Self::QUIET);
        let mut before = self.counts();
        loop {
            let waited = self.runtime.spawn(async move {
                tokio::time::sleep(quiet).await;
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            });
            self.runtime.block_on(waited).unwrap();
            let now = self.counts();
            if now == before {
                return now;
            }
            before = now;
        }
    }
}
