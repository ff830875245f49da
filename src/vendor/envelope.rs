//! What every reply of the service has around its content. [`super::reply`] and [`super::wire`] both read it here, so
//! that what one takes for final the other can publish.
//!
//! - [`Envelope`]: code, message, request id, and the members of `Result`
//! - [`verdict`]: the final verdict of a `Result`

use std::borrow::Cow;

use super::json::{self, Node, Value};
use crate::plain::shortened;

/// The longest message of the vendor's that is shown, in characters.
pub(crate) const MAX_MESSAGE_CHARS: usize = 300;
/// The longest code, sub code or request id, in characters.
pub(crate) const MAX_WORD_CHARS: usize = 128;

/// The outermost JSON object of a reply.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    root: Node<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads a body; `None` where it is not a JSON object.
    pub(crate) fn read(body: &'a str) -> Option<Self> {
        let root = json::strict(body)?;
        matches!(root.value, Value::Object(_)).then_some(Self { root })
    }

    /// `Code`, where there is one.
    pub(crate) fn code(&self) -> Option<String> {
        word(self.root.get("Code")?)
    }

    /// Whether the call worked.
    pub(crate) fn is_success(&self) -> bool {
        self.code().is_some_and(|code| is_success(&code))
    }

    /// `Message`, where there is one.
    pub(crate) fn message(&self) -> Option<String> {
        message(&self.root.get("Message")?.text()?)
    }

    /// `RequestId`, where there is one.
    pub(crate) fn request_id(&self) -> Option<String> {
        word(self.root.get("RequestId")?)
    }

    /// Hands the object `Result` to `look`, whether it is an object or a string that holds one; `None` where there is
    /// none.
    pub(crate) fn with_result<T>(&self, look: impl FnOnce(&Node<'_>) -> T) -> Option<T> {
        let result = self.root.get("Result").or_else(|| self.root.get("ResultObject"))?;
        let look = |node: &Node<'_>| matches!(node.value, Value::Object(_)).then(|| look(node));
        with_container(result, look).flatten()
    }
}

/// Strings that hold JSON are looked into this often: the vendor encodes some twice.
const MAX_ENCODINGS: usize = 4;

/// Hands `node` to `look` where it is an object or array, or a string that holds one, or one that holds such a string.
pub(crate) fn with_container<T>(node: &Node<'_>, look: impl FnOnce(&Node<'_>) -> T) -> Option<T> {
    match node.value {
        Value::Object(_) | Value::Array(_) => Some(look(node)),
        Value::Text(raw) => with_container_in(&json::unescape(raw), look),
        _ => None,
    }
}

/// The same for the text of a string.
pub(crate) fn with_container_in<T>(text: &str, look: impl FnOnce(&Node<'_>) -> T) -> Option<T> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_ENCODINGS {
        let inner = json::tolerant(&text)?;
        text = match inner.value {
            Value::Object(_) | Value::Array(_) => return Some(look(&inner)),
            Value::Text(raw) => Cow::Owned(json::unescape(raw).into_owned()),
            _ => return None,
        };
    }
    None
}

/// Whether a code says that the call worked.
pub(crate) fn is_success(code: &str) -> bool {
    code.eq_ignore_ascii_case("Success")
}

/// What `Passed` says: `Ok` is final, `Err` is what stood there instead.
pub(crate) fn verdict(result: &Node<'_>) -> Result<bool, Option<String>> {
    let Some(passed) = result.get("Passed") else {
        return Err(None);
    };
    match passed.value {
        Value::Bool(passed) => return Ok(passed),
        Value::Text(raw) => {
            let text = json::unescape(raw);
            match text.trim() {
                "Y" | "y" => return Ok(true),
                "N" | "n" => return Ok(false),
                _ => {}
            }
        }
        _ => {}
    }
    Err(Some(shortened(
        &passed.text().unwrap_or(Cow::Borrowed(passed.raw)),
        MAX_WORD_CHARS,
    )))
}

/// `SubCode`, empty where the vendor left it out.
pub(crate) fn sub_code(result: &Node<'_>) -> String {
    result.get("SubCode").and_then(word).unwrap_or_default()
}

fn word(node: &Node<'_>) -> Option<String> {
    let word = shortened(&node.text()?, MAX_WORD_CHARS);
    (!word.is_empty()).then_some(word)
}

/// A message of the vendor's, fit for a terminal. After a wrong signature the vendor repeats what it signed, with the
/// security token in it: the message ends before that.
pub(crate) fn message(text: &str) -> Option<String> {
    const REPEATED: [&str; 6] = [
        "string to sign",
        "stringtosign",
        "canonicalrequest",
        "canonical request",
        "x-acs-",
        "signature=",
    ];
    let begins = |at: &usize, mark: &str| {
        let found = text.as_bytes().get(*at..*at + mark.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(mark.as_bytes()))
    };
    let mut places = 0..text.len();
    let end = places.find(|at| REPEATED.iter().any(|mark| begins(at, mark)));
    let end = end.unwrap_or(text.len());
    Some(shortened(&text[..end], MAX_MESSAGE_CHARS)).filter(|message| !message.is_empty())
}
