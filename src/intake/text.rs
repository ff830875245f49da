//! Makes UTF-8 of what a pending source's bytes are: unpacks gzip, decodes UTF-16, takes off the byte order mark.
//!
//! - [`Text`]: the decoded stream, and what to call a fault in it
//! - [`Utf16`]: decodes as it reads
//!
//! What the bytes are is told by their beginning, not by a file's name, so that standard input is treated alike.

use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::IntakeError;
use crate::files;

/// How a SQLite file begins.
pub(super) const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How a gzip file begins.
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";

/// How much UTF-16 is decoded at a time, in bytes.
const UTF16_CHUNK_BYTES: usize = 16 * 1024;

/// A byte that UTF-8 never has: stands for what could not be decoded, so that its row is rejected.
const NOT_UTF8: u8 = 0xFF;

/// A stream of text, UTF-8 except where the source itself is broken.
pub(crate) struct Text {
    bytes: Box<dyn Read + Send>,
    name: String,
    gzip: bool,
}

/// Whether a file is packed with gzip, by its name or by how it begins. A pipe is not looked into.
pub(super) fn is_gzip(path: &Path) -> bool {
    if is_named_gzip(path) {
        return true;
    }
    if !path.is_file() {
        return false;
    }
    let mut magic = [0; GZIP_MAGIC.len()];
    let read = files::open_regular(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *GZIP_MAGIC
}

/// Whether the name says so.
pub(super) fn is_named_gzip(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

impl Text {
    /// Looks at how `bytes` begin and decodes them. `gzip` says that they must be gzip.
    pub(crate) fn open(name: &str, bytes: Box<dyn Read + Send>, gzip: bool) -> Result<Self, IntakeError> {
        let mut text = Self {
            bytes,
            name: name.to_owned(),
            gzip,
        };
        let magic = text.peek(GZIP_MAGIC.len())?;
        text.gzip |= magic == GZIP_MAGIC;
        if text.gzip {
            text.replace(|bytes| Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(bytes)))));
        }
        let start = text.peek(SQLITE_MAGIC.len())?;
        if start == SQLITE_MAGIC {
            return Err(IntakeError::DatabaseInStream { name: text.name });
        }
        match start[..] {
            [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => {
                return Err(IntakeError::Encoding {
                    name: text.name,
                    found: "UTF-32",
                });
            }
            [0xEF, 0xBB, 0xBF, ..] => text.skip(3)?,
            [0xFF, 0xFE, ..] => {
                text.skip(2)?;
                text.replace(|bytes| Box::new(Utf16::new(bytes, u16::from_le_bytes)));
            }
            [0xFE, 0xFF, ..] => {
                text.skip(2)?;
                text.replace(|bytes| Box::new(Utf16::new(bytes, u16::from_be_bytes)));
            }
            [1..=255, 0, 1..=255, 0, ..] => text.replace(|bytes| Box::new(Utf16::new(bytes, u16::from_le_bytes))),
            [0, 1..=255, 0, 1..=255, ..] => text.replace(|bytes| Box::new(Utf16::new(bytes, u16::from_be_bytes))),
            _ => {}
        }
        Ok(text)
    }

    /// What a failed read means for the source as a whole.
    pub(crate) fn fault(name: &str, gzip: bool, source: io::Error) -> IntakeError {
        let name = name.to_owned();
        if gzip {
            IntakeError::Gzip { name, source }
        } else {
            IntakeError::Read { name, source }
        }
    }

    /// Whether the text was unpacked.
    pub(crate) fn is_gzip(&self) -> bool {
        self.gzip
    }

    /// The text's bytes.
    pub(crate) fn into_bytes(self) -> Box<dyn Read + Send> {
        self.bytes
    }

    /// The first `len` bytes, or all if there are fewer; they stay to be read.
    fn peek(&mut self, len: usize) -> Result<Vec<u8>, IntakeError> {
        let mut start = vec![0; len];
        let mut held = 0;
        while held < len {
            match self.bytes.read(&mut start[held..]) {
                Ok(0) => break,
                Ok(read) => held += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Self::fault(&self.name, self.gzip, error)),
            }
        }
        start.truncate(held);
        let again = Cursor::new(start.clone());
        self.replace(|bytes| Box::new(again.chain(bytes)));
        Ok(start)
    }

    /// Drops `len` bytes that were seen to be there.
    fn skip(&mut self, len: usize) -> Result<(), IntakeError> {
        let mut dropped = [0; 4];
        self.bytes
            .read_exact(&mut dropped[..len])
            .map_err(|error| Self::fault(&self.name, self.gzip, error))
    }

    fn replace(&mut self, wrap: impl FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send>) {
        let bytes = std::mem::replace(&mut self.bytes, Box::new(io::empty()));
        self.bytes = wrap(bytes);
    }
}

