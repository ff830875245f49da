//! What a month costs, from whole nights: contract prices, tiers and packages, the formats, and sub codes that a line of
//! the configuration settles. The expectations are counted from the archive's own rows, one verification at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use rust_decimal::Decimal;
use serde_json::Value;

use super::{Archived, Place, lines, made_up};

/// From the 3rd on a lower price, with a tier; half of the first days' verifications are paid for in advance.
const CONTRACT: &str = r#"
[[prices.FACE_LIVENESS]]
from = "2026-11-03"
unit_price = "0.02"
currency = "EUR"
tiers = [{ above = 30, unit_price = "0.0123" }]
[[packages]]
name = "november"
product = "FACE_LIVENESS"
quantity = 25
from = "2026-11-01"
until = "2026-11-30"
"#;
const BILLED: [&str; 5] = ["200", "204", "205", "206", "233"];

/// A night of 120 verifications on six days.
fn after_a_night(config: &str) -> Place {
    let place = Place::new();
    place.write("idvault.toml", config);
    let pending = place.write("pending.csv", made_up(120, 6, "FACE_LIVENESS"));
    let code = place.night(&["--pending", &pending]).code;
    assert!(code == Some(0) || code == Some(4), "{code:?}");
    place
}

/// The archive's rows that are billed, in the order in which they are charged.
fn billed(place: &Place) -> Vec<Archived> {
    let mut rows = place.archived("verifications");
    rows.retain(|row| BILLED.contains(&row.text("sub_code").unwrap()));
    let key = |row: &Archived| {
        let day = row.billing_day().unwrap().to_owned();
        (day, row.text("sub_code").unwrap().to_owned())
    };
    rows.sort_by_key(key);
    assert!(rows.len() > 60, "{}", rows.len());
    rows
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn billing(place: &Place, args: &[&str]) -> Vec<BTreeMap<String, String>> {
    let all = [&["report", "billing"], args].concat();
    lines(&place.idvault(&all).expect(0).stdout)
}

#[test]
fn packages_tiers_and_periods_are_charged_as_the_contract_says() {
    let place = after_a_night(CONTRACT);
    let (mut amounts, mut deducted, mut charged) = (BTreeMap::<&str, Decimal>::new(), 0, 0);
    for row in billed(&place) {
        if deducted < 25 {
            deducted += 1;
            continue;
        }
        let (currency, unit_price) = match row.billing_day().unwrap() {
            day if day < "2026-11-03" => ("USD", "0.026"),
            _ if charged < 30 => ("EUR", "0.02"),
            _ => ("EUR", "0.0123"),
        };
        *amounts.entry(currency).or_default() += decimal(unit_price);
        charged += 1;
    }
    assert!(charged > 35, "the tier is reached: {charged}");
    let summary = &place.summary()["billing"];
    assert_eq!(summary["deducted"], 25);
    let told = summary["amounts"].as_object().unwrap();
    let told: BTreeMap<&str, Decimal> = told
        .iter()
        .map(|(of, amount)| (&**of, decimal(amount.as_str().unwrap())))
        .collect();
    assert_eq!(told, amounts);
    let mut by_currency = BTreeMap::<String, Decimal>::new();
    for row in place.report("billing.csv") {
        if !row["currency"].is_empty() {
            let of_parts = decimal(&row["unit_price"]) * decimal(&row["verifications"]);
            assert_eq!(decimal(&row["amount"]), of_parts, "{row:?}");
            *by_currency.entry(row["currency"].clone()).or_default() += of_parts;
        }
        assert_eq!(
            row["package"].is_empty(),
            row["amount"] != "0" || row["billed"] == "no",
            "{row:?}"
        );
    }
    assert!(
        by_currency
            .iter()
            .map(|(currency, amount)| (&**currency, *amount))
            .eq(amounts)
    );
}

/// The days' rows are there in every report of the month, whatever is asked for beside them.
#[test]
fn what_came_before_counts_for_tiers_and_packages_though_it_is_not_asked_for() {
    let place = after_a_night(
        &CONTRACT
            .replace("2026-11-01\"", "2026-10-31\"")
            .replace("2026-11-30", "2026-12-31"),
    );
    let pending = made_up(40, 1, "FACE_LIVENESS").replace("made", "december");
    let pending = place.write("december.csv", pending.replace("2026-11-01T", "2026-12-01T"));
    let mut later = place;
    later.now = "2026-12-02T02:00:00Z";
    later.night(&["--pending", &pending]);
    let december = billing(&later, &["--month", "2026-12"]);
    assert!(december.iter().any(|row| row["billed"] == "yes"));
    assert!(
        december.iter().all(|row| row["package"].is_empty()),
        "it was used up in November: {december:?}"
    );
    let prices: BTreeSet<&str> = december
        .iter()
        .map(|row| &*row["unit_price"])
        .filter(|price| !price.is_empty())
        .collect();
    assert!(prices.contains("0.02"), "the tiers begin anew: {prices:?}");
}

#[test]
fn the_formats_say_the_same() {
    let place = after_a_night(CONTRACT);
    for by in ["day", "month"] {
        let column = format!("billing_{by}");
        let csv = billing(&place, &["--all", "--by", by]);
        assert!(csv.len() > 5 && csv.iter().all(|row| row.contains_key(&column)));
        let json = place
            .idvault(&["report", "billing", "--all", "--by", by, "--format", "json"])
            .expect(0)
            .json();
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let cell = |name: &str, value: &Value| match (name, value) {
            (_, Value::Bool(true)) => "yes".to_owned(),
            (_, Value::Bool(false)) => "no".to_owned(),
            ("billed", Value::Null) => "unknown".to_owned(),
            _ => text(value),
        };
        let of_json: Vec<BTreeMap<String, String>> = json
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let cells = row.as_object().unwrap().iter();
                cells.map(|(name, value)| (name.clone(), cell(name, value))).collect()
            })
            .collect();
        assert_eq!(of_json, csv, "{by}");
        let file = place.path(&format!("{by}.parquet"));
        let path = file.to_str().unwrap();
        place
            .idvault(&[
                "report", "billing", "--all", "--by", by, "--format", "parquet", "--output", path,
            ])
            .expect(0);
        assert_eq!(parquet_rows(&file, &column), csv, "{by}");
        let again = place
            .idvault(&["report", "billing", "--all", "--format", "parquet", "--output", path])
            .expect(7);
        assert!(again.stderr.contains(path), "{}", again.stderr);
    }
}

