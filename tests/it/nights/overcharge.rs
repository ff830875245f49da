//! No overcharge passes as right: a bill that is right but for one planted thing, and what is said of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rust_decimal::Decimal;
use serde_json::Value;

use super::closing::{FOURTH, OCTOBER, october};
use super::verify::edit;
use super::{Ended, Place, lines};

const HEADER: &str = "BillingDate,BillingItemCode,Region,Usage,PretaxAmount,Currency,Item\n";
const PRICE: &str = "0.026";

/// A line of a bill.
#[derive(Clone)]
struct Line {
    day: String,
    product: &'static str,
    region: &'static str,
    calls: i64,
    amount: Decimal,
    kind: &'static str,
}

/// A folder with 100 verifications of the first five days of October, all archived, seen on the 4th of November.
fn after_october() -> Place {
    after("2026-10-20T02:00:00Z", &october(100, 5, "FACE_LIVENESS"))
}

/// After a night at `now`, seen on the 4th of November.
fn after(now: &'static str, pending: &str) -> Place {
    let mut place = Place::new();
    place.now = now;
    let pending = place.write("october.csv", pending);
    place.night(&["--pending", &pending]);
    // What has no answer yet is moved to another month, so that it excuses nothing.
    edit(
        &place,
        "UPDATE transactions SET verified_at = verified_at - 7776000000000, deleted_from = deleted_from - 7776000000000 \
         WHERE state <> 'answered'",
    );
    place.now = FOURTH;
    place
}

/// The bill that is right.
fn right(place: &Place) -> Vec<Line> {
    let mut days = BTreeMap::<String, (i64, Decimal)>::new();
    for row in lines(&place.idvault(&OCTOBER).expect(0).stdout) {
        if row["billed"] == "yes" && row["billing_day"] != "unknown" {
            let day = days.entry(row["billing_day"].clone()).or_default();
            day.0 += row["verifications"].parse::<i64>().unwrap();
            day.1 += row["amount"].parse::<Decimal>().unwrap();
        }
    }
    let line = |(day, (calls, amount))| Line {
        day,
        product: "FACE_LIVENESS",
        region: "ap-southeast-1",
        calls,
        amount,
        kind: "PayAsYouGoBill",
    };
    days.into_iter().map(line).collect()
}

fn text(lines: &[Line]) -> String {
    let line = |line: &Line| {
        let Line {
            day,
            product,
            region,
            calls,
            amount,
            kind,
        } = line;
        format!("{day},{product},{region},{calls},{amount},USD,{kind}\n")
    };
    format!("{HEADER}{}", lines.iter().map(line).collect::<String>())
}

fn reconcile(place: &Place, lines: &[Line], more: &[&str]) -> Ended {
    place.write("bill.csv", text(lines));
    place.idvault(
        &[
            &["reconcile", "--bill", "bill.csv", "--month", "2026-10", "--json"],
            more,
        ]
        .concat(),
    )
}

fn classes(ended: &Ended) -> Vec<String> {
    let json = ended.json();
    let explanations = json["explanations"].as_array().unwrap().iter();
    explanations
        .map(|why| why["class"].as_str().unwrap().to_owned())
        .collect()
}

fn money(json: &Value, name: &str) -> Decimal {
    json["totals"][0][name].as_str().unwrap().parse().unwrap()
}

fn price() -> Decimal {
    PRICE.parse().unwrap()
}

fn page(place: &Place) -> String {
    std::fs::read_to_string(super::records::last_folder(place).join("report.html")).unwrap()
}

#[test]
fn a_bill_that_is_right_is_settled() {
    let place = after_october();
    let ended = reconcile(&place, &right(&place), &[]).expect(0);
    assert_eq!(ended.json()["explanations"], serde_json::json!([]));
    assert!(page(&place).contains("The bill is right (exit 0)"));
}

