use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

const DECIMALS: u32 = 6;
const PRICE: Decimal = Decimal::from_parts(26, 0, 0, false, 3);

fn key(day: i8) -> Key {
    Key {
        day: jiff::civil::date(2026, 11, day),
        product_code: "FACE_LIVENESS".to_owned(),
        region: "ap-southeast-1".to_owned(),
    }
}

fn priced(quantity: i64, deducted: i64) -> Priced {
    Priced {
        quantity,
        deducted,
        amount: Decimal::from(quantity - deducted) * PRICE,
        exact: Decimal::from(quantity - deducted) * PRICE,
        unit_price: Some(PRICE),
    }
}

/// As a correct bill of `billed` calls has it, where the archive has `archived`.
fn facts(billed: i64, archived: i64) -> Facts {
    let repriced = priced(billed, 0);
    Facts {
        billed: Billed {
            quantity: billed,
            charge: repriced.amount,
            lines: 1,
            ..Billed::default()
        },
        archived: priced(archived, 0),
        repriced,
        evidence: Evidence::default(),
    }
}

fn with(billed: i64, archived: i64, evidence: &[(Class, u64)]) -> Facts {
    let mut facts = facts(billed, archived);
    facts.evidence.counted = evidence.iter().copied().collect();
    facts
}

fn terms() -> Terms {
    Terms {
        month_is_final: true,
        decimals: DECIMALS,
        ..Terms::default()
    }
}

/// The explanations of these days, as `class quantity amount`.
fn explained(days: &[Facts], terms: &Terms) -> Vec<String> {
    let facts: BTreeMap<Key, Facts> = (1..).map(key).zip(days.iter().cloned()).collect();
    let compared = compare(&facts, terms).lines;
    compared.iter().for_each(check_sums);
    let lines = compared.iter().flat_map(|compared| {
        compared.explanations.iter().map(move |explanation| {
            let Size { quantity, amount } = explanation.size;
            let day = compared.key.day.day();
            format!("{day} {} {quantity} {}", explanation.class.as_str(), amount.normalize())
        })
    });
    lines.collect()
}

#[track_caller]
fn check_sums(compared: &Compared) {
    let mut sum = Size::default();
    for explanation in &compared.explanations {
        sum += explanation.size;
    }
    assert_eq!(sum, compared.difference, "{compared:?}");
}

#[test]
fn where_bill_and_archive_agree_nothing_is_said() {
    let evidence = [(Class::Pending, 9), (Class::UnknownSubCode, 9)];
    assert!(explained(&[with(100, 100, &evidence)], &terms()).is_empty());
}

#[test]
fn a_class_explains_no_more_than_there_are_records_of_it() {
    let evidence = [(Class::Pending, 2), (Class::Lost, 1), (Class::Dropped, 7)];
    assert_eq!(
        explained(&[with(105, 100, &evidence)], &terms()),
        ["1 lost 1 0.026", "1 pending 2 0.052", "1 dropped 2 0.052"]
    );
    assert_eq!(
        explained(&[with(105, 100, &evidence[..2])], &terms()),
        ["1 lost 1 0.026", "1 pending 2 0.052", "1 unexplained 2 0.052"]
    );
}

#[test]
fn what_the_bill_lacks_is_open_until_the_month_is_final() {
    assert_eq!(explained(&[facts(98, 100)], &terms()), ["1 not_billed -2 -0.052"]);
    let early = Terms {
        month_is_final: false,
        ..terms()
    };
    assert_eq!(explained(&[facts(98, 100)], &early), ["1 not_final -2 -0.052"]);
    // That more lines may come is no reason for too many.
    assert_eq!(explained(&[facts(102, 100)], &early), ["1 unexplained 2 0.052"]);
}

#[test]
fn days_that_differ_in_opposite_directions_explain_each_other_as_far_as_records_are_close() {
    let mut days = [facts(97, 100), facts(105, 100)];
    days[0].evidence.at_end = 2;
    days[1].evidence.at_begin = 50;
    assert_eq!(
        explained(&days, &terms()),
        [
            "1 day_boundary -2 -0.052",
            "1 not_billed -1 -0.026",
            "2 day_boundary 2 0.052",
            "2 unexplained 3 0.078"
        ]
    );
    // Not in the same direction, and not over a day between.
    let mut apart = [facts(97, 100), facts(100, 100), facts(103, 100)];
    for day in &mut apart {
        (day.evidence.at_begin, day.evidence.at_end) = (9, 9);
    }
    assert_eq!(
        explained(&apart, &terms()),
        ["1 not_billed -3 -0.078", "3 unexplained 3 0.078"]
    );
}

