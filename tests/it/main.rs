//! idvault's program from outside: the real binary, real HTTP over loopback, real SQLite and Parquet.
//!
//! - `common`: a folder to run it in, and a vendor that says what a test tells it to
//! - `answers`: every row of the design's "What each answer means"
//! - `causes`: the reports name the cause of what went wrong
//! - `corrected`: what a source says later, when it is better
//! - `credentials`: where they come from, and what is said where there are none
//! - `escapes`: names and values from outside steer no terminal
//! - `expiry`: why a record is lost or endangered
//! - `exit_codes`: every exit code, and which one wins
//! - `month`: a generated month of a bill, with planted discrepancies
//! - `nights`: whole nights against the sandbox, cut-off ones too
//! - `page`: the report page
//! - `redaction`: no secret is ever shown or written
//! - `reports`: what comes from outside is harmless in every report
//! - `sources`: what pending sources say: no input is not a good night, and a bad cell never costs an id
//! - `tls`: who is trusted, and that nobody else gets a byte
#![expect(
    clippy::disallowed_methods,
    reason = "a test stands where the operator does: it reads the clock and prepares files"
)]

mod answers;
mod causes;
mod common;
mod corrected;
mod credentials;
mod escapes;
mod exit_codes;
mod expiry;
mod month;
mod nights;
mod page;
mod redaction;
mod reports;
mod sources;
mod tls;
