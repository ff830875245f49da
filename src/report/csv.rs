//! CSV that a spreadsheet opens without running anything, and a terminal shows without obeying it.

use std::borrow::Cow;
use std::io::Write;

use crate::plain::clean;

/// A CSV writer for a report.
pub type Writer<W> = csv::Writer<W>;

/// Lines end as RFC 4180 and spreadsheets want them.
pub fn writer<W: Write>(out: W) -> Writer<W> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out)
}

/// Text from outside as a cell, in one line. What a spreadsheet would run as a formula gets an apostrophe in front;
/// everything else, `00123` and `1E10` among it, stays as it is. A semicolon begins a cell too: where it stands for the
/// comma in lists, spreadsheets split at it.
pub fn cell(text: &str) -> Cow<'_, str> {
    let text = clean(text);
    if !text.split(';').any(runs) {
        return text;
    }
    let parts = text.split(';').map(|part| {
        let apostrophe = if runs(part) { "'" } else { "" };
        format!("{apostrophe}{part}")
    });
    Cow::Owned(parts.collect::<Vec<_>>().join(";"))
}

/// Whether a spreadsheet would run it, blanks and quotes in front or not: where it splits at a semicolon, a quote begins a
/// quoted cell.
fn runs(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_whitespace() || c == '"')
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_harmless_and_numbers_stay() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "＝1", "－1", "\u{a0}@x"] {
            assert_eq!(cell(text), format!("'{text}"));
        }
        for (text, harmless) in [
            ("\t=1", "' =1"),
            ("\r\n=1", "'  =1"),
            ("\0=1", "'=1"),
            ("a;=1;b; -2", "a;'=1;b;' -2"),
            ("a;\"=cmd|' /C calc'!A0", "a;'\"=cmd|' /C calc'!A0"),
            ("a; \"\" \"@x;b", "a;' \"\" \"@x;b"),
            ("\"=1", "'\"=1"),
        ] {
            assert_eq!(cell(text), harmless, "{text:?}");
        }
        for text in ["00123", "1E10", "hks-1", "", "a=b", "a;b", "'=1"] {
            assert_eq!(cell(text), text);
        }
    }
}
