//! What an answer of the vendor's means. `Code` decides, the HTTP status only where there is no code.
//!
//! - [`classify`]: a reply, classified
//! - [`Answer`]: what it means; [`FaultyReply`]: why it means nothing
//! - [`Classified`]: that, and what to write down of it

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::account::{AccountFault, is_or_below};
use super::client::Reply;
use super::envelope::{self, Envelope, MAX_WORD_CHARS, NoVerdict};
use super::json;
use crate::plain::shortened;

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The verdict is there and stays: journal it.
    Final {
        /// The verdict.
        passed: bool,
        /// Why; its meaning belongs to the product. Empty where the vendor left it out.
        sub_code: String,
    },
    /// The call worked, and the verdict is still open (`P`): ask in a later run.
    Undecided,
    /// The call worked, and the verdict is none that is known: keep the reply, tell a person, and ask in a later run.
    UnknownVerdict {
        /// What stands in its place, as JSON; `None`: nothing.
        passed: Option<String>,
    },
    /// The customer has not finished: ask in a later run.
    NotCompleted,
    /// Over the quota: wait, slow down, nothing charged.
    Throttled {
        /// How long the vendor wants to be left alone, where it says so.
        retry_after: Option<Duration>,
        /// What the answer means by its code, where that is no throttling: it only asks to be left alone for a while.
        refused: Option<Box<Answer>>,
    },
    /// The vendor doesn't know the transaction in this region.
    InvalidTransaction,
    /// A parameter is missing or wrong.
    InvalidRequest,
    /// The same bad thing was asked too often: no more of this id in this run.
    RepeatedInvoke,
    /// The credentials, the account or the clock: stop the run.
    Account(AccountFault),
    /// Nothing that can be relied on: retry.
    Faulty(FaultyReply),
}

/// Why an answer can't be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultyReply {
    /// The service, or something on the way, failed: a 5xx or the code of one.
    Server,
    /// The nonce was used before: the next attempt has another.
    NonceUsed,
    /// A code that nobody told us of.
    UnknownCode,
    /// Not the service's form: empty, cut, or a proxy's page.
    Unreadable,
}

impl fmt::Display for FaultyReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "the service failed",
            Self::NonceUsed => "the nonce was used before",
            Self::UnknownCode => "unknown code",
            Self::Unreadable => "the reply can't be read",
        })
    }
}

/// The word that stands for the code where the call worked and the verdict is none.
pub const UNKNOWN_VERDICT: &str = "unknown_verdict";

/// What a reply means, and what to write down of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// What it means.
    pub answer: Answer,
    /// The body's `Code`; without one `http 502` (a status other than 2xx) or `unreadable`.
    pub call_code: String,
    /// The vendor's message, fit for a terminal, at most 300 characters; none of what is final.
    pub message: Option<String>,
}

impl Classified {
    /// The same with every text of the vendor's passed through `redact`.
    pub(super) fn redacted(mut self, redact: impl Fn(&mut String)) -> Self {
        match &mut self.answer {
            // Its code is `Success`, and there is no message.
            Answer::Final { .. } => return self,
            Answer::Account(fault) => redact(&mut fault.call_code),
            Answer::UnknownVerdict { passed: Some(passed) } => redact(passed),
            _ => {}
        }
        redact(&mut self.call_code);
        self.message.as_mut().map(&redact);
        self
    }
}

/// Says what `reply` means. `now` is the machine's clock, which is compared with the vendor's where that is the
/// trouble.
pub fn classify(reply: &Reply, now: Timestamp) -> Classified {
    let body = json::text_of(&reply.body);
    if let Some(envelope) = Envelope::read(&body) {
        let code = envelope.code();
        let answer = match &code {
            Some(code) if envelope::is_success(code) => success(&envelope),
            Some(code) => left_alone(reply, refusal(reply, code, now)),
            None => left_alone(reply, no_code(reply)),
        };
        let (call_code, message) = match &answer {
            Answer::UnknownVerdict { passed } => (UNKNOWN_VERDICT.to_owned(), Some(no_verdict(passed.as_deref()))),
            Answer::Final { .. } => (code.unwrap_or_default(), None),
            _ => (code.unwrap_or_else(|| call_code_of(reply)), envelope.message()),
        };
        return Classified {
            answer,
            call_code,
            message,
        };
    }
    let xml = XmlError::read(&body);
    let code = xml.as_ref().and_then(|xml| xml.word("Code"));
    Classified {
        answer: match &code {
            Some(code) => left_alone(reply, refusal(reply, code, now)),
            None => left_alone(reply, no_code(reply)),
        },
        call_code: code.unwrap_or_else(|| call_code_of(reply)),
        message: xml.as_ref().and_then(|xml| envelope::message(&xml.element("Message")?)),
    }
}

