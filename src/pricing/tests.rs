mod any;

use std::collections::BTreeMap;

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
