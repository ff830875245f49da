use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::files;

const HEADER: &str = "BillingDate,BillingItemCode,Region,Usage,ListPrice,PretaxGrossAmount,InvoiceDiscount,DeductedByResourcePackage,PretaxAmount,Currency,Item";
const LINE: &str = "2026-11-21,FACE_LIVENESS,ap-southeast-1,100,0.026,2.6,0.1,10,2.5,USD,PayAsYouGoBill";

fn settings() -> BillSettings {
    let products = [
        ("FL".to_owned(), "FACE_LIVENESS".to_owned()),
        ("ecs".to_owned(), "-".to_owned()),
    ];
    let known = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    BillSettings::new(Named {
        products: products.into(),
        regions: [("SG1".to_owned(), "ap-southeast-1".to_owned())].into(),
        known_products: known(&["FACE_LIVENESS", "eKYC"]),
        known_regions: known(&["ap-southeast-1", "cn-hongkong"]),
        ..Named::default()
    })
}

/// Reads these files, written as `bill-0.csv` and so on.
fn read_all(files: &[&[u8]]) -> Result<Bill, String> {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..files.len())
        .map(|number| dir.path().join(format!("bill-{number}.csv")))
        .collect();
    for (path, bytes) in paths.iter().zip(files) {
        files::create_private(path).unwrap().write_all(bytes).unwrap();
    }
    let folder = format!("{}/", dir.path().display());
    read(&paths, &settings()).map_err(|error| crate::error_chain(&error).replace(&folder, ""))
}

fn read_text(text: &str) -> Result<Bill, String> {
    read_all(&[text.as_bytes()])
}

fn expected() -> BillLine {
    BillLine {
        file: 0,
        line: 2,
        day: "2026-11-21".parse().unwrap(),
        product_code: "FACE_LIVENESS".to_owned(),
        region: "ap-southeast-1".to_owned(),
        kind: LineKind::Usage,
        quantity: 100,
        deducted: 10,
        list_price: Some(Decimal::new(26, 3)),
        gross: Some(Decimal::new(26, 1)),
        discount: Some(Decimal::new(1, 1)),
        coupon: Decimal::ZERO,
        net: Decimal::new(25, 1),
        currency: "USD".to_owned(),
    }
}

