//! `idvault.toml`, as it is written.
//!
//! - [`ConfigFile`]: the file; the other structs are its tables

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, DEFAULT_FILE, HumanDuration, Qps};
use crate::intake::ColumnNames;
use crate::tables::{Price, SubCodeMeaning};
use crate::vendor::Network;

/// `idvault.toml`. Every key is optional; `samples/idvault.toml` explains each.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "samples/idvault.toml documents the keys, and a test holds it to them"
)]
pub struct ConfigFile {
    pub data_dir: Option<PathBuf>,
    pub pending: Vec<String>,
    pub network: Option<Network>,
    pub endpoint: Option<String>,
    pub qps: Option<Qps>,
    pub quota_share: Option<f64>,
    pub concurrency: Option<usize>,
    pub time_limit: Option<HumanDuration>,
    pub images: Option<bool>,
    pub json: Option<bool>,
    pub quiet: Option<bool>,
    pub log_format: Option<LogFormat>,
    pub warning_window: Option<HumanDuration>,
    pub run_interval: Option<HumanDuration>,
    pub billing_zone: Option<String>,
    pub intake: IntakeConfig,
    pub timeouts: TimeoutsConfig,
    pub retry: RetryConfig,
    pub credentials: CredentialsConfig,
    pub tls: TlsConfig,
    pub endpoints: BTreeMap<String, String>,
    pub quotas: BTreeMap<String, f64>,
    pub prices: BTreeMap<String, Price>,
    pub sub_codes: BTreeMap<String, BTreeMap<String, SubCodeMeaning>>,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// `[intake]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct IntakeConfig {
    pub columns: ColumnNames,
    pub defaults: DefaultsConfig,
    pub time_zone: Option<String>,
    pub sqlite_query: Option<String>,
}

/// `[intake.defaults]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct DefaultsConfig {
    pub product_code: Option<String>,
    pub region: Option<String>,
}

/// `[timeouts]`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct TimeoutsConfig {
    pub connect: Option<HumanDuration>,
    pub read: Option<HumanDuration>,
    pub attempt: Option<HumanDuration>,
}

/// `[retry]`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct RetryConfig {
    pub attempts_per_call: Option<u32>,
    pub quarantine_after_runs: Option<u32>,
}

/// `[credentials]`: where they are looked for, never what they are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct CredentialsConfig {
    pub metadata_url: Option<String>,
}

/// `[tls]`. Whom to trust more, never less: the check of certificates can't be switched off.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct TlsConfig {
    pub ca_file: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads `named`, or `idvault.toml` in the working folder where there is one.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(ConfigError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            ConfigError::Parse {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                why: without_strings(error.message()),
            }
        })
    }
}

/// A message of serde's without the strings that it quotes.
fn without_strings(message: &str) -> String {
    match (message.find("string \""), message.rfind('"')) {
        (Some(start), Some(end)) => format!("{}string{}", &message[..start], &message[end + 1..]),
        _ => message.to_owned(),
    }
}
