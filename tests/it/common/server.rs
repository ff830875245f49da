//! A loopback HTTP/1.1 server that answers byte for byte as it is told, faults too.
//!
//! - [`serve`]: starts one
//! - [`Request`]: what it was asked
//! - [`Answer`]: what it says, and [`Manner`], how

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;

/// What is sent before the next piece of a dripping answer.
const DRIP_PAUSE: Duration = Duration::from_millis(250);

/// What a flood has, unless the client goes: 5 GB.
const FLOOD_BYTES: usize = 5_000_000_000;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `POST /?TransactionId=t1`
    pub(crate) line: String,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// When its last byte but one was read.
    pub(crate) at: Instant,
}

impl Request {
    fn read(head: &str) -> Self {
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default();
        let line = line.strip_suffix(" HTTP/1.1").expect("an HTTP/1.1 request").to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, text)| (name.to_ascii_lowercase(), text.to_owned()));
        Self {
            line,
            headers: headers.collect(),
            at: Instant::now(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let (_, path) = self.line.split_once(' ').expect("a method and a path");
        let url = Url::parse("http://vendor").unwrap().join(path).unwrap();
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, text)| text.into_owned())
    }
}

/// How an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Whole; the connection stays open.
    Whole,
    /// The head promises the whole body, and the connection is closed after half of it.
    Cut,
    /// A byte at a time, for much longer than any timeout of a test.
    Drip,
    /// The connection is closed without a byte.
    Close,
    /// The connection is reset without a byte.
    Reset,
    /// Nothing is said until the client goes.
    Hang,
    /// The body again and again, up to [`FLOOD_BYTES`]; the head says how long that will be.
    Flood,
    /// The same in chunks, so that nobody knows.
    ChunkedFlood,
    /// Whole, in one chunk.
    Chunked,
}

/// What is said, and how.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) http_status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) manner: Manner,
}

impl Answer {
    pub(crate) fn new(http_status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            http_status,
            headers: Vec::new(),
            body: body.into(),
            manner: Manner::Whole,
        }
    }

    pub(crate) fn header(mut self, name: &str, text: &str) -> Self {
        self.headers.push((name.to_owned(), text.to_owned()));
        self
    }

    pub(crate) fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// No answer at all, in one of the ways.
    pub(crate) fn none(manner: Manner) -> Self {
        Self::new(200, "").manner(manner)
    }

    fn head(&self) -> String {
        let length = match self.manner {
            Manner::ChunkedFlood | Manner::Chunked => "transfer-encoding: chunked".to_owned(),
            Manner::Flood => format!("content-length: {FLOOD_BYTES}"),
            _ => format!("content-length: {}", self.body.len()),
        };
        let mut head = format!("HTTP/1.1 {} X\r\n{length}\r\n", self.http_status);
        for (name, text) in &self.headers {
            head.extend([name, ": ", text, "\r\n"]);
        }
        head + "\r\n"
    }
}

/// Serves on a free port until the test's process ends; gives the URL. `answer` is called once a request, in its
/// connection's thread.
pub(crate) fn serve(answer: impl Fn(Request) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                connection(stream, &*answer);
            });
        }
    });
    url
}

/// One connection. All but the last byte of a request is read before it is answered: closing with a byte unread makes
/// the kernel reset the connection, which nothing else in std can.
pub(super) fn connection(mut stream: impl Read + Write, answer: &dyn Fn(Request) -> Answer) {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r") {
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        let answer = answer(Request::read(&String::from_utf8(head).unwrap()));
        if answer.manner == Manner::Reset {
            return;
        }
        // From here on the client may have gone: it has read enough, or a timeout of its own passed.
        if stream.read(&mut byte).unwrap_or(0) == 0 || !give(&mut stream, &answer) {
            return;
        }
    }
}

/// Gives the answer; whether the connection stays open.
fn give(stream: &mut (impl Read + Write), answer: &Answer) -> bool {
    let head = answer.head();
    let mut say = |bytes: &[u8]| stream.write_all(bytes).is_ok();
    match answer.manner {
        Manner::Whole => say(&[head.as_bytes(), &answer.body].concat()),
        Manner::Cut => {
            say(&[head.as_bytes(), &answer.body[..answer.body.len() / 2]].concat());
            false
        }
        Manner::Drip => {
            let mut bytes = answer.body.iter();
            let mut going = say(head.as_bytes());
            while let Some(byte) = bytes.next().filter(|_| going) {
                std::thread::sleep(DRIP_PAUSE);
                going = say(&[*byte]);
            }
            false
        }
        Manner::Flood | Manner::ChunkedFlood => {
            let mut piece = answer.body.clone();
            if answer.manner == Manner::ChunkedFlood {
                piece = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
            }
            let times = FLOOD_BYTES / answer.body.len();
            let _ = say(head.as_bytes()) && (0..times).all(|_| say(&piece));
            false
        }
        Manner::Chunked => {
            let length = format!("{:x}\r\n", answer.body.len());
            say(&[head.as_bytes(), length.as_bytes(), &answer.body, b"\r\n0\r\n\r\n"].concat())
        }
        Manner::Close | Manner::Reset => false,
        Manner::Hang => {
            let _ = stream.read(&mut [0]);
            false
        }
    }
}