fn success(envelope: &Envelope<'_>) -> Answer {
    let read = envelope.with_result(|result| match envelope::verdict(result) {
        Ok(passed) => Answer::Final {
            passed,
            sub_code: envelope::sub_code(result),
        },
        Err(NoVerdict::Pending) => Answer::Undecided,
        Err(NoVerdict::Unknown(passed)) => Answer::UnknownVerdict { passed },
    });
    read.unwrap_or(Answer::UnknownVerdict { passed: None })
}

/// What stands in the place of a verdict, in words.
fn no_verdict(passed: Option<&str>) -> String {
    match passed {
        Some(value) => format!("Passed is {value}, which is neither \"Y\", \"N\" nor \"P\""),
        None => "Passed is missing".to_owned(),
    }
}

/// What a code other than `Success` means.
fn refusal(reply: &Reply, code: &str, now: Timestamp) -> Answer {
    let starts = |name: &str| {
        code.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let is = |names: &[&str]| names.iter().any(|name| is_or_below(code, name));
    if starts("Throttling") {
        throttled(reply, None)
    } else if is(&["ProcessNotCompleted"]) {
        Answer::NotCompleted
    } else if is(&["TransactionIdInvalid"]) {
        Answer::InvalidTransaction
    } else if is(&["InvalidParameter", "MissingParameter"]) {
        Answer::InvalidRequest
    } else if is(&["Forbidden.ExceptionRepeatedInvoke"]) {
        Answer::RepeatedInvoke
    } else if let Some(fault) = AccountFault::of(code, reply.date, now) {
        Answer::Account(fault)
    } else if is(&["SignatureNonceUsed"]) {
        Answer::Faulty(FaultyReply::NonceUsed)
    } else if reply.http_status == 429 {
        throttled(reply, None)
    } else if reply.http_status >= 500 || is(&["InternalError", "ServiceUnavailable"]) {
        Answer::Faulty(FaultyReply::Server)
    } else {
        Answer::Faulty(FaultyReply::UnknownCode)
    }
}

fn throttled(reply: &Reply, refused: Option<Box<Answer>>) -> Answer {
    Answer::Throttled {
        retry_after: reply.retry_after,
        refused,
    }
}

/// An answer with which the vendor wants to be left alone for a while, whatever else it says.
fn left_alone(reply: &Reply, answer: Answer) -> Answer {
    match answer {
        Answer::Throttled { .. } => answer,
        _ if reply.retry_after.is_some() => throttled(reply, Some(Box::new(answer))),
        _ => answer,
    }
}

fn no_code(reply: &Reply) -> Answer {
    match reply.http_status {
        429 => throttled(reply, None),
        500.. => Answer::Faulty(FaultyReply::Server),
        _ => Answer::Faulty(FaultyReply::Unreadable),
    }
}

fn call_code_of(reply: &Reply) -> String {
    if (200..300).contains(&reply.http_status) {
        "unreadable".to_owned()
    } else {
        format!("http {}", reply.http_status)
    }
}

/// An error body in XML: `<Error><Code>..</Code>..</Error>`. A proxy's HTML page is none, even if it shows a `<code>`.
struct XmlError<'a> {
    text: &'a str,
    lower: String,
}

impl<'a> XmlError<'a> {
    /// No error body is longer: what follows is not looked at.
    const MAX_BYTES: usize = 64 * 1024;

    fn read(body: &'a str) -> Option<Self> {
        let text = body.trim_start_matches('\u{feff}').trim_start();
        let text = &text[..text.floor_char_boundary(Self::MAX_BYTES)];
        if !text.starts_with('<') {
            return None;
        }
        let lower = text.to_ascii_lowercase();
        (lower.contains("<error>") && !lower.contains("<html")).then_some(Self { text, lower })
    }

    /// The text of the first element of that name.
    fn element(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        let open = format!("<{name}>");
        let start = self.lower.find(&open)? + open.len();
        let length = self.lower[start..].find(&format!("</{name}>"))?;
        let inner = self.text[start..start + length].trim();
        let cdata = inner
            .strip_prefix("<![CDATA[")
            .and_then(|rest| rest.strip_suffix("]]>"));
        let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
        let plain = |text: &str| {
            plain
                .iter()
                .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        Some(cdata.map_or_else(|| plain(inner), str::to_owned))
    }

    fn word(&self, name: &str) -> Option<String> {
        Some(shortened(&self.element(name)?, MAX_WORD_CHARS)).filter(|word| !word.is_empty())
    }
}

#[cfg(test)]
mod tests;
