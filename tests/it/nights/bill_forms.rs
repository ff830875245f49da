//! Every form in which the vendor exports a bill gives the same figures: a whole company's bill, made from the sample's lines
//! and the header of each form.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use rust_decimal::Decimal;
use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::reconcile::after_the_night;
use super::{Place, lines, samples};

/// Lines of other services in each bill.
const FOREIGN: usize = 300;
const SERVICE: &str = "cloudauth_intl";
const CONFIG: &str = "[bill]\nproduct_codes = ['cloudauth_intl']\ncurrency = 'USD'\n[bill.kinds]\nCredit = 'refund'\n";
const OLD: &str = "Billing Cycle,Cost Center,Account ID,Account Name,Owner Account ID,Owner Account Name,Product Code,Product Name,\
Product Type,Product Detail,Subscription Type,Payment Time,Usage Start Time,Usage End Time,Service Duration,Order No./Bill No.,\
Item,Billing Type,Instance ID,Instance Name,Resource Group,Instance Tag,Instance Config,Instance Spec,Internet IP,Intranet IP,\
Region,Zone,Billing Item,List Price,List Price Unit,Usage,Usage Unit,Deducted By Resource Package,Pretax Gross Amount,\
Invoice Discount,Deducted By Coupons,Currency,Primary Key";
const V2: &str = "BillingDetails/BillingMonth,BillingDetails/BillingDate,BillingDetails/LineItemType,\
IdentityDetails/ResourcePurchaseAccountId,IdentityDetails/ResourceOwnerAccountId,ProductDetails/ProductCode,\
ProductDetails/ProductName,ProductDetails/CommodityCode,ProductDetails/BillingItemCode,ResourceDetails/InstanceId,\
ResourceDetails/RegionCode,ResourceDetails/Zone,ResourceDetails/ResourceTag,UsageDetails/Usage,UsageDetails/UsageUnit,\
FeeDetails/GrossAmount,DiscountDetails/DiscountAmount,PayableDetails/TaxExclusivePayableAmount,PricingDetails/Currency";
const V2_CHINESE: &str = "标识信息/账单明细ID,账单信息/账单月份,账单信息/账单日期,账单信息/费用类型,账单信息/交易类型,产品信息/产品Code,\
产品信息/计费项Code,产品信息/计费项名称,资源信息/地域Code,用量信息/抵扣前用量,用量信息/用量,定价信息/定价币种,费用信息/目录总价,\
优惠信息/优惠金额,优惠券抵扣信息/优惠券抵扣金额,应付信息/应付金额（含税）";
const FOCUS: &str = "BilledCost,BillingCurrency,ChargeCategory,ChargeDescription,ChargePeriodStart,ConsumedQuantity,ConsumedUnit,\
ContractedCost,ContractedUnitPrice,ListCost,ListUnitPrice,PricingQuantity,PricingUnit,RegionId,x_BillingItemCode,\
x_BillingItemName,x_CommodityCode,x_CommodityName,x_InstanceID";
const API: &str = "BillingDate,ProductCode,CommodityCode,BillingItem,BillingItemCode,Region,Usage,UsageUnit,ListPrice,\
PretaxGrossAmount,InvoiceDiscount,DeductedByCoupons,DeductedByResourcePackage,PretaxAmount,Currency,Item";

/// A line of a bill, whatever its form.
#[derive(Clone)]
struct Line {
    number: usize,
    day: String,
    service: &'static str,
    item: String,
    region: String,
    usage: String,
    list_price: String,
    gross: Decimal,
    discount: Decimal,
    net: Decimal,
    kind: String,
}

