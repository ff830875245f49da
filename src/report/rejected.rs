//! `rejected.csv`: the rows of pending sources that could not be taken in, with file, line and reason.

use std::io::Write;

use super::csv::{Writer, cell, writer};

const HEADER: [&str; 4] = ["source", "line", "transaction_id", "reason"];

/// Writes `rejected.csv` while the sources are read.
#[derive(Debug)]
pub struct RejectedReport<W: Write> {
    out: Writer<W>,
}

impl<W: Write> RejectedReport<W> {
    /// Begins with the header line.
    pub fn new(out: W) -> csv::Result<Self> {
        let mut out = writer(out);
        out.write_record(HEADER)?;
        Ok(Self { out })
    }

    /// Adds a row.
    pub fn add(&mut self, source: &str, line: u64, transaction_id: Option<&str>, reason: &str) -> csv::Result<()> {
        let line = line.to_string();
        let id = transaction_id.unwrap_or_default();
        self.out
            .write_record([&*cell(source), &line, &*cell(id), &*cell(reason)])
    }

    /// Ends the report.
    pub fn finish(mut self) -> csv::Result<()> {
        self.out.flush()?;
        Ok(())
    }
}
