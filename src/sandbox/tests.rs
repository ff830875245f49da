//! The sandbox over a real socket, called as a client would call it.

mod client;

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use self::client::{Call, Connection, NOW, Reply, Server, bind};
use super::*;
use crate::clock::FixedClock;
use crate::record::sha256_hex;

/// An id of that kind, without oddities.
fn id_of(kind: Kind) -> String {
    (0..100_000)
        .map(|n| format!("hks{n:029}"))
        .find(|id| answers::kind_of(id) == kind && answers::oddity_of(id).is_none())
        .unwrap()
}

#[test]
fn a_good_call_is_answered_as_the_id_says() {
    let server = Server::start(SandboxSettings::default());
    let mut connection = Connection::open(server.addr);
    for kind in [
        Kind::Passed,
        Kind::Failed("233"),
        Kind::Undecided,
        Kind::NotCompleted,
        Kind::IdInvalid,
        Kind::RepeatedInvoke,
    ] {
        let id = id_of(kind);
        let reply = connection.call(&Call::good(&id)).unwrap();
        let expected = answers::answer_for(&id, false);
        assert_eq!(
            (reply.http_status, &reply.body),
            (expected.http_status, &expected.body),
            "{kind:?}"
        );
        assert_eq!(reply.code(), kind.call_code());
        assert_eq!(reply.headers["x-acs-request-id"], expected.request_id);
    }
    let id = id_of(Kind::Passed);
    let with_image = connection
        .call(&Call::good(&id).parameter("IsReturnImage", "Y"))
        .unwrap();
    assert_eq!(with_image.body, answers::answer_for(&id, true).body);
    assert!(with_image.body.contains("/9j/4AAQSkZJRg"));
    let counts = server.counters.counts();
    assert_eq!(
        (counts.calls, counts.answered, counts.finals, counts.distinct),
        (7, 7, 3, 6)
    );
    assert!(server.counters.first_answered() <= server.counters.last_answered());
}

/// Each call gets its HTTP status and call code, and none is answered.
fn assert_refused(cases: Vec<(Call, u16, &str)>) {
    let server = Server::start(SandboxSettings::default());
    let count = u64::try_from(cases.len()).unwrap();
    for (call, http_status, code) in cases {
        let reply = server.call(&call).unwrap();
        let seen = (reply.http_status, reply.code());
        assert_eq!(seen, (http_status, code.to_owned()), "{}", reply.body);
        assert!(reply.headers.contains_key("x-acs-request-id"));
    }
    let counts = server.counters.counts();
    assert_eq!((counts.refused, counts.answered), (count, 0));
}

fn good() -> Call {
    Call::good("hks1")
}

#[test]
fn another_operation_or_date_is_refused() {
    let get = Call {
        method: "GET",
        ..good()
    };
    let elsewhere = Call { path: "/x", ..good() };
    let dated = |date| good().header("x-acs-date", date);
    assert_refused(vec![
        (get, 405, "UnsupportedHTTPMethod"),
        (elsewhere, 404, "InvalidAction.NotFound"),
        (
            good().header("x-acs-action", "Initialize"),
            404,
            "InvalidAction.NotFound",
        ),
        (good().header("x-acs-version", "2019-03-07"), 400, "InvalidVersion"),
        (good().without("x-acs-version"), 400, "IncompleteSignature"),
        (dated("2026-04-01T07:44:59Z"), 400, "InvalidTimeStamp.Expired"),
        (dated("2026-04-01T08:15:01Z"), 400, "InvalidTimeStamp.Expired"),
        (dated("yesterday"), 400, "InvalidTimeStamp.Format"),
    ]);
}

#[test]
fn a_signature_that_is_not_right_is_refused() {
    let unsigned = |name| Call {
        unsigned: vec![name],
        ..good()
    };
    let other_body = Call { body: "a=b", ..good() };
    let other_digest = good().header("x-acs-content-sha256", &sha256_hex(b"a=b"));
    let other_key = Call {
        key_id: "other",
        ..good()
    };
    let other_secret = Call {
        secret: "other",
        ..good()
    };
    assert_refused(vec![
        (other_body, 400, "SignatureDoesNotMatch"),
        (other_digest, 400, "SignatureDoesNotMatch"),
        (good().without("x-acs-signature-nonce"), 400, "IncompleteSignature"),
        (other_key, 404, "InvalidAccessKeyId.NotFound"),
        (other_secret, 400, "SignatureDoesNotMatch"),
        (unsigned("host"), 400, "SignatureDoesNotMatch"),
        (unsigned("x-acs-date"), 400, "SignatureDoesNotMatch"),
    ]);
}

