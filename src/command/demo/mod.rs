//! `idvault demo`: the main job on made-up verifications, against the sandbox, from nothing to the reports.
//!
//! In: nothing but the clock. Out: `idvault-demo/` with pending sources, a ledger, an archive and reports, and a few lines on standard
//! output. The dates are relative to now, so that the demo is the same on every day. A second demo starts afresh. A folder that no
//! demo made is never touched.
//!
//! - `made_up`: the verifications
//! - `bad`: a night with a loss, a quarantine and an outage, explained
//! - `month`: a whole month with a bill

mod bad;
mod made_up;
mod month;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::output::stdout;
use super::run::prepare;
use super::{CommandError, Context};
use crate::cli::{DemoArgs, Global, RunArgs};
use crate::config::{ConfigFile, Pauses, Qps};
use crate::exit::Exit;
use crate::files::{self, FileError};
use crate::intake::made_up::{Row, write_csv, write_sqlite};
use crate::plan::Band;
use crate::report::summary::{Summary, seconds};
use crate::run::run;
use crate::sandbox::SandboxSettings;

/// Where a demo writes, in the working folder.
const FOLDER: &str = "idvault-demo";
/// Says that a demo made the folder, so that the next one may remove it.
const MARKER: &str = "MADE-UP";
const MARKER_TEXT: &str = "Everything in this folder is made up. The next `idvault demo` removes it.\n";

pub(super) fn execute(args: &DemoArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let demo = Demo::start_afresh(global, context)?;
    if args.month {
        return month::execute(&demo);
    }
    if args.bad {
        return bad::execute(&demo);
    }
    let rows = made_up::good(demo.now());
    let summary = demo.night(&demo.sources(&rows)?, SandboxSettings::default(), None)?;
    say(&lines(&summary))?;
    Ok(summary.exit_code)
}

fn say(text: &str) -> Result<(), CommandError> {
    Ok(stdout().write_all(text.as_bytes())?)
}

/// The folder of a demo, and what its nights need.
struct Demo {
    folder: PathBuf,
    global: Global,
    context: Context,
}

impl Demo {
    /// Removes what an earlier demo left, and makes the folder anew.
    fn start_afresh(global: &Global, context: &Context) -> Result<Self, CommandError> {
        let folder = PathBuf::from(FOLDER);
        if folder.symlink_metadata().is_ok() {
            if !folder.join(MARKER).is_file() {
                let why = format!(
                    "{FOLDER} is there, and no demo made it (it has no file {MARKER}); move it away, or run the demo in another folder"
                );
                return Err(CommandError::Usage(why));
            }
            std::fs::remove_dir_all(&folder).map_err(FileError::because("remove", &folder))?;
        }
        files::create_private_dir(&folder)?;
        let marker = folder.join(MARKER);
        files::create_private(&marker)?
            .write_all(MARKER_TEXT.as_bytes())
            .map_err(FileError::because("write", &marker))?;
        Ok(Self {
            global: Global {
                data_dir: Some(folder.join("data")),
                quiet: true,
                ..global.clone()
            },
            // The demo is the same for everybody: the configuration of the working folder is for real nights.
            context: Context {
                config: ConfigFile::default(),
                ..context.clone()
            },
            folder,
        })
    }

    fn now(&self) -> Timestamp {
        self.context.clock(&self.global).now()
    }

    /// Writes half of the rows as CSV and half as SQLite, and says where.
    fn sources(&self, rows: &[Row]) -> Result<Vec<PathBuf>, CommandError> {
        let (csv, sqlite) = (self.folder.join("pending.csv"), self.folder.join("pending.sqlite"));
        let (of_csv, of_sqlite) = rows.split_at(rows.len() / 2);
        write_csv(&csv, of_csv)?;
        write_sqlite(&sqlite, of_sqlite)?;
        Ok(vec![csv, sqlite])
    }

    /// One night at `now`, or at the demo's own time.
    fn night(
        &self,
        sources: &[PathBuf],
        sandbox: SandboxSettings,
        now: Option<Timestamp>,
    ) -> Result<Summary, CommandError> {
        let args = RunArgs {
            pending: sources.iter().map(|path| path.display().to_string()).collect(),
            qps: Some(Qps::Unlimited),
            sandbox: true,
            // One pass: a demo takes seconds.
            pauses: Some(Pauses(Vec::new())),
            ..RunArgs::default()
        };
        let global = Global {
            now: now.or(self.global.now),
            ..self.global.clone()
        };
        let (night, _serving) = prepare(&args, &global, &self.context, sandbox)?;
        Ok(run(&night)?)
    }
}

/// What the night did, in lines of 80 columns.
fn lines(summary: &Summary) -> String {
    let mut text = "Made-up verifications, answered by a sandbox in the vendor's place.\n\n".to_owned();
    let (fetch, billing, published) = (&summary.fetch, &summary.billing, &summary.published);
    let mut line = |name: &str, what: String| {
        let _ = writeln!(text, "{name:<9} {what}");
    };
    line(
        "fetched",
        format!(
            "{} of {} due in {}; {} are not finished by the customer",
            fetch.fetched,
            summary.due,
            seconds(summary.seconds),
            fetch.postponed
        ),
    );
    line(
        "archived",
        format!(
            "{} verifications in {} Parquet files",
            published.verifications, published.files
        ),
    );
    let amounts = billing
        .amounts
        .iter()
        .map(|(currency, amount)| format!("{amount} {currency}"));
    line(
        "billed",
        format!(
            "{} verifications, {} at list prices; {} of unknown sub codes",
            billing.billed,
            amounts.collect::<Vec<_>>().join(", "),
            billing.unknown
        ),
    );
    if let Some(backlog) = &summary.backlog {
        let of = |band| backlog.expiry.of(band);
        let soon = of(Band::Day) + of(Band::ThreeDays);
        line(
            "expires",
            format!(
                "{} lost, {soon} within 3 days, {} more within 7 days",
                of(Band::Lost),
                of(Band::Week)
            ),
        );
    }
    line("exit", format!("{}", summary.exit_code.code()));
    let _ = writeln!(text);
    let mut line = |name: &str, path: &Path| {
        let _ = writeln!(text, "{name:<9} {}", path.display());
    };
    line("page", &summary.paths.reports.join("report.html"));
    line("archive", &summary.paths.archive);
    text
}
