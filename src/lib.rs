//! idvault archives the results of Alibaba Cloud ID Verification before the vendor deletes them on day 30.
//!
//! ARCHITECTURE.md is the way in: the house, its rooms and its invariants.

pub mod archive;
pub mod clock;
pub mod day;
pub mod exit;
pub mod files;
pub mod host;
pub mod intake;
pub mod ledger;
pub mod pace;
pub mod plan;
pub mod record;
pub mod retry;
pub mod sandbox;
pub mod tables;
pub mod vendor;
