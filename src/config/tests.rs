use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::intake::ColumnNames;
use crate::vendor::client;

fn settings(text: &str) -> Result<Settings, ConfigError> {
    Settings::new(toml::from_str(text).unwrap(), Overrides::default())
}

#[test]
fn durations_are_written_for_people() {
    for (text, millis) in [
        ("6h", 21_600_000),
        ("200ms", 200),
        ("7d", 604_800_000),
        ("1h 30m", 5_400_000),
    ] {
        assert_eq!(
            text.parse::<HumanDuration>().unwrap().std().as_millis(),
            millis,
            "{text}"
        );
    }
    for text in ["", "6", "-1h", "0s", "soon", "1 month"] {
        assert!(text.parse::<HumanDuration>().is_err(), "{text}");
    }
}

#[test]
fn the_defaults_are_the_designs() {
    let settings = settings("").unwrap();
    assert_eq!(settings.data_dir, Path::new("idvault-data"));
    assert_eq!(settings.defaults.product_code.as_str(), "FACE_LIVENESS");
    assert_eq!(settings.warning_window, SignedDuration::from_hours(7 * 24));
    let rate = |region, product| settings.pace.of_queue(region, product, Timestamp::UNIX_EPOCH).unwrap();
    assert!(
        (rate("ap-southeast-1", "FACE_LIVENESS") - 8.0).abs() < 1e-9,
        "80 % of the region's 10"
    );
    assert!(
        (rate("ap-southeast-1", "eKYC_PRO") - 4.0).abs() < 1e-9,
        "80 % of the product's 5"
    );
    assert!(
        (rate("ap-southeast-3", "FACE_LIVENESS") - 2.4).abs() < 1e-9,
        "80 % of the region's 3"
    );
}

#[test]
fn wrong_values_name_their_key() {
    for (text, key) in [
        ("qps = 'unlimited'", "qps"),
        ("quota_share = 2.0", "quota_share"),
        ("concurrency = 0", "concurrency"),
        ("endpoint = 'http://example.com'", "endpoint"),
        ("billing_zone = 'Nowhere/City'", "billing_zone"),
        ("[intake.defaults]\nregion = 'xx-nowhere-1'", "intake.defaults.region"),
        ("[quotas.products]\nFACE_LIVENESS = 0", "quotas.products.FACE_LIVENESS"),
        ("[quotas.regions]\ncn-hongkong = -1", "quotas.regions.cn-hongkong"),
        (
            "[quotas.regions]\ncn-hongkong = { products = { eKYC = 0 } }",
            "quotas.regions.cn-hongkong.products.eKYC",
        ),
        (
            "[quotas]\nshare = [{ from = '00:00', to = '06:00', share = 0.9 }]",
            "quotas.time_zone",
        ),
        (
            "[quotas]\ntime_zone = '+08:00'\nshare = [{ from = '0', to = '06:00', share = 0.9 }]",
            "quotas.share, line 1,",
        ),
        (
            "[quotas]\ntime_zone = '+08:00'\nshare = [{ from = '00:00', to = '24:00', share = 1.1 }]",
            "quotas.share, line 1,",
        ),
        ("[intake]\nsilence = '999ms'", "intake.silence"),
        ("[intake]\nsilence = '25h'", "intake.silence"),
        ("[retry]\nattempts_per_call = 0", "retry.attempts_per_call"),
        ("[billing]\ndecimals = 10", "billing.decimals"),
        ("[[prices.eKYC]]\nunit_price = '1'\ncurrency = 'usd'", "prices.eKYC"),
        (
            "[[packages]]\nname = 'A'\nproduct = 'eKYC'\nquantity = 1\nfrom = '2026-11-02'\nuntil = '2026-11-01'",
            "packages (A)",
        ),
    ] {
        let error = settings(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{key} is wrong: ")), "{text}: {error}");
    }
}

#[test]
fn zones_are_offsets_or_names() {
    assert_eq!(
        zone("z", Some("+08:00")).unwrap(),
        Some(TimeZone::fixed(jiff::tz::offset(8)))
    );
    assert!(zone("z", Some("Asia/Singapore")).unwrap().is_some());
    assert!(zone("z", Some("+25:00")).is_err());
}

#[test]
fn an_unknown_key_is_an_error() {
    assert!(toml::from_str::<ConfigFile>("qqs = 5").is_err());
    assert!(toml::from_str::<ConfigFile>("[credentials]\naccess_key_id = 'x'").is_err());
}

const SAMPLE: &str = include_str!("../../samples/idvault.toml");

/// The sample with every key and table taken out of its comment.
fn sample_uncommented() -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
        _ => line,
    };
    SAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_changes_nothing_as_it_is() {
    let prose = |line: &str| line.is_empty() || line.starts_with('#');
    assert!(SAMPLE.lines().all(prose));
    let sample = Settings::new(toml::from_str(SAMPLE).unwrap(), Overrides::default()).unwrap();
    assert_eq!(format!("{sample:?}"), format!("{:?}", settings("").unwrap()));
}

/// Gives the zone.
fn explains_the_quotas(quotas: QuotasConfig) -> Option<String> {
    let QuotasConfig {
        time_zone,
        share,
        regions,
        products,
    } = quotas;
    assert!(!share.is_empty() && !regions.is_empty() && !products.is_empty());
    time_zone
}

