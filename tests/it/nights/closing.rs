//! A month is closed once, and says the same for ever: prices that change later, records that come later, and hands that
//! touch it are all seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use idvault::record::sha256_hex;
use rust_decimal::Decimal;
use serde_json::Value;

use super::verify::edit;
use super::{Place, lines, made_up};

/// Seen from the vendor's day, UTC+8: still the 3rd, and the 4th.
const THIRD: &str = "2026-11-03T15:59:59Z";
pub(super) const FOURTH: &str = "2026-11-03T16:00:00Z";
const LATER: &str = "2026-11-10T02:00:00Z";
/// The report of the month.
pub(super) const OCTOBER: [&str; 4] = ["report", "billing", "--month", "2026-10"];
const CONTRACT: &str = r#"
[[prices.FACE_LIVENESS]]
unit_price = "0.02"
currency = "USD"
tiers = [{ above = 60, unit_price = "0.01" }]
"#;

pub(super) fn october(count: usize, days: usize, product: &str) -> String {
    made_up(count, days, product).replace("2026-11-", "2026-10-")
}

/// A folder with 100 verifications of October, all archived, seen on the 4th of November.
pub(super) fn after_october() -> Place {
    let mut place = Place::new();
    place.write("idvault.toml", CONTRACT);
    place.now = "2026-10-20T02:00:00Z";
    let pending = place.write("october.csv", october(100, 5, "FACE_LIVENESS"));
    place.night(&["--pending", &pending]);
    place.now = FOURTH;
    place
}

fn close(place: &Place, code: i32) -> super::Ended {
    let close = [
        "close",
        "--month",
        "2026-10",
        "--accept",
        "no-bill=there is no bill in a test",
    ];
    place.idvault(&close).expect(code)
}

/// The vendor's bill as it should be: a line a day, from the amounts of the report.
fn bill_of(place: &Place) -> String {
    let mut days = BTreeMap::<(String, String), (u64, Decimal)>::new();
    for row in lines(&place.idvault(&OCTOBER).expect(0).stdout) {
        if row["billed"] == "yes" && !row["billing_day"].is_empty() {
            let day = days
                .entry((row["billing_day"].clone(), row["region"].clone()))
                .or_default();
            day.0 += row["verifications"].parse::<u64>().unwrap();
            day.1 += row["amount"].parse::<Decimal>().unwrap();
        }
    }
    let mut bill = "BillingDate,BillingItemCode,Region,Usage,PretaxAmount,Currency,Item\n".to_owned();
    for ((day, region), (calls, amount)) in days {
        writeln!(bill, "{day},FACE_LIVENESS,{region},{calls},{amount},USD,PayAsYouGoBill").unwrap();
    }
    place.write("bill.csv", bill)
}

pub(super) fn record_path(place: &Place) -> std::path::PathBuf {
    place.data().join("closed/2026-10.json")
}

fn record(place: &Place) -> Value {
    serde_json::from_slice(&std::fs::read(record_path(place)).unwrap()).unwrap()
}

const FORMATS: [&str; 3] = ["csv", "json", "parquet"];

/// The bytes of October's report, and what was said beside it.
fn written(place: &Place, format: &str) -> (Vec<u8>, String) {
    let path = place.path(&format!("report.{format}"));
    let output = ["--format", format, "--output", path.to_str().unwrap()];
    let said = place.idvault(&[&OCTOBER[..], &output].concat()).expect(0).stderr;
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    (bytes, said)
}

fn sum(rows: &[BTreeMap<String, String>]) -> (u64, Decimal) {
    let verifications = rows.iter().map(|row| row["verifications"].parse::<u64>().unwrap());
    let amounts = rows
        .iter()
        .map(|row| row["amount"].parse::<Decimal>().unwrap_or_default());
    (verifications.sum(), amounts.sum())
}

