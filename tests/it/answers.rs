//! Every row of the design's "What each answer means".
//!
//! - `verdicts`: final, undecided, not completed
//! - `throttling`: over the quota
//! - `faults`: nothing that can be relied on
//! - `ids`: the vendor refuses an id
//! - `account`: the vendor refuses the credentials, the account or the clock

mod account;
mod faults;
mod ids;
mod throttling;
mod verdicts;
