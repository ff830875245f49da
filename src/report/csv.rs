//! CSV that a spreadsheet opens without running anything.

use std::borrow::Cow;
use std::io::Write;

/// A CSV writer for a report.
pub type Writer<W> = csv::Writer<W>;

/// Lines end as RFC 4180 and spreadsheets want them.
pub fn writer<W: Write>(out: W) -> Writer<W> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out)
}

/// Text from outside as a cell. What a spreadsheet would run as a formula gets an apostrophe in front; everything else,
/// `00123` and `1E10` among it, stays as it is.
pub fn cell(text: &str) -> Cow<'_, str> {
    let runs = |c: char| {
        matches!(
            c,
            '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'
        )
    };
    if text.starts_with(runs) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_harmless_and_numbers_stay() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(cell(text), format!("'{text}"));
        }
        for text in ["00123", "1E10", "hks-1", "", "a=b"] {
            assert_eq!(cell(text), text);
        }
    }
}
