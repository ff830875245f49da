//! Standard output. Whoever reads it may leave at any line, as `head` does: that is no failure and changes no exit code.
//!
//! - [`stdout`]: for whatever a command prints

use std::io::{self, Write};

/// Standard output.
pub(super) fn stdout() -> Stdout {
    Stdout(io::stdout())
}

/// Standard output, to which everything can be written once nobody reads it any more.
pub(super) struct Stdout(io::Stdout);

impl Write for Stdout {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.0.write(buffer) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(buffer.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}
