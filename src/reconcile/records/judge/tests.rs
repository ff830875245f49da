use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::day::BillingZone;
use crate::record::TransactionId;

const PRODUCTS: [&str; 2] = ["FACE_LIVENESS", "eKYC"];
const REGIONS: [&str; 2] = ["ap-southeast-1", "cn-hongkong"];
/// Billed, not billed, and known to no table.
const CODES: [&str; 3] = ["200", "205", "299"];

fn sub_codes() -> SubCodes {
    let mut sub_codes = SubCodes::built_in();
    for product in PRODUCTS {
        let known =
            format!("[{product}.200]\nmeaning = 'x'\nbilled = true\n[{product}.205]\nmeaning = 'y'\nbilled = false");
        sub_codes.extend(toml::from_str(&known).unwrap());
    }
    sub_codes
}

fn defaults() -> Defaults {
    Defaults {
        product_code: ProductCode::parse(PRODUCTS[0]).unwrap(),
        region: Region::parse(REGIONS[0]).unwrap(),
    }
}

/// Noon of a day of November, by the vendor's clock.
fn noon(day: i8) -> Timestamp {
    let first: Timestamp = "2026-11-01T04:00:00Z".parse().unwrap();
    first + (24 * i64::from(day - 1)).hours()
}

fn record(
    day: i8,
    product: Option<usize>,
    region: Option<usize>,
    code: Option<usize>,
    passed: Option<bool>,
) -> VendorRecord {
    VendorRecord {
        transaction_id: TransactionId::parse("hks1").unwrap(),
        merchant_biz_id: None,
        product_code: product.map(|at| ProductCode::parse(PRODUCTS[at]).unwrap()),
        region: region.map(|at| Region::parse(REGIONS[at]).unwrap()),
        verified_at: noon(day),
        passed,
        sub_code: code.map(|at| CODES[at].to_owned()),
    }
}

fn ours(day: Option<i8>, product: usize, region: usize, state: State, code: usize) -> MonthRow<'static> {
    let has_verdict = matches!(state, State::Archived | State::Journalled);
    MonthRow {
        number: 1,
        transaction_id: "hks1",
        product_code: PRODUCTS[product],
        region: REGIONS[region],
        verified_at: day.map(|day| noon(day).as_microsecond()),
        state,
        passed: has_verdict.then_some(code == 0),
        sub_code: has_verdict.then_some(CODES[code]),
        first_seen_at: noon(28).as_microsecond(),
        not_completed: false,
    }
}

fn judged(record: &VendorRecord, ours: Option<&MonthRow<'_>>) -> Judged {
    let month = Month::of("2026-11-20".parse().unwrap(), &BillingZone::default()).unwrap();
    let judge = Judge {
        month: &month,
        sub_codes: &sub_codes(),
        defaults: &defaults(),
    };
    judge.judge(record, ours)
}

/// As `day class more`; what is not counted has `?`, and what merely differs `=`.
fn said(record: &VendorRecord, ours: Option<&MonthRow<'_>>) -> Vec<String> {
    let judged = judged(record, ours);
    let more = judged
        .more
        .iter()
        .map(|(key, class, more)| format!("{} {} {more}", key.day.day(), class.as_str()));
    let perhaps = judged
        .perhaps
        .iter()
        .map(|(key, class)| format!("{} {} ?", key.day.day(), class.as_str()));
    let differs = judged
        .differs
        .iter()
        .map(|(key, class)| format!("{} {} =", key.day.day(), class.as_str()));
    let swapped = judged.swapped_from.iter().flat_map(|ours| {
        let (from, to) = (ours.day.day(), judged.theirs.day.day());
        [format!("{from} swap -1"), format!("{to} swap 1")]
    });
    more.chain(swapped).chain(perhaps).chain(differs).collect()
}

#[test]
fn a_record_that_is_as_the_ledger_has_it_says_nothing() {
    let archived = ours(Some(3), 0, 0, State::Archived, 0);
    for record in [
        record(3, Some(0), Some(0), Some(0), Some(true)),
        record(3, None, None, None, None),
        record(3, None, Some(0), None, Some(true)),
    ] {
        assert_eq!(said(&record, Some(&archived)), Vec::<String>::new());
        assert_eq!(judged(&record, Some(&archived)).is_billed, Some(true));
    }
    let unbilled = ours(Some(3), 0, 0, State::Archived, 1);
    assert_eq!(
        said(&record(3, None, None, Some(1), Some(false)), Some(&unbilled)),
        Vec::<String>::new()
    );
}

