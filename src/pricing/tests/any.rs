//! What holds for any contract and any counts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
