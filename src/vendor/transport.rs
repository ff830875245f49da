//! What every HTTP client of the program has in common, and whom it trusts. There is no way to switch the check of a
//! certificate off.
//!
//! - [`builder`]: TLS provider, no redirects, no retries of its own
//! - [`EmptyBody`]: tells when a request is sent, by dropping something
//! - [`CaBundle`]: CAs that are trusted beside the machine's; [`CaBundleError`]: why there are none
//! - [`distrust`]: why a server's certificate was refused

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{CertificateError, RootCertStore};

use crate::trust;

/// No file of CAs is longer: all public ones together have a quarter of that.
const MAX_BUNDLE_BYTES: u64 = 1 << 20;

/// What a certificate begins with in a PEM file.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// UTF-8's, which editors on Windows write.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A client that follows no redirect and repeats nothing by itself. `https` false: it trusts no certificate at all,
/// so that a machine without certificates can still talk to itself.
pub(crate) fn builder(https: bool, more: &CaBundle) -> reqwest::ClientBuilder {
    // An error says that a provider is installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("idvault/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // Without the zero each request is copied, for the retry that never comes.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .http1_only()
        .tcp_nodelay(true);
    if https {
        builder.tls_certs_merge(more.0.clone())
    } else {
        builder.tls_certs_only([])
    }
}

/// Dropped when a request is sent.
pub type UntilSent = Box<dyn Send + Sync>;

/// The empty body of a request, which holds something until that is sent: as hyper writes the head to a connection, it lets go of a
/// body that is at its end.
pub(super) struct EmptyBody {
    #[expect(dead_code, reason = "held, and nothing else")]
    pub(super) until_sent: UntilSent,
}

impl Body for EmptyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

/// CAs that are trusted beside the machine's own: those of a company.
#[derive(Clone, Default)]
pub struct CaBundle(Vec<reqwest::Certificate>);

impl CaBundle {
    /// Reads a PEM file with one certificate or more.
    pub fn read(path: &Path) -> Result<Self, CaBundleError> {
        let file = trust::open_trusted(path);
        let path = || path.to_owned();
        let failed = |source| CaBundleError::Read { path: path(), source };
        let mut text = Vec::new();
        let file = file.map_err(failed)?;
        file.take(MAX_BUNDLE_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > MAX_BUNDLE_BYTES {
            return Err(CaBundleError::TooLong { path: path() });
        }
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
        let mut bundle = Vec::new();
        for (place, certificate) in CertificateDer::pem_slice_iter(text).enumerate() {
            let number = place + 1;
            let certificate = certificate.map_err(|source| CaBundleError::Pem { path: path(), source })?;
            let unusable = || CaBundleError::Certificate { path: path(), number };
            let taken = RootCertStore::empty().add(certificate.clone());
            taken.map_err(|_| unusable())?;
            bundle.push(reqwest::Certificate::from_der(&certificate).map_err(|_| unusable())?);
        }
        if bundle.is_empty() {
            return Err(CaBundleError::Empty { path: path() });
        }
        // The reader passes over what it does not take for the beginning of one.
        let (begun, read) = (memchr::memmem::find_iter(text, BEGIN).count(), bundle.len());
        if read < begun {
            let path = path();
            return Err(CaBundleError::Fewer { path, begun, read });
        }
        Ok(Self(bundle))
    }
}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaBundle of {}", self.0.len())
    }
}

/// Why a file of CAs can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CaBundleError {
    /// It can't be read.
    #[error("failed to read the CA certificates in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too long.
    #[error("the CA certificates in {path} are longer than {MAX_BUNDLE_BYTES} bytes: name only those that are needed")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is not PEM.
    #[error("failed to understand the CA certificates in {path}: it must be PEM, -----BEGIN CERTIFICATE-----")]
    Pem {
        /// The file.
        path: PathBuf,
        /// Where it stops being PEM.
        source: pem::Error,
    },
    /// There is none in it.
    #[error("there is no CA certificate in {path}: it must be PEM, -----BEGIN CERTIFICATE-----")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Some were not read.
    #[error(
        "{path} has {begun} lines BEGIN CERTIFICATE, and only {read} certificates could be read: each must begin and end with a line of its own"
    )]
    Fewer {
        /// The file.
        path: PathBuf,
        /// Lines that begin one.
        begun: usize,
        /// Certificates that were read.
        read: usize,
    },
    /// One can't be used.
    #[error("certificate {number} in {path} is damaged, or none that can be trusted as a CA")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        number: usize,
    },
}

/// Why the server's certificate was refused, in words that read on after "is not trusted: "; `None` where it is not that
/// which failed.
pub(crate) fn distrust(error: &reqwest::Error) -> Option<String> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = tls_error(error) {
            return of_certificate(error);
        }
        source = error.source();
    }
    None
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    // An I/O error gives the source of what is in it as its own, and so passes over it.
    let inside = || error.downcast_ref::<io::Error>()?.get_ref();
    error.downcast_ref().or_else(|| tls_error(inside()?))
}

fn of_certificate(error: &rustls::Error) -> Option<String> {
    let rustls::Error::InvalidCertificate(why) = error else {
        return matches!(error, rustls::Error::NoCertificatesPresented).then(|| "it has none".to_owned());
    };
    Some(match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it is expired; where it is not, this machine's clock is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; where it is, this machine's clock is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it was made out to another name".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "it is self-signed or of an unknown CA; name a CA of your own with tls.ca_file".to_owned()
        }
        other => other.to_string(),
    })
}
