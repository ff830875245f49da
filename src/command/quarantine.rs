//! `idvault quarantine`: a person decides of the records that need one.

use std::io::Write as _;

use super::output::stdout;
use super::spool::Spool;
use super::{CommandError, Context};
use crate::cli::{Global, QuarantineCommand};
use crate::exit::Exit;
use crate::history;
use crate::ledger::{Decision, Ledger, Lock};
use crate::open_records;
use crate::record::TransactionId;
use crate::report::quarantine;
use crate::run::RunError;

pub(super) fn execute(what: &QuarantineCommand, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.data_settings(global.overrides())?;
    let data_dir = &settings.data_dir;
    // Whether there is one comes first: a command that decides must not make an empty ledger.
    let ledger = Ledger::open_read_only(data_dir)?;
    let mut out = stdout();
    let (ids, decision) = match what {
        QuarantineCommand::List => {
            let mut spool = Spool::create(data_dir)?;
            quarantine::write(&ledger, 0, &mut spool)?;
            drop(ledger);
            spool.copy_to(out)?;
            return Ok(Exit::Done);
        }
        QuarantineCommand::Retry { ids, .. } => (ids, Decision::Retry),
        QuarantineCommand::Drop { ids, reason } => (ids, Decision::Drop { reason: reason.clone() }),
    };
    drop(ledger);
    let ids: Result<Vec<TransactionId>, _> = ids.iter().map(|id| TransactionId::parse(id)).collect();
    let ids = ids.map_err(|error| CommandError::Usage(error.to_string()))?;
    let lock = Lock::acquire(data_dir)?;
    let (mut ledger, archive) = context.open(&settings, &lock, global)?;
    let decided = if ids.is_empty() {
        ledger.retry_quarantined()?
    } else {
        let decided = ledger.decide_quarantined(&ids, &decision)?;
        let or_given_up = match decision {
            Decision::Retry => ", nor dropped, abandoned or lost",
            Decision::Drop { .. } => "",
        };
        decided.map_err(|id| {
            CommandError::Usage(format!("{id} is not in quarantine{or_given_up}; nothing was changed"))
        })?;
        ids.len() as u64
    };
    history::write_files(&ledger, &archive).map_err(RunError::from)?;
    open_records::add_all(data_dir, &ledger).map_err(RunError::from)?;
    ledger.close()?;
    match decision {
        Decision::Retry => writeln!(
            out,
            "{decided} taken out of quarantine, to be asked for by the next run"
        )?,
        Decision::Drop { .. } => writeln!(out, "{decided} dropped")?,
    }
    Ok(Exit::Done)
}
