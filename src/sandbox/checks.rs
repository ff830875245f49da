//! Whether a call is one that the service would take, as strictly as the service.
//!
//! - [`Checker`]: knows the key and the nonces
//! - [`Asked`]: what a good call asks for

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};

use super::errors::Refusal;
use super::memory::Nonces;
use super::query::Query;
use crate::clock::Clock;
use crate::record::sha256_hex;
use crate::vendor::sign;

/// How far a call's date may be from the service's clock.
const DATE_TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// The length of a date such as `2026-04-01T08:00:00Z`.
const DATE_BYTES: usize = 20;

/// The longest nonce that is taken.
const NONCE_BYTES_MAX: usize = 128;

const DATE_HEADER: &str = "x-acs-date";
const NONCE_HEADER: &str = "x-acs-signature-nonce";

/// Knows the one key that may call, and which nonces were used.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) access_key_id: String,
    pub(super) access_key_secret: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) nonces: Nonces,
}

/// What a good call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) transaction_id: String,
    pub(super) want_image: bool,
}

impl Checker {
    /// Checks a call from the outside in; its nonce is used up only by a signature that is right.
    pub(super) fn check(&self, parts: &Parts, body: &[u8]) -> Result<Asked, Refusal> {
        operation(parts)?;
        self.date(&parts.headers)?;
        let payload_sha256 = payload(&parts.headers, body)?;
        let query = Query::parse(parts.uri.query().unwrap_or_default())
            .ok_or_else(|| Refusal::new(400, "InvalidParameter", "The query string is not URL-encoded UTF-8."))?;
        self.signature(parts, &query, payload_sha256)?;
        self.nonce(&parts.headers)?;
        asked(&query)
    }

    fn date(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = required(headers, DATE_HEADER)?;
        let date = Some(text)
            .filter(|text| text.len() == DATE_BYTES && text.ends_with('Z'))
            .and_then(|text| text.parse::<Timestamp>().ok())
            .ok_or_else(|| {
                Refusal::new(
                    400,
                    "InvalidTimeStamp.Format",
                    "x-acs-date is not of the form yyyy-MM-ddTHH:mm:ssZ.",
                )
            })?;
        if self.clock.now().duration_since(date).abs() > DATE_TOLERANCE {
            let message = "Specified time stamp or date value is expired.";
            return Err(Refusal::new(400, "InvalidTimeStamp.Expired", message));
        }
        Ok(())
    }

    fn signature(&self, parts: &Parts, query: &Query<'_>, payload_sha256: &str) -> Result<(), Refusal> {
        let given = Authorization::parse(required(&parts.headers, "authorization")?).ok_or_else(|| {
            let message = "Authorization is not ACS3-HMAC-SHA256 Credential=..,SignedHeaders=..,Signature=..";
            incomplete(message.to_owned())
        })?;
        if given.access_key_id != self.access_key_id {
            let message = "Specified access key is not found.";
            return Err(Refusal::new(404, "InvalidAccessKeyId.NotFound", message));
        }
        let headers = signed_headers(&parts.headers, given.signed_names)?;
        let expected = sign::authorization(
            &sign::Request {
                method: parts.method.as_str(),
                path: parts.uri.path(),
                canonical_query: &query.canonical(),
                headers: &headers,
                payload_sha256,
            },
            &self.access_key_id,
            &self.access_key_secret,
        );
        let expected = expected.rsplit_once("Signature=").map(|(_, signature)| signature);
        if expected != Some(given.signature) {
            let message = "Specified signature does not match our calculation.";
            return Err(mismatch(message));
        }
        Ok(())
    }

    fn nonce(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let nonce = required(headers, NONCE_HEADER)?;
        if nonce.len() > NONCE_BYTES_MAX || !self.nonces.take(nonce) {
            let message = "Specified signature nonce was used already.";
            return Err(Refusal::new(400, "SignatureNonceUsed", message));
        }
        Ok(())
    }
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    access_key_id: &'a str,
    signed_names: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (algorithm, rest) = text.split_once(' ')?;
        let mut parts = rest.split(',').map(str::trim);
        let parsed = Self {
            access_key_id: parts.next()?.strip_prefix("Credential=")?,
            signed_names: parts.next()?.strip_prefix("SignedHeaders=")?,
            signature: parts.next()?.strip_prefix("Signature=")?,
        };
        (algorithm == sign::ALGORITHM && parts.next().is_none()).then_some(parsed)
    }
}

