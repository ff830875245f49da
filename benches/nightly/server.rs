//! The load server: answers as the vendor's service does, as cheaply as it can be done. It checks no signature and its
//! answers are ready, so what a run costs is not its doing; `floors` shows how much it could serve.
//!
//! - [`LoadServer`]: the server, in a thread of its own; [`Load`]: what it is told
//! - [`Traffic`]: what it saw; [`Call`]

use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use idvault::sandbox::Window;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::replies::{self, Replies};
use crate::source::scrambled;

/// What a request's head is longer than by far never reaches.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What the server is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Load {
    /// Calls in any second, by product: a strict sliding window over arrivals. Empty: no limit.
    pub(crate) quotas: Vec<u32>,
    /// How long an answer takes, drawn evenly.
    pub(crate) latency: Option<RangeInclusive<Duration>>,
    /// The size of the face image in every answer.
    pub(crate) image_bytes: Option<usize>,
    /// Its thread never sleeps, for the exact time of arrivals. It takes a core.
    pub(crate) awake: bool,
}

/// A call of a product with a quota.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) product: usize,
    pub(crate) arrived: Instant,
    pub(crate) answered: Instant,
    pub(crate) throttled: bool,
}

#[derive(Debug)]
struct Shared {
    windows: Vec<Arc<Window>>,
    latency: Option<RangeInclusive<Duration>>,
    replies: Replies,
    calls: AtomicU64,
    first_arrival: OnceLock<Instant>,
    with_quota: Mutex<Vec<Call>>,
}

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct LoadServer {
    pub(crate) url: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl LoadServer {
    /// On a free port of loopback.
    pub(crate) fn start(load: Load) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            windows: load.quotas.iter().map(|quota| Arc::new(Window::new(*quota))).collect(),
            latency: load.latency,
            replies: Replies::new(load.image_bytes),
            calls: AtomicU64::new(0),
            first_arrival: OnceLock::new(),
            with_quota: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                if load.awake {
                    tokio::spawn(stay_awake());
                }
                tokio::select! {
                    () = accept(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            url,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Calls so far, throttled ones too.
    pub(crate) fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// When the first call came.
    pub(crate) fn first_arrival(&self) -> Option<Instant> {
        self.shared.first_arrival.get().copied()
    }

    /// The calls that were held to a quota, in order of their answers.
    pub(crate) fn with_quota(&self) -> Vec<Call> {
        self.shared
            .with_quota
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A product's window, for other traffic of the account.
    pub(crate) fn window(&self, product: usize) -> Option<Arc<Window>> {
        self.shared.windows.get(product).cloned()
    }
}

impl Drop for LoadServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A thread that sleeps can be woken 10 ms late where others share the hardware, and a call would seem to have come as late.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A client that goes away ends its connection, and nothing else.
                tokio::spawn(connection(stream, Arc::clone(&shared)));
            }
            Err(error) => {
                eprintln!("the load server can't accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut inbox, mut out) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    loop {
        let Some(end) = head_end(&inbox) else {
            if inbox.len() > MAX_HEAD_BYTES || stream.read_buf(&mut inbox).await? == 0 {
                return Ok(());
            }
            continue;
        };
        shared.answer(&inbox[..end], &mut out).await;
        stream.write_all(&out).await?;
        inbox.drain(..end);
        out.clear();
    }
}

/// Calls have no body, so a request ends with its head.
fn head_end(inbox: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    if inbox.ends_with(END) {
        return Some(inbox.len());
    }
    inbox
        .windows(END.len())
        .position(|bytes| bytes == END)
        .map(|at| at + END.len())
}

impl Shared {
    async fn answer(&self, head: &[u8], out: &mut Vec<u8>) {
        let arrived = Instant::now();
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.first_arrival.get_or_init(|| arrived);
        let Some(transaction_id) = transaction_id(head) else {
            out.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            return;
        };
        let product = usize::from(
            transaction_id
                .as_bytes()
                .get(3)
                .map_or(0, |digit| digit.wrapping_sub(b'0')),
        );
        let room = self.windows.get(product).map_or(Ok(()), |window| window.arrive());
        if let Some(latency) = &self.latency {
            let share = (scrambled(call) % 1_000_000) as u32;
            let spread = latency.end().saturating_sub(*latency.start());
            tokio::time::sleep(*latency.start() + spread * share / 1_000_000).await;
        }
        match room {
            Ok(()) => self.replies.write(transaction_id, call, out),
            Err(wait) => {
                // Every other one says how long to wait, as the vendor's do now and then.
                let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
                replies::throttled(call.is_multiple_of(2).then_some(millis), out);
            }
        }
        if !self.windows.is_empty() {
            let call = Call {
                product,
                arrived,
                answered: Instant::now(),
                throttled: room.is_err(),
            };
            self.with_quota
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(call);
        }
    }
}

/// `TransactionId` of the query of the request line.
fn transaction_id(head: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"TransactionId=";
    let line_end = head.iter().position(|byte| *byte == b'\r')?;
    let line = &head[..line_end];
    let start = line.windows(NAME.len()).position(|bytes| bytes == NAME)? + NAME.len();
    let value = &line[start..];
    let end = value.iter().position(|byte| matches!(byte, b'&' | b' '))?;
    std::str::from_utf8(&value[..end]).ok()
}