#[test]
fn a_line_is_the_same_however_the_file_is_written() {
    let plain = format!("{HEADER}\n{LINE}\n");
    let semicolons = plain.replace(',', ";");
    let tabs = plain.replace(',', "\t");
    let quoted = format!("{HEADER}\r\n\"{}\"\r\n", LINE.replace(',', "\",\""));
    let chinese = "\u{feff}账单日期,计费项,地域,用量,官网单价,官网目录价,优惠金额,资源包抵扣,应付金额,币种,账单类型\n2026/11/21 \
                   00:00:00,FL,新加坡,100.000,0.0260,2.60,0.10,10,2.50,USD,按量付费\n";
    let other_names = plain
        .replace("BillingDate", "billing date")
        .replace("2026-11-21", "20261121")
        .replace("ap-southeast-1", "SG1");
    for text in [&plain, &semicolons, &tabs, &quoted, chinese, &other_names] {
        assert_eq!(read_text(text).unwrap().lines, [expected()], "{text}");
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(plain.as_bytes()).unwrap();
    assert_eq!(read_all(&[&packed.finish().unwrap()]).unwrap().lines, [expected()]);
}

#[test]
fn files_are_one_bill_and_lines_of_other_services_are_counted() {
    let first = format!("{HEADER}\n{LINE}\n2026-11-21,ecs,Mars,1,1,1,0,0,1,CNY,PayAsYouGoBill\n");
    let second = format!("{HEADER}\n2026-11-21,FACE_LIVENESS,ap-southeast-1,-1,,,,,-0.025,USD,Refund\n");
    let bill = read_all(&[first.as_bytes(), second.as_bytes()]).unwrap();
    assert_eq!((bill.files.len(), bill.lines.len(), bill.not_ours), (2, 2, 1));
    let refund = &bill.lines[1];
    assert_eq!(
        (refund.file, refund.line, refund.kind, refund.quantity),
        (1, 2, LineKind::Refund, -1)
    );
    assert_eq!(refund.net, Decimal::new(-25, 3));
}

/// Everything that is wrong with a bill ends in a sentence that names file, line and, where it is about one, column.
#[test]
fn what_is_malformed_is_named_by_file_line_and_column() {
    let with = |from: &str, to: &str| format!("{HEADER}\n{}\n", LINE.replacen(from, to, 1));
    let column = |name: &str, to: &str| format!("{}\n{LINE}\n", HEADER.replacen(name, to, 1));
    let twice = format!("{HEADER}\n{LINE}\n\n{LINE}\n");
    let mixed = format!(
        "{HEADER}\n{LINE}\n{}\n",
        LINE.replace("-21", "-22").replace("USD", "CNY")
    );
    let cut = format!("{HEADER}\n{LINE}");
    for (text, place, what) in [
        (
            column("BillingDate", "When"),
            "line 1: ",
            "no column \"BillingDate\", only \"When\"",
        ),
        (column("BillingItemCode", "x"), "line 1: ", "bill.columns.item = "),
        (column("PretaxGrossAmount", "Currency"), "line 1: ", "say the same"),
        (twice, "line 4: ", "the same as line 2 of bill-0.csv"),
        (mixed, "line 3, column \"Currency\": ", "in USD in line 2 of bill-0.csv"),
        (cut[..cut.len() - 20].to_owned(), "line 2: ", "cut off"),
        (cut, "line 2: ", "without a line end"),
        (format!("{HEADER}\n"), "line 2: ", "no line below the header"),
        (
            with("100", "\"1,100\""),
            "line 2, column \"Usage\": ",
            "thousands separators",
        ),
        (
            with("2.5,", "\"2,5\","),
            "line 2, column \"PretaxAmount\": ",
            "decimal commas",
        ),
        (with("100", "-100"), "line 2, column \"Usage\": ", "below zero"),
        (with("100", ""), "line 2, column \"Usage\": ", "not a number"),
        (with("100", "1.5"), "line 2, column \"Usage\": ", "whole"),
        (
            with("10,2.5", "101,2.5"),
            "line 2, column \"DeductedByResourcePackage\": ",
            "101 of 100 calls",
        ),
        (
            with("PayAsYouGoBill", "Refund"),
            "line 2, column \"Usage\": ",
            "above zero in a refund",
        ),
        (
            with("PayAsYouGoBill", "Tip"),
            "line 2, column \"Item\": ",
            "no known kind",
        ),
        (
            with("FACE_LIVENESS", "MAGIC"),
            "line 2, column \"BillingItemCode\": ",
            "\"MAGIC\" = \"FACE_LIVENESS\"",
        ),
        (
            with("ap-southeast-1", "Mars"),
            "line 2, column \"Region\": ",
            "[bill.regions]",
        ),
        (
            with("2026-11-21", "21.11.2026"),
            "line 2, column \"BillingDate\": ",
            "not a day",
        ),
        (
            with("2026-11-21", "2026-11-31"),
            "line 2, column \"BillingDate\": ",
            "not a day",
        ),
        (with("USD", "US$"), "line 2, column \"Currency\": ", "not a currency"),
        (with("2026-11-21", "\"2026-11-21"), "line 2: ", "quote"),
        (with("USD", "USD,more"), "line 2: ", "12 cells and the header 11"),
        (with("FACE", "FACE\0"), "line 2: ", "not UTF-8"),
    ] {
        let error = read_text(&text).unwrap_err();
        assert!(error.starts_with(&format!("bill-0.csv, {place}")), "{text}: {error}");
        assert!(error.contains(what), "{text}: {error}");
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(format!("{HEADER}\n{LINE}\n").as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let error = read_all(&[&packed[..packed.len() - 9]]).unwrap_err();
    assert!(error.contains("bill-0.csv") && error.contains("cut short"), "{error}");
    assert!(read_text("").unwrap_err().contains("bill-0.csv is empty"));
}

#[test]
fn the_same_file_given_twice_is_refused() {
    let text = format!("{HEADER}\n{LINE}\n");
    let error = read_all(&[text.as_bytes(), text.as_bytes()]).unwrap_err();
    assert!(
        error.starts_with("bill-1.csv, line 2: ") && error.contains("line 2 of bill-0.csv"),
        "{error}"
    );
}

#[test]
fn the_configuration_names_columns_in_place_of_the_built_in_ones() {
    let columns: BillColumns = toml::from_str("day = 'When'").unwrap();
    let known = |name: &str| BTreeSet::from([name.to_owned()]);
    let settings = BillSettings::new(Named {
        columns,
        known_products: known("FACE_LIVENESS"),
        known_regions: known("ap-southeast-1"),
        ..Named::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bill.csv");
    let text = format!("{}\n{LINE}\n", HEADER.replace("BillingDate", "When"));
    files::create_private(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert_eq!(read(&[path], &settings).unwrap().lines, [expected()]);
    assert!(toml::from_str::<BillColumns>("when = 'x'").is_err());
}
