//! The vendor's bill against the archive: of every line, whether it is right, wrong or open, and why.
//!
//! - [`bill`]: the bill's export, read strictly; [`SourceError`]: why it can't be taken
//! - [`compare`]: both sides, and why they differ; pure
//! - [`Class`], [`Standing`], [`Explanation`], [`Size`]: the reasons

pub mod bill;
pub mod compare;
mod explain;
mod number;
mod table;

pub use explain::{Class, Explanation, Size, Standing};
pub use table::SourceError;
