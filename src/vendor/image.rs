//! Faces stand apart: images are cut out of the vendor's texts, which are kept, and decoded.
//!
//! The cutting works on the text, token by token, so that it also works where the text is not JSON. What is cut is
//! handed on: nothing is lost, and no image stays behind.
//!
//! - [`cut`]: a text without its images; [`Cut`]: one of those
//! - [`decode`]: an image's bytes

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memchr2;

use super::json::unescape;
use crate::record::FaceImage;

/// Under a name that speaks of an image, Base64 of at least this length is one.
const MIN_IMAGE_CHARS: usize = 64;
/// In text that is not JSON, Base64 of this length that begins as an image does is one under any name.
const MIN_NAMELESS_CHARS: usize = 8 * 1024;
/// In text that is not JSON, a run of at least this length after an image's name is cut.
const MIN_LEFTOVER_CHARS: usize = 16;
/// JSON in strings in JSON is looked into to this depth.
const MAX_ENCODINGS: usize = 4;
/// How Base64 of JPEG, PNG, WebP and GIF begins.
const MAGIC: [&str; 4] = ["/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD"];
/// What every short text with an image in it has, in upper or lower case: two letters of an image's name (`im`age and `im`g,
/// `ph`oto, `pi`cture), of a `data:` prefix or of one of [`MAGIC`], or an escape that could stand for them.
const TELLING: [[u8; 2]; 9] = [*b"im", *b"ph", *b"pi", *b"a:", *b"9j", *b"vb", *b"kl", *b"lg", *b"\\u"];
const UNKNOWN: &str = "application/octet-stream";

/// An image that was cut out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Whether it stood in `faceImg`.
    pub(crate) main: bool,
    /// The text that stood there, escapes resolved.
    pub(crate) text: String,
}

/// What a string is, by the names it stands under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nothing is known.
    Plain,
    /// A token or an address, which stays however long it is.
    Text,
    /// The name speaks of an image.
    Maybe,
    /// In an object in `extraFaceImg`.
    InExtra,
    /// An item of `extraFaceImg`.
    Extra,
    /// `faceImg`.
    Main,
}

impl Role {
    fn of_key(key: &str, container: Self) -> Self {
        let key = key.to_ascii_lowercase();
        let speaks = ["img", "image", "photo", "picture"]
            .iter()
            .any(|word| key.contains(word));
        match (key.as_str(), container) {
            ("faceimg", _) => Self::Main,
            ("extrafaceimg", _) => Self::Extra,
            ("devicetoken" | "docvideourl" | "faceregistrationid", _) => Self::Text,
            (_, Self::Extra | Self::InExtra) => Self::InExtra,
            _ if speaks => Self::Maybe,
            _ => Self::Plain,
        }
    }

    fn is_image(self, value: &str) -> bool {
        let (data, prefixed) = without_data_prefix(value.trim());
        let enough = match self {
            Self::Main | Self::Extra => return !data.is_empty(),
            Self::Text => return false,
            _ if prefixed || begins_as_image(data) => MIN_LEFTOVER_CHARS,
            Self::Maybe | Self::InExtra => MIN_IMAGE_CHARS,
            Self::Plain => return false,
        };
        data.len() >= enough && data.bytes().all(|b| is_base64(b) || b.is_ascii_whitespace())
    }
}

/// `text` with an empty string in place of each image, and the images. Without images it is `text` itself.
pub(crate) fn cut(text: String, cuts: &mut Vec<Cut>) -> String {
    if may_hold_image(&text) {
        cut_all(text, cuts)
    } else {
        text
    }
}

fn cut_all(text: String, cuts: &mut Vec<Cut>) -> String {
    let text = cut_strings(&text, Role::Plain, 0, cuts).unwrap_or(text);
    cut_leftovers(&text, cuts).unwrap_or(text)
}

/// False only where nothing can be cut. Most texts are short and hold none of [`TELLING`], which is found out much faster
/// than what they hold.
fn may_hold_image(text: &str) -> bool {
    let bytes = text.as_bytes();
    let lower = |byte: u8| byte | 0x20;
    // Without a way out of the loop, so that it is compiled to vector instructions.
    let has_any = || {
        let pairs = bytes.iter().zip(bytes.iter().skip(1));
        let hits = pairs.fold(0, |hits, (a, b)| {
            let tells = |[first, second]: &[u8; 2]| {
                u8::from(lower(*a) == lower(*first)) & u8::from(lower(*b) == lower(*second))
            };
            hits | TELLING.iter().map(tells).fold(0, |any, one| any | one)
        });
        hits != 0
    };
    has_any()
}

/// Goes from string to string; `None` where nothing was cut.
fn cut_strings(text: &str, role: Role, depth: usize, cuts: &mut Vec<Cut>) -> Option<String> {
    let bytes = text.as_bytes();
    let mut output = String::new();
    let (mut copied, mut at) = (0, 0);
    let mut containers = Vec::new();
    let mut named: Option<Role> = None;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        let container = containers.last().copied().unwrap_or(role);
        match byte {
            b'"' => {
                let (start, end) = (at, string_end(bytes, at));
                at = (end + 1).min(bytes.len());
                if next_is_colon(bytes, at) {
                    named = Some(Role::of_key(&unescape(&text[start..end]), container));
                } else if let Some(instead) =
                    cut_value(&text[start..end], named.take().unwrap_or(container), depth, cuts)
                {
                    output.push_str(&text[copied..start]);
                    output.push_str(&instead);
                    copied = end;
                }
            }
            b'{' | b'[' => containers.push(named.take().unwrap_or(container)),
            b'}' | b']' => {
                containers.pop();
                named = None;
            }
            b',' => named = None,
            _ => {}
        }
    }
    (copied > 0).then(|| output + &text[copied..])
}

