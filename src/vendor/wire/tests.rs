use proptest::prelude::*;

use super::*;
use crate::vendor::client::Reply;
use crate::vendor::reply::{Answer, classify};

const PAGE: &str = include_str!("../../../tests/vectors/checkresult_page.json");

fn with_result(result: &str) -> Record {
    let body = format!(r#"{{"RequestId":"R","Code":"Success","Result":{result}}}"#);
    normalize(body.as_bytes()).unwrap()
}

/// `face` is `ExtFaceInfo`, as JSON.
fn with_face(face: &str) -> Record {
    with_result(&format!(r#"{{"Passed":"Y","SubCode":"200","ExtFaceInfo":{face}}}"#))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn page_face() -> FaceInfo {
    FaceInfo {
        attack: Some(false),
        registered: Some(true),
        attack_score: Some(80.0),
        guard_risk_score: Some(90.0),
        comparison_score: Some(90.0),
        age: Some(30),
        gender: Some("M".to_owned()),
        registration_id: Some("f5a9219aefd6*******c84c8f0ca592a".to_owned()),
        device_token: Some("e0c34a77f5ac40a5aa5e6ed20c35****".to_owned()),
        video_url: Some("https://aliyun-cloudauth.oss-aliyuncs.com/******.webm".to_owned()),
        duplicate_faces: Some(vec![DuplicateFace {
            face_group_code: Some("sg7****uzt".to_owned()),
            face_id: Some("f5a921*******9e792ec84c8f0ca592a".to_owned()),
            merchant_user_id: Some("face0005".to_owned()),
            score: Some(93.26),
        }]),
    }
}

#[test]
fn the_pages_own_example_is_read_though_it_is_not_json() {
    let record = normalize(PAGE.as_bytes()).unwrap();
    assert!(record.passed && record.sub_code == "200");
    assert_eq!(
        record.request_id.as_deref(),
        Some("130A2C10-B9EE-4D84-88E3-5384FF03****")
    );
    assert_eq!(record.face, page_face());
    // The example's image ends in dots, so it can't be decoded: it is kept as it came.
    assert_eq!(record.parse_status, ParseStatus::Partial);
    assert_eq!(record.images[0].bytes, b"/9j/4AAQSkZJRgABAQAAAQqviv6oakp8...");
    let raw = record.ext_face_info.unwrap();
    assert!(
        raw.contains("  \"faceImg\": \"\",\n") && raw.contains("592a\"\n    \"merchantUserId\""),
        "{raw}"
    );
}

#[test]
fn each_member_has_its_own_place() {
    let texts =
        r#""EkycResult":"a","ExtBasicInfo":"b","ExtIdInfo":"c","ExtInfo":"d","ExtRiskInfo":"e","ExtSourceInfo":"f""#;
    let record = with_result(&format!(r#"{{"Passed":"Y",{texts}}}"#));
    let texts = [
        &record.ekyc_result,
        &record.ext_basic_info,
        &record.ext_id_info,
        &record.ext_info,
        &record.ext_risk_info,
        &record.ext_source_info,
    ];
    assert_eq!(
        texts.map(|text| text.as_deref().unwrap()),
        ["a", "b", "c", "d", "e", "f"]
    );
    let face = with_face(r#"{"faceAttackScore":1,"guardRiskScore":2,"faceComparisonScore":3}"#).face;
    assert_eq!(
        [face.attack_score, face.guard_risk_score, face.comparison_score],
        [Some(1.0), Some(2.0), Some(3.0)]
    );
}

#[test]
fn every_form_of_the_face_info_reads_alike() {
    let plain = r#"{"FaceAttack":"Y","faceAttackScore":"12.50","FaceAge":30,"faceRegistrationResult":1,"new":{}}"#;
    let twice = quoted(plain);
    for (face, raw) in [
        (plain.to_owned(), plain),
        (quoted(plain), plain),
        (quoted(&twice), twice.as_str()),
        (quoted(&plain.replace(":{}}", ":{},}")), &plain.replace(":{}}", ":{},}")),
    ] {
        let record = with_face(&face);
        assert_eq!(record.ext_face_info.as_deref(), Some(raw));
        assert_eq!(record.parse_status, ParseStatus::Ok, "{face}");
        let face = record.face;
        assert_eq!(
            (face.attack, face.attack_score, face.age),
            (Some(true), Some(12.5), Some(30))
        );
        assert_eq!((face.registered, face.gender), (Some(true), None));
    }
}

#[test]
fn what_can_not_be_read_is_null_and_told() {
    for (member, partial) in [
        (r#""faceAttackScore":101"#, true),
        (r#""faceAttackScore":-0.5"#, true),
        (r#""faceAttackScore":NaN"#, true),
        (r#""faceAttackScore":"NaN""#, true),
        (r#""faceAttackScore":1e999"#, true),
        (r#""faceAge":"old""#, true),
        (r#""faceAge":30.5"#, true),
        (r#""faceAge":40000"#, true),
        (r#""faceGender":"X""#, true),
        (r#""faceAttack":"maybe""#, true),
        (r#""deviceToken":{}"#, true),
        (r#""duplicateFace":"nonsense""#, true),
        (r#""duplicateFace":7"#, true),
        (
            r#""faceAttackScore":null,"faceAge":"","faceAttack":"","duplicateFace":"","faceImg":"""#,
            false,
        ),
        ("", false),
    ] {
        let record = with_face(&quoted(&format!("{{{member}}}")));
        assert_eq!(record.face, FaceInfo::default(), "{member}");
        let expected = if partial { ParseStatus::Partial } else { ParseStatus::Ok };
        assert_eq!(record.parse_status, expected, "{member}");
    }
    for (face, status) in [
        ("null", ParseStatus::Ok),
        ("\"\"", ParseStatus::Ok),
        ("\"{\\\"faceAttack\\\":\"", ParseStatus::Unparsed),
        ("\"hello\"", ParseStatus::Unparsed),
        ("7", ParseStatus::Unparsed),
        ("[]", ParseStatus::Partial),
    ] {
        assert_eq!(with_face(face).parse_status, status, "{face}");
    }
    assert_eq!(with_face("null").ext_face_info, None);
}

#[test]
fn duplicate_faces_as_array_string_and_in_part() {
    let faces = |json: &str| {
        let record = with_face(&quoted(&format!("{{\"duplicateFace\":{json}}}")));
        (record.face.duplicate_faces.unwrap(), record.parse_status)
    };
    let (list, status) = faces(r#"[{"FaceId":"a","score":"99.5"},{"score":"high"},5]"#);
    assert_eq!((list.len(), status), (2, ParseStatus::Partial));
    assert_eq!(
        (list[0].face_id.as_deref(), list[0].score, list[1].score),
        (Some("a"), Some(99.5), None)
    );
    assert_eq!(faces(&quoted(r#"[{"faceId":"a" "score":1,}]"#)).1, ParseStatus::Ok);
    assert_eq!(faces("[]"), (vec![], ParseStatus::Ok));
    assert_eq!(faces(r#"{"faceId":"a"}"#).0.len(), 1);
}

#[test]
fn images_come_main_first_and_leave_no_byte_behind() {
    let face = r#"{"extraFaceImg":["/9j/4A==",{"img":"iVBORw0KGgoAAAAAAAAA"}],"faceImg":"UklGRgAAAABXRUJQ"}"#;
    for face in [face.to_owned(), quoted(face), quoted(&quoted(face))] {
        let record = with_face(&face);
        let types: Vec<_> = record.images.iter().map(|image| image.media_type).collect();
        assert_eq!(types, ["image/webp", "image/jpeg", "image/png"]);
        assert_eq!(record.parse_status, ParseStatus::Ok);
        let raw = record.ext_face_info.unwrap();
        assert!(!["9j", "iVBO", "Ukl"].iter().any(|part| raw.contains(part)), "{raw}");
    }
    let cut_off = with_face(&quoted(r#"{"faceImg":"/9j/4A=="#));
    assert_eq!((cut_off.images.len(), cut_off.parse_status), (1, ParseStatus::Unparsed));
    assert_eq!(cut_off.ext_face_info.unwrap(), r#"{"faceImg":""#);
}

#[test]
fn the_other_strings_stay_as_they_came() {
    let record = with_result(
        r#"{"passed":"n","subCode":205,"EkycResult":"N","ExtBasicInfo":{ "a b" : 1.10, "big": 12345678901234567890123 },
            "ExtIdInfo":" {x","ExtInfo":"","ExtRiskInfo":null,"ExtSourceInfo":[1, 1e999]}"#,
    );
    assert_eq!((record.passed, record.sub_code.as_str()), (false, "205"));
    assert_eq!(record.ekyc_result.as_deref(), Some("N"));
    assert_eq!(
        record.ext_basic_info.as_deref(),
        Some(r#"{"a b":1.10,"big":12345678901234567890123}"#)
    );
    assert_eq!(record.ext_id_info.as_deref(), Some(" {x"));
    assert_eq!((record.ext_info.as_deref(), record.ext_risk_info), (Some(""), None));
    assert_eq!(record.ext_source_info.as_deref(), Some("[1,1e999]"));
    assert_eq!(record.parse_status, ParseStatus::Ok);
}

#[test]
fn what_is_not_final_is_refused() {
    let refused = |body: &str| normalize(body.as_bytes()).unwrap_err();
    assert_eq!(refused("<html>"), NotAFinalReply::NotJson);
    assert_eq!(
        refused(r#"{"Code":"InternalError"}"#),
        NotAFinalReply::Code("InternalError".to_owned())
    );
    assert_eq!(
        refused(r#"{"Code":"Success","Result":{"Passed":"P"}}"#),
        NotAFinalReply::NoVerdict
    );
    assert_eq!(refused(r#"{"Code":"Success"}"#), NotAFinalReply::NoVerdict);
}

/// What is final has a record with the same verdict; what is not has none.
fn agrees(body: Vec<u8>) {
    let record = normalize(&body);
    let reply = Reply {
        http_status: 200,
        body,
        retry_after: None,
        date: None,
    };
    match classify(&reply, jiff::Timestamp::UNIX_EPOCH).answer {
        Answer::Final { passed, sub_code } => {
            let record = record.unwrap();
            assert_eq!((record.passed, record.sub_code), (passed, sub_code));
        }
        _ => assert!(record.is_err()),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_safe(body in any::<Vec<u8>>()) {
        agrees(body);
    }

    #[test]
    fn any_face_info_is_safe(face in any::<String>(), wild in "[{}\\[\\]\":,\\\\faceImgduplicY0-9. ]{0,80}") {
        with_face(&quoted(&face));
        with_face(&quoted(&wild));
        with_face(&quoted(&quoted(&wild)));
    }

    #[test]
    fn mutated_replies_are_safe(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6)) {
        let mut body = PAGE.as_bytes().to_vec();
        for (index, byte, kind) in edits {
            let at = index.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => { body.remove(at); }
                _ => body.insert(at, byte),
            }
        }
        agrees(body);
    }

    /// The image is long, as real ones are, and the face info around it is damaged.
    #[test]
    fn no_image_stays_in_a_damaged_face_info(edits in prop::collection::vec((any::<prop::sample::Index>(), "[\"\\\\{}:, x]"), 0..4)) {
        let image = format!("/9j/{}", "QUJD".repeat(4096));
        let (before, after) = (r#"{"faceAttack":"N","faceImg":""#, r#"","faceAge":"30"}"#);
        let mut before = before.to_owned();
        for (index, text) in edits {
            let at = index.index(before.len());
            before.replace_range(at..=at, &text);
        }
        let record = with_face(&quoted(&format!("{before}{image}{after}")));
        prop_assert!(!record.ext_face_info.unwrap().contains("QUJDQUJD"));
        prop_assert!(record.images.iter().any(|image| image.bytes.len() > 12_000));
    }
}

#[test]
fn what_could_not_be_read_as_text_makes_the_status_partial() {
    let whole = with_face(&quoted(r#"{"deviceToken":"\ud83d\ude00"}"#));
    assert_eq!(
        (whole.parse_status, whole.face.device_token.as_deref()),
        (ParseStatus::Ok, Some("\u{1f600}"))
    );
    for face in [
        r#"{"deviceToken":"\ud800x"}"#,
        r#"{"duplicateFace":[{"faceId":"\udc00"}]}"#,
    ] {
        assert_eq!(with_face(&quoted(face)).parse_status, ParseStatus::Partial, "{face}");
    }
    assert_eq!(
        with_result(r#"{"Passed":"Y","SubCode":"200","ExtInfo":"\ud800"}"#).parse_status,
        ParseStatus::Partial
    );
    let mut body =
        br#"{"RequestId":"R","Code":"Success","Result":{"Passed":"N","SubCode":"204","ExtInfo":"x"}}"#.to_vec();
    assert_eq!(normalize(&body).unwrap().parse_status, ParseStatus::Ok);
    let at = body.iter().position(|byte| *byte == b'x').unwrap();
    body[at] = 0xFF;
    let damaged = normalize(&body).unwrap();
    assert_eq!((damaged.parse_status, damaged.passed), (ParseStatus::Partial, false));
}
