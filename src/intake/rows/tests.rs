use super::*;

fn split(text: &str) -> Vec<(u64, Vec<String>, Option<Fault>)> {
    let mut rows = Rows::new(text.as_bytes());
    let mut found = Vec::new();
    while rows.advance().unwrap() {
        let cells = (0..rows.cells()).map(|i| String::from_utf8_lossy(rows.cell(i).unwrap()).into_owned());
        found.push((rows.line(), cells.collect(), rows.fault()));
    }
    found
}

fn good(line: u64, cells: &[&str]) -> (u64, Vec<String>, Option<Fault>) {
    (line, cells.iter().map(ToString::to_string).collect(), None)
}

#[test]
fn rows_and_lines_are_told_apart() {
    assert_eq!(
        split("a,b\r\n\r\n \"x, \"\"y\r\nz\" ,c\rlast,"),
        [
            good(1, &["a", "b"]),
            good(3, &[" \"x, \"\"y\r\nz\" ", "c"]),
            good(5, &["last", ""])
        ]
    );
}

#[test]
fn an_unclosed_quote_costs_one_line_whatever_shows_it() {
    let end = split("a,\"b\nc,d\ne");
    assert_eq!(
        end[0],
        (1, vec!["a".to_owned(), "\"b\n".to_owned()], Some(Fault::Unclosed))
    );
    assert_eq!(end[1..], [good(2, &["c", "d"]), good(3, &["e"])]);

    let next_quote = split("a,\"b\nc,\"d\"\ne");
    assert_eq!(next_quote[0].2, Some(Fault::AfterQuote));
    assert_eq!(next_quote[1..], [good(2, &["c", "\"d\""]), good(3, &["e"])]);

    let half = format!("c,{}\n", "d".repeat(MAX_ROW_BYTES / 2));
    for more in ["c,d\n".repeat(1000), half.repeat(3)] {
        let limit = split(&format!("a,\"b\n{more}\""));
        assert_eq!(limit[0].2, Some(Fault::Unclosed));
        assert_eq!(limit.len(), 1 + more.lines().count() + 1);
        assert!(
            limit[1..limit.len() - 1]
                .iter()
                .all(|row| row.1[0] == "c" && row.2.is_none())
        );
    }
}

/// An export that joins cells with `","` and forgets the outer quotes: each line closes a quote and opens another.
#[test]
fn a_file_that_leaves_a_quote_open_on_every_line_is_read_in_passable_time() {
    let rows = split(&"a\",\"b\n".repeat(5_000));
    assert_eq!(rows.len(), 5_000);
    assert!(rows.iter().all(|row| row.2 == Some(Fault::Unclosed)));
}

/// Guards the bound on memory: 100 MB without a line end pass through, and the buffer stays small.
#[test]
fn an_over_long_line_is_thrown_away_as_it_comes() {
    const LINE_BYTES: u64 = 100_000_000;
    for first in ["x", "\"x"] {
        let long = first.as_bytes().chain(io::repeat(b'x').take(LINE_BYTES));
        let mut rows = Rows::new(b"a\n".chain(long).chain(b"\r\nb,c\n".as_slice()));
        assert!(rows.advance().unwrap());
        assert!(rows.advance().unwrap());
        assert!(rows.fault().is_some());
        assert!(rows.text().len() <= MAX_ROW_BYTES);
        assert!(rows.advance().unwrap());
        assert_eq!((rows.line(), rows.cell(1)), (3, Some(b"c".as_slice())));
        assert!(!rows.advance().unwrap());
        assert!(rows.buffer.capacity() <= 2 * (MAX_ROW_BYTES + CHUNK_BYTES));
    }
}

#[test]
fn a_row_of_the_longest_length_is_good() {
    let longest = "x".repeat(MAX_ROW_BYTES);
    let faults = |text: &str| split(text).into_iter().map(|row| row.2).collect::<Vec<_>>();
    assert_eq!(faults(&longest), [None]);
    assert_eq!(faults(&format!("{longest}\r\na")), [None, None]);
    assert_eq!(faults(&format!("{longest}x\na")), [Some(Fault::TooLong), None]);
}

#[test]
fn a_row_can_be_read_again() {
    let mut rows = Rows::new(b"a;b\n".as_slice());
    assert!(rows.advance().unwrap());
    assert_eq!(rows.cells(), 1);
    rows.stay();
    rows.set_delimiter(b';');
    assert!(rows.advance().unwrap());
    assert_eq!((rows.line(), rows.cells()), (1, 2));
}
