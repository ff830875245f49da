//! The nightly job, from top to bottom: lock, intake, plan, fetch, publish, report.
//!
//! - [`run`]: the night
//! - [`Night`]: what it needs from outside
//! - [`RunError`]: the night failed, and the stage where

mod dry;
mod reports;
mod sources;
mod verdict;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::archive::{Archive, ArchiveError};
use crate::clock::Clock;
use crate::compact;
use crate::config::Settings;
use crate::difference::Differences;
use crate::disk::Space;
use crate::exit::Exit;
use crate::fetch::{Counts, Fetch, Opening, QUEUES_AT_FULL, Refusal, RequestQueue, Totals, Trouble};
use crate::files::FileError;
use crate::history::{self, HistoryError};
use crate::inventory::Inventory;
use crate::ledger::{AnsweredBy, Author, Ledger, LedgerError, Lock, QueueDue, Run, Writer};
use crate::limits::{self, TooFew};
use crate::open_records::{self, OpenRecordsError};
use crate::progress::{Progress, Style};
use crate::publish::recovery::recover;
use crate::publish::{PublishError, Published, Publisher};
use crate::quota::Limiters;
use crate::record::Region;
use crate::report::summary::{IntakeTotals, PaceUse, StageSeconds, Summary};
use crate::report::{ReportDir, ReportError};
use crate::runtime;
use crate::stop::{Stop, StopReason};
use crate::vendor::Client;

/// The night failed before it could be summed up.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data folder can't be used.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// The ledger can't be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The archive can't be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A report can't be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The system gives too few threads or open files.
    #[error(transparent)]
    TooFew(#[from] TooFew),
    /// The machine gives no threads or files for the calls.
    #[error("failed to start the calls; see what limits the threads and open files of this user (`ulimit -a`)")]
    Start(#[source] io::Error),
}

impl From<PublishError> for RunError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Archive(error) => Self::Archive(error),
            PublishError::Ledger(error) => Self::Ledger(error),
        }
    }
}

impl From<HistoryError> for RunError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Archive(error) => Self::Archive(error),
            HistoryError::Ledger(error) => Self::Ledger(error),
        }
    }
}

impl From<OpenRecordsError> for RunError {
    fn from(error: OpenRecordsError) -> Self {
        match error {
            OpenRecordsError::File(error) => Self::Folder(error),
            OpenRecordsError::Ledger(error) => Self::Ledger(error),
        }
    }
}

impl RunError {
    /// The exit code.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Ledger(error) | Self::Report(ReportError::Ledger(error)) => ledger_exit(error),
            Self::Folder(_) | Self::Archive(_) | Self::Report(_) => Exit::Archive,
            Self::TooFew(_) => Exit::Configuration,
            Self::Start(_) => Exit::Unexpected,
        }
    }
}

/// The exit code of a ledger error.
pub const fn ledger_exit(error: &LedgerError) -> Exit {
    match error {
        LedgerError::Locked { .. } => Exit::Locked,
        LedgerError::Folder(_) => Exit::Archive,
        LedgerError::Interrupted { .. } => Exit::NeedsALook,
        _ => Exit::Ledger,
    }
}

/// What of a night is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// The pending sources are taken in, and the reports written; nobody is asked, and nothing is published.
    IntakeOnly,
    /// The same on a copy of the ledger, and the plan is printed: nothing is changed (`dry`).
    DryRun,
}

/// What a night needs from outside.
pub struct Night {
    /// Checked settings.
    pub settings: Settings,
    /// Asks the vendor.
    pub client: Arc<Client>,
    /// The ledger's time.
    pub clock: Arc<dyn Clock>,
    /// Whoever the history names.
    pub author: Author,
    /// The machine's time.
    pub wall_clock: Arc<dyn Clock>,
    /// Asked for by signals and by `--time-limit`.
    pub stop: Stop,
    /// How progress is shown.
    pub progress: Style,
    /// For the jitter of the backoff.
    pub seed: u64,
    /// Where `--pending -` reads.
    pub stdin: fn() -> Box<dyn Read + Send>,
    /// What of it is done.
    pub extent: Extent,
    /// Where the plan of a dry run goes, if it is wanted.
    pub plan_out: Option<fn() -> Box<dyn Write>>,
}

/// The night, as far as its extent goes.
pub fn run(night: &Night) -> Result<Summary, RunError> {
    limits::check()?;
    match night.extent {
        Extent::DryRun => dry::run(night),
        Extent::Whole | Extent::IntakeOnly => run_for_real(night),
    }
}

