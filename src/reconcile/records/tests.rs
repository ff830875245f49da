use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::config::{ConfigFile, Overrides, Settings};
use crate::files;

mod workbooks;

const HEADER: &str = "TransactionId,ProductCode,Region,VerifyTime,Passed,SubCode,MerchantBizId";
const LINE: &str = "hks1,FACE_LIVENESS,ap-southeast-1,2026-11-21T08:30:00+08:00,Y,200,order1";

fn settings(config: &str) -> RecordsSettings {
    let file: ConfigFile = toml::from_str(config).unwrap();
    Settings::new(file, Overrides::default()).unwrap().records
}

/// Reads these files, written as `0.csv` and so on, by their ends.
fn read_all(files: &[(&str, &[u8])], config: &str) -> Result<(Vec<VendorRecord>, u64), String> {
    let dir = tempfile::tempdir().unwrap();
    let numbered = files.iter().enumerate();
    let paths: Vec<PathBuf> = numbered
        .map(|(at, (end, _))| dir.path().join(format!("{at}.{end}")))
        .collect();
    for (path, (_, bytes)) in paths.iter().zip(files) {
        files::create_private(path).unwrap().write_all(bytes).unwrap();
    }
    let mut records: Vec<VendorRecord> = Vec::new();
    let settings = settings(config);
    let exports = parse(&paths, &settings, dir.path()).unwrap();
    let read = read::<SourceError>(exports, &settings, &mut |record| {
        let is_first = records
            .iter()
            .all(|other| other.transaction_id != record.transaction_id);
        records.push(record.clone());
        Ok(is_first)
    });
    let folder = format!("{}/", dir.path().display());
    match read {
        Ok(not_ours) => Ok((records, not_ours)),
        Err(error) => Err(crate::error_chain(&error).replace(&folder, "")),
    }
}

fn read_text(text: &str) -> Result<(Vec<VendorRecord>, u64), String> {
    read_all(&[("csv", text.as_bytes())], "")
}

fn expected() -> VendorRecord {
    VendorRecord {
        transaction_id: crate::record::TransactionId::parse("hks1").unwrap(),
        merchant_biz_id: Some(crate::record::MerchantBizId::parse("order1").unwrap()),
        product_code: Some(crate::record::ProductCode::parse("FACE_LIVENESS").unwrap()),
        region: Some(crate::record::Region::parse("ap-southeast-1").unwrap()),
        verified_at: "2026-11-21T00:30:00Z".parse().unwrap(),
        passed: Some(true),
        sub_code: Some("200".to_owned()),
    }
}

#[test]
fn an_export_is_read_whatever_it_is_called_and_however_it_is_packed() {
    let plain = format!("{HEADER}\n{LINE}\n");
    let chinese = "交易ID;产品;地域;认证时间;是否通过;子码;商户业务ID\n\
                   hks1;FACE_LIVENESS;新加坡;2026/11/21 08:30:00;通过;200;order1\n";
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(plain.as_bytes()).unwrap();
    let with_mark = [b"\xEF\xBB\xBF", plain.as_bytes()].concat();
    for (end, bytes) in [
        ("csv", plain.clone().into_bytes()),
        ("csv", chinese.as_bytes().to_vec()),
        ("csv.gz", packed.finish().unwrap()),
        ("csv", with_mark),
    ] {
        let (records, not_ours) = read_all(&[(end, &bytes)], "").unwrap();
        assert_eq!((records, not_ours), (vec![expected()], 0), "{end}");
    }
}

