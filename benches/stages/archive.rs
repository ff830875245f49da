//! From the journal to durable files, and back: publishing, the archive's part of that alone, counting again, `verify`.

use std::fs;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput};
use idvault::archive::{Archive, StagedFile};
use idvault::day::BillingZone;
use idvault::ledger::{Ledger, Lock};
use idvault::publish::{Published, Publisher};
use idvault::record::{Verification, sha256_hex};
use idvault::sandbox::Mix;
use idvault::stop::Stop;
use idvault::tables::SubCodes;
use idvault::vendor::normalize;
use idvault::verify::{Scope, verify};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::fixture::{self, id, verified_at};

/// Verifications of the day.
const ROWS: usize = 100_000;

/// Verifications of the day in which faces are fetched.
const ROWS_WITH_FACES: usize = 1_000;

/// A data folder whose ledger has the replies of one billing day in its journal.
fn journal(rows: usize, with_faces: bool) -> TempDir {
    let data_dir = tempfile::tempdir().expect("a folder");
    let (mut ledger, _lock) = fixture::open(data_dir.path());
    let run = fixture::admit(&mut ledger, &fixture::pending(rows));
    let settlements = fixture::settlements(&ledger, rows, with_faces);
    let ledger = fixture::settle(ledger, &run, settlements);
    ledger.close().expect("a ledger");
    data_dir
}

/// A data folder in which a run is at work.
struct Night {
    data_dir: TempDir,
    ledger: Ledger,
    archive: Archive,
    _lock: Lock,
}

impl Night {
    /// In a folder of its own with the same journal.
    fn begin(journal: &TempDir) -> Self {
        let data_dir = fixture::copy(journal.path());
        let (ledger, lock) = fixture::open(data_dir.path());
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

pub(crate) fn verifications(criterion: &mut Criterion) {
    let rows = ROWS;
    let journal = journal(rows, false);
    let mut group = criterion.benchmark_group("verifications");
    group.throughput(Throughput::Elements(rows as u64)).sample_size(10);
    group.bench_function("publish", |bench| {
        bench.iter_batched(|| Night::begin(&journal), Night::publish, BatchSize::PerIteration);
    });
    let day: Vec<Verification<'_>> = (0..rows).map(|number| row(number, rows)).collect();
    group.bench_function("stage", |bench| {
        let setup = || tempfile::tempdir().expect("a folder");
        bench.iter_batched(setup, |dir| stage(dir, &day), BatchSize::PerIteration);
    });
    let night = Night::begin(&journal).publish();
    let bytes = bytes_under(&night.data_dir.path().join("archive"));
    println!(
        "{rows} verifications are {bytes} bytes in {}",
        night.data_dir.path().display()
    );
    let manifest = night.ledger.manifest().expect("the manifest");
    group.bench_function("tally", |bench| {
        bench.iter(|| {
            for file in &manifest {
                night.archive.tally(black_box(&file.path)).expect("a count");
            }
        });
    });
    group.throughput(Throughput::Bytes(bytes));
    for (name, percent) in [("verify", 0), ("verify --read-data", 100)] {
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let verified = verify(
                    night.data_dir.path(),
                    &night.ledger,
                    Scope {
                        percent,
                        seed: 0,
                        key: None,
                    },
                )
                .expect("a comparison");
                assert_eq!((verified.archived, verified.differences.total()), (rows as u64, 0));
            });
        });
    }
    group.finish();
}

fn row(number: usize, rows: usize) -> Verification<'static> {
    let id = id(number);
    let body = Mix::AllFinal.answer_for(id.as_str(), false).body.into_bytes();
    Verification {
        transaction_id: id.as_str().to_owned().into(),
        merchant_biz_id: sha256_hex(id.as_str().as_bytes())[..32].to_owned().into(),
        product_code: "FACE_LIVENESS".into(),
        region: "ap-southeast-1".into(),
        verified_at: Some(verified_at(number, rows)),
        billing_day: None,
        fetched_at: Timestamp::UNIX_EPOCH,
        run_id: "bench".into(),
        billed: Some(true),
        record: normalize(&body).expect("a final reply"),
        body: body.into(),
    }
}

fn stage(dir: TempDir, rows: &[Verification<'_>]) -> TempDir {
    let archive = Archive::open(dir.path()).expect("an archive");
    let mut day = archive.stage(None, "bench", 1).expect("a day");
    for row in rows {
        day.append(row).expect("a row");
    }
    let files = day.finish().expect("the files");
    StagedFile::publish(&files).expect("their names");
    dir
}

pub(crate) fn faces(criterion: &mut Criterion) {
    let rows = ROWS_WITH_FACES;
    let journal = journal(rows, true);
    let mut group = criterion.benchmark_group("faces");
    group.throughput(Throughput::Elements(rows as u64)).sample_size(10);
    group.bench_function("publish", |bench| {
        bench.iter_batched(|| Night::begin(&journal), Night::publish, BatchSize::PerIteration);
    });
    let body = Mix::AllFinal.answer_for(id(1).as_str(), true).body.into_bytes();
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("normalize", |bench| {
        bench.iter(|| normalize(black_box(&body)));
    });
    group.finish();
}
