//! What the stages start from: a ledger with pending ids of one billing day, and the replies to them.

use std::fs;
use std::path::Path;

use idvault::ledger::{Cursor, Defaults, Ledger, Lock, Phase, Run, Settled, Settlement, Writer};
use idvault::record::{Due, Pending, ProductCode, Region, TransactionId, sha256_hex};
use idvault::sandbox::Mix;
use idvault::vendor::normalize;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// 2026-11-20T16:00:00Z: where the vendor's 21 November begins.
const DAY_BEGINS_SECONDS: i64 = 1_795_190_400;

/// Settlements that are handed to the ledger's writer at once.
const IN_FLIGHT: usize = 1_000;

/// Rows that are taken in at a time.
const BATCH_ROWS: usize = 1_024;

/// An id of no order.
pub(crate) fn id(number: usize) -> TransactionId {
    TransactionId::parse(&format!("hks{}", &sha256_hex(&number.to_le_bytes())[..29])).expect("an id")
}

/// Spread over the day.
pub(crate) fn verified_at(number: usize, rows: usize) -> Timestamp {
    let within_day = number as u64 * 86_400_000 / rows as u64;
    let millis = DAY_BEGINS_SECONDS * 1000 + within_day.cast_signed();
    Timestamp::from_millisecond(millis).expect("a time")
}

/// The pending rows of the day.
pub(crate) fn pending(rows: usize) -> Vec<Pending> {
    let pending = |number| Pending {
        transaction_id: id(number),
        merchant_biz_id: None,
        product_code: None,
        region: None,
        verified_at: Some(verified_at(number, rows)),
    };
    (0..rows).map(pending).collect()
}

/// Takes rows in, as a run of their own.
pub(crate) fn admit(ledger: &mut Ledger, rows: &[Pending]) -> Run {
    let run = ledger.begin_run(Timestamp::UNIX_EPOCH, None).expect("a run");
    let defaults = Defaults {
        product_code: product(),
        region: Region::parse("ap-southeast-1").expect("a region"),
    };
    let mut admission = ledger.admission(&defaults, &run, Timestamp::UNIX_EPOCH);
    for rows in rows.chunks(BATCH_ROWS) {
        admission.admit(&rows.iter().collect::<Vec<_>>()).expect("rows");
    }
    admission.commit().expect("a commit");
    drop(admission);
    run
}

/// The product of all rows.
pub(crate) fn product() -> ProductCode {
    ProductCode::parse("FACE_LIVENESS").expect("a product")
}

/// Opens the ledger of a data folder.
pub(crate) fn open(data_dir: &Path) -> (Ledger, Lock) {
    let lock = Lock::acquire(data_dir).expect("the lock");
    (Ledger::open(data_dir, &lock).expect("a ledger"), lock)
}

/// A data folder of its own with the same ledger.
pub(crate) fn copy(data_dir: &Path) -> TempDir {
    let copied = tempfile::tempdir().expect("a folder");
    let ledger = "ledger.sqlite";
    fs::copy(data_dir.join(ledger), copied.path().join(ledger)).expect("a copy");
    // Large replies stand beside it.
    let replies = "ledger.sqlite-replies";
    if data_dir.join(replies).exists() {
        fs::copy(data_dir.join(replies), copied.path().join(replies)).expect("a copy");
    }
    copied
}

/// The final replies of all rows.
pub(crate) fn settlements(ledger: &Ledger, rows: usize, with_faces: bool) -> impl Iterator<Item = Settlement> + use<> {
    let now = verified_at(rows, rows);
    let due = ledger.due_page(&product(), Phase::Live, &Cursor::start(), now, rows);
    let due = due.expect("the plan").rows;
    assert_eq!(due.len(), rows);
    due.into_iter().map(move |due| settlement(due, with_faces))
}

/// Hands them to the ledger's writer.
pub(crate) fn settle(ledger: Ledger, run: &Run, mut settlements: impl Iterator<Item = Settlement>) -> Ledger {
    let writer = Writer::start(ledger, run.number, || ()).unwrap();
    let runtime = Runtime::new().expect("a runtime");
    loop {
        let in_flight: Vec<_> = settlements
            .by_ref()
            .take(IN_FLIGHT)
            .map(|settlement| {
                let handle = writer.handle();
                runtime.spawn(async move { handle.settle(settlement).await })
            })
            .collect();
        if in_flight.is_empty() {
            return writer.finish().expect("the ledger");
        }
        for settled in in_flight {
            runtime.block_on(settled).expect("a task").expect("a commit");
        }
    }
}

fn settlement(due: Due, with_faces: bool) -> Settlement {
    let body = Mix::AllFinal
        .answer_for(due.transaction_id.as_str(), with_faces)
        .body
        .into_bytes();
    let record = normalize(&body).expect("a final reply");
    Settlement {
        due,
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
