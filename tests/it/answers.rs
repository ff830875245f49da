//! Every row of the design's "What each answer means".
//!
//! - `verdicts`: final, undecided, not completed
//! - `throttling`: over the quota
//! - `faults`: nothing that can be relied on
//! - `floods`: replies that never end
//! - `bombs`: replies that are made to break their reader
//! - `ids`: the vendor refuses an id
//! - `account`: the vendor refuses the credentials, the account or the clock

mod account;
mod bombs;
mod faults;
mod floods;
mod ids;
mod throttling;
mod verdicts;
