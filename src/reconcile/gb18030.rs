//! Text of Chinese spreadsheets: GB18030 as UTF-8.
//!
//! - [`decoded`]: the bytes as UTF-8, where they are GB18030

use std::io::{self, Cursor, Read};

use encoding_rs::{Decoder, DecoderResult, GB18030};

/// How much of a file tells its encoding, in bytes.
const PEEK_BYTES: usize = 64 * 1024;
/// How much is decoded at a time, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;
/// A byte that UTF-8 never has: stands for what could not be decoded, so that its row is refused.
const NOT_UTF8: u8 = 0xFF;

/// The same bytes where their beginning is UTF-8, or no GB18030 either.
pub(super) fn decoded(mut bytes: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::new();
    (&mut bytes).take(PEEK_BYTES as u64).read_to_end(&mut start)?;
    let is_gb18030 = is_gb18030(&start);
    let whole = Cursor::new(start).chain(bytes);
    Ok(if is_gb18030 {
        Box::new(Gb18030 {
            input: whole,
            decoder: GB18030.new_decoder_without_bom_handling(),
            decoded: Cursor::default(),
            ended: false,
        })
    } else {
        Box::new(whole)
    })
}

fn is_gb18030(start: &[u8]) -> bool {
    // A character that the end cuts is no fault.
    let is_utf8 = std::str::from_utf8(start)
        .err()
        .is_none_or(|error| error.error_len().is_none());
    if is_utf8 {
        return false;
    }
    let mut decoder = GB18030.new_decoder_without_bom_handling();
    let mut text = vec![
        0;
        decoder
            .max_utf8_buffer_length_without_replacement(start.len())
            .unwrap_or(0)
    ];
    let (result, ..) = decoder.decode_to_utf8_without_replacement(start, &mut text, false);
    matches!(result, DecoderResult::InputEmpty)
}

struct Gb18030<R> {
    input: R,
    decoder: Decoder,
    decoded: Cursor<Vec<u8>>,
    ended: bool,
}

impl<R: Read> Gb18030<R> {
    fn decode(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = self.input.read(&mut chunk)?;
        self.ended = read == 0;
        let mut rest = &chunk[..read];
        let mut text = Vec::new();
        loop {
            let room = self.decoder.max_utf8_buffer_length_without_replacement(rest.len());
            let mut part = vec![0; room.unwrap_or(CHUNK_BYTES)];
            let (result, used, written) = self
                .decoder
                .decode_to_utf8_without_replacement(rest, &mut part, self.ended);
            text.extend_from_slice(&part[..written]);
            rest = &rest[used..];
            match result {
                DecoderResult::Malformed(..) => text.push(NOT_UTF8),
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
            }
        }
        self.decoded = Cursor::new(text);
        Ok(())
    }
}

impl<R: Read> Read for Gb18030<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.decoded.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.ended {
                return Ok(read);
            }
            self.decode()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: Vec<u8>) -> Vec<u8> {
        let mut text = Vec::new();
        decoded(Box::new(Cursor::new(bytes)))
            .unwrap()
            .read_to_end(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn gb18030_is_decoded_and_all_else_is_left_alone() {
        let text = "账单信息/账单日期,用量\n".repeat(9_000);
        let (encoded, _, _) = GB18030.encode(&text);
        assert_eq!(read(encoded.to_vec()), text.as_bytes());
        assert_eq!(read(text.clone().into_bytes()), text.as_bytes());
        assert_eq!(read(b"a,\xff\n".to_vec()), b"a,\xff\n");
        // A character that is cut off at the end is told.
        assert_eq!(read([&encoded[..], b"\xd5"].concat()).last(), Some(&NOT_UTF8));
    }
}