#[test]
fn refunds_adjustments_and_coupons_are_what_the_bill_says() {
    let mut day = facts(100, 100);
    day.billed.coupons = Decimal::ONE;
    day.billed.refunds = Size {
        quantity: -2,
        amount: Decimal::new(-52, 3),
    };
    day.billed.adjustments = Size {
        quantity: 0,
        amount: Decimal::new(-5, 1),
    };
    assert_eq!(
        explained(&[day], &terms()),
        ["1 refund -2 -0.052", "1 adjustment 0 -0.5", "1 coupon 0 -1"]
    );
}

#[test]
fn the_price_is_what_the_bill_charges_otherwise_for_the_calls_that_it_counts() {
    let mut dear = with(102, 100, &[(Class::Pending, 2)]);
    dear.billed.charge += Decimal::new(102, 2);
    assert_eq!(explained(&[dear], &terms()), ["1 price 0 1.02", "1 pending 2 0.052"]);
    let mut rounded = facts(100, 100);
    rounded.billed.charge += Decimal::new(1, DECIMALS);
    rounded.repriced.exact += Decimal::new(5, DECIMALS + 1);
    assert_eq!(explained(&[rounded], &terms()), ["1 rounding 0 0.000001"]);
    let mut unpriced = facts(100, 100);
    unpriced.archived = Priced {
        unit_price: None,
        amount: Decimal::ZERO,
        exact: Decimal::ZERO,
        ..unpriced.archived
    };
    unpriced.repriced = unpriced.archived.clone();
    assert_eq!(explained(&[unpriced], &terms()), ["1 price 0 2.6"]);
}

#[test]
fn what_a_package_paid_for_costs_nothing() {
    // The package pays for two more, as it should.
    let mut more = with(102, 100, &[(Class::Lost, 2)]);
    (more.archived, more.repriced) = (priced(100, 100), priced(102, 102));
    (more.billed.deducted, more.billed.charge) = (102, Decimal::ZERO);
    assert_eq!(explained(&[more], &terms()), ["1 lost 2 0"]);
    // The bill lets it pay for ten less.
    let mut less = facts(100, 100);
    (less.archived, less.repriced) = (priced(100, 100), priced(100, 100));
    (less.billed.deducted, less.billed.charge) = (90, Decimal::new(26, 2));
    assert_eq!(explained(&[less], &terms()), ["1 package 0 0.26"]);
    // It is used up earlier, as more was counted on other days.
    let mut elsewhere = facts(100, 100);
    (elsewhere.archived, elsewhere.repriced) = (priced(100, 50), priced(100, 48));
    (elsewhere.billed.deducted, elsewhere.billed.charge) = (48, elsewhere.repriced.amount);
    assert_eq!(explained(&[elsewhere], &terms()), ["1 volume 0 0.052"]);
}

#[test]
fn the_vendors_records_tell_which_calls_differ_even_where_the_numbers_agree() {
    let mut day = facts(100, 100);
    day.evidence.recorded = [(Class::NeverSeen, 2)].into();
    day.evidence.not_in_records = 2;
    assert_eq!(
        explained(&[day.clone()], &terms()),
        ["1 never_seen 2 0.052", "1 not_in_records -2 -0.052"]
    );
    // What the bill counts beyond the vendor's own records, and what it does not count of them.
    let one_more = Facts {
        evidence: day.evidence.clone(),
        ..facts(103, 100)
    };
    assert_eq!(
        explained(&[one_more], &terms()),
        ["1 never_seen 2 0.052", "1 unexplained 1 0.026"]
    );
    let fewer = Facts {
        evidence: day.evidence,
        ..facts(99, 100)
    };
    assert_eq!(
        explained(&[fewer], &terms()),
        [
            "1 never_seen 2 0.052",
            "1 not_in_records -2 -0.052",
            "1 not_billed -1 -0.026"
        ]
    );
}

fn refunded(mut facts: Facts, quantity: i64) -> Facts {
    let amount = Decimal::from(quantity) * PRICE;
    facts.billed.refunds = Size { quantity, amount };
    facts
}

