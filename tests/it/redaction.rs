//! No secret is ever shown or written: canaries go in at every place, and must come out nowhere but at the vendor. Every
//! other test looks for its own secrets likewise (`common::canaries`); here they are where they could come out.

use std::fs;

use crate::common::canaries;
use crate::common::server::Answer;
use crate::common::vendor::{Vendor, error, error_saying, verdict};
use crate::common::{EXPIRED, FRESH, Idvault, NOW};
use crate::credentials::PLACES;

const SECRET: &str = "canary-secret-7f3a9c";
const TOKEN: &str = "canary-token-51be02";

/// Answers that repeat the canaries in everything but a final result, which is kept as it came.
fn echoes() -> Vec<(&'static str, Answer)> {
    let both = format!("your secret {SECRET} and your token {TOKEN} are wrong");
    let page = format!("<html>{both}</html>");
    let xml = format!("<Error><Code>MissingParameter</Code><Message>{both}</Message></Error>");
    let code = format!("InvalidParameter.{SECRET}{TOKEN}");
    vec![
        ("final", verdict("Y", "200")),
        ("refused", error_saying(400, "InvalidParameter", &both)),
        ("code", error(400, &code)),
        ("xml", Answer::new(400, xml)),
        ("pending", error_saying(400, "ProcessNotCompleted", &both)),
        (
            "repeated",
            error_saying(403, "Forbidden.ExceptionRepeatedInvoke", &both),
        ),
        ("unknown", error_saying(400, "Unheard.Of", &both)),
        ("undecided", verdict(TOKEN, "")),
        ("page", Answer::new(200, page)),
        ("server", error_saying(500, SECRET, &both)),
        (
            "cut",
            error_saying(400, "InvalidParameter", &format!("{}{SECRET}", "x".repeat(285))),
        ),
        ("lost", error_saying(400, "TransactionIdInvalid", &both)),
    ]
}

/// A vendor that answers so, and an id for each answer.
fn echoing(idvault: &Idvault) -> Vendor {
    let vendor = Vendor::start();
    let mut rows = Vec::new();
    for (id, answer) in echoes() {
        vendor.script(id, [answer]);
        rows.push((id, if id == "lost" { EXPIRED } else { FRESH }));
    }
    idvault.pending(&rows);
    vendor
}

#[test]
fn no_secret_of_any_place_is_shown_or_written_even_where_the_vendor_repeats_it() {
    for (name, place) in PLACES {
        for format in ["text", "json"] {
            let mut idvault = Idvault::without_credentials();
            place(&mut idvault, "key-of-place", SECRET, TOKEN);
            // Where the place has a configuration of its own, that stands first.
            let config = fs::read_to_string(idvault.path("idvault.toml")).unwrap_or_default();
            idvault.write("idvault.toml", config + "[retry]\nattempts_per_call = 1\n");
            let vendor = echoing(&idvault);
            let case = format!("{name}, {format}");
            idvault
                .run(&vendor, &["-vv", "--log-format", format, "--json"])
                .exits(5);
            let token = vendor.calls()[0].request.header("x-acs-security-token").to_owned();
            assert_eq!(token, TOKEN, "{case}: the canaries were in use");
            assert_eq!(idvault.archived().len(), 1, "{case}");
            // What helps a person is still there.
            assert!(
                idvault.row("refused").last_message.unwrap().starts_with("your secret "),
                "{case}"
            );
        }
    }
}

/// As long as somebody reads, the WAL is not emptied, and shows what was ever written.
#[test]
fn no_secret_is_in_the_wal_of_the_ledger() {
    let mut idvault = Idvault::without_credentials();
    PLACES[0].1(&mut idvault, "key-of-place", SECRET, TOKEN);
    idvault.write("idvault.toml", "[retry]\nattempts_per_call = 1\n");
    let vendor = echoing(&idvault);
    idvault.run(&vendor, &["--intake-only"]);
    let reader = idvault.ledger();
    reader.execute_batch("BEGIN; SELECT count(*) FROM runs").unwrap();
    idvault.run(&vendor, &[]).exits(5);
    let wal = fs::read(idvault.data("ledger.sqlite-wal")).unwrap();
    assert!(wal.utf8_chunks().any(|piece| piece.valid().contains("your secret ")));
    canaries::none_below(&idvault.data(""), &[]);
}

#[test]
fn a_refused_signature_that_comes_with_what_was_signed_shows_none_of_it() {
    for message in [
        format!("string to sign is: POST\nx-acs-security-token:{TOKEN}\n{SECRET}"),
        format!("Specified signature does not match our calculation. {SECRET} {TOKEN}"),
        format!("server StringToSign is {TOKEN}"),
    ] {
        let mut idvault = Idvault::without_credentials();
        PLACES[0].1(&mut idvault, "key-of-place", SECRET, TOKEN);
        idvault.pending(&[("t1", FRESH)]);
        let vendor = Vendor::start();
        vendor.script("t1", [error_saying(400, "SignatureDoesNotMatch", &message)]);
        idvault.run(&vendor, &["-vv"]).exits(8);

        let coded = format!("InvalidAccessKeyId.{SECRET}{TOKEN}");
        vendor.script("t1", [error(400, &coded)]);
        idvault.run(&vendor, &["-vv"]).exits(8);
    }
}

