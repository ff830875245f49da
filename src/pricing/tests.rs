use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const CODES: &str = r#"
[P.1]
meaning = "passed"
billed = true
[P.2]
meaning = "failed"
billed = true
[P.3]
meaning = "broken off"
billed = false
"#;

fn pricing(prices: &str, packages: &str, decimals: u32) -> Pricing {
    let mut sub_codes = SubCodes::built_in();
    sub_codes.extend(toml::from_str(CODES).unwrap());
    let packages: BTreeMap<String, Vec<Package>> = toml::from_str(packages).unwrap();
    Pricing {
        sub_codes,
        prices: Prices::built_in()
            .with_contract(toml::from_str(prices).unwrap())
            .unwrap(),
        packages: packages.into_values().flatten().collect(),
        decimals,
    }
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn tally(billing_day: &str, region: &str, sub_code: &str, verifications: u64) -> TallyLine {
    TallyLine {
        billing_day: (billing_day != "unknown").then(|| day(billing_day)),
        product_code: "P".to_owned(),
        region: region.to_owned(),
        sub_code: sub_code.to_owned(),
        verifications,
    }
}

/// Lines as people would write them down: `day region code: 5 x 0.1 = 0.5 USD + 3 A`.
fn told(lines: &[PricedLine]) -> Vec<String> {
    let part = |part: &Part| match &part.charge {
        Charge::Price {
            unit_price,
            currency,
            amount,
        } => format!("{} x {unit_price} = {amount} {currency}", part.verifications),
        Charge::Package(name) => format!("{} {name}", part.verifications),
        other => format!("{} {other:?}", part.verifications),
    };
    let line = |line: &PricedLine| {
        let TallyLine {
            billing_day,
            region,
            sub_code,
            ..
        } = &line.tally;
        let day = billing_day.map_or_else(|| "unknown".to_owned(), |day| day.to_string());
        let parts: Vec<String> = line.parts.iter().map(part).collect();
        format!("{day} {region} {sub_code}: {}", parts.join(" + "))
    };
    lines.iter().map(line).collect()
}

const TIERS: &str = r#"
[[P]]
unit_price = "0.1"
currency = "USD"
tiers = [{ above = 10, unit_price = "0.08" }, { above = 20, unit_price = "0.05" }]
"#;

#[test]
fn tiers_are_reached_one_by_one_in_the_order_of_days_and_begin_anew_with_the_month() {
    let lines = pricing(TIERS, "", 6).price(&[
        tally("2026-11-01", "b", "1", 8),
        tally("2026-11-02", "a", "1", 15),
        tally("2026-11-02", "a", "3", 7),
        tally("2026-10-31", "a", "1", 12),
        tally("2026-11-02", "a", "9", 7),
        tally("unknown", "a", "1", 1),
    ]);
    assert_eq!(
        told(&lines),
        [
            "2026-10-31 a 1: 10 x 0.1 = 1 USD + 2 x 0.08 = 0.16 USD",
            "2026-11-01 b 1: 8 x 0.1 = 0.8 USD",
            "2026-11-02 a 1: 2 x 0.1 = 0.2 USD + 10 x 0.08 = 0.8 USD + 3 x 0.05 = 0.15 USD",
            "2026-11-02 a 3: 7 Unbilled",
            "2026-11-02 a 9: 7 Unknown",
            "unknown a 1: 1 Unpriced",
        ]
    );
}

#[test]
fn the_tiers_of_a_region_count_the_region_alone() {
    let prices = format!(
        "{TIERS}\n[[P]]\nregion = \"a\"\nunit_price = \"1\"\ncurrency = \"HKD\"\ntiers = [{{ above = 3, unit_price = \"0.5\" }}]"
    );
    let lines = pricing(&prices, "", 6).price(&[
        tally("2026-11-01", "a", "1", 2),
        tally("2026-11-01", "b", "1", 9),
        tally("2026-11-02", "a", "1", 2),
        tally("2026-11-02", "b", "1", 1),
    ]);
    assert_eq!(
        told(&lines),
        [
            "2026-11-01 a 1: 2 x 1 = 2 HKD",
            "2026-11-01 b 1: 8 x 0.1 = 0.8 USD + 1 x 0.08 = 0.08 USD",
            "2026-11-02 a 1: 1 x 1 = 1 HKD + 1 x 0.5 = 0.5 HKD",
            "2026-11-02 b 1: 1 x 0.08 = 0.08 USD",
        ],
        "the volume of a price for every region is that of the product"
    );
}

#[test]
fn packages_come_first_and_the_one_that_ends_first_before_the_others() {
    let packages = r#"
        [[p]]
        name = "year"
        product = "P"
        quantity = 10
        from = "2026-11-01"
        until = "2027-10-31"
        [[p]]
        name = "month"
        product = "P"
        quantity = 5
        from = "2026-11-02"
        until = "2026-11-30"
        [[p]]
        name = "another product's"
        product = "Q"
        quantity = 50
        from = "2026-11-01"
        until = "2026-11-30"
    "#;
    let pricing = pricing(TIERS, packages, 6);
    let tallies = [
        tally("2026-10-31", "a", "1", 1),
        tally("2026-11-01", "a", "1", 2),
        tally("2026-11-02", "a", "1", 7),
        tally("2026-11-03", "a", "3", 4),
        tally("2026-11-03", "b", "2", 8),
        tally("unknown", "b", "2", 1),
    ];
    let told_of = told(&pricing.price(&tallies));
    assert_eq!(
        told_of,
        [
            "2026-10-31 a 1: 1 x 0.1 = 0.1 USD",
            "2026-11-01 a 1: 2 year",
            "2026-11-02 a 1: 5 month + 2 year",
            "2026-11-03 a 3: 4 Unbilled",
            "2026-11-03 b 2: 6 year + 2 x 0.1 = 0.2 USD",
            "unknown b 2: 1 Unpriced",
        ]
    );
    assert_eq!(pricing.needed_from(day("2026-10-31")), day("2026-10-01"));
    assert_eq!(pricing.needed_from(day("2027-03-05")), day("2026-11-01"));
    assert_eq!(pricing.needed_from(day("2027-11-05")), day("2027-11-01"));
}

#[test]
fn an_amount_is_rounded_once_for_each_line_of_the_bill() {
    let lines = pricing("P = [{ unit_price = \"0.026\", currency = \"USD\" }]", "", 2).price(&[
        tally("2026-11-01", "a", "1", 1),
        tally("2026-11-01", "a", "2", 1),
        tally("2026-11-01", "b", "1", 1),
        tally("2026-11-01", "c", "1", 125),
    ]);
    assert_eq!(
        told(&lines),
        [
            "2026-11-01 a 1: 1 x 0.026 = 0.03 USD",
            "2026-11-01 a 2: 1 x 0.026 = 0.02 USD",
            "2026-11-01 b 1: 1 x 0.026 = 0.03 USD",
            "2026-11-01 c 1: 125 x 0.026 = 3.25 USD",
        ]
    );
    let bill: Vec<_> = bill_lines(&lines)
        .into_iter()
        .map(|line| (line.region, line.billed, line.amount.to_string()))
        .collect();
    assert_eq!(
        bill,
        [
            ("a".to_owned(), 2, "0.05".to_owned()),
            ("b".to_owned(), 1, "0.03".to_owned()),
            ("c".to_owned(), 125, "3.25".to_owned()),
        ],
        "a: 0.052; half a cent goes up"
    );
    let half = pricing("P = [{ unit_price = \"0.005\", currency = \"USD\" }]", "", 2);
    assert_eq!(
        told(&half.price(&[tally("2026-11-01", "a", "1", 1)])),
        ["2026-11-01 a 1: 1 x 0.005 = 0.01 USD"]
    );
}

#[test]
fn an_absurd_number_is_not_priced_rather_than_wrongly() {
    let lines = pricing("P = [{ unit_price = \"999999.999999999\", currency = \"USD\" }]", "", 9).price(&[
        tally("2026-11-01", "a", "1", MAX_QUANTITY),
        tally("2026-11-02", "a", "1", u64::MAX),
    ]);
    assert_eq!(
        told(&lines),
        [
            "2026-11-01 a 1: 10000000000 x 999999.999999999 = 9999999999999990 USD".to_owned(),
            format!("2026-11-02 a 1: {} Unpriced", u64::MAX),
        ]
    );
}

/// A contract of up to two periods, each with tiers, and one for a region.
fn any_prices() -> impl Strategy<Value = String> {
    let unit_price = || (0_u64..1_000_000_000).prop_map(|nanos| Decimal::new(i64::try_from(nanos).unwrap(), 9));
    let tiers = proptest::collection::btree_map(1_u64..60, unit_price(), 0..4);
    let price = (unit_price(), tiers);
    (price.clone(), price.clone(), price).prop_map(|(first, second, own)| {
        let line = |from: &str, region: &str, (unit_price, tiers): (Decimal, BTreeMap<u64, Decimal>)| {
            let tiers: Vec<String> = tiers
                .iter()
                .map(|(above, unit_price)| format!("{{ above = {above}, unit_price = \"{unit_price}\" }}"))
                .collect();
            format!(
                "{{ from = \"{from}\", {region} currency = \"USD\", unit_price = \"{unit_price}\", tiers = [{}] }}",
                tiers.join(", ")
            )
        };
        format!(
            "P = [{}, {}, {}]",
            line("2026-01-01", "", first),
            line("2026-11-03", "", second),
            line("2026-11-02", "region = \"a\",", own)
        )
    })
}

fn any_packages() -> impl Strategy<Value = String> {
    let package = (0_u64..60, 1_i8..6, 0_i8..6);
    proptest::collection::vec(package, 0..4).prop_map(|packages| {
        let one = |(number, (quantity, from, days)): (usize, (u64, i8, i8))| {
            let until = from + days;
            format!("{{ name = \"{number}\", product = \"P\", quantity = {quantity}, from = \"2026-11-{from:02}\", until = \"2026-11-{until:02}\" }}")
        };
        let all: Vec<String> = packages.into_iter().enumerate().map(one).collect();
        format!("p = [{}]", all.join(", "))
    })
}

/// Days around the turn of a month and of the prices, each key once.
fn any_tallies() -> impl Strategy<Value = Vec<TallyLine>> {
    let key = (
        prop::sample::select(
            &[
                "2026-10-31",
                "2026-11-01",
                "2026-11-02",
                "2026-11-03",
                "2026-11-04",
                "unknown",
            ][..],
        ),
        prop::sample::select(&["a", "b"][..]),
        prop::sample::select(&["1", "2", "3", "9"][..]),
    );
    proptest::collection::btree_map(key, 0_u64..40, 0..30).prop_map(|tallies| {
        let line = |((day, region, code), number)| tally(day, region, code, number);
        tallies.into_iter().map(line).collect()
    })
}

/// What each billed verification of a known day costs, found one at a time in the plainest way.
fn one_by_one(pricing: &Pricing, tallies: &[TallyLine]) -> Vec<Decimal> {
    let mut sorted = tallies.to_vec();
    sorted.sort_by(|one, other| one.order().cmp(&other.order()));
    let mut left: Vec<u64> = pricing.packages.iter().map(|package| package.quantity).collect();
    let mut charged: Vec<(Date, String)> = Vec::new();
    let mut costs = Vec::new();
    for line in sorted.iter().filter(|line| ["1", "2"].contains(&&*line.sub_code)) {
        let Some(day) = line.billing_day else { continue };
        for _ in 0..line.verifications {
            let usable = (0..left.len()).filter(|at| left[*at] > 0 && pricing.packages[*at].covers("P", day));
            if let Some(at) = usable.min_by_key(|at| pricing.packages[*at].until) {
                left[at] -= 1;
                continue;
            }
            let price = pricing.prices.of("P", &line.region, Some(day)).unwrap();
            let same_month = |at: Date| at.first_of_month() == day.first_of_month();
            let counts = |(at, region): &&(Date, String)| {
                same_month(*at) && price.region.as_ref().is_none_or(|own| own == region)
            };
            let before = charged.iter().filter(counts).count() as u64;
            let tier = price.tiers.iter().rev().find(|tier| before >= tier.above);
            costs.push(tier.map_or(price.unit_price, |tier| tier.unit_price));
            charged.push((day, line.region.clone()));
        }
    }
    costs
}

fn amount(lines: &[PricedLine]) -> Decimal {
    bill_lines(lines).iter().map(|line| line.amount).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn amounts_are_those_of_the_verifications_one_by_one(
        prices in any_prices(),
        packages in any_packages(),
        tallies in any_tallies(),
    ) {
        let pricing = pricing(&prices, &packages, MAX_BILL_DECIMALS);
        let known: Vec<TallyLine> = tallies.into_iter().filter(|line| line.billing_day.is_some()).collect();
        let lines = pricing.price(&known);
        prop_assert_eq!(amount(&lines), one_by_one(&pricing, &known).into_iter().sum::<Decimal>());
    }

    #[test]
    fn every_verification_is_in_one_part_and_no_package_gives_more_than_it_holds(
        prices in any_prices(),
        packages in any_packages(),
        tallies in any_tallies(),
    ) {
        let pricing = pricing(&prices, &packages, BILL_DECIMALS);
        let lines = pricing.price(&tallies);
        let counted = tallies.iter().filter(|line| line.verifications > 0).count();
        prop_assert_eq!(lines.len(), counted);
        let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
        for line in &lines {
            prop_assert_eq!(line.parts.iter().map(|part| part.verifications).sum::<u64>(), line.tally.verifications);
            prop_assert!(line.parts.iter().all(|part| part.verifications > 0));
            for part in &line.parts {
                if let Charge::Package(name) = &part.charge {
                    *taken.entry(name).or_default() += part.verifications;
                }
            }
        }
        for (name, taken) in taken {
            let package = pricing.packages.iter().find(|package| package.name == name).unwrap();
            prop_assert!(taken <= package.quantity, "{} of {:?}", taken, package);
        }
    }

    #[test]
    fn the_days_in_any_pieces_add_up_to_the_month(
        prices in any_prices(),
        packages in any_packages(),
        tallies in any_tallies(),
        decimals in 0..=MAX_BILL_DECIMALS,
    ) {
        let pricing = pricing(&prices, &packages, decimals);
        let month = pricing.price(&tallies);
        let mut days: Vec<_> = tallies.iter().map(|line| (line.billing_day.is_none(), line.billing_day)).collect();
        days.sort();
        days.dedup();
        let mut meter = pricing.meter();
        let mut pieces = Vec::new();
        for (_, day) in days {
            let of_day: Vec<TallyLine> = tallies.iter().filter(|line| line.billing_day == day).cloned().collect();
            pieces.extend(meter.price(&of_day));
        }
        prop_assert_eq!(&pieces, &month);
        for line in bill_lines(&month) {
            prop_assert!(line.amount.normalize().scale() <= decimals);
        }
    }

    #[test]
    fn one_more_verification_never_costs_less(
        prices in any_prices(),
        packages in any_packages(),
        tallies in any_tallies(),
        number in 1_u64..40,
    ) {
        let pricing = pricing(&prices, &packages, MAX_BILL_DECIMALS);
        let mut more = tallies.clone();
        more.push(tally("2026-11-30", "b", "1", number));
        prop_assert!(amount(&pricing.price(&more)) >= amount(&pricing.price(&tallies)));
    }

    #[test]
    fn rounding_moves_a_line_of_the_bill_by_half_a_unit_at_most(
        prices in any_prices(),
        tallies in any_tallies(),
        decimals in 0..MAX_BILL_DECIMALS,
    ) {
        let exact = bill_lines(&pricing(&prices, "", MAX_BILL_DECIMALS).price(&tallies));
        let rounded = bill_lines(&pricing(&prices, "", decimals).price(&tallies));
        for (exact, rounded) in exact.iter().zip(&rounded) {
            prop_assert!((exact.amount - rounded.amount).abs() * Decimal::TWO <= Decimal::new(1, decimals));
        }
    }
}
