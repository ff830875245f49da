//! Splits a stream of bytes into rows of cells, in bounded memory, and keeps one bad row from taking others along.
//!
//! - [`Rows`]: the splitter; stands on one row at a time
//! - [`Fault`]: why a row could not be split
//!
//! The grammar is RFC 4180 with LF, CRLF or CR as line ends and blanks allowed around quotes. It is spelled out here, and
//! not left to the csv crate, since that knows neither a longest row nor a way back from a quote that is never closed.
//!
//! A row that can't be split costs exactly one physical line, the one it starts on: reading goes on at the next line
//! end. So a missing closing quote is noticed in one of three ways, none of which swallows the file: the quote that
//! seems to close it is followed by text, the input ends, or the row grows beyond [`MAX_ROW_BYTES`] or
//! [`MAX_ROW_LINES`]. In all three the lines that the quote ran over are still in the buffer and are read again, each
//! for itself.

use std::io::{self, Read};

/// The longest row in bytes; a longer one is rejected. A thousand times what the five columns need.
pub(super) const MAX_ROW_BYTES: usize = 1024 * 1024;

/// Over how many lines quotes may carry a row. It keeps small what has to be read again: in a file where every line
/// leaves a quote open, each line is read this many times.
const MAX_ROW_LINES: u64 = 256;

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why a row could not be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Longer than [`MAX_ROW_BYTES`].
    #[error("the row is longer than {} bytes", MAX_ROW_BYTES)]
    TooLong,
    /// The input or the longest row ended within quotes.
    #[error("a quote is opened and not closed, at least not within {} lines", MAX_ROW_LINES)]
    Unclosed,
    /// A closing quote stands in the middle of a cell; likely it opens another and the first was never closed.
    #[error("text follows a closing quote; a quote may be missing or not doubled")]
    AfterQuote,
}

/// Where the scan is within a cell.
#[derive(Clone, Copy)]
enum State {
    /// Nothing but blanks yet.
    Start,
    /// In a cell without quotes.
    Plain,
    /// Within quotes.
    Quoted,
    /// Just behind a quote that closes, or is the first half of a doubled one.
    Quote,
    /// Behind a closing quote and a blank.
    Closed,
}

/// The row that [`Rows`] stands on; offsets count from its first byte.
#[derive(Default)]
struct Extent {
    /// The end of its text.
    text: usize,
    /// Where the next row starts.
    next: usize,
    /// How many lines lie between the two rows' starts.
    lines: u64,
    /// Where its second line starts, if quotes carry it over a line end.
    second_line: Option<usize>,
    /// What is left of the line at `next` is to be thrown away.
    skip_line: bool,
    /// Why it could not be split.
    fault: Option<Fault>,
}

/// Stands on one row of `input` at a time. Holds at most a row and a chunk, however long the input or its lines are.
pub(crate) struct Rows<R> {
    input: R,
    input_ended: bool,
    delimiter: u8,
    buffer: Vec<u8>,
    start: usize,
    line: u64,
    cell_ends: Vec<usize>,
    row: Extent,
}

