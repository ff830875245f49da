//! Dirty CSV, variant by variant: good ids are delivered, bad rows are named by their line.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::super::Source;
use super::*;

const HEADER: &str = "transaction_id,merchant_biz_id,product_code,region,verified_at";

/// What came of a source: rows that are taken as (line, id), those that are named as (line, reason), and how it ended.
struct Outcome {
    good: Vec<(u64, String)>,
    bad: Vec<(u64, String)>,
    ids: Vec<Option<String>>,
    end: Result<(), IntakeError>,
}

fn take_with(bytes: impl Into<Vec<u8>>, settings: &IntakeSettings) -> Outcome {
    let (mut good, mut bad, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let stdin = Box::new(io::Cursor::new(bytes.into()));
    let end = super::super::read(&Source::Stdin, stdin, settings, &mut |item| {
        match item {
            Item::Good { line, row, unread } => {
                good.push((line, row.transaction_id.to_string()));
                bad.extend(unread.map(|unread| (line, unread)));
            }
            Item::Bad(rejected) => {
                assert_eq!(rejected.source, "standard input");
                bad.push((rejected.line, rejected.reason));
                ids.push(rejected.transaction_id);
            }
        }
        ControlFlow::Continue(())
    });
    Outcome { good, bad, ids, end }
}

fn take(bytes: impl Into<Vec<u8>>) -> Outcome {
    take_with(bytes, &IntakeSettings::default())
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

struct Dirty {
    name: &'static str,
    bytes: Vec<u8>,
    /// (line, id)
    good: &'static [(u64, &'static str)],
    /// (line, a part of the reason)
    bad: &'static [(u64, &'static str)],
}

fn dirty(
    name: &'static str,
    bytes: impl Into<Vec<u8>>,
    good: &'static [(u64, &'static str)],
    bad: &'static [(u64, &'static str)],
) -> Dirty {
    let bytes = bytes.into();
    Dirty { name, bytes, good, bad }
}

fn encodings_and_line_ends() -> Vec<Dirty> {
    let two = format!("{HEADER}\na1,b1\na2,b2\n");
    vec![
        dirty("clean", two.clone(), &[(2, "a1"), (3, "a2")], &[]),
        dirty(
            "UTF-8 byte order mark",
            format!("\u{feff}{two}"),
            &[(2, "a1"), (3, "a2")],
            &[],
        ),
        dirty("CRLF", two.replace('\n', "\r\n"), &[(2, "a1"), (3, "a2")], &[]),
        dirty("CR", two.replace('\n', "\r"), &[(2, "a1"), (3, "a2")], &[]),
        dirty(
            "no final line end",
            "transaction_id,note\na1,\na2,x",
            &[(2, "a1"), (3, "a2")],
            &[],
        ),
        dirty(
            "no final line end, and cells are missing",
            two.trim_end(),
            &[(2, "a1")],
            &[(3, "cut short")],
        ),
        dirty(
            "UTF-16LE",
            utf16(&format!("\u{feff}{two}"), u16::to_le_bytes),
            &[(2, "a1"), (3, "a2")],
            &[],
        ),
        dirty(
            "UTF-16BE",
            utf16(&format!("\u{feff}{two}"), u16::to_be_bytes),
            &[(2, "a1"), (3, "a2")],
            &[],
        ),
        dirty(
            "UTF-16LE without a mark",
            utf16(&two, u16::to_le_bytes),
            &[(2, "a1"), (3, "a2")],
            &[],
        ),
        dirty("gzip", gzip(two.as_bytes()), &[(2, "a1"), (3, "a2")], &[]),
        dirty(
            "gzip in two members",
            [gzip(two.as_bytes()), gzip(b"a3\n")].concat(),
            &[(2, "a1"), (3, "a2"), (4, "a3")],
            &[],
        ),
        dirty("header only", HEADER, &[], &[]),
        dirty(
            "blank lines",
            "\n\ntransaction_id\n\na1\n  \na2\n\n",
            &[(5, "a1"), (7, "a2")],
            &[],
        ),
        dirty(
            "NUL byte",
            "transaction_id,note\na1,\na2,x\0y\na3,\n",
            &[(2, "a1"), (3, "a2"), (4, "a3")],
            &[(3, "NUL")],
        ),
        dirty(
            "invalid UTF-8",
            b"transaction_id,note\na1,\na2,\xFF\na3,\n".as_slice(),
            &[(2, "a1"), (3, "a2"), (4, "a3")],
            &[(3, "not UTF-8")],
        ),
    ]
}

