//! The query string, as it came over the wire.
//!
//! - [`Query`]: its parameters, decoded

use std::borrow::Cow;

use crate::vendor::sign;

/// The parameters of a query string, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Decodes `raw`; `None` where it is not URL-encoded UTF-8.
    pub(super) fn parse(raw: &'a str) -> Option<Self> {
        raw.split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(name)?, decode(value)?))
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    /// The first value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_ref())
    }

    /// The parameters as they are signed.
    pub(super) fn canonical(&self) -> String {
        let pairs: Vec<(&str, &str)> = self.0.iter().map(|(name, value)| (&**name, &**value)).collect();
        sign::canonical_query(&pairs)
    }
}

/// `%XX` and `+` decoded. The service takes `+` for a blank, so a client that signs it as a blank must send it as one.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_encoded_again() {
        let query = Query::parse("TransactionId=a%2Fb%20%c3%a9&Empty=&Flag").unwrap();
        assert_eq!(query.get("TransactionId"), Some("a/b é"));
        assert_eq!(query.get("Empty"), Some(""));
        assert_eq!(query.get("Other"), None);
        assert_eq!(query.canonical(), "Empty=&Flag=&TransactionId=a%2Fb%20%C3%A9");
    }

    #[test]
    fn what_is_no_encoding_is_refused() {
        for raw in ["a=%", "a=%2", "a=%zz", "a=%ff"] {
            assert_eq!(Query::parse(raw), None, "{raw}");
        }
    }
}
