//! The configuration file, and what a run is told in the end: the command line over the environment over the file over
//! the defaults.
//!
//! - [`ConfigFile`]: `idvault.toml`; an unknown key is an error
//! - [`Settings`]: everything a command needs, checked
//! - [`ConfigError`]: what is wrong, and where
//! - [`Qps`], [`HumanDuration`], [`Pauses`]: values as a person writes them

mod bill;
mod file;
mod names;
mod pricing;
mod quotas;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::day::BillingZone;
use crate::error_chain;
use crate::fetch::{CONCURRENCY, FetchSettings, Limits, PATIENCE, PAUSES, QUARANTINE_AFTER_RUNS};
use crate::intake::{IntakeSettings, MAX_ROWS, MIN_ROWS, SILENCE, SourceLimits};
use crate::ledger::{Account, Defaults, IntegrityKey};
use crate::pricing::Pricing;
use crate::quota::SetPace;
use crate::reconcile::bill::BillSettings;
use crate::reconcile::records::RecordsSettings;
use crate::record::{InvalidField, ProductCode, Region};
use crate::report::expiry::{Outlook, WARNING_WINDOW};
use crate::retry::{ATTEMPTS_PER_CALL, RetryPolicy};
use crate::trust::{self, DataGroup};
use crate::vendor::{BaseUrl, CaBundle, CredentialsSettings, Endpoints, InvalidUrl, Network};
use crate::worker::Isolation;

pub use file::{
    BillConfig, BillingConfig, ConfigFile, CredentialsConfig, DefaultsConfig, IntakeConfig, IntegrityConfig, LogFormat,
    QuotasConfig, RecordsConfig, RetryConfig, ShareConfig, TimeoutsConfig, TlsConfig,
};
pub use values::{HumanDuration, Pauses, Qps};
use values::{RATES, is_rate, zone};

/// The file that is read where there is one and none is named.
pub const DEFAULT_FILE: &str = "idvault.toml";

/// The data folder, where none is named.
pub const DEFAULT_DATA_DIR: &str = "idvault-data";

/// The share of each quota that a run takes: live traffic shares it.
pub const QUOTA_SHARE: f64 = 0.8;

/// From one run to the next, for the forecast of what the next run can still reach.
pub const RUN_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

/// How long the pending sources are read, where neither that nor the run's time limit is set.
const INTAKE_TIME_LIMIT: Duration = Duration::from_mins(30);

/// Of a run's time limit the sources have one of so many parts.
const INTAKE_PART: u32 = 4;

/// What a source's silence can be set to: shorter a busy disk is taken for silent, longer the night would be over.
const SILENCES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// The shortest key of the history, in bytes: as long as its HMAC.
const MIN_KEY_BYTES: u64 = 32;

/// No key of the history is longer, in bytes.
const MAX_KEY_BYTES: u64 = 4_096;

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

/// What the command line and the environment say; it stands over the file.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "see ConfigFile")]
pub struct Overrides {
    pub data_dir: Option<PathBuf>,
    pub pending: Vec<String>,
    pub endpoint: Option<String>,
    pub qps: Option<Qps>,
    pub concurrency: Option<usize>,
    pub pauses: Option<Vec<HumanDuration>>,
    pub time_limit: Option<HumanDuration>,
    pub images: bool,
    pub sandbox: bool,
}

/// Everything a command needs, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where ledger, archive and reports are.
    pub data_dir: PathBuf,
    /// Who may use it beside its owner.
    pub data_group: Option<DataGroup>,
    /// The pending sources, as they were named.
    pub pending: Vec<String>,
    /// How they are read.
    pub intake: IntakeSettings,
    /// What each of them must give.
    pub source_limits: SourceLimits,
    /// What is taken for a row that does not say.
    pub defaults: Defaults,
    /// Where each region is asked.
    pub endpoints: Endpoints,
    /// The name of the account that is asked.
    pub account: Option<String>,
    /// The key that authenticates the history.
    pub integrity_key_file: Option<PathBuf>,
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
    /// A file of CAs that are trusted beside the machine's.
    pub ca_file: Option<PathBuf>,
    /// The metadata service in place of its own address.
    pub metadata_url: Option<String>,
    /// How far ahead the expiry report looks.
    pub warning_window: SignedDuration,
    /// From one run to the next.
    pub run_interval: SignedDuration,
    /// Where a billing day begins.
    pub billing_zone: BillingZone,
    /// What a sub code means, and what a verification costs.
    pub pricing: Pricing,
    /// How the vendor's bill names things.
    pub bill: BillSettings,
    /// How the vendor's export of its own records does.
    pub records: RecordsSettings,
}

