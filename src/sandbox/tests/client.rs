//! A client of the sandbox that can spoil its calls.
//!
//! - [`Server`]: a sandbox that runs
//! - [`Call`]: a call; [`Reply`]: its reply
//! - [`Connection`]: carries calls

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::*;
use crate::clock::FixedClock;
use crate::vendor::sign;

/// The sandbox's time.
pub(super) const NOW: &str = "2026-04-01T08:00:00Z";

/// A sandbox of its own for each test.
pub(super) struct Server {
    pub(super) runtime: Runtime,
    pub(super) addr: SocketAddr,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) running: JoinHandle<Result<(), SandboxError>>,
}

impl Server {
    pub(super) fn start(settings: SandboxSettings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sandbox = runtime.block_on(bind(settings));
        let (stop, stopped) = oneshot::channel::<()>();
        let (addr, counters) = (sandbox.local_addr(), sandbox.counters());
        let running = runtime.spawn(sandbox.run(async move {
            let _ = stopped.await;
        }));
        Self {
            runtime,
            addr,
            counters,
            stop,
            running,
        }
    }

    pub(super) fn with_faults(faults: &str) -> Self {
        Self::start(SandboxSettings {
            faults: faults.parse().unwrap(),
            ..SandboxSettings::default()
        })
    }

    pub(super) fn call(&self, call: &Call) -> io::Result<Reply> {
        Connection::open(self.addr).call(call)
    }
}

pub(super) async fn bind(settings: SandboxSettings) -> Sandbox {
    let clock = Arc::new(FixedClock(NOW.parse().unwrap()));
    Sandbox::bind(settings, clock).await.unwrap()
}

/// A call, good unless a test spoils it.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: BTreeMap<&'static str, String>,
    /// Headers that are sent, but not signed.
    pub(super) unsigned: Vec<&'static str>,
    pub(super) body: &'static str,
    pub(super) key_id: &'static str,
    pub(super) secret: &'static str,
}

impl Call {
    pub(super) fn good(transaction_id: &str) -> Self {
        static NONCE: AtomicU64 = AtomicU64::new(0);
        let nonce = NONCE.fetch_add(1, Ordering::Relaxed);
        let headers = [
            ("host", "sandbox.test".to_owned()),
            ("x-acs-action", "CheckResult".to_owned()),
            ("x-acs-content-sha256", sign::EMPTY_BODY_SHA256.to_owned()),
            ("x-acs-date", NOW.to_owned()),
            ("x-acs-signature-nonce", format!("nonce-{nonce}")),
            ("x-acs-version", "2022-08-09".to_owned()),
        ];
        Self {
            method: "POST",
            path: "/",
            query: vec![
                ("MerchantBizId", "biz1".to_owned()),
                ("TransactionId", transaction_id.to_owned()),
            ],
            headers: headers.into(),
            unsigned: Vec::new(),
            body: "",
            key_id: SANDBOX_ACCESS_KEY_ID,
            secret: SANDBOX_ACCESS_KEY_SECRET,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.to_owned());
        self
    }

    pub(super) fn without(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self
    }

    pub(super) fn parameter(mut self, name: &'static str, value: &str) -> Self {
        self.query.retain(|(found, _)| *found != name);
        self.query.push((name, value.to_owned()));
        self
    }

    /// The call as it goes over the wire, signed.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let pairs: Vec<(&str, &str)> = self.query.iter().map(|(name, value)| (*name, &**value)).collect();
        let query = sign::canonical_query(&pairs);
        let signed: Vec<(&str, &str)> = self
            .headers
            .iter()
            .filter(|(name, _)| !self.unsigned.contains(*name))
            .map(|(name, value)| (*name, &**value))
            .collect();
        let request = sign::Request {
            method: self.method,
            path: self.path,
            canonical_query: &query,
            headers: &signed,
            payload_sha256: self.headers.get("x-acs-content-sha256").map_or("", |digest| digest),
        };
        let authorization = sign::authorization(&request, self.key_id, self.secret);
        let mut text = format!("{} {}?{query} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        let length = self.body.len();
        text.extend(["authorization: ", &authorization, "\r\n"]);
        text.extend([&format!("content-length: {length}\r\n\r\n"), self.body]);
        text.into_bytes()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) http_status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["Code"].as_str().unwrap().to_owned()
    }
}

/// A connection that can carry several calls.
pub(super) struct Connection(pub(super) TcpStream);

impl Connection {
    pub(super) fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self(stream)
    }

    pub(super) fn call(&mut self, call: &Call) -> io::Result<Reply> {
        self.0.write_all(&call.bytes())?;
        let mut received = Vec::new();
        let head_end = loop {
            if let Some(at) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            self.receive(&mut received)?;
        };
        let head = String::from_utf8(received[..head_end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let http_status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length: usize = headers["content-length"].parse().unwrap();
        while received.len() < head_end + 4 + length {
            self.receive(&mut received)?;
        }
        let body = String::from_utf8(received.split_off(head_end + 4)).unwrap();
        Ok(Reply {
            http_status,
            headers,
            body,
        })
    }

    fn receive(&mut self, received: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 16_384];
        let count = self.0.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        received.extend_from_slice(&buffer[..count]);
        Ok(())
    }
}
