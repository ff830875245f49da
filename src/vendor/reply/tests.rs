use super::*;

const NOW: &str = "2026-11-22T02:00:00Z";

fn reply(http_status: u16, body: &str) -> Reply {
    Reply {
        http_status,
        body: body.as_bytes().to_vec(),
        retry_after: None,
        date: None,
    }
}

fn classified(http_status: u16, body: &str) -> Classified {
    classify(&reply(http_status, body), NOW.parse().unwrap())
}

fn answer(http_status: u16, body: &str) -> Answer {
    classified(http_status, body).answer
}

fn code(http_status: u16, code: &str) -> Answer {
    answer(
        http_status,
        &format!(r#"{{"RequestId":"R","Code":"{code}","Message":"m"}}"#),
    )
}

fn passed(value: &str) -> Answer {
    answer(
        200,
        &format!(r#"{{"Code":"Success","Result":{{"SubCode":"200","Passed":{value}}}}}"#),
    )
}

fn finally(passed: bool, sub_code: &str) -> Answer {
    let sub_code = sub_code.to_owned();
    Answer::Final { passed, sub_code }
}

#[test]
fn only_y_and_n_are_final() {
    for yes in ["\"Y\"", "\"y\"", "\" Y \"", "true"] {
        assert_eq!(passed(yes), finally(true, "200"));
    }
    for no in ["\"N\"", "\"n\"", "false"] {
        assert_eq!(passed(no), finally(false, "200"));
    }
    for (other, word) in [
        ("\"\"", "\"\""),
        ("1", "1"),
        ("\"true\"", "\"true\""),
        ("[\"Y\"]", "[\"Y\"]"),
    ] {
        assert_eq!(
            passed(other),
            Answer::UnknownVerdict {
                passed: Some(word.to_owned())
            }
        );
    }
    for open in ["\"P\"", "\" p \""] {
        assert_eq!(passed(open), Answer::Undecided);
    }
    for nothing in [
        r#"{"Code":"Success"}"#,
        r#"{"Code":"Success","Result":null}"#,
        r#"{"Code":"Success","Result":{"Passed":null}}"#,
        r#"{"Code":"Success","Result":"no json"}"#,
        r#"{"Code":"Success","Passed":"Y"}"#,
    ] {
        assert_eq!(
            answer(200, nothing),
            Answer::UnknownVerdict { passed: None },
            "{nothing}"
        );
    }
}

#[test]
fn result_may_be_a_string_and_keys_of_any_case() {
    let text = r#"{"code":"success","result":"{\"passed\":\"N\",\"subcode\":205}"}"#;
    let found = classified(200, text);
    assert_eq!(found.answer, finally(false, "205"));
    assert_eq!(found.call_code, "success");
    assert_eq!(
        answer(200, r#"{"Code":"Success","Result":{"Passed":"Y"}}"#),
        finally(true, "")
    );
}

fn throttled(retry_after: Option<Duration>, refused: Option<Answer>) -> Answer {
    let refused = refused.map(Box::new);
    Answer::Throttled { retry_after, refused }
}

#[test]
fn each_row_of_the_table_of_answers() {
    assert_eq!(code(404, "ProcessNotCompleted"), Answer::NotCompleted);
    for (status, word) in [
        (403, "Throttling.Api"),
        (400, "Throttling.User"),
        (429, "Throttling"),
        (200, "throttling.x"),
    ] {
        assert_eq!(code(status, word), throttled(None, None));
    }
    assert_eq!(answer(429, ""), throttled(None, None));
    assert_eq!(answer(429, "<html>slow down</html>"), throttled(None, None));
    for (status, word) in [
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (500, "Whatever"),
        (200, "InternalError"),
    ] {
        assert_eq!(code(status, word), Answer::Faulty(FaultyReply::Server));
    }
    assert_eq!(code(400, "TransactionIdInvalid"), Answer::InvalidTransaction);
    for word in ["InvalidParameter", "MissingParameter", "InvalidParameter.TransactionId"] {
        assert_eq!(code(400, word), Answer::InvalidRequest);
    }
    assert_eq!(code(401, "Forbidden.ExceptionRepeatedInvoke"), Answer::RepeatedInvoke);
    assert_eq!(code(400, "SignatureNonceUsed"), Answer::Faulty(FaultyReply::NonceUsed));
    assert_eq!(code(400, "Novelty"), Answer::Faulty(FaultyReply::UnknownCode));
}

#[test]
fn the_code_decides_over_the_http_status() {
    assert_eq!(code(200, "TransactionIdInvalid"), Answer::InvalidTransaction);
    assert_eq!(code(500, "ProcessNotCompleted"), Answer::NotCompleted);
    let good = r#"{"Code":"Success","Result":{"Passed":"Y","SubCode":"200"}}"#;
    assert_eq!(answer(500, good), finally(true, "200"));
}

#[test]
fn a_retry_after_is_throttling_unless_the_call_worked() {
    let wait = Some(Duration::from_millis(250));
    let with = |body: &str| {
        let mut reply = reply(503, body);
        reply.retry_after = wait;
        classify(&reply, NOW.parse().unwrap()).answer
    };
    let server = Some(Answer::Faulty(FaultyReply::Server));
    assert_eq!(with(""), throttled(wait, server.clone()));
    assert_eq!(with(r#"{"Code":"ServiceUnavailable"}"#), throttled(wait, server));
    let unknown = with(r#"{"Code":"TransactionIdInvalid"}"#);
    assert_eq!(unknown, throttled(wait, Some(Answer::InvalidTransaction)));
    assert_eq!(with(r#"{"Code":"Throttling.Api"}"#), throttled(wait, None));
    let good = r#"{"Code":"Success","Result":{"Passed":"Y","SubCode":"200"}}"#;
    assert_eq!(with(good), finally(true, "200"));
}

#[test]
fn what_is_refused_of_the_account_stops_the_run() {
    use crate::vendor::account::AccountFaultKind::{Account, ClockOff, Denied, ExpiredToken, WrongKey};
    for (status, word, kind) in [
        (400, "SignatureDoesNotMatch", WrongKey),
        (400, "IncompleteSignature", WrongKey),
        (404, "InvalidAccessKeyId.NotFound", WrongKey),
        (400, "InvalidAccessKeyId.Inactive", WrongKey),
        (400, "InvalidSecurityToken.Malformed", WrongKey),
        (400, "InvalidSecurityToken.Expired", ExpiredToken),
        (403, "Forbidden.RAMUserAccessDenied", Denied),
        (403, "Forbidden.NoPermission", Denied),
        (403, "Forbidden.AccountAccessDenied", Account),
        (400, "InvalidTimeStamp.Expired", ClockOff { seconds: None }),
    ] {
        let Answer::Account(fault) = code(status, word) else {
            panic!("{word} does not stop the run")
        };
        assert_eq!(fault.kind, kind, "{word}");
        assert!(fault.to_string().contains(word), "{fault}");
    }
}

#[test]
fn a_clock_that_is_off_is_named_with_its_seconds() {
    let fault = |date: &str| {
        let mut reply = reply(400, r#"{"Code":"InvalidTimeStamp.Expired"}"#);
        reply.date = Some(date.parse().unwrap());
        match classify(&reply, NOW.parse().unwrap()).answer {
            Answer::Account(fault) => fault.to_string(),
            other => panic!("{other:?}"),
        }
    };
    insta::assert_snapshot!(fault("2026-11-22T01:39:30Z"), @"this machine's clock is 20 min 30 s ahead of the vendor's (InvalidTimeStamp.Expired), which allows 15 min: set the clock");
    insta::assert_snapshot!(fault("2026-11-22T02:16:00Z"), @"this machine's clock is 16 min 0 s behind the vendor's (InvalidTimeStamp.Expired), which allows 15 min: set the clock");
    insta::assert_snapshot!(fault("2026-11-22T02:14:00Z"), @"the vendor refused the time of the request (InvalidTimeStamp.Expired): check that this machine's clock is less than 15 min off");
}

#[test]
fn errors_in_xml() {
    let xml = "<?xml version='1.0'?>\n<Error><RequestId>R1</RequestId><HostId>h</HostId>\
               <Code>Throttling.Api</Code><Message><![CDATA[too fast]]></Message></Error>";
    let found = classified(403, xml);
    assert_eq!(found.answer, throttled(None, None));
    assert_eq!(found.message.as_deref(), Some("too fast"));
    assert_eq!(found.call_code, "Throttling.Api");
    let plain = classified(403, &xml.replace("<![CDATA[too fast]]>", "5 &lt; 6 &amp;amp; 7"));
    assert_eq!(plain.message.as_deref(), Some("5 < 6 &amp; 7"));
    assert_eq!(
        answer(400, "<error><code>TransactionIdInvalid</code></error>"),
        Answer::InvalidTransaction
    );
}

#[test]
fn what_is_not_the_services_is_retried() {
    for (status, body, call_code, fault) in [
        (
            502,
            "<html><body><code>TransactionIdInvalid</code></body></html>",
            "http 502",
            FaultyReply::Server,
        ),
        (200, "<html>login</html>", "unreadable", FaultyReply::Unreadable),
        (403, "<html>blocked</html>", "http 403", FaultyReply::Unreadable),
        (302, "", "http 302", FaultyReply::Unreadable),
        (200, "", "unreadable", FaultyReply::Unreadable),
        (
            200,
            r#"{"Code":"Success","Result":{"Passed":"Y""#,
            "unreadable",
            FaultyReply::Unreadable,
        ),
        (
            200,
            r#"{"Result":{"Passed":"Y"}}"#,
            "unreadable",
            FaultyReply::Unreadable,
        ),
        (200, r#"{"Code":null}"#, "unreadable", FaultyReply::Unreadable),
        (200, "[]", "unreadable", FaultyReply::Unreadable),
        (504, "upstream timeout", "http 504", FaultyReply::Server),
    ] {
        let found = classified(status, body);
        assert_eq!(
            (found.answer, found.call_code.as_str()),
            (Answer::Faulty(fault), call_code),
            "{body}"
        );
    }
}

#[test]
fn messages_can_do_no_harm_on_a_terminal() {
    let body = format!(
        r#"{{"Code":"Odd\u001b[31m","Message":"\u001b]0;x\u0007a\nb{}"}}"#,
        "é".repeat(400)
    );
    let found = classified(400, &body);
    assert_eq!(found.call_code, "Odd[31m");
    let message = found.message.unwrap();
    assert!(message.starts_with("]0;xa bé") && message.chars().count() == 300);
}

#[test]
fn what_the_vendor_repeats_of_a_request_is_left_out() {
    let body = r#"{"Code":"SignatureDoesNotMatch","Message":"Specified signature is not matched. server CanonicalRequest is [POST x-acs-security-token:SECRET]"}"#;
    let message = classified(400, body).message.unwrap();
    assert_eq!(message, "Specified signature is not matched. server");
    let xml = "<Error><Code>SignatureDoesNotMatch</Code><Message>server string to sign is:SECRET</Message></Error>";
    assert_eq!(classified(400, xml).message.as_deref(), Some("server"));
}

#[test]
#[ignore = "a measurement: cargo test --release --lib -- --ignored classify_speed --nocapture"]
fn classify_speed() {
    let body = include_str!("../../../tests/vectors/checkresult_page.json");
    let reply = reply(200, body);
    let start = tokio::time::Instant::now();
    for _ in 0..100_000 {
        assert!(matches!(
            classify(&reply, Timestamp::UNIX_EPOCH).answer,
            Answer::Final { .. }
        ));
    }
    println!("{:?} a reply", start.elapsed() / 100_000);
}
