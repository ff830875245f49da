//! Where credentials come from, and what is said where there are none or wrong ones.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::common::server::{Answer, Manner, serve};
use crate::common::vendor::{Vendor, error, verdict};
use crate::common::{FRESH, Idvault, KEY_ID};

/// Writes credentials into one of the places of the chain, under the given key id, secret and token.
pub(crate) type Place = fn(&mut Idvault, &str, &str, &str);

/// Every place, in the order in which they are looked at, and what `status -v` calls it.
pub(crate) const PLACES: [(&str, Place); 5] = [
    ("environment (ALIBABA_CLOUD_ACCESS_KEY_ID)", environment),
    ("vendor CLI configuration", vendor_cli),
    ("credentials file", ini),
    ("ECS RAM role night-job from the metadata service", ram_role),
    ("credentials URI", uri),
];

fn environment(idvault: &mut Idvault, id: &str, secret: &str, token: &str) {
    idvault.env("ALIBABA_CLOUD_ACCESS_KEY_ID", id);
    idvault.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret);
    idvault.env("ALIBABA_CLOUD_SECURITY_TOKEN", token);
}

fn vendor_cli(idvault: &mut Idvault, id: &str, secret: &str, token: &str) {
    let profile = json!({
        "name": "default",
        "mode": "StsToken",
        "access_key_id": id,
        "access_key_secret": secret,
        "sts_token": token,
    });
    let config = json!({"current": "default", "profiles": [profile]});
    idvault.write(".aliyun/config.json", config.to_string());
}

fn ini(idvault: &mut Idvault, id: &str, secret: &str, token: &str) {
    let text = format!(
        "[default]\ntype = sts\naccess_key_id = {id}\naccess_key_secret = {secret}\nsecurity_token = {token}\n"
    );
    idvault.write(".alibabacloud/credentials", text);
}

fn temporary(id: &str, secret: &str, token: &str) -> Answer {
    let answer = json!({
        "Code": "Success",
        "AccessKeyId": id,
        "AccessKeySecret": secret,
        "SecurityToken": token,
        "Expiration": (Timestamp::now() + SignedDuration::from_hours(1)).to_string(),
    });
    Answer::new(200, answer.to_string())
}

/// A metadata service with one role. It insists on its own token, as a hardened one does.
fn ram_role(idvault: &mut Idvault, id: &str, secret: &str, token: &str) {
    let credentials = temporary(id, secret, token);
    let url = serve(move |request| {
        let trusted = request.header("x-aliyun-ecs-metadata-token") == "canary-metadata";
        match request.line.as_str() {
            "PUT /latest/api/token" => Answer::new(200, "canary-metadata"),
            "GET /latest/meta-data/ram/security-credentials/" if trusted => Answer::new(200, "night-job\n"),
            "GET /latest/meta-data/ram/security-credentials/night-job" if trusted => credentials.clone(),
            _ => Answer::new(404, "not here"),
        }
    });
    idvault.write("idvault.toml", format!("[credentials]\nmetadata_url = '{url}'\n"));
    idvault.env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "");
}

fn uri(idvault: &mut Idvault, id: &str, secret: &str, token: &str) {
    let credentials = temporary(id, secret, token);
    let url = serve(move |_| credentials.clone());
    idvault.env("ALIBABA_CLOUD_CREDENTIALS_URI", &format!("{url}/canary-path"));
}

#[test]
fn a_run_without_credentials_says_so_within_three_seconds_and_asks_nothing() {
    // A metadata service that never answers is the slowest way of having none.
    let mut idvault = Idvault::without_credentials();
    let silent = serve(|_| Answer::none(Manner::Hang));
    idvault.write("idvault.toml", format!("[credentials]\nmetadata_url = '{silent}'\n"));
    idvault.env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "");
    idvault.pending(&[("t1", FRESH)]);
    let vendor = Vendor::start();
    let ended = idvault.run(&vendor, &[]).exits(8);
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    let ended = ended.says("no credentials found, looked at: ");
    for place in [
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        ".aliyun/config.json",
    ] {
        assert!(ended.stderr.contains(place), "{place} is not in {}", ended.stderr);
    }
    let ended = ended.says(".alibabacloud/credentials").says("metadata service");
    drop(ended);
    let row = idvault.row("t1");
    assert_eq!(
        (row.state.as_str(), row.attempts),
        ("pending", 0),
        "the row came in all the same"
    );
    assert!(vendor.calls().is_empty());
}

#[test]
fn credentials_of_every_place_sign_the_calls_and_status_names_the_place() {
    for (name, place) in PLACES {
        let mut idvault = Idvault::without_credentials();
        place(&mut idvault, "key-of-place", "canary-secret", "canary-token");
        idvault.pending(&[("t1", FRESH)]);
        let vendor = Vendor::start();
        vendor.script("t1", [verdict("Y", "200")]);
        idvault.run(&vendor, &[]).exits(0);
        let call = &vendor.calls()[0].request;
        let signed_by = "ACS3-HMAC-SHA256 Credential=key-of-place,";
        assert!(call.header("authorization").starts_with(signed_by), "{name}: {call:?}");
        assert_eq!(call.header("x-acs-security-token"), "canary-token", "{name}");

        let status = idvault.execute(&["status", "-v"]).exits(0);
        assert!(
            status.stdout.contains(&format!("credentials  {name}")),
            "{name}: {}",
            status.stdout
        );
        for text in [&status.stdout, &status.stderr] {
            for secret in ["canary-secret", "canary-token", "canary-path", "canary-metadata"] {
                assert!(!text.contains(secret), "{name}: {text}");
            }
        }
        let quiet = idvault.execute(&["status"]).exits(0);
        assert!(!quiet.stdout.contains("credentials"), "{name}: only -v looks for them");
    }
}

