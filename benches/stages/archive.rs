//! From the journal to durable files, and back: publishing, the archive's part of that alone, and `verify`.
//!
//! `cargo bench --bench archive`; compare the figures of one run with each other, not with those of another machine.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use idvault::archive::{Archive, CompletingDay, Row};
use idvault::day::BillingZone;
use idvault::ledger::{Defaults, Ledger, Lock, Run, Settled, Settlement, Writer};
use idvault::publish::{Published, Publisher};
use idvault::record::{Pending, ProductCode, Region, TransactionId, sha256_hex};
use idvault::sandbox::Mix;
use idvault::stop::Stop;
use idvault::tables::SubCodes;
use idvault::vendor::normalize;
use idvault::verify::{Scope, verify};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// 2026-11-20T16:00:00Z: where the vendor's 21 November begins.
const DAY_BEGINS_SECONDS: i64 = 1_795_190_400;

/// Verifications of the day.
const ROWS: usize = 100_000;

/// Verifications of the day in which faces are fetched.
const ROWS_WITH_FACES: usize = 1_000;

/// Settlements that are handed to the ledger's writer at once.
const IN_FLIGHT: usize = 1_000;

fn id(number: usize) -> TransactionId {
    TransactionId::parse(&format!("hks{}", &sha256_hex(&number.to_le_bytes())[..29])).expect("an id")
}

fn verified_at(number: usize, rows: usize) -> Timestamp {
    let within_day = number as u64 * 86_400_000 / rows as u64;
    let millis = DAY_BEGINS_SECONDS * 1000 + within_day.cast_signed();
    Timestamp::from_millisecond(millis).expect("a time")
}

/// A data folder whose ledger has the replies of one billing day in its journal.
struct Journal {
    data_dir: TempDir,
    rows: usize,
}

impl Journal {
    fn new(rows: usize, with_faces: bool) -> Self {
        let data_dir = tempfile::tempdir().expect("a folder");
        let lock = Lock::acquire(data_dir.path()).expect("the lock");
        let mut ledger = Ledger::open(data_dir.path(), &lock).expect("a ledger");
        let run = ledger.begin_run(Timestamp::UNIX_EPOCH, None).expect("a run");
        let defaults = Defaults {
            product_code: ProductCode::parse("FACE_LIVENESS").expect("a product"),
            region: Region::parse("ap-southeast-1").expect("a region"),
        };
        let mut admission = ledger.admission(&defaults, &run, Timestamp::UNIX_EPOCH);
        let pending = |number| Pending {
            transaction_id: id(number),
            merchant_biz_id: None,
            product_code: None,
            region: None,
            verified_at: Some(verified_at(number, rows)),
        };
        let pending: Vec<Pending> = (0..rows).map(pending).collect();
        admission.admit(&pending.iter().collect::<Vec<_>>()).expect("rows");
        admission.make_indices(|| false).expect("indices");
        admission.commit().expect("a commit");
        drop(admission);
        settle(ledger, &run, rows, with_faces).close().expect("a ledger");
        Self { data_dir, rows }
    }

    /// A data folder of its own with the same journal.
    fn copy(&self) -> Night {
        let data_dir = tempfile::tempdir().expect("a folder");
        fs::copy(
            self.data_dir.path().join("ledger.sqlite"),
            data_dir.path().join("ledger.sqlite"),
        )
        .expect("a copy");
        Night::open(data_dir)
    }
}

fn settle(ledger: Ledger, run: &Run, rows: usize, with_faces: bool) -> Ledger {
    let writer = Writer::start(ledger, run.number, || ());
    let runtime = Runtime::new().expect("a runtime");
    for first in (0..rows).step_by(IN_FLIGHT) {
        let settled: Vec<_> = (first..rows.min(first + IN_FLIGHT))
            .map(|number| {
                let handle = writer.handle();
                runtime.spawn(async move { handle.settle(settlement(number, with_faces)).await })
            })
            .collect();
        for settled in settled {
            runtime.block_on(settled).expect("a task").expect("a commit");
        }
    }
    writer.finish().expect("the ledger")
}

fn settlement(number: usize, with_faces: bool) -> Settlement {
    let body = Mix::AllFinal
        .answer_for(id(number).as_str(), with_faces)
        .body
        .into_bytes();
    let record = normalize(&body).expect("a final reply");
    Settlement {
        // The ledger numbers from 1.
        number: number.cast_signed() as i64 + 1,
        attempts: 1,
        call_code: "Success".to_owned(),
        message: None,
        called_at: Timestamp::UNIX_EPOCH,
        settled: Settled::Journalled {
            passed: record.passed,
            sub_code: record.sub_code,
            body,
        },
    }
}

