//! Workbooks as a library writes them, and as nobody should.

use std::io::Cursor;

use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::reconcile::workbook;

fn write_header(sheet: &mut Worksheet) {
    for (column, name) in (0..).zip(HEADER.split(',')) {
        sheet.write(0, column, name).unwrap();
    }
}

fn write_line(sheet: &mut Worksheet, row: u32, line: &str) {
    for (column, cell) in (0..).zip(line.split(',')) {
        sheet.write(row, column, cell).unwrap();
    }
}

/// A workbook of one sheet, filled by `fill`.
fn workbook(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    write_header(sheet);
    write_line(sheet, 1, LINE);
    fill(sheet);
    workbook.save_to_buffer().unwrap()
}

fn read_workbook(bytes: &[u8]) -> Result<Vec<VendorRecord>, String> {
    read_all(&[("xlsx", bytes)], "").map(|(records, _)| records)
}

#[test]
fn a_workbook_is_read_as_csv_is() {
    let bytes = workbook(|_| {});
    assert_eq!(read_workbook(&bytes).unwrap(), [expected()]);
    // Whatever it is called.
    assert_eq!(read_all(&[("csv", &bytes)], "").unwrap().0, [expected()]);
}

#[test]
fn dates_and_numbers_of_a_spreadsheet_are_what_they_show() {
    let bytes = workbook(|sheet| {
        let format = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
        let time = ExcelDateTime::from_ymd(2026, 11, 21)
            .unwrap()
            .and_hms(8, 30, 0)
            .unwrap();
        // A row that is left out is none.
        sheet.write(3, 0, "hks2").unwrap();
        sheet.write_with_format(3, 3, &time, &format).unwrap();
        sheet.write(3, 4, true).unwrap();
        sheet.write(3, 5, 200).unwrap();
    });
    let records = read_workbook(&bytes).unwrap();
    assert_eq!(records[1].verified_at, expected().verified_at);
    assert_eq!(
        (
            records[1].passed,
            records[1].sub_code.as_deref(),
            &records[1].product_code
        ),
        (Some(true), Some("200"), &None)
    );
}

#[test]
fn the_first_sheet_with_the_columns_is_read() {
    let mut workbook = Workbook::new();
    workbook.add_worksheet().write(0, 0, "Summary").unwrap();
    workbook.add_worksheet();
    let sheet = workbook.add_worksheet();
    write_header(sheet);
    write_line(sheet, 1, LINE);
    assert_eq!(
        read_workbook(&workbook.save_to_buffer().unwrap()).unwrap(),
        [expected()]
    );
}

#[test]
fn a_workbook_that_can_t_be_taken_is_refused_with_its_sheet_line_and_column() {
    let cell = |row: u32, column: u16, text: &str| {
        let text = text.to_owned();
        workbook(move |sheet| {
            write_line(sheet, row, &LINE.replace("hks1", "hks2"));
            sheet.write(row, column, text).unwrap();
        })
    };
    let mut wrong_sheet = Workbook::new();
    wrong_sheet
        .add_worksheet()
        .set_name("Statistics")
        .unwrap()
        .write(0, 0, "Day")
        .unwrap();
    let sheet = "0.xlsx, sheet \"Sheet1\"";
    for (bytes, said) in [
        (
            cell(2, 0, "hks1"),
            format!("{sheet}, line 3, column \"TransactionId\": the record of \"hks1\" came before"),
        ),
        (
            cell(4, 3, "soon"),
            format!("{sheet}, line 5, column \"VerifyTime\": verified_at \"soon\""),
        ),
        (
            cell(2, 1, "=cmd"),
            format!("{sheet}, line 3, column \"ProductCode\": no product is known as \"=cmd\""),
        ),
        (
            cell(2, 9, "x"),
            format!("{sheet}, line 3: there is a cell in column 10, where the header has 7"),
        ),
        (
            workbook(|sheet| drop(sheet.write(2, 0, 12_345_678_901_234_567_890.0_f64))),
            format!("{sheet}, line 3, column \"TransactionId\": the cell holds a number that has lost digits"),
        ),
        (
            workbook(|sheet| drop(sheet.write(2, 0, Formula::new("=1/0").set_result("#DIV/0!")))),
            format!("{sheet}, line 3, column \"TransactionId\": "),
        ),
        (
            wrong_sheet.save_to_buffer().unwrap(),
            "0.xlsx, sheet \"Statistics\", line 1: there is no column \"TransactionId\"".to_owned(),
        ),
        (
            workbook(|_| {})[..900].to_vec(),
            "0.xlsx: it is no XLSX workbook, or was damaged or cut off".to_owned(),
        ),
        (b"PK\x03\x04".to_vec(), "0.xlsx: it is no XLSX workbook".to_owned()),
        (
            b"\xd0\xcf\x11\xe0old".to_vec(),
            "0.xlsx: it is a workbook of the old format".to_owned(),
        ),
    ] {
        let error = read_workbook(&bytes).unwrap_err();
        assert!(error.contains(&said), "{said}: {error}");
    }
}

/// A zip archive of these parts.
fn zipped(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_workbook_that_would_fill_the_memory_is_refused() {
    // Two parts that are too much together; the limit is smaller here, as packing takes its time.
    let part = vec![b' '; 3 << 19];
    let bomb = zipped(&[("xl/worksheets/sheet1.xml", &part), ("xl/styles.xml", &part)]);
    let path = Path::new("bomb.xlsx");
    assert!(bomb.len() < 10_000);
    let error = workbook::check(path, &bomb, 2 << 20).unwrap_err().to_string();
    assert!(error.contains("unpacks to more than 2 MiB"), "{error}");
    assert!(workbook::check(path, &bomb, 3 << 20).is_ok());

    let names: Vec<String> = (0..1_001).map(|number| format!("part{number}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let error = read_workbook(&zipped(&many)).unwrap_err();
    assert!(error.contains("more than 1000 parts"), "{error}");

    // calamine would make room for as many texts as it is told of, and end the process where it can't.
    for count in [
        "99999999999999",
        "9999999999999999999999999",
        "00000000000000000000000000000040000000000",
    ] {
        let shared = format!("<sst xmlns=\"x\" uniqueCount = \"{count}\"><si><t>x</t></si></sst>");
        let error = read_workbook(&zipped(&[("xl/SharedStrings.xml", shared.as_bytes())])).unwrap_err();
        assert!(error.contains("announces more than"), "{error}");
    }
}
