//! The first stage of the night: what the pending sources say goes into the ledger, or into `rejected.csv`.

use std::io::Write;

use super::{Night, RunError};
use crate::error_chain;
use crate::intake::{IntakeError, Item, Reading, SILENCE_MAX, Source};
use crate::ledger::{Admission, Admitted, Ledger, Run};
use crate::report::rejected::RejectedReport;
use crate::report::summary::IntakeTotals;
use crate::report::{ReportDir, ReportError};

impl Night {
    /// Reads the pending sources into the ledger. A source that can't be read is named and the others go on: what the
    /// ledger knows already must not wait for it.
    pub(super) fn intake(&self, ledger: &mut Ledger, run: &Run, reports: &ReportDir) -> Result<IntakeTotals, RunError> {
        let file = reports.file("rejected.csv")?;
        let mut rejected = RejectedReport::new(file).map_err(ReportError::from)?;
        let mut totals = IntakeTotals::default();
        for name in &self.settings.pending {
            let mut admission = ledger.admission(&self.settings.defaults, run, self.clock.now());
            match self.read_source(name, &mut admission, &mut rejected, &mut totals)? {
                Ok(()) => {}
                Err(error @ IntakeError::Stopped { .. }) => totals.cut_short.push(error_chain(&error)),
                Err(error) => totals.failed_sources.push(error_chain(&error)),
            }
            admission.finish()?;
        }
        rejected.finish().map_err(ReportError::from)?;
        tracing::info!(
            rows = totals.rows,
            new = totals.new,
            completed = totals.completed,
            known = totals.known,
            duplicates = totals.duplicates,
            rejected = totals.rejected,
            "pending sources read"
        );
        Ok(totals)
    }

    fn read_source(
        &self,
        name: &str,
        admission: &mut Admission<'_>,
        rejected: &mut RejectedReport<impl Write>,
        totals: &mut IntakeTotals,
    ) -> Result<Result<(), IntakeError>, RunError> {
        let source = match Source::parse(name) {
            Ok(source) => source,
            Err(error) => return Ok(Err(error)),
        };
        // Not begun at all: what is read ahead of a pipe and dropped is lost.
        if self.stop.is_hurried() {
            let name = source.to_string();
            return Ok(Err(IntakeError::Stopped { name }));
        }
        let settings = self.settings.intake.clone();
        let mut reading = match Reading::start(source.clone(), (self.stdin)(), settings, SILENCE_MAX) {
            Ok(reading) => reading,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match reading.next(&|| self.stop.is_hurried()) {
                Ok(Some(item)) => {
                    totals.rows += 1;
                    take(item, &source, admission, rejected, totals)?;
                }
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// Takes one row in, or writes down why not.
fn take(
    item: Item,
    source: &Source,
    admission: &mut Admission<'_>,
    rejected: &mut RejectedReport<impl Write>,
    totals: &mut IntakeTotals,
) -> Result<(), RunError> {
    let mut reject = |line, id: Option<&str>, reason: &str| {
        rejected
            .add(&source.to_string(), line, id, reason)
            .map_err(ReportError::from)
    };
    match item {
        Item::Bad(bad) => {
            totals.rejected += 1;
            reject(bad.line, bad.transaction_id.as_deref(), &bad.reason)?;
        }
        Item::Good { line, row } => match admission.admit(&row)? {
            Admitted::New => totals.new += 1,
            Admitted::Completed => totals.completed += 1,
            Admitted::Known => totals.known += 1,
            Admitted::Duplicate => {
                totals.duplicates += 1;
                reject(
                    line,
                    Some(row.transaction_id.as_str()),
                    "duplicate: this id came before in this run, and is taken once",
                )?;
            }
            Admitted::Conflict(what) => {
                totals.rejected += 1;
                reject(line, Some(row.transaction_id.as_str()), &what)?;
            }
        },
    }
    Ok(())
}
