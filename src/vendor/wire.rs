//! The vendor's JSON, normalized: from the raw reply in the journal to a [`Record`].
//!
//! Strings hold JSON, sometimes encoded twice, sometimes invalid even in the vendor's own examples (vendor's
//! CheckResult page, 2026-04-01): what can't be read is null and told by [`ParseStatus`], and the raw string is kept.
//!
//! - [`normalize`]: does it
//! - [`NotAFinalReply`]: why there is nothing to publish

use std::borrow::Cow;

use super::envelope::{self, Envelope};
use super::image::{self, Cut};
use super::json::{self, Kind, Node};
use crate::record::{DuplicateFace, FaceImage, FaceInfo, ParseStatus, Record};

/// Ages beyond are no ages.
const MAX_AGE_YEARS: f64 = 150.0;

/// A body that is no final verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAFinalReply {
    /// Not a JSON object.
    #[error("the reply is not a JSON object")]
    NotJson,
    /// The call did not work.
    #[error("the reply's code is {0:?}, not Success")]
    Code(String),
    /// `Passed` is neither Y nor N.
    #[error("the reply has no final verdict")]
    NoVerdict,
}

/// Normalizes a reply. Whatever [`super::reply::classify`] calls final has a record, and any bytes are safe to hand in.
pub fn normalize(body: &[u8]) -> Result<Record, NotAFinalReply> {
    let body = json::text_of(body);
    // Bytes that are no text were replaced.
    let damaged = matches!(body, Cow::Owned(_));
    let envelope = Envelope::read(&body).ok_or(NotAFinalReply::NotJson)?;
    if !envelope.is_success() {
        return Err(NotAFinalReply::Code(envelope.code().unwrap_or_default()));
    }
    let record = envelope.with_result(|result| {
        let passed = envelope::verdict(result).map_err(|_| NotAFinalReply::NoVerdict)?;
        let mut record = record(result, passed, envelope.request_id());
        if damaged || record.texts().any(has_replacement) {
            record.parse_status = record.parse_status.max(ParseStatus::Partial);
        }
        Ok(record)
    });
    record.unwrap_or(Err(NotAFinalReply::NoVerdict))
}

fn record(result: Node<'_, '_>, passed: bool, request_id: Option<String>) -> Record {
    let names = [
        "ExtFaceInfo",
        "EkycResult",
        "ExtBasicInfo",
        "ExtIdInfo",
        "ExtInfo",
        "ExtRiskInfo",
        "ExtSourceInfo",
    ];
    let mut cuts = Vec::new();
    let texts = result.members(names);
    let texts = texts.map(|node| node.map(|node| image::cut(raw_text(node), &mut cuts)));
    let [
        ext_face_info,
        ekyc_result,
        ext_basic_info,
        ext_id_info,
        ext_info,
        ext_risk_info,
        ext_source_info,
    ] = texts;
    let (face, face_status) = match &ext_face_info {
        Some(text) => read_face(text),
        None => (FaceInfo::default(), ParseStatus::Ok),
    };
    let (images, image_status) = decode_all(cuts);
    Record {
        request_id,
        passed,
        sub_code: envelope::sub_code(result),
        face,
        ext_face_info,
        ekyc_result,
        ext_basic_info,
        ext_id_info,
        ext_info,
        ext_risk_info,
        ext_source_info,
        images,
        parse_status: face_status.max(image_status),
    }
}

/// Whether something of a text could not be read, such as half a surrogate pair.
fn has_replacement(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
}

/// A string's characters; anything else as JSON without blanks.
fn raw_text(node: Node<'_, '_>) -> String {
    match node.kind() {
        Kind::Text { .. } => node.text().unwrap_or_default().into_owned(),
        _ => json::compact(node.raw()),
    }
}

/// The face that was taken first, then the extra ones.
fn decode_all(mut cuts: Vec<Cut>) -> (Vec<FaceImage>, ParseStatus) {
    cuts.sort_by_key(|cut| !cut.main);
    let mut status = ParseStatus::Ok;
    let images = cuts.iter().map(|cut| {
        let (image, decoded) = image::decode(&cut.text);
        if !decoded {
            status = ParseStatus::Partial;
        }
        image
    });
    let images = images.filter(|image| !image.bytes.is_empty()).collect();
    (images, status)
}

/// Reads `ExtFaceInfo`, from which the images are cut already.
fn read_face(text: &str) -> (FaceInfo, ParseStatus) {
    if matches!(text.trim(), "" | "null") {
        return (FaceInfo::default(), ParseStatus::Ok);
    }
    let read = envelope::with_container_in(text, |node| match node.kind() {
        Kind::Object => face(node),
        _ => (FaceInfo::default(), ParseStatus::Partial),
    });
    read.unwrap_or((FaceInfo::default(), ParseStatus::Unparsed))
}

