//! The proxy that calls to other machines go through, as the environment names it.
//!
//! The HTTP library leaves out a proxy that it can't use, and asks directly. Where only the proxy may go out, that is a way around a
//! rule. So a proxy that can't be used is refused here, before anything is asked. No message shows the value: it can hold a
//! password.
//!
//! - [`Proxy`]: one that can be used; [`UnusableProxy`]: why one can't

use std::fmt;

use reqwest::{NoProxy, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::host::Host;

/// The first of these that is set names the proxy.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Hosts that are asked directly all the same.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxy for https.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// With user name and password, if it has any.
    url: SecretString,
    /// Without them.
    shown: String,
    exceptions: Option<String>,
}

/// Why a proxy can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; idvault does not go around a proxy, so correct the variable or unset it")]
pub struct UnusableProxy {
    /// The environment variable.
    pub variable: &'static str,
    /// Why, without the value.
    pub reason: String,
}

impl Proxy {
    /// The one that the environment names, if it names one.
    pub fn of(host: &Host) -> Result<Option<Self>, UnusableProxy> {
        let named = VARIABLES.iter().find_map(|name| Some((*name, host.var(name)?)));
        let Some((variable, text)) = named else {
            return Ok(None);
        };
        let url = checked(text).map_err(|reason| UnusableProxy { variable, reason })?;
        let mut shown = url.clone();
        // They fail for a URL without a host, which was refused.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        Ok(Some(Self {
            url: url.as_str().into(),
            shown: shown.as_str().trim_end_matches('/').to_owned(),
            exceptions: EXCEPTIONS.iter().find_map(|name| host.var(name)).map(str::to_owned),
        }))
    }

    /// As the HTTP library takes it.
    pub(super) fn for_https(&self) -> reqwest::Result<reqwest::Proxy> {
        let exceptions = self.exceptions.as_deref().and_then(NoProxy::from_string);
        Ok(reqwest::Proxy::https(self.url.expose_secret())?.no_proxy(exceptions))
    }
}

/// Without user name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn checked(text: &str) -> Result<Url, String> {
    if text.trim() != text {
        return Err("it begins or ends with a blank".to_owned());
    }
    if text.contains(['"', '\'']) {
        return Err("it has quotation marks in it".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has blanks, control characters or letters in it that no URL has".to_owned());
    }
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let whole = match scheme.as_deref() {
        Some("http" | "https") => text.to_owned(),
        // As curl takes it.
        None => format!("http://{text}"),
        Some(_) => return Err("only proxies with http:// or https:// are supported".to_owned()),
    };
    let url = Url::parse(&whole).map_err(|error| format!("it is not a URL ({error})"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it names no host".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("it has more than scheme, user, host and port".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::clock::FixedClock;

    fn host(env: &[(&str, &str)]) -> Host {
        let env: BTreeMap<String, SecretString> = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
            .collect();
        Host {
            env,
            clock: Arc::new(FixedClock(jiff::Timestamp::UNIX_EPOCH)),
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        }
    }

    #[test]
    fn what_can_be_used_is_shown_without_its_password() {
        for (text, shown) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("proxy:3128", "http://proxy:3128"),
            ("HTTPS://u:canary@proxy/", "https://proxy"),
            ("http://u:p%40ss@10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            let proxy = Proxy::of(&host(&[("HTTPS_PROXY", text)])).unwrap().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert!(!format!("{proxy:?}").contains("canary"));
            assert!(proxy.for_https().is_ok(), "{text}");
        }
        assert!(Proxy::of(&host(&[("HTTP_PROXY", "http://proxy")])).unwrap().is_none());
        let lower = Proxy::of(&host(&[("all_proxy", "http://all"), ("https_proxy", "http://one")]));
        assert_eq!(lower.unwrap().unwrap().to_string(), "http://one");
    }

    #[test]
    fn what_can_not_be_used_is_refused_without_being_shown() {
        for text in [
            "http://u:canary@127.0.0.1:9 ",
            "\"http://u:canary@127.0.0.1:9\"",
            "'http://u:canary@127.0.0.1:9'",
            "ftp://u:canary@127.0.0.1:9",
            "socks5://u:canary@127.0.0.1:9",
            "socks5h://u:canary@127.0.0.1:9",
            "http:/u:canary",
            "http://",
            "http://u:canary@127.0.0.1:99999",
            "http://u:canary@127.0.0.1:9/path",
            "http://u:can ary@127.0.0.1:9",
            "http://u:canary@h\u{fffd}:9",
        ] {
            let error = Proxy::of(&host(&[("ALL_PROXY", text)])).expect_err(text);
            assert_eq!(error.variable, "ALL_PROXY");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