#[test]
fn parameters_that_are_missing_or_malformed_are_refused() {
    let with = |name, value: &str| good().parameter(name, value);
    assert_refused(vec![
        (with("TransactionId", ""), 400, "MissingParameter"),
        (with("MerchantBizId", ""), 400, "MissingParameter"),
        (with("TransactionId", "a/b c"), 400, "InvalidParameter"),
        (with("TransactionId", &"a".repeat(65)), 400, "InvalidParameter"),
        (with("MerchantBizId", "with-dash"), 400, "InvalidParameter"),
        (with("MerchantBizId", &"a".repeat(33)), 400, "InvalidParameter"),
        (with("IsReturnImage", "yes"), 400, "InvalidParameter"),
    ]);
}

#[test]
fn a_call_at_the_edge_of_what_is_allowed_is_answered() {
    let server = Server::start(SandboxSettings::default());
    let edges = [
        Call::good("hks1").header("x-acs-date", "2026-04-01T07:45:00Z"),
        Call::good("hks1").header("x-acs-date", "2026-04-01T08:15:00Z"),
        Call::good("hks1").parameter("MerchantBizId", &"a".repeat(32)),
        Call::good("hks1").header("x-acs-security-token", "token"),
        Call {
            body: "a=b",
            ..Call::good("hks1").header("x-acs-content-sha256", &sha256_hex(b"a=b"))
        },
        Call {
            unsigned: vec!["user-agent"],
            ..Call::good("hks1").header("user-agent", "test")
        },
    ];
    for call in &edges {
        assert_eq!(server.call(call).unwrap().body, answers::answer_for("hks1", false).body);
    }
}

#[test]
fn a_nonce_is_good_once_and_is_not_used_up_by_a_wrong_signature() {
    let server = Server::start(SandboxSettings::default());
    let call = Call::good("hks1");
    let forged = Call {
        secret: "other",
        ..call.clone()
    };
    assert_eq!(server.call(&forged).unwrap().code(), "SignatureDoesNotMatch");
    assert_eq!(server.counters.counts().refused, 1);
    server.call(&call).unwrap();
    assert_eq!(server.counters.counts().answered, 1);
    assert_eq!(server.call(&call).unwrap().code(), "SignatureNonceUsed");
}

/// Time stands still but for what the test lets pass.
#[tokio::test(start_paused = true)]
async fn the_call_after_the_quota_is_throttled() {
    let sandbox = bind(SandboxSettings {
        qps: Some(50),
        ..SandboxSettings::default()
    })
    .await;
    let (addr, counters) = (sandbox.local_addr(), sandbox.counters());
    tokio::spawn(sandbox.run(std::future::pending()));
    let calls = move |count: usize| {
        tokio::task::spawn_blocking(move || {
            let mut connection = Connection::open(addr);
            let replies = (0..count).map(|_| connection.call(&Call::good("hks1")).unwrap());
            replies.collect::<Vec<_>>()
        })
    };
    let replies = calls(60).await.unwrap();
    let (admitted, throttled) = replies.split_at(50);
    assert!(admitted.iter().all(|reply| reply.http_status != 403));
    assert!(
        throttled
            .iter()
            .all(|reply| reply.http_status == 403 && reply.code() == "Throttling.Api")
    );
    let told: Vec<&str> = throttled
        .iter()
        .filter_map(|reply| reply.headers.get("x-acs-retry-after"))
        .map(String::as_str)
        .collect();
    assert!(
        told.iter().all(|millis| *millis == "1000") && (1..10).contains(&told.len()),
        "{told:?}"
    );
    assert_eq!((counters.counts().answered, counters.counts().throttled), (50, 10));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_ne!(calls(1).await.unwrap()[0].http_status, 403);
}