#[test]
fn a_month_is_signed_off_with_its_figures_and_the_hashes_of_what_is_behind_them() {
    let place = after_october();
    let bill = bill_of(&place);
    let bytes_of_bill = std::fs::read(&bill).unwrap();
    let before = place.idvault(&OCTOBER).expect(0).stdout;
    let said = place
        .idvault(&["close", "--month", "2026-10", "--bill", &bill])
        .expect(0)
        .stdout;
    let (bytes, record) = (std::fs::read(record_path(&place)).unwrap(), record(&place));
    assert!(
        said.contains("2026-10 is closed") && said.contains(&sha256_hex(&bytes)),
        "{said}"
    );
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let path = record_path(&place);
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let files: BTreeMap<&str, &str> = record["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["path"].as_str().unwrap(), file["sha256"].as_str().unwrap()))
        .collect();
    let there = place.archive_files();
    assert!(files.keys().copied().eq(there.iter().map(String::as_str)), "{files:?}");
    for (path, sha256) in files {
        let bytes = std::fs::read(place.data().join("archive").join(path)).unwrap();
        assert_eq!(sha256_hex(&bytes), sha256, "{path}");
    }
    assert_eq!(record["bills"][0]["sha256"], sha256_hex(&bytes_of_bill));
    assert_eq!(
        (&record["accepted_objections"], &record["record_version"]),
        (&serde_json::json!([]), &2.into())
    );
    assert_eq!(record["reconciled"]["beyond_tolerance"], 0);
    assert!(record["reconciled"]["lines"].as_array().unwrap().len() > 3);
    let archived = place.archived("verifications").len();
    assert!(archived > 60, "the tier is reached: {archived}");
    assert_eq!(record["totals"]["verifications"], archived);
    assert_eq!(record["states"]["archived"], archived);
    let (verifications, amount) = sum(&lines(&before));
    let total: Decimal = record["totals"]["amounts"]["USD"].as_str().unwrap().parse().unwrap();
    assert_eq!((verifications, amount), (u64::try_from(archived).unwrap(), total));
    assert_eq!(place.idvault(&OCTOBER).expect(0).stdout, before);
    place.idvault(&["verify"]).expect(0);
}

#[test]
fn a_closed_month_says_the_same_for_ever_and_what_comes_later_is_a_correction() {
    let mut place = after_october();
    let open = sum(&lines(&place.idvault(&OCTOBER).expect(0).stdout));
    close(&place, 0);
    let before = FORMATS.map(|format| written(&place, format).0);
    // Everything changes: the price, a meaning, and ten verifications of October come in, one day of them is unknown.
    place.write(
        "idvault.toml",
        "[[prices.FACE_LIVENESS]]\nunit_price = \"0.5\"\ncurrency = \"USD\"\n\
         tiers = [{ above = 60, unit_price = \"0.25\" }]\n[sub_codes.FACE_LIVENESS.205]\nmeaning = \"else\"\nbilled = true\n",
    );
    place.now = LATER;
    let late = made_up(12, 1, "FACE_LIVENESS")
        .replace("2026-11-01", "2026-10-28")
        .replace("made", "late");
    let late = place.write("late.csv", late + "timeless1,FACE_LIVENESS,ap-southeast-1,\n");
    place.night(&["--pending", &late]);
    for (format, before) in FORMATS.into_iter().zip(before) {
        let (again, said) = written(&place, format);
        assert_eq!(again, before, "{format}");
        assert!(said.contains("came after the month was closed"), "{said}");
    }
    let archived = place.archived("verifications");
    let late = archived.iter().filter(|row| row.billing_day() == Some("2026-10-28"));
    let late: Vec<&str> = late.map(|row| row.text("sub_code").unwrap()).collect();
    assert!(late.len() > 5, "{late:?}");
    let with = lines(
        &place
            .idvault(&[&OCTOBER[..], &["--corrections"]].concat())
            .expect(0)
            .stdout,
    );
    let (corrections, signed): (Vec<_>, Vec<_>) = with.into_iter().partition(|row| row["correction"] == "yes");
    let signed: Vec<_> = signed
        .into_iter()
        .filter(|row| !row["billing_day"].is_empty())
        .collect();
    assert_eq!(sum(&signed), open);
    // They cost what was signed: the volume of the month was above the tier when they came.
    let signed_price: Decimal = "0.01".parse().unwrap();
    let expected = u64::try_from(late.len()).unwrap();
    assert_eq!(sum(&corrections), (expected, signed_price * Decimal::from(expected)));
    assert!(corrections.iter().all(|row| row["billing_day"] == "2026-10-28"));
    let nightly = place.report("billing.csv");
    let of_october = |row: &&BTreeMap<String, String>| row["billing_day"].starts_with("2026-10");
    let nightly: Vec<_> = nightly.iter().filter(of_october).cloned().collect();
    assert_eq!(
        sum(&nightly),
        (open.0 + expected, open.1 + signed_price * Decimal::from(expected))
    );
    assert_eq!(place.summary()["billing"]["corrections"], expected);
    place.idvault(&["verify"]).expect(0);
}

#[test]
fn a_month_is_not_closed_before_it_is_final_or_while_something_speaks_against_it() {
    let mut place = after_october();
    place.now = THIRD;
    let early = close(&place, 2);
    assert!(early.stderr.contains("until 2026-11-04"), "{}", early.stderr);
    place.now = FOURTH;
    place.idvault(&["close", "--month", "2026-10"]).expect(2);
    place
        .idvault(&["close", "--month", "2026-13", "--accept", "no-bill=x"])
        .expect(2);
    let bill = bill_of(&place);
    let unknown = place.write("unknown.csv", october(20, 1, "FACE_VERIFY").replace("made", "verify"));
    place.night(&["--pending", &unknown]);
    let against = place
        .idvault(&["close", "--month", "2026-10", "--bill", &bill])
        .expect(9)
        .stdout;
    assert!(
        against.contains("whether FACE_VERIFY with the sub code 200 is billed; verifications: "),
        "{against}"
    );
    assert!(!record_path(&place).exists());
    let missing = [
        "close",
        "--month",
        "2026-10",
        "--bill",
        "missing.csv",
        "--accept",
        "no-bill=x",
    ];
    place.idvault(&missing).expect(3);
    assert!(!record_path(&place).exists());
    // Each is accepted by its name, and none by another's.
    let listed = close(&place, 9).stdout;
    let names = listed
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name);
    let accepted: Vec<String> = names
        .map(|name| format!("--accept={name}=asked on 4 November"))
        .collect();
    let no_bill = ["close", "--month", "2026-10", "--accept=no-bill=there is none"];
    let accepted = accepted.iter().map(String::as_str);
    let args: Vec<&str> = no_bill.into_iter().chain(accepted).collect();
    place.idvault(&args).expect(0);
    let said = record(&place)["accepted_objections"].to_string();
    assert!(said.contains("no bill") && said.contains("FACE_VERIFY"), "{said}");
}