/// The sample's lines among those of other services.
fn company() -> Vec<Line> {
    let sample = lines(&std::fs::read_to_string(samples("bill-2026-10.csv")).unwrap());
    let own = sample.into_iter().map(|row| {
        let money = |name: &str| row[name].parse::<Decimal>().unwrap();
        Line {
            number: 0,
            day: row["BillingDate"].clone(),
            service: SERVICE,
            item: row["BillingItemCode"].clone(),
            region: row["Region"].clone(),
            usage: row["Usage"].clone(),
            list_price: row["ListPrice"].clone(),
            gross: money("PretaxGrossAmount"),
            discount: money("InvoiceDiscount"),
            net: money("PretaxAmount"),
            kind: row["Item"].clone(),
        }
    });
    let mut all: Vec<Line> = own.collect();
    let first = all[0].clone();
    for number in 0..FOREIGN {
        let net = Decimal::new(i64::try_from(number).unwrap() + 1, 2);
        let foreign = Line {
            service: "ecs",
            item: format!("instance_{}", number % 7),
            region: "moon-1".to_owned(),
            usage: format!("{number}.25"),
            gross: net,
            net,
            ..first.clone()
        };
        let at = (number * 7) % all.len();
        all.insert(at, foreign);
    }
    for (number, line) in all.iter_mut().enumerate() {
        line.number = number;
    }
    all
}

/// A number as a spreadsheet writes it: `4.41E+00`.
fn scientific(number: Decimal) -> String {
    let number = number.normalize();
    if number.is_zero() {
        return "0.00E+00".to_owned();
    }
    let digits = number.mantissa().abs().to_string();
    let exponent = i64::try_from(digits.len()).unwrap() - 1 - i64::from(number.scale());
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let (first, rest) = digits.split_at(1);
    let power = if exponent < 0 { '-' } else { '+' };
    format!(
        "{sign}{first}.{}E{power}{:02}",
        if rest.is_empty() { "0" } else { rest },
        exponent.abs()
    )
}

fn written(header: &str, lines: &[Line], line: impl Fn(&Line) -> String) -> String {
    let mut text = format!("{header}\n");
    for one in lines {
        writeln!(text, "{}", line(one)).unwrap();
    }
    text
}

fn api(lines: &[Line]) -> String {
    written(API, lines, |line| {
        let Line {
            day,
            service,
            item,
            region,
            usage,
            list_price,
            gross,
            discount,
            net,
            kind,
            ..
        } = line;
        format!(
            "{day},{service},{service},,{item},{region},{usage},Times,{list_price},{gross},{discount},0,0,{net},USD,{kind}"
        )
    })
}

/// Without a net amount, amounts with exponents, a price with its unit, and no currency in some lines.
fn old(lines: &[Line]) -> String {
    written(OLD, lines, |line| {
        let Line {
            number,
            day,
            service,
            item,
            region,
            usage,
            list_price,
            kind,
            ..
        } = line;
        let currency = if number % 3 == 0 { "" } else { "USD" };
        let (gross, discount) = (scientific(line.net + line.discount), scientific(line.discount));
        format!(
            "2026-10,,1,a,1,a,{service},,,,PayAsYouGo,,{day} 00:00:00,{day} 23:59:59,,,{kind},,i-{number},,,,,,,,{region},,{item},\
             {list_price} USD/Times,USD/Times,{usage}.000000,Times,0,{gross},{discount},0.00,{currency},key-{number}"
        )
        .replace(".25.000000", ".25")
    })
}

fn v2(lines: &[Line]) -> String {
    written(V2, lines, |line| {
        let Line {
            day,
            service,
            item,
            region,
            usage,
            gross,
            discount,
            net,
            kind,
            number,
            ..
        } = line;
        let day = day.replace('-', "");
        format!(
            "202610,{day},{kind},1,1,{service},,{service},{item},i-{number},{region},,,{usage},Times,{gross},{discount},{net:.14},USD"
        )
    })
}

/// With 6 % tax in what is to be paid.
fn v2_chinese(lines: &[Line]) -> String {
    written(V2_CHINESE, lines, |line| {
        let Line {
            day,
            service,
            item,
            region,
            usage,
            gross,
            discount,
            net,
            kind,
            number,
            ..
        } = line;
        let day = day.replace('-', "");
        let kind = if kind == "Refund" { "退款" } else { "后付费" };
        let taxed = *net * Decimal::new(106, 2);
        format!(
            "id-{number},202610,{day},{kind},,{service},{item},名称,{region},{usage},{usage},USD,{gross},{discount},0,{taxed}"
        )
    })
}

