//! TLS for the scripted server: certificates of every kind, and a count of what a client says behind them.
//!
//! - [`Authority`]: signs certificates
//! - [`Identity`]: a server's certificate, good or bad
//! - [`TlsVendor`]: the scripted vendor behind one

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::server::{Answer, Request, connection};
use super::vendor::Vendor;

/// A CA of somebody's own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// For `tls.ca_file`.
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// A certificate for `name` that is valid in these years.
    pub(crate) fn signs(&self, name: &str, years: (i32, i32)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name, years).signed_by(&key, &self.issuer).unwrap();
        Identity::new(&certificate, &key)
    }
}

fn params(name: &str, (from, to): (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 12, 31);
    params
}

/// What a server shows, and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name, (2000, 3000)).self_signed(&key).unwrap();
        Self::new(&certificate, &key)
    }

    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }
}

/// What clients did.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    connections: AtomicUsize,
    /// Bytes of the connections, those of the handshakes too.
    wire: AtomicUsize,
    /// Bytes within TLS: requests.
    application: AtomicUsize,
    /// What a proxy was asked in the clear, headers too.
    tunnels: Mutex<Vec<String>>,
    /// Locked: no handshake is answered.
    handshakes: Mutex<()>,
}

impl Heard {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn wire_bytes(&self) -> usize {
        self.wire.load(Ordering::SeqCst)
    }

    pub(crate) fn tunnels(&self) -> Vec<String> {
        self.tunnels.lock().unwrap().clone()
    }

    /// No handshake is answered until this is dropped.
    pub(crate) fn hold_handshakes(&self) -> MutexGuard<'_, ()> {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn application_bytes(&self) -> usize {
        self.application.load(Ordering::SeqCst)
    }
}

/// The scripted vendor at `https://localhost`.
pub(crate) fn vendor_as(identity: Identity) -> (Vendor, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let shared = heard.clone();
    let vendor = Vendor::start_as(move |answer| serve_tls(identity, shared, answer));
    (vendor, heard)
}

/// A proxy that looks into TLS: answers as `identity` for whomever it is asked to connect to.
pub(crate) fn proxy_as(identity: Identity) -> (Vendor, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let shared = heard.clone();
    let vendor = Vendor::start_as(move |answer| format!("http://127.0.0.1:{}", listen(true, identity, shared, answer)));
    (vendor, heard)
}

/// Serves as `identity` on a free port until the test's process ends; gives the URL.
pub(crate) fn serve_tls(
    identity: Identity,
    heard: Arc<Heard>,
    answer: impl Fn(Request) -> Answer + Send + Sync + 'static,
) -> String {
    format!("https://localhost:{}", listen(false, identity, heard, answer))
}

fn listen(
    proxy: bool,
    identity: Identity,
    heard: Arc<Heard>,
    answer: impl Fn(Request) -> Answer + Send + Sync + 'static,
) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate], identity.key)
        .unwrap();
    let (config, answer) = (Arc::new(config), Arc::new(answer));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            heard.connections.fetch_add(1, Ordering::SeqCst);
            let (heard, answer) = (heard.clone(), answer.clone());
            let tls = ServerConnection::new(config.clone()).unwrap();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                if proxy {
                    take_connect(&mut stream, &heard);
                }
                drop(heard.hold_handshakes());
                let wire = Counted(stream, |heard: &Heard| &heard.wire, heard.clone());
                let inside = Counted(StreamOwned::new(tls, wire), |heard: &Heard| &heard.application, heard);
                connection(inside, &*answer);
            });
        }
    });
    port
}

/// Opens a tunnel, which ends here.
fn take_connect(stream: &mut TcpStream, heard: &Heard) {
    let (mut asked, mut byte) = (Vec::new(), [0]);
    while !asked.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        asked.push(byte[0]);
    }
    heard.tunnels.lock().unwrap().push(String::from_utf8(asked).unwrap());
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
}

/// A stream, and which count its read bytes are added to.
struct Counted<S>(S, fn(&Heard) -> &AtomicUsize, Arc<Heard>);

impl<S: Read> Read for Counted<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1(&self.2).fetch_add(read, Ordering::SeqCst);
        Ok(read)
    }
}

impl<S: Write> Write for Counted<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
