//! The command line.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::config::{HumanDuration, LogFormat, Overrides, Pauses, Qps};
use crate::pricing::By;

/// Archives the results of Alibaba Cloud ID Verification before the vendor deletes them on day 30.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
    /// For every command.
    #[command(flatten)]
    pub global: Global,
}

const AFTER_HELP: &str = "Exit codes: 0 all due records are archived, 1 unexpected failure, 2 usage, 3 configuration or \
pending source, 4 something needs a look, 5 a record expired or will before the next run, 6 ledger, 7 archive or report, \
8 credentials or account refused, 9 verify or reconcile found a difference, 75 another run holds the lock.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Configuration file; `idvault.toml` where there is one
    #[arg(long, global = true, value_name = "FILE", env = "IDVAULT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of ledger, archive and reports [default: idvault-data]
    #[arg(long, global = true, value_name = "DIR", env = "IDVAULT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// How logs are written to standard error [default: text]
    #[arg(long, global = true, value_name = "FORMAT", env = "IDVAULT_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Clock of plan, ledger and reports; signatures always take the real one
    #[arg(long, global = true, value_name = "RFC3339", env = "IDVAULT_NOW")]
    pub now: Option<Timestamp>,
    /// More logs; twice for those of every attempt
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Only say what needs a look
    #[arg(short, long, global = true, env = "IDVAULT_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The nightly job: intake, fetch, publish, report
    Run(RunArgs),
    /// What the ledger holds, what is due, and a forecast
    Status(StatusArgs),
    /// The reports again, from what is there
    #[command(subcommand)]
    Report(ReportCommand),
    /// The vendor's bill, or its own records, against the archive
    Reconcile(ReconcileArgs),
    /// Decide of the records that need a person
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// What is known of sub codes: their meaning, whether they are billed, and who says so
    Subcodes(SubcodesArgs),
    /// The limits of regions and products, the pace below them, and who says so
    Quotas(QuotasArgs),
    /// Sign a month off: what comes later is a correction
    Close(CloseArgs),
    /// Merge the small files that late records brought, a day's into one; readers are not disturbed
    Compact(CompactArgs),
    /// The archive's files
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// The ledger against the archive
    Verify(VerifyArgs),
    /// Make a ledger from the archive, or complete an older one
    RebuildLedger(RebuildArgs),
    /// A local server that behaves as the CheckResult service
    Sandbox(SandboxArgs),
    /// A night on made-up verifications: no account, no file of yours, a few seconds
    Demo(DemoArgs),
    /// Write a commented idvault.toml
    Init(InitArgs),
    /// Completions for a shell, on standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The manual page, on standard output
    Man {
        /// That of this command [default: of the program]
        of: Option<String>,
    },
}

/// Options of `run`.
#[expect(clippy::struct_excessive_bools, reason = "a switch each on the command line")]
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Pending source: a CSV file (also .gz), `-` for standard input, or a SQLite file; repeatable
    #[arg(long, value_name = "SOURCE", env = "IDVAULT_PENDING", value_delimiter = ',')]
    pub pending: Vec<String>,
    /// Ask this URL for every region; plain http only to a loopback address
    #[arg(long, value_name = "URL", env = "IDVAULT_ENDPOINT", conflicts_with = "sandbox")]
    pub endpoint: Option<String>,
    /// One rate for everything, in calls per second, in place of the quotas; `unlimited` only to a loopback address
    #[arg(long, value_name = "N|unlimited", env = "IDVAULT_QPS")]
    pub qps: Option<Qps>,
    /// Calls in flight per product and region [default: 256]
    #[arg(long, value_name = "N", env = "IDVAULT_CONCURRENCY")]
    pub concurrency: Option<usize>,
    /// Pauses before what is left is asked for again, such as 10s,30s,1m; `none` makes one pass [default: 10s,30s,1m,2m,5m]
    #[arg(long, value_name = "DURATIONS", env = "IDVAULT_PAUSES")]
    pub pauses: Option<Pauses>,
    /// Begin no call after this time, such as 6h
    #[arg(long, value_name = "DURATION", env = "IDVAULT_TIME_LIMIT")]
    pub time_limit: Option<HumanDuration>,
    /// Ask for face images too, and keep them in the archive, apart
    #[arg(long, env = "IDVAULT_IMAGES", value_parser = BoolishValueParser::new())]
    pub images: bool,
    /// Ask a sandbox that is started for this run; no credentials are needed
    #[arg(long, env = "IDVAULT_SANDBOX", value_parser = BoolishValueParser::new())]
    pub sandbox: bool,
    /// Print what would be asked for, and report what would be rejected; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Take the pending rows in and write the reports; ask nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub intake_only: bool,
    /// The summary as JSON on standard output
    #[arg(long, env = "IDVAULT_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