fn face(node: Node<'_, '_>) -> (FaceInfo, ParseStatus) {
    let names = [
        "faceAttack",
        "faceRegistrationResult",
        "faceAttackScore",
        "guardRiskScore",
        "faceComparisonScore",
        "faceAge",
        "faceGender",
        "faceRegistrationID",
        "deviceToken",
        "docVideoUrl",
        "duplicateFace",
    ];
    let [
        attack,
        registered,
        attack_score,
        guard_risk_score,
        comparison_score,
        age,
        gender,
        registration_id,
        device_token,
        video_url,
        duplicate_faces,
    ] = node.members(names);
    let mut reading = Reading {
        status: ParseStatus::Ok,
    };
    let face = FaceInfo {
        attack: reading.read(attack, flag),
        registered: reading.read(registered, flag),
        attack_score: reading.read(attack_score, score),
        guard_risk_score: reading.read(guard_risk_score, score),
        comparison_score: reading.read(comparison_score, score),
        age: reading.read(age, years),
        gender: reading.read(gender, gender_of),
        registration_id: reading.text(registration_id),
        device_token: reading.text(device_token),
        video_url: reading.text(video_url),
        duplicate_faces: reading.duplicate_faces(duplicate_faces),
    };
    (face, reading.status)
}

/// Reads members of an object; notes when one can't be read.
struct Reading {
    status: ParseStatus,
}

impl Reading {
    /// A member read by `read`: missing, null and blank are `None`, what `read` refuses is noted.
    fn read<T>(&mut self, node: Option<Node<'_, '_>>, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let node = node?;
        let text = match node.kind() {
            Kind::Bool(_) => Some(node.raw().into()),
            _ => node.text(),
        };
        let text = text.as_deref().map(str::trim);
        if text.is_some_and(|text| text.is_empty() || text == "null") {
            return None;
        }
        let value = text.and_then(read);
        if value.is_none() {
            self.status = ParseStatus::Partial;
        }
        value
    }

    fn text(&mut self, node: Option<Node<'_, '_>>) -> Option<String> {
        self.read(node, |text| Some(text.to_owned()))
    }

    /// An array, a string that holds one, or a single face.
    fn duplicate_faces(&mut self, node: Option<Node<'_, '_>>) -> Option<Vec<DuplicateFace>> {
        let node = node?;
        if node.text().is_some_and(|text| matches!(text.trim(), "" | "null")) {
            return None;
        }
        let read = envelope::with_container(node, |list| {
            let mut status = ParseStatus::Ok;
            let mut read = |face| {
                let (face, face_status) = duplicate_face(face);
                status = status.max(face_status);
                face
            };
            let faces: Vec<_> = match list.kind() {
                Kind::Array => list.items().filter_map(read).collect(),
                _ => read(list).into_iter().collect(),
            };
            (faces, status)
        });
        let (faces, status) = match read {
            Some((faces, status)) => (Some(faces), status),
            None => (None, ParseStatus::Partial),
        };
        self.status = self.status.max(status);
        faces
    }
}

fn duplicate_face(node: Node<'_, '_>) -> (Option<DuplicateFace>, ParseStatus) {
    let read = envelope::with_container(node, |node| {
        if node.kind() != Kind::Object {
            return (None, ParseStatus::Partial);
        }
        let [group_code, id, user_id, face_score] =
            node.members(["faceGroupCode", "faceId", "merchantUserId", "score"]);
        let mut reading = Reading {
            status: ParseStatus::Ok,
        };
        let face = DuplicateFace {
            face_group_code: reading.text(group_code),
            face_id: reading.text(id),
            merchant_user_id: reading.text(user_id),
            score: reading.read(face_score, score),
        };
        (Some(face), reading.status)
    });
    read.unwrap_or((None, ParseStatus::Partial))
}

fn flag(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text {
        _ if is(["y", "yes", "true", "1"]) => Some(true),
        _ if is(["n", "no", "false", "0"]) => Some(false),
        _ => None,
    }
}

fn score(text: &str) -> Option<f64> {
    number(text, 100.0)
}

fn years(text: &str) -> Option<i16> {
    let years = number(text, MAX_AGE_YEARS)?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range, both checked")]
    (years.fract() == 0.0).then_some(years as i16)
}

fn gender_of(text: &str) -> Option<String> {
    match text {
        "M" | "m" => Some("M".to_owned()),
        "F" | "f" => Some("F".to_owned()),
        _ => None,
    }
}

/// A number from 0 to `limit`; not a number and infinity are outside.
fn number(text: &str, limit: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (0.0..=limit).contains(number))
}

#[cfg(test)]
mod tests;
