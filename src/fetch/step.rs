//! What follows from an answer: the design's table, pure.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::ledger::Settled;
use crate::plan;
use crate::record::Due;
use crate::stop::StopReason;
use crate::vendor::{AccountFault, AccountFaultKind, Answer, FaultyReply};

/// Runs in which the vendor answers an id with an error before a person is asked.
pub const QUARANTINE_AFTER_RUNS: u32 = 5;

/// When an id is given up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Runs in which the vendor answers an id with an error before it is quarantined.
    pub quarantine_after_runs: u32,
    /// From one run to the next: what is not completed must come up before its deadline.
    pub run_interval: SignedDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            quarantine_after_runs: QUARANTINE_AFTER_RUNS,
            run_interval: SignedDuration::from_hours(24),
        }
    }
}

impl Limits {
    /// What becomes of an id for which no more attempts are made in this run. Only runs in which the vendor `answered`
    /// this id count against it: an outage is not the id's fault.
    pub fn give_up(&self, due: &Due, answered: bool) -> Settled {
        if answered && due.failed_runs + 1 >= self.quarantine_after_runs {
            Settled::Quarantined
        } else {
            Settled::Left { answered }
        }
    }
}

/// What follows from an answer.
#[derive(Debug, Clone)]
pub enum Step {
    /// Keep the reply.
    Journal {
        /// `Passed`.
        passed: bool,
        /// `SubCode`.
        sub_code: String,
    },
    /// Keep the reply for a person, and ask in a later run.
    KeepUnknown {
        /// What stands in the verdict's place.
        passed: Option<String>,
        /// When it is due again.
        next_due_at: Timestamp,
    },
    /// Write down what else it means for the id.
    Settle(Settled),
    /// Try again after a backoff; charged.
    Again {
        /// Whether the vendor answered this id with an error, so that the run counts against the id. In an outage it does
        /// not come to that.
        answered: bool,
    },
    /// Pass the gate again, which has slowed down; not charged.
    WaitForQuota,
    /// Renew the credentials and try again; not charged. The fault stands where they can't be renewed.
    Refresh(AccountFault),
    /// Stop the run; not charged.
    Stop(StopReason),
}

/// What follows from `answer` for the id.
pub fn step(answer: &Answer, due: &Due, now: Timestamp, limits: &Limits) -> Step {
    let expired = now >= due.deadline();
    match answer {
        Answer::Final { passed, sub_code } => Step::Journal {
            passed: *passed,
            sub_code: sub_code.clone(),
        },
        Answer::NotCompleted if expired => Step::Settle(Settled::Abandoned),
        Answer::NotCompleted | Answer::Undecided => Step::Settle(Settled::Postponed {
            next_due_at: plan::next_due_at(due, now, limits.run_interval),
        }),
        Answer::UnknownVerdict { passed } => Step::KeepUnknown {
            passed: passed.clone(),
            next_due_at: plan::next_due_at(due, now, limits.run_interval),
        },
        Answer::Throttled { .. } => Step::WaitForQuota,
        Answer::InvalidTransaction if expired => Step::Settle(Settled::Lost),
        Answer::InvalidTransaction | Answer::InvalidRequest => Step::Settle(Settled::Quarantined),
        Answer::RepeatedInvoke => Step::Settle(limits.give_up(due, true)),
        Answer::Account(fault) if fault.kind == AccountFaultKind::ExpiredToken => Step::Refresh(fault.clone()),
        Answer::Account(fault) => Step::Stop(StopReason::Account(Arc::new(fault.clone()))),
        Answer::Faulty(why) => Step::Again {
            answered: matches!(why, FaultyReply::UnknownCode | FaultyReply::Server),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ProductCode, Region, TransactionId};

    fn due(failed_runs: u32) -> Due {
        Due {
            number: 1,
            transaction_id: TransactionId::parse("t1").unwrap(),
            merchant_biz_id: None,
            product_code: ProductCode::parse("FACE_LIVENESS").unwrap(),
            region: Region::parse("ap-southeast-1").unwrap(),
            verified_at: Some("2026-11-01T00:00:00Z".parse().unwrap()),
            first_seen_at: "2026-11-02T00:00:00Z".parse().unwrap(),
            not_completed_runs: 0,
            failed_runs,
        }
    }

    fn settled(answer: &Answer, failed_runs: u32, now: &str) -> Settled {
        match step(answer, &due(failed_runs), now.parse().unwrap(), &Limits::default()) {
            Step::Settle(settled) => settled,
            other => panic!("{answer:?}: {other:?}"),
        }
    }

    const FRESH: &str = "2026-11-10T00:00:00Z";
    const EXPIRED: &str = "2026-12-01T00:00:00Z";

    #[test]
    fn an_unknown_transaction_is_lost_only_past_its_deadline() {
        let last_moment = "2026-11-30T23:59:59Z";
        assert_eq!(settled(&Answer::InvalidTransaction, 0, FRESH), Settled::Quarantined);
        assert_eq!(
            settled(&Answer::InvalidTransaction, 0, last_moment),
            Settled::Quarantined
        );
        assert_eq!(settled(&Answer::InvalidTransaction, 0, EXPIRED), Settled::Lost);
        assert_eq!(settled(&Answer::InvalidRequest, 0, EXPIRED), Settled::Quarantined);
    }

    #[test]
    fn what_is_not_completed_is_abandoned_only_past_its_deadline() {
        assert!(matches!(
            settled(&Answer::NotCompleted, 0, FRESH),
            Settled::Postponed { .. }
        ));
        assert_eq!(settled(&Answer::NotCompleted, 0, EXPIRED), Settled::Abandoned);
        assert!(matches!(
            settled(&Answer::Undecided, 0, EXPIRED),
            Settled::Postponed { .. }
        ));
    }

    #[test]
    fn what_is_asked_too_often_is_quarantined_after_several_runs() {
        assert_eq!(
            settled(&Answer::RepeatedInvoke, 0, FRESH),
            Settled::Left { answered: true }
        );
        assert_eq!(
            settled(&Answer::RepeatedInvoke, 3, FRESH),
            Settled::Left { answered: true }
        );
        assert_eq!(settled(&Answer::RepeatedInvoke, 4, FRESH), Settled::Quarantined);
    }

    #[test]
    fn an_outage_never_quarantines() {
        let limits = Limits::default();
        assert_eq!(limits.give_up(&due(100), false), Settled::Left { answered: false });
    }
}
