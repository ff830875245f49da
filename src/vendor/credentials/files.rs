//! Credentials in files: the vendor's command line tool's `config.json`, and the INI file of the vendor's libraries.
//!
//! A file that is not there, or has no such profile, is only noted; one that is there and can't be used is an error.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Credentials, CredentialsError, CredentialsSource};
use crate::files::open_regular;
use crate::host::Host;
use crate::trust;

/// No credentials file is longer.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// What everybody may do with a file.
const OTHERS: u32 = 0o007;
const BYTE_ORDER_MARK: char = '\u{feff}';
const PROFILE: &str = "ALIBABA_CLOUD_PROFILE";
/// The folder of a unit's credentials, set by systemd.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
const CREDENTIALS_FILE: &str = "ALIBABA_CLOUD_CREDENTIALS_FILE";

/// What a place has: credentials, or why not in a few words for "looked at".
pub(super) type Looked = Result<Result<(Credentials, CredentialsSource), String>, CredentialsError>;

#[derive(serde::Deserialize)]
struct CliConfig {
    #[serde(default)]
    current: String,
    #[serde(default)]
    profiles: Vec<CliProfile>,
}

#[derive(serde::Deserialize)]
struct CliProfile {
    #[serde(default)]
    name: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    access_key_id: String,
    #[serde(default)]
    access_key_secret: String,
    #[serde(default)]
    sts_token: String,
    /// Unix seconds, 0 where there is none.
    #[serde(default)]
    sts_expiration: i64,
}

/// `~/.aliyun/config.json`: the profile of `ALIBABA_CLOUD_PROFILE`, else the current one.
pub(super) fn vendor_cli(host: &Host) -> Looked {
    let Some(path) = host.home().map(|home| home.join(".aliyun/config.json")) else {
        return Ok(Err("the vendor CLI's configuration (HOME is not set)".to_owned()));
    };
    let Some(text) = read(&path)? else {
        return Ok(Err(format!("{} (not there)", path.display())));
    };
    // serde's message can repeat a value, so only the place is told.
    let config: CliConfig = serde_json::from_str(&text).map_err(|error| CredentialsError::Malformed {
        place: path.display().to_string(),
        reason: format!(
            "not the vendor CLI's JSON (line {}, column {})",
            error.line(),
            error.column()
        ),
    })?;
    let chosen = host.var(PROFILE).unwrap_or(&config.current);
    let chosen = if chosen.is_empty() { "default" } else { chosen };
    let Some(profile) = config.profiles.iter().find(|profile| profile.name == chosen) else {
        return Ok(Err(format!("{} (no profile {chosen})", path.display())));
    };
    let sts = profile.mode.eq_ignore_ascii_case("StsToken");
    if !(sts || profile.mode.is_empty() || profile.mode.eq_ignore_ascii_case("AK")) {
        return Err(CredentialsError::UnsupportedMode {
            path,
            profile: chosen.to_owned(),
            mode: profile.mode.clone(),
            supported: "AK or StsToken",
        });
    }
    let expires_at = Timestamp::from_second(profile.sts_expiration).ok();
    let expires_at = expires_at.filter(|_| sts && profile.sts_expiration > 0);
    let keys = Keys {
        id: &profile.access_key_id,
        secret: &profile.access_key_secret,
        token: sts.then_some(profile.sts_token.as_str()),
    };
    let place = format!("{}, profile {chosen}", path.display());
    let profile = chosen.to_owned();
    keys.credentials(place, expires_at, CredentialsSource::VendorCli { path, profile })
}

/// The file `credentials_file` that systemd hands to a unit with `LoadCredential=`, in the form of the vendor's libraries.
pub(super) fn service_manager(host: &Host) -> Looked {
    let Some(folder) = host.var(CREDENTIALS_DIRECTORY) else {
        return Ok(Err(format!(
            "a credential of the unit ({CREDENTIALS_DIRECTORY} is not set)"
        )));
    };
    let path = Path::new(folder).join("credentials_file");
    match read(&path)? {
        Some(text) => of_ini(host, path, &text),
        None => Ok(Err(format!("{} (not there)", path.display()))),
    }
}

