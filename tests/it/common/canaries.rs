//! The secrets of all tests, and the look for them in everything that a run shows or leaves: after every execution of
//! the program and, once a test is over, in every file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use idvault::sandbox::SANDBOX_ACCESS_KEY_SECRET;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
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
        let name = path.display().to_string();
        none_in(&fs::read(path).unwrap(), &name);
        if path.extension().is_some_and(|extension| extension == "parquet") {
            // A test may have left a damaged one, and on some damage the decoder panics.
            let rows = std::panic::catch_unwind(|| rows_of(path));
            none_in(rows.unwrap_or_default().as_bytes(), &name);
        }
    }
}

/// Every row of a Parquet file, as far as it can be read.
fn rows_of(path: &Path) -> String {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).ok();
    let rows = reader.iter().flat_map(|reader| reader.get_row_iter(None)).flatten();
    rows.map_while(Result::ok).map(|row| row.to_string()).collect()
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
    // Packed, as the archive is, and where no statistics show it.
    let column: ArrayRef = Arc::new(StringArray::from(vec!["a canary-x"; 1_000]));
    let rows = RecordBatch::try_from_iter([("text", column)]).unwrap();
    let packed = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let path = folder.path().join("file.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), rows.schema(), Some(packed)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    assert!(below());
}