/// Reads UTF-16 and gives UTF-8. What is no character becomes [`NOT_UTF8`].
struct Utf16<R> {
    input: R,
    unit: fn([u8; 2]) -> u16,
    /// Read and not decoded yet: at most half a unit and half a pair between two reads.
    pending: Vec<u8>,
    decoded: Cursor<Vec<u8>>,
}

impl<R: Read> Utf16<R> {
    fn new(input: R, unit: fn([u8; 2]) -> u16) -> Self {
        Self {
            input,
            unit,
            pending: Vec::new(),
            decoded: Cursor::default(),
        }
    }

    /// Decodes the next chunk; false at the end of the input.
    fn decode(&mut self) -> io::Result<bool> {
        let held = self.pending.len();
        self.pending.resize(held + UTF16_CHUNK_BYTES, 0);
        let read = self.input.read(&mut self.pending[held..]);
        self.pending.truncate(held + read.as_ref().map_or(0, |read| *read));
        let ended = read? == 0;

        let (pairs, _) = self.pending.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().map(|pair| (self.unit)(*pair)).collect();
        if !ended {
            // The other half of the last character may still be on its way.
            units.pop_if(|last| (0xD800..0xDC00).contains(last));
        }
        let mut text = Vec::with_capacity(units.len() * 2);
        for character in char::decode_utf16(units.iter().copied()) {
            match character {
                Ok(character) => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(_) => text.push(NOT_UTF8),
            }
        }
        self.pending.drain(..units.len() * 2);
        if ended && !self.pending.is_empty() {
            self.pending.clear();
            text.push(NOT_UTF8);
        }
        self.decoded = Cursor::new(text);
        Ok(!ended)
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.decoded.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if !self.decode()? {
                return self.decoded.read(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time: every character is cut in every place.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(1);
            self.0.read(&mut buffer[..len])
        }
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    fn decoded(bytes: &'static [u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let opened = Text::open("test", Box::new(Trickle(bytes)), false).unwrap();
        opened.into_bytes().read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn utf16_is_decoded_with_and_without_a_byte_order_mark() {
        let text = "id,ä𝄞\n";
        for unit in [u16::to_le_bytes, u16::to_be_bytes] {
            for mark in ["", "\u{feff}"] {
                let bytes = utf16(&format!("{mark}{text}"), unit).leak();
                assert_eq!(decoded(bytes), text.as_bytes());
            }
        }
    }

    #[test]
    fn a_broken_character_shows_and_the_rest_is_read() {
        let mut bytes = utf16("\u{feff}a", u16::to_le_bytes);
        bytes.extend(0xD834_u16.to_le_bytes());
        bytes.extend(utf16("b", u16::to_le_bytes));
        bytes.push(7);
        assert_eq!(decoded(bytes.leak()), b"a\xFFb\xFF");
    }

    #[test]
    fn other_text_is_left_as_it_is() {
        assert_eq!(decoded("\u{feff}id\0".as_bytes()), b"id\0");
        assert_eq!(decoded(b""), b"");
        assert_eq!(decoded(b"i"), b"i");
    }

    #[test]
    fn what_is_no_text_for_us_is_refused() {
        let refused = |bytes: &'static [u8]| Text::open("test", Box::new(bytes), false).err();
        assert!(matches!(
            refused(b"\xFF\xFE\0\0i\0\0\0"),
            Some(IntakeError::Encoding { .. })
        ));
        assert!(matches!(
            refused(SQLITE_MAGIC),
            Some(IntakeError::DatabaseInStream { .. })
        ));
    }
}