impl RunArgs {
    /// What stands over the configuration file.
    pub fn overrides(&self, global: &Global) -> Overrides {
        Overrides {
            pending: self.pending.clone(),
            endpoint: self.endpoint.clone(),
            qps: self.qps,
            concurrency: self.concurrency,
            pauses: self.pauses.as_ref().map(|pauses| pauses.0.clone()),
            time_limit: self.time_limit,
            images: self.images,
            sandbox: self.sandbox,
            ..global.overrides()
        }
    }
}

impl Global {
    /// What stands over the configuration file.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            data_dir: self.data_dir.clone(),
            ..Overrides::default()
        }
    }
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// A night with a loss, a quarantine and an outage, each explained; exits with 5
    #[arg(long, conflicts_with = "month")]
    pub bad: bool,
    /// Last month in three nights, and the vendor's bill for it
    #[arg(long)]
    pub month: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As JSON
    #[arg(long, env = "IDVAULT_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// The reports.
#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Verifications by billing day, product, region and sub code, and what they cost
    Billing(BillingArgs),
    /// Unfetched records near their expiry, as CSV
    Expiry,
}

/// Options of `report billing`.
#[derive(Debug, Args)]
pub struct BillingArgs {
    /// The billing days of this month (YYYY-MM), without undated rows [default: the current and the previous one, and
    /// undated rows]
    #[arg(long, value_name = "YYYY-MM", conflicts_with_all = ["all", "undated"])]
    pub month: Option<String>,
    /// All billing days, and undated rows
    #[arg(long, conflicts_with = "undated")]
    pub all: bool,
    /// Undated rows only: no source said when they were made, so they are in no month
    #[arg(long)]
    pub undated: bool,
    /// A row for each billing day, or for each calendar month of them
    #[arg(long, value_enum, default_value_t)]
    pub by: By,
    /// With what came after a month was closed, where --month names a closed one; other reports have it anyway
    #[arg(long)]
    pub corrections: bool,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
    /// Write to this new file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TableFormat {
    /// With a header, for spreadsheets.
    #[default]
    Csv,
    /// An array of objects, money as text.
    Json,
    /// Dates and exact decimals, for analysts.
    Parquet,
}

/// Options of `close`.
#[derive(Debug, Args)]
pub struct CloseArgs {
    /// The month
    #[arg(long, value_name = "YYYY-MM")]
    pub month: String,
    /// The vendor's bill, compared and signed off with it; repeatable
    #[arg(long, value_name = "FILE", required_unless_present = "accept")]
    pub bill: Vec<PathBuf>,
    /// Sign off what came after the month was closed, as a numbered correction of it
    #[arg(long)]
    pub correct: bool,
    /// The vendor's own records of verifications, compared and signed off with it; repeatable
    #[arg(long, value_name = "FILE")]
    pub records: Vec<PathBuf>,
    /// The form of the bill's files: v2-en, v2-zh, old, focus or api [default: by their headers]
    #[arg(long, value_name = "FORM")]
    pub form: Option<String>,
    /// Lines of a bill that are the same, and have no id, are lines of their own
    #[arg(long)]
    pub allow_identical: bool,
    /// How much the bill may be too high in all, by currency, such as 1.50 [default: 0]
    #[arg(long, value_name = "AMOUNT", value_parser = parse_tolerance)]
    pub tolerance: Option<Decimal>,
    /// How much a day, product and region may be too high, such as 0.01 [default: as much as --tolerance]
    #[arg(long, value_name = "AMOUNT", value_parser = parse_tolerance)]
    pub tolerance_line: Option<Decimal>,
    /// Close it although this speaks against it, by the name under which it is listed; repeatable, kept in the record
    #[arg(long, value_name = "NAME=REASON")]
    pub accept: Vec<String>,
}

/// Options of `compact`.
#[derive(Debug, Args)]
pub struct CompactArgs {
    /// Leave billing days alone that are not older than this: late records still come for them
    #[arg(long, value_name = "N", default_value_t = crate::compact::MIN_AGE_DAYS)]
    pub min_age_days: u16,
    /// Say what would be merged, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What is done with the archive's files.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Write files of an older schema anew, day by day; readers are not disturbed
    Upgrade(UpgradeArgs),
}

