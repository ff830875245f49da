//! Finds credentials, keeps them, renews them before they expire.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use tokio::time::Instant;

use super::files::{self, Keys, Looked};
use super::{Credentials, CredentialsError, CredentialsSource, metadata};
use crate::error_chain;
use crate::host::Host;
use crate::vendor::client::DEFAULT_ATTEMPT_TIMEOUT;
use crate::vendor::transport::CaBundle;

pub(super) const ACCESS_KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const ACCESS_KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const SECURITY_TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";
const OIDC: [&str; 3] = [
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
];
const ECS_METADATA: &str = "ALIBABA_CLOUD_ECS_METADATA";
const ECS_METADATA_DISABLED: &str = "ALIBABA_CLOUD_ECS_METADATA_DISABLED";
const CREDENTIALS_URI: &str = "ALIBABA_CLOUD_CREDENTIALS_URI";

/// Temporary credentials are renewed this long before they expire.
const REFRESH_BEFORE: SignedDuration = SignedDuration::from_mins(5);
/// After a renewal that failed while the old ones are valid, the next try waits this long.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);
/// What can be set of the chain.
#[derive(Debug, Clone, Default)]
pub struct CredentialsSettings {
    /// The metadata service in place of `http://100.100.100.200`: that address or plain http to a loopback one.
    pub metadata_url: Option<String>,
    /// CAs that are trusted beside the machine's, where the credentials URI is asked over TLS.
    pub more_cas: CaBundle,
    /// How long an attempt takes at most; `None`: [`DEFAULT_ATTEMPT_TIMEOUT`].
    pub attempt_timeout: Option<Duration>,
}

#[derive(Clone)]
struct Found {
    credentials: Arc<Credentials>,
    source: Arc<CredentialsSource>,
}

#[derive(Debug)]
struct Resolver {
    host: Host,
    metadata_url: Url,
    /// The configuration names the metadata service.
    is_configured: bool,
    more_cas: CaBundle,
    /// Attempts that were under way when credentials were renewed still report the old ones as expired. Within this time, that of
    /// the longest attempt, such a report is answered by the renewal that was, be it in vain.
    renewal_holds: Duration,
}

/// Finds credentials, keeps them, renews temporary ones when they are within five minutes of their expiry. One renewal
/// at a time; while one fails and the old ones are valid, those are used.
pub struct CredentialsChain {
    /// `None`: fixed credentials.
    resolver: Option<Resolver>,
    /// Held for a copy only, never across an await.
    found: Mutex<Option<Found>>,
    /// Held while the chain is asked.
    renewal: tokio::sync::Mutex<Renewal>,
}

#[derive(Default)]
struct Renewal {
    /// When the chain was last asked for newer ones, and whether it had any.
    asked: Option<(Instant, bool)>,
    /// When it last failed to give newer ones in time.
    failed: Option<Instant>,
}

impl std::fmt::Debug for CredentialsChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialsChain")
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}

impl CredentialsChain {
    /// A chain over the machine's environment, files and metadata service. It looks only when it is first asked.
    pub fn new(host: Host, settings: CredentialsSettings) -> Result<Self, CredentialsError> {
        let CredentialsSettings {
            metadata_url,
            more_cas,
            attempt_timeout,
        } = settings;
        let is_configured = metadata_url.is_some();
        let metadata_url = metadata_url.unwrap_or_else(|| metadata::METADATA_URL.to_owned());
        let metadata_url = metadata::checked_url("the metadata service's URL", &metadata_url, false)?;
        Ok(Self {
            resolver: Some(Resolver {
                host,
                metadata_url,
                is_configured,
                more_cas,
                renewal_holds: attempt_timeout.unwrap_or(DEFAULT_ATTEMPT_TIMEOUT),
            }),
            found: Mutex::new(None),
            renewal: tokio::sync::Mutex::default(),
        })
    }

    /// Always these: the sandbox's, and for tests.
    pub fn fixed(credentials: Credentials, source: CredentialsSource) -> Self {
        let credentials = Arc::new(credentials);
        let source = Arc::new(source);
        Self {
            resolver: None,
            found: Mutex::new(Some(Found { credentials, source })),
            renewal: tokio::sync::Mutex::default(),
        }
    }

    /// Where the credentials come from; finds them where they weren't asked for yet.
    pub async fn source(&self) -> Result<CredentialsSource, CredentialsError> {
        Ok(CredentialsSource::clone(&self.current().await?.source))
    }

    /// The credentials to sign with now.
    pub async fn get(&self) -> Result<Arc<Credentials>, CredentialsError> {
        Ok(self.current().await?.credentials)
    }

    /// After the vendor said that the token is expired: looks again. False where the source has none but the same
    /// ones; those are kept, also after an error.
    pub async fn refresh(&self) -> Result<bool, CredentialsError> {
        let Some(resolver) = &self.resolver else {
            return Ok(false);
        };
        let mut renewal = self.renewal.lock().await;
        if let Some((at, newer)) = renewal.asked
            && at.elapsed() < resolver.renewal_holds
        {
            return Ok(newer);
        }
        renewal.asked = Some((Instant::now(), false));
        let newer = resolver.resolve().await?;
        let changed = self
            .cached()
            .is_none_or(|old| !old.credentials.same_as(&newer.credentials));
        self.keep(newer);
        renewal.asked = Some((Instant::now(), changed));
        Ok(changed)
    }

