//! One call, from its arrival to its answer.
//!
//! - [`Shared`]: what all calls share
//! - [`answer`]: answers a call

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use tokio::sync::watch;
use tokio::time::sleep;

use super::answers::{Canned, Mix};
use super::checks::{Asked, Checker};
use super::counters::Counters;
use super::dice::Dice;
use super::errors::{Form, Refusal, request_id};
use super::faults::{Fault, Faults};
use super::quota::{Window, Windows};
use super::wire::Wire;

/// The longest body that is read; the service's own clients send none.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long a call hangs before its connection is reset.
const HANG: Duration = Duration::from_mins(1);

/// The page of a proxy that has no upstream.
const PROXY_HTML: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
                          <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// What all calls share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) checker: Checker,
    pub(super) window: Option<Window>,
    pub(super) windows: Option<Windows>,
    pub(super) latency: RangeInclusive<Duration>,
    pub(super) faults: Faults,
    pub(super) outage: Range<u64>,
    pub(super) seed: u64,
    pub(super) answers: Mix,
    pub(super) counters: Arc<Counters>,
    /// True once the sandbox stops: nothing hangs on after that.
    pub(super) stopping: watch::Sender<bool>,
}

/// Answers a call.
pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
) -> Response<Body> {
    let call = shared.counters.call();
    let mut dice = Dice::of_call(shared.seed, call);
    // The quota looks at arrivals, so it comes before anything that takes time.
    let room = shared.window.as_ref().map_or(Ok(()), Window::arrive);
    let checked = check(&shared.checker, request).await;
    let room = match (&checked, &shared.windows) {
        (Ok(asked), Some(windows)) => room.and_then(|()| windows.arrive(&asked.transaction_id)),
        _ => room,
    };
    let latency = latency(&shared.latency, &mut dice);
    if !latency.is_zero() {
        sleep(latency).await;
    }
    let asked = match (checked, room) {
        (Err(refusal), _) => {
            shared.counters.refuse();
            return refuse(&refusal, &mut dice);
        }
        (Ok(_), Err(wait)) => {
            shared.counters.throttle();
            return throttle(wait, &mut dice);
        }
        (Ok(asked), Ok(())) => asked,
    };
    if shared.outage.contains(&call) {
        shared.counters.fault();
        return server_error(&mut dice);
    }
    if let Some(fault) = shared.faults.draw(&mut dice) {
        shared.counters.fault();
        return misbehave(&shared, fault, &asked, &wire, &mut dice).await;
    }
    let is_final = shared.answers.kind_of(&asked.transaction_id).is_final();
    let canned = shared.answers.answer_for(&asked.transaction_id, asked.want_image);
    shared.counters.answer(&asked.transaction_id, is_final);
    respond(canned)
}

async fn check(checker: &Checker, request: Request) -> Result<Asked, Refusal> {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return checker.check(&parts, &[]);
    }
    match to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => checker.check(&parts, &body),
        Err(_) => Err(Refusal::new(400, "InvalidParameter", "The body is too long.")),
    }
}

fn latency(range: &RangeInclusive<Duration>, dice: &mut Dice) -> Duration {
    *range.start() + range.end().saturating_sub(*range.start()).mul_f64(dice.share())
}

async fn misbehave(shared: &Shared, fault: Fault, asked: &Asked, wire: &Wire, dice: &mut Dice) -> Response<Body> {
    let canned = || shared.answers.answer_for(&asked.transaction_id, asked.want_image);
    match fault {
        Fault::Throttle => throttle(Duration::from_millis(50 + u64::from(dice.below(450))), dice),
        Fault::ServerError => server_error(dice),
        Fault::Reset => {
            wire.reset();
            Response::new(Body::empty())
        }
        Fault::CutBody => {
            let canned = canned();
            wire.cut_after(canned.body.len() / 2);
            respond(canned)
        }
        Fault::Malformed => {
            let mut canned = canned();
            let half = canned.body.floor_char_boundary(canned.body.len() / 2);
            canned.body.truncate(half);
            respond(canned)
        }
        Fault::ProxyHtml => {
            let status = if dice.per_mille(500) { 200 } else { 502 };
            build(status, "text/html", PROXY_HTML.into())
        }
        Fault::Hang => {
            let mut stopping = shared.stopping.subscribe();
            tokio::select! {
                () = sleep(HANG) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
            wire.reset();
            Response::new(Body::empty())
        }
    }
}

fn server_error(dice: &mut Dice) -> Response<Body> {
    match dice.below(3) {
        0 => refuse(&Refusal::new(500, "InternalError", "Internal system error."), dice),
        1 => refuse(
            &Refusal::new(503, "ServiceUnavailable", "The service is unavailable."),
            dice,
        ),
        _ => build(502, "text/plain", "Bad Gateway".into()),
    }
}

/// A throttled answer; half of them say how long to wait.
fn throttle(wait: Duration, dice: &mut Dice) -> Response<Body> {
    let message = "API request is blocked due to throttling.";
    let mut response = refuse(&Refusal::new(403, "Throttling.Api", message), dice);
    if dice.per_mille(500) {
        // Whole milliseconds, rounded up: a client that waits as told finds room.
        let millis = u64::try_from(wait.as_micros().div_ceil(1000))
            .unwrap_or(u64::MAX)
            .max(1);
        response
            .headers_mut()
            .insert("x-acs-retry-after", HeaderValue::from(millis));
    }
    response
}

fn refuse(refusal: &Refusal, dice: &mut Dice) -> Response<Body> {
    let request_id = request_id(dice);
    respond(Canned {
        http_status: refusal.http_status,
        content_type: Form::Usual.content_type(),
        body: refusal.body(Form::Usual, &request_id),
        request_id,
    })
}

fn respond(canned: Canned) -> Response<Body> {
    let mut response = build(canned.http_status, canned.content_type, canned.body.into());
    if let Ok(value) = HeaderValue::try_from(canned.request_id) {
        response.headers_mut().insert("x-acs-request-id", value);
    }
    response
}

fn build(http_status: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
