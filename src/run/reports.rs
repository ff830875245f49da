//! The last stage of the night: the reports. Most are read from what the ledger holds that is not archived, and take the longer
//! the more that is; where the run has to end first, they are left to the next one, which is said.
//!
//! - [`Report`]: what the night has to say

use jiff::Timestamp;

use super::{Night, RunError, Story, verdict};
use crate::config::Settings;
use crate::day::month_before;
use crate::exit::Exit;
use crate::ledger::{Ledger, LedgerError, Run, UnknownVerdicts};
use crate::pricing::{BillingRow, By};
use crate::record::State;
use crate::report::forecast::BacklogForecast;
use crate::report::page::{self, Details, Page};
use crate::report::quarantine::Quarantined;
use crate::report::summary::{self, Backlog, Paths, Summary};
use crate::report::{ReportDir, ReportError, billing, expiry, left, quarantine};

/// The reports that are left to the next run where this one has to end.
pub(super) const OF_THE_BACKLOG: [&str; 4] = ["expiry.csv", "quarantine.csv", "left.csv", "report.html"];

/// What the night has to say.
pub(super) struct Report {
    pub(super) summary: Summary,
    details: Details,
}

/// What the ledger holds that is not archived.
struct Unfetched {
    backlog: Backlog,
    quarantined: Quarantined,
    unknown_verdicts: Vec<UnknownVerdicts>,
    /// The forecast of the next run, without what the customer has not finished.
    at_next_run: BacklogForecast,
    /// Those whose 30 days end before the next run.
    endangered: u64,
}

impl Night {
    /// Writes the reports but for the summary and the page, which are still to learn the time that they took.
    pub(super) fn report(
        &self,
        ledger: &mut Ledger,
        run: &Run,
        reports: &ReportDir,
        mut story: Story,
    ) -> Result<Report, RunError> {
        let now = self.clock.now();
        let (lines, faults) = write_billing(ledger, &self.settings, now, reports)?;
        story.figures_differ.extend(faults);
        let unfetched = self.unfetched_in_time(ledger, story.started_at, reports)?;
        let facts = verdict::Facts {
            stop: self.stop.reason(),
            intake: &story.intake,
            no_source: self.settings.pending.is_empty()
                && story.due == 0
                && unfetched
                    .as_ref()
                    .is_some_and(|unfetched| unfetched.backlog.states.of(State::Pending) == 0),
            fetch: &story.fetch,
            troubles: &story.troubles,
            refusals: &story.refusals,
            pace: &story.pace,
            expired: story.expired,
            figures_differ: &story.figures_differ,
            archive_differs: &story.archive_differs,
            unfetched: unfetched.as_ref().map(|unfetched| self.facts(unfetched)),
        };
        let reasons = verdict::reasons(&facts);
        let (backlog, quarantined) = unfetched.map(|it| (it.backlog, it.quarantined.first)).unzip();
        let due_now = backlog.as_ref().map_or(0, |backlog| backlog.forecast.due);
        let summary = Summary {
            version: summary::VERSION,
            idvault: env!("CARGO_PKG_VERSION"),
            run_id: run.id.to_string(),
            started_at: story.started_at,
            seconds: 0.0,
            stages: story.stages,
            exit_code: reasons
                .iter()
                .fold(Exit::Done, |worst, reason| worst.or_worse(reason.exit_code)),
            reasons,
            due: if self.asks_nothing() { due_now } else { story.due },
            intake: story.intake,
            fetch: story.fetch,
            troubles: story.troubles,
            published: story.published,
            archive_differs: story.archive_differs,
            billing: billing::totals(&lines),
            backlog,
            pace: story.pace,
            paths: Paths {
                archive: self.settings.data_dir.join("archive"),
                reports: reports.target(story.started_at),
            },
        };
        let details = Details {
            billing: lines,
            quarantined: quarantined.unwrap_or_default(),
        };
        Ok(Report { summary, details })
    }

