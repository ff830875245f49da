//! The reports name the cause: who failed, where, how often, and whether it was this machine.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::server::{Answer, Manner, serve};
use crate::common::vendor::{Vendor, error, throttled, verdict};
use crate::common::{Ended, FRESH, Idvault, NOW};

/// An endpoint of another machine, so that a proxy is used.
const OUTSIDE: &str = "https://vendor.example";

fn with_rows(count: usize) -> Idvault {
    let idvault = Idvault::new();
    let ids: Vec<String> = (0..count).map(|number| format!("t{number}")).collect();
    let rows: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), FRESH)).collect();
    idvault.pending(&rows);
    idvault
}

fn run(idvault: &Idvault, endpoint: &str) -> Ended {
    idvault.execute(&[
        "run",
        "--endpoint",
        endpoint,
        "--pending",
        "pending.csv",
        "--now",
        NOW,
        "--qps",
        "1000",
    ])
}

/// The reason with this id in the summary; it must be said on the page and in the log, too.
#[track_caller]
fn reason(idvault: &Idvault, ended: &Ended, id: &str) -> Value {
    let summary = idvault.summary();
    let reasons = summary["reasons"].as_array().unwrap();
    let found = reasons.iter().find(|reason| reason["id"] == id);
    let found = found.unwrap_or_else(|| panic!("no {id} in {reasons:#?}")).clone();
    let sentence = found["reason"].as_str().unwrap();
    assert!(ended.stderr.contains(sentence), "{sentence} is not in {}", ended.stderr);
    let page = idvault
        .report("report.html")
        .replace("&#39;", "'")
        .replace("&#34;", "\"");
    assert!(page.contains(sentence), "{sentence} is not on the page");
    found
}

#[track_caller]
fn says(reason: &Value, parts: &[&str]) {
    let sentence = reason["reason"].as_str().unwrap();
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is not in {sentence:?}");
    }
}

#[test]
fn a_proxy_that_wants_a_login_ends_the_run_at_once_and_is_named() {
    for ids in [1, 300] {
        let mut idvault = with_rows(ids);
        let proxy = serve(|request| {
            assert!(request.line.starts_with("CONNECT vendor.example:443"), "{request:?}");
            Answer::new(407, "")
        });
        let address = proxy.strip_prefix("http://").unwrap();
        idvault.env("HTTPS_PROXY", &format!("http://user:canary-proxy@{address}"));
        let ended = run(&idvault, OUTSIDE).exits(3);
        let reason = reason(&idvault, &ended, "local_proxy");
        says(&reason, &["local fault", &proxy, "407", "vendor.example"]);
        assert_eq!(idvault.row("t0").attempts, 0, "it is not the id's fault");
        let summary = idvault.summary();
        let attempts = summary["fetch"]["attempts"].as_u64().unwrap();
        assert!(attempts <= ids as u64, "none is tried again: {attempts}");
    }
}

#[test]
fn a_proxy_that_refuses_or_is_not_there_is_named() {
    let refusing = serve(|_| Answer::new(403, "<html>no</html>"));
    for proxy in [refusing.as_str(), "http://127.0.0.1:9"] {
        let mut idvault = with_rows(1);
        idvault.env("HTTPS_PROXY", proxy);
        let ended = run(&idvault, OUTSIDE).exits(3);
        let found = reason(&idvault, &ended, "local_proxy");
        says(&found, &["local fault", proxy, "vendor.example"]);
        assert_eq!(found["count"], 4, "attempts");
        reason(&idvault, &ended, "records_left");
        assert_eq!(idvault.row("t0").failed_runs, 0);
    }
}

#[test]
fn a_proxy_that_can_not_be_used_is_refused_and_never_bypassed() {
    for (value, why) in [
        ("http://u:canary-proxy@127.0.0.1:9 ", "begins or ends with a blank"),
        ("\"http://u:canary-proxy@127.0.0.1:9\"", "quotation marks"),
        ("'http://u:canary-proxy@127.0.0.1:9'", "quotation marks"),
        ("ftp://u:canary-proxy@127.0.0.1:9", "only proxies with http"),
        ("socks5://u:canary-proxy@127.0.0.1:9", "only proxies with http"),
        ("http://u:canary-proxy@127.0.0.1:9/path", "more than scheme"),
    ] {
        for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            let mut idvault = with_rows(1);
            idvault.env(variable, value);
            run(&idvault, OUTSIDE).exits(3).says(variable).says(why);
        }
    }
    // What stays on this machine goes through no proxy.
    let (mut idvault, vendor) = (with_rows(1), Vendor::start());
    vendor.script("t0", [verdict("Y", "200")]);
    idvault.env("HTTPS_PROXY", "socks5://127.0.0.1:9");
    idvault.run(&vendor, &[]).exits(0);
}