/// Options of `archive upgrade`.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// Say what would be written anew, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `subcodes`.
#[derive(Debug, Args)]
pub struct SubcodesArgs {
    /// As JSON
    #[arg(long, env = "IDVAULT_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// Options of `quotas`.
#[derive(Debug, Args)]
pub struct QuotasArgs {
    /// As JSON
    #[arg(long, env = "IDVAULT_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// Options of `reconcile`.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// The bill: a CSV file of the vendor's export (also .gz); repeatable
    #[arg(long, value_name = "FILE", required_unless_present = "records")]
    pub bill: Vec<PathBuf>,
    /// The vendor's own records of verifications: its export, CSV (also .gz) or XLSX; repeatable. Without a bill they stand
    /// in its place
    #[arg(long, value_name = "FILE")]
    pub records: Vec<PathBuf>,
    /// Take the ids of the records that no source named into the ledger, so that the next run asks for them
    #[arg(long, requires = "records")]
    pub adopt: bool,
    /// The month that is compared (YYYY-MM) [default: the bill's, where it has but one]
    #[arg(long, value_name = "YYYY-MM", required_unless_present = "bill")]
    pub month: Option<String>,
    /// The form of the bill's files: v2-en, v2-zh, old, focus or api [default: by their headers]
    #[arg(long, value_name = "FORM")]
    pub form: Option<String>,
    /// Lines of a bill that are the same, and have no id, are lines of their own
    #[arg(long)]
    pub allow_identical: bool,
    /// How much the bill may be too high in all, by currency, such as 1.50 [default: 0]
    #[arg(long, value_name = "AMOUNT", value_parser = parse_tolerance)]
    pub tolerance: Option<Decimal>,
    /// How much a day, product and region may be too high, such as 0.01 [default: as much as --tolerance]
    #[arg(long, value_name = "AMOUNT", value_parser = parse_tolerance)]
    pub tolerance_line: Option<Decimal>,
    /// Accept an adjustment, or a refund that exceeds what was billed, by its line; repeatable
    #[arg(long, value_name = "LINE=REASON")]
    pub accept: Vec<String>,
    /// As JSON
    #[arg(long, env = "IDVAULT_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

fn parse_tolerance(text: &str) -> Result<Decimal, String> {
    let amount = text.parse().ok().filter(|amount: &Decimal| !amount.is_sign_negative());
    amount.ok_or_else(|| "an amount is a number such as 0.01".to_owned())
}

/// What is done with quarantined records.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// All of them with the vendor's last answer, as CSV
    List,
    /// Ask for them again in the next run
    Retry {
        /// Transaction ids
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<String>,
        /// All that are in quarantine
        #[arg(long)]
        all: bool,
    },
    /// Give them up: there is nothing to archive
    Drop {
        /// Transaction ids
        #[arg(required = true)]
        ids: Vec<String>,
        /// Why; kept in the ledger
        #[arg(long)]
        reason: String,
    },
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Decode every column of every file, faces too, or of a random sample of this share of the bytes (1 to 100).
    /// Without it every file is hashed, and the columns that the ledger has too are compared with it
    #[arg(
        long,
        value_name = "n%",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "100%",
        value_parser = parse_percent
    )]
    pub read_data: Option<u8>,
    /// Draws the sample; a sampled `verify` prints it
    #[arg(long, value_name = "N", requires = "read_data")]
    pub seed: Option<u64>,
    /// Mend what can be mended without guessing, and say what was done; deletes no data
    #[arg(long)]
    pub repair: bool,
    /// Ask again for the records of files that are missing or damaged. What the vendor has deleted is lost, and named. Restore
    /// a backup of these files first, if there is one
    #[arg(long, requires = "repair")]
    pub refetch: bool,
}

fn parse_percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse();
    let number = number.ok().filter(|percent| (1..=100).contains(percent));
    number.ok_or_else(|| "a share is from 1% to 100%".to_owned())
}

/// Options of `rebuild-ledger`.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Go on although files are missing or damaged: the ledger forgets their verifications
    #[arg(long)]
    pub without_missing: bool,
}

/// Options of `sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8090")]
    pub listen: std::net::SocketAddr,
    /// Quota: calls in any one second, fixed or sliding
    #[arg(long, value_name = "N")]
    pub qps: Option<u32>,
    /// The region that it stands for: it keeps that region's limit, and in it those of the products, as `idvault quotas` has them.
    /// What stands before the first `-` of a transaction id is its product
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// How long an answer takes, such as 20ms or 20ms..200ms
    #[arg(long, value_name = "RANGE", value_parser = parse_latency)]
    pub latency: Option<(HumanDuration, HumanDuration)>,
    /// Shares of calls that go wrong, such as throttle=0.05,5xx=0.3; also reset, cut, malformed, html, hang
    #[arg(long, value_name = "LIST", default_value = "")]
    pub faults: crate::sandbox::Faults,
    /// Decides latency and faults; the answers depend on the transaction ids alone
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Every id has a final answer
    #[arg(long)]
    pub all_final: bool,
}

fn parse_latency(text: &str) -> Result<(HumanDuration, HumanDuration), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    Ok((from.parse()?, to.parse()?))
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Where to write it
    #[arg(default_value = crate::config::DEFAULT_FILE)]
    pub file: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
