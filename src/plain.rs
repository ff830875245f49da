//! Text from outside, fit to be shown. A terminal obeys control characters, and a reader is misled by text that runs the
//! other way: neither is let through, wherever the text came from.
//!
//! - [`clean`]: a text in one line without them
//! - [`shortened`]: the same, no longer than a limit

use std::borrow::Cow;

/// `text` in one line and without what would steer a terminal or the direction of writing: line ends and tabs become
/// blanks, other control characters are left out.
pub fn clean(text: &str) -> Cow<'_, str> {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte);
    if !text.bytes().all(printable) && text.contains(steers) {
        Cow::Owned(text.chars().filter_map(harmless).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// [`clean`], without blanks around it and cut to `limit` characters.
pub fn shortened(text: &str, limit: usize) -> String {
    let clean = clean(text);
    let text = clean.trim();
    let end = text.char_indices().nth(limit).map_or(text.len(), |(end, _)| end);
    text[..end].to_owned()
}

fn harmless(c: char) -> Option<char> {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        _ if steers(c) => None,
        _ => Some(c),
    }
}

/// Control characters, the marks of bidirectional writing, and Unicode's own line ends.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_left_out_and_text_stays_in_one_line() {
        let evil = "\u{1b}[2Ja\u{9b}31m\u{7f}\u{7}\0b\u{202e}c\u{2066}\u{200f}\u{61c}\r\nd\u{2028}e\tf";
        assert_eq!(clean(evil), "[2Ja31mbc  d e f");
        assert_eq!(shortened(&format!("\0\n {evil} "), 5), "[2Ja3");
        for good in ["", "é 😀 ＝ 00123", "שלום"] {
            assert!(matches!(clean(good), Cow::Borrowed(text) if text == good));
        }
    }
}
