//! A small JSON reader that keeps the text of what it reads, in memory that is bounded by the text's length. It borrows: a
//! string of 300 kB is not copied until somebody asks for it, numbers keep their digits, and nesting beyond [`MAX_DEPTH`] is
//! stepped over, never recursed.
//!
//! The vendor's own examples hold invalid JSON, so it has two ways to read: [`strict`] and [`tolerant`].
//!
//! - [`strict`], [`tolerant`]: read a text into [`Json`]
//! - [`Node`]: a value in it; [`Kind`]: what it is
//! - [`unescape`], [`compact`]: of a value's text

use std::borrow::Cow;
use std::iter;

use memchr::{memchr, memchr2};

/// Nesting beyond this is kept as text only.
pub const MAX_DEPTH: usize = 64;

/// A text of more values is not read: in memory a value takes some sixty bytes, and as text `0,` two. The vendor's longest
/// replies have some hundreds.
pub const MAX_VALUES: usize = 64 * 1024;

/// Most of the vendor's texts have fewer values.
const USUAL_VALUES: usize = 16;

/// A text that was read: its values in one list, each before those within it.
#[derive(Debug)]
pub struct Json<'a>(Vec<Value<'a>>);

#[derive(Debug)]
struct Value<'a> {
    /// Of a member of an object, else empty.
    name: Chars<'a>,
    /// The text, without blanks around it.
    raw: &'a str,
    kind: Kind,
    /// It and all within it.
    values: usize,
}

/// What stands between two quotes.
#[derive(Debug, Clone, Copy, Default)]
struct Chars<'a> {
    raw: &'a str,
    escaped: bool,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, or `NaN` and its kind (tolerant only).
    Number,
    /// A string.
    Text {
        /// Whether there are escapes in it.
        escaped: bool,
    },
    /// An array.
    Array,
    /// An object.
    Object,
    /// Nested too deeply to look into.
    Deep,
}

/// A value in a text that was read.
#[derive(Debug, Clone, Copy)]
pub struct Node<'j, 'a> {
    /// It and all within it; never empty.
    values: &'j [Value<'a>],
}

impl<'a> Json<'a> {
    /// The outermost value.
    pub fn root(&self) -> Node<'_, 'a> {
        Node { values: &self.0 }
    }
}

impl<'a> Chars<'a> {
    fn resolved(self) -> Cow<'a, str> {
        if self.escaped {
            unescape(self.raw)
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

impl<'j, 'a> Node<'j, 'a> {
    /// What it is.
    pub fn kind(self) -> Kind {
        self.values[0].kind
    }

    /// The text it came as, without blanks around it.
    pub fn raw(self) -> &'a str {
        self.values[0].raw
    }

    /// Its name as a member of an object, escapes resolved.
    pub fn name(self) -> Cow<'a, str> {
        self.values[0].name.resolved()
    }

    /// The items of an array, the members of an object, in their order.
    pub fn items(self) -> impl Iterator<Item = Node<'j, 'a>> {
        let mut rest = &self.values[1..];
        iter::from_fn(move || {
            let (values, after) = rest.split_at(rest.first()?.values);
            rest = after;
            Some(Node { values })
        })
    }

    /// The members of these names, upper or lower case; of several the last one that is not null.
    pub fn members<const N: usize>(self, names: [&str; N]) -> [Option<Node<'j, 'a>>; N] {
        let mut members = [None; N];
        for node in self.items().filter(|node| node.kind() != Kind::Null) {
            let name = node.name();
            if let Some(at) = names.iter().position(|wanted| name.eq_ignore_ascii_case(wanted)) {
                members[at] = Some(node);
            }
        }
        members
    }

    /// The member of that name, as [`Node::members`] finds it.
    pub fn get(self, name: &str) -> Option<Node<'j, 'a>> {
        let [member] = self.members([name]);
        member
    }

    /// A string's characters, escapes resolved, or a number's digits.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let raw = self.raw();
        match self.kind() {
            Kind::Text { escaped } => {
                let raw = &raw[1..raw.len() - 1];
                Some(Chars { raw, escaped }.resolved())
            }
            Kind::Number => Some(Cow::Borrowed(raw)),
            _ => None,
        }
    }
}

/// A body as text: what is not UTF-8 stands as replacement characters.
pub fn text_of(body: &[u8]) -> Cow<'_, str> {
    // Looks at most bytes in blocks, which the lossy way does not.
    str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// Reads valid JSON (numbers and escapes are not checked to the letter); `None` for anything else, and for more than
/// [`MAX_VALUES`].
pub fn strict(text: &str) -> Option<Json<'_>> {
    read(text, false)
}

/// Reads JSON that may lack commas, have trailing ones, or say `NaN`; `None` where even that fails.
pub fn tolerant(text: &str) -> Option<Json<'_>> {
    read(text, true)
}

fn read(text: &str, tolerant: bool) -> Option<Json<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        text,
        at: 0,
        tolerant,
        values: Vec::with_capacity(USUAL_VALUES),
    };
    reader.value(Chars::default(), 0)?;
    reader.blanks();
    (reader.at == text.len()).then_some(Json(reader.values))
}

