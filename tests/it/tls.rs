//! Who is trusted over TLS, and that nobody else gets a byte of a request: real handshakes with the real binary.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::common::server::{Answer, serve};
use crate::common::tls::{Authority, Heard, Identity, proxy_as, serve_tls, vendor_as};
use crate::common::vendor::{Vendor, error, verdict};
use crate::common::{FRESH, Idvault, KEY_ID, NOW};

/// The years in which a good certificate is valid.
const GOOD: (i32, i32) = (2000, 3000);

/// Calls in flight.
const CONCURRENCY: usize = 4;

const UNTRUSTED: &str = "it is self-signed or of an unknown CA; name a CA of your own with tls.ca_file";

/// A folder with a key, `count` ids, and a configuration that trusts `authority`.
fn trusting(authority: &Authority, count: usize) -> Idvault {
    let idvault = Idvault::new();
    idvault.write("ca.pem", &authority.pem);
    idvault.write("idvault.toml", "[tls]\nca_file = 'ca.pem'\n");
    let ids: Vec<String> = (0..count).map(|number| format!("t{number:03}")).collect();
    idvault.pending(&ids.iter().map(|id| (id.as_str(), FRESH)).collect::<Vec<_>>());
    idvault
}

/// A run that ends for the certificate: soon, with the sentence, nothing charged, and no byte of a request sent.
#[track_caller]
fn refused(idvault: &Idvault, vendor: &Vendor, heard: &Heard, why: &str, ids: u64) {
    let concurrency = CONCURRENCY.to_string();
    let args = ["--concurrency", &concurrency, "--qps", "unlimited", "-vv"];
    let ended = idvault.run(vendor, &args).exits(8);
    let host = vendor.url.strip_prefix("https://").unwrap();
    let sentence = format!("the certificate of {host} is not trusted: {why}. Nothing was sent there");
    let ended = ended.says(&sentence);
    assert!(ended.took < Duration::from_secs(10), "{why}: {:?}", ended.took);
    assert!(vendor.calls().is_empty(), "{why}");
    assert_eq!(heard.application_bytes(), 0, "{why}");
    assert!(heard.wire_bytes() > 0, "{why}: it was asked at all");
    assert!((1..=CONCURRENCY).contains(&heard.connections()), "{why}: {heard:?}");
    let summary = idvault.summary();
    assert_eq!(summary["reasons"][0]["reason"], sentence, "{why}");
    assert_eq!(summary["states"]["pending"], ids, "{why}");
    let sum = "SELECT sum(attempts) + sum(failed_runs) FROM transactions";
    let charged: i64 = idvault.ledger().query_row(sum, [], |row| row.get(0)).unwrap();
    assert_eq!(charged, 0, "{why}");
}

#[test]
fn a_certificate_that_proves_nothing_ends_the_run_before_a_byte_is_sent() {
    let (trusted, other) = (Authority::new("trusted"), Authority::new("other"));
    for (identity, why) in [
        (Identity::self_signed("localhost"), UNTRUSTED),
        (other.signs("localhost", GOOD), UNTRUSTED),
        (
            trusted.signs("localhost", (2000, 2020)),
            "it is expired; where it is not, this machine's clock is wrong",
        ),
        (
            trusted.signs("localhost", (2990, 3000)),
            "it is not valid yet; where it is, this machine's clock is wrong",
        ),
        (trusted.signs("vendor.example", GOOD), "it was made out to another name"),
    ] {
        let (vendor, heard) = vendor_as(identity);
        refused(&trusting(&trusted, 40), &vendor, &heard, why, 40);
    }
}

#[test]
fn with_a_ca_of_ones_own_a_run_goes_over_real_tls_and_keeps_its_connection() {
    let authority = Authority::new("trusted");
    let (vendor, heard) = vendor_as(authority.signs("localhost", GOOD));
    vendor.otherwise(verdict("Y", "200"));
    let idvault = trusting(&authority, 40);
    idvault.run(&vendor, &["--concurrency", "1"]).exits(0);
    assert_eq!(vendor.calls().len(), 40);
    assert_eq!(heard.connections(), 1, "the connection is used again");
    assert!(heard.application_bytes() > 0);
    assert_eq!(idvault.archived().len(), 40);
    idvault.execute(&["verify", "--read-data"]).exits(0);
}

