//! The files that a bill and the vendor's records come in: however the same lines are written, the same is said of them.

use serde_json::Value;

use super::reconcile::after_the_night;
use super::{Place, samples};

const MONTH: [&str; 2] = ["--month", "2026-10"];

fn sample(name: &str) -> String {
    std::fs::read_to_string(samples(name)).unwrap()
}

/// Every cell in quotes, as many exports write them.
fn quoted(text: &str) -> String {
    let line = |line: &str| format!("\"{}\"\n", line.replace(',', "\",\""));
    text.lines().map(line).collect()
}

/// The sample's bill with another text in the place of each day.
fn with_days(day: impl Fn(&str) -> String) -> String {
    let bill = sample("bill-2026-10.csv");
    let (header, lines) = bill.split_once('\n').unwrap();
    let line = |line: &str| {
        let (own, rest) = line.split_once(',').unwrap();
        format!("{},{rest}\n", day(own))
    };
    format!("{header}\n{}", lines.lines().map(line).collect::<String>())
}

/// What is said of a bill and of records, without the names of the files.
fn said(place: &Place, bill: &str, records: Option<&str>) -> Value {
    let mut args = vec!["reconcile", "--bill", bill, "--json"];
    args.extend(records.iter().flat_map(|records| ["--records", records]));
    args.extend(MONTH);
    let mut json = place.idvault(&args).expect(9).json();
    json["bill_files"].take();
    json["records"]["files"].take();
    json
}

#[test]
fn a_bill_and_records_with_every_cell_in_quotes_are_read_as_without() {
    let place = after_the_night();
    let (bill, records) = (samples("bill-2026-10.csv"), samples("records-2026-10.csv"));
    let expected = said(&place, &bill, Some(&records));
    let quoted_records = place.write("records.csv", quoted(&sample("records-2026-10.csv")));
    for separator in [",", ";", "\t"] {
        let text = quoted(&sample("bill-2026-10.csv")).replace("\",\"", &format!("\"{separator}\""));
        let quoted_bill = place.write("bill.csv", text);
        assert_eq!(
            said(&place, &quoted_bill, Some(&quoted_records)),
            expected,
            "{separator:?}"
        );
    }
}

#[test]
fn a_day_is_taken_only_in_a_known_form_and_a_moment_is_on_the_vendors_day() {
    let place = after_the_night();
    let expected = said(&place, &samples("bill-2026-10.csv"), None);
    for (form, text) in [
        ("compact", with_days(|day| day.replace('-', ""))),
        ("with a time", with_days(|day| format!("{day} 00:00:00"))),
        (
            "a spreadsheet's",
            with_days(|day| format!("{} 0:00", day.replace('-', "/"))),
        ),
        // The vendor's day begins at 16:00 UTC of the day before.
        (
            "in UTC",
            with_days(|day| {
                let day: jiff::civil::Date = day.parse().unwrap();
                format!("{}T16:00:00Z", day.yesterday().unwrap())
            }),
        ),
    ] {
        let bill = place.write("bill.csv", text);
        assert_eq!(said(&place, &bill, None), expected, "{form}");
    }
    for day in [
        "2026-10-12/2026-10-31",
        "2026-10-18 ~ 2026-10-31",
        "2026-10-180",
        "2026-10-18 garbage",
        "2026-10",
        "10/18/2026",
    ] {
        let bill = place.write("bill.csv", with_days(|_| day.to_owned()));
        let ended = place.idvault(&["reconcile", "--bill", &bill]).expect(3);
        let said = format!("line 2, column \"BillingDate\": \"{day}\" is not a day");
        assert!(ended.stderr.contains(&said), "{day}: {}", ended.stderr);
    }
}