#[test]
fn a_wrong_bill_is_not_signed_off_unless_somebody_says_why() {
    let place = after_october();
    let right = bill_of(&place);
    let text = std::fs::read_to_string(&right).unwrap();
    let day = text.lines().nth(2).unwrap();
    let mut cells: Vec<String> = day.split(',').map(str::to_owned).collect();
    let amount: Decimal = cells[4].parse().unwrap();
    cells[4] = (amount + "0.05".parse::<Decimal>().unwrap()).to_string();
    let wrong = place.write("wrong.csv", text.replace(day, &cells.join(",")));
    let with = |more: &[&str]| {
        let close = [&["close", "--month", "2026-10", "--bill", &wrong], more].concat();
        place.idvault(&close)
    };
    let refused = with(&[]).expect(9).stdout;
    assert!(
        refused.contains("overcharged/USD: the bill is 0.05 USD too high"),
        "{refused}"
    );
    with(&["--tolerance", "0.04"]).expect(9);
    assert!(!record_path(&place).exists());
    with(&["--accept", "overcharged/USD=the vendor pays it back in November"]).expect(0);
    let record = record(&place);
    let accepted = &record["accepted_objections"][0];
    assert_eq!(accepted["reason"], "the vendor pays it back in November");
    assert_eq!(accepted["objection"], "the bill is 0.05 USD too high");
    assert_eq!(record["reconciled"]["beyond_tolerance"], 1);
}

#[test]
fn a_bill_that_is_wrong_within_the_tolerance_is_signed_off() {
    let place = after_october();
    let text = std::fs::read_to_string(bill_of(&place)).unwrap();
    let day = text.lines().nth(2).unwrap();
    let (before, rest) = day.rsplit_once(",USD").unwrap();
    let wrong = place.write("wrong.csv", text.replace(day, &format!("{before}1,USD{rest}")));
    let close = ["close", "--month", "2026-10", "--bill", &wrong];
    place.idvault(&close).expect(9);
    place
        .idvault(&[&close[..], &["--tolerance", "0.01"]].concat())
        .expect(0);
}

/// What is signed off is what the archive holds: each of these is found before.
#[test]
fn a_month_whose_archive_and_ledger_differ_is_not_closed() {
    for (what, tamper) in [
        (
            "tallied as",
            "UPDATE tallies SET sub_code = '204' WHERE (path, sub_code) = (SELECT path, sub_code FROM tallies \
             WHERE sub_code = '200' AND path NOT IN (SELECT path FROM tallies WHERE sub_code = '204') LIMIT 1)",
        ),
        (
            "archived ids of",
            "UPDATE transactions SET sub_code = '204' WHERE transaction_id = (SELECT transaction_id FROM transactions \
             WHERE sub_code = '200' LIMIT 1)",
        ),
        (
            "another SHA-256",
            "UPDATE files SET sha256 = replace(sha256, substr(sha256, 1, 1), 'x')",
        ),
    ] {
        let place = after_october();
        edit(&place, tamper);
        let refused = close(&place, 9);
        assert!(refused.stdout.contains(what), "{what}: {}", refused.stdout);
        assert!(!record_path(&place).exists(), "{what}");
    }
}

