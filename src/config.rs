//! The configuration file, and what a run is told in the end: the command line over the environment over the file over
//! the defaults.
//!
//! - [`ConfigFile`]: `idvault.toml`; an unknown key is an error
//! - [`Settings`]: everything a command needs, checked
//! - [`ConfigError`]: what is wrong, and where
//! - [`Qps`], [`HumanDuration`]: values as a person writes them

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::Deserialize;

use crate::day::BillingZone;
use crate::fetch::{CONCURRENCY, FetchSettings, Limits, QUARANTINE_AFTER_RUNS};
use crate::intake::{ColumnNames, IntakeSettings};
use crate::ledger::Defaults;
use crate::record::{InvalidField, ProductCode, Region};
use crate::report::expiry::WARNING_WINDOW;
use crate::report::forecast::SetPace;
use crate::retry::{ATTEMPTS_PER_CALL, RetryPolicy};
use crate::tables::{Price, Prices, Quotas, SubCodeMeaning, SubCodes};
use crate::vendor::{BaseUrl, CredentialsSettings, Endpoints, InvalidUrl, Network};

/// The file that is read where there is one and none is named.
pub const DEFAULT_FILE: &str = "idvault.toml";

/// The data folder, where none is named.
pub const DEFAULT_DATA_DIR: &str = "idvault-data";

/// The share of each quota that a run takes: live traffic shares it.
pub const QUOTA_SHARE: f64 = 0.8;

/// From one run to the next, for the forecast of what the next run can still reach.
pub const RUN_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

const DEFAULT_PRODUCT: &str = "FACE_LIVENESS";
const DEFAULT_REGION: &str = "ap-southeast-1";

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("failed to read the configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be. The file is not quoted: somebody may have written a secret into it.
    #[error("the configuration {path} is wrong in line {line}: {why}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In the parser's words.
        why: String,
    },
    /// A value is out of range.
    #[error("{key} is wrong: {why}")]
    Value {
        /// The key, as the file or the command line names it.
        key: String,
        /// What is wrong, and what is allowed.
        why: String,
    },
}

impl ConfigError {
    fn value(key: &str, why: impl std::fmt::Display) -> Self {
        Self::Value {
            key: key.to_owned(),
            why: why.to_string(),
        }
    }
}

/// A duration as a person writes it: `6h`, `200ms`, `7d` (a day is 24 hours).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanDuration(pub SignedDuration);

impl HumanDuration {
    /// For timers.
    pub fn std(self) -> Duration {
        self.0.unsigned_abs()
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a duration such as 6h, 90s, 200ms or 7d");
        let span: Span = text.trim().parse().map_err(|_| wrong())?;
        let duration = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|_| wrong())?;
        if duration.is_positive() {
            Ok(Self(duration))
        } else {
            Err(wrong())
        }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// One rate for everything in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Qps {
    /// Calls per second.
    PerSecond(f64),
    /// No limit: to a loopback address only.
    Unlimited,
}

