//! A reply of the vendor's: what it means, and what is archived of it.

use std::time::Duration;

use idvault::record::{FaceInfo, Record};
use idvault::vendor::{Answer, Classified, Reply, classify, normalize};
use jiff::Timestamp;

use super::assert_shown;

const STATUSES: [u16; 6] = [200, 400, 403, 429, 500, 302];
/// A run of Base64 of this length is an image wherever it stands: `MIN_NAMELESS_CHARS` of `vendor/image`.
const IMAGE_CHARS: usize = 8 * 1024;
/// The longest message that is kept, and the longest word, in characters: those of `vendor/envelope`.
const MESSAGE_CHARS: usize = 300;
const WORD_CHARS: usize = 128;

/// Whatever the body: what is taken for final is what can be archived, texts that are shown are short and harmless, and
/// numbers are in their range.
pub fn reply(body: &[u8]) {
    // The body's length stands for what else a reply has, so that a file is a body and nothing but.
    let choice = body.len();
    let reply = Reply {
        http_status: STATUSES[choice % STATUSES.len()],
        body: body.to_vec(),
        retry_after: choice.is_multiple_of(7).then_some(Duration::from_secs(1)),
        date: None,
    };
    let classified = classify(&reply, Timestamp::UNIX_EPOCH);
    shown(&classified);
    match (classified.answer, normalize(body)) {
        (Answer::Final { passed, sub_code }, Ok(record)) => {
            assert_eq!((record.passed, &record.sub_code), (passed, &sub_code));
            archived(&record);
        }
        (Answer::Final { .. }, Err(error)) => panic!("final, and not to be archived: {error}"),
        (answer, Ok(_)) => panic!("{answer:?}, and archived all the same"),
        (_, Err(_)) => {}
    }
}

fn shown(classified: &Classified) {
    assert_shown(&classified.call_code, WORD_CHARS);
    assert!(!classified.call_code.is_empty());
    assert_shown(classified.message.as_deref().unwrap_or_default(), MESSAGE_CHARS);
    match &classified.answer {
        Answer::Final { sub_code, .. } => {
            assert_shown(sub_code, WORD_CHARS);
            // Nothing of it is redacted.
            assert!(classified.call_code.eq_ignore_ascii_case("Success") && classified.message.is_none());
        }
        Answer::UnknownVerdict { passed: Some(word) } => assert_shown(word, WORD_CHARS),
        _ => {}
    }
}

fn archived(record: &Record) {
    for text in [
        &record.ext_face_info,
        &record.ekyc_result,
        &record.ext_basic_info,
        &record.ext_id_info,
        &record.ext_info,
        &record.ext_risk_info,
        &record.ext_source_info,
    ] {
        let text = text.as_deref().unwrap_or_default();
        assert!(longest_base64(text) < IMAGE_CHARS, "an image is left");
    }
    assert!(record.images.iter().all(|image| !image.bytes.is_empty()));
    in_range(&record.face);
}

fn in_range(face: &FaceInfo) {
    let score = |score: Option<f64>| score.is_none_or(|score| (0.0..=100.0).contains(&score));
    assert!(score(face.attack_score) && score(face.guard_risk_score) && score(face.comparison_score));
    assert!(face.age.is_none_or(|years| (0..=150).contains(&years)));
    assert!(face.gender.as_deref().is_none_or(|gender| matches!(gender, "M" | "F")));
    assert!(face.duplicate_faces.iter().flatten().all(|face| score(face.score)));
}

fn longest_base64(text: &str) -> usize {
    let runs = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/-_=".contains(c)));
    runs.map(str::len).max().unwrap_or(0)
}
