//! The vendor's service: one attempt of a `CheckResult` call, and what its answer means.
//!
//! - [`client`]: one attempt, one HTTP exchange
//! - [`credentials`]: whose account signs it
//! - [`endpoint`]: where the service is
//! - [`reply`]: what an answer means
//! - [`account`]: the answers that stop a run
//! - [`sign`]: the signature ACS3-HMAC-SHA256, pure
//! - [`wire`]: a final reply, normalized

pub mod credentials;
pub mod endpoint;
mod json;
pub mod sign;
mod transport;

pub use credentials::{Credentials, CredentialsChain, CredentialsError, CredentialsSettings, CredentialsSource};
pub use endpoint::{BaseUrl, Endpoints, InvalidUrl, Network};
