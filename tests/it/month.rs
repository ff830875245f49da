//! A generated month: the bill of a vendor that counts and charges by rules of its own, and its records, with planted
//! discrepancies. Each is found with its class, and nothing else is reported.
//!
//! `RECONCILE_MONTH=1000000 cargo test --release --test it month -- --nocapture` is the month at its full size, and prints
//! what it took. The ledger is filled by SQL: what is compared is read from nothing but it.

mod made;

use std::collections::{BTreeMap, BTreeSet};

use idvault::ledger::{Ledger, Lock};
use jiff::Timestamp;
use jiff::civil::Date;
use made::{Month, PRODUCTS, Place, Planted, REGIONS, product};
use rusqlite::Connection;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::common::{Ended, Idvault};

const SEED: u64 = 20_261_101;
/// Verifications, where the environment does not say.
const VERIFICATIONS: usize = 20_000;

fn number(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

/// What was reported, by place and class; each line's explanations add up.
fn reported(report: &Value) -> BTreeMap<(Place, String), (i64, Decimal)> {
    let mut reported = BTreeMap::new();
    for line in report["lines"].as_array().unwrap() {
        let product_at = PRODUCTS
            .iter()
            .position(|product| line["product_code"] == *product)
            .unwrap();
        let region_at = REGIONS.iter().position(|region| line["region"] == *region).unwrap();
        let day: Date = line["day"].as_str().unwrap().parse().unwrap();
        let place = (i64::from(day.day()) - 1, product_at * 2 + region_at);
        let (mut calls, mut amount) = (0, Decimal::ZERO);
        for explanation in line["explanations"].as_array().unwrap() {
            calls += explanation["quantity"].as_i64().unwrap();
            amount += number(&explanation["amount"]);
            let class = explanation["class"].as_str().unwrap().to_owned();
            let quantity = explanation["quantity"].as_i64().unwrap();
            reported.insert((place, class), (quantity, number(&explanation["amount"])));
        }
        assert_eq!(calls, line["difference"]["quantity"].as_i64().unwrap(), "{line}");
        assert_eq!(amount, number(&line["difference"]["amount"]), "{line}");
        let more = number(&line["bill"]["amount"]) - number(&line["archive"]["amount"]);
        assert_eq!(amount, more, "{line}");
    }
    reported
}

/// What is reported is what was planted, no more and no less.
#[track_caller]
fn assert_found(report: &Value, month: &Month, planted: &Planted) {
    let mut found = reported(report);
    // Tiers and packages are reached elsewhere because of what was planted: no call, and only where there are some.
    found.retain(|(place, class), (calls, _)| {
        let follows = class == "volume" && ["FACE_VERIFY", "eKYC"].contains(&product(*place));
        !(follows && *calls == 0)
    });
    for ((place, class), amount) in &month.money {
        let found = found[&(*place, (*class).to_owned())].1;
        assert_eq!(found, *amount, "seed {SEED}: {place:?} {class}");
    }
    let planted = planted.iter();
    let planted: BTreeMap<(Place, String), i64> = planted
        .map(|((place, class), calls)| ((*place, (*class).to_owned()), *calls))
        .collect();
    let missing: Vec<_> = planted
        .iter()
        .filter(|(key, calls)| found.get(key).map(|(calls, _)| calls) != Some(calls))
        .collect();
    let extra: Vec<_> = found
        .iter()
        .filter(|(key, (calls, _))| planted.get(key) != Some(calls))
        .collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "seed {SEED}: missing {missing:?}, extra {extra:?}"
    );
}

fn kinds(planted: &Planted) -> BTreeSet<&str> {
    planted.keys().map(|(_, class)| *class).collect()
}

fn tell(what: &str, month: &Month, planted: &Planted, ended: &Ended) {
    println!(
        "{} verifications {what}, {} planted in {} kinds, reconciled in {:?} with {} KiB at most",
        month.verifications,
        planted.len(),
        kinds(planted).len(),
        ended.took,
        ended.peak_kib
    );
}

#[test]
fn every_planted_discrepancy_of_a_month_is_found_with_its_class_and_nothing_else_is() {
    let verifications = std::env::var("RECONCILE_MONTH")
        .ok()
        .and_then(|number| number.parse().ok());
    let idvault = Idvault::new();
    std::fs::create_dir(idvault.path("idvault-data")).unwrap();
    let lock = Lock::acquire(&idvault.path("idvault-data")).unwrap();
    let mut ledger = Ledger::open(&idvault.path("idvault-data"), &lock).unwrap();
    ledger.begin_run(Timestamp::UNIX_EPOCH, None).unwrap();
    ledger.close().unwrap();
    let mut connection = Connection::open(idvault.data("ledger.sqlite")).unwrap();
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut month = Month::generate(verifications.unwrap_or(VERIFICATIONS), &mut connection, &mut rng);
    drop((connection, lock));
    let [bill, late] = month.bill();
    idvault.write("bill.csv", bill);
    idvault.write("late.csv", late);
    idvault.write("records.csv", std::mem::take(&mut month.records));
    idvault.write("idvault.toml", month.config());
    let reconcile = |more: &[&str]| {
        let bill = ["reconcile", "--bill", "bill.csv", "--bill", "late.csv"];
        let how = ["--json", "--now", "2026-11-22T02:00:00Z"];
        let ended = idvault.execute(&[&bill[..], &how, more].concat()).exits(9);
        (serde_json::from_str::<Value>(&ended.stdout).unwrap(), ended)
    };

    let (report, ended) = reconcile(&[]);
    assert_found(&report, &month, &month.planted_without);
    assert!(
        kinds(&month.planted_without).len() >= 12,
        "{:?}",
        kinds(&month.planted_without)
    );
    tell("without records", &month, &month.planted_without, &ended);

    let (report, ended) = reconcile(&["--records", "records.csv"]);
    assert_found(&report, &month, &month.planted);
    assert!(kinds(&month.planted).len() >= 15, "{:?}", kinds(&month.planted));
    tell("with records", &month, &month.planted, &ended);
    let path = idvault.data("reports/2026-11-22T020000Z-reconcile-2026-10-2/reconcile-records.csv");
    let mut rows = csv::Reader::from_path(path).unwrap();
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows.deserialize() {
        let row: BTreeMap<String, String> = row.unwrap();
        let ids = listed.entry(row["explanation"].clone()).or_default();
        assert!(ids.insert(row["transaction_id"].clone()), "{row:?} is listed twice");
    }
    for (class, ids) in &month.ids {
        assert_eq!(listed.get(*class), Some(ids), "seed {SEED}: {class}");
        assert_eq!(report["records"]["differ"][class], ids.len(), "seed {SEED}: {class}");
    }
    assert_eq!(report["records"]["differ"].get("swap"), None);
}
