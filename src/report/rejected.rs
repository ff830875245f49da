//! `rejected.csv`: the rows of pending sources that could not be taken in, or not whole, with file, line and reason. A source that is
//! bad through and through must not fill the disk: the report is no longer than a person would read by far.

use std::io::Write;

use super::csv::{Writer, cell, writer};

const HEADER: [&str; 5] = ["source", "line", "transaction_id", "taken", "reason"];

/// A row that was not taken in, or not whole.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The source.
    pub source: &'a str,
    /// Its line or row.
    pub line: u64,
    /// The id as far as it can be made out.
    pub transaction_id: Option<&'a str>,
    /// Whether the row was taken in, without the cells that the reason names.
    pub taken: bool,
    /// Why it is named.
    pub reason: &'a str,
}

/// How many rows are named; the others are counted.
const MAX_ROWS: u64 = 100_000;

/// Writes `rejected.csv` while the sources are read.
#[derive(Debug)]
pub struct RejectedReport<W: Write> {
    out: Writer<W>,
    /// All that were added, named or not.
    rows: u64,
}

impl<W: Write> RejectedReport<W> {
    /// Begins with the header line.
    pub fn new(out: W) -> csv::Result<Self> {
        let mut out = writer(out);
        out.write_record(HEADER)?;
        Ok(Self { out, rows: 0 })
    }

    /// Adds a row, or counts it where there are too many.
    pub fn add(&mut self, row: &Row<'_>) -> csv::Result<()> {
        self.rows += 1;
        if self.rows > MAX_ROWS {
            return Ok(());
        }
        let line = row.line.to_string();
        let id = cell(row.transaction_id.unwrap_or_default());
        let taken = if row.taken { "yes" } else { "no" };
        self.out
            .write_record([&*cell(row.source), &line, &*id, taken, &*cell(row.reason)])
    }

    /// Ends the report, with a last row for those that were only counted.
    pub fn finish(mut self) -> csv::Result<()> {
        if self.rows > MAX_ROWS {
            let more = format!("{} more rows are not named here", self.rows - MAX_ROWS);
            self.out.write_record(["", "", "", "", &more])?;
        }
        self.out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_limit_are_counted_and_not_named() {
        for (rows, lines, last) in [
            (MAX_ROWS, 1 + MAX_ROWS, "a.csv,100000,x,no,bad\r\n"),
            (MAX_ROWS + 7, 2 + MAX_ROWS, ",,,,7 more rows are not named here\r\n"),
        ] {
            let mut out = Vec::new();
            let mut report = RejectedReport::new(&mut out).unwrap();
            for line in 1..=rows {
                let row = Row {
                    source: "a.csv",
                    line,
                    transaction_id: Some("x"),
                    taken: false,
                    reason: "bad",
                };
                report.add(&row).unwrap();
            }
            report.finish().unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.lines().count() as u64, lines);
            assert!(text.ends_with(last), "{:?}", &text[text.len() - 60..]);
        }
    }
}
