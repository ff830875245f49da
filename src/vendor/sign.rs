//! The signature ACS3-HMAC-SHA256 (vendor's "V3 request body and signature mechanism"), pure: dates and nonces are
//! among the headers that are handed in.
//!
//! - [`Request`]: what is signed
//! - [`authorization`]: the header that carries the signature
//! - [`canonical_query`]: the query string, encoded and ordered as it is signed and sent

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::record::hex;

/// The name of the algorithm, as the header gives it.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// The SHA-256 of an empty body in hex.
pub const EMPTY_BODY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path, encoded.
    pub path: &'a str,
    /// The query string as [`canonical_query`] gives it.
    pub canonical_query: &'a str,
    /// Lower-case names and values, sorted by name. Only `host`, `content-type` and `x-acs-*` belong here: a proxy may
    /// rewrite any other.
    pub headers: &'a [(&'a str, &'a str)],
    /// The SHA-256 of the body in hex.
    pub payload_sha256: &'a str,
}

impl Request<'_> {
    fn signed_names(&self) -> String {
        let mut names = String::with_capacity(128);
        for (name, _) in self.headers {
            names.extend([if names.is_empty() { "" } else { ";" }, name]);
        }
        names
    }

    /// The SHA-256 of the canonical request, in hex.
    fn digest(&self, signed_names: &str) -> String {
        debug_assert!(self.headers.is_sorted_by_key(|(name, _)| *name));
        let mut digest = Sha256::new();
        for part in [self.method, "\n", self.path, "\n", self.canonical_query, "\n"] {
            digest.update(part);
        }
        for (name, value) in self.headers {
            for part in [name, ":", value.trim(), "\n"] {
                digest.update(part);
            }
        }
        for part in ["\n", signed_names, "\n", self.payload_sha256] {
            digest.update(part);
        }
        hex(&digest.finalize())
    }
}

/// The value of the `Authorization` header.
#[expect(clippy::missing_panics_doc, reason = "HMAC takes a key of any length")]
pub fn authorization(request: &Request<'_>, access_key_id: &str, access_key_secret: &str) -> String {
    let signed_names = request.signed_names();
    let digest = request.digest(&signed_names);
    let mut mac = Hmac::<Sha256>::new_from_slice(access_key_secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(ALGORITHM.as_bytes());
    mac.update(b"\n");
    mac.update(digest.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    format!("{ALGORITHM} Credential={access_key_id},SignedHeaders={signed_names},Signature={signature}")
}

/// The parameters as a query string: RFC 3986 encoding, ordered by name.
pub fn canonical_query(parameters: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = parameters
        .iter()
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    let mut query = String::with_capacity(128);
    for (name, value) in &pairs {
        query.extend([if query.is_empty() { "" } else { "&" }, name, "=", value]);
    }
    query
}

/// RFC 3986: everything but letters, digits and `-_.~` as `%XX`.
fn encode(text: &str) -> Cow<'_, str> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::sha256_hex;

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        method: String,
        path: String,
        query: BTreeMap<String, String>,
        headers: BTreeMap<String, String>,
        body: String,
        access_key_id: String,
        access_key_secret: String,
        authorization: String,
    }

    /// The vectors were computed by the vendor's own SDK.
    #[test]
    fn every_vector_of_the_vendors_sdk() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../tests/vectors/acs3.json")).unwrap();
        assert_eq!(vectors.len(), 10);
        for vector in vectors {
            let query: Vec<(&str, &str)> = vector
                .query
                .iter()
                .rev()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            let headers: Vec<(&str, &str)> = vector.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let request = Request {
                method: &vector.method,
                path: &vector.path,
                canonical_query: &canonical_query(&query),
                headers: &headers,
                payload_sha256: &sha256_hex(vector.body.as_bytes()),
            };
            assert_eq!(
                authorization(&request, &vector.access_key_id, &vector.access_key_secret),
                vector.authorization,
                "{}",
                vector.name
            );
        }
    }

    #[test]
    fn the_empty_body_has_the_digest_it_is_said_to_have() {
        assert_eq!(sha256_hex(b""), EMPTY_BODY_SHA256);
    }
}
