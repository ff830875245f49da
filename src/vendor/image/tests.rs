use proptest::prelude::*;

use super::*;

fn cut_of(text: &str) -> (String, Vec<String>) {
    let mut cuts = Vec::new();
    let rest = cut(text.to_owned(), &mut cuts);
    (rest, cuts.into_iter().map(|cut| cut.text).collect())
}

#[test]
fn images_are_cut_and_the_rest_stays_to_the_byte() {
    let long = "QUJD".repeat(100);
    for (text, rest, images) in [
        (
            r#"{ "a" : 1, "faceImg" : "/9j\/4A==", "b":"x"}"#.to_owned(),
            r#"{ "a" : 1, "faceImg" : "", "b":"x"}"#,
            vec!["/9j/4A=="],
        ),
        (
            r#"{"FaceImg":"AAAA","faceimg":null}"#.to_owned(),
            r#"{"FaceImg":"","faceimg":null}"#,
            vec!["AAAA"],
        ),
        (
            r#"{"extraFaceImg":["AAAA",{"img":"/9j/AAAAAAAAAAAA","type":"left"}],"z":1}"#.to_owned(),
            r#"{"extraFaceImg":["",{"img":"","type":"left"}],"z":1}"#,
            vec!["AAAA", "/9j/AAAAAAAAAAAA"],
        ),
        (
            r#"{"extraFaceImg":"[\"AAAA\"]"}"#.to_owned(),
            r#"{"extraFaceImg":"[\"\"]"}"#,
            vec!["AAAA"],
        ),
        (
            r#""{\"faceImg\":\"AAAA\",\"x\":1}""#.to_owned(),
            r#""{\"faceImg\":\"\",\"x\":1}""#,
            vec!["AAAA"],
        ),
        (
            format!(r#"{{"idImage":"{long}","faceImgQuality":"80","token":"{long}"}}"#),
            &format!(r#"{{"idImage":"","faceImgQuality":"80","token":"{long}"}}"#),
            vec![&long],
        ),
    ] {
        let found = cut_of(&text);
        assert_eq!(
            (found.0.as_str(), found.1.iter().map(String::as_str).collect()),
            (rest, images),
            "{text}"
        );
    }
    let none = r#"{"faceImg":"","faceImg":null,"extraFaceImg":[],"deviceToken":"abc==","#;
    assert_eq!(cut_of(none), (none.to_owned(), vec![]));
}

#[test]
fn images_are_cut_out_of_what_is_not_json() {
    let image = format!("/9j/{}", "QUJD".repeat(3000));
    for text in [
        format!(r#"{{"faceImg":"{image}"#),
        format!(r#"{{"a":"x"y","faceImg":"{image}","b":1}}"#),
        format!("faceImg={image}"),
        format!("{{faceImg: {image}}}"),
        format!("{{\\\"faceImg\\\": \\\"{image}\\\"}}"),
        image.clone(),
        format!("xfaceImg\":\"{image}"),
    ] {
        let (rest, images) = cut_of(&text);
        assert!(!rest.contains("QUJDQUJD"), "{}", &rest[..80.min(rest.len())]);
        assert!(images.iter().any(|found| found.contains(&image)), "{}", &text[..30]);
    }
}

#[test]
fn a_long_text_that_is_no_image_stays() {
    let (long, like_jpeg) = ("QUJD".repeat(4000), format!("/9j/{}", "QUJD".repeat(1000)));
    for text in [
        format!(r#"{{"deviceToken":"{long}","faceAge":"30"}}"#),
        format!(r#"{{"deviceToken":"{like_jpeg}"}}"#),
        format!(r#"{{"docVideoUrl":"{long}","trace":"{long}"}}"#),
        format!(r#""{{\"deviceToken\":\"{long}\"}}""#),
        format!(r#"{{"a":"x"y","deviceToken":"{long}"#),
        long.clone(),
    ] {
        assert_eq!(cut_of(&text), (text.clone(), vec![]), "{}", &text[..20]);
    }
}

#[test]
fn a_text_without_images_is_not_searched() {
    let usual = r#"{"faceAttack":"N","faceAge":"30","deviceToken":"e0c34a77f5ac40a5","guardRiskScore":1.25}"#;
    assert!(!may_hold_image(usual) && may_hold_image(&usual.replace("Age", "IMG")));
}

proptest! {
    /// Guards [`TELLING`]: what it lets pass unsearched has nothing to cut.
    #[test]
    fn no_image_is_overlooked(
        parts in prop::collection::vec(
            prop_oneof![
                "[{}\\[\\]\":,\\\\ a-zA-Z0-9]{0,3}",
                prop::sample::select(vec![
                    "\"faceImg\":\"", "\"extraFaceImg\":[\"", "\"face\\u0049mg\":\"", "\"idPHOTO\":\"", "\"a_picture\":\"",
                    "\"x\":\"", "\"image\":\"", "\\\"faceImg\\\":\\\"", "faceImg", "data:image/png;base64,", "DATA:,",
                    "/9j/", "\\/9j\\/", "iVBORw0KGgo", "UklGR", "R0lGOD", "AAAAAAAAAAAAAAAA",
                ]).prop_map(str::to_owned),
                (0..3000_usize).prop_map(|length| "QUJD".repeat(length)),
            ],
            0..8,
        )
    ) {
        let text = parts.concat();
        let (mut found, mut all) = (Vec::new(), Vec::new());
        prop_assert_eq!(cut(text.clone(), &mut found), cut_all(text, &mut all));
        prop_assert_eq!(found, all);
    }
}

#[test]
fn every_form_of_base64_is_decoded() {
    let jpeg = [0xFF, 0xD8, 0xFF, 0xE0, 0xFB, 0xEF];
    for text in [
        "/9j/4Pvv",
        "_9j_4Pvv",
        " /9j/\n4Pvv ",
        "data:image/jpeg;base64,/9j/4Pvv",
    ] {
        let (image, good) = decode(text);
        assert_eq!(
            (image.bytes.as_slice(), image.media_type, good),
            (jpeg.as_slice(), "image/jpeg", true),
            "{text}"
        );
    }
    for text in ["QUI=", "QUI", "QUI=="] {
        let (image, good) = decode(text);
        assert!(image.media_type == UNKNOWN && (image.bytes == b"AB") == good, "{text}");
    }
    let (image, good) = decode("/9j/...");
    assert_eq!(
        (image.bytes.as_slice(), image.media_type, good),
        (b"/9j/...".as_slice(), UNKNOWN, false)
    );
    assert_eq!(decode("iVBORw0KGgo=").0.media_type, "image/png");
    assert_eq!(decode("UklGRgAAAABXRUJQ").0.media_type, "image/webp");
}