fn cells() -> Vec<Dirty> {
    vec![
        dirty(
            "semicolons, and commas in cells",
            "note;Transaction_ID \nx, y;a1\n",
            &[(2, "a1")],
            &[],
        ),
        dirty("tabs", "note\ttransaction_id\n\ta1\n", &[(2, "a1")], &[]),
        dirty(
            "quoted semicolon header",
            "\"note\";\"transaction_id\"\n\"x\";\"a1\"\n",
            &[(2, "a1")],
            &[],
        ),
        dirty(
            "quoted commas and quotes",
            "note,transaction_id\n\"x, \"\"y\"\"\", \"a1\" \n",
            &[(2, "a1")],
            &[],
        ),
        dirty(
            "quoted line ends",
            "note,transaction_id\n\"x\r\ny\nz\",a1\n,a2\n",
            &[(2, "a1"), (5, "a2")],
            &[],
        ),
        dirty(
            "blank ids",
            "transaction_id,note\n,x\n  ,x\n\"\",x\na1,x\n",
            &[(5, "a1")],
            &[(2, "empty"), (3, "empty"), (4, "empty")],
        ),
        dirty(
            "an id that comes twice",
            "transaction_id\na1\na1\n",
            &[(2, "a1"), (3, "a1")],
            &[],
        ),
        dirty(
            "over-long id",
            format!("transaction_id\n{}\na1\n", "x".repeat(65)),
            &[(3, "a1")],
            &[(2, "65 bytes")],
        ),
        dirty(
            "bad dates",
            "transaction_id,verified_at\na1,soon\na2,2026-11-01\na3,1793500000\na4,2026-11-01T09:30:00Z\n",
            &[(2, "a1"), (3, "a2"), (4, "a3"), (5, "a4")],
            &[(2, "not a date"), (3, "no time zone"), (4, "bare number")],
        ),
        dirty(
            "too few cells",
            "merchant_biz_id,transaction_id,region\nb1\nb2,a2\n",
            &[(3, "a2")],
            &[(2, "empty")],
        ),
        dirty(
            "too many cells",
            "transaction_id,region\na1,,x\na2,\n",
            &[(2, "a1"), (3, "a2")],
            &[(2, "3 cells")],
        ),
        dirty(
            "wrong characters",
            "transaction_id,region\n../x,\na1,Singapore\na2,\n",
            &[(3, "a1"), (4, "a2")],
            &[(2, "'.'"), (3, "'S'")],
        ),
    ]
}

fn quotes_and_long_lines() -> Vec<Dirty> {
    vec![
        dirty(
            "a quote that is never closed",
            "transaction_id,note\na1,\"x\na2,y\na3,z\n",
            &[(2, "a1"), (3, "a2"), (4, "a3")],
            &[(2, "not closed")],
        ),
        dirty(
            "a quote that another opening one seems to close",
            "transaction_id,note\na1,\"x\na2,\"y\"\na3,z\n",
            &[(2, "a1"), (3, "a2"), (4, "a3")],
            &[(2, "closing quote")],
        ),
        dirty(
            "a quote that a stray one closes, many rows later",
            "transaction_id,merchant_biz_id\na1,\"x\na2,y\na3,z\na4,z\"\na5,\n",
            &[(2, "a1"), (3, "a2"), (4, "a3"), (5, "a4"), (6, "a5")],
            &[(2, "not closed"), (5, "'\"'")],
        ),
        dirty(
            "an over-long line",
            format!("transaction_id,note\na1,{}\na2,\n", "x".repeat(3 << 20)),
            &[(2, "a1"), (3, "a2")],
            &[(2, "longer than 1048576 bytes")],
        ),
        dirty(
            "an over-long line in quotes",
            format!("transaction_id,note\na1,\"{}\na2,\n", "x".repeat(3 << 20)),
            &[(2, "a1"), (3, "a2")],
            &[(2, "not closed")],
        ),
    ]
}

#[test]
fn dirty_files_give_their_good_rows_and_name_the_bad_ones() {
    let variants = [encodings_and_line_ends(), cells(), quotes_and_long_lines()];
    for variant in variants.into_iter().flatten() {
        let name = variant.name;
        let outcome = take(variant.bytes);
        assert!(outcome.end.is_ok(), "{name}: {:?}", outcome.end);
        let good: Vec<_> = outcome.good.iter().map(|(line, id)| (*line, id.as_str())).collect();
        assert_eq!(good, variant.good, "{name}");
        let lines: Vec<u64> = outcome.bad.iter().map(|(line, _)| *line).collect();
        assert_eq!(
            lines,
            variant.bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            "{name}: {:?}",
            outcome.bad
        );
        for ((_, reason), (_, part)) in outcome.bad.iter().zip(variant.bad) {
            assert!(reason.contains(part), "{name}: {reason}");
        }
    }
}

