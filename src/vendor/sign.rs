//! The signature ACS3-HMAC-SHA256 (vendor's "V3 request body and signature mechanism"), pure: dates and nonces are
//! among the headers that are handed in.
//!
//! - [`Request`]: what is signed
//! - [`authorization`]: the header that carries the signature
//! - [`canonical_query`]: the query string, encoded and ordered as it is signed and sent

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::record::{hex, sha256_hex};

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
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        names.join(";")
    }

    fn canonical(&self, signed_names: &str) -> String {
        debug_assert!(self.headers.is_sorted_by_key(|(name, _)| *name));
        let mut text = String::with_capacity(512);
        text.extend([self.method, "\n", self.path, "\n", self.canonical_query, "\n"]);
        for (name, value) in self.headers {
            text.extend([name, ":", value.trim(), "\n"]);
        }
        text.extend(["\n", signed_names, "\n", self.payload_sha256]);
        text
    }
}

/// The value of the `Authorization` header.
#[expect(clippy::missing_panics_doc, reason = "HMAC takes a key of any length")]
pub fn authorization(request: &Request<'_>, access_key_id: &str, access_key_secret: &str) -> String {
    let signed_names = request.signed_names();
    let digest = sha256_hex(request.canonical(&signed_names).as_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(access_key_secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(ALGORITHM.as_bytes());
    mac.update(b"\n");
    mac.update(digest.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    format!("{ALGORITHM} Credential={access_key_id},SignedHeaders={signed_names},Signature={signature}")
}

/// The parameters as a query string: RFC 3986 encoding, ordered by name.
pub fn canonical_query(parameters: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> = parameters
        .iter()
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let joined: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    joined.join("&")
}

/// RFC 3986: everything but letters, digits and `-_.~` as `%XX`.
fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

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