#[test]
fn a_server_error_has_a_5xx_and_not_always_a_code() {
    let server = Server::with_faults("5xx=1");
    let replies: Vec<Reply> = (0..30).map(|_| server.call(&Call::good("hks1")).unwrap()).collect();
    for (http_status, text) in [
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (502, "Bad Gateway"),
    ] {
        assert!(
            replies
                .iter()
                .any(|reply| reply.http_status == http_status && reply.body.contains(text))
        );
    }
    assert_eq!(server.counters.counts().faults, 30);
}

#[test]
fn a_throttling_fault_needs_no_quota() {
    let server = Server::with_faults("throttle=1");
    assert_eq!(server.call(&Call::good("hks1")).unwrap().code(), "Throttling.Api");
    assert_eq!(server.counters.counts().faults, 1);
}

#[test]
fn a_reset_comes_before_any_byte() {
    let server = Server::with_faults("reset=1");
    let mut connection = Connection::open(server.addr);
    connection.0.write_all(&Call::good("hks1").bytes()).unwrap();
    let error = connection.0.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_cut_body_ends_in_the_middle_of_what_was_announced() {
    let server = Server::with_faults("cut=1");
    for call in [
        Call::good(&id_of(Kind::Passed)),
        Call::good(&id_of(Kind::Passed)).parameter("IsReturnImage", "Y"),
    ] {
        let mut connection = Connection::open(server.addr);
        connection.0.write_all(&call.bytes()).unwrap();
        let mut received = Vec::new();
        connection.0.read_to_end(&mut received).unwrap();
        let received = String::from_utf8(received).unwrap();
        let (head, body) = received.split_once("\r\n\r\n").unwrap();
        let whole = answers::answer_for(&id_of(Kind::Passed), call.query.len() == 3).body;
        assert!(head.contains(&format!("content-length: {}", whole.len())));
        assert_eq!(body, &whole[..whole.len() / 2]);
    }
}

#[test]
fn a_malformed_body_is_whole_but_not_json() {
    let server = Server::with_faults("malformed=1");
    let reply = server.call(&Call::good(&id_of(Kind::Passed))).unwrap();
    assert_eq!(reply.http_status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&reply.body).is_err());
}

#[test]
fn a_proxys_page_comes_with_502_or_200() {
    let server = Server::with_faults("html=1");
    let mut seen = [false; 2];
    for _ in 0..20 {
        let reply = server.call(&Call::good("hks1")).unwrap();
        assert!(reply.headers["content-type"].starts_with("text/html") && reply.body.starts_with("<html>"));
        seen[usize::from(reply.http_status == 502)] = true;
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn a_hanging_call_gets_nothing_and_does_not_keep_the_sandbox_from_stopping() {
    let server = Server::with_faults("hang=1");
    let mut connection = Connection::open(server.addr);
    connection.0.write_all(&Call::good("hks1").bytes()).unwrap();
    connection.0.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let error = connection.0.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    server.stop.send(()).unwrap();
    let stopped = async { tokio::time::timeout(Duration::from_secs(5), server.running).await };
    server.runtime.block_on(stopped).unwrap().unwrap().unwrap();
}

#[test]
fn latency_is_kept() {
    let latency = Duration::from_millis(30)..=Duration::from_millis(60);
    let server = Server::start(SandboxSettings {
        latency,
        ..SandboxSettings::default()
    });
    let born = tokio::time::Instant::now();
    server.call(&Call::good("hks1")).unwrap();
    assert!(born.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let refusal = async |settings| {
        let clock = Arc::new(FixedClock(NOW.parse().unwrap()));
        Sandbox::bind(settings, clock).await.unwrap_err().to_string()
    };
    let outside = SandboxSettings {
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..SandboxSettings::default()
    };
    let backwards = SandboxSettings {
        latency: Duration::from_millis(2)..=Duration::from_millis(1),
        ..SandboxSettings::default()
    };
    assert_eq!(
        refusal(outside).await,
        "the sandbox listens on a loopback address only, and 0.0.0.0:0 is none"
    );
    assert_eq!(
        refusal(backwards).await,
        "the sandbox's latency ends at 1ms, before it starts at 2ms"
    );
    assert!(!format!("{:?}", SandboxSettings::default()).contains(SANDBOX_ACCESS_KEY_SECRET));
}
