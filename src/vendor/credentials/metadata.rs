//! Temporary credentials over HTTP: the machine's RAM role from the metadata service, and the credentials URI.
//!
//! Both are asked without a proxy and follow no redirect: the answer holds a secret.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, StatusCode, Url};

use super::files::{Keys, Looked};
use super::{CredentialsError, CredentialsSource};
use crate::vendor::endpoint::is_loopback;
use crate::vendor::transport::{self, CaBundle};

/// The metadata service's address. It is in the shared address space (RFC 6598), which other networks route: only on a machine
/// of the vendor's does plain http to it stay with the machine's host.
const METADATA_HOST: &str = "100.100.100.200";
pub(super) const METADATA_URL: &str = "http://100.100.100.200";
/// All of the exchanges with the metadata service: a machine of another vendor has none, and a run without credentials
/// should say so at once.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
const URI_TIMEOUT: Duration = Duration::from_secs(5);
/// No answer with credentials is longer.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// For how many seconds the metadata service's own token is asked for.
const TOKEN_TTL_SECONDS: &str = "60";
const METADATA_PLACE: &str = "the ECS metadata service";

/// What the firmware says of the machine, and what it says on the vendor's (cloud-init goes by the same).
const FIRMWARE: [&str; 2] = ["/sys/class/dmi/id/product_name", "/sys/class/dmi/id/sys_vendor"];
const VENDORS_NAME: &str = "Alibaba Cloud";

/// Whether this is a machine of the vendor's, as its firmware says.
pub(super) fn is_vendors_machine() -> bool {
    let says = |path: &&str| std::fs::read_to_string(path).is_ok_and(|text| names_vendor(&text));
    FIRMWARE.iter().any(says)
}

fn names_vendor(text: &str) -> bool {
    text.trim().starts_with(VENDORS_NAME)
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    access_key_id: String,
    #[serde(default)]
    access_key_secret: String,
    #[serde(default)]
    security_token: String,
    #[serde(default)]
    expiration: Option<String>,
}

/// Plain http to this machine or the metadata service; https anywhere where `https` is true.
pub(super) fn checked_url(setting: &'static str, text: &str, https: bool) -> Result<Url, CredentialsError> {
    let refused = |reason: String| CredentialsError::RefusedUrl { setting, reason };
    let url = Url::parse(text.trim()).map_err(|error| refused(format!("not a URL ({error})")))?;
    let host = url.host_str().unwrap_or_default();
    let near = url.scheme() == "http" && (is_loopback(host) || host == METADATA_HOST);
    if near || (https && url.scheme() == "https") {
        return Ok(url);
    }
    let allowed = if https {
        "https, a loopback address"
    } else {
        "a loopback address"
    };
    Err(refused(format!("only {allowed} or {METADATA_HOST} is allowed")))
}

/// The credentials of the machine's role. Where there is no metadata service or no role, that is only noted.
pub(super) async fn ecs_ram_role(base: &Url, role: Option<&str>) -> Looked {
    match tokio::time::timeout(METADATA_TIMEOUT, ask_metadata(base, role)).await {
        Ok(looked) => looked,
        Err(_) => Ok(Err(format!("{METADATA_PLACE} (no answer within {METADATA_TIMEOUT:?})"))),
    }
}

