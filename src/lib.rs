//! idvault archives the results of Alibaba Cloud ID Verification before the vendor deletes them on day 30.
//!
//! docs/internals/architecture.md is the way into the code: its modules and its invariants.

pub mod archive;
pub mod audit;
pub mod breaker;
pub mod cli;
pub mod clock;
pub mod closing;
pub mod command;
pub mod compact;
pub mod config;
pub mod day;
pub mod difference;
pub mod disk;
pub mod exit;
pub mod fetch;
pub mod files;
pub mod history;
pub mod host;
pub mod intake;
pub mod inventory;
pub mod ledger;
pub mod limits;
pub mod open_records;
pub mod pace;
pub mod panics;
pub mod plain;
pub mod plan;
pub mod pricing;
pub mod progress;
pub mod publish;
pub mod quota;
pub mod rebuild;
pub mod reconcile;
pub mod record;
pub mod report;
pub mod retry;
pub mod run;
mod runtime;
pub mod sandbox;
pub mod stop;
pub mod tables;
pub mod tally;
mod trust;
pub mod vendor;
pub mod verify;
pub mod worker;

/// An error and its sources in one line, for a person: names and values in it come from outside.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let why = error.to_string();
        // Libraries that print their source themselves would have it said twice.
        if !text.ends_with(&why) {
            text.push_str(": ");
            text.push_str(&why);
        }
        source = error.source();
    }
    plain::clean(&text).into_owned()
}
