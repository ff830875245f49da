//! The first stage of the night: what the pending sources say goes into the ledger, or into `rejected.csv`.

use std::io::Write;

use super::{Night, RunError};
use crate::error_chain;
use crate::intake::{IntakeError, Item, Reading, Source};
use crate::ledger::{Admission, Admitted, Ledger, Run};
use crate::record::Pending;
use crate::report::rejected::RejectedReport;
use crate::report::summary::IntakeTotals;
use crate::report::{ReportDir, ReportError};

impl Night {
    /// Reads the pending sources into the ledger. A source that can't be read is named and the others go on: what the
    /// ledger knows already must not wait for it.
    pub(super) fn intake(&self, ledger: &mut Ledger, run: &Run, reports: &ReportDir) -> Result<IntakeTotals, RunError> {
        let file = reports.file("rejected.csv")?;
        let mut intake = Intake {
            source: String::new(),
            admission: ledger.admission(&self.settings.defaults, run, self.clock.now()),
            rejected: RejectedReport::new(file).map_err(ReportError::from)?,
            totals: IntakeTotals::default(),
        };
        for name in &self.settings.pending {
            match self.read_source(name, &mut intake)? {
                Ok(()) => {}
                Err(error @ IntakeError::Stopped { .. }) => intake.totals.cut_short.push(error_chain(&error)),
                Err(error) => intake.totals.failed_sources.push(error_chain(&error)),
            }
            // What was taken so far must not wait for the next source.
            intake.admission.commit()?;
        }
        intake.rejected.finish().map_err(ReportError::from)?;
        let totals = intake.totals;
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
        intake: &mut Intake<'_, impl Write>,
    ) -> Result<Result<(), IntakeError>, RunError> {
        let source = match Source::parse(name) {
            Ok(source) => source,
            Err(error) => return Ok(Err(error)),
        };
        intake.source = source.to_string();
        // Not begun at all: what is read ahead of a pipe and dropped is lost.
        if self.stop.is_hurried() {
            let name = intake.source.clone();
            return Ok(Err(IntakeError::Stopped { name }));
        }
        let settings = self.settings.intake.clone();
        let mut reading = match Reading::start(source, (self.stdin)(), settings) {
            Ok(reading) => reading,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match reading.next(&|| self.stop.is_hurried()) {
                Ok(items) if items.is_empty() => return Ok(Ok(())),
                Ok(items) => {
                    intake.totals.rows += items.len() as u64;
                    intake.take(items)?;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// Where the rows go.
struct Intake<'a, W: Write> {
    /// The name of the source that they come from.
    source: String,
    admission: Admission<'a>,
    rejected: RejectedReport<W>,
    totals: IntakeTotals,
}

impl<W: Write> Intake<'_, W> {
    /// Takes rows in, or writes down why not.
    fn take(&mut self, items: Vec<Item>) -> Result<(), RunError> {
        let rows: Vec<&Pending> = items.iter().filter_map(Item::good).collect();
        let mut admitted = self.admission.admit(&rows)?.into_iter();
        for item in items {
            let admitted = item.good().and_then(|_| admitted.next());
            self.judge(item, admitted)?;
        }
        Ok(())
    }

    /// Counts a row, and names it where it was not taken.
    fn judge(&mut self, item: Item, admitted: Option<Admitted>) -> Result<(), RunError> {
        let totals = &mut self.totals;
        let (line, id, reason) = match (item, admitted) {
            (Item::Bad(bad), _) => {
                totals.rejected += 1;
                (bad.line, bad.transaction_id, bad.reason)
            }
            (Item::Good { line, row }, Some(Admitted::Conflict(what))) => {
                totals.rejected += 1;
                (line, Some(row.transaction_id.to_string()), what)
            }
            (Item::Good { line, row }, Some(Admitted::Duplicate)) => {
                totals.duplicates += 1;
                let what = "duplicate: this id came before in this run, and is taken once".to_owned();
                (line, Some(row.transaction_id.to_string()), what)
            }
            (Item::Good { .. }, admitted) => {
                match admitted {
                    Some(Admitted::New) => totals.new += 1,
                    Some(Admitted::Completed) => totals.completed += 1,
                    _ => totals.known += 1,
                }
                return Ok(());
            }
        };
        let rejected = self.rejected.add(&self.source, line, id.as_deref(), &reason);
        Ok(rejected.map_err(ReportError::from)?)
    }
}