impl Settings {
    /// The file under the overrides, checked. With `sandbox` the endpoint is not known yet.
    pub fn new(mut file: ConfigFile, over: Overrides) -> Result<Self, ConfigError> {
        names::check(&file)?;
        let known_products = bill::known_products(&file);
        let pricing = pricing::pricing(&mut file)?;
        let quotas = quotas::quotas(&mut file.quotas)?;
        let endpoint = over.endpoint.or(file.endpoint);
        let endpoints = endpoints(endpoint.as_deref(), file.network.unwrap_or_default(), file.endpoints)?;
        let to_loopback = over.sandbox || all_loopback(&endpoints);
        let pace = quotas::pace(
            over.qps.or(file.qps),
            file.quota_share,
            &file.quotas,
            quotas,
            to_loopback,
        )?;
        let regions: BTreeSet<String> = endpoints.regions().map(ToString::to_string).collect();
        let billing_zone =
            zone("billing_zone", file.billing_zone.as_deref())?.map_or_else(BillingZone::default, BillingZone::new);
        let bill = bill::bill(&file.bill, &known_products, &regions, &billing_zone)?;
        let records = bill::records(&file.records, bill.names(), &billing_zone)?;
        let pending = if over.pending.is_empty() {
            file.pending
        } else {
            over.pending
        };
        let time_limit = over.time_limit.or(file.time_limit).map(HumanDuration::std);
        let run_interval = file.run_interval.map_or(RUN_INTERVAL, |interval| interval.0);
        Ok(Self {
            data_dir: over
                .data_dir
                .or(file.data_dir)
                .unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            data_group: data_group(file.data_group.as_deref())?,
            pending,
            intake: IntakeSettings {
                columns: file.intake.columns,
                time_zone: zone("intake.time_zone", file.intake.time_zone.as_deref())?,
                sqlite_query: file.intake.sqlite_query,
                regions: Some(regions),
                silence: silence(file.intake.silence)?,
                ..IntakeSettings::default()
            },
            source_limits: SourceLimits {
                min_rows: file.intake.min_rows.unwrap_or(MIN_ROWS),
                max_age: file.intake.max_age.map(|age| age.0),
                max_rows: file.intake.max_rows.unwrap_or(MAX_ROWS),
                time_limit: match file.intake.time_limit {
                    Some(limit) => limit.std(),
                    None => time_limit.map_or(INTAKE_TIME_LIMIT, |limit| limit / INTAKE_PART),
                },
            },
            defaults: defaults(&file.intake.defaults, &endpoints)?,
            endpoints,
            account: file.account.filter(|name| !name.is_empty()),
            integrity_key_file: file.integrity.key_file,
            pace,
            fetch: fetch(
                over.concurrency.or(file.concurrency),
                over.pauses,
                file.retry,
                run_interval,
            )?,
            time_limit,
            images: over.images || file.images.unwrap_or(false),
            connect_timeout: file.timeouts.connect.map(HumanDuration::std),
            read_timeout: file.timeouts.read.map(HumanDuration::std),
            attempt_timeout: file.timeouts.attempt.map(HumanDuration::std),
            ca_file: file.tls.ca_file,
            metadata_url: file.credentials.metadata_url,
            warning_window: file.warning_window.map_or(WARNING_WINDOW, |window| window.0),
            run_interval,
            billing_zone,
            pricing,
            bill,
            records,
        })
    }
}

impl Settings {
    /// With files from outside read so.
    #[must_use]
    pub fn isolated(mut self, isolation: &Isolation) -> Self {
        self.intake.isolation = isolation.clone();
        self.bill.isolation = isolation.clone();
        self.records.isolation = isolation.clone();
        self
    }

