//! `open-records/`: what neither the archive nor the vendor holds, in files beside `closed/`. `rebuild-ledger` reads them.
//!
//! These are the ids that are not archived: pending, quarantined, lost and given up, each with all that the ledger knows of it. A file is
//! written once and never changed. One with the new ids is added after intake. At the end of a run, and after a decision about
//! quarantined records, one with all open ids is added, and the files that it covers are removed. So the folder stays as small as the
//! backlog is.
//!
//! A file is CSV, packed with gzip: `000001.csv.gz`. Later files say more than earlier ones.
//!
//! - [`add_new`], [`add_all`]: write a file
//! - [`read`]: hands all of them out

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::files::{self, FileError};
use crate::ledger::{Ledger, LedgerError, OpenRecord};

/// The folder below the data folder.
const FOLDER: &str = "open-records";

/// What the files' names end with.
const SUFFIX: &str = ".csv.gz";

/// Why the files can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum OpenRecordsError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The ledger can't be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Adds the ids that came in after the number `after`. No file where there are none.
pub fn add_new(data_dir: &Path, ledger: &Ledger, after: i64) -> Result<(), OpenRecordsError> {
    if ledger.highest_number()? > after {
        add(data_dir, ledger, Some(after))?;
    }
    Ok(())
}

/// Adds all open ids, and removes the files before.
pub fn add_all(data_dir: &Path, ledger: &Ledger) -> Result<(), OpenRecordsError> {
    let number = add(data_dir, ledger, None)?;
    for (before, path) in numbered(data_dir)? {
        if before < number {
            fs::remove_file(&path).map_err(FileError::because("remove", &path))?;
        }
    }
    Ok(())
}

/// Calls `each` with every open id of every file, the earliest file first.
pub fn read<E: From<FileError>>(data_dir: &Path, each: &mut dyn FnMut(&OpenRecord) -> Result<(), E>) -> Result<(), E> {
    for (_, path) in numbered(data_dir)? {
        let failed = |error: csv::Error| FileError::because("read", &path)(error.into());
        let file = files::open_regular(&path).map_err(FileError::because("open", &path))?;
        let mut rows = csv::Reader::from_reader(MultiGzDecoder::new(BufReader::new(file)));
        for row in rows.deserialize() {
            each(&row.map_err(failed)?)?;
        }
    }
    Ok(())
}

/// Gives the number of the new file.
fn add(data_dir: &Path, ledger: &Ledger, after: Option<i64>) -> Result<u64, OpenRecordsError> {
    let (folder, staging) = (data_dir.join(FOLDER), data_dir.join(".staging"));
    if !folder.is_dir() {
        files::create_private_dir(&folder)?;
        files::create_private_dir(&staging)?;
        files::sync(data_dir)?;
    }
    let number = numbered(data_dir)?.last().map_or(0, |(number, _)| *number) + 1;
    let staged = staging.join(FOLDER);
    // Of a command that was cut off: the lock keeps others away.
    let _ = fs::remove_file(&staged);
    let because = |error: csv::Error| FileError::because("write", &staged)(error.into());
    let packed = GzEncoder::new(BufWriter::new(files::create_private(&staged)?), Compression::fast());
    let mut rows = csv::Writer::from_writer(packed);
    ledger.for_each_open(after, |record| -> Result<(), OpenRecordsError> {
        Ok(rows.serialize(record).map_err(because)?)
    })?;
    finish(rows).map_err(FileError::because("write", &staged))?;
    files::publish(&staged, &folder.join(format!("{number:06}{SUFFIX}")))?;
    Ok(number)
}

fn finish(rows: csv::Writer<GzEncoder<BufWriter<File>>>) -> io::Result<()> {
    let packed = rows.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    packed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

/// The files, in the order of their numbers.
fn numbered(data_dir: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
    let folder = data_dir.join(FOLDER);
    files::refuse_link(&folder)?;
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(FileError::because("list", &folder))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(FileError::because("list", &folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort_unstable();
    Ok(found)
}
