//! What the files look like to Parquet: the arrow schema of each dataset, and how its columns are stored.
//!
//! - [`columns()`]: the schema of a dataset, made of the table in `columns`
//! - [`current`]: rows of an older file as the current schema has them
//! - [`Limits`]: when rows are encoded and when a row group is cut
//! - [`writer_options`]: encodings, compression, bloom filter, statistics, metadata

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array as _, ArrayData, ArrayRef, Date32Array, RecordBatch, make_array, new_null_array};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use jiff::civil::{Date, date};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::Dataset;
use super::columns::{self, Column, DUPLICATE_FACE, DUPLICATE_FACE_ID, Kind, SCHEMA_VERSION, Storage};

/// The key of the schema's version in a file's metadata.
pub(super) const SCHEMA_VERSION_KEY: &str = "idvault.schema_version";

/// What a file says of its writer, in the form that Parquet readers parse.
pub(super) const CREATED_BY: &str = concat!("idvault version ", env!("CARGO_PKG_VERSION"));

/// The zone of every timestamp. Readers know this name; it makes the Parquet type an instant and not a wall time.
pub(super) const ZONE: &str = "UTC";

/// The column that says the billing day inside a file.
const BILLING_DATE: &str = "billing_date";

/// zstd's fastest: ids and hashes have nothing to be found, and higher levels, which find short accidents, make them larger.
const ZSTD_LEVEL: i32 = 1;

/// How often the bloom filter may say "perhaps" of an id that is not there: 1 % of the row groups read in vain.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Bytes of a least and a greatest value in the footer: enough to tell ids apart.
const STATISTICS_BYTES: usize = 16;

/// When rows are encoded, and when a row group is cut: what bounds the memory of a day, whatever its rows. Rows that
/// wait and bytes are chosen by measurement: fewer cost time, more cost memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Rows that wait to be encoded.
    pub(super) batch_rows: usize,
    /// Bytes of text or image that wait to be encoded; one row more may be on top.
    pub(super) batch_bytes: usize,
    /// Rows of a row group.
    pub(super) row_group_rows: usize,
    /// Bytes of a page before it is compressed; each column holds one, and what its compressor needs for one.
    pub(super) page_bytes: usize,
    /// Encoded bytes of a row group, which wait in memory until the group is complete.
    pub(super) row_group_bytes: usize,
}

impl Limits {
    /// What the archive is written with.
    pub(super) const ARCHIVE: Self = Self {
        batch_rows: 512,
        batch_bytes: 2 * 1024 * 1024,
        row_group_rows: 64 * 1024,
        page_bytes: 64 * 1024,
        row_group_bytes: 8 * 1024 * 1024,
    };
}

static VERIFICATIONS: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(Dataset::Verifications));

static FACE_IMAGES: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(Dataset::FaceImages));

static DUPLICATE_FACE_FIELDS: LazyLock<Fields> = LazyLock::new(|| DUPLICATE_FACE.iter().map(field).collect());

/// `element` is the name that the Parquet format wants; arrow's own default is another.
static ELEMENT: LazyLock<Arc<Field>> = LazyLock::new(|| {
    let element = Field::new("element", DataType::Struct(DUPLICATE_FACE_FIELDS.clone()), false);
    Arc::new(with_id(element, DUPLICATE_FACE_ID))
});

fn schema_of(dataset: Dataset) -> SchemaRef {
    let fields: Fields = columns::of(dataset).iter().map(field).collect();
    Arc::new(Schema::new(fields))
}

fn field(column: &Column) -> Field {
    let data_type = match column.kind {
        Kind::Text => DataType::Utf8,
        Kind::Bool => DataType::Boolean,
        Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into())),
        Kind::Date => DataType::Date32,
        Kind::Int16 => DataType::Int16,
        Kind::Int64 => DataType::Int64,
        Kind::Float64 => DataType::Float64,
        Kind::Binary => DataType::Binary,
        Kind::DuplicateFaces => DataType::List(ELEMENT.clone()),
    };
    with_id(Field::new(column.name, data_type, !column.required), column.id)
}

fn with_id(field: Field, id: i32) -> Field {
    field.with_metadata(HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]))
}

/// The columns of `dataset`, in the order in which they are written.
pub(super) fn columns(dataset: Dataset) -> &'static SchemaRef {
    match dataset {
        Dataset::Verifications => &VERIFICATIONS,
        Dataset::FaceImages => &FACE_IMAGES,
    }
}

/// The element of the list `duplicate_faces`.
pub(super) fn duplicate_face() -> &'static Arc<Field> {
    &ELEMENT
}

/// The members of that element.
pub(super) fn duplicate_face_fields() -> &'static Fields {
    &DUPLICATE_FACE_FIELDS
}

/// Days since 1970, as Parquet counts them.
pub(super) fn epoch_day(day: Date) -> i32 {
    day.since(date(1970, 1, 1)).map_or(0, |since| since.get_days())
}

/// The schema version of a file; the first where it says none.
pub(super) fn version_of(metadata: &ParquetMetaData) -> Result<u32, ParquetError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let mut pairs = pairs.into_iter().flatten();
    let Some(pair) = pairs.find(|pair| pair.key == SCHEMA_VERSION_KEY) else {
        return Ok(1);
    };
    let version = pair.value.as_deref().and_then(|version| version.parse().ok());
    version.ok_or_else(|| ParquetError::General(format!("its {SCHEMA_VERSION_KEY} is not a number")))
}

