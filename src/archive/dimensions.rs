//! Small tables beside the datasets, below `archive/dim/`: what the data means. They are in no manifest, as each run makes
//! them anew where they have changed.
//!
//! - [`Archive::write_columns`]: `columns.parquet`, which describes every column of the archive

use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::columns::{self, Column, DUPLICATE_FACE, Kind};
use super::schema::CREATED_BY;
use super::{Archive, ArchiveError, Dataset};
use crate::files::{self, FileError};

impl Archive {
    /// Writes the description of every column.
    pub fn write_columns(&self) -> Result<(), ArchiveError> {
        let rows = described().map_err(ParquetError::from);
        self.write_dimension("columns", rows)
    }

    /// Writes a table, unless it is there as it would be written. Readers see the old one or the new one.
    fn write_dimension(&self, name: &str, rows: Result<RecordBatch, ParquetError>) -> Result<(), ArchiveError> {
        let target = self.root.join("dim").join(format!("{name}.parquet"));
        let staged = self.staging.join(format!("dim.{name}.parquet"));
        let bytes = rows
            .and_then(|rows| encoded(&rows))
            .map_err(ArchiveError::writing(&target))?;
        if fs::read(&target).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        files::create_private_dir(&self.root.join("dim"))?;
        files::sync(&self.root)?;
        let mut file = files::create_private(&staged)?;
        file.write_all(&bytes).map_err(FileError::because("write", &staged))?;
        file.sync_all().map_err(FileError::because("sync", &staged))?;
        Ok(files::replace(&staged, &target)?)
    }
}

fn encoded(rows: &RecordBatch) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), rows.schema(), options)?;
    writer.write(rows)?;
    writer.into_inner()
}

/// A row for each column of each dataset, and for each member of a nested one.
fn described() -> Result<RecordBatch, ArrowError> {
    let rows: Vec<(Dataset, String, &Column)> = Dataset::ALL
        .into_iter()
        .flat_map(|dataset| columns::of(dataset).iter().map(move |column| (dataset, column)))
        .flat_map(|(dataset, column)| {
            let members = DUPLICATE_FACE.iter().filter(|_| column.kind == Kind::DuplicateFaces);
            let members = members.map(move |member| (dataset, format!("{}.{}", column.name, member.name), member));
            std::iter::once((dataset, column.name.to_owned(), column)).chain(members)
        })
        .collect();
    let text = |of: fn(&Column) -> &str| -> ArrayRef {
        let texts = rows
            .iter()
            .map(|(_, _, column)| Some(of(column)).filter(|text| !text.is_empty()));
        Arc::new(texts.collect::<StringArray>())
    };
    let number = |of: fn(&Column) -> i32| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|(_, _, column)| Some(of(column)))
                .collect::<Int32Array>(),
        )
    };
    let flag = |of: fn(&Column) -> bool| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|(_, _, column)| Some(of(column)))
                .collect::<BooleanArray>(),
        )
    };
    let datasets = rows.iter().map(|(dataset, ..)| Some(dataset.as_str()));
    let names = rows.iter().map(|(_, name, _)| Some(name));
    RecordBatch::try_from_iter_with_nullable([
        (
            "dataset",
            Arc::new(datasets.collect::<StringArray>()) as ArrayRef,
            false,
        ),
        ("column", Arc::new(names.collect::<StringArray>()) as ArrayRef, false),
        ("field_id", number(|column| column.id), false),
        ("type", text(Column::type_name), false),
        ("nullable", flag(|column| !column.required), false),
        (
            "since_schema_version",
            number(|column| column.since.cast_signed()),
            false,
        ),
        ("unit", text(|column| column.unit), true),
        ("vocabulary", text(|column| column.vocabulary), true),
        ("personal", flag(|column| column.personal), false),
        ("description", text(|column| column.description), false),
    ])
}
