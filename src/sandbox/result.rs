//! The `Result` of an answer that succeeded.
//!
//! - [`of`]: the result of a transaction
//! - [`image`]: a face, or what looks enough like one

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::answers::{Kind, Oddity};
use super::dice::Dice;

const MEMBERS_SALT: u64 = 4;
const IMAGE_SALT: u64 = 5;

/// The start of a JPEG file, up to the end of its JFIF segment.
const JPEG_HEAD: &[u8] = b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00";

/// The end of a JPEG file.
const JPEG_TAIL: &[u8] = b"\xFF\xD9";

/// The smallest image, before Base64.
const IMAGE_BYTES_MIN: u32 = 50_000;

/// The range of sizes above the smallest: up to 300 kB.
const IMAGE_BYTES_RANGE: u32 = 250_000;

/// Strings beside `ExtFaceInfo` that are sometimes there.
const OTHER_STRINGS: [(&str, &str); 5] = [
    ("ExtBasicInfo", r#"{"certType":"PASSPORT","countryCode":"SGP"}"#),
    ("ExtIdInfo", r#"{"ocrIdEditInfo":{},"spoofResult":"N"}"#),
    ("ExtInfo", r#"{"sceneCode":"onboarding"}"#),
    ("ExtRiskInfo", r#"{"riskLevel":"LOW","tags":[]}"#),
    ("ExtSourceInfo", r#"{"source":"sandbox"}"#),
];

/// How often each of [`OTHER_STRINGS`] is there, per mille.
const OTHER_STRINGS_PER_MILLE: u32 = 60;

/// The result of a transaction.
pub(super) fn of(transaction_id: &str, kind: Kind, oddity: Option<Oddity>, want_image: bool) -> Value {
    let mut dice = Dice::of_text(transaction_id, MEMBERS_SALT);
    let Some(sub_code) = kind.sub_code() else {
        return json!({"Passed": "P", "SubCode": ""});
    };
    let passed = if kind == Kind::Passed { "Y" } else { "N" };
    let mut result = Map::new();
    if dice.per_mille(OTHER_STRINGS_PER_MILLE) {
        result.insert("EkycResult".to_owned(), passed.into());
    }
    for (name, text) in OTHER_STRINGS {
        if dice.per_mille(OTHER_STRINGS_PER_MILLE) {
            result.insert(name.to_owned(), text.into());
        }
    }
    let mut face = face_info(&mut dice, sub_code, oddity);
    if want_image && kind.has_image() {
        add_images(&mut face, transaction_id, oddity);
    }
    result.insert("ExtFaceInfo".to_owned(), wrap(face, oddity));
    result.insert("Passed".to_owned(), passed.into());
    result.insert("SubCode".to_owned(), sub_code.into());
    Value::Object(result)
}

/// The members of `ExtFaceInfo`, images left out.
fn face_info(dice: &mut Dice, sub_code: &str, oddity: Option<Oddity>) -> Map<String, Value> {
    let mut face = Map::new();
    let mut add = |name: &str, value: Value| face.insert(name.to_owned(), value);
    let attacked = sub_code == "205";
    add("faceAttack", if attacked { "Y" } else { "N" }.into());
    // The service leaves age and gender out where it can't tell them.
    if !dice.per_mille(20) {
        let age = 18 + dice.below(62);
        let as_number = oddity == Some(Oddity::AgeAsNumber);
        add("faceAge", if as_number { age.into() } else { age.to_string().into() });
    }
    if !dice.per_mille(20) {
        add("faceGender", if dice.per_mille(480) { "F" } else { "M" }.into());
    }
    let as_text = oddity == Some(Oddity::ScoresAsStrings);
    add("faceAttackScore", score(dice, if attacked { 80 } else { 0 }, as_text));
    let risky = sub_code == "206";
    add("guardRiskScore", score(dice, if risky { 80 } else { 0 }, as_text));
    // Only with a face to compare with; a comparison that failed had one.
    if sub_code == "204" {
        add("faceComparisonScore", score(dice, 60, as_text));
    } else if dice.per_mille(100) {
        add("faceComparisonScore", score(dice, 80, as_text));
    }
    if dice.per_mille(300) {
        let registered = sub_code == "200";
        add("faceRegistrationResult", if registered { "1" } else { "0" }.into());
        if registered {
            add("faceRegistrationID", dice.hex(32).into());
        }
    }
    if sub_code == "233" {
        add("duplicateFace", duplicate_face(dice, oddity));
    }
    if dice.per_mille(200) {
        add("deviceToken", dice.hex(32).into());
    }
    if dice.per_mille(50) {
        let url = format!("https://aliyun-cloudauth.oss-aliyuncs.com/{}.webm", dice.hex(32));
        add("docVideoUrl", url.into());
    }
    if oddity == Some(Oddity::Nulls) {
        for name in ["faceAge", "faceGender", "deviceToken", "docVideoUrl"] {
            add(name, Value::Null);
        }
    }
    face
}

/// A score of `from` to `from` + 20, with two decimals.
fn score(dice: &mut Dice, from: u32, as_text: bool) -> Value {
    let score = f64::from(from * 100 + dice.below(2000)) / 100.0;
    if as_text {
        score.to_string().into()
    } else {
        score.into()
    }
}

fn duplicate_face(dice: &mut Dice, oddity: Option<Oddity>) -> Value {
    let faces: Vec<Value> = (0..=dice.below(3))
        .map(|_| {
            json!({
                "faceGroupCode": format!("sg{}uzt", dice.hex(5)),
                "faceId": dice.hex(32),
                "merchantUserId": format!("face{:04}", dice.below(10_000)),
                "score": score(dice, 80, false),
            })
        })
        .collect();
    let faces = Value::Array(faces);
    match oddity {
        Some(Oddity::DuplicateFaceArray) => faces,
        Some(Oddity::DuplicateFaceBroken) => faces
            .to_string()
            .replace(r#","merchantUserId""#, r#""merchantUserId""#)
            .into(),
        _ => faces.to_string().into(),
    }
}

fn add_images(face: &mut Map<String, Value>, transaction_id: &str, oddity: Option<Oddity>) {
    let mut dice = Dice::of_text(transaction_id, IMAGE_SALT);
    face.insert("faceImg".to_owned(), STANDARD.encode(image(&mut dice)).into());
    if oddity == Some(Oddity::ExtraImages) {
        let extra = vec![STANDARD.encode(image(&mut dice)), STANDARD.encode(image(&mut dice))];
        face.insert("extraFaceImg".to_owned(), extra.into());
    }
}

/// A JPEG's head and tail with noise between them.
fn image(dice: &mut Dice) -> Vec<u8> {
    let size = IMAGE_BYTES_MIN + dice.below(IMAGE_BYTES_RANGE);
    let size = usize::try_from(size).unwrap_or_default();
    let mut bytes = Vec::with_capacity(size + 8);
    bytes.extend_from_slice(JPEG_HEAD);
    while bytes.len() < size - JPEG_TAIL.len() {
        bytes.extend_from_slice(&dice.roll().to_le_bytes());
    }
    bytes.truncate(size - JPEG_TAIL.len());
    bytes.extend_from_slice(JPEG_TAIL);
    bytes
}

/// `ExtFaceInfo` as the service hands it over: JSON in a string, but for the oddities.
fn wrap(face: Map<String, Value>, oddity: Option<Oddity>) -> Value {
    match oddity {
        Some(Oddity::ObjectForString) => Value::Object(face),
        Some(Oddity::JsonTwice) => Value::String(Value::Object(face).to_string()).to_string().into(),
        Some(Oddity::PascalCase) => {
            let capitals = face.into_iter().map(|(name, value)| (capitalized(&name), value));
            Value::Object(capitals.collect()).to_string().into()
        }
        Some(Oddity::TrailingComma) => {
            let mut text = Value::Object(face).to_string();
            text.insert(text.len() - 1, ',');
            text.into()
        }
        _ => Value::Object(face).to_string().into(),
    }
}

fn capitalized(name: &str) -> String {
    let mut text = name.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face_of(id: &str, kind: Kind, oddity: Option<Oddity>, want_image: bool) -> Value {
        let result = of(id, kind, oddity, want_image);
        serde_json::from_str(result["ExtFaceInfo"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn members_are_typed_as_on_the_page() {
        let face = face_of("hks1", Kind::Failed("205"), None, false);
        assert_eq!(face["faceAttack"], "Y");
        assert!(face["faceAge"].is_string());
        assert!(face["faceAttackScore"].as_f64().unwrap() >= 80.0);
        assert!(face.get("faceImg").is_none());
    }

    #[test]
    fn an_image_comes_only_where_it_is_wanted_and_there_is_one() {
        let face = face_of("hks1", Kind::Passed, None, true);
        let bytes = STANDARD.decode(face["faceImg"].as_str().unwrap()).unwrap();
        assert!((50_000..=300_000).contains(&bytes.len()));
        assert!(bytes.starts_with(JPEG_HEAD) && bytes.ends_with(JPEG_TAIL));
        let extra = face_of("hks1", Kind::Passed, Some(Oddity::ExtraImages), true);
        assert_eq!(extra["extraFaceImg"].as_array().unwrap().len(), 2);
        for kind in [Kind::Failed("205"), Kind::Failed("206"), Kind::Failed("299")] {
            assert!(face_of("hks1", kind, None, true).get("faceImg").is_none());
        }
        assert!(face_of("hks1", Kind::Passed, None, false).get("faceImg").is_none());
    }

    #[test]
    fn each_oddity_shows() {
        let ext = |oddity| of("hks1", Kind::Failed("233"), Some(oddity), false)["ExtFaceInfo"].clone();
        let inner = |oddity| serde_json::from_str::<Value>(ext(oddity).as_str().unwrap());
        assert!(ext(Oddity::ObjectForString).is_object());
        assert!(inner(Oddity::JsonTwice).unwrap().is_string());
        assert!(inner(Oddity::ScoresAsStrings).unwrap()["guardRiskScore"].is_string());
        assert!(inner(Oddity::AgeAsNumber).unwrap()["faceAge"].is_number());
        assert!(inner(Oddity::PascalCase).unwrap()["FaceAttack"].is_string());
        assert_eq!(inner(Oddity::Nulls).unwrap()["faceGender"], Value::Null);
        assert!(inner(Oddity::TrailingComma).is_err());
        assert!(inner(Oddity::DuplicateFaceArray).unwrap()["duplicateFace"].is_array());
        let broken = inner(Oddity::DuplicateFaceBroken).unwrap();
        assert!(serde_json::from_str::<Value>(broken["duplicateFace"].as_str().unwrap()).is_err());
        let sound = face_of("hks1", Kind::Failed("233"), None, false);
        let faces: Value = serde_json::from_str(sound["duplicateFace"].as_str().unwrap()).unwrap();
        assert!(faces[0]["score"].is_number());
    }
}