impl<R: Read> Rows<R> {
    /// Stands before the first row of `input`.
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            input_ended: false,
            delimiter: b',',
            buffer: Vec::new(),
            start: 0,
            line: 1,
            cell_ends: Vec::new(),
            row: Extent::default(),
        }
    }

    /// Splits the rows to come at `delimiter`.
    pub(crate) fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = delimiter;
    }

    /// Goes to the next row that is not blank; false at the end of the input. On an error the row begun is dropped:
    /// a cell that was cut short can look like a good one.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        loop {
            self.leave()?;
            if !self.scan()? {
                return Ok(false);
            }
            if self.row.fault.is_some() || self.cells() > 1 || !self.text().trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Makes the next [`Rows::advance`] come to this row again.
    pub(crate) fn stay(&mut self) {
        self.row = Extent::default();
    }

    /// Makes the next [`Rows::advance`] come to this row's second line, if there is one.
    pub(super) fn give_back_all_but_the_first_line(&mut self) {
        if let Some(second_line) = self.row.second_line {
            (self.row.next, self.row.lines) = (second_line, 1);
        }
    }

    /// The 1-based line that the row starts on.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Why the row could not be split. Its text is then the part of its first line that was read.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.row.fault
    }

    /// Whether the input ended before the row's line end.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.row.next == self.row.text
    }

    /// Whether the row's text goes to the very end of the input, without a line end.
    pub(super) fn ends_the_input(&self) -> bool {
        let has_line_end = self.text().last().is_some_and(|byte| is_line_end(*byte));
        self.input_ended && !has_line_end && self.start + self.row.text == self.buffer.len()
    }

    /// Whether quotes carry the row over a line end.
    pub(super) fn runs_over(&self) -> bool {
        self.row.second_line.is_some()
    }

    /// The row without its line end.
    pub(crate) fn text(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.row.text]
    }

    /// How many cells the row has.
    pub(crate) fn cells(&self) -> usize {
        self.cell_ends.len()
    }

    /// The cell at `index` as it stands there, quotes included.
    pub(crate) fn cell(&self, index: usize) -> Option<&[u8]> {
        let end = *self.cell_ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.cell_ends[before] + 1);
        Some(&self.text()[start..end])
    }

    fn leave(&mut self) -> io::Result<()> {
        let row = std::mem::take(&mut self.row);
        self.start += row.next;
        self.line += row.lines;
        if row.skip_line {
            self.skip_line()?;
        }
        Ok(())
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(at) = rest.iter().position(|byte| is_line_end(*byte)) {
                self.start += at;
                self.start += self.line_end_len(0)?;
                self.line += 1;
                return Ok(());
            }
            self.start = self.buffer.len();
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    fn scan(&mut self) -> io::Result<bool> {
        self.cell_ends.clear();
        let (mut at, mut lines, mut second_line) = (0, 1, None);
        let mut state = State::Start;
        while let Some(byte) = self.byte(at)? {
            if at > MAX_ROW_BYTES || at == MAX_ROW_BYTES && !is_line_end(byte) {
                let quoted = matches!(state, State::Quoted);
                self.give_up(at, second_line, if quoted { Fault::Unclosed } else { Fault::TooLong });
                return Ok(true);
            }
            state = match (state, byte) {
                (State::Quoted, b'"') => State::Quote,
                (State::Quoted, _) if is_line_end(byte) => {
                    at += self.line_end_len(at)?;
                    lines += 1;
                    second_line.get_or_insert(at);
                    if lines > MAX_ROW_LINES {
                        self.give_up(at, second_line, Fault::Unclosed);
                        return Ok(true);
                    }
                    continue;
                }
                (State::Quoted, _) => State::Quoted,
                _ if is_line_end(byte) => {
                    let next = at + self.line_end_len(at)?;
                    self.finish(at, next, lines, second_line);
                    return Ok(true);
                }
                _ if byte == self.delimiter => {
                    self.cell_ends.push(at);
                    State::Start
                }
                (State::Start | State::Quote, b'"') => State::Quoted,
                (State::Quote | State::Closed, b' ') => State::Closed,
                (State::Quote | State::Closed, _) => {
                    self.give_up(at, second_line, Fault::AfterQuote);
                    return Ok(true);
                }
                (State::Start, b' ') => State::Start,
                (State::Start | State::Plain, _) => State::Plain,
            };
            at += 1;
            if matches!(state, State::Plain) {
                at += self.plain_bytes(at);
            }
        }
        match state {
            State::Quoted => self.give_up(at, second_line, Fault::Unclosed),
            _ if at == 0 => return Ok(false),
            _ => self.finish(at, at, lines, second_line),
        }
        Ok(true)
    }

    /// How many bytes from `at` on are in the buffer, within the longest row, and end no cell without quotes.
    fn plain_bytes(&self, at: usize) -> usize {
        let rest = &self.buffer[self.start + at..];
        let rest = &rest[..rest.len().min(MAX_ROW_BYTES.saturating_sub(at))];
        memchr::memchr3(self.delimiter, b'\n', b'\r', rest).unwrap_or(rest.len())
    }

    fn finish(&mut self, text: usize, next: usize, lines: u64, second_line: Option<usize>) {
        self.cell_ends.push(text);
        self.row = Extent {
            text,
            next,
            lines,
            second_line,
            ..Extent::default()
        };
    }

    /// Ends the row with its first line; what was read beyond that is read again.
    fn give_up(&mut self, at: usize, second_line: Option<usize>, fault: Fault) {
        let text = second_line.unwrap_or(at);
        self.cell_ends.retain(|end| *end < text);
        self.cell_ends.push(text);
        self.row = Extent {
            text,
            next: text,
            lines: u64::from(second_line.is_some()),
            second_line,
            skip_line: second_line.is_none(),
            fault: Some(fault),
        };
    }

    /// 2 for CRLF, else 1. `at` is where a line end starts.
    fn line_end_len(&mut self, at: usize) -> io::Result<usize> {
        let carriage_return = self.byte(at)? == Some(b'\r');
        Ok(if carriage_return && self.byte(at + 1)? == Some(b'\n') {
            2
        } else {
            1
        })
    }

    fn byte(&mut self, at: usize) -> io::Result<Option<u8>> {
        loop {
            if let Some(byte) = self.buffer.get(self.start + at) {
                return Ok(Some(*byte));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Drops what lies before the row and reads on behind it; false at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        if self.input_ended {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + CHUNK_BYTES, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + read.as_ref().map_or(0, |read| *read));
        self.input_ended = read? == 0;
        Ok(!self.input_ended)
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests;