#[test]
fn terminal_escapes_of_the_vendors_reach_neither_terminal_nor_reports() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}txt.exe\r\nnext";
    vendor.script("t1", [error_saying(400, &format!("InvalidParameter.{evil}"), evil)]);
    vendor.script("t2", [error_saying(400, &format!("Forbidden.RAM.{evil}"), evil)]);
    idvault.pending(&[("t1", "2026-11-01T00:00:00Z"), ("t2", FRESH)]);
    let ended = idvault
        .run(&vendor, &["-vv", "--concurrency", "1"])
        .exits(8)
        .says("Forbidden.RAM.");
    let quarantine = idvault.report("quarantine.csv");
    assert!(
        quarantine.contains("txt.exe"),
        "the rest of the message is there: {quarantine}"
    );
    let shown = [ended.stdout, ended.stderr, quarantine, idvault.report("summary.json")];
    let kept = idvault.row("t1");
    for text in shown
        .map(|text| text.replace("\r\n", "\n")) // the reports' own line ends
        .into_iter()
        .chain([kept.last_message.unwrap(), kept.last_call_code.unwrap()])
    {
        let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(harmful), "{text:?}");
        assert!(
            !text.contains("\nnext"),
            "a message can't begin a line of its own: {text:?}"
        );
    }
}

#[test]
fn a_run_that_fails_shows_no_secret_either() {
    for (place, code) in [("archive", 7), ("ledger.sqlite", 6)] {
        let mut idvault = Idvault::without_credentials();
        PLACES[0].1(&mut idvault, "key-of-place", SECRET, TOKEN);
        idvault.env("RUST_BACKTRACE", "full");
        idvault.env("RUST_LOG", "trace");
        idvault.pending(&[("t1", FRESH)]);
        idvault.write(&format!("idvault-data/{place}"), "in the way");
        let vendor = Vendor::start();
        idvault.run(&vendor, &["-vv"]).exits(code);
    }
}

#[test]
fn files_that_can_not_be_understood_are_not_quoted() {
    let broken_json =
        format!("{{\"profiles\": [{{\"access_key_secret\": \"{SECRET}\", \"sts_token\": \"{TOKEN}\", }}]}}");
    let wrong_type = format!("{{\"profiles\": \"{SECRET}{TOKEN}\"}}");
    let half = format!("[default]\naccess_key_secret = {SECRET}\nsecurity_token = {TOKEN}\n");
    let blank = format!("[default]\naccess_key_id = k\naccess_key_secret = {SECRET}\nsecurity_token = {TOKEN} x\n");
    for (file, text) in [
        (".aliyun/config.json", broken_json),
        (".aliyun/config.json", wrong_type),
        (".alibabacloud/credentials", half),
        (".alibabacloud/credentials", blank),
    ] {
        let idvault = Idvault::without_credentials();
        idvault.write(file, &text);
        idvault.pending(&[("t1", FRESH)]);
        let vendor = Vendor::start();
        idvault.run(&vendor, &["-vv"]).exits(8).says(file);
    }
}

#[test]
fn a_secret_in_the_configuration_is_refused_without_quoting_it() {
    for text in [
        format!("[credentials]\naccess_key_secret = '{SECRET}'\n"),
        format!("access_key_secret = \"{SECRET}\"\nsecurity_token = \"{TOKEN}\"\n"),
        format!("[credentials]\nsecurity_token = {TOKEN}\n"),
        format!("credentials = '{SECRET}'\n"),
        format!("[credentials]\nmetadata_url = 'http://user:{SECRET}@example.com/'\n"),
        format!("endpoint = 'https://user:{SECRET}@example.com/'\n"),
        format!("endpoint = 'https://example.com/?token={TOKEN}'\n"),
    ] {
        let idvault = Idvault::new();
        idvault.write("idvault.toml", &text);
        idvault.pending(&[("t1", FRESH)]);
        let ended = idvault
            .execute(&["run", "--pending", "pending.csv", "--now", NOW])
            .exits(3);
        assert!(!ended.stderr.is_empty());
    }
}

#[test]
fn a_proxys_password_is_not_shown() {
    let mut idvault = Idvault::new();
    idvault.env("HTTPS_PROXY", &format!("http://user:{SECRET}@127.0.0.9:9"));
    idvault.write("idvault.toml", "[retry]\nattempts_per_call = 1\n");
    idvault.pending(&[("t1", FRESH)]);
    let args = [
        "run",
        "--endpoint",
        "https://vendor.invalid",
        "--pending",
        "pending.csv",
        "--now",
        NOW,
        "-vv",
    ];
    idvault
        .execute(&args)
        .exits(3)
        .says("the proxy http://127.0.0.9:9 makes no connection to vendor.invalid");
}

#[test]
fn there_is_no_argument_for_a_secret_and_one_that_is_given_is_not_repeated() {
    let idvault = Idvault::new();
    for name in [
        "--access-key",
        "--access-key-secret",
        "--secret",
        "--security-token",
        "--token",
    ] {
        let joined = format!("{name}={SECRET}");
        for args in [vec!["run", name, SECRET], vec!["run", &joined]] {
            idvault.execute(&args).exits(2).says(name);
        }
    }
}
