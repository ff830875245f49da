//! Text from outside, fit to be shown. A terminal obeys control characters, and a reader is misled by text that runs the
//! other way: neither is let through, wherever the text came from.
//!
//! - [`clean`]: a text in one line without them
//! - [`shortened`]: the same, no longer than a limit

use std::borrow::Cow;

/// `text` in one line and without what would steer a terminal or mislead a reader: line ends and tabs become blanks, other
/// control characters are left out, and characters that can't be seen or that turn the direction of writing are written as
/// escapes, such as `\u{202e}`.
pub fn clean(text: &str) -> Cow<'_, str> {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte);
    if text.bytes().all(printable) || !text.contains(|c| steers(c) || is_unseen(c)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => clean.push(' '),
            _ if is_unseen(c) => clean.extend(c.escape_unicode()),
            _ if steers(c) => {}
            _ => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// [`clean`], without blanks around it and cut to `limit` characters.
pub fn shortened(text: &str, limit: usize) -> String {
    let clean = clean(text);
    let text = clean.trim();
    let end = text.char_indices().nth(limit).map_or(text.len(), |(end, _)| end);
    text[..end].to_owned()
}

/// Control characters, and Unicode's own line ends.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// What has no width, the marks of bidirectional writing, and characters that only tag others: two texts that look the same
/// would not be, or one would read as another.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_left_out_and_text_stays_in_one_line() {
        let evil = "\u{1b}[2Ja\u{9b}31m\u{7f}\u{7}\0bc\r\nd\u{2028}e\tf";
        assert_eq!(clean(evil), "[2Ja31mbc  d e f");
        assert_eq!(shortened(&format!("\0\n {evil} "), 5), "[2Ja3");
        for good in ["", "é 😀 ＝ 00123", "שלום"] {
            assert!(matches!(clean(good), Cow::Borrowed(text) if text == good));
        }
    }
    #[test]
    fn what_can_t_be_seen_is_shown_as_an_escape() {
        for (text, shown) in [
            ("a\u{202e}b", r"a\u{202e}b"),
            ("pay\u{200b}pal", r"pay\u{200b}pal"),
            ("\u{2066}\u{200f}\u{61c}", r"\u{2066}\u{200f}\u{61c}"),
            ("x\u{e0041}\u{e0100}", r"x\u{e0041}\u{e0100}"),
            ("\u{feff}\u{2060}\u{ad}", r"\u{feff}\u{2060}\u{ad}"),
        ] {
            assert_eq!(clean(text), shown);
        }
    }
}
