//! Private folders and files, and the one way in which a finished file becomes visible.
//!
//! Folders are 0700 and files 0600 whatever the umask: the archive holds faces. A file is written in a staging
//! folder, synced, renamed into place and its folder synced, in one function that no call site can forget.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::record::hex;

/// Bytes of a file that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a pipe or a device is in the place of a file.
const NOT_REGULAR: &str = "it is not a regular file";

/// A file operation that failed, and the file it was about.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} {path}")]
pub struct FileError {
    /// What was tried, as in "failed to {action} PATH".
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`: names the action and the file.
    pub fn because<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Refuses a symbolic link: what is written through one lands elsewhere. What is not there is none.
pub fn refuse_link(path: &Path) -> Result<(), FileError> {
    match fs::symlink_metadata(itself(path)) {
        Ok(found) if found.is_symlink() => {
            let why = "it is a symbolic link, which may lead elsewhere; put the real one in its place, or name that";
            Err(FileError::because("use", path)(io::Error::other(why)))
        }
        _ => Ok(()),
    }
}

/// `path` without a slash or a dot at its end, with which a link would be looked through.
fn itself(path: &Path) -> &Path {
    path.components().as_path()
}

/// Creates `path` and what is missing above it, 0700. A folder that is there already is left as it is, but one that
/// is a symbolic link is refused: it could point out of the data folder.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    let path = itself(path);
    let failed = || FileError::because("create the folder", path);
    refuse_link(path)?;
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            let why = io::Error::new(io::ErrorKind::NotADirectory, "it is there and is not a folder");
            return Err(failed()(why));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed()(error)),
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty())
        && !parent.is_dir()
    {
        create_private_dir(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        // Another run made it a moment ago.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return create_private_dir(path),
        created => created.map_err(failed())?,
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed())
}

/// Creates a new file, 0600, for writing and reading. One that is there already is an error.
pub fn create_private(path: &Path) -> Result<File, FileError> {
    let failed = || FileError::because("create", path);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed())?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed())?;
    Ok(file)
}

/// Opens a file for reading that is to be a regular one: a pipe that nobody writes to would be waited for without end.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let mut reading = OpenOptions::new();
    let file = reading
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(rustix::io::Errno::ISDIR.into());
    }
    if !found.is_file() {
        return Err(io::Error::other(NOT_REGULAR));
    }
    Ok(file)
}

/// Opens a file or folder itself, never what a link leads to, without waiting for whoever is at a pipe's other end.
pub(crate) fn open_itself(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Opens a file that keeps its name, 0600, for writing; makes it where it is missing. A symbolic link is refused.
pub fn open_private(path: &Path) -> Result<File, FileError> {
    let failed = || FileError::because("open", path);
    refuse_link(path)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // For a link that comes between the look and the opening, and for a pipe that nobody reads.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
        .map_err(failed())?;
    if !file.metadata().map_err(failed())?.is_file() {
        return Err(failed()(io::Error::other(NOT_REGULAR)));
    }
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed())?;
    Ok(file)
}

/// Makes the finished file (or folder) `staged` visible as `target`: durable first, then renamed, then the rename made
/// durable. What is there under that name is never replaced. Both must be on one file system.
pub fn publish(staged: &Path, target: &Path) -> Result<(), FileError> {
    sync(staged)?;
    if fs::symlink_metadata(target).is_ok() {
        let why = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(FileError::because("publish", target)(why));
    }
    rename(staged, target)
}

/// Renames over what is there, and makes that durable.
pub fn replace(staged: &Path, target: &Path) -> Result<(), FileError> {
    rename(staged, target)
}

fn rename(staged: &Path, target: &Path) -> Result<(), FileError> {
    #[expect(clippy::disallowed_methods, reason = "the owner of file publication")]
    fs::rename(staged, target).map_err(FileError::because("publish", target))?;
    sync(target.parent().unwrap_or(Path::new(".")))
}

/// Puts each of two folders in the place of the other, in one step, and makes that durable. Where the file system has no
/// such step, [`cannot_swap`] knows the error, and nothing was changed.
pub fn swap(one: &Path, other: &Path) -> Result<(), FileError> {
    exchange(one, other).map_err(FileError::because("put a new folder in the place of", other))?;
    [other, one]
        .iter()
        .try_for_each(|folder| sync(folder.parent().unwrap_or(Path::new("."))))
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the folder can be moved within its file system. Nothing is moved: to rename a folder over one that is not empty always
/// fails. Where it can't be moved at all, it fails with another error.
pub fn can_be_moved(folder: &Path, not_empty: &Path) -> io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the owner of file publication; nothing is renamed"
    )]
    match fs::rename(folder, not_empty) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Err(error),
        _ => Ok(()),
    }
}

/// Whether [`swap`] failed because it can't be done there at all: the kernel or the file system doesn't know it.
pub fn cannot_swap(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::CrossesDevices
    )
}

/// Gives a new file or folder what those that it replaces have: their group, and of their modes what all of them allow.
pub fn take_after(new: &Path, replaced: &[PathBuf]) -> Result<(), FileError> {
    let look = |path: &Path| fs::metadata(path).map_err(FileError::because("look at", path));
    let is = look(new)?;
    let mut mode = 0o7777;
    for path in replaced {
        let was = look(path)?;
        mode &= was.mode();
        if was.gid() != is.gid() {
            chown(new, None, Some(was.gid())).map_err(FileError::because("give the group of the old one to", new))?;
        }
    }
    fs::set_permissions(new, Permissions::from_mode(mode)).map_err(FileError::because("set the mode of", new))
}

/// The length of a file and the SHA-256 of its bytes in lower-case hex.
pub fn sha256_of(path: &Path) -> Result<(u64, String), FileError> {
    let mut hasher = Sha256::new();
    let bytes = read_through(path, |chunk| hasher.update(chunk))?;
    Ok((bytes, hex(&hasher.finalize())))
}

/// Hands a file's bytes over, piece by piece; gives its length.
pub fn read_through(path: &Path, mut take: impl FnMut(&[u8])) -> Result<u64, FileError> {
    let mut file = open_regular(path).map_err(FileError::because("open", path))?;
    let mut bytes = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(FileError::because("read", path))?;
        if read == 0 {
            return Ok(bytes);
        }
        take(&chunk[..read]);
        bytes += read as u64;
    }
}

/// Whether a read failed because of the disk itself, an unreadable sector for example: what is there is damaged, and a second
/// try does not mend it.
pub fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Makes a file or folder durable.
pub fn sync(path: &Path) -> Result<(), FileError> {
    let open = File::open(path).map_err(FileError::because("open", path))?;
    open.sync_all().map_err(FileError::because("sync", path))
}

/// Makes an open file durable, and lets go of what is kept of it in memory: who reads it next reads the disk.
pub fn sync_out(file: &File, path: &Path) -> Result<(), FileError> {
    file.sync_all().map_err(FileError::because("sync", path))?;
    #[cfg(target_os = "linux")]
    {
        // Only advice: where it isn't taken, what is read next is what was written to the kernel.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        create_private_dir(&folder).unwrap();
        create_private_dir(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&dir.path().join("a"))), (0o700, 0o700));
        let file = folder.join("f");
        create_private(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        assert!(create_private(&file).is_err());
    }

    #[test]
    fn a_folder_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        let error = create_private_dir(&link).unwrap_err();
        assert!(error.to_string().contains("link"), "{error}");
    }

    #[test]
    fn publishing_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let (staged, target) = (dir.path().join("s"), dir.path().join("t"));
        create_private(&staged).unwrap();
        publish(&staged, &target).unwrap();
        assert!(target.exists() && !staged.exists());
        create_private(&staged).unwrap();
        assert!(publish(&staged, &target).is_err());
        assert!(staged.exists());
    }
}
