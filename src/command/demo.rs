//! `idvault demo`: the main job on made-up verifications, against the sandbox, from nothing to the reports.
//!
//! In: nothing but the clock. Out: `idvault-demo/` with two pending sources, a ledger, an archive and reports, and at most twelve
//! lines on standard output. The dates are relative to now, so that the demo is the same on every day. A second demo starts
//! afresh; a folder that no demo made is never touched.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::run::prepare;
use super::{CommandError, Context};
use crate::cli::{Global, RunArgs};
use crate::config::{ConfigFile, Qps};
use crate::exit::Exit;
use crate::files::{self, FileError};
use crate::intake::made_up::{Row, write_csv, write_sqlite};
use crate::plan::Band;
use crate::report::summary::{Summary, seconds};
use crate::run::run;
use crate::sandbox::Kind;
use crate::sandbox::answers::kind_of;

/// Where a demo writes, in the working folder.
const FOLDER: &str = "idvault-demo";
/// Says that a demo made the folder, so that the next one may remove it.
const MARKER: &str = "MADE-UP";
const MARKER_TEXT: &str = "Everything in this folder is made up. The next `idvault demo` removes it.\n";
/// Verifications of a demo.
const VERIFICATIONS: usize = 300;
/// The oldest one: it expires within the warning window, and long after the next run.
const OLDEST: SignedDuration = SignedDuration::from_hours(25 * 24);
/// Draws the ids, so that each demo shows the same.
const SEED: u64 = 30;
/// Product and region of every n-th verification, in turn.
const PLACES: [(&str, &str); 5] = [
    ("FACE_LIVENESS", "ap-southeast-1"),
    ("FACE_LIVENESS", "ap-southeast-1"),
    ("FACE_LIVENESS", "cn-hongkong"),
    ("FACE_VERIFY", "ap-southeast-1"),
    ("FACE_LIVENESS", "ap-southeast-5"),
];

pub(super) fn execute(global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let folder = Path::new(FOLDER);
    start_afresh(folder)?;
    let rows = good_rows(context.clock(global).now());
    let (csv, sqlite) = (folder.join("pending.csv"), folder.join("pending.sqlite"));
    let (of_csv, of_sqlite) = rows.split_at(rows.len() / 2);
    write_csv(&csv, of_csv)?;
    write_sqlite(&sqlite, of_sqlite)?;
    let run_args = RunArgs {
        pending: [&csv, &sqlite].map(|path| path.display().to_string()).to_vec(),
        qps: Some(Qps::Unlimited),
        sandbox: true,
        ..RunArgs::default()
    };
    let global = Global {
        data_dir: Some(folder.join("data")),
        quiet: true,
        ..global.clone()
    };
    // The demo is the same for everybody: the configuration of the working folder is for real nights.
    let context = Context {
        config: ConfigFile::default(),
        ..context.clone()
    };
    let (night, _sandbox) = prepare(&run_args, &global, &context)?;
    let summary = run(&night)?;
    io::stdout().write_all(lines(&summary).as_bytes())?;
    Ok(summary.exit_code)
}

/// Removes what an earlier demo left, and makes the folder anew.
fn start_afresh(folder: &Path) -> Result<(), CommandError> {
    if folder.symlink_metadata().is_ok() {
        if !folder.join(MARKER).is_file() {
            let why = format!(
                "{FOLDER} is there, and no demo made it (it has no file {MARKER}); move it away, or run the demo in another folder"
            );
            return Err(CommandError::Usage(why));
        }
        std::fs::remove_dir_all(folder).map_err(FileError::because("remove", folder))?;
    }
    files::create_private_dir(folder)?;
    let marker = folder.join(MARKER);
    files::create_private(&marker)?
        .write_all(MARKER_TEXT.as_bytes())
        .map_err(FileError::because("write", &marker))?;
    Ok(())
}

/// Verifications of the last 25 days, evenly spread, none of which needs a person.
fn good_rows(now: Timestamp) -> Vec<Row> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut ids = std::iter::repeat_with(|| format!("demo{:028x}", random.u128(..) >> 16)).filter(|id| {
        let kind = kind_of(id);
        kind.is_final() || matches!(kind, Kind::NotCompleted)
    });
    let count = i32::try_from(VERIFICATIONS).unwrap_or(i32::MAX);
    (0..count)
        .zip(PLACES.iter().cycle())
        .filter_map(|(n, (product_code, region))| {
            let age = OLDEST * (count - n) / count;
            Some(Row {
                transaction_id: ids.next()?,
                product_code,
                region,
                verified_at: now - age,
            })
        })
        .collect()
}

/// What the demo did, in lines of 80 columns where the paths are short.
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
