//! One attempt: one signed HTTP exchange with the service.
//!
//! - [`Client`]: makes attempts; [`ClientSettings`]: its limits; [`ClientError`]: why there is none
//! - [`Reply`]: the vendor answered, whatever it said; where it didn't, that is a [`Fault`]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, DATE, HOST, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Body, Method};
use secrecy::ExposeSecret;

use super::credentials::{Credentials, CredentialsChain, CredentialsError, CredentialsSource};
use super::endpoint::{BaseUrl, Endpoints};
use super::fault::Fault;
use super::proxy::Proxy;
use super::reply::Classified;
use super::room::{Room, Rooms};
use super::transport::{CaBundle, EmptyBody, UntilSent};
use super::{sign, transport};
use crate::clock::Clock;
use crate::record::{Due, Region};

/// A reply's body, decompressed, has at most so many bytes: an image has 50 to 300 kB.
pub const MAX_REPLY_BYTES: usize = 8 * 1024 * 1024;
/// A connection is set up within this time (the vendor's SDK's default).
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The service says something within this time (the vendor's SDK's default).
pub const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole attempt is over within this time.
pub const DEFAULT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections that are kept.
pub const DEFAULT_MAX_IDLE_CONNECTIONS: usize = 64;
/// The longest wait that is taken from `x-acs-retry-after`. The quota counts single seconds, so a longer one is more
/// likely wrong than needed (the vendor's SDK takes up to 120 s). One call then asks whether it is over.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// So much is set aside for a body whose length is known, before any of it is there.
const FIRST_BODY_BYTES: usize = 16 * 1024;

const ACTION: &str = "CheckResult";
const VERSION: &str = "2022-08-09";
const ACCESS_KEY_ID: HeaderName = HeaderName::from_static("x-acs-accesskey-id");
const X_ACTION: HeaderName = HeaderName::from_static("x-acs-action");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-acs-content-sha256");
const X_DATE: HeaderName = HeaderName::from_static("x-acs-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-acs-security-token");
const NONCE: HeaderName = HeaderName::from_static("x-acs-signature-nonce");
const X_VERSION: HeaderName = HeaderName::from_static("x-acs-version");
const RETRY_AFTER: HeaderName = HeaderName::from_static("x-acs-retry-after");

/// A client's limits.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Where each region is asked.
    pub endpoints: Endpoints,
    /// CAs that are trusted beside the machine's.
    pub more_cas: CaBundle,
    /// What calls to other machines go through.
    pub proxy: Option<Proxy>,
    /// For setting up a connection, TLS included.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// For a whole attempt.
    pub attempt_timeout: Duration,
    /// Idle connections that are kept per endpoint.
    pub max_idle_connections: usize,
    /// Whether to ask for face images (`IsReturnImage=Y`).
    pub want_images: bool,
}

impl ClientSettings {
    /// The defaults, without images.
    pub fn new(endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            more_cas: CaBundle::default(),
            proxy: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            read_timeout: DEFAULT_READ_TIMEOUT,
            attempt_timeout: DEFAULT_ATTEMPT_TIMEOUT,
            max_idle_connections: DEFAULT_MAX_IDLE_CONNECTIONS,
            want_images: false,
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up the HTTP client; where this machine has no CA certificates, install them")]
pub struct ClientError(#[source] reqwest::Error);

/// The vendor answered, or something on the way did.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub http_status: u16,
    /// The body, decompressed, at most [`MAX_REPLY_BYTES`].
    pub body: Vec<u8>,
    /// The header `x-acs-retry-after`: a positive number of milliseconds, at most [`MAX_RETRY_AFTER`]; anything else is
    /// `None`.
    pub retry_after: Option<Duration>,
    /// The header `Date`: the time at the vendor.
    pub date: Option<Timestamp>,
}

// The body holds what a person must not read in a log.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("http_status", &self.http_status)
            .field("body_bytes", &self.body.len())
            .field("retry_after", &self.retry_after)
            .field("date", &self.date)
            .finish()
    }
}

/// Makes attempts: signs, sends, and reads the answer up to its limits. Connections are kept and used again.
#[derive(Debug)]
pub struct Client {
    endpoints: Endpoints,
    want_images: bool,
    credentials: CredentialsChain,
    clock: Arc<dyn Clock>,
    /// For loopback addresses: asks them directly, whatever proxy there is.
    direct: reqwest::Client,
    /// For all others: through the proxy, if there is one.
    outward: reqwest::Client,
    proxy: Option<Proxy>,
    nonces: Nonces,
    rooms: Rooms,
}

