//! Replies that are made to break their reader: too deep, too many values, encoded again and again. None breaks it, none
//! holds up its neighbours, and what is final in one is archived.

use parquet::record::Field;
use serde_json::{Value, json};

use crate::common::server::Answer;
use crate::common::vendor::{Vendor, verdict};
use crate::common::{FRESH, Idvault};

/// A body of this length is still read: the client's limit is 8 MiB.
const BODY_BYTES: usize = 8_000_000;

fn final_with(ext_face_info: &str) -> Answer {
    let body = format!(
        r#"{{"Code":"Success","RequestId":"R","Result":{{"Passed":"Y","SubCode":"200","ExtFaceInfo":{ext_face_info}}}}}"#
    );
    Answer::new(200, body)
}

/// `text` as JSON in JSON in JSON.
fn encoded(text: &str, times: usize) -> String {
    (0..times).fold(text.to_owned(), |text, _| Value::String(text).to_string())
}

#[test]
fn replies_that_are_bombs_break_nothing() {
    let depth = BODY_BYTES / 2 - 100;
    let nested = "[".repeat(depth) + &"]".repeat(depth);
    let open = "[".repeat(BODY_BYTES - 200);
    let many = "0,".repeat(BODY_BYTES / 2 - 200) + "0";
    let unreadable = [
        ("open", Answer::new(200, open.as_str())),
        ("objects", Answer::new(200, "{\"a\":".repeat(BODY_BYTES / 5))),
        ("nested", Answer::new(200, nested.as_str())),
        (
            "many",
            Answer::new(
                200,
                format!(r#"{{"Code":"Success","Result":{{"Passed":"Y"}},"x":[{many}]}}"#),
            ),
        ),
        ("quotes", Answer::new(200, "\"\\".repeat(BODY_BYTES / 2))),
        ("elements", Answer::new(500, "<Error><Code>".repeat(BODY_BYTES / 13))),
    ];
    let readable = [
        ("deep-value", final_with(&nested), "partial"),
        ("deep-text", final_with(&Value::String(open).to_string()), "unparsed"),
        (
            "many-in-text",
            final_with(&Value::String(format!("[{many}]")).to_string()),
            "unparsed",
        ),
        ("encoded", final_with(&encoded(r#"{"faceAge":30}"#, 12)), "unparsed"),
        (
            "faces",
            final_with(&json!({"duplicateFace": encoded("[[[]]]", 3)}).to_string()),
            "partial",
        ),
    ];
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.write("idvault.toml", "[retry]\nattempts_per_call = 1\n");
    let mut rows = vec![("good", FRESH)];
    vendor.script("good", [verdict("Y", "200")]);
    for (id, answer) in &unreadable {
        vendor.script(id, [answer.clone()]);
        rows.push((id, FRESH));
    }
    for (id, answer, _) in &readable {
        vendor.script(id, [answer.clone()]);
        rows.push((id, FRESH));
    }
    idvault.pending(&rows);
    let ended = idvault.run(&vendor, &[]).exits(4);
    assert!(!ended.stderr.contains("panic"), "{}", ended.stderr);
    for (id, _) in &unreadable {
        assert_eq!(idvault.row(id).state, "pending", "{id}");
    }
    let archived = idvault.archived();
    assert_eq!(archived.len(), 1 + readable.len());
    for (id, _, status) in readable {
        assert_eq!(archived[id]["parse_status"], Field::Str(status.to_owned()), "{id}");
    }
    idvault.execute(&["verify", "--read-data"]).exits(0);
}