fn focus(lines: &[Line]) -> String {
    written(FOCUS, lines, |line| {
        let Line {
            day,
            service,
            item,
            region,
            usage,
            list_price,
            net,
            kind,
            number,
            ..
        } = line;
        let day: jiff::civil::Date = day.parse().unwrap();
        let begin = format!("{}T16:00:00Z", day.yesterday().unwrap());
        let kind = if kind == "Refund" { "Credit" } else { "Usage" };
        format!("{net},USD,{kind},,{begin},,,,,,{list_price},{usage},,{region},{item},,{service},,i-{number}")
    })
}

/// What is said of a bill, without its file and its form.
fn said(place: &Place, bill: &str, more: &[&str]) -> (String, Value) {
    let args = [&["reconcile", "--bill", bill, "--json", "--month", "2026-10"], more].concat();
    let json = place.idvault(&args).expect(9).json();
    let form = json["forms"][0].as_str().unwrap().to_owned();
    assert_eq!(json["not_ours"], FOREIGN);
    let kept = [
        "totals",
        "explanations",
        "lines",
        "swaps",
        "given_back",
        "beyond_tolerance",
    ];
    let kept = kept.map(|name| (name.to_owned(), json[name].clone()));
    (form, Value::Object(kept.into_iter().collect()))
}

#[test]
fn every_form_of_a_bill_gives_the_same_figures() {
    let place = after_the_night();
    place.write("idvault.toml", CONFIG);
    let lines = company();
    let path = place.write("bill.csv", api(&lines));
    let (form, expected) = said(&place, &path, &[]);
    assert_eq!(form, "api");
    let sample: Value = place
        .idvault(&["reconcile", "--bill", &samples("bill-2026-10.csv"), "--json"])
        .expect(9)
        .json();
    assert_eq!(expected["totals"], sample["totals"]);
    for (name, text) in [("old", old(&lines)), ("v2-en", v2(&lines)), ("focus", focus(&lines))] {
        assert!(text.lines().count() >= 300, "{name}");
        let path = place.write("bill.csv", text);
        assert_eq!(said(&place, &path, &[]), (name.to_owned(), expected.clone()), "{name}");
    }
    let advisory = place
        .idvault(&["reconcile", "--bill", "bill.csv", "--month", "2026-10"])
        .expect(9)
        .stdout;
    assert!(
        advisory.contains("advisory: the vendor says that FOCUS is not for reconciliation"),
        "{advisory}"
    );
    place.write(
        "idvault.toml",
        format!(
            "{}\n",
            CONFIG.replace("[bill.kinds]", "tax_rate = '0.06'\n[bill.kinds]")
        ),
    );
    let path = place.write("bill.csv", v2_chinese(&lines));
    assert_eq!(said(&place, &path, &[]), ("v2-zh".to_owned(), expected));
}

/// The sample's bill in its second form, as the manual uses it.
#[test]
fn the_samples_bill_in_form_v2_says_the_same() {
    let place = after_the_night();
    place.write("idvault.toml", CONFIG);
    let json = |name: &str| {
        place
            .idvault(&["reconcile", "--bill", &samples(name), "--json"])
            .expect(9)
            .json()
    };
    let (api, v2) = (json("bill-2026-10.csv"), json("bill-2026-10-v2.csv"));
    assert_eq!(
        (&v2["totals"], &v2["explanations"]),
        (&api["totals"], &api["explanations"])
    );
    assert_eq!(
        (&v2["forms"], &v2["not_ours"]),
        (&serde_json::json!(["v2-en"]), &3.into())
    );
}

