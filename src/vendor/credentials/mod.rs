//! The credentials chain, in the order of the vendor's own libraries. Secrets never come from an argument, are never
//! printed, and no error holds one.
//!
//! - [`Credentials`]: a key, its secret, perhaps a token
//! - [`CredentialsSource`]: where they were found
//! - [`CredentialsSettings`]: what can be set of the chain
//! - [`CredentialsChain`]: finds them, keeps them, renews them before they expire
//! - [`CredentialsError`]: why there are none

mod chain;
mod error;
mod files;
mod metadata;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

pub use chain::{CredentialsChain, CredentialsSettings};
pub use error::CredentialsError;

/// Stands where a secret stood.
const STARS: &str = "***";
/// A shorter text is part of too many words to be looked for. The vendor's secrets have 30 characters and more.
const SHORTEST_SECRET: usize = 8;

/// A key, its secret, perhaps a token.
#[derive(Clone)]
pub struct Credentials {
    access_key_id: String,
    access_key_secret: SecretString,
    security_token: Option<SecretString>,
    expires_at: Option<Timestamp>,
}

impl Credentials {
    /// `expires_at` is `None` where they are valid until further notice.
    pub fn new(
        access_key_id: &str,
        access_key_secret: &str,
        security_token: Option<&str>,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let token = security_token.map(str::trim).filter(|token| !token.is_empty());
        Self {
            access_key_id: access_key_id.trim().to_owned(),
            access_key_secret: SecretString::from(access_key_secret.trim()),
            security_token: token.map(SecretString::from),
            expires_at,
        }
    }

    /// The key's id.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The key's secret: signs, and is never sent.
    pub fn access_key_secret(&self) -> &SecretString {
        &self.access_key_secret
    }

    /// The token of temporary credentials.
    pub fn security_token(&self) -> Option<&SecretString> {
        self.security_token.as_ref()
    }

    /// Until when they are valid, where that is known.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// `text` with stars in place of the secret and the token, and of the beginning of one where the text ends in it.
    fn redact(&self, text: &mut String) {
        for secret in [Some(&self.access_key_secret), self.security_token.as_ref()] {
            let secret = secret.map_or("", |secret| secret.expose_secret());
            if secret.len() < SHORTEST_SECRET {
                continue;
            }
            // Whatever is looked for begins so, and hardly any text has it.
            if !text.contains(&secret[..secret.floor_char_boundary(SHORTEST_SECRET)]) {
                continue;
            }
            *text = text.replace(secret, STARS);
            let mut beginnings = (SHORTEST_SECRET..secret.len())
                .rev()
                .filter_map(|length| secret.get(..length));
            if let Some(rest) = beginnings.find_map(|beginning| text.strip_suffix(beginning)) {
                *text = format!("{rest}{STARS}");
            }
        }
    }

    /// Whether they are the same key and token.
    fn same_as(&self, other: &Self) -> bool {
        let secrets = |credentials: &Self| {
            let token = credentials
                .security_token
                .as_ref()
                .map(|token| token.expose_secret().to_owned());
            (credentials.access_key_secret.expose_secret().to_owned(), token)
        };
        self.access_key_id == other.access_key_id && secrets(self) == secrets(other)
    }

    /// Refuses what can't be sent in a header; `place` is where they were found.
    fn checked(self, place: &str) -> Result<Self, CredentialsError> {
        let token = self.security_token.as_ref().map_or("", |token| token.expose_secret());
        if [&self.access_key_id, token]
            .iter()
            .all(|text| text.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Ok(self);
        }
        Err(CredentialsError::Malformed {
            place: place.to_owned(),
            reason: "the access key id or the token holds a blank or a character that is not ASCII".to_owned(),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Where credentials were found, in words for `status -v`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsSource {
    /// `ALIBABA_CLOUD_ACCESS_KEY_ID` and its fellows.
    Environment,
    /// The vendor's command line tool.
    VendorCli {
        /// Its configuration.
        path: PathBuf,
        /// The profile in it.
        profile: String,
    },
    /// The INI file.
    CredentialsFile {
        /// The file.
        path: PathBuf,
        /// The profile in it.
        profile: String,
    },
    /// The machine's RAM role.
    EcsRamRole {
        /// Its name.
        role: String,
    },
    /// What `ALIBABA_CLOUD_CREDENTIALS_URI` names.
    Uri,
    /// The sandbox's own.
    Sandbox,
}

impl fmt::Display for CredentialsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => write!(f, "environment ({})", chain::ACCESS_KEY_ID),
            Self::VendorCli { path, profile } => {
                write!(f, "vendor CLI configuration {}, profile {profile}", path.display())
            }
            Self::CredentialsFile { path, profile } => {
                write!(f, "credentials file {}, profile {profile}", path.display())
            }
            Self::EcsRamRole { role } => write!(f, "ECS RAM role {role} from the metadata service"),
            Self::Uri => f.write_str("credentials URI"),
            Self::Sandbox => f.write_str("sandbox"),
        }
    }
}