#[test]
fn a_refund_is_linked_to_the_calls_that_it_gives_back() {
    // On the same day, and on a later one.
    assert_eq!(explained(&[refunded(facts(102, 100), -2)], &terms()), ["1 refund 0 0"]);
    assert_eq!(
        explained(&[facts(102, 100), refunded(facts(100, 100), -2)], &terms()),
        ["1 refund 2 0.052", "2 refund -2 -0.052"]
    );
    // By the bill of a later month, and of an earlier one.
    let place = ("FACE_LIVENESS".to_owned(), "ap-southeast-1".to_owned());
    let surplus = Surplus {
        day: jiff::civil::date(2026, 12, 4),
        calls: 2,
        amount: Decimal::new(52, 3),
    };
    let later = Terms {
        later_refunds: [(place.clone(), vec![surplus.clone()])].into(),
        ..terms()
    };
    assert_eq!(
        explained(&[facts(103, 100)], &later),
        ["1 refund 2 0.052", "1 unexplained 1 0.026"]
    );
    let earlier = Terms {
        earlier_surplus: [(place, vec![surplus])].into(),
        ..terms()
    };
    let day = [(key(1), refunded(facts(0, 0), -2))].into();
    let compared = compare(&day, &earlier);
    assert_eq!(compared.given_back[0].calls, 2);
    assert!(
        compared.lines[0]
            .explanations
            .iter()
            .all(|why| why.class == Class::Refund)
    );
}

#[test]
fn a_refund_of_more_than_was_billed_is_open() {
    assert_eq!(
        explained(&[refunded(facts(33, 33), -1_000)], &terms()),
        ["1 refund -33 -0.858", "1 refund_exceeds -967 -25.142"]
    );
}

#[test]
fn rounding_is_held_to_the_exact_amount_and_lines_that_cost_nothing_add_none() {
    let terms = Terms { decimals: 2, ..terms() };
    let mut day = facts(5, 5);
    // 0.13 exactly.
    for (charge, lines, expected) in [
        ("0.13", 1, None),
        ("0.14", 1, Some("1 price 0 0.01")),
        ("0.14", 2, Some("1 rounding 0 0.01")),
        ("0.14", 0, Some("1 price 0 0.01")),
    ] {
        day.billed.charge = charge.parse().unwrap();
        day.billed.lines = lines;
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(explained(&[day.clone()], &terms), expected, "{charge} {lines}");
    }
}

#[test]
fn calls_of_one_place_too_many_and_of_another_too_few_are_a_swap() {
    let other = Key {
        region: "cn-hongkong".to_owned(),
        ..key(1)
    };
    let facts = [(key(1), facts(90, 100)), (other.clone(), facts(10, 0))].into();
    let compared = compare(&facts, &terms());
    compared.lines.iter().for_each(check_sums);
    assert_eq!(compared.swaps.len(), 1);
    let pair = &compared.swaps[0];
    assert_eq!((&pair.ours, &pair.billed, pair.calls), (&key(1), &other, 10));
    assert_eq!(pair.billed_amount, pair.our_amount);
    let classes: Vec<Class> = compared
        .lines
        .iter()
        .flat_map(|line| line.explanations.iter().map(|why| why.class))
        .collect();
    assert_eq!(classes, [Class::Swap, Class::Swap]);
}

#[test]
fn a_day_at_the_months_edge_is_explained_by_the_other_months() {
    let before = Key {
        day: jiff::civil::date(2026, 10, 31),
        ..key(1)
    };
    for (more, expected) in [
        (None, vec!["1 day_boundary 1 0.026", "1 unexplained 1 0.026"]),
        (Some(-1), vec!["1 day_boundary 1 0.026", "1 unexplained 1 0.026"]),
        (Some(0), vec!["1 unexplained 2 0.052"]),
    ] {
        let terms = Terms {
            month: Some((jiff::civil::date(2026, 11, 1), jiff::civil::date(2026, 11, 30))),
            beside: [(before.clone(), Beside { close: 1, more })].into(),
            ..terms()
        };
        assert_eq!(explained(&[facts(102, 100)], &terms), expected, "{more:?}");
    }
}

/// The vendor deletes records on request, so they can lack what was rightly billed.
#[test]
fn what_bill_and_archive_agree_on_is_no_difference_where_the_records_lack_it() {
    let mut day = facts(100, 100);
    day.evidence.not_in_records = 5;
    assert!(explained(&[day], &terms()).is_empty());
}

#[test]
fn verifications_of_unknown_day_explain_as_many_calls_as_there_are_of_them() {
    let pool = Terms {
        undated: [(("FACE_LIVENESS".to_owned(), "ap-southeast-1".to_owned()), 3)].into(),
        ..terms()
    };
    assert_eq!(
        explained(&[facts(102, 100), facts(102, 100)], &pool),
        ["1 undated 2 0.052", "2 undated 1 0.026", "2 unexplained 1 0.026"]
    );
}

prop_compose! {
    fn any_priced()(quantity in 0..500_i64, share in 0..=100_i64, amount in 0..9_999_999_i64, price in option::of(0..999_i64)) -> Priced {
        Priced {
            quantity,
            deducted: quantity * share / 100,
            amount: Decimal::new(amount, 6),
            exact: Decimal::new(amount * 10 + 3, 7),
            unit_price: price.map(|price| Decimal::new(price, 3)),
        }
    }
}

