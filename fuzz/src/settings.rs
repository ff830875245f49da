//! The configuration, and single words of it and of the command line.

use std::borrow::Cow;
use std::path::Path;

use idvault::config::{ConfigError, ConfigFile, HumanDuration, Overrides, Qps, Settings};
use idvault::error_chain;
use idvault::plain::{clean, shortened};
use idvault::quota::SetPace;
use idvault::record::{MerchantBizId, ProductCode, Region, TransactionId};
use idvault::report::csv::{cell, writer};
use idvault::sandbox::Faults;
use idvault::vendor::BaseUrl;
use jiff::Timestamp;

use super::assert_shown;

/// A configuration is refused with its line or its key, or every setting is in its range and nothing but https leaves
/// this machine.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let file = match ConfigFile::parse(Path::new("idvault.toml"), &text) {
        Ok(file) => file,
        Err(error) => {
            assert_shown(&error_chain(&error), 1_200);
            let ConfigError::Parse { line, .. } = error else {
                panic!("{error}");
            };
            return assert!((1..=text.matches('\n').count() + 1).contains(&line), "line {line}");
        }
    };
    match Settings::new(file, Overrides::default()) {
        Ok(settings) => checked(&settings),
        Err(error) => {
            assert_shown(&error_chain(&error), usize::MAX);
            assert!(matches!(error, ConfigError::Value { .. }), "{error}");
        }
    }
}

fn checked(settings: &Settings) {
    assert!((1..=4_096).contains(&settings.fetch.concurrency));
    assert!(settings.fetch.retry.attempts_per_call > 0);
    assert!(settings.fetch.limits.quarantine_after_runs > 0);
    assert!(settings.endpoints.knows(&settings.defaults.region));
    let safe = |url: &BaseUrl| url.is_https() || url.is_loopback();
    assert!(
        settings
            .endpoints
            .regions()
            .all(|region| settings.endpoints.get(region).is_some_and(safe))
    );
    let rate = match settings.pace {
        SetPace::Shared(rate) => rate,
        SetPace::Quotas { .. } => settings
            .pace
            .of_queue("cn-hongkong", "FACE_LIVENESS", Timestamp::UNIX_EPOCH),
    };
    match rate {
        Some(rate) => assert!(rate.is_finite() && rate > 0.0, "{rate}"),
        None => assert!(settings.asks_loopback(), "the vendor is asked without a limit"),
    }
    assert!(settings.warning_window.is_positive() && settings.run_interval.is_positive());
    assert!(settings.time_limit.is_none_or(|limit| !limit.is_zero()));
}

/// Words that are read are in their range, and a cell can be read back.
pub fn words(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let once = clean(text);
    assert!(matches!(clean(&once), Cow::Borrowed(twice) if twice == once));
    assert_shown(&shortened(text, 20), 20);
    in_range(text);
    ids(text);
    cells(text);
}

fn in_range(text: &str) {
    if let Ok(url) = BaseUrl::parse(text) {
        let written = url.to_string();
        assert!(url.is_https() || url.is_loopback(), "{written}");
        assert!(!written.contains('@'), "{written}");
        assert_eq!(BaseUrl::parse(&written), Ok(url));
    }
    if let Ok(faults) = text.parse::<Faults>() {
        let shares = [
            faults.throttle,
            faults.server_errors,
            faults.resets,
            faults.cut_bodies,
            faults.malformed,
            faults.proxy_html,
            faults.hangs,
        ];
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{faults:?}");
        assert!(shares.iter().sum::<f64>() <= 1.0 + 1e-9, "{faults:?}");
    }
    if let Ok(duration) = text.parse::<HumanDuration>() {
        assert!(duration.0.is_positive() && !duration.std().is_zero());
    }
    if let Ok(Qps::PerSecond(rate)) = text.parse() {
        assert!((0.001..=100_000.0).contains(&rate), "{rate}");
    }
}

fn ids(text: &str) {
    let harmless = |id: &str| {
        id.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let ids = [
        TransactionId::parse(text).map(|id| id.as_str().to_owned()),
        MerchantBizId::parse(text).map(|id| id.as_str().to_owned()),
        ProductCode::parse(text).map(|id| id.as_str().to_owned()),
        Region::parse(text).map(|id| id.as_str().to_owned()),
    ];
    for id in ids {
        match id {
            Ok(id) => assert!(harmless(&id) && (1..=64).contains(&id.len()), "{id:?}"),
            Err(error) => assert_shown(&error.to_string(), 200),
        }
    }
}

fn cells(text: &str) {
    let cell = cell(text);
    let runs = |part: &str| part.trim_start().starts_with(['=', '+', '-', '@']);
    assert!(!cell.split(';').any(runs), "{cell:?}");
    assert_eq!(clean(&cell), cell);
    assert_eq!(
        cell.replace('\'', ""),
        clean(text).replace('\'', ""),
        "nothing else is changed"
    );
    let mut out = Vec::new();
    let mut report = writer(&mut out);
    report.write_record([&*cell, "last"]).expect("memory can be written");
    drop(report);
    // One record of two cells: the line's end, and a comma and two quotes at least where the first one has a comma.
    assert!(out.ends_with(b",last\r\n"), "{out:?}");
    assert!(!out[..out.len() - 1].contains(&b'\n'), "{out:?}");
}
