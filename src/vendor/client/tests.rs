use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::{Mutex, Weak};

use super::super::fault::Disposition;
use super::*;
use crate::clock::FixedClock;
use crate::record::{MerchantBizId, ProductCode, TransactionId};
use crate::vendor::credentials::CredentialsSource;
use crate::vendor::double::{Act, Double, http};

const SECRET: &str = "very-secret";

fn due(region: &str) -> Due {
    Due {
        number: 1,
        transaction_id: TransactionId::parse("hks0123").unwrap(),
        merchant_biz_id: Some(MerchantBizId::parse("biz9").unwrap()),
        product_code: ProductCode::parse("FACE_LIVENESS").unwrap(),
        region: Region::parse(region).unwrap(),
        verified_at: None,
        first_seen_at: Timestamp::UNIX_EPOCH,
        not_completed_runs: 0,
        failed_runs: 0,
    }
}

fn client_with(url: &str, token: Option<&str>, change: impl FnOnce(&mut ClientSettings)) -> Client {
    let mut settings = ClientSettings::new(Endpoints::single(&BaseUrl::parse(url).unwrap()));
    settings.attempt_timeout = Duration::from_secs(10);
    change(&mut settings);
    let credentials = Credentials::new("key-id", SECRET, token, None);
    let chain = CredentialsChain::fixed(credentials, CredentialsSource::Sandbox);
    let clock = FixedClock("2026-11-22T02:00:00.9Z".parse().unwrap());
    Client::new(settings, chain, Arc::new(clock)).unwrap()
}

fn client(url: &str) -> Client {
    client_with(url, None, |_| {})
}

async fn attempt(client: &Client) -> Result<Reply, Fault> {
    Ok(client.attempt(&due("ap-southeast-1"), None).await?.0)
}

/// The fault of an attempt at a server that does `act`, its messages free of ids and secrets.
async fn fault_of(act: impl Fn() -> Act + Send + Sync + 'static) -> Fault {
    let double = Double::start(move |_| act());
    let fault = attempt(&client(&double.url)).await.unwrap_err();
    let mut text = format!("{fault} {fault:?}");
    let mut source = fault.source();
    while let Some(error) = source {
        text.push_str(&error.to_string());
        source = error.source();
    }
    for hidden in ["hks0123", "biz9", SECRET, "Signature"] {
        assert!(!text.contains(hidden), "{text}");
    }
    fault
}

/// The vendor's side of the signature: from what came over the wire.
fn check_signature(head: &str) -> BTreeMap<String, String> {
    let (line, rest) = head.split_once("\r\n").unwrap();
    let headers: BTreeMap<String, String> = rest
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let target = line.strip_prefix("POST /?").unwrap().strip_suffix(" HTTP/1.1").unwrap();
    let found = &headers["authorization"];
    let names = found.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    let signed: Vec<(&str, &str)> = names.split(';').map(|name| (name, headers[name].as_str())).collect();
    let must_sign = headers
        .keys()
        .filter(|name| *name == "host" || name.starts_with("x-acs-"));
    assert!(must_sign.eq(signed.iter().map(|(name, _)| *name)), "{names}");
    let request = sign::Request {
        method: "POST",
        path: "/",
        canonical_query: target,
        headers: &signed,
        payload_sha256: sign::EMPTY_BODY_SHA256,
    };
    assert_eq!(&sign::authorization(&request, "key-id", SECRET), found);
    let mut seen = headers;
    seen.insert("query".to_owned(), target.to_owned());
    seen
}

