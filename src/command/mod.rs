//! One file per command, and what they share.
//!
//! - [`Context`]: what `main` hands in
//! - [`CommandError`]: why a command failed, with its exit code

mod close;
mod compact;
mod demo;
mod output;
mod quarantine;
mod read_file;
mod rebuild;
mod reconcile;
mod report;
mod run;
mod sandbox;
mod signals;
mod spool;
mod status;
mod verify;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory as _;
use jiff::civil::Date;

use crate::archive::{Archive, ArchiveError};
use crate::cli::{ArchiveCommand, Cli, Command, Global, QuotasArgs, SubcodesArgs};
use crate::clock::{Clock, FixedClock};
use crate::config::{ConfigError, ConfigFile, Overrides, Settings};
use crate::error_chain;
use crate::exit::Exit;
use crate::files::{self, FileError};
use crate::history;
use crate::host::Host;
use crate::intake::made_up::MadeUpError;
use crate::ledger::{Author, Ledger, LedgerError, Lock};
use crate::rebuild::RebuildError;
use crate::reconcile::{ReconcileError, SourceError};
use crate::record::Region;
use crate::report::{self as reports, ReportError, subcodes};
use crate::run::{RunError, ledger_exit};
use crate::sandbox::SandboxError;
use crate::trust;
use crate::vendor::{ClientError, CredentialsError};
use crate::worker::Isolation;

pub use read_file::read_file;

/// What `main` hands in.
#[derive(Debug, Clone)]
pub struct Context {
    /// The machine.
    pub host: Host,
    /// The configuration file, read.
    pub config: ConfigFile,
    /// Decides names of nonces, jitter and the like.
    pub seed: u64,
    /// How files from outside are read.
    pub isolation: Isolation,
    /// The command line, without the program.
    pub arguments: Vec<String>,
    /// The machine's name.
    pub machine: String,
    /// Standard input, where it is asked for.
    pub stdin: fn() -> Box<dyn io::Read + Send>,
}

impl Context {
    /// The clock of plan, ledger and reports.
    fn clock(&self, global: &Global) -> Arc<dyn Clock> {
        match global.now {
            Some(now) => Arc::new(FixedClock(now)),
            None => self.host.clock.clone(),
        }
    }

    /// Whoever the history names.
    fn author(&self, global: &Global, settings: &Settings) -> Result<Author, ConfigError> {
        let uid = rustix::process::geteuid().as_raw();
        let user = ["LOGNAME", "USER"].iter().find_map(|name| self.host.var(name));
        let user = user.map_or_else(|| uid.to_string(), str::to_owned);
        let user = match self.host.var("SUDO_USER") {
            Some(person) => format!("{user} (sudo by {person})"),
            None => user,
        };
        Ok(Author {
            user,
            uid,
            host: self.machine.clone(),
            arguments: self.arguments.clone(),
            clock: self.host.clock.clone(),
            now: global.now,
            key: settings.integrity_key()?,
        })
    }

    /// Ledger and archive for a command that changes either: they belong together, and the history names who works with them.
    fn open(&self, settings: &Settings, lock: &Lock, global: &Global) -> Result<(Ledger, Archive), CommandError> {
        let author = self.author(global, settings)?;
        let mut ledger = Ledger::open(&settings.data_dir, lock)?;
        ledger.set_author(author);
        let archive = Archive::open(&settings.data_dir)?;
        history::open(&mut ledger, &archive).map_err(RunError::from)?;
        Ok((ledger, archive))
    }

    /// Settings of a command that uses no data folder.
    fn settings(&self, over: Overrides) -> Result<Settings, ConfigError> {
        Ok(Settings::new(self.config.clone(), over)?.isolated(&self.isolation))
    }

    /// Checks the CA files that the environment names, before the TLS library reads them.
    fn check_certificates(&self) -> Result<(), ConfigError> {
        trust::check_certificates(&self.host).map_err(|error| ConfigError::Value {
            key: "the environment".to_owned(),
            why: error_chain(&error),
        })
    }