impl Client {
    /// A client with these limits. Nothing is asked yet, neither the vendor nor the credentials chain.
    pub fn new(
        settings: ClientSettings,
        credentials: CredentialsChain,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let build = |direct: bool| {
            let https = settings
                .endpoints
                .urls()
                .any(|url| url.is_https() && url.is_loopback() == direct);
            let builder = transport::builder(https, &settings.more_cas)
                .pool_max_idle_per_host(settings.max_idle_connections)
                .connect_timeout(settings.connect_timeout)
                .read_timeout(settings.read_timeout)
                .timeout(settings.attempt_timeout);
            // Never one that the library finds by itself: it leaves out what it can't use.
            let builder = match settings.proxy.as_ref().filter(|_| !direct) {
                Some(proxy) => builder.no_proxy().proxy(proxy.for_https().map_err(ClientError)?),
                None => builder.no_proxy(),
            };
            builder.build().map_err(ClientError)
        };
        let (direct, outward) = (build(true)?, build(false)?);
        Ok(Self {
            endpoints: settings.endpoints,
            want_images: settings.want_images,
            credentials,
            clock,
            direct,
            outward,
            proxy: settings.proxy,
            nonces: Nonces::new(),
            rooms: Rooms::default(),
        })
    }

    /// Whether an endpoint is known for the region.
    pub fn serves(&self, region: &Region) -> bool {
        self.endpoints.knows(region)
    }

    /// Exactly one HTTP exchange, signed anew. `unsent` is dropped as soon as the request is sent, or can't be. The reply's
    /// room is to be kept as long as its body.
    pub async fn attempt(&self, due: &Due, unsent: Option<UntilSent>) -> Result<(Reply, Room), Fault> {
        let Some(url) = self.endpoints.get(&due.region) else {
            let region = due.region.clone();
            return Err(Fault::NoEndpoint { region });
        };
        let credentials = self.credentials.get().await?;
        let merchant_biz_id = due.merchant_biz_id_or_derived();
        let parameters = [
            ("MerchantBizId", merchant_biz_id.as_str()),
            ("TransactionId", due.transaction_id.as_str()),
            ("IsReturnImage", "Y"),
        ];
        let query = sign::canonical_query(&parameters[..if self.want_images { 3 } else { 2 }]);
        let mut request = reqwest::Request::new(Method::POST, url.with_query(&query));
        *request.headers_mut() = self.headers(url, &query, &credentials)?;
        *request.body_mut() = unsent.map(|until_sent| Body::wrap(EmptyBody { until_sent }));
        let (http, proxy) = if url.is_loopback() {
            (&self.direct, None)
        } else {
            (&self.outward, self.proxy.as_ref())
        };
        let sent = http.execute(request).await;
        let response = sent.map_err(|error| Fault::of(error, url.host_header(), proxy))?;
        read(response, url.host_header(), &self.rooms).await
    }

    /// The host that is asked in a region; empty where none is known.
    pub fn host_of(&self, region: &Region) -> &str {
        self.endpoints.get(region).map(BaseUrl::host_header).unwrap_or_default()
    }

    /// Finds the credentials, so that it is known whether there are any before anything is asked; says where they come
    /// from.
    pub async fn credentials_source(&self) -> Result<CredentialsSource, CredentialsError> {
        self.credentials.source().await
    }

    /// After the answer that the token is expired: whether there are newer credentials now.
    pub async fn refresh_credentials(&self) -> Result<bool, CredentialsError> {
        self.credentials.refresh().await
    }

    /// A classified reply without the secrets that the vendor may have repeated in it.
    pub fn redact(&self, classified: Classified) -> Classified {
        classified.redacted(|text| self.credentials.redact(text))
    }

    /// A reply that is kept as it came, but for the secrets that the vendor may have repeated in it.
    pub fn redact_body(&self, body: Vec<u8>) -> Vec<u8> {
        match String::from_utf8(body) {
            Ok(mut text) => {
                self.credentials.redact(&mut text);
                text.into_bytes()
            }
            // Secrets are ASCII, so no piece of one is hidden by what replaces other bytes.
            Err(error) => {
                let mut text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                self.credentials.redact(&mut text);
                text.into_bytes()
            }
        }
    }