    /// What the ledger holds that is not archived, and the reports on it; `None` where the run has to end first.
    fn unfetched_in_time(
        &self,
        ledger: &mut Ledger,
        started_at: Timestamp,
        reports: &ReportDir,
    ) -> Result<Option<Unfetched>, RunError> {
        let stop = self.stop.clone();
        let read = ledger.unless(
            move || stop.is_overdue_for_reports(),
            |ledger| self.unfetched(ledger, started_at, reports),
        );
        match read {
            Ok(unfetched) => Ok(Some(unfetched)),
            Err(
                RunError::Ledger(LedgerError::Interrupted { .. })
                | RunError::Report(ReportError::Ledger(LedgerError::Interrupted { .. })),
            ) => {
                for name in OF_THE_BACKLOG {
                    reports.discard(name)?;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn unfetched(&self, ledger: &Ledger, started_at: Timestamp, reports: &ReportDir) -> Result<Unfetched, RunError> {
        let settings = &self.settings;
        let now = self.clock.now();
        let next_run = now.saturating_add(settings.run_interval).unwrap_or(Timestamp::MAX);
        let expiry = reports.write("expiry.csv", |out| expiry::write(ledger, &settings.outlook(now), out))?;
        let quarantined = reports.write("quarantine.csv", |out| {
            quarantine::write(ledger, page::QUARANTINED_NAMED, out)
        })?;
        reports.write("left.csv", |out| left::write(ledger, started_at, now, out))?;
        let states = ledger.state_counts()?;
        // What came in = what is in the archive + what is not, in every run.
        ledger.check_archived(states.of(State::Archived))?;
        Ok(Unfetched {
            backlog: Backlog {
                states,
                expiry,
                forecast: BacklogForecast::read(ledger, now, &settings.pace, true)?,
            },
            quarantined,
            unknown_verdicts: ledger.unknown_verdicts()?,
            at_next_run: BacklogForecast::read(ledger, next_run, &settings.pace, false)?,
            endangered: ledger.count_expiring(now, next_run)?,
        })
    }

    /// What of it matters for the exit code. Who asks nothing leaves everything.
    fn facts<'a>(&self, unfetched: &'a Unfetched) -> verdict::Unfetched<'a> {
        let backlog = &unfetched.backlog;
        let unless_dry = |number| if self.asks_nothing() { 0 } else { number };
        verdict::Unfetched {
            expiry: &backlog.expiry,
            quarantined: &unfetched.quarantined,
            unknown_verdicts: &unfetched.unknown_verdicts,
            left: unless_dry(backlog.forecast.due),
            unpublished: unless_dry(backlog.states.of(State::Journalled)),
            at_next_run: &unfetched.at_next_run,
            endangered: unfetched.endangered,
        }
    }
}

impl Report {
    /// Writes the summary and the page, and makes all reports visible.
    pub(super) fn publish(&self, reports: ReportDir) -> Result<(), ReportError> {
        let summary = &self.summary;
        reports.write("summary.json", |out| {
            serde_json::to_writer_pretty(&mut *out, summary).map_err(std::io::Error::from)?;
            Ok(())
        })?;
        if let Some(backlog) = &summary.backlog {
            let page = Page::night(summary, backlog, &self.details);
            reports.write("report.html", |out| page.write(out))?;
        }
        reports.publish(&summary.paths.reports)
    }
}

/// `billing.csv` of the current and the previous month by the vendor's day.
fn write_billing(
    ledger: &Ledger,
    settings: &Settings,
    now: Timestamp,
    reports: &ReportDir,
) -> Result<(Vec<BillingRow>, Vec<String>), RunError> {
    let today = settings.billing_zone.day_of(now);
    let days = (month_before(today, 1).0, month_before(today, 0).1);
    let billing = billing::read(ledger, &settings.pricing, Some(days))?;
    let (rows, faults) = billing.all();
    reports.write("billing.csv", |out| Ok(billing::write(&rows, By::Day, out)?))?;
    Ok((rows, faults))
}
