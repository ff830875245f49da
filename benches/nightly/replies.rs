//! The load server's answers, prepared before anything is measured.
//!
//! - [`Replies`]: whole HTTP replies; the sandbox's final answers, with new random texts in each so that the archive does
//!   not shrink as no real one would
//! - [`throttled`]: the answer over the quota

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use idvault::sandbox::{Kind, Mix};

use crate::source::{id, scrambled};

/// Different answers, apart from their random texts.
const TEMPLATES: u64 = 4_096;

/// Runs of hex digits and dashes that are at least as long are random texts: ids, tokens, names of files.
const RANDOM_CHARS: usize = 32;

/// Base64 characters that images are cut from.
const NOISE_CHARS: usize = 32 << 20;

/// What a face image begins with: a JPEG's head, filled up to whole Base64 quanta.
const IMAGE_HEAD: &[u8] = b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xFF";

/// Where a face image is put in: before the first member of `ExtFaceInfo`.
const FIRST_MEMBER: &str = r#"\"faceAttack\""#;

/// Whole HTTP replies.
#[derive(Debug)]
pub(crate) struct Replies {
    templates: Vec<Template>,
    images: Option<Images>,
}

#[derive(Debug)]
struct Template {
    /// Head and body.
    bytes: Vec<u8>,
    random: Vec<Range<usize>>,
    /// Where the image goes.
    image_at: usize,
}

#[derive(Debug)]
struct Images {
    noise: Vec<u8>,
    chars: usize,
}

impl Replies {
    /// `image_bytes`: the size of a face image, where there is one in every reply.
    pub(crate) fn new(image_bytes: Option<usize>) -> Self {
        let images = image_bytes.map(Images::new);
        let image = images.as_ref().map(|images| images.chars);
        let with_face =
            |id: &String| Mix::AllFinal.kind_of(id) == Kind::Passed && Mix::AllFinal.oddity_of(id).is_none();
        let templates = (0..)
            .map(|number| id(9, number))
            .filter(|id| image.is_none() || with_face(id))
            .take(usize::try_from(TEMPLATES).unwrap_or_default())
            .map(|id| Template::new(&id, image))
            .collect();
        Self { templates, images }
    }

    /// Appends the reply to a call; `call` counts them.
    pub(crate) fn write(&self, transaction_id: &str, call: u64, out: &mut Vec<u8>) {
        let of_id = transaction_id
            .bytes()
            .fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let template = &self.templates[of_id % self.templates.len()];
        let start = out.len();
        out.extend_from_slice(&template.bytes);
        for (place, range) in template.random.iter().enumerate() {
            fill(
                &mut out[start + range.start..start + range.end],
                call * 16 + place as u64,
            );
        }
        if let Some(images) = &self.images {
            let tail = out.split_off(start + template.image_at);
            images.write(call, out);
            out.extend_from_slice(&tail);
        }
    }
}

impl Template {
    fn new(id: &str, image_chars: Option<usize>) -> Self {
        let canned = Mix::AllFinal.answer_for(id, false);
        let mut body = canned.body;
        let member_bytes = r#"\"faceImg\":\"\","#.len();
        let mut body_bytes = body.len();
        let mut image_in_body = 0;
        if let Some(chars) = image_chars
            && let Some(at) = body.find(FIRST_MEMBER)
        {
            body.insert_str(at, r#"\"faceImg\":\"\","#);
            image_in_body = at + r#"\"faceImg\":\""#.len();
            body_bytes += member_bytes + chars;
        }
        let (content_type, request_id) = (canned.content_type, &canned.request_id);
        let head = format!(
            "HTTP/1.1 {} OK\r\nContent-Type: {content_type}\r\nContent-Length: {body_bytes}\r\n\
             x-acs-request-id: {request_id}\r\n\r\n",
            canned.http_status
        );
        let image_at = head.len() + image_in_body;
        let bytes = (head + &body).into_bytes();
        let random = random_texts(&bytes);
        Self {
            bytes,
            random,
            image_at,
        }
    }
}

/// The same text is in head and body, so both get the same new one only by chance: nobody compares them.
fn random_texts(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, byte) in bytes.iter().chain(b"\n").enumerate() {
        if byte.is_ascii_hexdigit() || *byte == b'-' {
            continue;
        }
        if at - start >= RANDOM_CHARS {
            found.push(start..at);
        }
        start = at + 1;
    }
    found
}

/// New digits in the place of the old ones, of the same case; dashes stay.
fn fill(text: &mut [u8], seed: u64) {
    let upper = text.iter().any(u8::is_ascii_uppercase);
    let digits: &[u8; 16] = if upper {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    let mut bits = 0;
    for (at, digit) in text.iter_mut().filter(|byte| **byte != b'-').enumerate() {
        if at.is_multiple_of(16) {
            bits = scrambled(seed.wrapping_mul(8).wrapping_add(at as u64 / 16));
        }
        *digit = digits[(bits & 15) as usize];
        bits >>= 4;
    }
}

impl Images {
    fn new(bytes: usize) -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut noise = Vec::with_capacity(NOISE_CHARS);
        for number in 0..NOISE_CHARS as u64 / 10 {
            let bits = scrambled(number);
            noise.extend((0..10).map(|place| ALPHABET[(bits >> (place * 6) & 63) as usize]));
        }
        let chars = bytes.div_ceil(3) * 4;
        Self { noise, chars }
    }

    fn write(&self, call: u64, out: &mut Vec<u8>) {
        let head = STANDARD.encode(IMAGE_HEAD);
        let chars = self.chars - head.len();
        out.extend_from_slice(head.as_bytes());
        let places = (self.noise.len() - chars) as u64;
        let at = usize::try_from(scrambled(call) % places).unwrap_or_default();
        out.extend_from_slice(&self.noise[at..at + chars]);
    }
}

/// The answer over the quota; `retry_after` in milliseconds.
pub(crate) fn throttled(retry_after: Option<u64>, out: &mut Vec<u8>) {
    const BODY: &str = r#"{"RequestId":"130A2C10-B9EE-4D84-88E3-5384FF030000","Code":"Throttling.Api","Message":"API request is blocked due to throttling."}"#;
    let hint = retry_after.map_or_else(String::new, |millis| format!("x-acs-retry-after: {millis}\r\n"));
    let head = format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{hint}\r\n",
        BODY.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(BODY.as_bytes());
}