/// A new key of the configuration does not compile here until it is named, and fails until the sample has it.
#[test]
#[expect(clippy::too_many_lines, reason = "a line for each key")]
fn the_sample_explains_every_key() {
    let ConfigFile {
        data_dir,
        data_group,
        pending,
        network,
        endpoint,
        account,
        qps,
        quota_share,
        concurrency,
        time_limit,
        images,
        json,
        quiet,
        log_format,
        warning_window,
        run_interval,
        billing_zone,
        intake,
        timeouts,
        retry,
        credentials,
        tls,
        integrity,
        endpoints,
        quotas,
        billing,
        bill,
        records,
        prices,
        packages,
        sub_codes,
    } = toml::from_str(&sample_uncommented()).unwrap();
    let IntakeConfig {
        columns,
        defaults,
        time_zone,
        sqlite_query,
        silence,
        min_rows,
        max_age,
        max_rows,
        time_limit: intake_time_limit,
    } = intake;
    assert!(min_rows.is_some() && max_rows.is_some() && max_age.is_some() && intake_time_limit.is_some());
    let DefaultsConfig { product_code, region } = defaults;
    let TimeoutsConfig { connect, read, attempt } = timeouts;
    let RetryConfig {
        attempts_per_call,
        quarantine_after_runs,
        patience,
        pauses,
    } = retry;
    assert!(pauses.is_some());
    let quotas_zone = explains_the_quotas(quotas);
    let CredentialsConfig { metadata_url } = credentials;
    let (TlsConfig { ca_file }, IntegrityConfig { key_file }) = (tls, integrity);
    let BillingConfig { decimals } = billing;
    let BillConfig {
        columns: bill_columns,
        products,
        regions,
        kinds,
        product_codes,
        tax_rate,
        currency,
    } = bill;
    assert!(!products.is_empty() && !regions.is_empty() && !kinds.is_empty() && !product_codes.is_empty());
    assert!(tax_rate.is_some() && currency.is_some());
    assert!(
        bill_columns.by_key().iter().all(|name| name.is_some()),
        "{bill_columns:?}"
    );
    let RecordsConfig {
        columns: record_columns,
        time_zone: records_zone,
    } = records;
    assert!(
        record_columns.by_key().iter().all(|name| name.is_some()),
        "{record_columns:?}"
    );
    let texts = [
        endpoint,
        account,
        billing_zone,
        time_zone,
        records_zone,
        quotas_zone,
        sqlite_query,
    ];
    assert!(texts.iter().all(Option::is_some), "{texts:?}");
    let texts = [product_code, region, metadata_url];
    assert!(texts.iter().all(Option::is_some), "{texts:?}");
    let durations = [
        time_limit,
        warning_window,
        run_interval,
        silence,
        connect,
        read,
        attempt,
        patience,
    ];
    assert!(durations.iter().all(Option::is_some), "{durations:?}");
    let switches = [images, json, quiet];
    assert!(switches.iter().all(Option::is_some), "{switches:?}");
    let numbers = [attempts_per_call, quarantine_after_runs, decimals];
    assert!(numbers.iter().all(Option::is_some), "{numbers:?}");
    assert!(data_dir.is_some() && data_group.is_some() && ca_file.is_some() && key_file.is_some());
    assert!(network.is_some() && log_format.is_some());
    assert!(qps.is_some() && quota_share.is_some() && concurrency.is_some());
    assert!(!pending.is_empty() && !endpoints.is_empty());
    assert!(!prices.is_empty() && !packages.is_empty() && sub_codes.values().any(|codes| !codes.is_empty()));
    let ColumnNames {
        transaction_id,
        merchant_biz_id,
        product_code,
        region,
        verified_at,
    } = columns;
    let unset = ColumnNames::default();
    assert_ne!(transaction_id, unset.transaction_id);
    assert_ne!(merchant_biz_id, unset.merchant_biz_id);
    assert_ne!(product_code, unset.product_code);
    assert_ne!(region, unset.region);
    assert_ne!(verified_at, unset.verified_at);
}

#[test]
fn the_sample_shows_the_defaults() {
    let (shown, unset) = (settings(&sample_uncommented()).unwrap(), settings("").unwrap());
    assert_eq!(shown.data_dir, unset.data_dir);
    assert_eq!(shown.defaults.product_code, unset.defaults.product_code);
    assert_eq!(shown.defaults.region, unset.defaults.region);
    assert_eq!(format!("{:?}", shown.fetch), format!("{:?}", unset.fetch));
    assert_eq!(shown.intake.silence, unset.intake.silence);
    assert_eq!(shown.images, unset.images);
    assert_eq!(shown.pricing.decimals, unset.pricing.decimals);
    assert_eq!(shown.warning_window, unset.warning_window);
    assert_eq!(shown.run_interval, unset.run_interval);
    let midnight = "2026-11-22T16:00:00Z".parse().unwrap();
    assert_eq!(shown.billing_zone.day_of(midnight), unset.billing_zone.day_of(midnight));
    let file: ConfigFile = toml::from_str(&sample_uncommented()).unwrap();
    assert!((file.quota_share.unwrap() - QUOTA_SHARE).abs() < f64::EPSILON);
    assert_eq!(file.network, Some(Network::default()));
    assert_eq!(file.log_format, Some(LogFormat::default()));
    assert_eq!((file.json, file.quiet), (Some(false), Some(false)));
    assert_eq!(shown.connect_timeout, Some(client::DEFAULT_CONNECT_TIMEOUT));
    assert_eq!(shown.read_timeout, Some(client::DEFAULT_READ_TIMEOUT));
    assert_eq!(shown.attempt_timeout, Some(client::DEFAULT_ATTEMPT_TIMEOUT));
}