#[tokio::test]
async fn each_attempt_is_signed_anew_and_the_connection_is_kept() {
    let double = Double::start(|_| {
        http(
            200,
            "Date: Sun, 22 Nov 2026 02:00:01 GMT\r\nx-acs-retry-after: 250\r\n",
            b"{}",
        )
    });
    let client = client_with(&double.url, Some("a-token"), |settings| settings.want_images = true);
    let reply = attempt(&client).await.unwrap();
    assert_eq!((reply.http_status, reply.body.as_slice()), (200, b"{}".as_slice()));
    assert_eq!(reply.retry_after, Some(Duration::from_millis(250)));
    assert_eq!(reply.date, Some("2026-11-22T02:00:01Z".parse().unwrap()));
    attempt(&client).await.unwrap();
    let seen: Vec<_> = double.requests().iter().map(|head| check_signature(head)).collect();
    assert_eq!(
        seen[0]["query"],
        "IsReturnImage=Y&MerchantBizId=biz9&TransactionId=hks0123"
    );
    for (name, value) in [
        ("x-acs-action", "CheckResult"),
        ("x-acs-version", "2022-08-09"),
        ("x-acs-date", "2026-11-22T02:00:00Z"),
        ("x-acs-security-token", "a-token"),
        ("x-acs-accesskey-id", "key-id"),
        ("accept", "application/json"),
        ("content-length", "0"),
        ("user-agent", concat!("idvault/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(seen[0][name], value);
    }
    assert_ne!(seen[0]["x-acs-signature-nonce"], seen[1]["x-acs-signature-nonce"]);
    assert_eq!(double.connections.load(Ordering::SeqCst), 1);
}

/// The pace goes by it: a second after a request was sent there is room for another, whenever it is answered.
#[tokio::test]
async fn what_a_request_holds_until_it_is_sent_is_dropped_before_it_is_answered() {
    let held = Arc::new(Mutex::new(Weak::<()>::new()));
    let watched = held.clone();
    let double = Double::start(move |_| {
        let dropped = (0..1_000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            watched.lock().unwrap().strong_count() == 0
        });
        http(if dropped { 200 } else { 500 }, "", b"")
    });
    let client = client(&double.url);
    for connection in ["new", "idle"] {
        let unsent = Arc::new(());
        *held.lock().unwrap() = Arc::downgrade(&unsent);
        let answered = client.attempt(&due("ap-southeast-1"), Some(Box::new(unsent))).await;
        assert_eq!(answered.unwrap().0.http_status, 200, "{connection}");
    }
    assert_eq!(double.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_a_token_none_is_sent_and_no_image_is_asked_for() {
    let double = Double::start(|_| http(200, "", b""));
    attempt(&client(&double.url)).await.unwrap();
    let seen = check_signature(&double.requests()[0]);
    assert!(!seen.contains_key("x-acs-security-token") && !seen.contains_key("x-acs-accesskey-id"));
    assert_eq!(seen["query"], "MerchantBizId=biz9&TransactionId=hks0123");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let double = Double::start(|_| http(302, "location: /elsewhere\r\n", b""));
    assert_eq!(attempt(&client(&double.url)).await.unwrap().http_status, 302);
    assert_eq!(double.requests().len(), 1);
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn what_is_too_large_is_never_read_to_its_end() {
    let announced =
        || Act::SendAndClose(format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", MAX_REPLY_BYTES + 1).into());
    assert_eq!(fault_of(announced).await.code(), "too_large");
    let streamed = || {
        let mut bytes = b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n".to_vec();
        bytes.resize(bytes.len() + MAX_REPLY_BYTES + 1, b' ');
        Act::SendAndClose(bytes)
    };
    assert_eq!(fault_of(streamed).await.code(), "too_large");
    let bomb = gzip(&vec![b' '; MAX_REPLY_BYTES + 1]);
    assert!(bomb.len() < 100_000);
    assert_eq!(
        fault_of(move || http(200, "content-encoding: gzip\r\n", &bomb))
            .await
            .code(),
        "too_large"
    );
}

#[tokio::test]
async fn gzip_is_undone_up_to_the_limit() {
    let packed = gzip(&vec![b' '; MAX_REPLY_BYTES]);
    let double = Double::start(move |_| http(200, "content-encoding: gzip\r\n", &packed));
    assert_eq!(attempt(&client(&double.url)).await.unwrap().body.len(), MAX_REPLY_BYTES);
}

#[tokio::test]
async fn silence_ends_in_a_timeout() {
    let double = Double::start(|_| Act::Hang);
    let short = Duration::from_millis(100);
    let slow = client_with(&double.url, None, |settings| settings.attempt_timeout = short);
    assert_eq!(attempt(&slow).await.unwrap_err().code(), "timeout");
    let slow = client_with(&double.url, None, |settings| settings.read_timeout = short);
    assert_eq!(attempt(&slow).await.unwrap_err().code(), "timeout");
}

#[tokio::test]
async fn a_cut_body_and_a_lost_connection_are_broken() {
    let cut = || Act::SendAndClose(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{".to_vec());
    assert_eq!(fault_of(cut).await.code(), "broken");
    assert_eq!(fault_of(|| Act::SendAndClose(vec![])).await.code(), "broken");
    assert_eq!(
        fault_of(|| Act::SendAndClose(b"SSH-2.0\r\n".to_vec())).await.code(),
        "broken"
    );
    let packed = gzip(&[b'x'; 1000]);
    let cut = move || http(200, "content-encoding: gzip\r\n", &packed[..packed.len() - 12]);
    assert_eq!(fault_of(cut).await.code(), "broken");
}

#[tokio::test]
async fn nobody_there_and_no_endpoint() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let client = client(&format!("http://127.0.0.1:{port}"));
    let fault = attempt(&client).await.unwrap_err();
    assert_eq!((fault.code(), fault.disposition()), ("connect", Disposition::Retry));
    assert!(fault.source().is_some());
    let fault = client.attempt(&due("mars-1"), None).await.unwrap_err();
    assert_eq!(
        (fault.code(), fault.disposition()),
        ("no_endpoint", Disposition::Refuse)
    );
}

#[tokio::test]
async fn fixed_credentials_have_nothing_newer_and_bad_ones_abort() {
    let double = Double::start(|_| http(200, "", b""));
    let client = client_with(&double.url, Some("line\nbreak"), |_| {});
    assert!(!client.refresh_credentials().await.unwrap());
    let fault = attempt(&client).await.unwrap_err();
    assert_eq!((fault.code(), fault.disposition()), ("credentials", Disposition::Abort));
    assert!(double.requests().is_empty());
}

#[test]
fn the_vendors_own_endpoints_have_a_client() {
    let settings = ClientSettings::new(Endpoints::built_in(crate::vendor::Network::Public));
    let chain = CredentialsChain::fixed(Credentials::new("i", SECRET, None, None), CredentialsSource::Sandbox);
    let client = Client::new(settings, chain, Arc::new(FixedClock(Timestamp::UNIX_EPOCH))).unwrap();
    assert!(!format!("{client:?}").contains(SECRET));
}

#[test]
fn retry_after_is_read_as_the_vendors_sdk_does_and_never_longer_than_ten_seconds() {
    for (text, millis) in [
        ("1", Some(1)),
        (" 1500 ", Some(1500)),
        ("10001", Some(10_000)),
        ("99999999999999999999999", Some(10_000)),
        ("0", None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ] {
        assert_eq!(parse_retry_after(text), millis.map(Duration::from_millis), "{text}");
    }
}
