//! What every HTTP client of the program has in common.
//!
//! - [`builder`]: TLS provider, no redirects, no retries of its own

/// A client that follows no redirect and repeats nothing by itself. `https` false: it trusts no certificate at all,
/// so that a machine without certificates can still talk to itself.
pub(crate) fn builder(https: bool) -> reqwest::ClientBuilder {
    // An error says that a provider is installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("idvault/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .http1_only()
        .tcp_nodelay(true);
    if https { builder } else { builder.tls_certs_only([]) }
}