impl FromStr for Qps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("unlimited") {
            return Ok(Self::Unlimited);
        }
        match text.parse::<f64>() {
            Ok(rate) if is_rate(rate) => Ok(Self::PerSecond(rate)),
            _ => Err(format!(
                "{text:?} is neither a number of calls per second ({RATES}) nor `unlimited`"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Qps {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Word(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(rate) => rate.to_string(),
            Written::Word(word) => word,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

const RATES: &str = "from 0.001 to 100000";

fn is_rate(rate: f64) -> bool {
    (0.001..=100_000.0).contains(&rate)
}

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

/// What the command line and the environment say; it stands over the file.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct Overrides {
    pub data_dir: Option<PathBuf>,
    pub pending: Vec<String>,
    pub endpoint: Option<String>,
    pub qps: Option<Qps>,
    pub concurrency: Option<usize>,
    pub time_limit: Option<HumanDuration>,
    pub images: bool,
    pub sandbox: bool,
}

/// Everything a command needs, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where ledger, archive and reports are.
    pub data_dir: PathBuf,
    /// The pending sources, as they were named.
    pub pending: Vec<String>,
    /// How they are read.
    pub intake: IntakeSettings,
    /// What is taken for a row that does not say.
    pub defaults: Defaults,
    /// Where each region is asked.
    pub endpoints: Endpoints,
    /// The set pace.
    pub pace: SetPace,
    /// How many calls at a time, how often each is tried.
    pub fetch: FetchSettings,
    /// How long a run may take.
    pub time_limit: Option<Duration>,
    /// Whether to ask for face images.
    pub images: bool,
    /// For setting up a connection.
    pub connect_timeout: Option<Duration>,
    /// Between two pieces of an answer.
    pub read_timeout: Option<Duration>,
    /// For a whole attempt.
    pub attempt_timeout: Option<Duration>,
    /// Where credentials are looked for.
    pub credentials: CredentialsSettings,
    /// How far ahead the expiry report looks.
    pub warning_window: SignedDuration,
    /// From one run to the next.
    pub run_interval: SignedDuration,
    /// Where a billing day begins.
    pub billing_zone: BillingZone,
    /// What a verification costs.
    pub prices: Prices,
    /// What a sub code means.
    pub sub_codes: SubCodes,
}

impl Settings {
    /// The file under the overrides, checked. With `sandbox` the endpoint is not known yet.
    pub fn new(file: ConfigFile, over: Overrides) -> Result<Self, ConfigError> {
        let mut quotas = Quotas::built_in();
        if let Some((product, _)) = file.quotas.iter().find(|(_, rate)| !is_rate(**rate)) {
            return Err(ConfigError::value(
                &format!("quotas.{product}"),
                format!("it must be {RATES} calls per second"),
            ));
        }
        quotas.extend(file.quotas);
        let mut prices = Prices::built_in();
        prices.extend(file.prices);
        let mut sub_codes = SubCodes::built_in();
        sub_codes.extend(file.sub_codes);
        let endpoint = over.endpoint.or(file.endpoint);
        let endpoints = endpoints(endpoint.as_deref(), file.network.unwrap_or_default(), file.endpoints)?;
        let to_loopback = over.sandbox || all_loopback(&endpoints);
        let pace = pace(over.qps.or(file.qps), file.quota_share, quotas, to_loopback)?;
        let regions: BTreeSet<String> = endpoints.regions().map(ToString::to_string).collect();
        let pending = if over.pending.is_empty() {
            file.pending
        } else {
            over.pending
        };
        Ok(Self {
            data_dir: over
                .data_dir
                .or(file.data_dir)
                .unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            pending,
            intake: IntakeSettings {
                columns: file.intake.columns,
                time_zone: zone("intake.time_zone", file.intake.time_zone.as_deref())?,
                sqlite_query: file.intake.sqlite_query,
                regions: Some(regions),
            },
            defaults: defaults(&file.intake.defaults, &endpoints)?,
            endpoints,
            pace,
            fetch: fetch(over.concurrency.or(file.concurrency), file.retry)?,
            time_limit: over.time_limit.or(file.time_limit).map(HumanDuration::std),
            images: over.images || file.images.unwrap_or(false),
            connect_timeout: file.timeouts.connect.map(HumanDuration::std),
            read_timeout: file.timeouts.read.map(HumanDuration::std),
            attempt_timeout: file.timeouts.attempt.map(HumanDuration::std),
            credentials: CredentialsSettings {
                metadata_url: file.credentials.metadata_url,
            },
            warning_window: file.warning_window.map_or(WARNING_WINDOW, |window| window.0),
            run_interval: file.run_interval.map_or(RUN_INTERVAL, |interval| interval.0),
            billing_zone: zone("billing_zone", file.billing_zone.as_deref())?
                .map_or_else(BillingZone::default, BillingZone::new),
            prices,
            sub_codes,
        })
    }
}

impl Settings {
    /// Whether every call stays on this machine.
    pub fn asks_loopback(&self) -> bool {
        all_loopback(&self.endpoints)
    }
}

fn all_loopback(endpoints: &Endpoints) -> bool {
    endpoints
        .regions()
        .all(|region| endpoints.get(region).is_some_and(BaseUrl::is_loopback))
}

fn endpoints(single: Option<&str>, network: Network, more: BTreeMap<String, String>) -> Result<Endpoints, ConfigError> {
    let parse = |key: &str, url: &str| BaseUrl::parse(url).map_err(|error: InvalidUrl| ConfigError::value(key, error));
    let mut endpoints = match single {
        Some(url) => Endpoints::single(&parse("endpoint", url)?),
        None => Endpoints::built_in(network),
    };
    for (name, url) in more {
        let key = format!("endpoints.{name}");
        let region = Region::parse(&name).map_err(|error| ConfigError::value(&key, error))?;
        let url = parse(&key, single.unwrap_or(&url))?;
        endpoints.insert(region, url);
    }
    Ok(endpoints)
}

fn pace(qps: Option<Qps>, share: Option<f64>, quotas: Quotas, to_loopback: bool) -> Result<SetPace, ConfigError> {
    match qps {
        Some(Qps::Unlimited) if !to_loopback => Err(ConfigError::value(
            "qps",
            "`unlimited` is for a loopback address only; the vendor's quota is shared with live traffic",
        )),
        Some(Qps::Unlimited) => Ok(SetPace::Shared(None)),
        Some(Qps::PerSecond(rate)) => Ok(SetPace::Shared(Some(rate))),
        None => {
            let share = share.unwrap_or(QUOTA_SHARE);
            if !(0.01..=1.0).contains(&share) {
                return Err(ConfigError::value(
                    "quota_share",
                    format!("{share} is not from 0.01 to 1"),
                ));
            }
            Ok(SetPace::PerProduct { quotas, share })
        }
    }
}

fn fetch(concurrency: Option<usize>, retry: RetryConfig) -> Result<FetchSettings, ConfigError> {
    let concurrency = concurrency.unwrap_or(CONCURRENCY);
    if !(1..=4_096).contains(&concurrency) {
        return Err(ConfigError::value(
            "concurrency",
            format!("{concurrency} is not from 1 to 4096"),
        ));
    }
    let at_least_once = |key: &str, number: Option<u32>, default: u32| match number {
        Some(0) => Err(ConfigError::value(
            key,
            "0 is not a number of times; it must be 1 or more",
        )),
        number => Ok(number.unwrap_or(default)),
    };
    Ok(FetchSettings {
        concurrency,
        retry: RetryPolicy {
            attempts_per_call: at_least_once("retry.attempts_per_call", retry.attempts_per_call, ATTEMPTS_PER_CALL)?,
        },
        limits: Limits {
            quarantine_after_runs: at_least_once(
                "retry.quarantine_after_runs",
                retry.quarantine_after_runs,
                QUARANTINE_AFTER_RUNS,
            )?,
        },
    })
}

fn defaults(config: &DefaultsConfig, endpoints: &Endpoints) -> Result<Defaults, ConfigError> {
    let wrong = |key: &'static str| move |error: InvalidField| ConfigError::value(key, error);
    let product_code = config.product_code.as_deref().unwrap_or(DEFAULT_PRODUCT);
    let region = config.region.as_deref().unwrap_or(DEFAULT_REGION);
    let region = Region::parse(region).map_err(wrong("intake.defaults.region"))?;
    if !endpoints.knows(&region) {
        let why = format!(
            "{region:?} has no known endpoint; add one under [endpoints]",
            region = region.as_str()
        );
        return Err(ConfigError::value("intake.defaults.region", why));
    }
    Ok(Defaults {
        product_code: ProductCode::parse(product_code).map_err(wrong("intake.defaults.product_code"))?,
        region,
    })
}

/// A zone by its name (`Asia/Singapore`) or as an offset (`+08:00`).
fn zone(key: &str, name: Option<&str>) -> Result<Option<TimeZone>, ConfigError> {
    let Some(name) = name else {
        return Ok(None);
    };
    let zone = parse_offset(name).or_else(|| TimeZone::get(name).ok());
    zone.map(Some).ok_or_else(|| {
        ConfigError::value(
            key,
            format!("{name:?} is neither an offset such as +08:00 nor a known zone such as Asia/Singapore"),
        )
    })
}

fn parse_offset(text: &str) -> Option<TimeZone> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let in_range = (0..=14).contains(&hours) && (0..60).contains(&minutes);
    let offset = jiff::tz::Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()?;
    in_range.then(|| TimeZone::fixed(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor::client;

    fn settings(text: &str) -> Result<Settings, ConfigError> {
        Settings::new(toml::from_str(text).unwrap(), Overrides::default())
    }

    #[test]
    fn durations_are_written_for_people() {
        for (text, millis) in [
            ("6h", 21_600_000),
            ("200ms", 200),
            ("7d", 604_800_000),
            ("1h 30m", 5_400_000),
        ] {
            assert_eq!(
                text.parse::<HumanDuration>().unwrap().std().as_millis(),
                millis,
                "{text}"
            );
        }
        for text in ["", "6", "-1h", "0s", "soon", "1 month"] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_defaults_are_the_designs() {
        let settings = settings("").unwrap();
        assert_eq!(settings.data_dir, Path::new("idvault-data"));
        assert_eq!(settings.defaults.product_code.as_str(), "FACE_LIVENESS");
        assert_eq!(settings.warning_window, SignedDuration::from_hours(7 * 24));
        assert!(
            (settings.pace.of("FACE_LIVENESS").unwrap() - 40.0).abs() < 1e-9,
            "80 % of 50"
        );
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (text, key) in [
            ("qps = 'unlimited'", "qps"),
            ("quota_share = 2.0", "quota_share"),
            ("concurrency = 0", "concurrency"),
            ("endpoint = 'http://example.com'", "endpoint"),
            ("billing_zone = 'Nowhere/City'", "billing_zone"),
            ("[intake.defaults]\nregion = 'xx-nowhere-1'", "intake.defaults.region"),
            ("[quotas]\nFACE_LIVENESS = 0", "quotas.FACE_LIVENESS"),
            ("[retry]\nattempts_per_call = 0", "retry.attempts_per_call"),
        ] {
            let error = settings(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key} is wrong: ")), "{text}: {error}");
        }
    }

    #[test]
    fn zones_are_offsets_or_names() {
        assert_eq!(
            zone("z", Some("+08:00")).unwrap(),
            Some(TimeZone::fixed(jiff::tz::offset(8)))
        );
        assert!(zone("z", Some("Asia/Singapore")).unwrap().is_some());
        assert!(zone("z", Some("+25:00")).is_err());
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(toml::from_str::<ConfigFile>("qqs = 5").is_err());
        assert!(toml::from_str::<ConfigFile>("[credentials]\naccess_key_id = 'x'").is_err());
    }

    const SAMPLE: &str = include_str!("../samples/idvault.toml");

    /// The sample with every key and table taken out of its comment.
    fn sample_uncommented() -> String {
        let line = |line: &'static str| match line.strip_prefix('#') {
            Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
            _ => line,
        };
        SAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_sample_changes_nothing_as_it_is() {
        let prose = |line: &str| line.is_empty() || line.starts_with('#');
        assert!(SAMPLE.lines().all(prose));
        let sample = Settings::new(toml::from_str(SAMPLE).unwrap(), Overrides::default()).unwrap();
        assert_eq!(format!("{sample:?}"), format!("{:?}", settings("").unwrap()));
    }

    /// A new key of the configuration does not compile here until it is named, and fails until the sample has it.
    #[test]
    fn the_sample_explains_every_key() {
        let ConfigFile {
            data_dir,
            pending,
            network,
            endpoint,
            qps,
            quota_share,
            concurrency,
            time_limit,
            images,
            json,
            quiet,
            log_format,
            warning_window,
            run_interval,
            billing_zone,
            intake,
            timeouts,
            retry,
            credentials,
            endpoints,
            quotas,
            prices,
            sub_codes,
        } = toml::from_str(&sample_uncommented()).unwrap();
        let IntakeConfig {
            columns,
            defaults,
            time_zone,
            sqlite_query,
        } = intake;
        let DefaultsConfig { product_code, region } = defaults;
        let TimeoutsConfig { connect, read, attempt } = timeouts;
        let RetryConfig {
            attempts_per_call,
            quarantine_after_runs,
        } = retry;
        let CredentialsConfig { metadata_url } = credentials;
        let texts = [endpoint, billing_zone, time_zone, sqlite_query];
        assert!(texts.iter().all(Option::is_some), "{texts:?}");
        let texts = [product_code, region, metadata_url];
        assert!(texts.iter().all(Option::is_some), "{texts:?}");
        let durations = [time_limit, warning_window, run_interval, connect, read, attempt];
        assert!(durations.iter().all(Option::is_some), "{durations:?}");
        let switches = [images, json, quiet];
        assert!(switches.iter().all(Option::is_some), "{switches:?}");
        let numbers = [attempts_per_call, quarantine_after_runs];
        assert!(numbers.iter().all(Option::is_some), "{numbers:?}");
        assert!(data_dir.is_some() && network.is_some() && log_format.is_some());
        assert!(qps.is_some() && quota_share.is_some() && concurrency.is_some());
        assert!(!pending.is_empty() && !endpoints.is_empty() && !quotas.is_empty());
        assert!(!prices.is_empty() && sub_codes.values().any(|codes| !codes.is_empty()));
        let ColumnNames {
            transaction_id,
            merchant_biz_id,
            product_code,
            region,
            verified_at,
        } = columns;
        let unset = ColumnNames::default();
        assert_ne!(transaction_id, unset.transaction_id);
        assert_ne!(merchant_biz_id, unset.merchant_biz_id);
        assert_ne!(product_code, unset.product_code);
        assert_ne!(region, unset.region);
        assert_ne!(verified_at, unset.verified_at);
    }

    #[test]
    fn the_sample_shows_the_defaults() {
        let (shown, unset) = (settings(&sample_uncommented()).unwrap(), settings("").unwrap());
        assert_eq!(shown.data_dir, unset.data_dir);
        assert_eq!(shown.defaults.product_code, unset.defaults.product_code);
        assert_eq!(shown.defaults.region, unset.defaults.region);
        assert_eq!(format!("{:?}", shown.fetch), format!("{:?}", unset.fetch));
        assert_eq!(shown.images, unset.images);
        assert_eq!(shown.warning_window, unset.warning_window);
        assert_eq!(shown.run_interval, unset.run_interval);
        let midnight = "2026-11-22T16:00:00Z".parse().unwrap();
        assert_eq!(shown.billing_zone.day_of(midnight), unset.billing_zone.day_of(midnight));
        let file: ConfigFile = toml::from_str(&sample_uncommented()).unwrap();
        assert!((file.quota_share.unwrap() - QUOTA_SHARE).abs() < f64::EPSILON);
        assert_eq!(file.network, Some(Network::default()));
        assert_eq!(file.log_format, Some(LogFormat::default()));
        assert_eq!((file.json, file.quiet), (Some(false), Some(false)));
        assert_eq!(shown.connect_timeout, Some(client::DEFAULT_CONNECT_TIMEOUT));
        assert_eq!(shown.read_timeout, Some(client::DEFAULT_READ_TIMEOUT));
        assert_eq!(shown.attempt_timeout, Some(client::DEFAULT_ATTEMPT_TIMEOUT));
    }
}