#[test]
fn however_a_bill_is_packed_and_encoded_it_gives_the_same_figures() {
    let place = after_the_night();
    place.write("idvault.toml", CONFIG);
    let lines = company();
    let text = v2(&lines);
    let path = place.write("bill.csv", &text);
    let (_, expected) = said(&place, &path, &[]);
    let quoted: String = text
        .lines()
        .map(|line| format!("\"{}\"\r\n", line.replace(',', "\",\"")))
        .collect::<Vec<_>>()
        .concat();
    let utf16: Vec<u8> = format!("\u{feff}{text}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let total = format!(
        "Total{}\n",
        ",".repeat(text.lines().next().unwrap().matches(',').count())
    );
    let titled = format!("Detailed bill\nAccount: 1\n\n{text}{total}Total,,\n");
    for (what, bytes) in [
        ("every cell in quotes", quoted.into_bytes()),
        ("semicolons", text.replace(',', ";").into_bytes()),
        ("tabs", text.replace(',', "\t").into_bytes()),
        ("UTF-16", utf16),
        ("gzip", gzip.finish().unwrap()),
        ("lines before the header and a total", titled.into_bytes()),
        ("two parts in a ZIP archive", zip_of_two(&text)),
    ] {
        let path = place.write("bill.bin", bytes);
        assert_eq!(said(&place, &path, &[]).1, expected, "{what}");
    }
    place.write(
        "idvault.toml",
        CONFIG.replace("[bill.kinds]", "tax_rate = '0.06'\n[bill.kinds]"),
    );
    let chinese = v2_chinese(&lines);
    let (gb18030, _, had_errors) = encoding_rs::GB18030.encode(&chinese);
    assert!(!had_errors);
    let path = place.write("bill.csv", &*gb18030);
    assert_eq!(said(&place, &path, &[]).1, expected, "GB18030");
}

/// The lines in two files, each with the header.
fn zip_of_two(text: &str) -> Vec<u8> {
    let (header, body) = text.split_once('\n').unwrap();
    let lines: Vec<&str> = body.lines().collect();
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (part, lines) in lines.chunks(lines.len() / 2 + 1).enumerate() {
        archive
            .start_file(format!("bill/part-{part}.csv"), SimpleFileOptions::default())
            .unwrap();
        write!(archive, "{header}\n{}\n", lines.join("\n")).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn all_that_is_wrong_with_a_bill_is_told_at_once_with_the_lines_for_the_configuration() {
    let place = after_the_night();
    let header = "When,BillingItemCode,Where,Calls,PretaxAmount,Currency,Item";
    let path = place.write("bill.csv", format!("{header}\n1,a,b,1,1,USD,Refund\n"));
    let ended = place.idvault(&["reconcile", "--bill", &path]).expect(3);
    let said = "line 1: there is no column \"BillingDate\", \"Region\", \"Usage\", only \"When\"";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    for line in [
        "bill.columns.day = ",
        "bill.columns.region = ",
        "bill.columns.quantity = ",
    ] {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
    // Items that nobody named.
    let mut lines = company();
    for line in lines.iter_mut().filter(|line| line.service == SERVICE) {
        line.item = line
            .item
            .replace("FACE_LIVENESS", "face_live")
            .replace("eKYC", "kyc_code");
    }
    place.write("idvault.toml", CONFIG);
    let path = place.write("bill.csv", v2(&lines));
    let ended = place.idvault(&["reconcile", "--bill", &path]).expect(3);
    for said in [
        "[bill.products]",
        "\"face_live\" = \"-\" # lines: ",
        "\"kyc_code\" = \"-\" # lines: ",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("instance_"), "{}", ended.stderr);
}

#[test]
fn identical_lines_are_taken_where_the_command_line_says_so_and_an_id_tells_them_apart() {
    let place = after_the_night();
    place.write("idvault.toml", CONFIG);
    let mut lines = company();
    let own = lines.iter().find(|line| line.service == SERVICE).unwrap().clone();
    lines.push(own);
    let path = place.write("bill.csv", api(&lines));
    let bill = ["reconcile", "--bill", &path, "--month", "2026-10"];
    let refused = place.idvault(&bill).expect(3);
    assert!(refused.stderr.contains("--allow-identical"), "{}", refused.stderr);
    place.idvault(&[&bill[..], &["--allow-identical"]].concat()).expect(9);
    // The old form has a key for each line.
    let path = place.write("bill.csv", old(&lines));
    let refused = place
        .idvault(&["reconcile", "--bill", &path, "--month", "2026-10", "--allow-identical"])
        .expect(3);
    assert!(refused.stderr.contains("the id \"key-"), "{}", refused.stderr);
    place
        .idvault(&["reconcile", "--bill", &path, "--form", "newest"])
        .expect(2);
}
