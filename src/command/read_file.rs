//! `idvault read-file`: what a child process does, hidden from people. See [`crate::worker`].

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::exit::Exit;
use crate::intake;
use crate::reconcile::remote;
use crate::worker::serve;

/// The word that makes this process a child that reads a file.
const WORD: &str = "read-file";

/// Reads a file where the arguments ask for that; `None` where they are those of a person.
pub fn read_file(args: impl IntoIterator<Item = OsString>) -> Option<Exit> {
    let mut args = args.into_iter();
    if args.next()? != WORD {
        return None;
    }
    let (kind, path) = (args.next()?, PathBuf::from(args.nth(1)?));
    let served = match kind.to_str() {
        Some("table") => serve(|request, outlet| remote::serve(&path, &request, outlet)),
        Some("pending") => serve(|request, outlet| intake::remote::serve(&request, outlet)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    // Nobody reads its standard error; the parent is told by the code that it did not come to its end.
    Some(if served.is_ok() { Exit::Done } else { Exit::Unexpected })
}
