//! The secrets of all tests, and the look for them in everything that a run shows or leaves: after every execution of
//! the program and, once a test is over, in every file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use idvault::sandbox::SANDBOX_ACCESS_KEY_SECRET;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::files_below;

/// What each secret of a test begins with, so that one that was cut shows, too; and the sandbox's, which is fixed.
const CANARIES: [&str; 2] = ["canary-", SANDBOX_ACCESS_KEY_SECRET];

/// Fails the test where a secret is in what was shown or written.
#[track_caller]
pub(crate) fn none_in(bytes: &[u8], what: &str) {
    // Every secret is ASCII, so it is within one piece of what is text.
    let is_there = |canary: &str| bytes.utf8_chunks().any(|piece| piece.valid().contains(canary));
    if let Some(canary) = CANARIES.into_iter().find(|canary| is_there(canary)) {
        panic!("{canary:?} is in {what}: {}", String::from_utf8_lossy(bytes));
    }
}

/// Fails the test where a secret is in a file below `folder` that the test did not write itself, or in a row of a
/// Parquet file, which is packed.
#[track_caller]
pub(crate) fn none_below(folder: &Path, written: &[PathBuf]) {
    for path in files_below(folder).iter().filter(|path| !written.contains(path)) {
        let bytes = fs::read(path).unwrap();
        none_in(&bytes, &path.display().to_string());
        // A test may have left a damaged one.
        let packed = path.extension().is_some_and(|extension| extension == "parquet");
        if let Some(rows) = File::open(path)
            .ok()
            .filter(|_| packed)
            .and_then(|file| SerializedFileReader::new(file).ok())
        {
            for row in rows.get_row_iter(None).into_iter().flatten().map_while(Result::ok) {
                none_in(row.to_string().as_bytes(), &path.display().to_string());
            }
        }
    }
}

/// Fails the test where a secret is in what every user of the machine sees of a process.
#[track_caller]
pub(crate) fn none_in_command_line(process: u32) {
    // Gone where it has ended already, and not there at all but on Linux.
    if let Ok(command_line) = fs::read(format!("/proc/{process}/cmdline")) {
        none_in(&command_line, "the command line");
    }
}

#[test]
fn what_is_looked_for_is_found() {
    let found = |bytes: &'static [u8]| std::panic::catch_unwind(|| none_in(bytes, "a test")).is_err();
    assert!(found(b"\xff\x00canary-x\xfe") && found(b"sandbox-secret-not-real") && !found(b"canary secret"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "a canary-x").unwrap();
    let below = || std::panic::catch_unwind(|| none_below(folder.path(), &[])).is_err();
    assert!(below());
    fs::remove_file(folder.path().join("file")).unwrap();
    assert!(!below());
}
