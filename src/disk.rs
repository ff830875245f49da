//! The disk under the data folder: what kind of file system it is, and whether there is room on it.
//!
//! - [`network`]: SQLite's WAL needs memory that all its processes share, which a network can't give
//! - [`Space`]: the gate before the calls: no answer is asked for that could not be kept
//! - [`NoSpace`]: what is there and what is needed, in a sentence

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::files::FileError;

const MIB: u64 = 1024 * 1024;

/// Bytes that must be free for a call to be begun, beside what the journal holds: the WAL up to its checkpoint (32 MiB)
/// and a batch of replies with their rows (20 MiB) behind it, both again in the ledger, large replies in flight (64 MiB),
/// and the reports. Rounded up to a power of two.
pub const FLOOR_BYTES: u64 = 256 * MIB;

/// Bytes that a due record takes in ledger and archive, about: 700 with the sandbox's replies (5,000 ids: 550 in the
/// ledger, 130 in the archive), and the vendor's may hold several long texts.
pub const RECORD_BYTES: u64 = 4 * 1024;

/// The same with a face: 360 KiB with the sandbox's (300 ids: 200 beside the ledger, 150 in the archive).
pub const RECORD_WITH_IMAGES_BYTES: u64 = 512 * 1024;

/// File systems of other machines by their magic number (linux/magic.h, and the projects' own headers).
#[cfg(target_os = "linux")]
const NETWORKS: [(i128, &str); 12] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
];

/// What answers for FUSE may be on this machine (an encrypted folder) or on another (sshfs).
#[cfg(target_os = "linux")]
const FUSE: i128 = 0x6573_5546;

/// The name of the network file system that `path` is on, if it is on one. FUSE is let through: an encrypted folder of this
/// machine is FUSE, too, and must not make every night speak.
#[cfg(target_os = "linux")]
pub fn network(path: &Path) -> Result<Option<&'static str>, FileError> {
    let found = rustix::fs::statfs(path).map_err(|error| FileError::because("look at", path)(error.into()))?;
    let magic = i128::from(found.f_type);
    if magic == FUSE {
        let folder = path.display();
        tracing::info!("{folder} is on FUSE: if that is another machine's disk, as with sshfs, use a local one");
    }
    let network = NETWORKS.iter().find(|(known, _)| *known == magic);
    Ok(network.map(|(_, name)| *name))
}

/// Not told apart elsewhere than on Linux.
#[cfg(not(target_os = "linux"))]
pub fn network(_path: &Path) -> Result<Option<&'static str>, FileError> {
    Ok(None)
}

/// The disk is looked at again after so many calls, or so many bytes of replies: far less than the floor, also where
/// somebody else fills it meanwhile.
const LOOK_CALLS: u64 = 16;
const LOOK_BYTES: u64 = 4 * MIB;

/// There is no room for the next answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the disk of {path} has {free} free, and {needed} are needed to keep what is fetched: free some, and the next run goes on from there",
    path = path.display(), free = mib(*free), needed = mib(*needed)
)]
pub struct NoSpace {
    /// The data folder.
    pub path: PathBuf,
    /// Bytes.
    pub free: u64,
    /// Bytes.
    pub needed: u64,
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / MIB)
}

/// The room on the disk of a data folder.
#[derive(Debug)]
pub struct Space {
    path: PathBuf,
    /// Bytes of replies that were journalled in this run: the archive will need as many, at most.
    journalled: AtomicU64,
    /// Calls so far, and how many of the bytes were there when the disk was last looked at.
    calls: AtomicU64,
    looked_at: AtomicU64,
}

impl Space {
    /// With nothing journalled yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            journalled: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            looked_at: AtomicU64::new(0),
        }
    }

    /// A reply of so many bytes was journalled.
    pub fn keep(&self, bytes: usize) {
        self.journalled.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Refuses a call whose answer might not fit, as far as is known. Where the disk can't say what is free, it is left to
    /// show that it is full.
    pub fn check_call(&self) -> Result<(), NoSpace> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        let journalled = self.journalled.load(Ordering::Relaxed);
        if calls.is_multiple_of(LOOK_CALLS)
            || journalled.saturating_sub(self.looked_at.load(Ordering::Relaxed)) >= LOOK_BYTES
        {
            self.looked_at.store(journalled, Ordering::Relaxed);
            return self.check();
        }
        Ok(())
    }

    /// Looks whether there is room for another answer.
    pub fn check(&self) -> Result<(), NoSpace> {
        let needed = FLOOR_BYTES + self.journalled.load(Ordering::Relaxed);
        match self.free() {
            Ok(free) if free < needed => Err(NoSpace {
                path: self.path.clone(),
                free,
                needed,
            }),
            _ => Ok(()),
        }
    }

    /// How many of `due` records there is room for, about, where it is not all of them.
    pub fn room_for(&self, due: u64, images: bool) -> Option<u64> {
        let each = if images { RECORD_WITH_IMAGES_BYTES } else { RECORD_BYTES };
        let kept = FLOOR_BYTES + self.journalled.load(Ordering::Relaxed);
        let room = self.free().ok()?.saturating_sub(kept) / each;
        (room < due).then_some(room)
    }

    /// Bytes that are free for this user.
    fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}