/// The night's table of contents.
fn run_for_real(night: &Night) -> Result<Summary, RunError> {
    let started = Instant::now();
    let mut laps = Laps { last: started };
    let data_dir = &night.settings.data_dir;
    let lock = Lock::acquire(data_dir)?;
    refuse_a_lost_ledger(data_dir, &lock)?;
    let stop = night.stop.clone();
    let mut ledger = Ledger::open_unless(data_dir, &lock, move || stop.is_overdue())?;
    ledger.set_author(night.author.clone());
    let archive = Archive::open(data_dir)?;
    history::open(&mut ledger, &archive)?;
    let before = ledger.last_change()?.map_or(0, |last| last.commit);
    let now = night.clock.now();
    let answered_by = (!night.asks_nothing()).then(|| night.answered_by());
    if night.asks_nothing() {
        ledger.check_account(&night.settings.asked_account())?;
    } else {
        ledger.remember_account(&night.settings.asked_account())?;
    }
    let run = ledger.begin_run(now, answered_by)?;
    tracing::info!(run_id = %run.id, "run started");
    compact::recover(&mut ledger, &archive, now)?;
    recover(&mut ledger, &archive, now, &mut Err)?;
    let reports = ReportDir::create(data_dir, &run.id)?;
    let mut story = Story {
        started_at: now,
        ..Story::default()
    };
    story.stages.open = laps.lap();
    if !night.asks_nothing() {
        // What an earlier run left behind goes first: a source or a time limit could leave it there for ever.
        night
            .publisher(&mut ledger, &archive, &run)
            .publish(&mut story.published)?;
    }
    story.stages.publish = laps.lap();
    let known = ledger.highest_number()?;
    story.intake = night.intake(&mut ledger, &run, &reports)?;
    open_records::add_new(data_dir, &ledger, known)?;
    story.stages.intake = laps.lap();
    if !night.asks_nothing() {
        archive.probe()?;
        ledger = night.fetch(ledger, &run, &mut story)?;
        story.stages.fetch = laps.lap();
        tracing::info!(fetched = story.fetch.fetched, left = story.fetch.left, "publishing");
        night
            .publisher(&mut ledger, &archive, &run)
            .publish(&mut story.published)?;
        if story.published.files > 0 {
            archive.write_columns()?;
        }
        story.stages.publish += laps.lap();
        // What was fetched is safe now; that a part of the plan could not be read is worth the whole exit code.
        if let Some(error) = story.fetch_error.take() {
            return Err(error.into());
        }
        // By a clock that the vendor has not refused: what it takes for lost stays lost.
        if story.fetch.told_any() {
            story.expired = ledger.expire_quarantined(night.clock.now())?;
        }
    }
    ledger.drop_unknown_verdicts()?;
    history::note_clock(&mut ledger, &archive, &run, before)?;
    open_records::add_all(data_dir, &ledger)?;
    story.figures_differ = ledger.adrift()?;
    story.figures_differ.append(&mut story.published.differences);
    story.archive_differs = Inventory::of_run(&ledger, &archive)?;
    let mut report = night.report(&mut ledger, &run, &reports, story)?;
    report.summary.stages.report = laps.lap();
    report.summary.seconds = started.elapsed().as_secs_f64();
    report.publish(reports)?;
    let summary = report.summary;
    if ledger.is_checked_by(&run) {
        // Now that all is done: at the start it would keep a large ledger from its first call.
        night.check_pages(&mut ledger)?;
    }
    ledger.end_run(&run, night.clock.now(), summary.exit_code.code())?;
    ledger.close()?;
    Ok(summary)
}

/// Tells how long each stage took.
struct Laps {
    last: Instant,
}

impl Laps {
    /// Seconds since the last one.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let before = std::mem::replace(&mut self.last, now);
        now.duration_since(before).as_secs_f64()
    }
}

/// What happened, until it is summed up.
#[derive(Debug, Default)]
struct Story {
    started_at: Timestamp,
    stages: StageSeconds,
    intake: IntakeTotals,
    due: u64,
    fetch: Totals,
    troubles: Vec<Trouble>,
    refusals: Vec<Refusal>,
    pace: Vec<PaceUse>,
    published: Published,
    /// Why a product's plan could not be read to its end.
    fetch_error: Option<LedgerError>,
    /// Quarantined records whose 30 days ended before a person had helped them.
    expired: u64,
    /// Where the tallies of archive and ledger differ, and closed months from what was signed off.
    figures_differ: Vec<String>,
    /// Where the names and sizes in the archive differ from the manifest.
    archive_differs: Differences,
}

impl Night {
    /// Whether nobody is asked, so that all is left as it must be.
    fn asks_nothing(&self) -> bool {
        self.extent != Extent::Whole
    }

    fn answered_by(&self) -> AnsweredBy {
        if self.settings.asks_loopback() {
            AnsweredBy::Loopback
        } else {
            AnsweredBy::Vendor
        }
    }