/// The rows of a Parquet file as the cells of a CSV; read by Parquet's own row reader.
fn parquet_rows(file: &std::path::Path, period: &str) -> Vec<BTreeMap<String, String>> {
    let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
    let cell = |name: &str, field: &Field| match field {
        Field::Null if name == "billed" => "unknown".to_owned(),
        Field::Null => String::new(),
        Field::Bool(billed) => if *billed { "yes" } else { "no" }.to_owned(),
        Field::Str(text) => text.clone(),
        Field::Long(number) => number.to_string(),
        Field::Date(days) => jiff::civil::date(1970, 1, 1)
            .saturating_add(jiff::Span::new().days(*days))
            .to_string(),
        Field::Decimal(exact) => {
            let unscaled = exact
                .data()
                .iter()
                .fold(0_i128, |sum, byte| (sum << 8) | i128::from(*byte));
            Decimal::from_i128_with_scale(unscaled, exact.scale().try_into().unwrap())
                .normalize()
                .to_string()
        }
        other => panic!("{name} is {other:?}"),
    };
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    let rows = rows.map(|row| {
        row.get_column_iter()
            .map(|(name, field)| (name.clone(), cell(name, field)))
            .collect()
    });
    let rows: Vec<BTreeMap<String, String>> = rows.collect();
    assert!(rows.iter().all(|row| row.contains_key(period)));
    rows
}

#[test]
fn the_days_add_up_to_the_month() {
    let place = after_a_night(CONTRACT);
    let sums = |rows: &[BTreeMap<String, String>]| {
        let mut sums = BTreeMap::<(String, String, String), (u64, Decimal)>::new();
        for row in rows {
            let key = (row["sub_code"].clone(), row["currency"].clone(), row["package"].clone());
            let sum = sums.entry(key).or_default();
            sum.0 += row["verifications"].parse::<u64>().unwrap();
            sum.1 += row["amount"].parse::<Decimal>().unwrap_or_default();
        }
        sums
    };
    let (days, months) = (
        billing(&place, &["--all"]),
        billing(&place, &["--all", "--by", "month"]),
    );
    assert!(months.iter().all(|row| row["billing_month"] == "2026-11"), "{months:?}");
    assert!(months.len() < days.len());
    assert_eq!(sums(&months), sums(&days));
}

