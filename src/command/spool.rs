//! Output that is complete before a reader sees it.
//!
//! A report is read within one transaction of SQLite's. While that is open, no run can shorten the write-ahead log, and a reader such
//! as `less` may stay for hours. So a report goes into a file without a name first. It is copied to the reader once the ledger is
//! closed.
//!
//! - [`Spool`]: the file

use std::fs::{self, File};
use std::io::{self, BufWriter, IntoInnerError, Seek as _, Write};
use std::path::Path;

use crate::files::{self, FileError};

/// A file without a name.
pub(super) struct Spool(BufWriter<File>);

impl Spool {
    /// In the data folder, whose disk has room for what the ledger holds.
    pub(super) fn create(data_dir: &Path) -> Result<Self, FileError> {
        Ok(Self(BufWriter::new(nameless(data_dir)?)))
    }

    /// Copies what was written.
    pub(super) fn copy_to(self, mut out: impl Write) -> io::Result<()> {
        let mut file = self.0.into_inner().map_err(IntoInnerError::into_error)?;
        file.rewind()?;
        io::copy(&mut file, &mut out)?;
        out.flush()
    }
}

impl Write for Spool {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn nameless(folder: &Path) -> Result<File, FileError> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        // Not every file system has it.
        if let Ok(file) = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
            return Ok(file.into());
        }
    }
    let path = folder.join(format!(".output-{}", std::process::id()));
    let file = files::create_private(&path)?;
    fs::remove_file(&path).map_err(FileError::because("remove", &path))?;
    Ok(file)
}
