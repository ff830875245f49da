//! Moving files to where they belong. Each step is one rename to a name that is free, so that at any moment every file
//! is there under some name, and what is cut off can be done again from the start.
//!
//! - [`Stray`]: a file that is not where a file of the archive is looked for; [`Room`]: where it is instead

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::check::{self, CheckedFile, Found};
use super::{Archive, ArchiveError, locate_in};
use crate::files;

/// Names tried for a file that is set aside, should others of its name have been before.
const NAMES_MAX: u32 = 1000;

/// A folder of the data folder that can hold a file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// `archive/`.
    Archive,
    /// `set-aside/`: what was in the way in `archive/`.
    SetAside,
    /// `.staging/`.
    Staging,
}

/// A file in one of the rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Where it is.
    pub room: Room,
    /// Relative to the room.
    pub relative_path: String,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = match self.room {
            Room::Archive => "archive",
            Room::SetAside => "set-aside",
            Room::Staging => ".staging",
        };
        write!(f, "{room}/{}", self.relative_path)
    }
}

impl Archive {
    /// Everything in a room but folders.
    pub fn files_in(&self, room: Room) -> Result<Found, ArchiveError> {
        check::files_under(self.room(room))
    }

    /// The length and the hash of a stray file.
    pub fn check_stray(&self, stray: &Stray) -> Result<CheckedFile, ArchiveError> {
        check::check(&self.path_of(stray)?)
    }

    /// Moves a file out of `archive/` into `set-aside/`, under the same path or one with a number after it.
    pub fn set_aside(&self, relative_path: &str) -> Result<Stray, ArchiveError> {
        let from = self.locate(relative_path)?;
        let numbered = (1..NAMES_MAX).map(|number| format!("{relative_path}.{number}"));
        let names = std::iter::once(relative_path.to_owned()).chain(numbered);
        let mut free = names.filter(|name| fs::symlink_metadata(self.set_aside.join(name)).is_err());
        // Where all are taken, the last is refused below as one that is there.
        let relative_path = free.next().unwrap_or_else(|| relative_path.to_owned());
        let stray = Stray {
            room: Room::SetAside,
            relative_path,
        };
        self.relocate(&from, &stray)?;
        Ok(stray)
    }

    /// Moves a stray file to its path in `archive/`. A file that is there already is never replaced.
    pub fn put_back(&self, stray: &Stray, relative_path: &str) -> Result<(), ArchiveError> {
        let target = Stray {
            room: Room::Archive,
            relative_path: relative_path.to_owned(),
        };
        self.relocate(&self.path_of(stray)?, &target)
    }

    fn relocate(&self, from: &Path, to: &Stray) -> Result<(), ArchiveError> {
        let (room, target) = (self.room(to.room), self.path_of(to)?);
        let folder = target.parent().unwrap_or(room);
        files::create_private_dir(folder)?;
        for above in folder.ancestors().skip(1).take_while(|above| above.starts_with(room)) {
            files::sync(above)?;
        }
        files::sync(room.parent().unwrap_or(room))?;
        files::publish(from, &target)?;
        Ok(files::sync(from.parent().unwrap_or(room))?)
    }

    fn path_of(&self, stray: &Stray) -> Result<PathBuf, ArchiveError> {
        locate_in(self.room(stray.room), &stray.relative_path)
    }

    fn room(&self, room: Room) -> &Path {
        match room {
            Room::Archive => &self.root,
            Room::SetAside => &self.set_aside,
            Room::Staging => &self.staging,
        }
    }
}
