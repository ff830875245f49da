//! The vendor's service: one attempt of a `CheckResult` call, and what its answer means.
//!
//! - [`client`]: one attempt, one HTTP exchange
//! - [`credentials`]: whose account signs it
//! - [`endpoint`]: where the service is
//! - [`fault`]: why an attempt brought no reply
//! - [`proxy`]: what calls to other machines go through
//! - [`json`]: reads the vendor's JSON, valid or nearly
//! - [`reply`]: what an answer means
//! - [`account`]: the answers that stop a run
//! - [`room`]: how much memory replies may take
//! - [`sign`]: the signature ACS3-HMAC-SHA256, pure
//! - [`transport`]: what all HTTP clients share, TLS above all
//! - [`wire`]: a final reply, normalized

pub mod account;
pub mod client;
pub mod credentials;
#[cfg(test)]
mod double;
pub mod endpoint;
mod envelope;
pub mod fault;
mod image;
pub mod json;
pub mod proxy;
pub mod reply;
pub mod room;
pub mod sign;
mod transport;
pub mod wire;

pub use account::{AccountFault, AccountFaultKind};
pub use client::{Client, ClientError, ClientSettings, MAX_REPLY_BYTES, Reply};
pub use credentials::{Credentials, CredentialsChain, CredentialsError, CredentialsSettings, CredentialsSource};
pub use endpoint::{BaseUrl, Endpoints, InvalidUrl, Network};
pub use fault::{Disposition, Fault, LocalFault};
pub use proxy::{Proxy, UnusableProxy};
pub use reply::{Answer, Classified, FaultyReply, UNKNOWN_VERDICT, classify};
pub use room::Room;
pub use transport::{CaBundle, CaBundleError, UntilSent};
pub use wire::{NotAFinalReply, normalize};
