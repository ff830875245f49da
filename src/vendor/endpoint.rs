//! Where the service is: one base URL a region. Data is isolated per region, so a transaction is asked for where it was
//! made.
//!
//! - [`Network`]: the public endpoints or those inside the vendor's network
//! - [`Endpoints`]: region to base URL
//! - [`BaseUrl`]: a URL that may be asked; [`InvalidUrl`] says why one may not

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::record::Region;

const TABLE: &str = include_str!("../tables/endpoints.toml");

/// Which of a region's endpoints is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Over the internet.
    #[default]
    Public,
    /// Inside the vendor's network, from a machine in the same region.
    Vpc,
}

impl Network {
    /// The word for it: `public` or `vpc`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Vpc => "vpc",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is neither `public` nor `vpc`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a network is \"public\" or \"vpc\", not {0:?}")]
pub struct UnknownNetwork(String);

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "public" => Ok(Self::Public),
            "vpc" => Ok(Self::Vpc),
            _ => Err(UnknownNetwork(word.to_owned())),
        }
    }
}

/// Why a URL may not be asked. It never repeats the URL: that could hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Not a URL with a host.
    #[error("not a URL with a host ({reason})")]
    Unreadable {
        /// What the parser says.
        reason: String,
    },
    /// A user name or password in it.
    #[error("a URL with a user name or a password is refused: credentials come from the credentials chain only")]
    UserInfo,
    /// Neither https nor http.
    #[error("the scheme {scheme:?} is not supported: use https")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// Plain http to another machine.
    #[error("plain http is only for a loopback address, and {host} is none: use https")]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// A path, query or fragment.
    #[error("a base URL has no path, query or fragment: give the scheme, the host and perhaps a port")]
    NotABase,
}

/// A URL that may be asked: https anywhere, plain http only to a loopback address (127.0.0.0/8, `::1`, `localhost`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
    host_header: String,
    loopback: bool,
}

impl BaseUrl {
    /// Checks `text`: scheme, host and perhaps a port, nothing else.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let url = Url::parse(text.trim()).map_err(|error| InvalidUrl::Unreadable {
            reason: error.to_string(),
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::UserInfo);
        }
        if !matches!(url.scheme(), "https" | "http") {
            let scheme = url.scheme().to_owned();
            return Err(InvalidUrl::Scheme { scheme });
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let loopback = is_loopback(&host);
        if url.scheme() == "http" && !loopback {
            return Err(InvalidUrl::PlainHttp { host });
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidUrl::NotABase);
        }
        let host_header = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        Ok(Self {
            url,
            host_header,
            loopback,
        })
    }

    /// Whether it stays on this machine.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether it is asked over TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The value of the `Host` header: the host, with the port where it is not the scheme's own.
    pub fn host_header(&self) -> &str {
        &self.host_header
    }

    /// The URL that carries `query`, which is encoded already.
    pub(crate) fn with_query(&self, query: &str) -> Url {
        let mut url = self.url.clone();
        url.set_query(Some(query));
        url
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

/// Whether a host, as a parsed URL gives it, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Region to base URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints(BTreeMap<Region, BaseUrl>);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    public: BTreeMap<String, String>,
    vpc: BTreeMap<String, String>,
}

impl Endpoints {
    /// The regions that the vendor's pages name (`src/tables/endpoints.toml`).
    pub fn built_in(network: Network) -> Self {
        let table: Table =
            toml::from_str(TABLE).unwrap_or_else(|error| unreachable!("a test reads the table: {error}"));
        let chosen = match network {
            Network::Public => table.public,
            Network::Vpc => table.vpc,
        };
        let rows = chosen
            .iter()
            .filter_map(|(region, url)| Some((Region::parse(region).ok()?, BaseUrl::parse(url).ok()?)));
        Self(rows.collect())
    }

    /// The same regions, all at one URL: `--endpoint` and the sandbox.
    pub fn single(url: &BaseUrl) -> Self {
        let regions = Self::built_in(Network::Public).0.into_keys();
        Self(regions.map(|region| (region, url.clone())).collect())
    }

    /// Adds or replaces a region: the configuration extends the table.
    pub fn insert(&mut self, region: Region, url: BaseUrl) {
        self.0.insert(region, url);
    }

    /// Whether there is an endpoint for `region`.
    pub fn knows(&self, region: &Region) -> bool {
        self.0.contains_key(region)
    }

    /// The regions, by name.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.0.keys()
    }

    /// Where `region` is asked.
    pub fn get(&self, region: &Region) -> Option<&BaseUrl> {
        self.0.get(region)
    }

    /// The host of each region, with its port where that is not the scheme's own. The vendor's public and its internal host of a
    /// region are one: both lead to the same account.
    pub fn hosts(&self) -> BTreeMap<String, String> {
        let host = |url: &BaseUrl| url.host_header().replacen("cloudauth-intl-vpc.", "cloudauth-intl.", 1);
        let hosts = self.0.iter().map(|(region, url)| (region.to_string(), host(url)));
        hosts.collect()
    }

    /// The URLs, in the regions' order.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &BaseUrl> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_six_regions_of_both_networks() {
        let names = |network| {
            let endpoints = Endpoints::built_in(network);
            endpoints.urls().map(ToString::to_string).collect::<Vec<_>>()
        };
        let regions = [
            "ap-southeast-1",
            "ap-southeast-3",
            "ap-southeast-5",
            "cn-hongkong",
            "eu-central-1",
            "us-west-1",
        ];
        let expected = |host: &str| regions.map(|r| format!("https://{host}.{r}.aliyuncs.com")).to_vec();
        assert_eq!(names(Network::Public), expected("cloudauth-intl"));
        assert_eq!(names(Network::Vpc), expected("cloudauth-intl-vpc"));
    }

    #[test]
    fn one_url_serves_every_known_region_and_a_region_can_be_added() {
        let url = BaseUrl::parse("http://127.0.0.1:8080").unwrap();
        let mut endpoints = Endpoints::single(&url);
        assert_eq!(endpoints.regions().count(), 6);
        assert!(endpoints.urls().all(|found| found == &url));
        let region = Region::parse("me-east-1").unwrap();
        assert!(!endpoints.knows(&region) && endpoints.get(&region).is_none());
        endpoints.insert(region.clone(), url);
        assert!(endpoints.knows(&region));
    }

    #[test]
    fn what_may_be_asked() {
        for (text, host_header, loopback) in [
            ("https://example.com", "example.com", false),
            ("https://example.com:443/", "example.com", false),
            ("https://example.com:8443/", "example.com:8443", false),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://127.3.2.1", "127.3.2.1", true),
            ("http://[::1]:9", "[::1]:9", true),
            ("HTTP://LocalHost:80", "localhost", true),
        ] {
            let url = BaseUrl::parse(text).unwrap();
            assert_eq!(
                (url.host_header(), url.is_loopback()),
                (host_header, loopback),
                "{text}"
            );
        }
        for text in [
            "http://example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://0.0.0.0",
            "http://[::ffff:127.0.0.1]",
            "ftp://127.0.0.1",
            "https://u:secret@example.com",
            "https://u@example.com",
            "https://example.com/path",
            "https://example.com/?q",
            "https://example.com/#f",
            "example.com",
            "",
        ] {
            let error = BaseUrl::parse(text).expect_err(text);
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn networks_have_words() {
        for network in [Network::Public, Network::Vpc] {
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        assert!("VPC".parse::<Network>().is_err());
    }
}
