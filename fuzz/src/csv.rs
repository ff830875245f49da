//! A pending source of any bytes.

use std::io::{self, Read};
use std::ops::ControlFlow;

use idvault::intake::{self, IntakeSettings, Item, Source};
use idvault::record::TransactionId;

use super::assert_shown;

/// The longest id that is shown of a bad row, in characters: that of `intake/check`.
const ID_CHARS: usize = 64;
/// No reason is longer, in characters.
const REASON_CHARS: usize = 400;

/// Gives at most so many bytes at a time.
struct Pieces {
    bytes: io::Cursor<Vec<u8>>,
    longest: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.longest);
        self.bytes.read(&mut buffer[..length])
    }
}

/// What comes of a source that is read in such pieces, until `stop` rows were taken; and how it ended.
fn read(bytes: &[u8], longest: usize, stop: usize) -> (Vec<Item>, Result<(), String>) {
    let mut items = Vec::new();
    let stdin = Pieces {
        bytes: io::Cursor::new(bytes.to_vec()),
        longest,
    };
    let settings = IntakeSettings::default();
    let ended = intake::read(&Source::Stdin, Box::new(stdin), &settings, &mut |item| {
        items.push(item);
        if items.len() == stop {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    (items, ended.map_err(|error| idvault::error_chain(&error)))
}

/// Rows come in the order of their lines, once each; what is shown of bad ones is short and harmless; good ids are what
/// ids may be, and stand in the source. It makes no difference how the bytes arrive, or whether the end is read.
pub fn csv(bytes: &[u8]) {
    let (items, ended) = read(bytes, usize::MAX, usize::MAX);
    let mut last = 0;
    for item in &items {
        let line = match item {
            Item::Good { line, .. } => *line,
            Item::Bad(rejected) => rejected.line,
        };
        assert!(line > last, "line {line} comes after {last}");
        last = line;
        judged(item, bytes);
    }
    let plain = !bytes.starts_with(b"\x1f\x8b") && !bytes.contains(&0);
    let line_ends = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert!(!plain || last <= line_ends as u64 + 1, "line {last} of {line_ends}");
    if let Err(error) = &ended {
        assert_shown(error, usize::MAX);
    }
    let in_pieces = read(bytes, 1 + bytes.len() % 17, usize::MAX);
    if bytes.starts_with(b"\x1f\x8b") && ended.is_err() {
        // How much comes out before the damage depends on how much is unpacked at a time.
        return assert!(in_pieces.1.is_err(), "the damage is not noticed");
    }
    assert_eq!((&items, &ended), (&in_pieces.0, &in_pieces.1));
    let half = items.len() / 2;
    if half > 0 {
        assert_eq!(read(bytes, usize::MAX, half), (items[..half].to_vec(), Ok(())));
    }
}

fn judged(item: &Item, bytes: &[u8]) {
    match item {
        Item::Good { row, unread, .. } => {
            assert_shown(unread.as_deref().unwrap_or_default(), 5 * REASON_CHARS);
            let id = row.transaction_id.as_str();
            assert_eq!(TransactionId::parse(id).as_ref(), Ok(&row.transaction_id));
            let plain = !bytes.starts_with(b"\x1f\x8b") && !bytes.contains(&0);
            assert!(
                !plain || bytes.windows(id.len()).any(|part| part == id.as_bytes()),
                "{id} is made up"
            );
        }
        Item::Bad(rejected) => {
            assert_shown(rejected.transaction_id.as_deref().unwrap_or_default(), ID_CHARS);
            assert_shown(&rejected.reason, REASON_CHARS);
            assert!(!rejected.reason.is_empty());
        }
    }
}
