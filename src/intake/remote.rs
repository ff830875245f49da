//! A source that a child process reads: see [`crate::worker`].
//!
//! - [`start`]: the child, where there is one; [`read`]: its rows
//! - [`serve`]: what the child does; [`Request`]: what it is told

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{IntakeError, IntakeSettings, Item, Source, sqlite, text};
use crate::error_chain;
use crate::worker::{Access, Limits, Outlet, Worker};

/// What a source may cost. Ten million rows take half a minute of computing; an order that nobody set limits has a bound too.
const LIMITS: Limits = Limits {
    cpu_seconds: 15 * 60,
    // SQLite's `-shm`.
    file_bytes: 64 << 20,
};

/// What a query with the time zone of the machine needs.
const TIME_ZONES: [&str; 2] = ["/etc/localtime", "/usr/share/zoneinfo"];

/// What is to be read, and how.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    source: Source,
    settings: IntakeSettings,
}

/// Starts a child for a source that a library takes apart: SQLite, or a file that is packed. `None` where the source is
/// read in this process.
pub(super) fn start(source: &Source, settings: &IntakeSettings) -> Result<Option<Worker>, IntakeError> {
    let path = match source {
        Source::Sqlite(path) => path,
        Source::Csv(path) if text::is_gzip(path) => path,
        Source::Csv(_) | Source::Stdin => return Ok(None),
    };
    let request = Request {
        source: source.clone(),
        settings: settings.clone(),
    };
    Ok(Worker::start(&settings.isolation, "pending", path, &request, None)?)
}

/// Gives the child's rows to `each` until that breaks off.
pub(super) fn read(mut worker: Worker, each: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Result<(), IntakeError> {
    while let Some(items) = worker.next()? {
        for item in items {
            if each(item).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The child's work: confines itself, and hands the rows over.
pub(crate) fn serve(request: &Request, outlet: &mut Outlet<Item>) -> Result<(), String> {
    let (source, settings) = (&request.source, &request.settings);
    let confined = match source {
        Source::Sqlite(path) => confine_sqlite(path),
        Source::Csv(path) => LIMITS.confine(&[Access::read(path)]),
        Source::Stdin => LIMITS.confine(&[]),
    };
    confined.map_err(|error| format!("failed to confine the process that reads {source}: {error}"))?;
    let read = super::read(source, Box::new(std::io::empty()), settings, &mut |item| {
        outlet.row(item, size_of::<Item>())
    });
    read.map_err(|error| error_chain(&error))
}

fn confine_sqlite(path: &Path) -> std::io::Result<()> {
    sqlite::make_companions(path);
    sqlite::bound_memory();
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let write = |path| Access { path, write: true };
    let mut allowed = vec![
        Access::read(path),
        Access::read(beside("-journal")),
        write(beside("-wal")),
        write(beside("-shm")),
    ];
    allowed.extend(TIME_ZONES.map(Access::read));
    LIMITS.confine(&allowed)
}
