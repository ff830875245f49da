use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::files;
use crate::reconcile::bill::{self, BillSettings, Named};
use crate::reconcile::compare::{Compared, Terms, compare};
use crate::reconcile::{Class, Size};
use crate::tables::{Package, Prices, SubCodes};

const PRODUCTS: [&str; 3] = ["FACE_LIVENESS", "eKYC", "NEW_PRODUCT"];
const REGIONS: [&str; 2] = ["ap-southeast-1", "cn-hongkong"];
const CODES: [&str; 3] = ["200", "204", "299"];

fn day(number: i8) -> Date {
    jiff::civil::date(2026, 11, number)
}

/// A tier, a package, and a product without a price.
fn pricing() -> Pricing {
    let contract = r#"FACE_LIVENESS = [{ unit_price = "0.02", currency = "USD", tiers = [{ above = 30, unit_price = "0.0123" }] }]"#;
    let package = "name = 'p'\nproduct = 'eKYC'\nquantity = 25\nfrom = '2026-11-01'\nuntil = '2026-11-30'";
    let mut sub_codes = SubCodes::built_in();
    let known = "[eKYC.200]\nmeaning = 'x'\nbilled = true\n[NEW_PRODUCT.200]\nmeaning = 'x'\nbilled = true";
    sub_codes.extend(toml::from_str(known).unwrap());
    Pricing {
        sub_codes,
        prices: Prices::built_in()
            .with_contract(toml::from_str(contract).unwrap())
            .unwrap(),
        packages: vec![toml::from_str::<Package>(package).unwrap()],
        decimals: 6,
    }
}

/// What happens to a line of a correct bill.
#[derive(Debug, Clone, Copy)]
enum Edit {
    Calls(i64),
    Amount(i64),
    Day(i8),
    Dropped,
    Prepaid(i64),
    Coupon(i64),
    Refund(i64),
    Adjustment(i64),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (-5..=5_i64).prop_map(Edit::Calls),
        (-900..=900_i64).prop_map(Edit::Amount),
        (1..=6_i8).prop_map(Edit::Day),
        Just(Edit::Dropped),
        (0..=9_i64).prop_map(Edit::Prepaid),
        (0..=900_i64).prop_map(Edit::Coupon),
        (0..=5_i64).prop_map(Edit::Refund),
        (-900..=900_i64).prop_map(Edit::Adjustment),
    ]
}

