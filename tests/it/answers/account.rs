//! The vendor refuses the credentials, the account or the clock: the run stops at once, and nothing is charged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::common::server::{Answer, serve};
use crate::common::vendor::{Vendor, error, verdict};
use crate::common::{FRESH, Idvault};

const KEY: &str = "the vendor refused the credentials";
const RIGHTS: &str = "grant the RAM user or role the permission";
const ACCOUNT: &str = "the vendor refused the account";
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

#[test]
fn a_clock_that_is_more_than_fifteen_minutes_off_is_named() {
    let date = |offset: SignedDuration| {
        (Timestamp::now() + offset)
            .strftime("%a, %d %b %Y %H:%M:%S GMT")
            .to_string()
    };
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

#[test]
fn a_refusal_costs_no_more_calls_than_were_in_flight() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    vendor.otherwise(error(400, "SignatureDoesNotMatch"));
    let ids: Vec<String> = (0..300).map(|number| format!("t{number:03}")).collect();
    idvault.pending(&ids.iter().map(|id| (id.as_str(), FRESH)).collect::<Vec<_>>());
    idvault
        .run(&vendor, &["--concurrency", "4", "--qps", "unlimited"])
        .exits(8);
    let calls = vendor.calls().len();
    assert!((1..=4).contains(&calls), "{calls} calls");
    let charged: i64 = idvault
        .ledger()
        .query_row("SELECT sum(attempts) FROM transactions", [], |row| row.get(0))
        .unwrap();
    assert_eq!(charged, 0);
    assert_eq!(idvault.summary()["states"]["pending"], 300);
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
fn an_expired_token_that_can_not_be_renewed_stops_the_run() {
    for (source, calls) in [(vec!["canary-old"], 1), (vec!["canary-old", "canary-new"], 2)] {
        let (uri, asked) = tokens(&source);
        let (idvault, vendor) = (with_tokens(&uri), Vendor::start());
        vendor.script("t1", vec![error(400, "InvalidSecurityToken.Expired"); calls]);
        idvault.run(&vendor, &[]).exits(8).says("the security token is expired");
        assert_eq!(asked.load(Ordering::SeqCst), 2, "{source:?}");
        assert_eq!(idvault.row("t1").attempts, 0, "{source:?}");
    }
}