struct Reader<'a> {
    text: &'a str,
    /// Always at a character boundary: it only ever steps over ASCII, or to the byte after a found ASCII byte.
    at: usize,
    tolerant: bool,
    /// Read so far.
    values: Vec<Value<'a>>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn value(&mut self, name: Chars<'a>, depth: usize) -> Option<()> {
        let place = self.values.len();
        if place == MAX_VALUES {
            return None;
        }
        self.blanks();
        let start = self.at;
        self.values.push(Value {
            name,
            raw: "",
            kind: Kind::Null,
            values: 1,
        });
        let kind = match self.peek()? {
            b'"' => {
                let escaped = self.string()?.escaped;
                Kind::Text { escaped }
            }
            b'{' | b'[' if depth >= MAX_DEPTH => self.deep()?,
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            _ => self.word()?,
        };
        let values = self.values.len() - place;
        let value = &mut self.values[place];
        value.raw = &self.text[start..self.at];
        value.kind = kind;
        value.values = values;
        Some(())
    }

    /// The characters between two quotes.
    fn string(&mut self) -> Option<Chars<'a>> {
        if !self.take(b'"') {
            return None;
        }
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            self.at += memchr2(b'"', b'\\', &bytes[self.at..])?;
            if bytes[self.at] == b'"' {
                let raw = &self.text[start..self.at];
                self.at += 1;
                return Some(Chars { raw, escaped });
            }
            escaped = true;
            // The escaped character may be of several bytes: step over the backslash and one whole character.
            self.at += 1;
            self.at += self.text[self.at..].chars().next()?.len_utf8();
        }
    }

    fn object(&mut self, depth: usize) -> Option<Kind> {
        self.at += 1;
        self.blanks();
        while !self.take(b'}') {
            let name = self.string()?;
            self.blanks();
            if !self.take(b':') {
                return None;
            }
            self.value(name, depth + 1)?;
            self.separator(b'}')?;
        }
        Some(Kind::Object)
    }

    fn array(&mut self, depth: usize) -> Option<Kind> {
        self.at += 1;
        self.blanks();
        while !self.take(b']') {
            self.value(Chars::default(), depth + 1)?;
            self.separator(b']')?;
        }
        Some(Kind::Array)
    }

    /// Between two values: a comma, or the end ahead; the tolerant reader does without the first and forgives one
    /// before the second.
    fn separator(&mut self, end: u8) -> Option<()> {
        self.blanks();
        let comma = self.take(b',');
        self.blanks();
        let at_end = self.peek()? == end;
        (self.tolerant || comma != at_end).then_some(())
    }

    fn word(&mut self) -> Option<Kind> {
        let rest = &self.text[self.at..];
        let length = rest
            .bytes()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
            .unwrap_or(rest.len());
        let word = &rest[..length];
        self.at += length;
        match word {
            "null" => Some(Kind::Null),
            "true" => Some(Kind::Bool(true)),
            "false" => Some(Kind::Bool(false)),
            _ if is_number(word) || (self.tolerant && is_not_finite(word)) => Some(Kind::Number),
            _ => None,
        }
    }

    /// Steps over an array or object without recursion.
    fn deep(&mut self) -> Option<Kind> {
        let mut open = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += self.text[self.at..].chars().next()?.len_utf8();
            if open == 0 {
                return Some(Kind::Deep);
            }
        }
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
}

fn is_not_finite(word: &str) -> bool {
    let name = word.trim_start_matches(['-', '+']);
    ["nan", "inf", "infinity"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Resolves a string's escapes; what is no escape stays as it is, half a surrogate pair becomes U+FFFD.
pub fn unescape(raw: &str) -> Cow<'_, str> {
    if memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let plain = match rest.as_bytes().first() {
            Some(escaped @ (b'"' | b'\\' | b'/')) => char::from(*escaped),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                rest = unescape_unicode(&rest[1..], &mut text);
                continue;
            }
            // No escape: what follows is copied with what comes next.
            _ => {
                text.push('\\');
                continue;
            }
        };
        text.push(plain);
        rest = &rest[1..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// What follows `\u`: four hex digits, perhaps the second half of a pair after them. Gives what is left.
fn unescape_unicode<'a>(rest: &'a str, text: &mut String) -> &'a str {
    let Some((first, after)) = hex4(rest) else {
        text.push_str("\\u");
        return rest;
    };
    if (0xD800..0xDC00).contains(&first)
        && let Some((second, after_pair)) = after.strip_prefix("\\u").and_then(hex4)
        && (0xDC00..0xE000).contains(&second)
    {
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        return after_pair;
    }
    text.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    after
}

fn hex4(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((u32::from_str_radix(digits, 16).ok()?, &text[4..]))
}

/// The JSON text without the blanks between its values.
pub fn compact(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in raw.chars() {
        if in_string || !matches!(c, ' ' | '\t' | '\r' | '\n') {
            text.push(c);
        }
        if escaped {
            escaped = false;
        } else if c == '"' {
            in_string = !in_string;
        } else {
            escaped = in_string && c == '\\';
        }
    }
    text
}

#[cfg(test)]
mod tests;
