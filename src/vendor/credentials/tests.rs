use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::ToSpan;
use tokio::time::{Duration, Instant};

use super::*;
use crate::clock::Clock;
use crate::host::Host;
use crate::vendor::double::{Act, Double, http};

const NOW: &str = "2026-11-22T02:00:00Z";

#[derive(Debug)]
struct SetClock(Mutex<Timestamp>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Machine {
    home: tempfile::TempDir,
    env: BTreeMap<String, String>,
    clock: Arc<SetClock>,
    metadata_url: String,
}

impl Machine {
    /// Nothing set, no metadata service.
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock(Mutex::new(NOW.parse().unwrap())));
        let env = BTreeMap::from([("HOME".to_owned(), home.path().to_str().unwrap().to_owned())]);
        let metadata_url = "http://127.0.0.1:1".to_owned();
        Self {
            home,
            env,
            clock,
            metadata_url,
        }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.home.path().join(name);
        crate::files::create_private_dir(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        crate::files::create_private(&path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        self
    }

    fn metadata(mut self, double: &Double) -> Self {
        self.metadata_url.clone_from(&double.url);
        self
    }

    fn secrets(&self) -> BTreeMap<String, SecretString> {
        let secrets = self.env.iter();
        secrets
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect()
    }

    fn chain(&self) -> CredentialsChain {
        self.chain_for(None)
    }

    /// For attempts that take so long at most.
    fn chain_for(&self, attempt_timeout: Option<Duration>) -> CredentialsChain {
        let host = Host {
            env: self.secrets(),
            clock: self.clock.clone(),
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        };
        let metadata_url = Some(self.metadata_url.clone());
        CredentialsChain::new(
            host,
            CredentialsSettings {
                metadata_url,
                attempt_timeout,
                ..CredentialsSettings::default()
            },
        )
        .unwrap()
    }

    async fn error(&self) -> String {
        let error = self.chain().get().await.unwrap_err();
        let text = format!("{error} {error:?}");
        // The variables' names are no secrets.
        assert!(!text.replace("KEY_SECRET", "").contains("SECRET"), "{text}");
        error.to_string().replace(self.home.path().to_str().unwrap(), "HOME")
    }

    /// Key id, secret, token and source.
    async fn found(&self) -> (String, String, Option<String>, String) {
        let chain = self.chain();
        let found = chain.get().await.unwrap();
        assert!(!format!("{found:?} {chain:?}").contains("SECRET"));
        let source = chain.source().await.unwrap().to_string();
        (
            found.access_key_id().to_owned(),
            found.access_key_secret().expose_secret().to_owned(),
            found.security_token().map(|token| token.expose_secret().to_owned()),
            source.replace(self.home.path().to_str().unwrap(), "HOME"),
        )
    }
}

fn four(id: &str, secret: &str, token: Option<&str>, source: &str) -> (String, String, Option<String>, String) {
    (
        id.to_owned(),
        secret.to_owned(),
        token.map(str::to_owned),
        source.to_owned(),
    )
}

const CLI: &str = r#"{"current":"work","profiles":[
    {"name":"default","mode":"AK","access_key_id":"","access_key_secret":""},
    {"name":"work","mode":"AK","access_key_id":"id1","access_key_secret":"SECRET1","sts_token":"stale"},
    {"name":"half","mode":"AK","access_key_id":"id1","access_key_secret":""},
    {"name":"sts","mode":"StsToken","access_key_id":"id2","access_key_secret":"SECRET2","sts_token":"SECRET3"},
    {"name":"role","mode":"RamRoleArn","access_key_id":"id","access_key_secret":"SECRET"}]}"#;
const INI: &str = "# comment\n[default]\ntype = access_key\naccess_key_id=id4\naccess_key_secret = SECRET4\n\
                   [sts]\ntype=sts\naccess_key_id=id5\naccess_key_secret=SECRET5\nsecurity_token=SECRET6\n\
                   [arn]\ntype=ram_role_arn\n";

fn cli() -> Machine {
    Machine::new().file(".aliyun/config.json", CLI)
}

fn ini() -> Machine {
    Machine::new().file(".alibabacloud/credentials", INI)
}

