//! The reports of a run: read from the ledger alone, never from the network.
//!
//! - [`ReportDir`]: the run's folder of reports, complete before it is visible; [`ReportFile`]: one of them
//! - [`ReportError`]: why a report can't be written
//! - [`billing`], [`expiry`], [`left`], [`quarantine`], [`rejected`]: a CSV file each
//! - [`cause`]: why a record is lost or endangered
//! - [`reason`]: why a run needs a look, by stable ids
//! - [`subcodes`]: what is known of sub codes; [`quotas`]: the limits that hold
//! - [`reconcile`]: the vendor's bill against the archive
//! - [`summary`]: the run in one object, as JSON and as a table
//! - [`forecast`]: how long the backlog takes, and what expires first
//! - [`page`]: all of it on one page, `report.html`
//! - [`plan`]: what would be asked for, in that order

pub mod billing;
pub mod cause;
pub mod csv;
pub mod expiry;
pub mod forecast;
pub mod left;
pub mod page;
pub mod plan;
pub mod quarantine;
pub mod quotas;
pub mod reason;
pub mod reconcile;
pub mod rejected;
pub mod subcodes;
pub mod summary;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::files::{self, FileError};
use crate::ledger::LedgerError;

/// Why a report can't be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Lines could not be written, as when the disk is full.
    #[error("failed to write a report")]
    Csv(#[from] ::csv::Error),
    /// Likewise.
    #[error("failed to write a report")]
    Io(#[from] io::Error),
    /// The ledger can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The folder of a run's reports. It is filled in the staging folder, and published whole.
#[derive(Debug)]
pub struct ReportDir {
    staged: PathBuf,
    reports: PathBuf,
}

impl ReportDir {
    /// Makes the staging folder of run `run_id` below `data_dir`.
    pub fn create(data_dir: &Path, run_id: &str) -> Result<Self, FileError> {
        let reports = data_dir.join("reports");
        files::create_private_dir(&reports)?;
        let staged = data_dir.join(".staging").join(format!("reports-{run_id}"));
        files::create_private_dir(&staged)?;
        Ok(Self { staged, reports })
    }

    /// A new file in it.
    pub fn file(&self, name: &str) -> Result<BufWriter<ReportFile>, FileError> {
        let path = self.staged.join(name);
        let file = files::create_private(&path)?;
        Ok(BufWriter::new(ReportFile { file, path }))
    }

    /// Writes a whole file: `write` fills it.
    pub fn write<T>(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<ReportFile>) -> Result<T, ReportError>,
    ) -> Result<T, ReportError> {
        let mut file = self.file(name)?;
        let written = write(&mut file)?;
        file.flush()?;
        Ok(written)
    }

    /// Removes a file of it that was begun.
    pub fn discard(&self, name: &str) -> Result<(), FileError> {
        let path = self.staged.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::because("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Where the reports will be: named by the run's start, with a number behind it where that name is taken.
    pub fn target(&self, started_at: Timestamp) -> PathBuf {
        self.free_name(&started_at.strftime("%Y-%m-%dT%H%M%SZ").to_string())
    }

    /// Where the reports of another command than `run` will be: `what` stands behind the time.
    pub fn target_of(&self, what: &str, started_at: Timestamp) -> PathBuf {
        self.free_name(&format!("{}-{what}", started_at.strftime("%Y-%m-%dT%H%M%SZ")))
    }

    fn free_name(&self, name: &str) -> PathBuf {
        let free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
        let numbered = (2..).map(|number| self.reports.join(format!("{name}-{number}")));
        std::iter::once(self.reports.join(name))
            .chain(numbered)
            .find(free)
            .unwrap_or_default()
    }

    /// Makes the folder visible as `target`, and `latest` point to it.
    pub fn publish(self, target: &Path) -> Result<(), ReportError> {
        self.publish_folder(target)?;
        let link = self.staged.with_extension("latest");
        let name = target.file_name().unwrap_or_default();
        std::os::unix::fs::symlink(name, &link).map_err(FileError::because("create the link", &link))?;
        files::replace(&link, &self.reports.join("latest"))?;
        Ok(())
    }

    /// Makes the folder visible as `target`.
    pub fn publish_folder(&self, target: &Path) -> Result<(), ReportError> {
        let failed = || FileError::because("list", &self.staged);
        for file in fs::read_dir(&self.staged).map_err(failed())? {
            files::sync(&file.map_err(failed())?.path())?;
        }
        files::publish(&self.staged, target)?;
        Ok(())
    }
}

/// A file of a report. What fails names it.
#[derive(Debug)]
pub struct ReportFile {
    file: File,
    path: PathBuf,
}

impl ReportFile {
    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), FileError::because("write", &self.path)(error))
    }
}

impl Write for ReportFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer).map_err(|error| self.named(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| self.named(error))
    }
}

/// A time in a report: RFC 3339 in UTC.
fn time(time: Timestamp) -> String {
    time.to_string()
}