/// Method, path, action and version.
fn operation(parts: &Parts) -> Result<(), Refusal> {
    if parts.method != Method::POST {
        let message = "This HTTP method is not supported: use POST.";
        return Err(Refusal::new(405, "UnsupportedHTTPMethod", message));
    }
    let action = required(&parts.headers, "x-acs-action")?;
    if parts.uri.path() != "/" || action != "CheckResult" {
        let message = "Specified api is not found, please check your url and method.";
        return Err(Refusal::new(404, "InvalidAction.NotFound", message));
    }
    if required(&parts.headers, "x-acs-version")? != "2022-08-09" {
        let message = "Specified parameter Version is not valid.";
        return Err(Refusal::new(400, "InvalidVersion", message));
    }
    Ok(())
}

/// The body's digest, where the header gives it rightly.
fn payload<'a>(headers: &'a HeaderMap, body: &[u8]) -> Result<&'a str, Refusal> {
    let given = required(headers, "x-acs-content-sha256")?;
    let right = if body.is_empty() {
        given == sign::EMPTY_BODY_SHA256
    } else {
        given == sha256_hex(body)
    };
    if right {
        return Ok(given);
    }
    Err(mismatch("x-acs-content-sha256 is not the SHA-256 of the body."))
}

/// The signed headers in the order of their names; all that must be signed are.
fn signed_headers<'a>(headers: &'a HeaderMap, names: &'a str) -> Result<Vec<(&'a str, &'a str)>, Refusal> {
    let mut signed: Vec<(&str, &str)> = Vec::with_capacity(8);
    for name in names.split(';') {
        if signed.last().is_some_and(|(last, _)| *last >= name) {
            return Err(mismatch("SignedHeaders are not in the order of their names."));
        }
        let mut values = headers.get_all(name).iter();
        match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
            (Some(value), None) => signed.push((name, value)),
            _ => return Err(mismatch("A header in SignedHeaders is missing, repeated or not text.")),
        }
    }
    let is_signed = |name: &str| signed.binary_search_by_key(&name, |(name, _)| name).is_ok();
    let unsigned = headers
        .keys()
        .map(axum::http::HeaderName::as_str)
        .find(|name| (*name == "host" || name.starts_with("x-acs-")) && !is_signed(name));
    match unsigned {
        Some(name) => Err(mismatch(format!("The header {name} is not signed."))),
        None if is_signed("host") => Ok(signed),
        None => Err(mismatch("The header host is not signed.")),
    }
}

/// The parameters, present and of valid form.
fn asked(query: &Query<'_>) -> Result<Asked, Refusal> {
    let present = |name: &'static str| match query.get(name) {
        Some(value) if !value.is_empty() => Ok(value),
        _ => {
            let message = format!("Parameter cannot be empty: {name}.");
            Err(Refusal::new(400, "MissingParameter", message))
        }
    };
    let invalid = |name: &str| Refusal::new(400, "InvalidParameter", format!("Invalid parameter: {name}."));
    let merchant_biz_id = present("MerchantBizId")?;
    let transaction_id = present("TransactionId")?;
    if merchant_biz_id.len() > 32 || !merchant_biz_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(invalid("MerchantBizId"));
    }
    let may_be_in_id = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if transaction_id.len() > 64 || !transaction_id.bytes().all(may_be_in_id) {
        return Err(invalid("TransactionId"));
    }
    let want_image = match query.get("IsReturnImage") {
        None | Some("N") => false,
        Some("Y") => true,
        Some(_) => return Err(invalid("IsReturnImage")),
    };
    Ok(Asked {
        transaction_id: transaction_id.to_owned(),
        want_image,
    })
}

fn required<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Refusal> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
        .ok_or_else(|| incomplete(format!("The header {name} is missing.")))
}

fn incomplete(message: String) -> Refusal {
    Refusal::new(400, "IncompleteSignature", message)
}

fn mismatch(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(400, "SignatureDoesNotMatch", message)
}