    /// Takes the secrets of the credentials in use out of `text`.
    pub fn redact(&self, text: &mut String) {
        if let Some(found) = self.cached() {
            found.credentials.redact(text);
        }
    }

    async fn current(&self) -> Result<Found, CredentialsError> {
        let Some(resolver) = &self.resolver else {
            return self.cached().ok_or_else(|| CredentialsError::NotFound {
                looked_at: "nothing".to_owned(),
            });
        };
        let age = |found: &Found| resolver.age(&found.credentials);
        let mut renewal = match self.cached().map(|found| (age(&found), found)) {
            Some((Age::Fresh, found)) => return Ok(found),
            // Somebody renews them already: these will do meanwhile.
            Some((Age::Ageing, found)) => match self.renewal.try_lock() {
                Ok(guard) => guard,
                Err(_) => return Ok(found),
            },
            _ => self.renewal.lock().await,
        };
        let old = self.cached();
        if let Some(found) = &old {
            let paused = renewal.failed.is_some_and(|at| at.elapsed() < REFRESH_PAUSE);
            match age(found) {
                Age::Fresh => return Ok(found.clone()),
                Age::Ageing if paused => return Ok(found.clone()),
                Age::Ageing | Age::Expired => {}
            }
        }
        match (resolver.resolve().await, old) {
            (Ok(newer), old) => {
                let changed = old.is_some_and(|old| !old.credentials.same_as(&newer.credentials));
                // A source that has nothing newer yet is asked again after the pause, not by every attempt.
                renewal.failed = matches!(age(&newer), Age::Ageing).then(Instant::now);
                if changed {
                    renewal.asked = Some((Instant::now(), true));
                }
                self.keep(newer.clone());
                Ok(newer)
            }
            (Err(error), Some(old)) if matches!(age(&old), Age::Ageing) => {
                renewal.failed = Some(Instant::now());
                tracing::warn!(error = %error_chain(&error), "failed to renew the credentials; the old ones are still valid");
                Ok(old)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn cached(&self) -> Option<Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, found: Found) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }
}

enum Age {
    Fresh,
    /// Valid, but not for long.
    Ageing,
    Expired,
}

impl Resolver {
    fn age(&self, credentials: &Credentials) -> Age {
        let now = self.host.clock.now();
        let soon = now.saturating_add(REFRESH_BEFORE).unwrap_or(Timestamp::MAX);
        match credentials.expires_at() {
            Some(expires_at) if expires_at <= now => Age::Expired,
            Some(expires_at) if expires_at <= soon => Age::Ageing,
            _ => Age::Fresh,
        }
    }

    /// Asks one place after the other: the first that has any wins, an error in one ends the search.
    async fn resolve(&self) -> Result<Found, CredentialsError> {
        let mut looked_at = Vec::new();
        for place in 0.. {
            let looked = match place {
                0 => self.environment()?,
                1 => files::service_manager(&self.host)?,
                2 => files::vendor_cli(&self.host)?,
                3 => files::ini(&self.host)?,
                4 => self.ecs_ram_role().await?,
                5 => self.credentials_uri().await?,
                _ => break,
            };
            match looked {
                Ok((credentials, source)) => {
                    let (credentials, source) = (Arc::new(credentials), Arc::new(source));
                    return Ok(Found { credentials, source });
                }
                Err(why) => looked_at.push(why),
            }
        }
        let looked_at = looked_at.join("; ");
        Err(CredentialsError::NotFound { looked_at })
    }

    fn environment(&self) -> Looked {
        let host = &self.host;
        let (id, secret) = (host.var(ACCESS_KEY_ID), host.var(ACCESS_KEY_SECRET));
        if id.is_none() && secret.is_none() {
            if OIDC.iter().all(|name| host.var(name).is_some()) {
                return Err(CredentialsError::OidcNotSupported);
            }
            return Ok(Err(format!("the environment ({ACCESS_KEY_ID} is not set)")));
        }
        let place = format!("the environment ({ACCESS_KEY_ID}, {ACCESS_KEY_SECRET})");
        let keys = Keys {
            id: id.unwrap_or_default(),
            secret: secret.unwrap_or_default(),
            token: host.var(SECURITY_TOKEN),
        };
        keys.credentials(place, None, CredentialsSource::Environment)
    }

    async fn ecs_ram_role(&self) -> Looked {
        let disabled = self.host.var(ECS_METADATA_DISABLED);
        if disabled.is_some_and(|word| word.trim().eq_ignore_ascii_case("true")) {
            return Ok(Err(format!(
                "the ECS metadata service ({ECS_METADATA_DISABLED} is set)"
            )));
        }
        let role = self.host.var(ECS_METADATA);
        if !self.is_configured && role.is_none() && !metadata::is_vendors_machine() {
            return Ok(Err(format!(
                "the ECS metadata service (not asked, as the firmware does not say that this machine is Alibaba Cloud's: where it is, set {ECS_METADATA} to its role, or credentials.metadata_url)"
            )));
        }
        metadata::ecs_ram_role(&self.metadata_url, role).await
    }

    async fn credentials_uri(&self) -> Looked {
        let Some(uri) = self.host.var(CREDENTIALS_URI) else {
            return Ok(Err(format!("the credentials URI ({CREDENTIALS_URI} is not set)")));
        };
        let url = metadata::checked_url(CREDENTIALS_URI, uri, true)?;
        metadata::credentials_uri(&url, &self.more_cas).await
    }
}