/// Those that follow would else reach the vendor in one second with them.
#[test]
fn calls_that_wait_for_their_connection_keep_others_from_passing() {
    const CALLS_PER_SECOND: usize = 5;
    let rate = CALLS_PER_SECOND.to_string();
    let authority = Authority::new("trusted");
    let (vendor, heard) = vendor_as(authority.signs("localhost", GOOD));
    // Each call has a connection of its own.
    vendor.otherwise(verdict("Y", "200").header("connection", "close"));
    let idvault = trusting(&authority, CALLS_PER_SECOND * 8);
    idvault.write(
        "idvault.toml",
        "[tls]\nca_file = 'ca.pem'\n[timeouts]\nconnect = '60s'\n",
    );
    std::thread::scope(|scope| {
        let night = scope.spawn(|| idvault.run(&vendor, &["--qps", &rate]).exits(0));
        let wait_until = |so: &dyn Fn() -> bool| {
            let start = Instant::now();
            while !so() && start.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        // The first call goes alone.
        wait_until(&|| !vendor.calls().is_empty());
        let held = heard.hold_handshakes();
        let waiting = || heard.connections() - vendor.calls().len();
        wait_until(&|| waiting() >= CALLS_PER_SECOND);
        std::thread::sleep(Duration::from_millis(1_500));
        assert_eq!(waiting(), CALLS_PER_SECOND);
        drop(held);
        night.join().unwrap().says("40 published");
    });
}

/// A proxy of a company's, or of somebody between it and the vendor.
#[test]
fn a_proxy_that_looks_into_tls_gets_nothing_unless_its_ca_is_trusted() {
    let (trusted, other) = (Authority::new("trusted"), Authority::new("other"));
    for (authority, code) in [(&other, 8), (&trusted, 0)] {
        let (vendor, heard) = proxy_as(authority.signs("vendor.invalid", GOOD));
        let mut idvault = trusting(&trusted, 1);
        idvault.env("HTTPS_PROXY", &vendor.url);
        if code == 0 {
            vendor.otherwise(verdict("Y", "200"));
        }
        let endpoint = "https://vendor.invalid";
        let args = [
            "run",
            "--pending",
            "pending.csv",
            "--now",
            NOW,
            "--endpoint",
            endpoint,
            "-vv",
        ];
        let ended = idvault.execute(&args).exits(code);
        assert_eq!(heard.connections(), 1);
        let tunnels = heard.tunnels();
        assert!(
            tunnels[0].starts_with("CONNECT vendor.invalid:443 HTTP/1.1\r\n"),
            "{tunnels:?}"
        );
        assert!(
            !tunnels[0].contains(KEY_ID) && !tunnels[0].contains("t000"),
            "{tunnels:?}"
        );
        if code == 0 {
            assert_eq!(idvault.archived().len(), 1);
        } else {
            ended.says(&format!(
                "the certificate of vendor.invalid is not trusted: {UNTRUSTED}"
            ));
            assert_eq!(heard.application_bytes(), 0);
            assert_eq!(idvault.row("t000").attempts, 0);
        }
    }
}

/// The vendor is asked through a proxy that stands in its place, so that no address of it is on this machine.
#[test]
fn a_time_far_ahead_loses_nothing_where_the_vendor_itself_is_asked() {
    let trusted = Authority::new("trusted");
    let (vendor, _) = proxy_as(trusted.signs("vendor.invalid", GOOD));
    let mut idvault = trusting(&trusted, 1);
    idvault.env("HTTPS_PROXY", &vendor.url);
    vendor.script("open", [error(404, "ProcessNotCompleted")]);
    vendor.script("unknown", [error(400, "TransactionIdInvalid")]);
    vendor.script("good", [verdict("Y", "200")]);
    let run = |ids: &str, now: &str| {
        idvault.write("pending.csv", format!("transaction_id\n{ids}"));
        let endpoint = "https://vendor.invalid";
        idvault.execute(&["run", "--pending", "pending.csv", "--now", now, "--endpoint", endpoint])
    };
    let ended = run("open\nunknown\n", "2099-01-01T00:00:00Z").exits(4);
    ended.says("--now is ahead of this machine's clock");
    assert!(idvault.row("open").next_due_at < "2098-01-01T00:00:00Z".parse().unwrap());
    run("good\n", "2099-06-01T00:00:00Z").exits(4);
    assert_eq!(idvault.row("good").state, "archived");
    assert_eq!(idvault.row("open").state, "pending");
    assert_eq!(idvault.row("unknown").state, "quarantined");
}

#[test]
fn the_machines_own_cas_can_be_moved_and_are_trusted_beside_those_of_the_configuration() {
    let (own, machines) = (Authority::new("own"), Authority::new("machine's"));
    let mut idvault = trusting(&own, 1);
    idvault.write("machine.pem", &machines.pem);
    let file = idvault.path("machine.pem");
    idvault.env("SSL_CERT_FILE", file.to_str().unwrap());
    for (number, authority) in [own, machines].iter().enumerate() {
        let (vendor, _) = vendor_as(authority.signs("localhost", GOOD));
        let id = format!("t{number}");
        vendor.script(&id, [verdict("Y", "200")]);
        idvault.pending(&[(&id, FRESH)]);
        idvault.run(&vendor, &[]).exits(0);
    }
    assert_eq!(idvault.archived().len(), 2);
}

#[test]
fn a_file_of_cas_that_can_not_be_used_is_a_fault_of_the_configuration() {
    let authority = Authority::new("trusted");
    let middle = authority.pem.len() / 2;
    let damaged = authority.pem.lines().filter(|line| !line.is_empty());
    let damaged: String = damaged
        .enumerate()
        .filter(|(n, _)| *n != 2)
        .flat_map(|(_, line)| [line, "\n"])
        .collect();
    for (text, sentence) in [
        (None, "failed to read the CA certificates in ca.pem"),
        (Some(String::new()), "there is no CA certificate in ca.pem"),
        (
            Some("trust everyone\n".to_owned()),
            "there is no CA certificate in ca.pem",
        ),
        (
            Some(authority.pem[..middle].to_owned()),
            "failed to understand the CA certificates in ca.pem",
        ),
        (Some(damaged), "certificate 1 in ca.pem is damaged"),
        (
            Some(authority.pem.repeat((1 << 20) / authority.pem.len() + 1)),
            "the CA certificates in ca.pem are longer than 1048576 bytes",
        ),
    ] {
        let (vendor, heard) = vendor_as(authority.signs("localhost", GOOD));
        let idvault = trusting(&authority, 1);
        std::fs::remove_file(idvault.path("ca.pem")).unwrap();
        if let Some(text) = &text {
            idvault.write("ca.pem", text);
        }
        idvault
            .run(&vendor, &[])
            .exits(3)
            .says("tls.ca_file is wrong: ")
            .says(sentence);
        assert_eq!(heard.connections(), 0, "{sentence}");
    }
}

#[test]
fn the_check_of_certificates_can_not_be_switched_off() {
    let idvault = trusting(&Authority::new("trusted"), 1);
    for name in [
        "--insecure",
        "-k",
        "--no-verify",
        "--no-check-certificate",
        "--tls-skip-verify",
    ] {
        idvault.execute(&["run", name]).exits(2).says(name);
    }
    for text in [
        "insecure = true",
        "verify = false",
        "skip_verify = true",
        "check = false",
    ] {
        for config in [text.to_owned(), format!("[tls]\n{text}")] {
            idvault.write("idvault.toml", &config);
            idvault.execute(&["run"]).exits(3).says("unknown field");
        }
    }
    let mut idvault = trusting(&Authority::new("trusted"), 1);
    for name in [
        "IDVAULT_INSECURE",
        "IDVAULT_TLS_INSECURE",
        "IDVAULT_TLS_VERIFY",
        "SSL_NO_VERIFY",
        "CURL_INSECURE",
        "GIT_SSL_NO_VERIFY",
    ] {
        idvault.env(
            name,
            if name.ends_with("_VERIFY") && !name.contains("NO") {
                "false"
            } else {
                "true"
            },
        );
    }
    idvault.env("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    idvault.env("PYTHONHTTPSVERIFY", "0");
    let (vendor, heard) = vendor_as(Identity::self_signed("localhost"));
    refused(&idvault, &vendor, &heard, UNTRUSTED, 1);
}

#[test]
fn plain_http_to_another_machine_is_refused_wherever_it_is_set() {
    let far = "http://192.0.2.1";
    let sentence = "plain http is only for a loopback address, and 192.0.2.1 is none: use https";
    let idvault = Idvault::new();
    idvault.execute(&["run", "--endpoint", far]).exits(3).says(sentence);
    for config in [
        format!("endpoint = '{far}'"),
        format!("[endpoints]\nap-southeast-1 = '{far}'"),
        format!("[endpoints]\nap-northeast-9 = '{far}'"),
    ] {
        idvault.write("idvault.toml", &config);
        idvault.execute(&["run"]).exits(3).says(sentence);
    }
    let mut idvault = Idvault::new();
    idvault.env("IDVAULT_ENDPOINT", far);
    idvault.execute(&["run"]).exits(3).says(sentence);
    assert!(!idvault.data("").exists(), "it ended before anything began");
}

/// A server that counts who asks it.
fn elsewhere() -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let url = serve(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        verdict("Y", "200")
    });
    (url, asked)
}