/// What stands in place of a string's characters; `None` where they stay.
fn cut_value(raw: &str, role: Role, depth: usize, cuts: &mut Vec<Cut>) -> Option<String> {
    // Too short for anything but what must be an image by its name.
    if raw.is_empty() || (raw.len() < MIN_LEFTOVER_CHARS && !matches!(role, Role::Main | Role::Extra)) {
        return None;
    }
    let value = unescape(raw);
    if depth < MAX_ENCODINGS
        && value.trim_start().starts_with(['{', '[', '"'])
        && let Some(inner) = cut_strings(&value, role, depth + 1, cuts)
    {
        let quoted = serde_json::Value::String(inner).to_string();
        return Some(quoted[1..quoted.len() - 1].to_owned());
    }
    if !role.is_image(&value) {
        return None;
    }
    let main = role == Role::Main;
    let text = value.into_owned();
    cuts.push(Cut { main, text });
    Some(String::new())
}

/// Where the string that began at `start` ends: its closing quote, or the end of the text.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(step) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += step;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

fn next_is_colon(bytes: &[u8], at: usize) -> bool {
    bytes[at..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':')
}

/// Where quotes don't pair, strings can't be told from what is between them: cuts what follows an image's name, and
/// whatever begins as an image does and is as long as one.
fn cut_leftovers(text: &str, cuts: &mut Vec<Cut>) -> Option<String> {
    const NAME: &[u8] = b"faceimg";
    let bytes = text.as_bytes();
    let mut output = String::new();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let named = bytes
            .get(at..at + NAME.len())
            .is_some_and(|word| word.eq_ignore_ascii_case(NAME));
        let start = if named { value_after(bytes, at + NAME.len()) } else { at };
        let end = base64_end(bytes, start);
        let is_image = if named {
            end - start >= MIN_LEFTOVER_CHARS
        } else {
            end - start >= MIN_NAMELESS_CHARS && holds_magic(&unescape(&text[start..end]))
        };
        if is_image {
            cuts.push(Cut {
                main: named,
                text: unescape(&text[start..end]).into_owned(),
            });
            output.push_str(&text[copied..start]);
            copied = end;
        }
        at = if named {
            end.max(at + NAME.len())
        } else {
            // Inside a run an image's name can begin anywhere, as in `xfaceImg`: only a run that was cut is skipped.
            let next_name = bytes[at..end]
                .windows(NAME.len())
                .position(|word| word.eq_ignore_ascii_case(NAME));
            next_name
                .filter(|_| copied != end)
                .map_or(end.max(at + 1), |step| at + step.max(1))
        };
    }
    (copied > 0).then(|| output + &text[copied..])
}

/// After a name: the closing quote, a colon, an opening bracket, an opening quote, with backslashes and blanks among
/// them.
fn value_after(bytes: &[u8], mut at: usize) -> usize {
    for expected in *b"\":[\"" {
        let filler = |b: &u8| *b == b'\\' || b.is_ascii_whitespace();
        at += bytes[at..].iter().take_while(|b| filler(b)).count();
        at += usize::from(bytes.get(at) == Some(&expected));
    }
    at
}

/// Where the run of Base64 that begins at `start` ends; escaped slashes and line ends belong to it.
fn base64_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'\\' if matches!(bytes.get(at + 1), Some(b'/' | b'n' | b'r')) => 2,
            b if is_base64(*b) => 1,
            _ => break,
        };
    }
    at
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

fn begins_as_image(base64: &str) -> bool {
    MAGIC.iter().any(|magic| base64.starts_with(magic))
}

/// Whether an image begins near the start: where quotes are lost, a letter or two may stand before it.
fn holds_magic(base64: &str) -> bool {
    let start = base64.get(..MIN_LEFTOVER_CHARS).unwrap_or(base64);
    MAGIC.iter().any(|magic| start.contains(magic))
}

fn without_data_prefix(text: &str) -> (&str, bool) {
    let is_data = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:"));
    // Most are not, and a whole image would be looked through for the comma.
    match is_data.then(|| text.split_once(',')).flatten() {
        Some((_, data)) => (data, true),
        None => (text, false),
    }
}

/// The image that `text` holds, and whether it could be decoded: standard or URL-safe Base64, padded or not, with
/// blanks, after a `data:` prefix. What can't be decoded is kept as it came.
pub(crate) fn decode(text: &str) -> (FaceImage, bool) {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    let (data, _) = without_data_prefix(text.trim());
    let decoded = ENGINE.decode(data).or_else(|_| {
        let standard = data.bytes().filter(|b| !b.is_ascii_whitespace()).map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        });
        ENGINE.decode(standard.collect::<Vec<u8>>())
    });
    let good = decoded.is_ok();
    let bytes = decoded.unwrap_or_else(|_| text.as_bytes().to_vec());
    let media_type = if good { media_type(&bytes) } else { UNKNOWN };
    (FaceImage::new(bytes, media_type), good)
}

fn media_type(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => "image/png",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests;
