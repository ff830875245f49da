//! The vendor's service: one attempt of a `CheckResult` call, and what its answer means.
//!
//! - [`sign`]: the signature ACS3-HMAC-SHA256, pure

pub mod sign;