    fn publisher<'a>(&'a self, ledger: &'a mut Ledger, archive: &'a Archive, run: &'a Run) -> Publisher<'a> {
        Publisher {
            ledger,
            archive,
            run,
            zone: &self.settings.billing_zone,
            sub_codes: &self.settings.pricing.sub_codes,
            now: self.clock.now(),
            stop: &self.stop,
        }
    }

    /// Looks through the ledger's pages, unless the run is stopped: then the next one whose turn it is does.
    fn check_pages(&self, ledger: &mut Ledger) -> Result<(), LedgerError> {
        if self.stop.is_hurried() {
            return Ok(());
        }
        let stop = self.stop.clone();
        match ledger.unless(move || stop.is_hurried(), Ledger::check_pages) {
            Err(LedgerError::Interrupted { .. }) => Ok(()),
            checked => checked,
        }
    }

    /// Asks for what is due.
    fn fetch(&self, ledger: Ledger, run: &Run, story: &mut Story) -> Result<Ledger, RunError> {
        runtime::block_on(self.ask(ledger, run, story)).map_err(RunError::Start)?
    }

    /// Asks for what is due. The writer thread owns the ledger meanwhile.
    async fn ask(&self, ledger: Ledger, run: &Run, story: &mut Story) -> Result<Ledger, RunError> {
        tokio::select! {
            () = self.stop.requested() => {}
            source = self.client.credentials_source() => if let Err(error) = source {
                self.stop
                    .request(StopReason::Credentials(crate::error_chain(&error).into()));
            },
        }
        let due = ledger.due_queues(self.clock.now())?;
        story.due = due.iter().map(|queue| queue.due).sum();
        tracing::info!(due = story.due, queues = due.len(), "fetching");
        let space = self.space_for(story.due);
        let mut limiters = Limiters::new(self.settings.pace.clone(), self.wall_clock.clone());
        let counts = Arc::new(Counts::default());
        let mut openings: BTreeMap<Region, Arc<Opening>> = BTreeMap::new();
        let queue = |due: QueueDue| {
            let limiter = limiters.limiter(&due.region, &due.product_code);
            let opening = openings.entry(due.region.clone()).or_default().clone();
            let patience = self.settings.fetch.patience;
            Arc::new(RequestQueue::new(due, limiter, opening, patience, &counts))
        };
        let queues: Vec<Arc<RequestQueue>> = due.into_iter().map(queue).collect();
        let mut settings = self.settings.fetch.clone();
        settings.concurrency = limits::connections(settings.concurrency, queues.len().min(QUEUES_AT_FULL))?;
        let fetch = Arc::new(Fetch::new(
            self.client.clone(),
            settings,
            (self.clock.clone(), self.wall_clock.clone()),
            self.stop.clone(),
            space,
            self.seed,
        ));
        let progress = Progress::start(self.progress, story.due, counts.clone());
        let readers = ledger.readers();
        let stop = self.stop.clone();
        let writer = Writer::start(ledger, run.number, move || stop.request(StopReason::LedgerFailed))
            .map_err(RunError::Start)?;
        let fetched = tokio::select! {
            fetched = fetch.run(queues.clone(), run.number, readers, writer.handle()) => fetched,
            never = limiters.follow_the_hours() => match never {},
        };
        progress.finish();
        story.fetch = counts.totals();
        story.troubles = counts.troubles.commonest();
        story.refusals = counts.troubles.refusals();
        story.pace = PaceUse::of(&limiters);
        // What the writer says comes first: it knows why its acknowledgements stopped.
        let mut ledger = writer.finish()?;
        for queue in queues.iter().filter(|queue| queue.is_in_outage()) {
            ledger.note_outage(run, &queue.product_code, &queue.region)?;
        }
        story.fetch_error = fetched.err();
        Ok(ledger)
    }

    /// The room for what is due, and what is said where that is not enough. What fits is fetched all the same, what is
    /// deleted first before the rest.
    fn space_for(&self, due: u64) -> Space {
        let space = Space::new(&self.settings.data_dir);
        if due == 0 {
            return space;
        }
        if let Err(none) = space.check() {
            self.stop.request(StopReason::NoSpace(none));
        } else if let Some(room) = space.room_for(due, self.settings.images) {
            let path = self.settings.data_dir.display();
            tracing::warn!("the disk of {path} has room for about {room} of {due} due records: free some");
        }
        space
    }
}

/// An empty ledger beside an archive would fetch and archive everything again.
fn refuse_a_lost_ledger(data_dir: &Path, lock: &Lock) -> Result<(), RunError> {
    if Ledger::is_blank(data_dir, lock)? && Archive::holds_files(data_dir)? {
        let path = Ledger::path_in(data_dir);
        return Err(LedgerError::Gone { path }.into());
    }
    Ok(())
}
