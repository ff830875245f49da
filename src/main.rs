//! idvault's program: parse, run, print one error, exit.

use std::io::{self, IsTerminal, Write as _};
use std::panic::{self, PanicHookInfo};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use idvault::cli::{Cli, Command};
use idvault::clock::Clock;
use idvault::command::{self, CommandError, Context};
use idvault::config::{ConfigFile, LogFormat};
use idvault::error_chain;
use idvault::exit::Exit;
use idvault::host::Host;
use idvault::panics;
use idvault::plain::clean;
use idvault::worker::Isolation;
use jiff::Timestamp;
use mimalloc::MiMalloc;
use secrecy::SecretString;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

// A call has ninety allocations, many of which another thread gives back: with glibc's a night takes a fifth more CPU (docs/internals/benchmarks.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The machine's clock: the only place that reads it.
#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the owner of the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

fn main() -> ExitCode {
    let kept_private = keep_memory_private();
    allow_open_files();
    panic::set_hook(Box::new(say_panic));
    if let Some(exit) = command::read_file(std::env::args_os().skip(1)) {
        return ExitCode::from(exit.code());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let exit = match panic::catch_unwind(|| start(cli, kept_private)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => {
            // Logs may be filtered; the error is always said. Where it can't be, the exit code still stands.
            let _ = writeln!(io::stderr(), "idvault: {}", error_chain(&error));
            error.exit()
        }
        // The hook has said it.
        Err(_) => Exit::Unexpected,
    };
    ExitCode::from(exit.code())
}

/// No core dump, and no debugger of another program of this user: this memory holds secrets and faces.
fn keep_memory_private() -> rustix::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    // Where the kernel hands dumps to a program (`core_pattern` with a pipe) it does so whatever the limit is.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// As many open files as the machine allows: a call in flight holds one, and 1024, which is usual, is less than what may be in
/// flight. A connection that can't be made for want of one looks like an outage of the vendor's.
fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    // Where it can't be raised, it is as it was.
    let _ = setrlimit(Resource::Nofile, all);
}

/// One line on a panic, whatever `RUST_BACKTRACE` says. A message that was put together can hold data; one that stands
/// in the source can't.
fn say_panic(panic: &PanicHookInfo<'_>) {
    if panics::is_expected() {
        return;
    }
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload().downcast_ref::<&'static str>();
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    let _ = writeln!(
        io::stderr(),
        "idvault: a part of this program failed unexpectedly at {place}{message}; please report this line"
    );
}

/// Help where that was asked for; else what is wrong with the arguments. The latter repeats them, and the environment's.
fn not_understood(error: &clap::Error) -> ExitCode {
    // Where nothing can be written, the exit code still stands.
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::from(Exit::Done.code());
    }
    for line in error.render().to_string().lines() {
        let _ = writeln!(io::stderr(), "{}", clean(line));
    }
    ExitCode::from(Exit::Usage.code())
}

fn start(cli: Cli, kept_private: rustix::io::Result<()>) -> Result<Exit, CommandError> {
    let host = host();
    let config = ConfigFile::load(cli.global.config.as_deref())?;
    // A demo says what it did in its own lines.
    let quiet = cli.global.quiet || config.quiet.unwrap_or(false) || matches!(cli.command, Command::Demo(_));
    log_to_stderr(
        cli.global.log_format.or(config.log_format).unwrap_or_default(),
        cli.global.verbose,
        quiet,
        &host,
    );
    if let Err(error) = kept_private {
        tracing::warn!(%error, "core dumps can't be switched off: one of this program would hold secrets");
    }
    let context = Context {
        isolation: isolation(&host),
        host,
        config,
        seed: fastrand::u64(..),
        arguments: arguments(),
        machine: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        stdin: || Box::new(io::stdin()),
    };
    command::execute(cli, &context)
}

/// The command line, without the program.
fn arguments() -> Vec<String> {
    let arguments = std::env::args_os().skip(1);
    arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "the owner of the environment")]
fn host() -> Host {
    // A value that is not UTF-8 is kept as far as it is, so that who asks for it refuses it, rather than taking it for unset.
    let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((
            name.into_string().ok()?,
            SecretString::from(value.to_string_lossy().into_owned()),
        ))
    };
    Host {
        env: std::env::vars_os().filter_map(utf8).collect(),
        clock: Arc::new(WallClock),
        stdout_is_terminal: io::stdout().is_terminal(),
        stderr_is_terminal: io::stderr().is_terminal(),
    }
}

/// This program reads files from outside in children. The kernel's name of it stands also where its file was replaced.
fn isolation(host: &Host) -> Isolation {
    let itself = PathBuf::from("/proc/self/exe");
    let program = if itself.exists() {
        itself
    } else {
        std::env::current_exe().unwrap_or_else(|_| PathBuf::from("idvault"))
    };
    Isolation::Process {
        program,
        time_zone: host.var("TZ").map(str::to_owned),
    }
}

fn log_to_stderr(format: LogFormat, verbose: u8, quiet: bool, host: &Host) {
    let level = match (quiet, verbose) {
        (true, 0) => LevelFilter::WARN,
        (_, 0) => LevelFilter::INFO,
        (_, 1) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // Only idvault's own lines: a library's could hold a URL or a header.
    let own = tracing_subscriber::filter::Targets::new().with_target("idvault", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // It would say so on standard error, and panic where nobody reads that.
        .log_internal_errors(false)
        .with_target(false);
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Text => registry
            .with(lines.with_ansi(host.colors_stderr()).with_filter(own))
            .init(),
        LogFormat::Json => registry.with(lines.json().with_filter(own)).init(),
    }
}
