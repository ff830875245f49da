//! What must hold for any bytes that come from outside. A fuzz target hands its bytes to one of these functions, and so do
//! the property tests of `tests/it_fuzz.rs`: a broken rule is a panic.
//!
//! - [`reply`]: a reply of the vendor's
//! - [`json`]: the JSON in it
//! - [`csv`]: a pending source; [`records`]: an export of the vendor's records
//! - [`config`]: the configuration
//! - [`words`]: what is written on the command line, and cells of reports

mod csv;
mod json;
mod records;
mod reply;
mod settings;

pub use csv::csv;
pub use json::json;
pub use records::records;
pub use reply::reply;
pub use settings::{config, words};

use idvault::plain::clean;

/// A text that is shown to people or written to a report.
#[track_caller]
fn assert_shown(text: &str, longest_chars: usize) {
    assert_eq!(clean(text), text);
    assert!(text.chars().count() <= longest_chars, "{text:?}");
}
