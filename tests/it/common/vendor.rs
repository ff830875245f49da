//! A scripted vendor: for each transaction a queue of answers, and a record of every call. What was not scripted fails
//! the test, and so does a script that was not played to its end.
//!
//! - [`Vendor`]: the vendor
//! - [`Call`]: a call it got
//! - [`verdict`], [`error`] and the like: its usual answers

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::json;

use super::server::{Answer, Request, serve};

/// The script for transactions that have none of their own.
const ANY: &str = "*";

/// A call, and when it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) transaction_id: String,
    pub(crate) request: Request,
    /// Just before the first byte of the answer.
    pub(crate) answered_at: Instant,
}

#[derive(Default)]
struct Script {
    queue: VecDeque<Answer>,
    forever: Option<Answer>,
}

#[derive(Default)]
struct State {
    scripts: BTreeMap<String, Script>,
    calls: Vec<Call>,
    wrong: Vec<String>,
}

/// The vendor. It is held to its script when it is dropped.
pub(crate) struct Vendor {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Vendor {
    pub(crate) fn start() -> Self {
        Self::start_as(serve)
    }

    /// Behind a server of its own, which is handed what answers and gives its URL.
    pub(crate) fn start_as(serve: impl FnOnce(Box<dyn Fn(Request) -> Answer + Send + Sync>) -> String) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let url = serve(Box::new(move |request| shared.lock().unwrap().answer(request)));
        Self { url, state }
    }

    /// Behind what is scripted already, `answers` to the calls for this transaction; each must be asked for.
    pub(crate) fn script(&self, transaction_id: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut state = self.state.lock().unwrap();
        let script = state.scripts.entry(transaction_id.to_owned()).or_default();
        script.queue.extend(answers);
    }

    /// The same answer to every call for this transaction; it must be asked for once at least.
    pub(crate) fn always(&self, transaction_id: &str, answer: Answer) {
        self.script(transaction_id, [answer.clone()]);
        let mut state = self.state.lock().unwrap();
        state.scripts.get_mut(transaction_id).unwrap().forever = Some(answer);
    }

    /// The same answer to every call that nothing else is scripted for; there must be one at least.
    pub(crate) fn otherwise(&self, answer: Answer) {
        self.always(ANY, answer);
    }

    /// Every call so far, in the order of their arrival.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// The calls for one transaction so far.
    pub(crate) fn calls_for(&self, transaction_id: &str) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.transaction_id == transaction_id);
        calls
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "the vendor got wrong calls: {:#?}", state.wrong);
        for (id, script) in &state.scripts {
            let left = script.queue.len();
            assert!(left == 0, "{left} scripted answers for {id} were never asked for");
        }
    }
}

impl State {
    fn answer(&mut self, request: Request) -> Answer {
        let id = request.parameter("TransactionId").unwrap_or_default();
        self.wrong
            .extend(wrong_with(&request).map(|what| format!("{id}: {what}")));
        let nonce = request.header("x-acs-signature-nonce");
        let nonces: BTreeSet<&str> = self
            .calls
            .iter()
            .map(|call| call.request.header("x-acs-signature-nonce"))
            .collect();
        if nonces.contains(nonce) {
            self.wrong.push(format!("{id}: the nonce {nonce} came twice"));
        }
        let name = if self.scripts.contains_key(&id) {
            id.as_str()
        } else {
            ANY
        };
        let script = self.scripts.get_mut(name);
        let answer = script.and_then(|script| script.queue.pop_front().or_else(|| script.forever.clone()));
        let answer = answer.unwrap_or_else(|| {
            self.wrong
                .push(format!("{id}: call {} was not scripted", self.calls.len() + 1));
            error(400, "InvalidParameter")
        });
        self.calls.push(Call {
            transaction_id: id,
            request,
            answered_at: Instant::now(),
        });
        answer
    }
}

/// What every call must have, whatever the test.
fn wrong_with(request: &Request) -> Option<String> {
    let is = |name, text: &str| request.header(name) == text;
    let wrong = if !request.line.starts_with("POST /?") {
        "not a POST to the root"
    } else if !is("x-acs-action", "CheckResult") || !is("x-acs-version", "2022-08-09") {
        "not the action CheckResult of 2022-08-09"
    } else if !request
        .header("authorization")
        .starts_with("ACS3-HMAC-SHA256 Credential=")
    {
        "not signed"
    } else if request.parameter("MerchantBizId").is_none_or(|id| id.is_empty()) {
        "no MerchantBizId"
    } else {
        return None;
    };
    Some(format!("{wrong}: {request:?}"))
}

/// A final verdict in the vendor's form.
pub(crate) fn verdict(passed: &str, sub_code: &str) -> Answer {
    let face = json!({"faceAttack": "N", "faceAge": "30", "faceGender": "M", "faceAttackScore": 1.5});
    let body = json!({
        "Code": "Success",
        "Message": "success",
        "RequestId": "130A2C10-B9EE-4D84-88E3-5384FF039795",
        "Result": {"Passed": passed, "SubCode": sub_code, "ExtFaceInfo": face.to_string()},
    });
    Answer::new(200, body.to_string())
}

/// An error in the vendor's form.
pub(crate) fn error(http_status: u16, code: &str) -> Answer {
    error_saying(http_status, code, "scripted")
}

/// An error with a message of its own.
pub(crate) fn error_saying(http_status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"Code": code, "Message": message, "RequestId": "4EA1F3C2-0000-0000-0000-000000000000"});
    Answer::new(http_status, body.to_string())
}

/// Over the quota; `retry_after` in milliseconds.
pub(crate) fn throttled(http_status: u16, code: &str, retry_after: u64) -> Answer {
    error(http_status, code).header("x-acs-retry-after", &retry_after.to_string())
}