prop_compose! {
    fn any_size()(quantity in -9..=0_i64, amount in -99_999..=99_999_i64) -> Size {
        Size { quantity, amount: Decimal::new(amount, 5) }
    }
}

prop_compose! {
    fn any_billed()(side in any_priced(), coupons in 0..9_999_i64, refunds in any_size(), adjustments in any_size(), lines in 0..4_u32) -> Billed {
        Billed {
            quantity: side.quantity,
            deducted: side.deducted,
            charge: side.amount,
            misadded: Decimal::new(coupons % 7, 3),
            coupons: Decimal::new(coupons, 4),
            refunds,
            adjustments,
            accepted: adjustments,
            lines,
        }
    }
}

const COUNTED: [Class; 8] = [
    Class::Verdict,
    Class::NeverSeen,
    Class::UnknownSubCode,
    Class::Journalled,
    Class::Lost,
    Class::Pending,
    Class::Quarantined,
    Class::Dropped,
];

prop_compose! {
    fn any_evidence()(counts in vec(0..40_u64, 8), at_begin in 0..9_u64, at_end in 0..9_u64,
        recorded in btree_map(0..5_usize, -9..9_i64, 0..5), not_in_records in 0..9_u64) -> Evidence {
        let classes = [Class::Verdict, Class::NeverSeen, Class::DayBoundary, Class::Pending, Class::OtherDay];
        Evidence {
            counted: COUNTED.into_iter().zip(counts).collect(),
            at_begin,
            at_end,
            recorded: recorded.into_iter().map(|(class, more)| (classes[class], more)).collect(),
            not_in_records,
        }
    }
}

prop_compose! {
    fn any_facts()(billed in any_billed(), archived in any_priced(), mut repriced in any_priced(), evidence in any_evidence()) -> Facts {
        repriced.quantity = billed.quantity;
        repriced.deducted = repriced.deducted.min(billed.quantity);
        Facts { billed, archived, repriced, evidence }
    }
}

proptest! {
    /// Whatever the facts are, the vendor's records among them: the explanations add up to the difference, each has its
    /// evidence, and the order in which they were found does not matter.
    #[test]
    fn explanations_add_up_and_never_exceed_their_evidence(
        days in vec(any_facts(), 1..6), month_is_final in any::<bool>(), undated in 0..20_u64,
    ) {
        let facts: BTreeMap<Key, Facts> = (1..).map(key).zip(days).collect();
        let pool = ("FACE_LIVENESS".to_owned(), "ap-southeast-1".to_owned());
        let terms = Terms { month_is_final, decimals: DECIMALS, undated: [(pool, undated)].into(), ..Terms::default() };
        let compared = compare(&facts, &terms).lines;
        prop_assert_eq!(compared.len(), facts.len());
        let mut undated_used = 0;
        for compared in &compared {
            let facts = &facts[&compared.key];
            check_sums(compared);
            prop_assert_eq!(compared.bill, facts.billed.total());
            prop_assert!(compared.explanations.is_sorted_by_key(|explanation| explanation.class));
            for Explanation { class, size } in &compared.explanations {
                let recorded = facts.evidence.recorded.get(class).copied().unwrap_or(0);
                let counted = facts.evidence.counted.get(class).copied().unwrap_or(0);
                match class {
                    Class::Undated => undated_used += size.quantity,
                    Class::NotFinal => prop_assert!(!month_is_final && size.quantity <= 0),
                    Class::NotBilled => prop_assert!(size.quantity <= 0),
                    Class::NotInRecords => {
                        prop_assert!(size.quantity <= 0 && size.quantity.unsigned_abs() <= facts.evidence.not_in_records);
                    }
                    // It remains where the bill has more, and never where it has less.
                    Class::Unexplained => prop_assert!(size.quantity >= 0),
                    Class::Refund | Class::RefundExceeds | Class::Adjustment | Class::Accepted => {}
                    Class::DayBoundary => {
                        let close = facts.evidence.at_begin + facts.evidence.at_end;
                        // The neighbours' edges may be the evidence: at most nine each.
                        prop_assert!((size.quantity - recorded).unsigned_abs() <= close + 18);
                    }
                    _ => {
                        let more = u64::try_from(size.quantity - recorded);
                        prop_assert!(more.is_ok_and(|more| more <= counted), "{:?}", class);
                    }
                }
            }
        }
        prop_assert!(u64::try_from(undated_used).unwrap() <= undated);
        prop_assert_eq!(compare(&facts, &terms).lines, compared);
    }
}
