//! Why there are no credentials.

use std::io;
use std::path::PathBuf;

/// Why there are no credentials. Each says what to do, none holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// None of the places has any.
    #[error(
        "no credentials found, looked at: {looked_at}. Set ALIBABA_CLOUD_ACCESS_KEY_ID and \
         ALIBABA_CLOUD_ACCESS_KEY_SECRET, configure a profile in one of the files, or give this machine a RAM role"
    )]
    NotFound {
        /// The places and what was found there, separated by semicolons.
        looked_at: String,
    },
    /// Half of a pair.
    #[error("incomplete credentials in {place}: {missing} is missing")]
    Incomplete {
        /// Where.
        place: String,
        /// What is missing.
        missing: &'static str,
    },
    /// The OIDC variables are set.
    #[error(
        "the environment asks for an OIDC role (ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN, \
         ALIBABA_CLOUD_OIDC_TOKEN_FILE), which is not supported yet: unset them, or set \
         ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, which come first"
    )]
    OidcNotSupported,
    /// A kind of profile that idvault can't use.
    #[error(
        "profile {profile} in {path} has the mode {mode:?}, which is not supported: use {supported}, or choose \
         another profile with ALIBABA_CLOUD_PROFILE"
    )]
    UnsupportedMode {
        /// The file.
        path: PathBuf,
        /// The profile.
        profile: String,
        /// Its mode or type.
        mode: String,
        /// The modes that work.
        supported: &'static str,
    },
    /// A file that is there can't be read.
    #[error("failed to read the credentials in {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file with secrets that everybody can get at.
    #[error(
        "refused the credentials in {path}: every user of this machine can read or change them (mode {mode:04o}); \
         `chmod 600 {path}`, and take a new key if somebody else may have seen this one"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What was found is not what it should be.
    #[error("failed to understand the credentials in {place}: {reason}")]
    Malformed {
        /// Where.
        place: String,
        /// Why, without any of the content.
        reason: String,
    },
    /// A URL that credentials must not come from.
    #[error("refused to fetch credentials from {setting}: {reason}")]
    RefusedUrl {
        /// The variable or setting.
        setting: &'static str,
        /// Why.
        reason: String,
    },
    /// The metadata service or the credentials URI was asked, and failed.
    #[error("failed to fetch credentials from {place}: {reason}")]
    Fetch {
        /// Whom.
        place: String,
        /// Why.
        reason: String,
    },
    /// No HTTP client could be set up.
    #[error("failed to set up the client that fetches credentials")]
    Client(#[source] reqwest::Error),
}