#[test]
fn a_record_differs_by_what_it_says_otherwise() {
    let archived = ours(Some(3), 0, 0, State::Archived, 0);
    for (record, ours, expected) in [
        (
            record(3, None, None, Some(0), None),
            None,
            vec!["3 never_seen 1", "3 never_seen ="],
        ),
        (
            record(3, None, None, None, None),
            None,
            vec!["3 never_seen ?", "3 never_seen ="],
        ),
        (record(3, None, None, Some(1), None), None, vec!["3 never_seen ="]),
        (
            record(3, None, None, Some(1), None),
            Some(archived),
            vec!["3 verdict -1", "3 verdict ="],
        ),
        // Another verdict that is billed alike is no difference of a bill's.
        (
            record(3, None, None, Some(0), Some(false)),
            Some(archived),
            vec!["3 verdict ="],
        ),
        (
            record(4, None, None, Some(0), None),
            Some(archived),
            vec!["3 day_boundary -1", "4 day_boundary 1", "3 day_boundary ="],
        ),
        (
            record(9, None, None, Some(0), None),
            Some(archived),
            vec!["3 other_day -1", "9 other_day 1", "3 other_day ="],
        ),
        (
            record(3, None, Some(1), Some(0), None),
            Some(archived),
            vec!["3 swap -1", "3 swap 1", "3 swap ="],
        ),
        (
            record(3, None, None, Some(0), None),
            Some(ours(None, 0, 0, State::Archived, 0)),
            vec!["3 undated 1", "3 undated ="],
        ),
        (
            record(3, None, None, Some(0), None),
            Some(ours(Some(3), 0, 0, State::Pending, 0)),
            vec!["3 pending 1", "3 pending ="],
        ),
        (
            record(3, None, None, Some(1), None),
            Some(ours(Some(3), 0, 0, State::Lost, 0)),
            vec![],
        ),
        (
            record(3, None, None, Some(1), None),
            Some(ours(Some(3), 0, 0, State::Journalled, 0)),
            vec!["3 verdict ="],
        ),
        (
            record(3, None, None, None, None),
            Some(ours(Some(3), 0, 0, State::Archived, 2)),
            vec!["3 unknown_sub_code ?", "3 unknown_sub_code ="],
        ),
    ] {
        assert_eq!(said(&record, ours.as_ref()), expected, "{record:?} {ours:?}");
    }
}

/// What both sides say of an id: the record's day, product, region and code, and the ledger's.
type Both = (
    Option<(i8, Option<usize>, Option<usize>, Option<usize>, Option<bool>)>,
    Option<(Option<i8>, usize, usize, usize, usize)>,
);

fn any_both() -> impl Strategy<Value = Both> {
    let theirs = (
        1..=6_i8,
        option::of(0..2_usize),
        option::of(0..2_usize),
        option::of(0..3_usize),
        option::of(any::<bool>()),
    );
    let ours = (option::of(1..=6_i8), 0..2_usize, 0..2_usize, 0..6_usize, 0..3_usize);
    (option::of(theirs), option::of(ours))
}

/// Calls by day, product and region; of days that a month has.
type Counts = BTreeMap<(Date, String, String), i64>;

proptest! {
    /// For any records and any ledger: what the records count as billed, less what the archive does, is what was found id by
    /// id, and what the archive has beside them. Whatever is found has its reason among those that are listed.
    #[test]
    fn what_records_and_archive_differ_in_is_found_id_by_id(ids in vec(any_both(), 0..60)) {
        let sub_codes = sub_codes();
        let billed = |product: &str, code: &str| sub_codes.of(product, code).is_some_and(|known| known.billed);
        let (mut difference, mut found) = (Counts::new(), Counts::new());
        let add = |counts: &mut Counts, day: Date, product: &str, region: &str, more: i64| {
            *counts.entry((day, product.to_owned(), region.to_owned())).or_default() += more;
        };
        let date = |day: i8| jiff::civil::date(2026, 11, day);
        for (theirs, mine) in ids {
            let row = mine.map(|(day, product, region, state, code)| ours(day, product, region, State::ALL[state], code));
            let is_counted = row.is_some_and(|row| row.state == State::Archived
                && row.verified_at.is_some() && billed(row.product_code, row.sub_code.unwrap_or_default()));
            if let (Some(row), true, Some((Some(day), ..))) = (&row, is_counted, mine) {
                add(&mut difference, date(day), row.product_code, row.region, -1);
                if theirs.is_none() {
                    add(&mut found, date(day), row.product_code, row.region, -1);
                }
            }
            let Some((day, product, region, code, passed)) = theirs else { continue };
            let record = record(day, product, region, code, passed);
            let product = product.map_or(row.map_or(PRODUCTS[0], |row| row.product_code), |at| PRODUCTS[at]);
            let region = region.map_or(row.map_or(REGIONS[0], |row| row.region), |at| REGIONS[at]);
            let code = code.map(|at| CODES[at]).or(row.and_then(|row| row.sub_code));
            if code.is_some_and(|code| billed(product, code)) {
                add(&mut difference, date(day), product, region, 1);
            }
            let judged = judged(&record, row.as_ref());
            for (key, class, more) in &judged.more {
                add(&mut found, key.day, &key.product_code, &key.region, *more);
                prop_assert!(judged.differs.iter().any(|(_, listed)| listed == class), "{:?}", judged);
            }
            if let Some(ours) = &judged.swapped_from {
                for (key, more) in [(ours, -1), (&judged.theirs, 1)] {
                    add(&mut found, key.day, &key.product_code, &key.region, more);
                }
                prop_assert!(judged.differs.iter().any(|(_, listed)| *listed == Class::Swap), "{:?}", judged);
            }
        }
        difference.retain(|_, more| *more != 0);
        found.retain(|_, more| *more != 0);
        prop_assert_eq!(difference, found);
    }
}