#[test]
fn what_an_export_does_not_say_is_unknown_and_what_the_configuration_says_holds() {
    let (records, _) = read_text("transaction_id,time\nhks1,2026-11-21 08:30\n").unwrap();
    let unsaid = VendorRecord {
        merchant_biz_id: None,
        product_code: None,
        region: None,
        passed: None,
        sub_code: None,
        ..expected()
    };
    assert_eq!(records, std::slice::from_ref(&unsaid));
    let (records, _) = read_text("transaction_id,time,passed,product,region\nhks1,2026-11-21 08:30,P,,\n").unwrap();
    assert_eq!(records, [unsaid]);
    let config = "[records]\ntime_zone = 'UTC'\n[records.columns]\ntransaction_id = 'No'\n[bill.products]\nfl = 'FACE_LIVENESS'\n\
                  ecs = '-'\n[bill.regions]\nHome = 'ap-southeast-1'";
    let text = "No,Time,Product,Region,Passed,SubCode,MerchantBizId\nhks1,2026-11-21 00:30,FL,home,是,200,order1\n\
                x,2026-11-21 00:30,ecs,Mars,?,,\n";
    let (records, not_ours) = read_all(&[("csv", text.as_bytes())], config).unwrap();
    assert_eq!((records, not_ours), (vec![expected()], 1));
}

#[test]
fn an_export_that_can_t_be_taken_is_refused_with_its_line_and_column() {
    let with = |line: &str| format!("{HEADER}\n{LINE}\n{line}\n");
    let other = |from: &str, to: &str| with(&LINE.replace("hks1", "hks2").replace(from, to));
    for (text, said) in [
        (
            format!("{}\n{LINE}\n", HEADER.replace("TransactionId", "x")),
            "0.csv, line 1: there is no column \"TransactionId\"",
        ),
        (
            format!("{}\n{LINE}\n", HEADER.replace("VerifyTime", "x")),
            "0.csv, line 1: there is no column \"VerifyTime\"",
        ),
        (
            format!("{}\n{LINE}\n", HEADER.replace("MerchantBizId", "Time")),
            "0.csv, line 1: the columns \"VerifyTime\" and \"Time\"",
        ),
        (
            with(LINE),
            "0.csv, line 3, column \"TransactionId\": the record of \"hks1\" came before",
        ),
        (
            other("hks2", "../hks2"),
            "0.csv, line 3, column \"TransactionId\": \"../hks2\": transaction_id holds '.'",
        ),
        (
            other("hks2", ""),
            "0.csv, line 3, column \"TransactionId\": \"\": transaction_id is empty",
        ),
        (
            other("2026-11-21T08:30:00+08:00", "21.11.2026"),
            "0.csv, line 3, column \"VerifyTime\": verified_at \"21.11.2026\"",
        ),
        (
            other("2026-11-21T08:30:00+08:00", ""),
            "0.csv, line 3, column \"VerifyTime\": the cell is empty",
        ),
        (
            other("FACE_LIVENESS", "MAGIC"),
            "0.csv, line 3, column \"ProductCode\": no product is known as \"MAGIC\"",
        ),
        (
            other("ap-southeast-1", "Mars"),
            "0.csv, line 3, column \"Region\": no region is known as \"Mars\"",
        ),
        (
            other(",Y,", ",=1+1,"),
            "0.csv, line 3, column \"Passed\": \"=1+1\" is no verdict",
        ),
        (
            other(",200,", ",2 00,"),
            "0.csv, line 3, column \"SubCode\": \"2 00\" is not a sub code",
        ),
        (
            format!("{HEADER}\n{LINE}\nhks2,FACE"),
            "0.csv, line 3: the row has 2 cells and the header 7",
        ),
        (
            format!("{HEADER}\n{LINE}"),
            "0.csv, line 2: the file ends without a line end",
        ),
        (
            format!("{HEADER}\n"),
            "0.csv, line 2: there is no line below the header",
        ),
        (String::new(), "0.csv is empty"),
    ] {
        let error = read_text(&text).unwrap_err();
        assert!(error.contains(said), "{said}: {error}");
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(format!("{HEADER}\n{LINE}\n").as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let error = read_all(&[("csv.gz", &packed[..packed.len() - 9])], "").unwrap_err();
    assert!(error.contains("failed to unpack 0.csv.gz"), "{error}");
}

#[test]
fn an_id_that_is_in_two_files_is_there_twice() {
    let text = format!("{HEADER}\n{LINE}\n");
    let error = read_all(&[("csv", text.as_bytes()), ("csv", text.as_bytes())], "").unwrap_err();
    assert!(error.contains("1.csv, line 2, column \"TransactionId\""), "{error}");
}