#[test]
fn a_redirect_is_not_followed_not_even_to_the_same_machine() {
    let authority = Authority::new("trusted");
    let (other, asked) = elsewhere();
    for http_status in [301, 302, 303, 307, 308] {
        for (vendor, from) in [
            (Vendor::start(), "http"),
            (vendor_as(authority.signs("localhost", GOOD)).0, "https"),
        ] {
            let idvault = trusting(&authority, 1);
            idvault.write(
                "idvault.toml",
                "[tls]\nca_file = 'ca.pem'\n[retry]\nattempts_per_call = 1\n",
            );
            vendor.script(
                "t000",
                [Answer::new(http_status, "").header("location", &format!("{other}/"))],
            );
            idvault.run(&vendor, &[]).exits(4);
            assert_eq!(vendor.calls().len(), 1, "{from}, {http_status}");
            assert_eq!(idvault.row("t000").state, "pending", "{from}, {http_status}");
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// Without an environment's key: credentials come from `uri`.
fn with_uri(authority: &Authority, uri: &str) -> Idvault {
    let mut idvault = Idvault::without_credentials();
    idvault.env("ALIBABA_CLOUD_CREDENTIALS_URI", uri);
    idvault.write("ca.pem", &authority.pem);
    idvault.write("idvault.toml", "[tls]\nca_file = 'ca.pem'\n");
    idvault.pending(&[("t1", FRESH)]);
    idvault
}

#[test]
fn the_credentials_uri_is_held_to_the_same() {
    let authority = Authority::new("trusted");
    let expiration = Timestamp::now() + SignedDuration::from_hours(1);
    let keys = json!({
        "Code": "Success", "AccessKeyId": "STS.key", "AccessKeySecret": "canary-uri-secret", "SecurityToken": "canary-uri-token",
        "Expiration": expiration.to_string(),
    });
    let vendor = Vendor::start();

    let heard = Arc::new(Heard::default());
    let uri = serve_tls(Identity::self_signed("localhost"), heard.clone(), |_| unreachable!());
    let idvault = with_uri(&authority, &format!("{uri}/canary-path"));
    idvault
        .run(&vendor, &[])
        .exits(8)
        .says("its certificate is not trusted: ")
        .says(UNTRUSTED);
    assert_eq!(heard.application_bytes(), 0, "nor the path, which can be a secret");

    let (other, asked) = elsewhere();
    let redirect = Answer::new(302, "").header("location", &other);
    let idvault = with_uri(&authority, &serve(move |_| redirect.clone()));
    idvault.run(&vendor, &[]).exits(8).says("the credentials URI: http 302");
    assert_eq!(asked.load(Ordering::SeqCst), 0);

    let uri = serve_tls(authority.signs("localhost", GOOD), Arc::default(), move |_| {
        Answer::new(200, keys.to_string())
    });
    let idvault = with_uri(&authority, &uri);
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(
        vendor.calls()[0].request.header("x-acs-security-token"),
        "canary-uri-token"
    );

    let idvault = with_uri(&authority, "http://192.0.2.1/");
    idvault.run(&vendor, &[]).exits(8).says("refused to fetch credentials");
    idvault.write("idvault.toml", "[credentials]\nmetadata_url = 'http://192.0.2.1'\n");
    let ended = idvault.execute(&["run", "--pending", "pending.csv", "--now", NOW]);
    ended
        .exits(3)
        .says("only a loopback address or 100.100.100.200 is allowed");
}
