//! The wall clock, handed in by `main` so that no other code reads it.
//!
//! - [`Clock`]: tells the time
//! - [`FixedClock`]: always the same time, for `--now` and for tests

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
