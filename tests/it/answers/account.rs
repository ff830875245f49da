//! The vendor refuses the credentials, the account or the clock: the run stops at once, and nothing is charged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::common::server::{Answer, serve};
use crate::common::vendor::{Vendor, error, verdict};
use crate::common::{Ended, FRESH, Idvault};

const KEY: &str = "the vendor refused the credentials";
const RIGHTS: &str = "grant the RAM user or role the permission";
const ACCOUNT: &str = "the vendor refused the account";
const EXPIRED: &str = "the security token is expired";
const TIME: &str = "check that this machine's clock";

/// One id whose answer stops the run.
#[track_caller]
fn stops(answer: Answer, sentence: &str) {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let case = String::from_utf8_lossy(&answer.body).into_owned();
    vendor.script("t1", [answer]);
    idvault.pending(&[("t1", FRESH)]);
    let ended = idvault.run(&vendor, &[]);
    assert_eq!(ended.code, 8, "{case}: {}", ended.stderr);
    assert!(ended.stderr.contains(sentence), "{case}: {}", ended.stderr);
    let row = idvault.row("t1");
    assert_eq!(
        (row.state.as_str(), row.attempts, row.failed_runs),
        ("pending", 0, 0),
        "{case}"
    );
    let summary = idvault.summary();
    assert_eq!(summary["exit_code"], 8, "{case}");
    assert!(
        summary["reasons"][0]["reason"].as_str().unwrap().contains(sentence),
        "{case}"
    );
}

#[test]
fn each_refusal_of_key_rights_account_or_time_stops_the_run_and_names_its_cause() {
    for (http_status, code, sentence) in [
        (400, "SignatureDoesNotMatch", KEY),
        (400, "IncompleteSignature", KEY),
        (404, "InvalidAccessKeyId.NotFound", KEY),
        (400, "InvalidAccessKeyId.Inactive", KEY),
        (400, "InvalidAccessKeySecret", KEY),
        (400, "MissingAccessKeyId", KEY),
        (400, "InvalidSecurityToken.Malformed", KEY),
        (403, "Forbidden.RAM", RIGHTS),
        (403, "Forbidden.RAMUserAccessDenied", RIGHTS),
        (403, "NoPermission", RIGHTS),
        (403, "Forbidden", RIGHTS),
        (403, "Forbidden.AccountAccessDenied", ACCOUNT),
        (400, "Account.Arrearage", ACCOUNT),
        (400, "InvalidAccountStatus.NotEnoughBalance", ACCOUNT),
        (400, "InvalidTimeStamp.Expired", TIME),
        (400, "IllegalTimestamp", TIME),
        (200, "SignatureDoesNotMatch", KEY),
        (500, "InvalidAccessKeyId.NotFound", KEY),
    ] {
        stops(error(http_status, code), sentence);
        stops(error(http_status, code), code);
    }
}