/// As after a crash between the ledger's commit and the file: the next `close` writes it again.
#[test]
fn closing_again_changes_nothing_and_writes_a_missing_file_again() {
    let mut place = after_october();
    close(&place, 0);
    let bytes = std::fs::read(record_path(&place)).unwrap();
    place.now = LATER;
    assert!(close(&place, 0).stdout.contains("was closed already"));
    assert_eq!(std::fs::read(record_path(&place)).unwrap(), bytes);
    std::fs::remove_file(record_path(&place)).unwrap();
    place.idvault(&["verify"]).expect(9);
    close(&place, 0);
    assert_eq!(std::fs::read(record_path(&place)).unwrap(), bytes);
    place.idvault(&["verify"]).expect(0);
}

#[test]
fn a_hand_in_a_closed_month_is_found() {
    let place = after_october();
    close(&place, 0);
    let path = record_path(&place);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&bytes[..], b"\n"].concat()).unwrap();
    let verify = place.idvault(&["verify"]).expect(9).stdout;
    assert!(
        verify.contains("closed: 2026-10: ") && verify.contains("not what was signed off"),
        "{verify}"
    );
    std::fs::write(&path, &bytes).unwrap();
    place.idvault(&["verify"]).expect(0);
    edit(
        &place,
        "UPDATE closed_months SET record = replace(record, '0.02', '0.03')",
    );
    let verify = place.idvault(&["verify"]).expect(9).stdout;
    assert!(
        verify.contains("closed: 2026-10: its record is not what was signed off"),
        "{verify}"
    );
    let report = place.idvault(&OCTOBER).expect(9);
    assert!(report.stderr.contains("not what was signed off"), "{}", report.stderr);
    place.night(&[]);
    let reasons = place.summary()["reasons"].as_array().unwrap().clone();
    let named = reasons.iter().find(|reason| reason["exit_code"] == 9).unwrap();
    assert!(
        named["reason"].as_str().unwrap().contains("the closed month 2026-10"),
        "{named}"
    );
}

/// What two closed months used of a package is used: late records of the first one don't use it again.
#[test]
fn a_package_never_pays_for_more_than_it_has() {
    let september = made_up(60, 5, "FACE_LIVENESS")
        .replace("2026-11-", "2026-09-")
        .replace("made", "september");
    let mut place = Place::new();
    place.now = "2026-09-20T02:00:00Z";
    let pending = place.write("september.csv", september);
    place.night(&["--pending", &pending]);
    place.now = "2026-10-20T02:00:00Z";
    let pending = place.write("october.csv", october(60, 5, "FACE_LIVENESS"));
    place.night(&["--pending", &pending]);
    place.now = FOURTH;
    let all = ["report", "billing", "--all", "--corrections"];
    let sum_of = |rows: &[BTreeMap<String, String>], is_one: &dyn Fn(&BTreeMap<String, String>) -> bool| -> u64 {
        let own = rows.iter().filter(|row| is_one(row));
        own.map(|row| row["verifications"].parse::<u64>().unwrap()).sum()
    };
    let rows = lines(&place.idvault(&all).expect(0).stdout);
    let of_september = sum_of(&rows, &|row| {
        row["billed"] == "yes" && row["billing_day"].starts_with("2026-09")
    });
    let quantity = of_september + 20;
    let package = format!(
        "[[packages]]\nname = 'p'\nproduct = 'FACE_LIVENESS'\nquantity = {quantity}\nfrom = '2026-09-01'\nuntil = '2026-10-31'\n"
    );
    place.write("idvault.toml", package);
    for month in ["2026-09", "2026-10"] {
        place
            .idvault(&["close", "--month", month, "--accept", "no-bill=a test"])
            .expect(0);
    }
    edit(
        &place,
        "INSERT INTO files (path, dataset, billing_day, rows, bytes, sha256, run_id, state, published_at) \
         SELECT 'verifications/billing_day=2026-09-28/late.parquet', dataset, '2026-09-28', 10, 1, '', run_id, state, 0 \
         FROM files WHERE dataset = 'verifications' LIMIT 1;
         INSERT INTO tallies (path, product_code, region, sub_code, verifications) \
         VALUES ('verifications/billing_day=2026-09-28/late.parquet', 'FACE_LIVENESS', 'ap-southeast-1', '200', 10)",
    );
    let rows = lines(&place.idvault(&all).expect(0).stdout);
    assert_eq!(sum_of(&rows, &|row| row["package"] == "p"), quantity);
    let late = |row: &BTreeMap<String, String>| row["correction"] == "yes" && row["package"].is_empty();
    assert_eq!(sum_of(&rows, &late), 10);
}

