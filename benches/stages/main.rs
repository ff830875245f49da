//! What each stage of a night costs a record: signing, classifying, normalizing, admitting and publishing.
//!
//! `cargo bench --bench stages`; compare the figures of one run with each other, not with those of another machine.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use idvault::archive::{Archive, CompletingDay, Row};
use idvault::ledger::{Defaults, Ledger, Lock};
use idvault::record::{Pending, ProductCode, Region, TransactionId, sha256_hex};
use idvault::sandbox::Mix;
use idvault::vendor::{Reply, classify, normalize, sign};
use jiff::Timestamp;

/// Rows that are taken in at a time.
const BATCH_ROWS: usize = 1_024;

/// Rows an iteration in the stages that write files.
const ROWS: usize = 20_000;

fn id(number: usize) -> String {
    format!("hks{}", &sha256_hex(&number.to_le_bytes())[..29])
}

fn bodies(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| Mix::AllFinal.answer_for(&id(number), false).body.into_bytes())
        .collect()
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    group.throughput(Throughput::Elements(1));
    let query = sign::canonical_query(&[("MerchantBizId", &id(1)[..]), ("TransactionId", &id(2)[..])]);
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
    let mut bodies = bodies(1_000).into_iter().cycle();
    let mut next = move || bodies.next().unwrap_or_default();
    let now = Timestamp::UNIX_EPOCH;
    group.bench_function("classify", |bench| {
        let setup = || Reply {
            http_status: 200,
            body: next(),
            retry_after: None,
            date: None,
        };
        bench.iter_batched(setup, |reply| classify(&reply, now), criterion::BatchSize::SmallInput);
    });
    let bodies = self::bodies(1_000);
    let mut at = 0;
    group.bench_function("normalize", |bench| {
        bench.iter(|| {
            at = (at + 1) % bodies.len();
            normalize(black_box(&bodies[at]))
        });
    });
    group.finish();
}

fn pending(number: usize) -> Pending {
    Pending {
        transaction_id: TransactionId::parse(&id(number)).expect("an id"),
        merchant_biz_id: None,
        product_code: None,
        region: None,
        verified_at: Some(Timestamp::UNIX_EPOCH),
    }
}

fn files(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rows");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    let rows: Vec<Pending> = (0..ROWS).map(pending).collect();
    let defaults = Defaults {
        product_code: ProductCode::parse("FACE_LIVENESS").expect("a product"),
        region: Region::parse("ap-southeast-1").expect("a region"),
    };
    group.bench_function("admit", |bench| {
        bench.iter_with_large_drop(|| {
            let dir = tempfile::tempdir().expect("a folder");
            let lock = Lock::acquire(dir.path()).expect("the lock");
            let mut ledger = Ledger::open(dir.path(), &lock).expect("a ledger");
            let run = ledger.begin_run(Timestamp::UNIX_EPOCH, None).expect("a run");
            let mut admission = ledger.admission(&defaults, &run, Timestamp::UNIX_EPOCH);
            for rows in rows.chunks(BATCH_ROWS) {
                let rows: Vec<&Pending> = rows.iter().collect();
                admission.admit(&rows).expect("rows");
            }
            admission.make_indices(|| false).expect("indices");
            admission.commit().expect("a commit");
            dir
        });
    });
    let bodies = bodies(ROWS);
    let run_id: Arc<str> = "bench".into();
    group.bench_function("publish", |bench| {
        bench.iter_with_large_drop(|| {
            let dir = tempfile::tempdir().expect("a folder");
            let archive = Archive::open(dir.path()).expect("an archive");
            let mut day = archive.stage(None, &run_id, 1).expect("a day");
            for (number, body) in bodies.iter().enumerate() {
                day.append(&row(number, body, &run_id)).expect("a row");
            }
            for file in day.complete().and_then(CompletingDay::wait).expect("the files") {
                file.publish().expect("a file");
            }
            dir
        });
    });
    let dir = tempfile::tempdir().expect("a folder");
    let archive = Archive::open(dir.path()).expect("an archive");
    let mut day = archive.stage(None, &run_id, 1).expect("a day");
    for (number, body) in bodies.iter().enumerate() {
        day.append(&row(number, body, &run_id)).expect("a row");
    }
    let file = day
        .complete()
        .and_then(CompletingDay::wait)
        .expect("the files")
        .remove(0);
    let path = file.relative_path.clone();
    file.publish().expect("a file");
    group.bench_function("tally", |bench| {
        bench.iter(|| archive.tally(black_box(&path)).expect("a count"));
    });
    group.finish();
}

fn row(number: usize, body: &[u8], run_id: &Arc<str>) -> Row {
    Row {
        transaction_id: id(number),
        merchant_biz_id: id(number + ROWS),
        product_code: "FACE_LIVENESS".to_owned(),
        region: "ap-southeast-1".to_owned(),
        verified_at: None,
        fetched_at: Timestamp::UNIX_EPOCH,
        run_id: run_id.clone(),
        reply_sha256: sha256_hex(body),
        billed: Some(true),
        record: normalize(body).expect("a final reply"),
    }
}

criterion_group!(benches, calls, files);
criterion_main!(benches);
