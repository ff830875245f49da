//! A call's own work: its signature, what its reply means, and the record that is made of it.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use idvault::sandbox::Mix;
use idvault::vendor::{Reply, classify, normalize, sign};
use jiff::Timestamp;

use crate::fixture::id;

fn bodies(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| Mix::AllFinal.answer_for(id(number).as_str(), false).body.into_bytes())
        .collect()
}

pub(crate) fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    group.throughput(Throughput::Elements(1));
    let query = sign::canonical_query(&[("MerchantBizId", id(1).as_str()), ("TransactionId", id(2).as_str())]);
    let headers = [
        ("host", "cloudauth-intl.ap-southeast-1.aliyuncs.com"),
        ("x-acs-action", "CheckResult"),
        ("x-acs-content-sha256", sign::EMPTY_BODY_SHA256),
        ("x-acs-date", "2026-04-01T08:00:00Z"),
        ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
        ("x-acs-version", "2022-08-09"),
    ];
    let request = sign::Request {
        method: "POST",
        path: "/",
        canonical_query: &query,
        headers: &headers,
        payload_sha256: sign::EMPTY_BODY_SHA256,
    };
    group.bench_function("sign", |bench| {
        bench.iter(|| sign::authorization(black_box(&request), "key", "secret"));
    });
    let mut cycle = bodies(1_000).into_iter().cycle();
    let mut next = move || cycle.next().unwrap_or_default();
    let now = Timestamp::UNIX_EPOCH;
    group.bench_function("classify", |bench| {
        let setup = || Reply {
            http_status: 200,
            body: next(),
            retry_after: None,
            date: None,
        };
        bench.iter_batched(setup, |reply| classify(&reply, now), BatchSize::SmallInput);
    });
    let bodies = bodies(1_000);
    let mut at = 0;
    group.bench_function("normalize", |bench| {
        bench.iter(|| {
            at = (at + 1) % bodies.len();
            normalize(black_box(&bodies[at]))
        });
    });
    group.finish();
}