async fn ask_metadata(base: &Url, role: Option<&str>) -> Looked {
    let not_there = |why: &str| Ok(Err(format!("{METADATA_PLACE} ({why})")));
    let http = client(false, &CaBundle::default(), METADATA_TIMEOUT)?;
    let token_url = at(base, &["latest", "api", "token"]);
    let token = http
        .request(Method::PUT, token_url)
        .header("X-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_TTL_SECONDS);
    let token = match get(token).await {
        Ok((StatusCode::OK, token)) => token,
        Ok((status, _)) => return not_there(&format!("its token: http {}", status.as_u16())),
        Err(why) => return not_there(&why),
    };
    let read = |names: &[&str]| {
        let path = [&["latest", "meta-data", "ram", "security-credentials"], names].concat();
        let request = http.request(Method::GET, at(base, &path));
        get(request.header("X-aliyun-ecs-metadata-token", token.trim()))
    };
    let role = match role {
        Some(role) => role.to_owned(),
        // The empty name is the folder itself: its path ends with a slash.
        None => match read(&[""]).await {
            Ok((StatusCode::OK, roles)) => roles.lines().next().unwrap_or_default().trim().to_owned(),
            Ok((StatusCode::NOT_FOUND, _)) => String::new(),
            Ok((status, _)) => return not_there(&format!("its roles: http {}", status.as_u16())),
            Err(why) => return not_there(&why),
        },
    };
    if role.is_empty() {
        return not_there("this machine has no RAM role");
    }
    let place = format!("{METADATA_PLACE}, role {role}");
    let answer = read(&[&role]).await;
    temporary(place, answer, CredentialsSource::EcsRamRole { role })
}

/// The credentials that a URI answers with, in the metadata service's form.
pub(super) async fn credentials_uri(url: &Url, more_cas: &CaBundle) -> Looked {
    let http = client(url.scheme() == "https", more_cas, URI_TIMEOUT)?;
    let answer = get(http.request(Method::GET, url.clone())).await;
    // The URI itself can hold a token, so it is not named.
    temporary("the credentials URI".to_owned(), answer, CredentialsSource::Uri)
}

fn temporary(place: String, answer: Result<(StatusCode, String), String>, source: CredentialsSource) -> Looked {
    let failed = |place, reason| Err(CredentialsError::Fetch { place, reason });
    let body = match answer {
        Ok((StatusCode::OK, body)) => body,
        Ok((status, _)) => return failed(place, format!("http {}", status.as_u16())),
        Err(why) => return failed(place, why),
    };
    let Ok(answer) = serde_json::from_str::<Answer>(&body) else {
        return failed(place, "the answer is not the JSON it should be".to_owned());
    };
    if answer.code.is_some_and(|code| code != "Success") {
        return failed(place, "the answer's Code is not Success".to_owned());
    }
    let expires_at = match answer.expiration.as_deref().map(str::parse::<Timestamp>) {
        None => None,
        Some(Ok(time)) => Some(time),
        Some(Err(_)) => return failed(place, "the answer's Expiration is not a time".to_owned()),
    };
    let keys = Keys {
        id: &answer.access_key_id,
        secret: &answer.access_key_secret,
        token: Some(&answer.security_token),
    };
    match keys.credentials(place, expires_at, source)? {
        Ok(found) => Ok(Ok(found)),
        Err(why) => failed(why, "the answer holds no key".to_owned()),
    }
}

fn client(https: bool, more_cas: &CaBundle, timeout: Duration) -> Result<reqwest::Client, CredentialsError> {
    let builder = transport::builder(https, more_cas).no_proxy().timeout(timeout);
    builder.build().map_err(CredentialsError::Client)
}

/// `base` with these names as its path, each encoded: a role's name is data.
fn at(base: &Url, names: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(names);
    }
    url
}

/// Status and body, or why there is none in a few words.
async fn get(request: reqwest::RequestBuilder) -> Result<(StatusCode, String), String> {
    let why = |error: reqwest::Error| {
        if let Some(why) = transport::distrust(&error) {
            return format!("its certificate is not trusted: {why}");
        }
        let kind = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "can't be reached"
        } else {
            "the answer broke off"
        };
        kind.to_owned()
    };
    let mut response = request.send().await.map_err(why)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(why)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY_BYTES {
            return Err(format!("the answer is longer than {MAX_BODY_BYTES} bytes"));
        }
    }
    let body = String::from_utf8(body).map_err(|_| "the answer is not UTF-8".to_owned())?;
    Ok((response.status(), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_the_vendors_where_its_firmware_says_so() {
        for text in ["Alibaba Cloud ECS\n", "Alibaba Cloud\n"] {
            assert!(names_vendor(text));
        }
        for text in ["", "\n", "Amazon EC2\n", "Not Alibaba Cloud\n"] {
            assert!(!names_vendor(text));
        }
    }
}