#[test]
fn calls_under_another_product_are_a_swap_and_its_cost_is_named() {
    let place = after_october();
    let mut bill = right(&place);
    let calls = bill[1].calls;
    let dear = Decimal::from(calls) * "0.3".parse::<Decimal>().unwrap();
    (bill[1].product, bill[1].amount) = ("FACE_LIVENESS_PRO", dear);
    let more = dear - Decimal::from(calls) * price();
    // The vendor's records say the same as its bill, or are not given.
    let mut records = "TransactionId,ProductCode,Region,VerifyTime,Passed,SubCode\n".to_owned();
    let mut ids = 0;
    for row in place.archived("verifications") {
        let is_swapped = row.billing_day() == Some(bill[1].day.as_str());
        let code = row.text("sub_code").unwrap();
        ids += usize::from(is_swapped);
        let product = if is_swapped {
            "FACE_LIVENESS_PRO"
        } else {
            "FACE_LIVENESS"
        };
        let passed = if code == "200" { "Y" } else { "N" };
        let time = row.time("verified_at").unwrap();
        let id = row.id();
        writeln!(records, "{id},{product},ap-southeast-1,{time},{passed},{code}").unwrap();
    }
    let known =
        ["200", "204", "205", "206", "233"].map(|code| format!("{code} = {{ meaning = 'x', billed = true }}\n"));
    place.write(
        "idvault.toml",
        format!("[sub_codes.FACE_LIVENESS_PRO]\n{}", known.concat()),
    );
    let records = place.write("records.csv", records);
    for given in [&[][..], &["--records", &records]] {
        let ended = reconcile(&place, &bill, given).expect(9);
        let json = ended.json();
        assert_eq!(classes(&ended), ["swap"], "{given:?}");
        assert_eq!(
            (money(&json, "overcharged"), money(&json, "undercharged")),
            (more, Decimal::ZERO)
        );
        let swapped: i64 = json["swaps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| pair["calls"].as_i64().unwrap())
            .sum();
        assert_eq!(swapped, calls);
        let title = format!("The bill is {} USD too high (exit 9)", more.normalize());
        assert!(page(&place).contains(&title), "{title}");
    }
    let listed = std::fs::read_to_string(super::records::last_folder(&place).join("reconcile-records.csv")).unwrap();
    let swapped = lines(&listed)
        .into_iter()
        .filter(|row| row["explanation"] == "swap")
        .count();
    assert_eq!(swapped, ids);
    let table = place.idvault(&["reconcile", "--bill", "bill.csv"]).expect(9).stdout;
    let said = format!("swap: {calls} calls of FACE_LIVENESS in ap-southeast-1 are billed as FACE_LIVENESS_PRO");
    assert!(table.contains(&said), "{table}");
}

#[test]
fn right_calls_under_the_wrong_region_are_one_swap() {
    let place = after_october();
    let mut bill = right(&place);
    bill[0].region = "cn-hongkong";
    let ended = reconcile(&place, &bill, &[]).expect(4);
    assert_eq!(classes(&ended), ["swap"]);
    assert_eq!(ended.json()["swaps"].as_array().unwrap().len(), 1);
}

fn planted(bill: &[Line], kind: &'static str, calls: i64, amount: Decimal) -> Vec<Line> {
    let line = Line {
        calls,
        amount,
        kind,
        ..bill[0].clone()
    };
    [bill, &[line]].concat()
}

#[test]
fn an_adjustment_is_open_until_a_person_accepts_it_by_its_line() {
    let place = after_october();
    let bill = planted(&right(&place), "Adjustment", 500, 150.into());
    let ended = reconcile(&place, &bill, &[]).expect(4);
    assert_eq!(classes(&ended), ["adjustment"]);
    let name = format!("bill.csv:{}", bill.len() + 1);
    assert_eq!(ended.json()["bill_lines"][0]["name"], name);
    assert_eq!(money(&ended.json(), "open"), 150.into());
    let close = ["close", "--month", "2026-10", "--bill", "bill.csv"];
    let refused = place.idvault(&close).expect(9).stdout;
    assert!(
        refused.contains(&format!("{name}: adjustment of 500 calls and 150 USD")),
        "{refused}"
    );
    let accept = format!("{name}=credit note 88");
    let ended = reconcile(&place, &bill, &["--accept", &accept]).expect(0);
    assert_eq!(classes(&ended), ["accepted"]);
    for wrong in ["bill.csv:2=x", &name, &format!("{name}= ")] {
        reconcile(&place, &bill, &["--accept", wrong]).expect(2);
        place.idvault(&[&close[..], &["--accept", wrong]].concat()).expect(2);
    }
    place.idvault(&[&close[..], &["--accept", &accept]].concat()).expect(0);
    let record: Value = serde_json::from_slice(&std::fs::read(super::closing::record_path(&place)).unwrap()).unwrap();
    let accepted = &record["accepted_objections"][0];
    assert_eq!(
        (&accepted["name"], &accepted["reason"]),
        (&name.into(), &"credit note 88".into())
    );
}

#[test]
fn a_refund_is_linked_to_what_it_gives_back_and_open_where_it_exceeds_what_was_billed() {
    let place = after_october();
    let right = right(&place);
    let thousand = planted(&right, "Refund", -1_000, Decimal::from(-26));
    let ended = reconcile(&place, &thousand, &[]).expect(4);
    assert_eq!(classes(&ended), ["refund", "refund_exceeds"]);
    assert_eq!(
        ended.json()["bill_lines"][0]["name"],
        format!("bill.csv:{}", thousand.len() + 1)
    );

    let two = price() * Decimal::from(2);
    let mut more = right.clone();
    more[0].calls += 2;
    more[0].amount += two;
    // Without the refund it is wrong.
    let ended = reconcile(&place, &more, &[]).expect(9);
    assert_eq!(money(&ended.json(), "overcharged"), two);
    let same_day = planted(&more, "Refund", -2, -two);
    let ended = reconcile(&place, &same_day, &[]).expect(0);
    assert_eq!(classes(&ended), ["refund"]);
    let mut later = same_day.clone();
    later.last_mut().unwrap().day = "2026-11-03".to_owned();
    let ended = reconcile(&place, &later, &[]).expect(0);
    assert_eq!(
        ended.json()["given_back"],
        serde_json::json!([{"product_code": "FACE_LIVENESS", "region": "ap-southeast-1", "refunded": "2026-11-03",
                            "of": "2026-10-01", "calls": 2}])
    );
    let november = ["reconcile", "--bill", "bill.csv", "--month", "2026-11", "--json"];
    let ended = place.idvault(&november).expect(0);
    assert_eq!(ended.json()["given_back"][0]["of"], "2026-10-01");
}

/// A record that the ledger has, and the archive has not.
fn add_record(place: &Place, state: &str, verified_at: Option<&str>, last_call_code: &str) {
    let micros = |time: &str| time.parse::<jiff::Timestamp>().unwrap().as_microsecond();
    let seen = micros("2026-10-04T02:00:00Z");
    let verified = verified_at.map(micros);
    let (at, known) = (
        verified.map_or("NULL".to_owned(), |at| at.to_string()),
        u8::from(verified.is_some()),
    );
    let deleted = verified.map_or(seen, |at| at + 2_592_000_000_000);
    edit(
        place,
        &format!(
            "INSERT INTO transactions (transaction_id, product_code, product_assumed, region, region_assumed, verified_at, \
             first_seen_at, first_run, deleted_from, age_known, state, last_call_code) \
             VALUES ('planted', 'FACE_LIVENESS', 0, 'ap-southeast-1', 0, {at}, {seen}, 1, {deleted}, {known}, '{state}', \
             '{last_call_code}')"
        ),
    );
}

fn one_more(place: &Place) -> Vec<Line> {
    let mut bill = right(place);
    bill[0].calls += 1;
    bill[0].amount += price();
    bill
}

#[test]
fn what_the_customer_never_finished_is_wrong_on_a_bill_and_what_a_person_dropped_is_open() {
    for (code, class, exit) in [
        ("ProcessNotCompleted", "not_completed", 9),
        ("InvalidParameter", "dropped", 4),
    ] {
        let place = after_october();
        let bill = one_more(&place);
        add_record(&place, "abandoned", Some(&format!("{}T04:00:00Z", bill[0].day)), code);
        let ended = reconcile(&place, &bill, &[]).expect(exit);
        assert_eq!(classes(&ended), [class]);
    }
}

#[test]
fn a_sub_code_that_is_not_billed_is_wrong_on_a_bill_with_its_ids() {
    let place = after_october();
    place.write(
        "idvault.toml",
        "[sub_codes.FACE_LIVENESS.205]\nmeaning = 'x'\nbilled = false\n",
    );
    let unbilled: Vec<(String, String)> = place
        .archived("verifications")
        .iter()
        .filter(|row| row.text("sub_code") == Some("205"))
        .map(|row| (row.billing_day().unwrap().to_owned(), row.id().to_owned()))
        .collect();
    let day = &unbilled.first().expect("the sandbox answers with 205, too").0;
    let mut bill = right(&place);
    let line = bill.iter_mut().find(|line| line.day == *day).unwrap();
    line.calls += 1;
    line.amount += price();
    let ended = reconcile(&place, &bill, &[]).expect(9);
    assert_eq!(classes(&ended), ["unbilled_sub_code"]);
    let listed = std::fs::read_to_string(super::records::last_folder(&place).join("reconcile-records.csv")).unwrap();
    let listed: Vec<String> = lines(&listed).iter().map(|row| row["transaction_id"].clone()).collect();
    for (_, id) in unbilled.iter().filter(|(on, _)| on == day) {
        assert!(listed.contains(id), "{id}: {listed:?}");
    }
}

#[test]
fn a_record_of_unknown_day_excuses_one_call_in_one_month() {
    let place = after_october();
    let bill = one_more(&place);
    add_record(&place, "pending", None, "ProcessNotCompleted");
    let ended = reconcile(&place, &bill, &[]).expect(4);
    assert_eq!(classes(&ended), ["undated"]);
    let november = Line {
        day: "2026-11-01".to_owned(),
        calls: 1,
        amount: price(),
        ..bill[0].clone()
    };
    place.write("bill.csv", text(&[november]));
    let ended = place.idvault(&["reconcile", "--bill", "bill.csv", "--json"]).expect(9);
    assert_eq!(classes(&ended), ["unexplained"]);
}

#[test]
fn rounding_is_held_to_the_exact_amount() {
    let place = after_october();
    place.write("idvault.toml", "[billing]\ndecimals = 2\n");
    let right = right(&place);
    reconcile(&place, &right, &[]).expect(0);
    let cent = Decimal::new(1, 2);
    let mut dear = right.clone();
    for line in &mut dear {
        line.amount += cent;
    }
    let ended = reconcile(&place, &dear, &[]).expect(9);
    assert_eq!(classes(&ended), ["price"]);
    assert_eq!(money(&ended.json(), "overcharged"), cent * Decimal::from(right.len()));
}

#[test]
fn tolerances_bound_the_total_and_a_line() {
    let place = after_october();
    let cent = Decimal::new(1, 2);
    let mut dear = right(&place);
    let lines = dear.len();
    for line in &mut dear {
        line.amount += cent;
    }
    let total = (cent * Decimal::from(lines)).to_string();
    reconcile(&place, &dear, &["--tolerance", &total]).expect(0);
    reconcile(&place, &dear, &["--tolerance", "0.04"]).expect(9);
    reconcile(&place, &dear, &["--tolerance", &total, "--tolerance-line", "0.01"]).expect(0);
    reconcile(&place, &dear, &["--tolerance", &total, "--tolerance-line", "0.009"]).expect(9);
    // In our favour it is open, and not red.
    for line in &mut dear {
        line.amount -= cent + cent;
    }
    let ended = reconcile(&place, &dear, &[]).expect(4);
    assert_eq!(
        (money(&ended.json(), "overcharged"), &ended.json()["beyond_tolerance"]),
        (Decimal::ZERO, &0.into())
    );
    let title = format!(
        "The bill is {} USD too low (exit 4)",
        money(&ended.json(), "undercharged").normalize()
    );
    assert!(page(&place).contains(&title), "{title}");
}

#[test]
fn a_call_before_midnight_of_the_last_day_may_be_on_the_next_months_bill() {
    let late = "\nlate1,FACE_LIVENESS,ap-southeast-1,2026-10-31T15:55:00Z";
    let mut pending = october(40, 4, "FACE_LIVENESS").replace("2026-10-0", "2026-10-1");
    for id in 0..8 {
        pending.push_str(late.replace("late1", &format!("late{id}")).trim_start());
        pending.push('\n');
    }
    let place = after("2026-11-01T02:00:00Z", &pending);
    let mut bill = right(&place);
    let last = bill.pop().unwrap();
    assert_eq!(last.day, "2026-10-31");
    assert!(last.calls > 1);
    let on_next = Line {
        day: "2026-11-01".to_owned(),
        ..last.clone()
    };
    let both = [&bill[..], std::slice::from_ref(&on_next)].concat();
    let ended = reconcile(&place, &bill, &[]).expect(0);
    assert_eq!(classes(&ended), ["day_boundary"]);
    assert_eq!(classes(&reconcile(&place, &both, &[]).expect(0)), ["day_boundary"]);
    let november = |lines: &[Line]| {
        place.write("bill.csv", text(lines));
        place.idvault(&["reconcile", "--bill", "bill.csv", "--month", "2026-11", "--json"])
    };
    assert_eq!(
        classes(&november(std::slice::from_ref(&on_next)).expect(0)),
        ["day_boundary"]
    );
    assert_eq!(classes(&november(&both).expect(0)), ["day_boundary"]);
    // Billed in both months, it is billed twice.
    let twice = [&bill[..], &[last, on_next]].concat();
    assert_eq!(classes(&november(&twice).expect(9)), ["unexplained"]);
}

#[test]
fn a_line_that_does_not_add_up_is_named() {
    let place = after_october();
    let right = right(&place);
    let header = HEADER.replace("PretaxAmount", "PretaxGrossAmount,InvoiceDiscount,PretaxAmount");
    let line = |line: &Line, gross: Decimal, discount: Decimal| {
        let Line { day, calls, amount, .. } = line;
        format!("{day},FACE_LIVENESS,ap-southeast-1,{calls},{gross},{discount},{amount},USD,PayAsYouGoBill\n")
    };
    let cent = Decimal::new(1, 2);
    let sound: String = right.iter().map(|own| line(own, own.amount + cent, cent)).collect();
    let path = place.write("bill.csv", format!("{header}{sound}"));
    place.idvault(&["reconcile", "--bill", &path]).expect(0);
    let wrong: String = right.iter().map(|own| line(own, own.amount - cent, cent)).collect();
    place.write("bill.csv", format!("{header}{wrong}"));
    let ended = place.idvault(&["reconcile", "--bill", "bill.csv", "--json"]).expect(9);
    assert_eq!(classes(&ended), ["arithmetic", "price"]);
    assert_eq!(
        money(&ended.json(), "overcharged"),
        cent * Decimal::from(2 * right.len())
    );
    let note = &ended.json()["bill_lines"][0];
    assert_eq!(
        (&note["name"], &note["class"]),
        (&"bill.csv:2".into(), &"arithmetic".into())
    );
}

#[test]
fn what_one_setting_would_settle_is_one_hint() {
    let place = after_october();
    let right = right(&place);
    let mut taxed = right.clone();
    for line in &mut taxed {
        line.amount *= Decimal::new(109, 2);
    }
    let mut cents = right.clone();
    for line in &mut cents {
        line.amount = line.amount.round_dp(2);
    }
    for (bill, said) in [
        (
            taxed,
            "The amounts fit tax of 9 %. Where they include it, set [bill] tax_rate = \"0.09\"",
        ),
        (
            cents,
            "The amounts fit 2 decimals. Where the bill rounds to them, set [billing] decimals = 2",
        ),
    ] {
        let hints = reconcile(&place, &bill, &[]).json()["hints"].clone();
        assert_eq!(hints, serde_json::json!([said]));
    }
    // A bill that counts by the days of UTC.
    let source: String = october(200, 10, "FACE_LIVENESS")
        .lines()
        .enumerate()
        .map(|(at, line)| if at % 2 == 0 { line.replace("T03:", "T20:") } else { line.to_owned() } + "\n")
        .collect();
    let place = after("2026-10-20T02:00:00Z", &source);
    let in_utc = right_of_utc(&place);
    let hints = reconcile(&place, &in_utc, &[]).expect(9).json()["hints"].clone();
    assert!(
        hints[0].as_str().unwrap().contains("set billing_zone = \"UTC\""),
        "{hints}"
    );
}

/// The archive's billed calls by the day in UTC.
fn right_of_utc(place: &Place) -> Vec<Line> {
    let mut days = BTreeMap::<String, i64>::new();
    for row in place.archived("verifications") {
        let time = row.time("verified_at").unwrap().to_string();
        *days.entry(time[..10].to_owned()).or_default() += 1;
    }
    let line = |(day, calls)| Line {
        day,
        product: "FACE_LIVENESS",
        region: "ap-southeast-1",
        calls,
        amount: Decimal::from(calls) * price(),
        kind: "PayAsYouGoBill",
    };
    days.into_iter().map(line).collect()
}
