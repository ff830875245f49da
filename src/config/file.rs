//! `idvault.toml`, as it is written.
//!
//! - [`ConfigFile`]: the file; the other structs are its tables

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;
use serde::Deserialize;

use super::{ConfigError, DEFAULT_FILE, HumanDuration, Qps};
use crate::intake::ColumnNames;
use crate::plain::shortened;
use crate::reconcile::bill::{BillColumns, LineKind};
use crate::reconcile::records::RecordColumns;
use crate::tables::{Package, Price, RegionQuota, SubCodeMeaning};
use crate::trust;
use crate::vendor::Network;

/// No configuration is longer.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The longest message of the parser's, in characters: it can repeat a key, and lists those that there are.
const MAX_WHY_CHARS: usize = 1_000;

/// `idvault.toml`. Every key is optional; `samples/idvault.toml` explains each.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "samples/idvault.toml documents the keys, and a test holds it to them"
)]
pub struct ConfigFile {
    pub data_dir: Option<PathBuf>,
    pub data_group: Option<String>,
    pub pending: Vec<String>,
    pub network: Option<Network>,
    pub endpoint: Option<String>,
    pub account: Option<String>,
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
    pub billing: BillingConfig,
    pub bill: BillConfig,
    pub records: RecordsConfig,
    pub intake: IntakeConfig,
    pub timeouts: TimeoutsConfig,
    pub retry: RetryConfig,
    pub credentials: CredentialsConfig,
    pub tls: TlsConfig,
    pub integrity: IntegrityConfig,
    pub endpoints: BTreeMap<String, String>,
    pub quotas: QuotasConfig,
    pub prices: BTreeMap<String, Vec<Price>>,
    pub packages: Vec<Package>,
    pub sub_codes: BTreeMap<String, BTreeMap<String, SubCodeMeaning>>,
}

/// `[quotas]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct QuotasConfig {
    pub time_zone: Option<String>,
    pub share: Vec<ShareConfig>,
    pub regions: BTreeMap<String, RegionQuota>,
    pub products: BTreeMap<String, f64>,
}

/// A line of `quotas.share`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct ShareConfig {
    pub from: String,
    pub to: String,
    pub share: f64,
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

/// `[bill]`: how the vendor's bill names things.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct BillConfig {
    pub columns: BillColumns,
    pub products: BTreeMap<String, String>,
    pub regions: BTreeMap<String, String>,
    pub kinds: BTreeMap<String, LineKind>,
    pub product_codes: Vec<String>,
    pub tax_rate: Option<Decimal>,
    pub currency: Option<String>,
}

/// `[records]`: how the vendor's export of its own records names things.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct RecordsConfig {
    pub columns: RecordColumns,
    pub time_zone: Option<String>,
}

/// `[billing]`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct BillingConfig {
    pub decimals: Option<u32>,
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
    pub silence: Option<HumanDuration>,
    pub min_rows: Option<u64>,
    pub max_age: Option<HumanDuration>,
    pub max_rows: Option<u64>,
    pub time_limit: Option<HumanDuration>,
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
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct RetryConfig {
    pub attempts_per_call: Option<u32>,
    pub quarantine_after_runs: Option<u32>,
    pub patience: Option<HumanDuration>,
    pub pauses: Option<Vec<HumanDuration>>,
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

/// `[integrity]`: what authenticates the history.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct IntegrityConfig {
    pub key_file: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads `named`, or `idvault.toml` in the working folder where there is one.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(ConfigError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        Self::parse(path, &text)
    }

    /// Reads `text`, which stands in `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            ConfigError::Parse {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                why: shortened(&without_strings(error.message()), MAX_WHY_CHARS),
            }
        })
    }
}

/// The whole file, as long as it is one that a person could have written, and nobody but this user: it says where
/// credentials come from, who is asked with them and which CAs are trusted.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = trust::open_trusted(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is longer than {MAX_FILE_BYTES} bytes, so it is no configuration"),
        ));
    }
    Ok(text)
}

/// A message of serde's without the strings that it quotes.
fn without_strings(message: &str) -> String {
    match (message.find("string \""), message.rfind('"')) {
        (Some(start), Some(end)) => format!("{}string{}", &message[..start], &message[end + 1..]),
        _ => message.to_owned(),
    }
}