    /// What the expiry report is read by at `now`.
    pub fn outlook(&self, now: Timestamp) -> Outlook<'_> {
        Outlook {
            now,
            window: self.warning_window,
            run_interval: self.run_interval,
            zone: &self.billing_zone,
        }
    }

    /// Whether every call stays on this machine.
    pub fn asks_loopback(&self) -> bool {
        all_loopback(&self.endpoints)
    }

    /// The account that is asked, as the ledger remembers it.
    pub fn asked_account(&self) -> Account {
        let endpoints = if self.asks_loopback() {
            BTreeMap::new()
        } else {
            self.endpoints.hosts()
        };
        Account {
            name: self.account.clone(),
            endpoints,
        }
    }

    /// Reads the key that authenticates the history; `None` where there is none.
    pub fn integrity_key(&self) -> Result<Option<IntegrityKey>, ConfigError> {
        let Some(path) = &self.integrity_key_file else {
            return Ok(None);
        };
        let wrong = |why: String| ConfigError::value("integrity.key_file", format!("{}: {why}", path.display()));
        let inside = |folder: &Path| Some(path.canonicalize().ok()?.starts_with(folder.canonicalize().ok()?));
        if inside(&self.data_dir) == Some(true) {
            return Err(wrong(
                "it lies in the data folder, so whoever changes that can change the key; keep it elsewhere".to_owned(),
            ));
        }
        let mut key = Vec::new();
        let file = trust::open_trusted(path).map_err(|error| wrong(error_chain(&error)))?;
        let mode = file.metadata().map_or(0, |found| found.mode() & 0o777);
        if mode & 0o077 != 0 {
            return Err(wrong(format!(
                "others than its owner can read it (mode {mode:04o}), and sign with it; `chmod go= {}`",
                path.display()
            )));
        }
        let read = file.take(MAX_KEY_BYTES + 1).read_to_end(&mut key);
        read.map_err(|error| wrong(error_chain(&error)))?;
        let length = key.len() as u64;
        if !(MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&length) {
            return Err(wrong(format!(
                "it has {length} bytes, and a key has from {MIN_KEY_BYTES} to {MAX_KEY_BYTES}; make one with `openssl rand -hex 32`"
            )));
        }
        Ok(Some(IntegrityKey::new(&key)))
    }

    /// Reads the CAs that are trusted beside the machine's.
    pub fn more_cas(&self) -> Result<CaBundle, ConfigError> {
        let read = self.ca_file.as_deref().map(CaBundle::read).transpose();
        read.map(Option::unwrap_or_default)
            .map_err(|error| ConfigError::value("tls.ca_file", error_chain(&error)))
    }

    /// Where credentials are looked for.
    pub fn credentials(&self) -> Result<CredentialsSettings, ConfigError> {
        Ok(CredentialsSettings {
            metadata_url: self.metadata_url.clone(),
            more_cas: self.more_cas()?,
            attempt_timeout: self.attempt_timeout,
        })
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

fn fetch(
    concurrency: Option<usize>,
    pauses: Option<Vec<HumanDuration>>,
    retry: RetryConfig,
    run_interval: SignedDuration,
) -> Result<FetchSettings, ConfigError> {
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
            run_interval,
        },
        patience: retry.patience.map_or(PATIENCE, HumanDuration::std),
        pauses: pauses.or(retry.pauses).map_or_else(
            || PAUSES.to_vec(),
            |pauses| pauses.into_iter().map(HumanDuration::std).collect(),
        ),
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

fn data_group(written: Option<&str>) -> Result<Option<DataGroup>, ConfigError> {
    let group = written.map(DataGroup::parse).transpose();
    group.map_err(|error| ConfigError::value("data_group", error))
}

/// How long a row of a source is waited for.
fn silence(written: Option<HumanDuration>) -> Result<Duration, ConfigError> {
    let silence = written.map_or(SILENCE, HumanDuration::std);
    if SILENCES.contains(&silence) {
        Ok(silence)
    } else {
        Err(ConfigError::value("intake.silence", "it must be from 1s to 24h"))
    }
}