    fn headers(&self, url: &BaseUrl, query: &str, credentials: &Credentials) -> Result<HeaderMap, Fault> {
        let id = credentials.access_key_id();
        let token = credentials.security_token().map(ExposeSecret::expose_secret);
        let mut signed = Vec::with_capacity(8);
        signed.push((HOST, header_value(url.host_header())?));
        if token.is_some() {
            signed.push((ACCESS_KEY_ID, header_value(id)?));
        }
        signed.push((X_ACTION, HeaderValue::from_static(ACTION)));
        signed.push((CONTENT_SHA256, HeaderValue::from_static(sign::EMPTY_BODY_SHA256)));
        signed.push((X_DATE, header_value(&format!("{:.0}", self.clock.now()))?));
        if let Some(token) = token {
            signed.push((SECURITY_TOKEN, header_value(token)?));
        }
        signed.push((NONCE, header_value(&self.nonces.next())?));
        signed.push((X_VERSION, HeaderValue::from_static(VERSION)));
        let mut texts = Vec::with_capacity(signed.len());
        for (name, value) in &signed {
            texts.push((name.as_str(), value.to_str().map_err(|_| unsendable())?));
        }
        let request = sign::Request {
            method: "POST",
            path: "/",
            canonical_query: query,
            headers: &texts,
            payload_sha256: sign::EMPTY_BODY_SHA256,
        };
        let authorization = sign::authorization(&request, id, credentials.access_key_secret().expose_secret());
        // Room for the client's own, too: its name.
        let mut headers = HeaderMap::with_capacity(signed.len() + 5);
        headers.extend(signed);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // The client would add it to a copy, which has no room for more.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        headers.insert(AUTHORIZATION, header_value(&authorization)?);
        Ok(headers)
    }
}

/// Marked as sensitive, so that no log shows it.
fn header_value(text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::try_from(text).map_err(|_| unsendable())?;
    value.set_sensitive(true);
    Ok(value)
}

fn unsendable() -> Fault {
    Fault::Credentials(CredentialsError::Malformed {
        place: "the credentials".to_owned(),
        reason: "the access key id or the token holds a character that can't be sent".to_owned(),
    })
}

async fn read(mut response: reqwest::Response, host: &str, rooms: &Rooms) -> Result<(Reply, Room), Fault> {
    let too_large = || Fault::TooLarge { host: host.to_owned() };
    // Not known of what is compressed, or comes in chunks.
    let declared = response
        .content_length()
        .map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let at_most = declared.unwrap_or(MAX_REPLY_BYTES);
    if at_most > MAX_REPLY_BYTES {
        return Err(too_large());
    }
    let http_status = response.status().as_u16();
    let text = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = text(RETRY_AFTER).and_then(parse_retry_after);
    let date = text(DATE).and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    let mut body = Vec::with_capacity(declared.unwrap_or_default().min(FIRST_BODY_BYTES));
    let mut room = Room::default();
    while let Some(chunk) = response.chunk().await.map_err(|error| Fault::of(error, host, None))? {
        let bytes = body.len() + chunk.len();
        if bytes > MAX_REPLY_BYTES {
            return Err(too_large());
        }
        if rooms.hold(&mut room, bytes, at_most).await {
            // A vector that doubles would take up to twice its room.
            body.reserve_exact(at_most.saturating_sub(body.len()));
        }
        body.extend_from_slice(&chunk);
    }
    let reply = Reply {
        http_status,
        body,
        retry_after,
        date,
    };
    Ok((reply, room))
}

/// A positive number of milliseconds, as the vendor's SDK reads it.
fn parse_retry_after(text: &str) -> Option<Duration> {
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are a long wait, too.
    let wait = Duration::from_millis(digits.parse().unwrap_or(u64::MAX));
    (!wait.is_zero()).then_some(wait.min(MAX_RETRY_AFTER))
}

/// A nonce for every attempt: 128 random bits per client and a counter.
#[derive(Debug)]
struct Nonces {
    /// In hex.
    prefix: String,
    next: AtomicU64,
}

impl Nonces {
    fn new() -> Self {
        Self {
            prefix: format!("{:032x}", fastrand::u128(..)),
            next: AtomicU64::new(0),
        }
    }

    fn next(&self) -> String {
        let counter = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}{counter:016x}", self.prefix)
    }
}

#[cfg(test)]
mod tests;
