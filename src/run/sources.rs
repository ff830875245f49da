//! The first stage of the night: what the pending sources say goes into the ledger, or into `rejected.csv`.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Night, RunError};
use crate::error_chain;
use crate::intake::{IntakeError, Item, Reading, Source};
use crate::ledger::{Admission, Admitted, Ledger, Run};
use crate::plan;
use crate::record::Pending;
use crate::report::rejected::{RejectedReport, Row};
use crate::report::summary::IntakeTotals;
use crate::report::{ReportDir, ReportError};

/// A `verified_at` may be so far ahead of this machine's clock.
const FUTURE: SignedDuration = SignedDuration::from_hours(24);

impl Night {
    /// Reads the pending sources into the ledger. A source that can't be read is named and the others go on: what the
    /// ledger knows already must not wait for it.
    pub(super) fn intake(&self, ledger: &mut Ledger, run: &Run, reports: &ReportDir) -> Result<IntakeTotals, RunError> {
        let file = reports.file("rejected.csv")?;
        let mut intake = Intake {
            source: String::new(),
            admission: ledger
                .admission(&self.settings.defaults, run, self.clock.now())
                .with_last_chance(plan::last_chance(self.settings.run_interval)),
            rejected: RejectedReport::new(file).map_err(ReportError::from)?,
            totals: IntakeTotals::default(),
            given: Given::default(),
            until: Instant::now().checked_add(self.settings.source_limits.time_limit),
            not_after: self.clock.now().saturating_add(FUTURE).unwrap_or(Timestamp::MAX),
        };
        for name in &self.settings.pending {
            match self.read_source(name, &mut intake)? {
                Ok(source) => self.look_at(&source, &mut intake),
                Err(error @ (IntakeError::Stopped { .. } | IntakeError::OutOfTime { .. })) => {
                    intake.totals.cut_short.push(error_chain(&error));
                }
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
    ) -> Result<Result<Source, IntakeError>, RunError> {
        let source = match Source::parse(name) {
            Ok(source) => source,
            Err(error) => return Ok(Err(error)),
        };
        intake.source = source.to_string();
        intake.given = Given::default();
        let until = intake.until;
        let out_of_time = move || until.is_some_and(|until| Instant::now() >= until);
        let stopped = || self.stop.is_hurried() || out_of_time();
        // Not begun at all: what is read ahead of a pipe and dropped is lost.
        if stopped() {
            return Ok(Err(self.left(intake)));
        }
        let settings = self.settings.intake.clone();
        let limit = self.settings.source_limits.max_rows;
        let mut reading = match Reading::start(source.clone(), (self.stdin)(), settings) {
            Ok(reading) => reading,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match reading.next(&stopped) {
                Ok(items) if items.is_empty() => return Ok(Ok(source)),
                Ok(mut items) => {
                    let room = limit - intake.given.rows;
                    let too_many = items.len() as u64 > room;
                    items.truncate(usize::try_from(room).unwrap_or(usize::MAX));
                    intake.take(items)?;
                    if too_many {
                        let name = intake.source.clone();
                        return Ok(Err(IntakeError::TooManyRows { name, limit }));
                    }
                }
                Err(IntakeError::Stopped { .. }) => return Ok(Err(self.left(intake))),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Why a source is left before its end.
    fn left(&self, intake: &Intake<'_, impl Write>) -> IntakeError {
        let name = intake.source.clone();
        if self.stop.is_hurried() {
            IntakeError::Stopped { name }
        } else {
            let limit = self.settings.source_limits.time_limit;
            IntakeError::OutOfTime { name, limit }
        }
    }
}

impl Night {
    /// Whether a source that was read to its end gave enough, and new enough.
    fn look_at(&self, source: &Source, intake: &mut Intake<'_, impl Write>) {
        let limits = &self.settings.source_limits;
        let given = &intake.given;
        if given.rows < limits.min_rows {
            let (rows, least) = (given.rows, limits.min_rows);
            let what = "see whether its export is alive, or set intake.min_rows";
            let short = format!("{source} has {rows} rows, and at least {least} must be there; {what}");
            intake.totals.short_sources.push(short);
        }
        let Some(max_age) = limits.max_age else {
            return;
        };
        let (what, newest, now) = match given.newest {
            Some(newest) => ("the newest verified_at", Some(newest), self.clock.now()),
            None => ("the file's own time", source.modified_at(), self.wall_clock.now()),
        };
        if let Some(newest) = newest
            && now.duration_since(newest) > max_age
        {
            let hint = "see whether its export is alive, or set intake.max_age";
            let stale = format!("{source} is stale: {what} is {newest}, older than {max_age:#}; {hint}");
            intake.totals.stale_sources.push(stale);
        }
    }
}

/// What a source gave.
#[derive(Debug, Default)]
struct Given {
    rows: u64,
    /// The newest `verified_at`.
    newest: Option<Timestamp>,
}

/// Where the rows go.
struct Intake<'a, W: Write> {
    /// The name of the source that they come from.
    source: String,
    admission: Admission<'a>,
    rejected: RejectedReport<W>,
    totals: IntakeTotals,
    /// By the source that is being read.
    given: Given,
    /// When the sources are left; `None`: never.
    until: Option<Instant>,
    /// A later `verified_at` is wrong.
    not_after: Timestamp,
}

impl<W: Write> Intake<'_, W> {
    /// Takes rows in, or writes down why not.
    fn take(&mut self, mut items: Vec<Item>) -> Result<(), RunError> {
        self.totals.rows += items.len() as u64;
        self.given.rows += items.len() as u64;
        for item in &mut items {
            self.date(item);
        }
        let rows: Vec<&Pending> = items.iter().filter_map(Item::good).collect();
        let mut admitted = self.admission.admit(&rows)?.into_iter();
        for item in items {
            let admitted = item.good().and_then(|_| admitted.next());
            self.judge(item, admitted)?;
        }
        Ok(())
    }

    /// A row from the future is undated: taken as it stands, it would be asked for last, and never be near its deadline.
    fn date(&mut self, item: &mut Item) {
        let Item::Good { row, unread, .. } = item else {
            return;
        };
        if let Some(future) = row.verified_at.take_if(|said| *said > self.not_after) {
            let why = format!("verified_at {future} is more than a day in the future");
            *unread = Some(unread.take().map_or(why.clone(), |before| format!("{before}; {why}")));
        }
        self.given.newest = self.given.newest.max(row.verified_at);
    }

    /// Counts a row, and names it where it was not taken, or not whole.
    fn judge(&mut self, item: Item, admitted: Option<Admitted>) -> Result<(), RunError> {
        let totals = &mut self.totals;
        let (line, id, taken, reason) = match (item, admitted) {
            (Item::Bad(bad), _) => {
                totals.rejected += 1;
                (bad.line, bad.transaction_id, false, bad.reason)
            }
            (Item::Good { line, row, .. }, Some(Admitted::Conflict(what))) => {
                totals.rejected += 1;
                (line, Some(row.transaction_id.to_string()), false, what)
            }
            (Item::Good { line, row, .. }, Some(Admitted::Duplicate)) => {
                totals.duplicates += 1;
                let what = "duplicate: this id came before in this run, and is taken once".to_owned();
                (line, Some(row.transaction_id.to_string()), false, what)
            }
            (Item::Good { line, row, unread }, admitted) => {
                match admitted {
                    Some(Admitted::New) => totals.new += 1,
                    Some(Admitted::Completed) => totals.completed += 1,
                    _ => totals.known += 1,
                }
                let Some(unread) = unread else {
                    return Ok(());
                };
                totals.incomplete += 1;
                (line, Some(row.transaction_id.to_string()), true, unread)
            }
        };
        let rejected = self.rejected.add(&Row {
            source: &self.source,
            line,
            transaction_id: id.as_deref(),
            taken,
            reason: &reason,
        });
        Ok(rejected.map_err(ReportError::from)?)
    }
}
