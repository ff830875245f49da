//! Before anything is measured: the load server says what the vendor's service would, and holds its quota to the call.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use idvault::vendor::{Answer, Reply, classify, normalize};
use jiff::Timestamp;

use crate::night::BenchResult;
use crate::server::{Load, LoadServer};
use crate::source::id;

/// Calls of each check.
const CALLS: u64 = 60;

/// The quota that is checked.
const QUOTA: u32 = 50;

/// The size of a face image that is checked.
const IMAGE_BYTES: usize = 100_000;

/// Fails where the server can't be relied on.
pub(crate) fn check() -> BenchResult<()> {
    let server = LoadServer::start(Load {
        image_bytes: Some(IMAGE_BYTES),
        ..Load::default()
    })?;
    for body in bodies(&server)? {
        let record = normalize(&body)?;
        let sizes: Vec<usize> = record.images.iter().map(|image| image.bytes.len()).collect();
        if !matches!(answer(body), Answer::Final { passed: true, .. }) || sizes.len() != 1 {
            return Err("the load server's replies with images can't be read".into());
        }
        if sizes[0].abs_diff(IMAGE_BYTES) > 2 {
            return Err(format!("the load server's images have {sizes:?} bytes").into());
        }
    }
    let server = LoadServer::start(Load::default())?;
    if bodies(&server)?
        .into_iter()
        .any(|body| !matches!(answer(body), Answer::Final { .. }))
    {
        return Err("the load server's replies are not final".into());
    }
    let server = LoadServer::start(Load {
        quotas: vec![QUOTA],
        ..Load::default()
    })?;
    let bodies = bodies(&server)?.into_iter();
    let throttled = bodies
        .filter(|body| matches!(answer(body.clone()), Answer::Throttled { .. }))
        .count() as u64;
    // All of them came within the second that the window is long, however slow the machine is: else there are fewer.
    let calls = server.with_quota();
    let (first, last) = (calls.first().ok_or("no calls")?, calls.last().ok_or("no calls")?);
    let in_a_window = (last.arrived - first.arrived).as_secs() == 0;
    if in_a_window && throttled != CALLS - u64::from(QUOTA) {
        return Err(format!("the load server throttled {throttled} of {CALLS} calls at a quota of {QUOTA}").into());
    }
    Ok(())
}

fn answer(body: Vec<u8>) -> Answer {
    let reply = Reply {
        http_status: 200,
        body,
        retry_after: None,
        date: None,
    };
    classify(&reply, Timestamp::UNIX_EPOCH).answer
}

/// The bodies of so many calls over one connection.
fn bodies(server: &LoadServer) -> BenchResult<Vec<Vec<u8>>> {
    let host = server.url.strip_prefix("http://").ok_or("not an http URL")?;
    let mut stream = TcpStream::connect(host)?;
    (0..CALLS).map(|number| body(&mut stream, number)).collect()
}

fn body(stream: &mut TcpStream, number: u64) -> BenchResult<Vec<u8>> {
    let id = id(0, number);
    write!(
        stream,
        "POST /?MerchantBizId=b&TransactionId={id} HTTP/1.1\r\nhost: load\r\n\r\n"
    )?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let mut lines = std::str::from_utf8(&head)?.lines();
    let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.ok_or("a reply without a length")?.parse()?];
    stream.read_exact(&mut body)?;
    Ok(body)
}