    /// Settings of a command that does, once nobody else can change it.
    fn data_settings(&self, over: Overrides) -> Result<Settings, CommandError> {
        let settings = self.settings(over)?;
        trust::check_data_folder(&settings.data_dir, settings.data_group).map_err(LedgerError::NotPrivate)?;
        Ok(settings)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The night failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The ledger can't be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The archive can't be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A report can't be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The bill, or the records, can't be taken.
    #[error(transparent)]
    Bill(#[from] SourceError),
    /// The month can't be compared.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The ledger can't be rebuilt.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// The sandbox can't serve.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The credentials' settings are wrong.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The HTTP client can't be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A made-up source can't be written.
    #[error(transparent)]
    MadeUp(#[from] MadeUpError),
    /// A file can't be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The machine gives no threads or files.
    #[error("failed to start; see what limits the threads and open files of this user (`ulimit -a`)")]
    Start(#[source] io::Error),
    /// Standard output can't be written.
    #[error("failed to write to standard output")]
    Output(#[from] io::Error),
    /// An argument makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl CommandError {
    /// The exit code.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Credentials(_) | Self::Bill(_) | Self::Reconcile(ReconcileError::Source(_)) => {
                Exit::Configuration
            }
            Self::Run(error) => error.exit(),
            Self::Ledger(error)
            | Self::Report(ReportError::Ledger(error))
            | Self::Reconcile(ReconcileError::Ledger(error))
            | Self::Rebuild(RebuildError::Ledger(error)) => ledger_exit(error),
            Self::Rebuild(RebuildError::History { .. }) => Exit::Ledger,
            Self::Archive(_) | Self::Report(_) | Self::MadeUp(_) | Self::File(_) | Self::Rebuild(_) => Exit::Archive,
            Self::Sandbox(_) | Self::Client(_) | Self::Start(_) | Self::Output(_) => Exit::Unexpected,
            Self::Usage(_) => Exit::Usage,
        }
    }
}

/// Carries a command out.
pub fn execute(cli: Cli, context: &Context) -> Result<Exit, CommandError> {
    signals::outlive_a_file_limit().map_err(CommandError::Start)?;
    let global = cli.global;
    match cli.command {
        Command::Run(args) => run::execute(&args, &global, context),
        Command::Status(args) => status::execute(&args, &global, context),
        Command::Report(which) => report::execute(&which, &global, context),
        Command::Reconcile(args) => reconcile::execute(&args, &global, context),
        Command::Quarantine(what) => quarantine::execute(&what, &global, context),
        Command::Subcodes(args) => subcodes(&args, &global, context),
        Command::Quotas(args) => quotas(&args, &global, context),
        Command::Close(args) => close::execute(&args, &global, context),
        Command::Compact(args) => compact::execute(&args, &global, context),
        Command::RebuildLedger(args) => rebuild::execute(&args, &global, context),
        Command::Archive(ArchiveCommand::Upgrade(args)) => compact::upgrade(&args, &global, context),
        Command::Verify(args) => verify::execute(&args, &global, context),
        Command::Sandbox(args) => sandbox::execute(&args, &global, context),
        Command::Demo(args) => demo::execute(&args, &global, context),
        Command::Init(args) => init(&args.file),
        Command::Completions { shell } => {
            // Into memory first: the generator panics where it can't write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "idvault", &mut script);
            output::stdout().write_all(&script)?;
            Ok(Exit::Done)
        }
        Command::Man { of } => man(of.as_deref()),
    }
}

/// The first day of a month that was named on the command line.
fn first_of(month: &str) -> Result<Date, CommandError> {
    let wrong = || CommandError::Usage(format!("--month {month:?} is not a month such as 2026-11"));
    if month.len() == 7 {
        format!("{month}-01").parse().map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}

/// Says what is known of sub codes.
fn subcodes(args: &SubcodesArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let sub_codes = context.settings(global.overrides())?.pricing.sub_codes;
    let out = output::stdout();
    if args.json || context.config.json.unwrap_or(false) {
        subcodes::write_json(&sub_codes, out)?;
    } else {
        subcodes::write(&sub_codes, out)?;
    }
    Ok(Exit::Done)
}

/// Says which limits hold.
fn quotas(args: &QuotasArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.settings(global.overrides())?;
    let regions: Vec<Region> = settings.endpoints.regions().cloned().collect();
    // Live traffic goes by the machine's clock, and so does its share.
    let now = context.clock(global).now();
    let out = io::stdout().lock();
    if args.json || context.config.json.unwrap_or(false) {
        reports::quotas::write_json(&settings.pace, &regions, now, out)?;
    } else {
        reports::quotas::write(&settings.pace, &regions, now, out)?;
    }
    Ok(Exit::Done)
}

/// Writes the manual page of the program or of one command.
fn man(of: Option<&str>) -> Result<Exit, CommandError> {
    // Built, so that a command's page has its whole name and the options of every command.
    let mut program = Cli::command();
    program.build();
    let page = match of {
        None => program,
        Some(name) => program
            .find_subcommand(name)
            .cloned()
            .ok_or_else(|| CommandError::Usage(format!("there is no command {name:?}; `idvault help` lists them")))?,
    };
    clap_mangen::Man::new(page).render(&mut output::stdout())?;
    Ok(Exit::Done)
}

/// Writes the commented configuration; never over one that is there.
fn init(file: &Path) -> Result<Exit, CommandError> {
    // A link that leads nowhere is there, too.
    if file.symlink_metadata().is_ok() {
        let why = format!(
            "{} is there already, and `idvault init` never writes over a file; name another",
            file.display()
        );
        return Err(CommandError::Usage(why));
    }
    let mut out = files::create_private(file)?;
    out.write_all(include_bytes!("../../samples/idvault.toml"))
        .map_err(FileError::because("write", file))?;
    writeln!(output::stdout(), "wrote {}", file.display())?;
    Ok(Exit::Done)
}
