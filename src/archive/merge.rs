//! Many files of a billing day into one of the current schema: the same rows, in the order of publication.
//!
//! The proof that they are the same goes another way than the writing: every row is hashed in all its columns as it is read
//! from the old files, and again as it is read back from the new one; the sums must be equal, whatever the order.
//!
//! - [`Archive::merge`]: writes the one file, and proves it
//! - `Source`: one of the old files, while it is read
//! - `RowSum`: what rows add up to

use std::path::Path;

use arrow::array::{Array as _, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::interleave_record_batch;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use jiff::civil::Date;
use sha2::{Digest as _, Sha256};

use super::check::IdDigest;
use super::rows::{Batches, column};
use super::schema::{self, Limits};
use super::staged::StagedFile;
use super::writer::FileWriter;
use super::{Archive, ArchiveError, Dataset};

impl Archive {
    /// Writes the rows of `files`, all of one dataset and billing day, into one staged file. Verifications are sorted by
    /// `verified_at`, as they are in each of the files, and those of one moment stand in the order of the files; faces
    /// stand file after file. The staged file was read back, and has the same rows in all columns.
    pub fn merge(
        &self,
        (dataset, day): (Dataset, Option<Date>),
        (run_id, sequence): (&str, u32),
        files: &[&str],
    ) -> Result<StagedFile, ArchiveError> {
        let place = self.place(day, run_id, sequence)?;
        let mut merged = Merged {
            file: FileWriter::create(&place, dataset, Limits::ARCHIVE)?,
            ids: IdDigest::default(),
        };
        let mut read = RowSum::new(dataset).map_err(|error| merged.file.failed(error.into()))?;
        match dataset {
            Dataset::Verifications => {
                let open = |file: &&str| Source::open(&self.locate(file)?, (dataset, day), &mut read);
                let sources = files.iter().map(open).filter_map(Result::transpose);
                merged.sort(sources.collect::<Result<_, _>>()?, &mut read)?;
            }
            Dataset::FaceImages => {
                for file in files {
                    let mut source = Source::open(&self.locate(file)?, (dataset, day), &mut read)?;
                    while let Some(rows) = source {
                        merged.write(rows.batch.clone())?;
                        source = rows.refill(&mut read)?;
                    }
                }
            }
        }
        let file = merged.file.finish(merged.ids)?;
        let written = RowSum::of_file(file.staged_at(), dataset)?;
        if written.rows == read.rows && written.sum == read.sum {
            return Ok(file);
        }
        Err(ArchiveError::ReadBack {
            path: file.staged_at().to_owned(),
            what: format!(
                "its {} rows are not the {} of the files that it was merged from",
                written.rows, read.rows
            ),
        })
    }
}

/// The one file, while it is written.
struct Merged {
    file: FileWriter,
    ids: IdDigest,
}

impl Merged {
    fn sort(&mut self, mut sources: Vec<Source>, read: &mut RowSum) -> Result<(), ArchiveError> {
        let mut taken: Vec<(usize, usize)> = Vec::new();
        loop {
            // Of equal ones the first; an unknown time comes before all others.
            let earliest = (0..sources.len()).min_by_key(|at| sources[*at].time());
            let Some(at) = earliest else { return Ok(()) };
            let source = &mut sources[at];
            taken.push((at, source.next));
            source.next += 1;
            let used_up = source.next == source.batch.num_rows();
            if !used_up && taken.len() < Limits::ARCHIVE.batch_rows {
                continue;
            }
            let batches: Vec<&RecordBatch> = sources.iter().map(|source| &source.batch).collect();
            let rows = interleave_record_batch(&batches, &taken);
            self.write(rows.map_err(|error| self.file.failed(error.into()))?)?;
            taken.clear();
            if used_up && let Some(source) = sources.remove(at).refill(read)? {
                sources.insert(at, source);
            }
        }
    }

    fn write(&mut self, rows: RecordBatch) -> Result<(), ArchiveError> {
        let ids = column::<StringArray>(&rows, "transaction_id").map_err(|error| self.file.failed(error))?;
        ids.iter().flatten().for_each(|id| self.ids.add(id));
        self.file.write(rows)
    }
}

/// One of the old files, with some of its rows at hand.
struct Source {
    batches: Batches,
    dataset: Dataset,
    day: Option<Date>,
    batch: RecordBatch,
    /// Of the dataset that is sorted by it.
    times: Option<TimestampMicrosecondArray>,
    next: usize,
}

impl Source {
    /// `None` where the file has no rows.
    fn open(
        path: &Path,
        (dataset, day): (Dataset, Option<Date>),
        read: &mut RowSum,
    ) -> Result<Option<Self>, ArchiveError> {
        let source = Self {
            batches: Batches::open(path, None)?,
            dataset,
            day,
            batch: RecordBatch::new_empty(schema::columns(dataset).clone()),
            times: None,
            next: 0,
        };
        source.refill(read)
    }

    /// With the next rows at hand; `None` at the end.
    fn refill(mut self, read: &mut RowSum) -> Result<Option<Self>, ArchiveError> {
        let Some(batch) = self.batches.next()? else {
            return Ok(None);
        };
        let unreadable = |error| self.batches.unreadable(error);
        let batch = schema::current(&batch, self.dataset, self.day).map_err(|error| unreadable(error.into()))?;
        self.times = match self.dataset {
            Dataset::Verifications => Some(
                column::<TimestampMicrosecondArray>(&batch, "verified_at")
                    .map_err(unreadable)?
                    .clone(),
            ),
            Dataset::FaceImages => None,
        };
        read.add(&batch).map_err(|error| unreadable(error.into()))?;
        (self.batch, self.next) = (batch, 0);
        Ok(Some(self))
    }

    /// That of the next row.
    fn time(&self) -> Option<i64> {
        let times = self.times.as_ref()?;
        times.is_valid(self.next).then(|| times.value(self.next))
    }
}

/// What rows add up to in any order: each is hashed in all its columns.
struct RowSum {
    converter: RowConverter,
    rows: u64,
    sum: u128,
}

impl RowSum {
    fn new(dataset: Dataset) -> Result<Self, ArrowError> {
        let fields = schema::columns(dataset).fields().iter();
        let fields = fields.map(|field| SortField::new(field.data_type().clone()));
        Ok(Self {
            converter: RowConverter::new(fields.collect())?,
            rows: 0,
            sum: 0,
        })
    }

    fn of_file(path: &Path, dataset: Dataset) -> Result<Self, ArchiveError> {
        let mut batches = Batches::open(path, None)?;
        let mut sum = Self::new(dataset).map_err(|error| batches.unreadable(error.into()))?;
        while let Some(batch) = batches.next()? {
            sum.add(&batch).map_err(|error| batches.unreadable(error.into()))?;
        }
        Ok(sum)
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let rows = self.converter.convert_columns(batch.columns())?;
        for row in &rows {
            let mut half = [0; 16];
            half.copy_from_slice(&Sha256::digest(row.data())[..16]);
            self.rows += 1;
            self.sum = self.sum.wrapping_add(u128::from_le_bytes(half));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, new_null_array};
    use arrow::datatypes::DataType;

    use super::*;

    type Face<'a> = (&'a str, &'a [u8], &'a str, &'a str);

    fn sum(faces: &[Face<'_>]) -> (u64, u128) {
        let texts =
            |of: fn(&Face<'_>) -> String| Arc::new(faces.iter().map(|face| Some(of(face))).collect::<StringArray>());
        let images: BinaryArray = faces.iter().map(|face| Some(face.1)).collect();
        let columns: Vec<ArrayRef> = vec![
            texts(|face| face.0.to_owned()),
            Arc::new(images),
            texts(|face| face.2.to_owned()),
            texts(|face| face.3.to_owned()),
            new_null_array(&DataType::Date32, faces.len()),
            new_null_array(&DataType::Utf8, faces.len()),
        ];
        let dataset = Dataset::FaceImages;
        let batch = RecordBatch::try_new(schema::columns(dataset).clone(), columns).unwrap();
        let mut sum = RowSum::new(dataset).unwrap();
        sum.add(&batch).unwrap();
        (sum.rows, sum.sum)
    }

    #[test]
    fn rows_add_up_to_the_same_in_any_order_and_to_something_else_where_a_column_is_another() {
        let (one, other): (Face<'_>, Face<'_>) = (("a", b"face", "1", "png"), ("b", b"", "2", "png"));
        let both = sum(&[one, other]);
        assert_eq!(both, sum(&[other, one]));
        let others: [[Face<'_>; 2]; 5] = [
            [("b", b"face", "1", "png"), ("a", b"", "2", "png")],
            [("a", b"", "1", "png"), ("b", b"face", "2", "png")],
            [("a", b"fac", "e1", "png"), other],
            [("a", b"face", "1", "jpeg"), other],
            [one, one],
        ];
        for faces in others {
            assert_ne!(both, sum(&faces), "{faces:?}");
        }
        assert_ne!(both.0, sum(&[one]).0);
    }
}
