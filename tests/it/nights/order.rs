//! The plan's order: what the ledger gives page by page is what a plain sort gives.

use std::collections::BTreeMap;

use idvault::ledger::{Cursor, Defaults, Ledger, Lock, Phase, Settled, Settlement, Writer};
use idvault::record::{Due, Pending, ProductCode, Region, TransactionId};
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::NOW;

const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);
const PRODUCTS: [&str; 3] = ["FACE_LIVENESS", "ID_OCR", "eKYC"];

/// A row before it comes in; `next_due_at` where an earlier night has postponed it.
#[derive(Debug, Clone)]
struct Drawn {
    product: usize,
    verified_at: Option<Timestamp>,
    next_due_at: Option<Timestamp>,
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Around the moments that decide: few values, so that many rows are equal but for their arrival.
fn drawn() -> impl Strategy<Value = Drawn> {
    let around = prop_oneof![-2_i64..=2, -1_000_000_000_000..1_000_000_000_000_i64];
    let verified_at = around.prop_map(|micros| now() - RETENTION + SignedDuration::from_micros(micros));
    let next_due_at =
        prop_oneof![-1_i64..=1, Just(86_400_000_000)].prop_map(|micros| now() + SignedDuration::from_micros(micros));
    (
        0..PRODUCTS.len(),
        option::of(verified_at),
        option::weighted(0.3, next_due_at),
    )
        .prop_map(|(product, verified_at, next_due_at)| Drawn {
            product,
            verified_at,
            next_due_at,
        })
}

/// Ids in another order than the rows come in; all differ for fewer than 61 rows.
fn id(number: usize) -> TransactionId {
    TransactionId::parse(&format!("id-{:03}", number * 37 % 61)).unwrap()
}

/// The pure sort: due rows by product, first those that the vendor should still have, each earliest deletion first, and
/// equal ones as they came in. A row of unknown age may be deleted from now on.
fn expected(rows: &[(TransactionId, Drawn)], product: usize) -> Vec<String> {
    let mut due: Vec<(bool, Timestamp, &TransactionId)> = rows
        .iter()
        .filter(|(_, row)| row.product == product && row.next_due_at.is_none_or(|at| at <= now()))
        .map(|(id, row)| {
            let deleted_from = row.verified_at.map_or(now(), |at| at + RETENTION);
            let overdue = row.verified_at.is_some() && deleted_from <= now();
            (overdue, deleted_from, id)
        })
        .collect();
    due.sort_by_key(|(overdue, deleted_from, _)| (*overdue, *deleted_from));
    due.into_iter().map(|(_, _, id)| id.to_string()).collect()
}

fn pending(id: &TransactionId, row: &Drawn) -> Pending {
    Pending {
        transaction_id: id.clone(),
        merchant_biz_id: None,
        product_code: Some(ProductCode::parse(PRODUCTS[row.product]).unwrap()),
        region: None,
        verified_at: row.verified_at,
    }
}

/// A ledger with these rows, taken in and postponed as a night does it.
fn ledger_with(folder: &std::path::Path, rows: &[(TransactionId, Drawn)]) -> Ledger {
    let lock = Lock::acquire(folder).unwrap();
    let mut ledger = Ledger::open(folder, &lock).unwrap();
    let run = ledger.begin_run(now(), None).unwrap();
    let defaults = Defaults {
        product_code: ProductCode::parse(PRODUCTS[0]).unwrap(),
        region: Region::parse("ap-southeast-1").unwrap(),
    };
    let mut admission = ledger.admission(&defaults, &run, now());
    let pending: Vec<Pending> = rows.iter().map(|(id, row)| pending(id, row)).collect();
    admission.admit(&pending.iter().collect::<Vec<_>>()).unwrap();
    admission.commit().unwrap();
    drop(admission);
    let products = PRODUCTS.map(|product| ProductCode::parse(product).unwrap());
    let mut due: BTreeMap<String, Due> = products
        .iter()
        .flat_map(|product| [(product, Phase::Live), (product, Phase::Overdue)])
        .flat_map(|(product, phase)| {
            let page = ledger.due_page(product, phase, &Cursor::start(), now(), rows.len());
            page.unwrap().rows
        })
        .map(|due| (due.transaction_id.to_string(), due))
        .collect();
    let writer = Writer::start(ledger, run.number, || panic!("a commit failed")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = writer.handle();
    for (id, row) in rows {
        if let Some(next_due_at) = row.next_due_at {
            runtime
                .block_on(handle.settle(Settlement {
                    due: due.remove(id.as_str()).unwrap(),
                    attempts: 1,
                    call_code: "ProcessNotCompleted".to_owned(),
                    message: None,
                    called_at: now(),
                    settled: Settled::Postponed { next_due_at },
                }))
                .unwrap();
        }
    }
    drop(handle);
    writer.finish().unwrap()
}

fn paged(ledger: &Ledger, product: usize, page_rows: usize) -> Vec<String> {
    let product = ProductCode::parse(PRODUCTS[product]).unwrap();
    let mut ids = Vec::new();
    for phase in [Phase::Live, Phase::Overdue] {
        let mut after = Cursor::start();
        loop {
            let page = ledger.due_page(&product, phase, &after, now(), page_rows).unwrap();
            ids.extend(page.rows.iter().map(|due| due.transaction_id.to_string()));
            if page.rows.len() < page_rows {
                break;
            }
            after = page.next;
        }
    }
    ids
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_read_by_any_page_size_is_a_plain_sort_of_what_is_due(
        drawn in vec(drawn(), 0..60),
        page_rows in 1_usize..8,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<_> = drawn.iter().enumerate().map(|(number, row)| (id(number), row.clone())).collect();
        let ledger = ledger_with(folder.path(), &rows);
        let counted: BTreeMap<String, u64> = ledger
            .due_products(now())
            .unwrap()
            .into_iter()
            .map(|product| (product.product_code.to_string(), product.due))
            .collect();
        for (index, product) in PRODUCTS.iter().enumerate() {
            let expected = expected(&rows, index);
            prop_assert_eq!(counted.get(*product).copied().unwrap_or(0), expected.len() as u64);
            prop_assert_eq!(paged(&ledger, index, page_rows), expected);
        }
    }
}
