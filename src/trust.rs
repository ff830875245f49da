//! Whose files the program believes: it is told by files whom to ask and whom to trust, and it keeps personal data in a folder.
//! On a machine with several users each of these must be out of the others' reach.
//!
//! - [`open_trusted`]: opens a file that says whom to trust; nobody but this user and root may change it or the folders above it
//! - [`check_certificates`]: the CA files that the environment names
//! - [`refuse_foreign_link`]: a source that is a link to the file of another user
//! - [`check_companions`]: the files beside a SQLite source that SQLite writes to
//! - [`check_data_folder`]: the data folder, the folders in it, and the ledger; [`DataGroup`]: who else may use them

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::files::{self, FileError};
use crate::host::Host;

/// What group and others may not do with what is trusted.
const WRITABLE: u32 = 0o022;
/// What they may not do with the ledger.
const ANY_ACCESS: u32 = 0o077;
/// What a data group may do.
const GROUP: u32 = 0o070;
/// In a folder with this bit, nobody renames or removes what belongs to another.
const STICKY: u32 = 0o1000;
/// The files of the data folder itself that hold personal data, or what the program goes by, by how their names begin.
const PRIVATE_FILES: [&str; 2] = ["ledger.sqlite", "lock"];
/// How deep the folders of an archive lie in each other, at most.
const MAX_DEPTH: usize = 16;

/// Opens a regular file that says whom to trust: nobody but this user and root may be able to change it, or to put another
/// in its place.
pub(crate) fn open_trusted(path: &Path) -> io::Result<File> {
    let file = files::open_regular(path)?;
    check_opened(path, &file)?;
    Ok(file)
}

/// Checks a file that is open already, as [`open_trusted`] does.
pub(crate) fn check_opened(path: &Path, file: &File) -> io::Result<()> {
    check_file(path, &file.metadata()?)?;
    check_above(path)
}

fn check_file(path: &Path, found: &Metadata) -> io::Result<()> {
    let mode = found.mode() & 0o777;
    let path = path.display();
    if mode & WRITABLE != 0 {
        return Err(io::Error::other(format!(
            "others than its owner can change it (mode {mode:04o}), and with it whom idvault trusts; look what it says, and `chmod go-w {path}`"
        )));
    }
    if is_foreign(found) {
        return Err(io::Error::other(format!(
            "it belongs to another user ({}), who can change whom idvault trusts; look what it says, and `chown {} {path}`",
            found.uid(),
            user()
        )));
    }
    Ok(())
}

/// Checks the folders above a path, as it is written and as it is without links: who can rename in one of them decides what
/// is found at the path.
fn check_above(path: &Path) -> io::Result<()> {
    let written = std::path::absolute(path)?;
    for step in written.ancestors() {
        let link = fs::symlink_metadata(step)?;
        if link.is_symlink() && is_foreign(&link) {
            let why = format!(
                "the link {} on its path belongs to another user ({})",
                step.display(),
                link.uid()
            );
            return Err(io::Error::other(why));
        }
    }
    let real = fs::canonicalize(path)?;
    let above = written.ancestors().skip(1).chain(real.ancestors().skip(1));
    for folder in above {
        let found = fs::metadata(folder)?;
        let mode = found.mode() & 0o7777;
        let folder = folder.display();
        if is_foreign(&found) {
            let why = format!(
                "the folder {folder} above it belongs to another user ({}), who can put another file in its place",
                found.uid()
            );
            return Err(io::Error::other(why));
        }
        if mode & WRITABLE != 0 && mode & STICKY == 0 {
            let why = format!(
                "others can put another file in its place: the folder {folder} above it has the mode {mode:04o}; `chmod go-w {folder}`"
            );
            return Err(io::Error::other(why));
        }
    }
    Ok(())
}

/// The variables with which TLS libraries are told where CAs are, checked before one reads them.
pub(crate) fn check_certificates(host: &Host) -> Result<(), FileError> {
    if let Some(file) = host.var("SSL_CERT_FILE") {
        let path = Path::new(file);
        open_trusted(path).map_err(FileError::because(
            "use the CA certificates that SSL_CERT_FILE names,",
            path,
        ))?;
    }
    let folders = host.var("SSL_CERT_DIR").into_iter().flat_map(std::env::split_paths);
    for folder in folders {
        check_certificate_folder(&folder).map_err(FileError::because(
            "use the CA certificates in the folder that SSL_CERT_DIR names,",
            &folder,
        ))?;
    }
    Ok(())
}

/// The folder's entries are mostly links to where the machine keeps its CAs.
fn check_certificate_folder(folder: &Path) -> io::Result<()> {
    check_file(folder, &fs::metadata(folder)?)?;
    check_above(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => check_file(&path, &found)?,
            // A link that leads nowhere is no CA.
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a source that is a link to a file of another user, or that is reached through such a link: who may make links
/// somewhere could have any file read that this user can read. A link of root's or of this user's to a file of one of them
/// is as good as the file.
pub(crate) fn refuse_foreign_link(path: &Path) -> io::Result<()> {
    for step in std::path::absolute(path)?.ancestors() {
        let Ok(link) = fs::symlink_metadata(step) else {
            continue;
        };
        if !link.is_symlink() {
            continue;
        }
        let Ok(target) = fs::metadata(step) else {
            continue;
        };
        let trusted = !is_foreign(&link) && !is_foreign(&target);
        if !trusted && link.uid() != target.uid() {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "{} is a link of user {} to a file of user {}, which idvault does not follow; name the file itself",
                    step.display(),
                    link.uid(),
                    target.uid()
                ),
            ));
        }
    }
    Ok(())
}

