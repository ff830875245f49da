//! What a child gives up before it looks into a file: limits of the kernel's, and access to all other files.

use std::io;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::MEMORY_BYTES;

/// Open files: the standard ones, and those that SQLite has for a database in WAL mode.
const OPEN_FILES: u64 = 32;

/// What a child may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Seconds of computing.
    pub(crate) cpu_seconds: u64,
    /// The longest file that it may write, in bytes.
    pub(crate) file_bytes: u64,
}

/// A file or folder that it may open.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Which; one that is not there is left out.
    pub(crate) path: PathBuf,
    /// Whether it may be written to.
    pub(crate) write: bool,
}

impl Access {
    /// For reading only.
    pub(crate) fn read(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            write: false,
        }
    }
}

impl Limits {
    /// Confines this process: memory, time, files, no new privileges, and no access but `allowed`. The last only where the
    /// kernel can (Linux 5.13 with Landlock).
    pub(crate) fn confine(self, allowed: &[Access]) -> io::Result<()> {
        limit(Resource::As, MEMORY_BYTES)?;
        limit(Resource::Data, MEMORY_BYTES)?;
        limit(Resource::Fsize, self.file_bytes)?;
        limit(Resource::Nofile, OPEN_FILES)?;
        limit(Resource::Cpu, self.cpu_seconds)?;
        #[cfg(target_os = "linux")]
        landlock(allowed)?;
        Ok(())
    }
}

/// Sets a limit, where there is no lower one already. The one that can't be raised is a little higher: a process that meets
/// the first is told by a signal of its own which one it was.
fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let lower = |wanted: u64| getrlimit(resource).maximum.map_or(wanted, |there| there.min(wanted));
    let (current, maximum) = (Some(lower(most)), Some(lower(most + 1)));
    setrlimit(resource, Rlimit { current, maximum })
}

#[cfg(target_os = "linux")]
fn landlock(allowed: &[Access]) -> io::Result<()> {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
        RulesetCreatedAttr as _, Scope,
    };
    rustix::thread::set_no_new_privs(true)?;
    // Older kernels know less of it, and do what they can.
    let known = ABI::V6;
    let all = Ruleset::default()
        .handle_access(AccessFs::from_all(known))
        .and_then(|set| set.handle_access(AccessNet::from_all(known)))
        .and_then(|set| set.scope(Scope::from_all(known)));
    let mut rules = all.and_then(Ruleset::create).map_err(io::Error::other)?;
    for access in allowed {
        let Ok(file) = PathFd::new(&access.path) else {
            continue;
        };
        let mut rights: BitFlags<AccessFs> = AccessFs::ReadFile.into();
        if access.write {
            rights |= AccessFs::WriteFile | AccessFs::Truncate;
        }
        rules = rules
            .add_rule(PathBeneath::new(file, rights))
            .map_err(io::Error::other)?;
    }
    rules.restrict_self().map_err(io::Error::other)?;
    Ok(())
}
