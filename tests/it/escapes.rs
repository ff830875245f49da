//! Names and values from outside reach a terminal as text only: whatever is wrong with them, the message that repeats
//! them steers nothing.

use std::fs;

use rusqlite::Connection;

use crate::common::vendor::{Vendor, verdict};
use crate::common::{Ended, FRESH, Idvault, NOW};

/// Clears the screen, sets the title, colours by a C1 control, turns the direction of writing around.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{2066}evil";

/// A folder in which the program is told to write colours even to a pipe: libraries that take escapes out of what goes
/// to a pipe, and not out of what goes to a terminal, hide nothing here.
fn folder() -> Idvault {
    let mut idvault = Idvault::new();
    idvault.env("CLICOLOR_FORCE", "1");
    idvault
}

/// The text without what the log is colored by, here that the program is told to: an escape, digits, and an `m`.
fn without_colors(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => plain.extend(["\u{1b}[", piece]),
        }
    }
    plain
}

/// Neither stream holds what a terminal would obey.
#[track_caller]
fn assert_steers_nothing(ended: &Ended, code: i32, case: &str) {
    assert_eq!(ended.code, code, "{case}: {}", ended.stderr);
    for text in [&ended.stderr, &ended.stdout].map(|text| without_colors(&text.replace("\r\n", "\n"))) {
        let steers = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{2069}').contains(&c);
        assert!(!text.contains(steers), "{case}: {text:?}");
    }
}

/// The same, and the culprit is named all the same.
#[track_caller]
fn assert_names(ended: &Ended, code: i32, case: &str) {
    assert_steers_nothing(ended, code, case);
    assert!(ended.stderr.contains("evil"), "{case}: {}", ended.stderr);
}

#[test]
fn arguments_that_are_not_understood_steer_no_terminal() {
    for args in [
        vec!["run", "--now", EVIL],
        vec!["run", "--qps", EVIL],
        vec!["run", "--time-limit", EVIL],
        vec!["run", &format!("--{EVIL}")],
        vec![EVIL],
        vec!["sandbox", "--faults", EVIL],
        vec!["sandbox", "--listen", EVIL],
        vec!["man", EVIL],
        vec!["completions", EVIL],
        vec!["status", "--log-format", EVIL],
    ] {
        assert_names(&folder().execute(&args), 2, &format!("{args:?}"));
    }
    let mut idvault = folder();
    idvault.env("IDVAULT_NOW", EVIL);
    assert_names(&idvault.execute(&["status"]), 2, "the environment");
}

#[test]
fn names_of_sources_and_of_what_is_in_them_steer_no_terminal() {
    let idvault = folder();
    let csv = format!("{EVIL}.csv");
    let run = |source: &str| idvault.execute(&["run", "--intake-only", "--pending", source, "--now", NOW]);
    assert_names(&run(&csv), 3, "a source that is not there");
    for (case, content) in [
        ("an empty source", Vec::new()),
        ("the header's names", format!("{EVIL},b\nx,y\n").into_bytes()),
        ("a header that is not closed", b"\"transaction_id\nx\n".to_vec()),
        ("damaged gzip", b"\x1f\x8b".to_vec()),
    ] {
        idvault.write(&csv, content);
        assert_names(&run(&csv), 3, case);
    }
    let quoted = EVIL.replace('"', "");
    for sql in [
        format!("CREATE TABLE \"{quoted}\" (x)"),
        format!("CREATE TABLE pending (\"{quoted}\")"),
    ] {
        fs::remove_file(idvault.path("app.sqlite")).ok();
        Connection::open(idvault.path("app.sqlite"))
            .unwrap()
            .execute_batch(&sql)
            .unwrap();
        assert_names(&run("app.sqlite"), 3, &sql);
    }
}

#[test]
fn names_and_values_of_the_configuration_steer_no_terminal() {
    let idvault = folder();
    // As TOML writes it: a file may not hold control characters as they are.
    let evil = r"\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e\u2066evil";
    for text in [
        format!("\"{evil}\" = 1"),
        format!("[retry]\n\"{evil}\" = 1"),
        format!("network = \"{evil}\""),
        format!("log_format = \"{evil}\""),
        format!("endpoint = \"{evil}://x\""),
        format!("endpoint = \"http://{evil}.example\""),
        format!("billing_zone = \"{evil}\""),
        format!("[intake.defaults]\nregion = \"{evil}\""),
        format!("[intake]\ntime_zone = \"{evil}\""),
        format!("[endpoints]\n\"{evil}\" = \"https://example.com\""),
        format!("[quotas]\n\"{evil}\" = -1.0"),
        format!("[credentials]\nmetadata_url = \"{evil}\""),
        format!("time_limit = \"{evil}\""),
    ] {
        idvault.write("idvault.toml", &text);
        // Not every value is repeated: there the key or the line is named.
        assert_steers_nothing(&idvault.execute(&["run", "--pending", "nowhere.csv"]), 3, &text);
    }
    fs::remove_file(idvault.path("idvault.toml")).unwrap();
    assert_names(&idvault.execute(&["status", "--config", EVIL]), 3, "the file's name");
}

#[test]
fn names_of_folders_and_profiles_steer_no_terminal() {
    let idvault = folder();
    idvault.pending(&[("t1", FRESH)]);
    let vendor = Vendor::start();
    vendor.script("t1", [verdict("Y", "200")]);
    let data = ["--data-dir", EVIL];
    assert_names(
        &idvault.execute(&[&["status"], &data[..]].concat()),
        6,
        "no ledger there",
    );
    assert_names(&idvault.run(&vendor, &data), 0, "a run into it");

    idvault.write(&format!("{EVIL}/archive/verifications/{EVIL}"), "a stranger's file");
    let verified = idvault.execute(&[&["verify"], &data[..]].concat());
    assert_steers_nothing(&verified, 9, "a file that should not be there");
    assert!(verified.stdout.contains("evil"), "{}", verified.stdout);

    let mut idvault = Idvault::without_credentials();
    idvault.env("ALIBABA_CLOUD_PROFILE", EVIL);
    idvault.write(".alibabacloud/credentials", "[default]\n");
    idvault.write(".aliyun/config.json", "{}");
    idvault.pending(&[("t1", FRESH)]);
    assert_names(&idvault.run(&vendor, &[]), 8, "a profile that is not there");
    let status = idvault.execute(&["status", "-v"]);
    assert_steers_nothing(&status, 0, "status of it");
    assert!(status.stdout.contains("evil"), "{}", status.stdout);
}
