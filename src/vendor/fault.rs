//! Why an attempt brought no reply, and what is done then.
//!
//! - [`Fault`]: one attempt failed; [`Disposition`]: what then
//! - [`LocalFault`]: it failed on this machine or on the way out, so that the vendor is not to blame

use std::error::Error;
use std::io;

use rustix::io::Errno;

use super::client::MAX_REPLY_BYTES;
use super::credentials::CredentialsError;
use super::proxy::Proxy;
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

/// What failed on this machine, in its settings, or at its proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalFault {
    /// The limit of open files is reached.
    OpenFiles,
    /// The name of the endpoint can't be resolved.
    Dns,
    /// The network can't be reached.
    NoRoute,
    /// The proxy wants a user name and a password, or other ones (407).
    ProxyLogin,
    /// The proxy refuses the connection, or can't be reached itself.
    Proxy,
    /// Something on the way does not speak TLS as this program does.
    Tls,
}

impl LocalFault {
    /// A short word for the ledger's `last_call_code`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::OpenFiles => "local_open_files",
            Self::Dns => "local_dns",
            Self::NoRoute => "local_no_route",
            Self::ProxyLogin | Self::Proxy => "local_proxy",
            Self::Tls => "local_tls",
        }
    }

    /// The fault that the error of an HTTP client comes from, if it is one of these.
    fn of(error: &reqwest::Error) -> Option<Self> {
        let causes = || std::iter::successors(error.source(), |error| cause(*error));
        // The HTTP library has no types for these two that could be asked for.
        let says = |text: &str| causes().any(|error| error.to_string().starts_with(text));
        let number = causes().find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error());
        let number = number.map(Errno::from_raw_os_error);
        Some(match number {
            Some(Errno::MFILE | Errno::NFILE) => Self::OpenFiles,
            _ if says("tunnel error: proxy authorization required") => Self::ProxyLogin,
            _ if says("tunnel error: ") => Self::Proxy,
            _ if says("dns error") => Self::Dns,
            Some(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::ADDRNOTAVAIL) => Self::NoRoute,
            _ if causes().any(|error| error.downcast_ref::<rustls::Error>().is_some()) => Self::Tls,
            _ => return None,
        })
    }

    fn sentence(self, host: &str, proxy: &str) -> String {
        match self {
            Self::OpenFiles => format!(
                "this machine has no more open files for a connection to {host}: raise the limit of this user (`ulimit -n`, \
                 `LimitNOFILE=` of a systemd unit), or set a lower concurrency"
            ),
            Self::Dns => format!("this machine can't resolve the name {host}: check its DNS, and the name"),
            Self::NoRoute => format!("this machine has no route to {host}: check its network"),
            Self::ProxyLogin => format!(
                "the proxy {proxy} refuses connections to {host} without a user name and password that it knows (407): put them \
                 into HTTPS_PROXY, as in http://user:password@host:port"
            ),
            Self::Proxy => format!(
                "the proxy {proxy} makes no connection to {host}: check HTTPS_PROXY, and that the proxy allows this host"
            ),
            Self::Tls => format!(
                "the TLS handshake with {host} failed: check what is between this machine and it, such as a proxy or firewall"
            ),
        }
    }
}

/// The cause of an error. An I/O error gives the source of what is in it as its own, and so passes over it.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inside) => Some(inside),
        None => error.source(),
    }
}

/// One attempt failed: there is no reply. No message holds the query, a header or a secret.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Something on this machine, in its settings, or at its proxy. Retry, unless no attempt can do better.
    #[error("{sentence}")]
    Local {
        /// What.
        kind: LocalFault,
        /// What it means and what to do.
        sentence: String,
        /// Why.
        source: reqwest::Error,
    },
    /// No connection. Retry.
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
            Self::Local {
                kind: LocalFault::OpenFiles | LocalFault::ProxyLogin,
                ..
            }
            | Self::Certificate { .. }
            | Self::Credentials(_) => Disposition::Abort,
            Self::Local { .. } | Self::Connect { .. } | Self::Timeout { .. } | Self::Broken { .. } => {
                Disposition::Retry
            }
            Self::TooLarge { .. } | Self::NoEndpoint { .. } => Disposition::Refuse,
        }
    }

    /// A short word for the ledger's `last_call_code`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Local { kind, .. } => kind.code(),
            Self::Connect { .. } => "connect",
            Self::Certificate { .. } => "certificate",
            Self::Timeout { .. } => "timeout",
            Self::Broken { .. } => "broken",
            Self::TooLarge { .. } => "too_large",
            Self::Credentials(_) => "credentials",
            Self::NoEndpoint { .. } => "no_endpoint",
        }
    }

    /// `proxy`: what the call went through, without its password.
    pub(super) fn of(error: reqwest::Error, host: &str, proxy: Option<&Proxy>) -> Self {
        let host = host.to_owned();
        // The URL holds the ids, and is in every message otherwise.
        let source = error.without_url();
        if let Some(why) = transport::distrust(&source) {
            Self::Certificate { host, why }
        } else if let Some(kind) = LocalFault::of(&source) {
            let proxy = proxy.map(Proxy::to_string).unwrap_or_default();
            let sentence = kind.sentence(&host, &proxy);
            Self::Local { kind, sentence, source }
        } else if source.is_connect() {
            Self::Connect { host, source }
        } else if source.is_timeout() {
            Self::Timeout { host, source }
        } else {
            Self::Broken { host, source }
        }
    }
}