/// Refuses a database beside which SQLite would write to a file that has another name, or is a link: who put it there would
/// have that file written to.
pub(crate) fn check_companions(database: &Path) -> Result<(), FileError> {
    for end in ["-shm", "-wal"] {
        let mut path = database.as_os_str().to_owned();
        path.push(end);
        let path = Path::new(&path);
        let Ok(found) = fs::symlink_metadata(path) else {
            continue;
        };
        if found.is_symlink() || found.nlink() > 1 {
            let why = "it is a link, or has a second name, so that what is written to it would be written elsewhere too; look whose it is, and remove it while no program has the database open";
            return Err(FileError::because("read the database beside", path)(io::Error::other(
                why,
            )));
        }
    }
    Ok(())
}

/// The group that may use the data folder beside its owner, as on a volume that is mounted for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataGroup(u32);

impl DataGroup {
    /// A group by its number, or by its name in `/etc/group`.
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        if let Ok(number) = text.parse() {
            return Ok(Self(number));
        }
        let groups = fs::read_to_string("/etc/group")?;
        let number = groups.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(text)).then(|| fields.nth(1)?.parse().ok())?
        });
        number
            .map(Self)
            .ok_or_else(|| io::Error::other(format!("/etc/group has no group {text:?}; write its number")))
    }
}

/// Checks that the data folder, the folders in it and the ledger belong to this user or to root, and that nobody else can
/// change them. A mode that is too wide is corrected, and a line says so; an owner is not. A folder that is not there yet
/// and links are left to who makes or refuses them.
pub(crate) fn check_data_folder(data_dir: &Path, group: Option<DataGroup>) -> Result<(), FileError> {
    let Ok(found) = fs::symlink_metadata(data_dir) else {
        return Ok(());
    };
    // The root of the file system is refused with words of its own.
    let is_root = fs::canonicalize(data_dir).is_ok_and(|folder| folder.parent().is_none());
    if !found.is_dir() || is_root {
        return Ok(());
    }
    check_own(data_dir, &found, WRITABLE, group)?;
    check_entries(data_dir, group, 0)
}

fn check_entries(folder: &Path, group: Option<DataGroup>, depth: usize) -> Result<(), FileError> {
    let failed = || FileError::because("look into", folder);
    let entries = match fs::read_dir(folder) {
        // A run may clear its staging folder meanwhile.
        Err(error) if depth > 0 && error.kind() == ErrorKind::NotFound => return Ok(()),
        // Whoever needs what is in it names it, and the rest goes on.
        Err(error) if depth > 0 && error.kind() == ErrorKind::PermissionDenied => return Ok(()),
        entries => entries.map_err(failed())?,
    };
    for entry in entries {
        let entry = entry.map_err(failed())?;
        let kind = entry.file_type().map_err(failed())?;
        let name = entry.file_name();
        let is_private = depth == 0
            && PRIVATE_FILES
                .iter()
                .any(|start| name.to_string_lossy().starts_with(start));
        if !(kind.is_dir() || kind.is_file() && is_private) {
            continue;
        }
        let path = entry.path();
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        let forbidden = if kind.is_dir() { WRITABLE } else { ANY_ACCESS };
        check_own(&path, &found, forbidden, group)?;
        if kind.is_dir() && depth < MAX_DEPTH {
            check_entries(&path, group, depth + 1)?;
        }
    }
    Ok(())
}

fn check_own(path: &Path, found: &Metadata, forbidden: u32, group: Option<DataGroup>) -> Result<(), FileError> {
    let refused = |why: String| FileError::because("use", path)(io::Error::other(why));
    let (mode, gid) = (found.mode() & 0o7777, found.gid());
    if is_foreign(found) {
        return Err(refused(format!(
            "it belongs to another user ({}), who can change it; run idvault as that user, or look what is in it and `chown -R {}` it",
            found.uid(),
            user()
        )));
    }
    let allowed = if group == Some(DataGroup(gid)) { GROUP } else { 0 };
    let narrow = mode & !(forbidden & !allowed);
    if narrow == mode {
        return Ok(());
    }
    let narrowed = files::open_itself(path).and_then(|file| file.set_permissions(Permissions::from_mode(narrow)));
    narrowed.map_err(|error| {
        refused(format!(
            "others than its owner can use it (mode {mode:04o}, group {gid}) and that can't be changed ({error}); `chmod {narrow:04o}` it as its owner, or set data_group = \"{gid}\" where that group is meant to"
        ))
    })?;
    let path = path.display();
    tracing::warn!(
        "{path} had the mode {mode:04o}, with which others than its owner can use it; it is {narrow:04o} now"
    );
    Ok(())
}

/// Whether somebody else than this user and root can do with it what an owner can.
fn is_foreign(found: &Metadata) -> bool {
    ![0, user()].contains(&found.uid())
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}