/// Day, product, region, calls, prepaid calls, coupon, net, kind.
type Written = (i8, usize, usize, i64, i64, Decimal, Decimal, &'static str);

/// The lines of the bill that the archive deserves, edited.
fn edited(sides: &Sides, edits: &[(usize, Edit)]) -> Vec<Written> {
    let line = |(key, facts): (&Key, &Facts)| {
        let product = PRODUCTS
            .iter()
            .position(|product| *product == key.product_code)
            .unwrap();
        let region = REGIONS.iter().position(|region| *region == key.region).unwrap();
        let Priced {
            quantity,
            deducted,
            amount,
            ..
        } = facts.archived;
        (
            key.day.day(),
            product,
            region,
            quantity,
            deducted,
            Decimal::ZERO,
            amount,
            "PayAsYouGoBill",
        )
    };
    let mut lines: Vec<Written> = sides.facts.iter().map(line).collect();
    let money = |thousandths: i64| Decimal::new(thousandths, 3);
    for (at, edit) in edits {
        let at = at % sides.facts.len();
        let (day, product, region, ..) = lines[at];
        let one = &mut lines[at];
        match *edit {
            Edit::Calls(more) => one.3 = (one.3 + more).max(one.4),
            Edit::Amount(more) => one.6 = (one.6 + money(more)).max(Decimal::ZERO),
            Edit::Day(other) => one.0 = other,
            Edit::Dropped => (one.3, one.4, one.6) = (0, 0, Decimal::ZERO),
            Edit::Prepaid(calls) => one.4 = calls.min(one.3),
            Edit::Coupon(coupon) => one.5 = money(coupon),
            Edit::Refund(calls) => {
                lines.push((day, product, region, -calls, 0, Decimal::ZERO, money(-calls), "Refund"));
            }
            Edit::Adjustment(amount) => {
                lines.push((day, product, region, 0, 0, Decimal::ZERO, money(amount), "Adjustment"));
            }
        }
    }
    lines
}

/// Reads the lines as a file of a bill. A line that is there twice is told apart by a column that nobody reads.
fn read(lines: &[Written]) -> bill::Bill {
    let mut text = "BillingDate,BillingItem,Region,Usage,DeductedByResourcePackage,DeductedByCoupons,PretaxAmount,Item,Currency,No\n".to_owned();
    for (number, (on, product, region, calls, prepaid, coupon, net, kind)) in lines.iter().enumerate() {
        let (on, product, region) = (day(*on), PRODUCTS[*product], REGIONS[*region]);
        writeln!(
            text,
            "{on},{product},{region},{calls},{prepaid},{coupon},{net},{kind},USD,{number}"
        )
        .unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bill.csv");
    files::create_private(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let settings = BillSettings::new(Named {
        known_products: names(&PRODUCTS),
        known_regions: names(&REGIONS),
        ..Named::default()
    });
    bill::read(&[path], &settings).unwrap()
}

/// The sides of the first ten days of November, without evidence.
fn compared(bill: &bill::Bill, tallies: &[TallyLine]) -> Vec<Compared> {
    let pricing = pricing();
    let sides = Sides::of_bill(bill, tallies, &pricing, (day(1), day(30)), &Accepted::new()).unwrap();
    let terms = Terms {
        month_is_final: true,
        decimals: pricing.decimals,
        ..Terms::default()
    };
    compare(&sides.facts, &terms).lines
}

prop_compose! {
    fn any_tallies()(counts in btree_map((1..=5_i8, 0..3_usize, 0..2_usize, 0..3_usize), 1..20_u64, 1..30)) -> Vec<TallyLine> {
        let tally = |((on, product, region, code), verifications): ((i8, usize, usize, usize), u64)| TallyLine {
            billing_day: Some(day(on)),
            product_code: PRODUCTS[product].to_owned(),
            region: REGIONS[region].to_owned(),
            sub_code: CODES[code].to_owned(),
            verifications,
        };
        counts.into_iter().map(tally).collect()
    }
}

proptest! {
    /// For any archive and any bill that is derived from it by edits: the explanations of a line add up to its difference,
    /// and the lines to what the bill says as a whole less what the archive costs as a whole.
    #[test]
    fn explanations_of_any_edited_bill_add_up(tallies in any_tallies(), edits in vec((any::<usize>(), any_edit()), 0..12)) {
        let (pricing, days) = (pricing(), (day(1), day(30)));
        let archive = Sides::of_bill(&bill::Bill::default(), &tallies, &pricing, days, &Accepted::new()).unwrap();
        let lines = edited(&archive, &edits);
        let mut whole = Size::default();
        for (.., calls, _, _, net, _) in &lines {
            whole += Size { quantity: *calls, amount: *net };
        }
        for facts in archive.facts.values() {
            whole -= Size { quantity: facts.archived.quantity, amount: facts.archived.amount };
        }
        let mut explained = Size::default();
        for line in compared(&read(&lines), &tallies) {
            let mut sum = Size::default();
            line.explanations.iter().for_each(|explanation| sum += explanation.size);
            prop_assert_eq!(sum, line.difference, "{:?}", line);
            prop_assert_eq!(line.difference, line.bill - line.archive);
            explained += sum;
        }
        prop_assert_eq!(explained, whole);
    }

    /// A bill that is right has no difference: neither a tier nor a package makes one.
    #[test]
    fn a_bill_that_is_right_needs_no_explanation(tallies in any_tallies()) {
        let archive = Sides::of_bill(&bill::Bill::default(), &tallies, &pricing(), (day(1), day(30)), &Accepted::new()).unwrap();
        for line in compared(&read(&edited(&archive, &[])), &tallies) {
            prop_assert!(line.explanations.is_empty(), "{line:?}");
        }
    }
}

#[test]
fn a_tier_that_is_reached_earlier_is_no_wrong_price_of_a_later_day() {
    let tally = |on, verifications| TallyLine {
        billing_day: Some(day(on)),
        product_code: PRODUCTS[0].to_owned(),
        region: REGIONS[0].to_owned(),
        sub_code: "200".to_owned(),
        verifications,
    };
    let tallies = [tally(1, 20), tally(2, 20)];
    // Five more on the first day, so that the second one's tier is reached five calls earlier.
    let lines = [
        (1, 0, 0, 25, 0, Decimal::ZERO, Decimal::new(5, 1), "PayAsYouGoBill"),
        (2, 0, 0, 20, 0, Decimal::ZERO, Decimal::new(2_845, 4), "PayAsYouGoBill"),
    ];
    let classes: Vec<Vec<Class>> = compared(&read(&lines), &tallies)
        .iter()
        .map(|line| line.explanations.iter().map(|explanation| explanation.class).collect())
        .collect();
    assert_eq!(classes, [vec![Class::Unexplained], vec![Class::Volume]]);
}