#[test]
fn a_refusal_in_xml_or_lower_case_stops_the_run_too() {
    let xml =
        "<?xml version='1.0' encoding='UTF-8'?>\n<Error>\n<RequestId>r</RequestId><Code>Forbidden.RAM</Code></Error>";
    stops(Answer::new(403, xml), RIGHTS);
    stops(Answer::new(403, r#"{"code":"forbidden.ram","message":"no"}"#), RIGHTS);
}

/// A `Date` header of a vendor whose clock is so much ahead.
fn date(offset: SignedDuration) -> String {
    let at = Timestamp::now() + offset;
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn a_clock_that_is_more_than_fifteen_minutes_off_is_named() {
    let refused = |offset| error(400, "InvalidTimeStamp.Expired").header("date", &date(offset));
    stops(
        refused(SignedDuration::from_secs(20 * 60 + 59)),
        "this machine's clock is 20 min",
    );
    stops(
        refused(SignedDuration::from_secs(20 * 60 + 59)),
        "s behind the vendor's",
    );
    stops(
        refused(SignedDuration::from_mins(-20)),
        "this machine's clock is 20 min",
    );
    stops(refused(SignedDuration::from_mins(-20)), "s ahead of the vendor's");
    // A difference that the vendor allows is not blamed.
    stops(refused(SignedDuration::from_mins(5)), TIME);
}

/// Calls in flight per product.
const CONCURRENCY: usize = 8;
const IDS: usize = 300;

/// So long the vendor takes for an answer: all that may be in flight is, when the first one comes.
const LATENCY: Duration = Duration::from_millis(60);

/// A vendor that takes its time, and refuses a token before it looks at a script. Counts what it refused so.
fn slow_vendor(refused_token: &'static str) -> (Vendor, Arc<AtomicUsize>) {
    let refused = Arc::new(AtomicUsize::new(0));
    let counter = refused.clone();
    let vendor = Vendor::start_as(move |answer| {
        serve(move |request| {
            std::thread::sleep(LATENCY);
            if request.header("x-acs-security-token") == refused_token {
                counter.fetch_add(1, Ordering::SeqCst);
                return error(400, "InvalidSecurityToken.Expired");
            }
            answer(request)
        })
    });
    (vendor, refused)
}

/// Writes [`IDS`] rows, of as many products as are named.
fn many(idvault: &Idvault, products: &[&str]) {
    let rows = (0..IDS).map(|number| format!("t{number:03},{},{FRESH}\n", products[number % products.len()]));
    let header = "transaction_id,product_code,verified_at\n".to_owned();
    idvault.write("pending.csv", header + &rows.collect::<String>());
}

fn run(idvault: &Idvault, vendor: &Vendor) -> Ended {
    let concurrency = CONCURRENCY.to_string();
    idvault.run(vendor, &["--concurrency", &concurrency, "--qps", "unlimited"])
}

/// Nothing is charged, and everything is as it was.
#[track_caller]
fn assert_uncharged(idvault: &Idvault, case: &str) {
    let sum = "SELECT sum(attempts) + sum(failed_runs) + sum(not_completed_runs) FROM transactions";
    let charged: i64 = idvault.ledger().query_row(sum, [], |row| row.get(0)).unwrap();
    assert_eq!(charged, 0, "{case}");
    assert_eq!(idvault.summary()["states"]["pending"], IDS, "{case}");
    assert_eq!(idvault.report_rows("quarantine.csv").len(), 0, "{case}");
}

#[test]
fn a_refusal_of_the_account_costs_one_call_and_charges_none() {
    let late = date(SignedDuration::from_secs(20 * 60 + 30));
    for (answer, sentence) in [
        (error(400, "SignatureDoesNotMatch"), KEY),
        (error(404, "InvalidAccessKeyId.NotFound"), KEY),
        (error(403, "Forbidden.RAM"), RIGHTS),
        (error(400, "Account.Arrearage"), ACCOUNT),
        (error(400, "InvalidAccountStatus.NotEnoughBalance"), ACCOUNT),
        (
            error(400, "InvalidTimeStamp.Expired").header("date", &late),
            "this machine's clock is 20 min",
        ),
        // Nothing newer can be had for a key in the environment.
        (error(400, "InvalidSecurityToken.Expired"), EXPIRED),
    ] {
        for products in [&["FACE_LIVENESS"][..], &["FACE_LIVENESS", "eKYC", "ID_OCR"]] {
            let case = format!("{sentence}, {} products", products.len());
            let (idvault, (vendor, _)) = (Idvault::new(), slow_vendor("none"));
            vendor.otherwise(answer.clone());
            many(&idvault, products);
            let ended = run(&idvault, &vendor).exits(8).says(sentence);
            assert_eq!(
                ended.stderr.matches(sentence).count(),
                1,
                "{case}: said once: {}",
                ended.stderr
            );
            let calls = vendor.calls().len();
            assert_eq!(calls, 1, "{case}: the first call of a region goes alone");
            assert_uncharged(&idvault, &case);
        }
    }
}

#[test]
fn what_came_before_the_refusal_is_archived() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.script("t1", [verdict("Y", "200")]);
    vendor.script("t2", [error(400, "InvalidAccessKeyId.Inactive")]);
    idvault.pending(&[("t1", "2026-11-01T00:00:00Z"), ("t2", FRESH)]);
    idvault.run(&vendor, &["--concurrency", "1"]).exits(8);
    assert_eq!(idvault.archived().into_keys().collect::<Vec<_>>(), ["t1"]);
    // With the key mended, the night goes on where it stopped.
    vendor.script("t2", [verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(0);
    assert_eq!(idvault.archived().len(), 2);
}

/// A credentials URI that gives these tokens, one a call and then the last one, and how often it was asked.
fn tokens(tokens: &[&str]) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (counter, tokens) = (
        asked.clone(),
        Mutex::new(tokens.iter().map(ToString::to_string).collect::<Vec<_>>()),
    );
    let url = serve(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        let mut tokens = tokens.lock().unwrap();
        let token = if tokens.len() > 1 {
            tokens.remove(0)
        } else {
            tokens[0].clone()
        };
        let answer = json!({
            "Code": "Success",
            "AccessKeyId": "STS.key",
            "AccessKeySecret": "canary-sts-secret",
            "SecurityToken": token,
            "Expiration": (Timestamp::now() + SignedDuration::from_hours(1)).to_string(),
        });
        Answer::new(200, answer.to_string())
    });
    (url, asked)
}

fn with_tokens(uri: &str) -> Idvault {
    let mut idvault = Idvault::without_credentials();
    idvault.env("ALIBABA_CLOUD_CREDENTIALS_URI", uri);
    idvault.pending(&[("t1", FRESH)]);
    idvault
}

#[test]
fn an_expired_token_is_renewed_once_and_the_call_goes_on_uncharged() {
    let (uri, asked) = tokens(&["canary-old", "canary-new"]);
    let (idvault, vendor) = (with_tokens(&uri), Vendor::start());
    vendor.script("t1", [error(400, "InvalidSecurityToken.Expired"), verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(0);
    let calls = vendor.calls();
    let sent: Vec<&str> = calls
        .iter()
        .map(|call| call.request.header("x-acs-security-token"))
        .collect();
    assert_eq!(sent, ["canary-old", "canary-new"]);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let row = idvault.row("t1");
    assert_eq!((row.state.as_str(), row.attempts), ("archived", 1));
}

#[test]
fn a_token_that_expires_in_mid_run_is_renewed_once_for_all_calls_in_flight() {
    let (uri, asked) = tokens(&["canary-old", "canary-new"]);
    let (idvault, (vendor, refused)) = (with_tokens(&uri), slow_vendor("canary-old"));
    vendor.otherwise(verdict("Y", "200"));
    many(&idvault, &["FACE_LIVENESS"]);
    run(&idvault, &vendor).exits(0);
    let refused = refused.load(Ordering::SeqCst);
    assert!((1..=CONCURRENCY).contains(&refused), "{refused}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(vendor.calls().len(), IDS);
    assert_eq!(idvault.archived().len(), IDS);
    let sql = "SELECT count(*) FROM transactions WHERE attempts = 1";
    let once: usize = idvault.ledger().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(once, IDS, "the refused attempts were not charged");
}

#[test]
fn a_token_that_is_renewed_in_vain_stops_the_run_for_all_calls_in_flight() {
    for (source, tries) in [(&["canary-old"][..], 1), (&["canary-old", "canary-new"], 2)] {
        let (uri, asked) = tokens(source);
        let (idvault, (vendor, _)) = (with_tokens(&uri), slow_vendor("none"));
        vendor.otherwise(error(400, "InvalidSecurityToken.Expired"));
        many(&idvault, &["FACE_LIVENESS"]);
        run(&idvault, &vendor).exits(8).says(EXPIRED);
        let calls = vendor.calls().len();
        assert!(
            (tries..=tries * CONCURRENCY).contains(&calls),
            "{source:?}: {calls} calls"
        );
        assert_eq!(
            asked.load(Ordering::SeqCst),
            2,
            "{source:?}: once at first, and once more"
        );
        assert_uncharged(&idvault, &format!("{source:?}"));
    }
}