#[test]
fn an_unknown_sub_code_is_named_and_a_line_of_the_configuration_settles_it() {
    let place = Place::new();
    let pending = place.write("pending.csv", made_up(60, 3, "FACE_VERIFY"));
    let night = place.night(&["--pending", &pending, "--json"]);
    let summary = night.json();
    let named = summary["billing"]["sub_codes"].as_array().unwrap();
    let of = |code: &str| named.iter().find(|line| line["sub_code"] == code).unwrap();
    let passed = of("200")["verifications"].as_u64().unwrap();
    assert!(passed > 10 && of("200")["billed"] == "unknown", "{named:?}");
    assert_eq!(summary["billing"]["unknown"], summary["billing"]["verifications"]);
    assert_eq!(summary["billing"]["amounts"], serde_json::json!({}));
    let calls = place.count("SELECT sum(attempts) FROM transactions");
    let files = place.archive_files();
    place.write(
        "idvault.toml",
        "[sub_codes.FACE_VERIFY]\n200 = { meaning = \"passed\", billed = true }\n204 = { meaning = \"failed\", billed = false }\n",
    );
    let rows = billing(&place, &["--all"]);
    let verifications = |billed: &str, code: &str| -> u64 {
        let of = rows
            .iter()
            .filter(|row| row["billed"] == billed && row["sub_code"] == code);
        of.map(|row| row["verifications"].parse::<u64>().unwrap()).sum()
    };
    assert_eq!(verifications("yes", "200"), passed);
    assert_eq!(verifications("no", "204"), of("204")["verifications"].as_u64().unwrap());
    let amount: Decimal = rows
        .iter()
        .map(|row| row["amount"].parse::<Decimal>().unwrap_or_default())
        .sum();
    assert_eq!(amount, decimal("0.026") * Decimal::from(passed));
    assert_eq!(place.archive_files(), files);
    assert_eq!(
        place.count("SELECT sum(attempts) FROM transactions"),
        calls,
        "nothing was asked for"
    );
}

#[test]
fn subcodes_says_what_is_known_and_who_says_so() {
    let place = Place::new();
    place.write(
        "idvault.toml",
        r#"
        [sub_codes.eKYC.200]
        meaning = "Passed"
        billed = true
        source = "the vendor's support"
        as_of = "2026-11-20"
        [sub_codes.FACE_LIVENESS.206]
        meaning = "Refused by policy"
        billed = false
        "#,
    );
    let table = place.idvault(&["subcodes"]).expect(0).stdout;
    insta::assert_snapshot!(table, @r"
    product        sub code  billed  meaning                      source
    FACE_LIVENESS  200       yes     Authentication passed        built-in: vendor's page CheckResult, 2026-04-01
    FACE_LIVENESS  204       yes     The face comparison failed   built-in: vendor's page CheckResult, 2026-04-01
    FACE_LIVENESS  205       yes     Risks in liveness detection  built-in: vendor's page CheckResult, 2026-04-01
    FACE_LIVENESS  206       no      Refused by policy            configuration
    FACE_LIVENESS  233       yes     A similar face was detected  built-in: vendor's page CheckResult, 2026-04-01
    eKYC           200       yes     Passed                       configuration: the vendor's support, 2026-11-20
    ");
    let json = place.idvault(&["subcodes", "--json"]).expect(0).json();
    let line = |product: &str, code: &str| {
        let mut all = json.as_array().unwrap().iter();
        all.find(|line| line["product_code"] == product && line["sub_code"] == code)
            .unwrap()
            .clone()
    };
    assert_eq!(json.as_array().unwrap().len(), 6);
    let own = line("FACE_LIVENESS", "206");
    assert_eq!(
        (&own["billed"], &own["origin"], &own["source"]),
        (&false.into(), &"configuration".into(), &Value::Null)
    );
    let vendors = line("FACE_LIVENESS", "200");
    assert_eq!(
        (&vendors["origin"], &vendors["as_of"]),
        (&"built-in".into(), &"2026-04-01".into())
    );
    let support = line("eKYC", "200");
    assert_eq!(
        (&support["source"], &support["as_of"]),
        (&"the vendor's support".into(), &"2026-11-20".into())
    );
}
