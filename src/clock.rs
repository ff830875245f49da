//! The wall clock, handed in by `main` so that no other code reads it.
//!
//! - [`Clock`]: tells the time
//! - [`FixedClock`]: always the same time, for `--now` and for tests
//! - [`EarlierOf`]: the earlier of two

use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Always the same time.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// The earlier of two clocks. Against the vendor `--now` must not be ahead of the machine's time: a record would be taken for
/// deleted, or put off beyond its deadline, while the vendor still has it.
#[derive(Debug)]
pub struct EarlierOf(pub Arc<dyn Clock>, pub Arc<dyn Clock>);

impl Clock for EarlierOf {
    fn now(&self) -> Timestamp {
        self.0.now().min(self.1.now())
    }
}