#[test]
fn the_first_place_that_has_any_wins() {
    for (first, (name, _)) in PLACES.iter().enumerate() {
        let mut idvault = Idvault::without_credentials();
        for (number, (_, place)) in PLACES.iter().enumerate().skip(first) {
            place(&mut idvault, &format!("key{number}"), "canary-secret", "canary-token");
        }
        idvault.pending(&[("t1", FRESH)]);
        let vendor = Vendor::start();
        vendor.script("t1", [verdict("Y", "200")]);
        idvault.run(&vendor, &[]).exits(0);
        let calls = vendor.calls();
        let signed_by = calls[0].request.header("authorization");
        assert!(
            signed_by.contains(&format!("Credential=key{first},")),
            "{name}: {signed_by}"
        );
    }
}

#[test]
fn the_profile_and_the_file_that_the_environment_names_are_taken() {
    let mut idvault = Idvault::without_credentials();
    idvault.env("ALIBABA_CLOUD_PROFILE", "night");
    let file = idvault.path("elsewhere.ini");
    idvault.env("ALIBABA_CLOUD_CREDENTIALS_FILE", file.to_str().unwrap());
    let profile = |name: &str| format!("[{name}]\naccess_key_id = key-{name}\naccess_key_secret = canary-s\n");
    idvault.write("elsewhere.ini", profile("default") + &profile("night"));
    idvault.pending(&[("t1", FRESH)]);
    let vendor = Vendor::start();
    vendor.script("t1", [verdict("Y", "200")]);
    idvault.run(&vendor, &[]).exits(0);
    let calls = vendor.calls();
    assert!(
        calls[0]
            .request
            .header("authorization")
            .contains("Credential=key-night,")
    );
    let status = idvault.execute(&["status", "-v"]).exits(0);
    assert!(
        status.stdout.contains("elsewhere.ini, profile night"),
        "{}",
        status.stdout
    );
}

type Prepare = fn(&mut Idvault);

#[test]
fn half_of_a_key_or_a_place_that_can_not_be_used_ends_the_search_with_exit_8() {
    let cases: [(Prepare, &str); 6] = [
        (
            |it| it.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "half"),
            "the access key secret is missing",
        ),
        (|it| it.write(".aliyun/config.json", "{"), ".aliyun/config.json"),
        (
            |it| it.write(".alibabacloud/credentials", "[default]\ntype = ram_role_arn\n"),
            "is not supported",
        ),
        (
            |it| it.env("ALIBABA_CLOUD_CREDENTIALS_FILE", "nowhere.ini"),
            "nowhere.ini",
        ),
        (
            |it| it.env("ALIBABA_CLOUD_CREDENTIALS_URI", "http://example.com/"),
            "refused to fetch credentials",
        ),
        (
            |it| {
                let failing = serve(|_| Answer::new(500, "no"));
                it.env("ALIBABA_CLOUD_CREDENTIALS_URI", &failing);
            },
            "failed to fetch credentials from the credentials URI",
        ),
    ];
    for (prepare, sentence) in cases {
        let mut idvault = Idvault::without_credentials();
        prepare(&mut idvault);
        idvault.pending(&[("t1", FRESH)]);
        let vendor = Vendor::start();
        idvault.run(&vendor, &[]).exits(8).says(sentence);
        assert_eq!(idvault.row("t1").attempts, 0, "{sentence}");
    }
}

#[test]
fn a_file_of_secrets_that_everybody_can_get_at_is_refused_and_nothing_is_asked() {
    let files: [(&str, Place); 3] = [
        (".aliyun/config.json", vendor_cli),
        (".alibabacloud/credentials", ini),
        (".alibabacloud/credentials", |idvault, id, secret, token| {
            ini(idvault, id, secret, token);
            idvault.env("ALIBABA_CLOUD_CREDENTIALS_FILE", ".alibabacloud/credentials");
        }),
    ];
    for (file, place) in files {
        for mode in [0o644, 0o604, 0o666, 0o602] {
            let mut idvault = Idvault::without_credentials();
            place(&mut idvault, "key-of-place", "canary-secret", "canary-token");
            let set_mode = |mode| fs::set_permissions(idvault.path(file), fs::Permissions::from_mode(mode)).unwrap();
            set_mode(mode);
            idvault.pending(&[("t1", FRESH)]);
            let vendor = Vendor::start();
            let ended = idvault.run(&vendor, &["-vv"]).exits(8);
            let ended = ended.says("every user of this machine can read or change them");
            assert!(
                ended.stderr.contains(&format!("(mode {mode:04o}); `chmod 600 ")),
                "{}",
                ended.stderr
            );
            assert!(ended.stderr.contains(file), "{}", ended.stderr);
            assert!(!ended.stderr.contains("canary-secret"), "{}", ended.stderr);
            assert!(vendor.calls().is_empty());
            assert_eq!(idvault.row("t1").attempts, 0);
            // A group may be trusted: it has members that somebody chose.
            set_mode(0o640);
            vendor.script("t1", [verdict("Y", "200")]);
            idvault.run(&vendor, &[]).exits(0);
        }
    }
}

#[test]
fn a_key_that_the_vendor_does_not_know_is_named_as_the_cause() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.pending(&[("t1", FRESH)]);
    vendor.script("t1", [error(404, "InvalidAccessKeyId.NotFound")]);
    let ended = idvault.run(&vendor, &[]).exits(8);
    ended
        .says("check that the access key is enabled")
        .says("InvalidAccessKeyId.NotFound");
    assert!(vendor.calls()[0].request.header("authorization").contains(KEY_ID));
}