#[test]
fn a_port_that_nobody_listens_on_is_named_with_its_host() {
    let idvault = with_rows(1);
    let ended = run(&idvault, "http://127.0.0.1:9").exits(4);
    let found = reason(&idvault, &ended, "records_left");
    assert_eq!(found["count"], 1);
    says(
        &found,
        &[
            "FACE_LIVENESS in ap-southeast-1 at 127.0.0.1:9 met connect 4 times",
            "Connection refused",
        ],
    );
}

#[test]
fn the_commonest_error_is_named_with_its_count() {
    let (idvault, vendor) = (with_rows(2), Vendor::start());
    vendor.script("t0", [verdict("Y", "200")]);
    vendor.script(
        "t1",
        [error(503, "ServiceUnavailable"), error(503, "ServiceUnavailable")],
    );
    vendor.script("t1", [Answer::none(Manner::Close), error(503, "ServiceUnavailable")]);
    let ended = idvault.run(&vendor, &["--concurrency", "1"]).exits(4);
    let found = reason(&idvault, &ended, "records_left");
    let host = vendor.url.strip_prefix("http://").unwrap();
    let first = format!("FACE_LIVENESS in ap-southeast-1 at {host} met ServiceUnavailable 3 times (scripted)");
    says(&found, &[&first, "met broken once"]);
    assert_eq!(idvault.summary()["troubles"][0]["attempts"], 3);
}

#[test]
fn too_few_open_files_are_named_as_such() {
    let (idvault, vendor) = (with_rows(300), Vendor::start());
    vendor.otherwise(verdict("Y", "200"));
    let limited = |limit: u32| {
        let mut child = Command::new("sh");
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        child.args([
            "-c",
            &script,
            env!("CARGO_BIN_EXE_idvault"),
            "run",
            "--endpoint",
            &vendor.url,
        ]);
        child.args(["--pending", "pending.csv", "--now", NOW, "--qps", "1000"]);
        child.current_dir(idvault.path("")).env_clear().stdin(Stdio::null());
        child.env("ALIBABA_CLOUD_ACCESS_KEY_ID", crate::common::KEY_ID);
        child.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", crate::common::KEY_SECRET);
        let output = child.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = limited(64);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("open files") && said.contains("ulimit -n"), "{said}");
    assert!(!said.contains("does not answer"), "{said}");
    // Fewer calls at a time where that is enough.
    let (code, said) = limited(200);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(idvault.archived().len(), 300);
}

#[test]
fn one_code_for_every_id_ends_the_run_with_8_after_a_handful() {
    for (status, code) in [
        (403, "AccessDenied"),
        (403, "Forbidden.Something"),
        (404, "InvalidAction.NotFound"),
    ] {
        let (idvault, vendor) = (with_rows(100), Vendor::start());
        vendor.otherwise(error(status, code));
        let ended = idvault.run(&vendor, &["--concurrency", "4"]).exits(8);
        let found = reason(&idvault, &ended, "every_id_refused");
        let host = vendor.url.strip_prefix("http://").unwrap();
        says(&found, &[host, code, "FACE_LIVENESS", "ap-southeast-1", "scripted"]);
        let asked: std::collections::BTreeSet<String> =
            vendor.calls().into_iter().map(|call| call.transaction_id).collect();
        assert!(asked.len() <= 10, "{code}: {} ids were asked for", asked.len());
        for number in 0..100 {
            let row = idvault.row(&format!("t{number}"));
            assert_eq!((row.state.as_str(), row.failed_runs), ("pending", 0));
        }
    }
}

#[test]
fn a_code_that_is_not_known_for_one_id_among_good_ones_is_that_ids_fault() {
    let (idvault, vendor) = (with_rows(20), Vendor::start());
    for number in 0..19 {
        vendor.script(&format!("t{number}"), [verdict("Y", "200")]);
    }
    vendor.always("t19", error(403, "AccessDenied"));
    let ended = idvault.run(&vendor, &["--concurrency", "1"]).exits(4);
    says(&reason(&idvault, &ended, "records_left"), &["AccessDenied"]);
    assert_eq!(idvault.row("t19").failed_runs, 1);
    assert_eq!(idvault.archived().len(), 19);
}

#[test]
fn throttling_that_slows_the_night_below_half_of_the_set_rate_is_a_warning() {
    let (idvault, vendor) = (with_rows(30), Vendor::start());
    for number in 0..30 {
        let id = format!("t{number}");
        vendor.script(&id, [throttled(403, "Throttling.Api", 500), verdict("Y", "200")]);
    }
    let ended = idvault.run(&vendor, &["--qps", "20"]).exits(0);
    let found = reason(&idvault, &ended, "slowed_by_throttling");
    assert_eq!(
        (&found["exit_code"], &found["count"]),
        (&Value::from(0), &Value::from(30))
    );
    says(&found, &["throttled 30 of 60 attempts", "of 20.0 that are set"]);
}
