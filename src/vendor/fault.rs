//! Why an attempt brought no reply, and what is done then.
//!
//! - [`Fault`]: one attempt failed; [`Disposition`]: what then

use super::client::MAX_REPLY_BYTES;
use super::credentials::CredentialsError;
use super::transport;
use crate::record::Region;

/// What is done after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Try again: the next attempt may work.
    Retry,
    /// Leave this id: the next attempt would fail in the same way.
    Refuse,
    /// Stop the run: every attempt would fail.
    Abort,
}

/// One attempt failed: there is no reply. No message holds the query, a header or a secret.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection: name resolution, TCP, TLS or a proxy. Retry.
    #[error("failed to connect to {host}")]
    Connect {
        /// The endpoint's host.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server's certificate does not prove that it is the endpoint. Abort: it will not within this run, and what
    /// answers in the endpoint's place must not be asked again and again.
    #[error("the certificate of {host} is not trusted: {why}. Nothing was sent there")]
    Certificate {
        /// The endpoint's host.
        host: String,
        /// In words.
        why: String,
    },
    /// A timeout passed. Retry.
    #[error("{host} did not answer in time")]
    Timeout {
        /// The endpoint's host.
        host: String,
        /// Which.
        source: reqwest::Error,
    },
    /// The connection broke, or the body was cut or can't be decompressed. Retry.
    #[error("the exchange with {host} broke off")]
    Broken {
        /// The endpoint's host.
        host: String,
        /// How.
        source: reqwest::Error,
    },
    /// The body is longer than [`MAX_REPLY_BYTES`]. Refuse.
    #[error("the reply of {host} is longer than {MAX_REPLY_BYTES} bytes")]
    TooLarge {
        /// The endpoint's host.
        host: String,
    },
    /// There is nothing to sign with. Abort.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// No endpoint is known for the region. Refuse.
    #[error("no endpoint is known for the region {region}: add it to the configuration")]
    NoEndpoint {
        /// The region.
        region: Region,
    },
}

impl Fault {
    /// What is done then.
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Broken { .. } => Disposition::Retry,
            Self::TooLarge { .. } | Self::NoEndpoint { .. } => Disposition::Refuse,
            Self::Certificate { .. } | Self::Credentials(_) => Disposition::Abort,
        }
    }

    /// A short word for the ledger's `last_call_code`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Certificate { .. } => "certificate",
            Self::Timeout { .. } => "timeout",
            Self::Broken { .. } => "broken",
            Self::TooLarge { .. } => "too_large",
            Self::Credentials(_) => "credentials",
            Self::NoEndpoint { .. } => "no_endpoint",
        }
    }

    pub(super) fn of(error: reqwest::Error, host: &str) -> Self {
        let host = host.to_owned();
        // The URL holds the ids, and is in every message otherwise.
        let source = error.without_url();
        if let Some(why) = transport::distrust(&source) {
            Self::Certificate { host, why }
        } else if source.is_connect() {
            Self::Connect { host, source }
        } else if source.is_timeout() {
            Self::Timeout { host, source }
        } else {
            Self::Broken { host, source }
        }
    }
}
