//! Those who read the archive while its files are merged.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::after_nights;

/// Reads a dataset as queries do: the days' folders are listed, then their files opened. Gives the ids, or `None`
/// where a file that was listed is not there any more.
fn read_once(root: &Path) -> Option<Vec<String>> {
    let mut ids = Vec::new();
    for folder in fs::read_dir(root).unwrap() {
        let listed: Vec<_> = fs::read_dir(folder.unwrap().path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        // All are open before any is read.
        let mut open = Vec::new();
        for path in listed {
            match File::open(&path) {
                Ok(file) => open.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
        for file in open {
            let reader = SerializedFileReader::new(file).unwrap();
            ids.extend(reader.get_row_iter(None).unwrap().map(|row| {
                let columns: BTreeMap<_, _> = row.unwrap().into_columns().into_iter().collect();
                columns["transaction_id"].to_string()
            }));
        }
    }
    ids.sort();
    Some(ids)
}

#[test]
fn readers_see_every_row_once_at_every_moment() {
    let place = after_nights();
    let root = place.data().join("archive/verifications");
    let expected = read_once(&root).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = || {
            let (mut whole, mut again) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                match read_once(&root) {
                    Some(ids) => {
                        assert!(ids == expected, "a row is missing or twice: {} rows", ids.len());
                        whole += 1;
                    }
                    None => again += 1,
                }
            }
            (whole, again)
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        let ended = place.idvault(&["compact"]);
        done.store(true, Ordering::Relaxed);
        ended.expect(0);
        for reader in readers {
            let (whole, again) = reader.join().unwrap();
            println!("a reader read all of it {whole} times, and had to begin again {again} times");
            assert!(whole > 0);
        }
    });
}

/// Whoever has a file open reads it to its end, and sees the folder that it has open as it was.
#[test]
fn an_open_file_and_an_open_folder_are_read_to_their_end() {
    let place = after_nights();
    let folder = place.data().join("archive/verifications/billing_day=2026-11-02");
    let path = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let before: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    place.idvault(&["compact"]).expect(0);
    assert!(!path.exists());
    let after: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert!(before == after);
}