/// `~/.alibabacloud/credentials` or the file of `ALIBABA_CLOUD_CREDENTIALS_FILE`: the profile of
/// `ALIBABA_CLOUD_PROFILE`, else `default`.
pub(super) fn ini(host: &Host) -> Looked {
    let named = host.var(CREDENTIALS_FILE);
    let in_home = || host.home().map(|home| home.join(".alibabacloud/credentials"));
    let Some(path) = named.map(Into::into).or_else(in_home) else {
        return Ok(Err("the credentials file (HOME is not set)".to_owned()));
    };
    let Some(text) = read(&path)? else {
        if named.is_some() {
            let source = io::Error::new(
                io::ErrorKind::NotFound,
                format!("{CREDENTIALS_FILE} names it, and it is not there"),
            );
            return Err(CredentialsError::File { path, source });
        }
        return Ok(Err(format!("{} (not there)", path.display())));
    };
    of_ini(host, path, &text)
}

fn of_ini(host: &Host, path: PathBuf, text: &str) -> Looked {
    let chosen = host.var(PROFILE).unwrap_or("default").to_owned();
    let Some(section) = section(text, &chosen) else {
        return Ok(Err(format!("{} (no profile {chosen})", path.display())));
    };
    let value = |name: &str| section.get(name).copied().unwrap_or_default();
    let sts = value("type") == "sts";
    if !(sts || matches!(value("type"), "" | "access_key")) {
        return Err(CredentialsError::UnsupportedMode {
            path,
            profile: chosen,
            mode: value("type").to_owned(),
            supported: "access_key or sts",
        });
    }
    let token = ["security_token", "sts_token"]
        .map(value)
        .into_iter()
        .find(|token| !token.is_empty());
    let keys = Keys {
        id: value("access_key_id"),
        secret: value("access_key_secret"),
        token: if sts { Some(token.unwrap_or_default()) } else { token },
    };
    let place = format!("{}, profile {chosen}", path.display());
    keys.credentials(
        place,
        None,
        CredentialsSource::CredentialsFile { path, profile: chosen },
    )
}

/// What a profile says.
pub(super) struct Keys<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
    /// `Some` where there must be one.
    pub(super) token: Option<&'a str>,
}

impl Keys<'_> {
    /// Nothing at all counts as not there, half of it is an error.
    pub(super) fn credentials(
        &self,
        place: String,
        expires_at: Option<Timestamp>,
        source: CredentialsSource,
    ) -> Looked {
        let blank = |text: &str| text.trim().is_empty();
        let missing = match (blank(self.id), blank(self.secret), self.token.is_some_and(blank)) {
            (true, true, _) => return Ok(Err(format!("{place} (empty)"))),
            (true, _, _) => "the access key id",
            (_, true, _) => "the access key secret",
            (_, _, true) => "the security token",
            _ => {
                let credentials = Credentials::new(self.id, self.secret, self.token, expires_at).checked(&place)?;
                return Ok(Ok((credentials, source)));
            }
        };
        Err(CredentialsError::Incomplete { place, missing })
    }
}

/// The names and values of `[name]`; `None` where there is no such section.
fn section<'a>(text: &'a str, name: &str) -> Option<BTreeMap<&'a str, &'a str>> {
    let mut found = None;
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            inside = header.0.trim() == name;
            if inside {
                found.get_or_insert_with(BTreeMap::new);
            }
        } else if !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
            && let Some(section) = found.as_mut().filter(|_| inside)
        {
            section.insert(key.trim(), value.trim().trim_matches('"'));
        }
    }
    found
}

fn read(path: &Path) -> Result<Option<String>, CredentialsError> {
    let failed = |source| CredentialsError::File {
        path: path.to_owned(),
        source,
    };
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        let path = path.to_owned();
        return Err(CredentialsError::Exposed { path, mode });
    }
    trust::check_opened(path, &file).map_err(failed)?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    // Editors on Windows put a byte order mark there.
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(Some(text))
}
