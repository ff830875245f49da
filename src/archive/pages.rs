//! The pages of a row group, on the disk until it is complete: Parquet wants each column's in one piece, and the rows come with
//! all columns side by side. So what is in memory of a file does not grow with its rows.
//!
//! - [`Pages`]: a file for them, of which nothing is left when it is dropped

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::errors::{ParquetError, Result};

use crate::files::{self, FileError};

/// Where a writer's pages wait. The file has no name, so nobody else opens it, and it ends with the process.
#[derive(Debug)]
pub(super) struct Pages(Arc<Mutex<Waiting>>);

/// The file, and what of it is in use.
#[derive(Debug)]
struct Waiting {
    file: File,
    /// Where the next page goes.
    end: u64,
    /// Pages that were not taken yet. Where there are none, as between row groups, the file is filled from its start again.
    pages: usize,
}

/// The pages of one column in one row group.
struct Column {
    waiting: Arc<Mutex<Waiting>>,
    /// Where each begins, and its length; its key is its place here.
    places: Vec<(u64, usize)>,
}

impl Pages {
    /// Makes the file at `path`, and lets go of that name.
    pub(super) fn create(path: &Path) -> std::result::Result<Self, FileError> {
        let file = files::create_private(path)?;
        fs::remove_file(path).map_err(FileError::because("remove", path))?;
        let waiting = Waiting { file, end: 0, pages: 0 };
        Ok(Self(Arc::new(Mutex::new(waiting))))
    }

    fn column(&self) -> Column {
        Column {
            waiting: self.0.clone(),
            places: Vec::new(),
        }
    }
}

impl PageStoreFactory for Pages {
    fn create(&self, _column: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        Ok(Box::new(self.column()))
    }
}

impl PageStore for Column {
    fn put(&mut self, page: Bytes) -> Result<PageKey> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let start = waiting.end;
        waiting.file.write_all_at(&page, start)?;
        waiting.end += page.len() as u64;
        waiting.pages += 1;
        self.places.push((start, page.len()));
        Ok(PageKey::new(self.places.len() as u64 - 1))
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let place = usize::try_from(key.get()).ok().and_then(|key| self.places.get(key));
        let (start, length) =
            *place.ok_or_else(|| ParquetError::General(format!("{key:?} is not one of its pages")))?;
        let mut page = vec![0; length];
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.file.read_exact_at(&mut page, start)?;
        waiting.pages -= 1;
        if waiting.pages == 0 {
            waiting.end = 0;
        }
        Ok(page.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_as_they_were_and_the_next_row_group_takes_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let pages = Pages::create(&folder.path().join("verifications.pages")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it has no name");
        for group in 0..3_u8 {
            let mut columns = [pages.column(), pages.column()];
            let page =
                |number: u8, column: u8| Bytes::from(vec![group ^ number ^ column << 7; 1000 + usize::from(number)]);
            let mut keys = [Vec::new(), Vec::new()];
            for number in 0..100 {
                for column in 0..2_u8 {
                    let key = columns[usize::from(column)].put(page(number, column)).unwrap();
                    keys[usize::from(column)].push(key);
                }
            }
            for column in 0..2_u8 {
                for (number, key) in (0_u8..).zip(&keys[usize::from(column)]) {
                    assert_eq!(columns[usize::from(column)].take(*key).unwrap(), page(number, column));
                }
            }
        }
        let bytes = pages.0.lock().unwrap().file.metadata().unwrap().len();
        assert_eq!(bytes, (0..100).map(|number| 2 * (1000 + number)).sum::<u64>());
        let error = pages.column().take(PageKey::new(0)).unwrap_err();
        assert!(error.to_string().contains("not one of its pages"), "{error}");
    }
}