/// The record has all prices, so that a comparison of a closed month does not change with the configuration.
#[test]
fn a_closed_month_keeps_its_prices_and_takes_no_other_bill() {
    let place = after_october();
    let bill = bill_of(&place);
    let close = ["close", "--month", "2026-10", "--bill", &bill];
    place.idvault(&close).expect(0);
    place.write("idvault.toml", CONTRACT.replace("0.02", "0.05"));
    place.idvault(&["reconcile", "--bill", &bill]).expect(0);
    place.idvault(&close).expect(0);
    let other = std::fs::read_to_string(&bill).unwrap() + "2026-10-01,FACE_LIVENESS,ap-southeast-1,0,-1,USD,Refund\n";
    let other = place.write("other.csv", other);
    let refused = place
        .idvault(&["close", "--month", "2026-10", "--bill", &other])
        .expect(9)
        .stdout;
    assert!(refused.contains("is not what it was signed off with"), "{refused}");
    let nothing = place
        .idvault(&["close", "--month", "2025-01", "--accept", "no-bill=x"])
        .expect(9)
        .stdout;
    assert!(
        nothing.contains("no bill, no record and no verification of 2025-01"),
        "{nothing}"
    );
}

/// What comes after a month was closed is signed off in its turn, and each record has the hash of the one before.
#[test]
fn corrections_are_numbered_signed_and_chained() {
    let mut place = after_october();
    let correct =
        |place: &Place, more: &[&str]| place.idvault(&[&["close", "--month", "2026-10", "--correct"], more].concat());
    correct(&place, &["--accept", "no-bill=x"]).expect(2);
    close(&place, 0);
    let nothing = correct(&place, &["--accept", "no-bill=x"]).expect(9).stdout;
    assert!(nothing.contains("no new verification of 2026-10"), "{nothing}");
    let mut signed = Vec::new();
    for (number, day) in [(1, "2026-10-28"), (2, "2026-10-27")] {
        place.now = LATER;
        let late = made_up(12, 1, "FACE_LIVENESS")
            .replace("2026-11-01", day)
            .replace("made", day);
        let late = place.write("late.csv", late);
        place.night(&["--pending", &late]);
        let refused = correct(&place, &["--bill", &bill_of(&place)]);
        assert_eq!(
            refused.code,
            Some(9),
            "the bill has the month without its corrections: {}",
            refused.stdout
        );
        let listed = correct(&place, &["--accept", "no-bill=a test"]);
        let said = listed.expect(0).stdout;
        assert!(
            said.contains(&format!("2026-10, correction {number}, is closed")),
            "{said}"
        );
        let path = place.data().join(format!("closed/2026-10-correction-{number}.json"));
        let record: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let days: Vec<&Value> = record["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["billing_day"])
            .collect();
        assert!(!days.is_empty() && days.iter().all(|own| **own == day), "{days:?}");
        assert_eq!(record["correction"], number);
        signed.push(record["previous_sha256"].as_str().unwrap().to_owned());
    }
    let first = sha256_hex(&std::fs::read(record_path(&place)).unwrap());
    let second = sha256_hex(&std::fs::read(place.data().join("closed/2026-10-correction-1.json")).unwrap());
    assert_eq!(signed, [first, second]);
    let with = lines(
        &place
            .idvault(&[&OCTOBER[..], &["--corrections"]].concat())
            .expect(0)
            .stdout,
    );
    let corrections = with.iter().filter(|row| row["correction"] == "yes").count();
    assert!(corrections > 1);
    place.idvault(&["verify"]).expect(0);
    // Without the first correction, the second one follows nothing.
    edit(&place, "DELETE FROM closed_corrections WHERE number = 1");
    let verify = place.idvault(&["verify"]).expect(9).stdout;
    assert!(verify.contains("the record that was signed before it"), "{verify}");
}
