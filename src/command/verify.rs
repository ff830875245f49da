//! `idvault verify`: the ledger against the archive.

use std::io::Write as _;

use super::{CommandError, Context};
use crate::archive::Archive;
use crate::cli::{Global, VerifyArgs};
use crate::exit::Exit;
use crate::ledger::{Ledger, Lock};
use crate::verify::verify;

pub(super) fn execute(args: &VerifyArgs, global: &Global, context: &Context) -> Result<Exit, CommandError> {
    let settings = context.settings(global.overrides())?;
    let ledger = Ledger::open_read_only(&settings.data_dir)?;
    // A run that publishes meanwhile would look like differences.
    let _lock = Lock::acquire(&settings.data_dir)?;
    let archive = Archive::open(&settings.data_dir)?;
    let mut out = std::io::stdout().lock();
    let verified = verify(&ledger, &archive, args.read_data)?;
    for difference in &verified.differences {
        writeln!(out, "{difference}")?;
    }
    writeln!(
        out,
        "{} files, {} bytes, {} archived ids: {} differences",
        verified.files,
        verified.bytes,
        verified.archived,
        verified.differences.len()
    )?;
    Ok(if verified.differences.is_empty() {
        Exit::Done
    } else {
        Exit::Difference
    })
}
