//! What every reply of the service has around its content. [`super::reply`] and [`super::wire`] both read it here, so
//! that what one takes for final the other can publish.
//!
//! - [`Envelope`]: code, message, request id, and the members of `Result`
//! - [`verdict`]: the final verdict of a `Result`

use std::borrow::Cow;

use super::json::{self, Json, Kind, Node};
use crate::plain::shortened;

/// The longest message of the vendor's that is shown, in characters.
pub(crate) const MAX_MESSAGE_CHARS: usize = 300;
/// The longest code, sub code or request id, in characters.
pub(crate) const MAX_WORD_CHARS: usize = 128;

/// The outermost JSON object of a reply.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    json: Json<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads a body; `None` where it is not a JSON object.
    pub(crate) fn read(body: &'a str) -> Option<Self> {
        let json = json::strict(body)?;
        (json.root().kind() == Kind::Object).then_some(Self { json })
    }

    /// `Code`, where there is one.
    pub(crate) fn code(&self) -> Option<String> {
        word(self.json.root().get("Code")?)
    }

    /// Whether the call worked.
    pub(crate) fn is_success(&self) -> bool {
        self.code().is_some_and(|code| is_success(&code))
    }

    /// `Message`, where there is one.
    pub(crate) fn message(&self) -> Option<String> {
        message(&self.json.root().get("Message")?.text()?)
    }

    /// `RequestId`, where there is one.
    pub(crate) fn request_id(&self) -> Option<String> {
        word(self.json.root().get("RequestId")?)
    }

    /// Hands the object `Result` to `look`, whether it is an object or a string that holds one; `None` where there is
    /// none.
    pub(crate) fn with_result<T>(&self, look: impl FnOnce(Node<'_, '_>) -> T) -> Option<T> {
        let root = self.json.root();
        let result = root.get("Result").or_else(|| root.get("ResultObject"))?;
        let look = |node: Node<'_, '_>| (node.kind() == Kind::Object).then(|| look(node));
        with_container(result, look).flatten()
    }
}

/// Strings that hold JSON are looked into this often: the vendor encodes some twice.
const MAX_ENCODINGS: usize = 4;

/// Hands `node` to `look` where it is an object or array, or a string that holds one, or one that holds such a string.
pub(crate) fn with_container<T>(node: Node<'_, '_>, look: impl FnOnce(Node<'_, '_>) -> T) -> Option<T> {
    match node.kind() {
        Kind::Object | Kind::Array => Some(look(node)),
        Kind::Text { .. } => with_container_in(&node.text()?, look),
        _ => None,
    }
}

/// The same for the text of a string.
pub(crate) fn with_container_in<T>(text: &str, look: impl FnOnce(Node<'_, '_>) -> T) -> Option<T> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_ENCODINGS {
        let json = json::tolerant(&text)?;
        let inner = json.root();
        text = match inner.kind() {
            Kind::Object | Kind::Array => return Some(look(inner)),
            Kind::Text { .. } => Cow::Owned(inner.text()?.into_owned()),
            _ => return None,
        };
    }
    None
}

/// Whether a code says that the call worked.
pub(crate) fn is_success(code: &str) -> bool {
    code.eq_ignore_ascii_case("Success")
}

/// Why a `Result` has no final verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoVerdict {
    /// `P`: it becomes Y or N later.
    Pending,
    /// What stands in its place, as JSON; `None`: nothing.
    Unknown(Option<String>),
}

/// What `Passed` says, if it is final.
pub(crate) fn verdict(result: Node<'_, '_>) -> Result<bool, NoVerdict> {
    let passed = result.get("Passed").ok_or(NoVerdict::Unknown(None))?;
    let text = passed.text();
    match (passed.kind(), text.as_deref().map(str::trim)) {
        (Kind::Bool(passed), _) => Ok(passed),
        (Kind::Text { .. }, Some("Y" | "y")) => Ok(true),
        (Kind::Text { .. }, Some("N" | "n")) => Ok(false),
        (Kind::Text { .. }, Some("P" | "p")) => Err(NoVerdict::Pending),
        _ => Err(NoVerdict::Unknown(Some(shortened(passed.raw(), MAX_WORD_CHARS)))),
    }
}

/// `SubCode`, empty where the vendor left it out.
pub(crate) fn sub_code(result: Node<'_, '_>) -> String {
    result.get("SubCode").and_then(word).unwrap_or_default()
}

fn word(node: Node<'_, '_>) -> Option<String> {
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
