//! How a run is told to stop: once asked, no new call begins; replies in flight are still journalled.
//!
//! - [`Stop`]: asked for once, seen by everyone who works on the run
//! - [`StopReason`]: the reason
//! - [`END`]: when the process ends at the latest

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::disk::NoSpace;
use crate::vendor::{AccountFault, LocalFault};

/// How long a reply in flight is waited for after a stop.
const GRACE: Duration = Duration::from_secs(5);

/// How long after a signal or the time limit a file may still be begun or filled: with what it takes to complete the last
/// one and to report, the run ends within 10 s.
const HURRY: Duration = Duration::from_secs(7);

/// How long after it what takes the longer the more the ledger holds may still be read for the reports. What is left is for the
/// summary and the last commit.
const REPORTS: Duration = Duration::from_secs(8);

/// When a run that was stopped by a signal or the time limit has ended at the latest, whatever holds it up: a disk that takes
/// long, or who reads what it says.
pub const END: Duration = Duration::from_millis(9_500);

/// What is promised of such a run.
const PROMISED: Duration = Duration::from_secs(10);

const _: () = assert!(GRACE.as_millis() < HURRY.as_millis() && HURRY.as_millis() < REPORTS.as_millis());
const _: () = assert!(REPORTS.as_millis() < END.as_millis() && END.as_millis() < PROMISED.as_millis());

/// Why a run stops before its plan is done.
#[derive(Debug, Clone)]
pub enum StopReason {
    /// SIGTERM or SIGINT.
    Signal,
    /// `--time-limit` is over.
    TimeLimit,
    /// The vendor refused the credentials or the account.
    Account(Arc<AccountFault>),
    /// There are no credentials, or they can't be renewed; the sentence says why.
    Credentials(Arc<str>),
    /// No call can be made from this machine; the sentence says why.
    Local(LocalFault, Arc<str>),
    /// The disk has no room for more answers.
    NoSpace(NoSpace),
    /// A commit failed: no answer can be kept.
    LedgerFailed,
    /// What answers in the vendor's place can't prove that it is the vendor; the sentence says why.
    Certificate(Arc<str>),
}

/// Seen by everyone who holds a clone; the first reason stands.
#[derive(Debug, Clone)]
pub struct Stop {
    reason: Arc<watch::Sender<Option<StopReason>>>,
    /// Since when somebody waits for the run to end.
    hurried: Arc<OnceLock<Instant>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            reason: Arc::new(watch::Sender::new(None)),
            hurried: Arc::default(),
        }
    }
}

impl Stop {
    /// Asks everyone to stop.
    pub fn request(&self, why: StopReason) {
        if matches!(why, StopReason::Signal | StopReason::TimeLimit) {
            self.hurried.get_or_init(Instant::now);
        }
        self.reason.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert(why);
            first
        });
    }

    /// Why, where it was asked for.
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.borrow().clone()
    }

    /// Whether it was asked for.
    pub fn is_requested(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Whether somebody waits for the run to end, so that nothing new may begin.
    pub fn is_hurried(&self) -> bool {
        self.hurried.get().is_some()
    }

    /// Whether the run has to end now: what is not in the archive yet stays in the journal.
    pub fn is_overdue(&self) -> bool {
        self.hurried_for(HURRY)
    }

    /// Whether the reports have to end now: the next run writes them.
    pub fn is_overdue_for_reports(&self) -> bool {
        self.hurried_for(REPORTS)
    }

    fn hurried_for(&self, time: Duration) -> bool {
        self.hurried.get().is_some_and(|since| since.elapsed() > time)
    }

    /// Returns once it is asked for.
    pub async fn requested(&self) {
        let mut reason = self.reason.subscribe();
        // The sender lives as long as `self`, so this can't fail.
        let _ = reason.wait_for(Option::is_some).await;
    }

    /// Returns when a reply in flight is no longer to be waited for.
    pub async fn grace_over(&self) {
        self.requested().await;
        if !matches!(self.reason(), Some(StopReason::LedgerFailed)) {
            // By the signal, and not by when its news came here.
            let since = self.hurried.get().copied().unwrap_or_else(Instant::now);
            tokio::time::sleep_until(since + GRACE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_somebody_waits_for_is_overdue() {
        let stop = Stop::default();
        stop.request(StopReason::Credentials("none".into()));
        tokio::time::advance(HURRY * 2).await;
        assert!(!stop.is_overdue() && !stop.is_hurried());
        stop.request(StopReason::Signal);
        assert!(
            matches!(stop.reason(), Some(StopReason::Credentials(_))),
            "the first reason stands"
        );
        assert!(stop.is_hurried() && !stop.is_overdue());
        tokio::time::advance(HURRY * 2).await;
        assert!(stop.is_overdue());
    }
}