/// Rows of a file of any known version as the current schema has them. A column that an older one lacks is null. The
/// billing day is the folder's.
pub(super) fn current(rows: &RecordBatch, dataset: Dataset, day: Option<Date>) -> Result<RecordBatch, ArrowError> {
    let schema = columns(dataset);
    if rows.schema() == *schema {
        return Ok(rows.clone());
    }
    let column = |field: &Arc<Field>| -> Result<ArrayRef, ArrowError> {
        match rows.column_by_name(field.name()) {
            Some(there) => Ok(make_array(relabelled(there.to_data(), field.data_type())?)),
            None if field.name() == BILLING_DATE => {
                Ok(Arc::new(Date32Array::from(vec![day.map(epoch_day); rows.num_rows()])))
            }
            None => Ok(new_null_array(field.data_type(), rows.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}

/// The same values under a type that differs in the names and ids of nested fields only.
fn relabelled(data: ArrayData, data_type: &DataType) -> Result<ArrayData, ArrowError> {
    let types: Vec<&DataType> = match data_type {
        DataType::List(element) => vec![element.data_type()],
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        _ => Vec::new(),
    };
    let children = data.child_data().iter().cloned().zip(types);
    let children = children.map(|(child, data_type)| relabelled(child, data_type));
    let children = children.collect::<Result<_, _>>()?;
    let same = data.into_builder().data_type(data_type.clone()).child_data(children);
    same.build()
}

/// How a file of `dataset` is written. Fails only if zstd does not know its own level.
pub(super) fn writer_options(dataset: Dataset, limits: Limits) -> Result<ArrowWriterOptions, ParquetError> {
    // The types are all Parquet's own, so arrow's schema would say nothing more.
    let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
    Ok(options.with_properties(writer_properties(dataset, limits)?))
}

fn writer_properties(dataset: Dataset, limits: Limits) -> Result<WriterProperties, ParquetError> {
    let version = KeyValue::new(SCHEMA_VERSION_KEY.to_owned(), SCHEMA_VERSION.to_string());
    let id = ColumnPath::from("transaction_id");
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(vec![version]))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(limits.row_group_rows))
        .set_max_row_group_bytes(Some(limits.row_group_bytes))
        .set_data_page_size_limit(limits.page_bytes)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES))
        // The filter is folded down to the ids that are there; this is what it takes in memory meanwhile, 128 KiB.
        .set_column_bloom_filter_enabled(id.clone(), true)
        .set_column_bloom_filter_fpp(id.clone(), BLOOM_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(id, limits.row_group_rows as u64);
    for column in columns::of(dataset) {
        if column.kind == Kind::DuplicateFaces {
            for member in &DUPLICATE_FACE {
                let path = [column.name, "list", "element", member.name];
                properties = stored(properties, member, &ColumnPath::new(path.map(str::to_owned).to_vec()));
            }
        } else {
            properties = stored(properties, column, &ColumnPath::from(column.name));
        }
    }
    if dataset == Dataset::Verifications {
        properties = properties.set_sorting_columns(sorted_by("verified_at"));
    }
    Ok(properties.build())
}

fn stored(mut properties: WriterPropertiesBuilder, column: &Column, path: &ColumnPath) -> WriterPropertiesBuilder {
    if matches!(column.storage, Storage::Dictionary | Storage::FewValues) {
        properties = properties.set_column_dictionary_enabled(path.clone(), true);
    }
    if matches!(column.storage, Storage::Uncompressed | Storage::FewValues) {
        properties = properties.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
    }
    if !column.statistics {
        properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
    }
    properties
}

/// Ascending, unknown first: the order that [`super::StagedDay::append`] insists on.
fn sorted_by(column: &str) -> Option<Vec<SortingColumn>> {
    let index = VERIFICATIONS.index_of(column).ok()?;
    Some(vec![SortingColumn {
        column_idx: i32::try_from(index).ok()?,
        descending: false,
        nulls_first: true,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_design_in_its_order() {
        let names: Vec<_> = VERIFICATIONS.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(
            names.join(" "),
            "transaction_id merchant_biz_id product_code region verified_at expires_at fetched_at request_id passed \
             sub_code billed face_attack face_registered face_attack_score guard_risk_score face_comparison_score \
             face_age face_gender face_registration_id device_token video_url duplicate_faces face_image_sha256 \
             ext_face_info ekyc_result ext_basic_info ext_id_info ext_info ext_risk_info ext_source_info parse_status \
             reply_sha256 run_id billing_date business_unit video_sha256 video_bytes video_encrypted_sha256"
        );
        let not_null: Vec<_> = VERIFICATIONS.fields().iter().filter(|f| !f.is_nullable()).collect();
        let not_null: Vec<_> = not_null.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(
            not_null.join(" "),
            "transaction_id merchant_biz_id product_code region fetched_at passed sub_code"
        );
    }

    #[test]
    fn a_row_group_is_that_of_the_design_and_what_waits_is_bounded() {
        let limits = Limits::ARCHIVE;
        assert_eq!(limits.row_group_rows, 65_536);
        assert!(limits.batch_rows <= 8192);
        assert!(limits.batch_bytes <= 8 * 1024 * 1024 && limits.row_group_bytes <= 8 * 1024 * 1024);
    }
}
