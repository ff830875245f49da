//! `archive/_changes/`: a file for each record of the archive's history, written once.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::{Archive, ArchiveError};
use crate::files::{self, FileError};

/// The folder below archive/. Readers of Parquet pass over names that begin with `_`.
const CHANGES: &str = "_changes";

/// Digits of a file's name: file listings stay in the order of the numbers.
const DIGITS: usize = 10;

/// What the file's names end with.
const SUFFIX: &str = ".json";

impl Archive {
    /// The numbers of the records that are there, in their order. Other files in the folder are passed over.
    pub fn changes(&self) -> Result<Vec<u64>, ArchiveError> {
        let folder = self.root.join(CHANGES);
        files::refuse_link(&folder)?;
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(FileError::because("list", &folder))?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(FileError::because("list", &folder))?.file_name();
            numbers.extend(name.to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The text of a record; `None` where it is not there.
    pub fn change(&self, number: u64) -> Result<Option<String>, ArchiveError> {
        let path = self.change_path(number);
        files::refuse_link(&path)?;
        let mut text = String::new();
        let read = files::open_regular(&path).and_then(|mut file| io::Read::read_to_string(&mut file, &mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => {
                read.map_err(FileError::because("read", &path))?;
                Ok(Some(text))
            }
        }
    }

    /// Writes a record's file. One that is there is an error.
    pub fn write_change(&self, number: u64, text: &str) -> Result<(), ArchiveError> {
        let folder = self.root.join(CHANGES);
        if !folder.is_dir() {
            files::create_private_dir(&folder)?;
            files::sync(&self.root)?;
        }
        let staged = self.staging.join(format!("change-{number}"));
        // Of a command that was cut off: the lock keeps others away.
        let _ = fs::remove_file(&staged);
        let mut file = files::create_private(&staged)?;
        file.write_all(text.as_bytes())
            .map_err(FileError::because("write", &staged))?;
        Ok(files::publish(&staged, &self.change_path(number))?)
    }

    fn change_path(&self, number: u64) -> PathBuf {
        self.root.join(CHANGES).join(format!("{number:0DIGITS$}{SUFFIX}"))
    }
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() >= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