/// A data folder in which a run is at work.
struct Night {
    data_dir: TempDir,
    ledger: Ledger,
    archive: Archive,
    _lock: Lock,
}

impl Night {
    fn open(data_dir: TempDir) -> Self {
        let lock = Lock::acquire(data_dir.path()).expect("the lock");
        let ledger = Ledger::open(data_dir.path(), &lock).expect("a ledger");
        let archive = Archive::open(data_dir.path()).expect("an archive");
        Self {
            data_dir,
            ledger,
            archive,
            _lock: lock,
        }
    }

    fn publish(mut self) -> Self {
        let run = self.ledger.begin_run(Timestamp::UNIX_EPOCH, None).expect("a run");
        let mut published = Published::default();
        let mut publication = Publisher {
            ledger: &mut self.ledger,
            archive: &self.archive,
            run: &run,
            zone: &BillingZone::default(),
            sub_codes: &SubCodes::built_in(),
            now: Timestamp::UNIX_EPOCH,
            stop: &Stop::default(),
        };
        publication.publish(&mut published).expect("the files");
        assert!(published.verifications > 0);
        self
    }
}

fn bytes_under(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"));
    let bytes = entries.map(|entry| match entry.metadata().expect("metadata") {
        folder if folder.is_dir() => bytes_under(&entry.path()),
        file => file.len(),
    });
    bytes.sum()
}

fn verifications(criterion: &mut Criterion) {
    let rows = ROWS;
    let journal = Journal::new(rows, false);
    let mut group = criterion.benchmark_group("verifications");
    group.throughput(Throughput::Elements(rows as u64)).sample_size(10);
    group.bench_function("publish", |bench| {
        bench.iter_batched(|| journal.copy(), Night::publish, BatchSize::PerIteration);
    });
    let day: Vec<Row> = (0..rows).map(|number| row(number, rows)).collect();
    group.bench_function("stage", |bench| {
        let setup = || tempfile::tempdir().expect("a folder");
        bench.iter_batched(setup, |dir| stage(dir, &day), BatchSize::PerIteration);
    });
    let night = journal.copy().publish();
    let bytes = bytes_under(&night.data_dir.path().join("archive"));
    println!(
        "{rows} verifications are {bytes} bytes in {}",
        night.data_dir.path().display()
    );
    group.throughput(Throughput::Bytes(bytes));
    for (name, percent) in [("verify", 0), ("verify --read-data", 100)] {
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let verified =
                    verify(night.data_dir.path(), &night.ledger, Scope { percent, seed: 0 }).expect("a comparison");
                assert_eq!((verified.archived, verified.differences.total()), (rows as u64, 0));
            });
        });
    }
    group.finish();
}

fn row(number: usize, rows: usize) -> Row {
    let id = id(number);
    let body = Mix::AllFinal.answer_for(id.as_str(), false).body.into_bytes();
    Row {
        transaction_id: id.as_str().to_owned(),
        merchant_biz_id: sha256_hex(id.as_str().as_bytes())[..32].to_owned(),
        product_code: "FACE_LIVENESS".to_owned(),
        region: "ap-southeast-1".to_owned(),
        verified_at: Some(verified_at(number, rows)),
        fetched_at: Timestamp::UNIX_EPOCH,
        run_id: Arc::from("bench"),
        reply_sha256: sha256_hex(&body),
        billed: Some(true),
        record: normalize(&body).expect("a final reply"),
    }
}

fn stage(dir: TempDir, rows: &[Row]) -> TempDir {
    let archive = Archive::open(dir.path()).expect("an archive");
    let mut day = archive.stage(None, "bench", 1).expect("a day");
    for row in rows {
        day.append(row).expect("a row");
    }
    for file in day.complete().and_then(CompletingDay::wait).expect("the files") {
        file.publish().expect("a file");
    }
    dir
}

fn faces(criterion: &mut Criterion) {
    let rows = ROWS_WITH_FACES;
    let journal = Journal::new(rows, true);
    let mut group = criterion.benchmark_group("faces");
    group.throughput(Throughput::Elements(rows as u64)).sample_size(10);
    group.bench_function("publish", |bench| {
        bench.iter_batched(|| journal.copy(), Night::publish, BatchSize::PerIteration);
    });
    let body = Mix::AllFinal.answer_for(id(1).as_str(), true).body.into_bytes();
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("normalize", |bench| {
        bench.iter(|| normalize(black_box(&body)));
    });
    assert_eq!(journal.rows, rows);
    group.finish();
}

criterion_group!(benches, verifications, faces);
criterion_main!(benches);