#[tokio::test]
async fn each_place_in_its_order() {
    let all = cli().file(".alibabacloud/credentials", INI);
    assert_eq!(
        all.found().await,
        four(
            "id1",
            "SECRET1",
            None,
            "vendor CLI configuration HOME/.aliyun/config.json, profile work"
        )
    );
    let all = all
        .set("ALIBABA_CLOUD_ACCESS_KEY_ID", "id0")
        .set("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "SECRET0");
    let source = "environment (ALIBABA_CLOUD_ACCESS_KEY_ID)";
    assert_eq!(all.found().await, four("id0", "SECRET0", None, source));
    let all = all.set("ALIBABA_CLOUD_SECURITY_TOKEN", "SECRETT");
    assert_eq!(all.found().await, four("id0", "SECRET0", Some("SECRETT"), source));
}

#[tokio::test]
async fn profiles_of_both_files() {
    let sts = cli().set("ALIBABA_CLOUD_PROFILE", "sts");
    let source = "vendor CLI configuration HOME/.aliyun/config.json, profile sts";
    assert_eq!(sts.found().await, four("id2", "SECRET2", Some("SECRET3"), source));
    let source = "credentials file HOME/.alibabacloud/credentials, profile default";
    assert_eq!(ini().found().await, four("id4", "SECRET4", None, source));
    let sts = ini().set("ALIBABA_CLOUD_PROFILE", "sts");
    let source = "credentials file HOME/.alibabacloud/credentials, profile sts";
    assert_eq!(sts.found().await, four("id5", "SECRET5", Some("SECRET6"), source));
    // An unconfigured CLI profile is passed over.
    let both = cli()
        .set("ALIBABA_CLOUD_PROFILE", "default")
        .file(".alibabacloud/credentials", INI);
    assert_eq!(both.found().await.0, "id4");
    let elsewhere = Machine::new().file("other", INI);
    let path = elsewhere.home.path().join("other");
    let elsewhere = elsewhere.set("ALIBABA_CLOUD_CREDENTIALS_FILE", path.to_str().unwrap());
    assert_eq!(elsewhere.found().await.0, "id4");
}

#[tokio::test]
async fn what_can_not_be_used_says_why() {
    let half = Machine::new().set("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "SECRET");
    insta::assert_snapshot!(half.error().await, @"incomplete credentials in the environment (ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET): the access key id is missing");
    let half = Machine::new().set("ALIBABA_CLOUD_ACCESS_KEY_ID", "id");
    assert!(half.error().await.ends_with("the access key secret is missing"));
    let half = cli().set("ALIBABA_CLOUD_PROFILE", "half");
    assert!(
        half.error()
            .await
            .ends_with("profile half: the access key secret is missing")
    );
    let oidc = ["ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"];
    let oidc = oidc.iter().fold(cli(), |machine, name| {
        machine.set(&format!("ALIBABA_CLOUD_{name}"), "x")
    });
    assert!(oidc.error().await.contains("OIDC role"));
    let role = cli().set("ALIBABA_CLOUD_PROFILE", "role");
    insta::assert_snapshot!(role.error().await, @r#"profile role in HOME/.aliyun/config.json has the mode "RamRoleArn", which is not supported: use AK or StsToken, or choose another profile with ALIBABA_CLOUD_PROFILE"#);
    let arn = ini().set("ALIBABA_CLOUD_PROFILE", "arn");
    assert!(arn.error().await.contains(r#"the mode "ram_role_arn""#));
    let broken = Machine::new().file(".aliyun/config.json", r#"{"profiles":[{"mode":["SECRET"]}]}"#);
    assert!(broken.error().await.contains("not the vendor CLI's JSON (line 1"));
    let missing = Machine::new().set("ALIBABA_CLOUD_CREDENTIALS_FILE", "/nowhere/x");
    assert_eq!(missing.error().await, "failed to read the credentials in /nowhere/x");
    let unsendable = Machine::new()
        .set("ALIBABA_CLOUD_ACCESS_KEY_ID", "a b")
        .set("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "SECRET");
    assert!(unsendable.error().await.contains("holds a blank"));
    let far = Machine::new().set("ALIBABA_CLOUD_CREDENTIALS_URI", "http://example.com/SECRET");
    assert!(
        far.error()
            .await
            .contains("only https, a loopback address or 100.100.100.200 is allowed")
    );
}

#[tokio::test]
async fn nothing_anywhere_lists_every_place() {
    let machine = cli()
        .set("ALIBABA_CLOUD_PROFILE", "none")
        .set("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "TRUE");
    insta::assert_snapshot!(machine.error().await, @"no credentials found, looked at: the environment (ALIBABA_CLOUD_ACCESS_KEY_ID is not set); a credential of the unit (CREDENTIALS_DIRECTORY is not set); HOME/.aliyun/config.json (no profile none); HOME/.alibabacloud/credentials (not there); the ECS metadata service (ALIBABA_CLOUD_ECS_METADATA_DISABLED is set); the credentials URI (ALIBABA_CLOUD_CREDENTIALS_URI is not set). Set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, configure a profile in one of the files, or give this machine a RAM role");
    assert!(
        Machine::new()
            .error()
            .await
            .contains("metadata service (can't be reached)")
    );
}

#[tokio::test]
async fn a_silent_metadata_service_costs_a_second() {
    let double = Double::start(|_| Act::Hang);
    let start = Instant::now();
    assert!(
        Machine::new()
            .metadata(&double)
            .error()
            .await
            .contains("the ECS metadata service (no answer")
    );
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn the_metadata_service_is_near() {
    for (url, allowed) in [
        ("http://100.100.100.200", true),
        ("http://127.0.0.1:9", true),
        ("https://127.0.0.1:9", false),
        ("http://example.com", false),
        ("http://100.100.100.200.example.com", false),
    ] {
        let machine = Machine::new();
        let host = Host {
            env: machine.secrets(),
            clock: machine.clock,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        };
        let metadata_url = Some(url.to_owned());
        let chain = CredentialsChain::new(
            host,
            CredentialsSettings {
                metadata_url,
                ..CredentialsSettings::default()
            },
        );
        assert_eq!(chain.is_ok(), allowed, "{url}");
    }
}

/// Keys that are numbered, and expire `minutes` after [`NOW`] and the number times an hour.
fn keys(number: usize, minutes: i64) -> String {
    let now: Timestamp = NOW.parse().unwrap();
    let expiration = now + (minutes + 60 * i64::try_from(number).unwrap()).minutes();
    format!(
        r#"{{"Code":"Success","AccessKeyId":"id{number}","AccessKeySecret":"SECRET","SecurityToken":"SECRETT","Expiration":"{expiration}"}}"#
    )
}

/// A metadata service with the role `night role` that hands out keys valid for an hour; from `last` on it fails.
fn metadata_service(last: usize) -> (Double, Arc<AtomicUsize>) {
    let handed_out = Arc::new(AtomicUsize::new(0));
    let counter = handed_out.clone();
    let double = Double::start(move |head| {
        let line = head.lines().next().unwrap();
        let has = |text: &str| head.to_ascii_lowercase().contains(text);
        match line {
            "PUT /latest/api/token HTTP/1.1" if has("x-aliyun-ecs-metadata-token-ttl-seconds: ") => {
                http(200, "", b"TOK")
            }
            _ if !has("x-aliyun-ecs-metadata-token: tok") => http(403, "", b""),
            "GET /latest/meta-data/ram/security-credentials/ HTTP/1.1" => http(200, "", b"night role\n"),
            "GET /latest/meta-data/ram/security-credentials/night%20role HTTP/1.1" => {
                match counter.fetch_add(1, Ordering::SeqCst) {
                    number if number < last => http(200, "", keys(number, 60).as_bytes()),
                    _ => http(500, "", b""),
                }
            }
            _ => http(404, "", b""),
        }
    });
    (double, handed_out)
}

async fn id_at(chain: &CredentialsChain, machine: &Machine, time: &str) -> String {
    *machine.clock.0.lock().unwrap() = time.parse().unwrap();
    let found = chain.get().await;
    found.map_or_else(|error| error.to_string(), |found| found.access_key_id().to_owned())
}

#[tokio::test]
async fn a_role_is_renewed_before_it_expires_and_kept_while_that_fails() {
    let (double, handed_out) = metadata_service(2);
    let machine = Machine::new().metadata(&double);
    let chain = machine.chain();
    assert_eq!(
        chain.source().await.unwrap().to_string(),
        "ECS RAM role night role from the metadata service"
    );
    assert_eq!(id_at(&chain, &machine, "2026-11-22T02:54:59Z").await, "id0");
    assert_eq!(handed_out.load(Ordering::SeqCst), 1);
    assert_eq!(id_at(&chain, &machine, "2026-11-22T02:55:00Z").await, "id1");
    // Now the service fails: the old ones are kept, and it is not asked with every attempt.
    assert_eq!(id_at(&chain, &machine, "2026-11-22T03:55:30Z").await, "id1");
    assert_eq!(id_at(&chain, &machine, "2026-11-22T03:59:59Z").await, "id1");
    assert_eq!(handed_out.load(Ordering::SeqCst), 3);
    let expired = id_at(&chain, &machine, "2026-11-22T04:00:00Z").await;
    assert_eq!(
        expired,
        "failed to fetch credentials from the ECS metadata service, role night role: http 500"
    );
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_all_who_ask() {
    let (double, handed_out) = metadata_service(2);
    let machine = Machine::new()
        .metadata(&double)
        .set("ALIBABA_CLOUD_ECS_METADATA", "night role");
    let chain = machine.chain();
    assert_eq!(chain.get().await.unwrap().access_key_id(), "id0");
    let (a, b, c) = tokio::join!(chain.refresh(), chain.refresh(), chain.refresh());
    assert!(a.unwrap() && b.unwrap() && c.unwrap());
    assert_eq!(chain.get().await.unwrap().access_key_id(), "id1");
    assert_eq!(handed_out.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn files_are_read_again_after_an_expired_token_once_for_all_attempts_under_way() {
    for (attempt_timeout, seconds) in [(None, 30), (Some(Duration::from_mins(2)), 120)] {
        let machine = cli().set("ALIBABA_CLOUD_PROFILE", "sts");
        read_again(machine, attempt_timeout, seconds).await;
    }
}

async fn read_again(machine: Machine, attempt_timeout: Option<Duration>, seconds: u64) {
    let chain = machine.chain_for(attempt_timeout);
    chain.get().await.unwrap();
    assert!(!chain.refresh().await.unwrap());
    let _machine = machine.file(".aliyun/config.json", &CLI.replace("SECRET3", "SECRET9"));
    tokio::time::advance(Duration::from_secs(seconds - 1)).await;
    assert!(
        !chain.refresh().await.unwrap(),
        "it was asked for all who were under way"
    );
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(chain.refresh().await.unwrap());
    let found = chain.get().await.unwrap();
    assert_eq!(found.security_token().unwrap().expose_secret(), "SECRET9");
}

#[tokio::test]
async fn the_credentials_uri_and_what_can_go_wrong_with_it() {
    let uri = |status: u16, body: String| {
        let double = Double::start(move |_| http(status, "", body.as_bytes()));
        let machine = Machine::new().set("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
        machine.set("ALIBABA_CLOUD_CREDENTIALS_URI", &format!("{}/SECRET", double.url))
    };
    assert_eq!(
        uri(200, keys(7, 60)).found().await,
        four("id7", "SECRET", Some("SECRETT"), "credentials URI")
    );
    for (status, body, why) in [
        (500, keys(1, 60), "http 500"),
        (200, "<SECRET>".to_owned(), "not the JSON"),
        (200, keys(1, 60).replace("Success", "SECRET"), "Code is not Success"),
        (200, keys(1, 60).replace("2026-", "SECRET"), "Expiration is not a time"),
        (200, r#"{"Code":"Success"}"#.to_owned(), "holds no key"),
        (200, " ".repeat(70_000), "longer than"),
    ] {
        let error = uri(status, body).error().await;
        assert!(error.contains(why), "{error}");
    }
}