#[test]
fn sources_that_are_no_csv_at_all_are_refused_as_a_whole() {
    let refused: [(&str, Vec<u8>, &str); 8] = [
        ("empty", Vec::new(), "is empty"),
        ("blank", b"\n \n".to_vec(), "is empty"),
        (
            "no header",
            b"hks1,b1\nhks2,b2\n".to_vec(),
            "it has 2 others in its first line",
        ),
        (
            "two id columns",
            b"transaction_id,Transaction_Id\n".to_vec(),
            "more than one",
        ),
        ("binary", b"PK\x03\x04\0\0\0\0\n".to_vec(), "NUL bytes"),
        ("Latin-1 header", b"transaction_id,\xFC\n".to_vec(), "not UTF-8"),
        ("broken header", b"\"transaction_id,x\nhks1\n".to_vec(), "not closed"),
        ("SQLite", b"SQLite format 3\0".to_vec(), "plain file"),
    ];
    for (name, bytes, part) in refused {
        let outcome = take(bytes);
        let error = outcome.end.unwrap_err().to_string();
        assert!(error.contains(part), "{name}: {error}");
        assert!(error.contains("standard input"), "{name}: {error}");
        assert!(outcome.good.is_empty() && outcome.bad.is_empty(), "{name}");
    }
}

#[test]
fn a_missing_header_is_explained() {
    let error = take("hks1;b1\nhks2;b2\n").end.unwrap_err().to_string();
    insta::assert_snapshot!(
        error,
        @r#"standard input has no column "transaction_id"; it has 2 others in its first line. Name the column of the ids so (a CSV file's first line is its header), or set intake.columns.transaction_id in the configuration to the name that it has"#
    );
}

/// A row that the end of a damaged file cuts short could hold a cut id: it must not be taken for a good one.
#[test]
fn truncated_gzip_gives_the_rows_before_the_damage_and_an_error() {
    let mut text = format!("{HEADER}\n");
    for number in 0..20_000 {
        text.push_str(&crate::record::sha256_hex(format!("{number}").as_bytes()));
        text.push('\n');
    }
    let mut packed = gzip(text.as_bytes());
    packed.truncate(packed.len() / 2);
    let outcome = take(packed);
    assert!(
        matches!(outcome.end, Err(IntakeError::Gzip { .. })),
        "{:?}",
        outcome.end
    );
    assert!(outcome.good.len() > 5_000);
    assert!(outcome.good.iter().all(|(_, id)| id.len() == 64));
    assert!(outcome.bad.is_empty());
}

#[test]
fn columns_can_be_mapped() {
    let settings = IntakeSettings {
        columns: ColumnNames {
            transaction_id: "Vorgang".to_owned(),
            ..ColumnNames::default()
        },
        ..IntakeSettings::default()
    };
    let outcome = take_with("transaction_id, VORGANG\nx,a1\n", &settings);
    assert_eq!(outcome.good, [(2, "a1".to_owned())]);
}

#[test]
fn a_rejected_id_is_shown_without_what_could_harm_a_report() {
    let long = "x".repeat(100);
    let outcome = take(format!("note,transaction_id\n,\x1b[31m{long}\nz,\"a\"b\n"));
    assert_eq!(outcome.ids[0], Some(format!("[31m{}", &long[..60])));
    assert_eq!(outcome.ids[1], Some("a".to_owned()));
}

#[test]
fn reading_stops_where_it_is_told_to() {
    let mut seen = 0;
    let stdin = Box::new(b"transaction_id\na1\na2\n".as_slice());
    super::super::read(&Source::Stdin, stdin, &IntakeSettings::default(), &mut |_| {
        seen += 1;
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(seen, 1);
}

/// Guards the stream from end to end: 100 MB in one line, made up as it is read, and the rows around it.
#[test]
fn a_line_of_100_mb_is_named_and_passed_over() {
    let line = b"a2,".chain(io::repeat(b'x').take(100_000_000));
    let stdin = b"transaction_id,note\na1,\n".chain(line).chain(b"\na3,\n".as_slice());
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    super::super::read(
        &Source::Stdin,
        Box::new(stdin),
        &IntakeSettings::default(),
        &mut |item| {
            match item {
                Item::Good { line, unread: None, .. } => good.push(line),
                Item::Good { line, row, .. } => bad.push((line, Some(row.transaction_id.to_string()))),
                Item::Bad(rejected) => bad.push((rejected.line, rejected.transaction_id)),
            }
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(good, [2, 4]);
    assert_eq!(bad, [(3, Some("a2".to_owned()))]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = take(bytes.clone());
        let _ = take([b"transaction_id,x\n".as_slice(), &bytes].concat());
    }

    #[test]
    fn good_rows_survive_among_garbage(lines: Vec<Vec<u8>>) {
        let mut text = b"transaction_id,x\n".to_vec();
        let mut expected = Vec::new();
        for (line, garbage) in (3..).step_by(2).zip(&lines) {
            text.extend(garbage.iter().filter(|byte| !b"\"\r\n".contains(byte)));
            let id = format!("good-{line}");
            text.extend(format!("\n{id},x\n").bytes());
            expected.push((line, id));
        }
        let mut good = take(text).good;
        good.retain(|(_, id)| id.starts_with("good-"));
        prop_assert_eq!(good, expected);
    }
}
