//! What the files look like: one static schema per dataset, and how its columns are stored.
//!
//! - [`columns`]: the schema of a dataset, in the order of the design's table
//! - [`Limits`]: when rows are encoded and when a row group is cut
//! - [`writer_properties`]: compression, dictionaries, bloom filter, statistics, metadata
//!
//! A change that a reader could notice is a new [`SCHEMA_VERSION`].

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::Dataset;

/// The key of the schema's version in a file's metadata.
pub(super) const SCHEMA_VERSION_KEY: &str = "idvault.schema_version";

/// The version of the schemas below.
pub(super) const SCHEMA_VERSION: &str = "1";

/// What a file says of its writer, in the form that Parquet readers parse.
pub(super) const CREATED_BY: &str = concat!("idvault version ", env!("CARGO_PKG_VERSION"));

/// The zone of every timestamp. Readers know this name; it makes the Parquet type an instant and not a wall time.
pub(super) const ZONE: &str = "UTC";

/// zstd's fastest: ids and hashes have nothing to be found, and higher levels, which find short accidents, make them larger.
const ZSTD_LEVEL: i32 = 1;

/// How often the bloom filter may say "perhaps" of an id that is not there: 1 % of the row groups read in vain.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

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

static VERIFICATIONS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        required("transaction_id", DataType::Utf8),
        required("merchant_biz_id", DataType::Utf8),
        required("product_code", DataType::Utf8),
        required("region", DataType::Utf8),
        optional("verified_at", instant()),
        optional("expires_at", instant()),
        required("fetched_at", instant()),
        optional("request_id", DataType::Utf8),
        required("passed", DataType::Boolean),
        required("sub_code", DataType::Utf8),
        optional("billed", DataType::Boolean),
        optional("face_attack", DataType::Boolean),
        optional("face_registered", DataType::Boolean),
        optional("face_attack_score", DataType::Float64),
        optional("guard_risk_score", DataType::Float64),
        optional("face_comparison_score", DataType::Float64),
        optional("face_age", DataType::Int16),
        optional("face_gender", DataType::Utf8),
        optional("face_registration_id", DataType::Utf8),
        optional("device_token", DataType::Utf8),
        optional("video_url", DataType::Utf8),
        optional("duplicate_faces", DataType::List(DUPLICATE_FACE.clone())),
        optional("face_image_sha256", DataType::Utf8),
        optional("ext_face_info", DataType::Utf8),
        optional("ekyc_result", DataType::Utf8),
        optional("ext_basic_info", DataType::Utf8),
        optional("ext_id_info", DataType::Utf8),
        optional("ext_info", DataType::Utf8),
        optional("ext_risk_info", DataType::Utf8),
        optional("ext_source_info", DataType::Utf8),
        optional("parse_status", DataType::Utf8),
        optional("reply_sha256", DataType::Utf8),
        optional("run_id", DataType::Utf8),
    ]))
});

static FACE_IMAGES: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        required("transaction_id", DataType::Utf8),
        required("image", DataType::Binary),
        required("sha256", DataType::Utf8),
        required("media_type", DataType::Utf8),
    ]))
});

static DUPLICATE_FACE_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        optional("face_group_code", DataType::Utf8),
        optional("face_id", DataType::Utf8),
        optional("merchant_user_id", DataType::Utf8),
        optional("score", DataType::Float64),
    ])
});

/// `element` is the name that the Parquet format wants; arrow's own default is another.
static DUPLICATE_FACE: LazyLock<Arc<Field>> = LazyLock::new(|| {
    let element = DataType::Struct(DUPLICATE_FACE_FIELDS.clone());
    Arc::new(required("element", element))
});

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into()))
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
    &DUPLICATE_FACE
}

/// The members of that element.
pub(super) fn duplicate_face_fields() -> &'static Fields {
    &DUPLICATE_FACE_FIELDS
}

/// How the columns of `dataset` are stored. Fails only if zstd does not know its own level.
pub(super) fn writer_properties(dataset: Dataset, limits: Limits) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            SCHEMA_VERSION_KEY.to_owned(),
            SCHEMA_VERSION.to_owned(),
        )]))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(limits.row_group_rows))
        .set_max_row_group_bytes(Some(limits.row_group_bytes))
        .set_data_page_size_limit(limits.page_bytes)
        // Off for ids, hashes, addresses and raw strings: no two rows share a value.
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Page)
        // The filter is folded down to the ids that are there; this is what it takes in memory meanwhile, 128 KiB.
        .set_column_bloom_filter_enabled(transaction_id(), true)
        .set_column_bloom_filter_fpp(transaction_id(), BLOOM_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(transaction_id(), limits.row_group_rows as u64);
    for path in ["verified_at", "expires_at", "fetched_at"] {
        // Sorted, or nearly so: the differences are short.
        properties = properties.set_column_encoding(ColumnPath::from(path), Encoding::DELTA_BINARY_PACKED);
    }
    for path in random(dataset) {
        // With the lengths apart: between the values, each would be a match that zstd stops at, and finds nothing around.
        properties = properties
            .set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    for path in personal(dataset) {
        // The least and the greatest would stand in the footer, which catalogs copy and tools print.
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    for path in low_cardinality(dataset) {
        properties = properties.set_column_dictionary_enabled(path, true);
    }
    for path in packed(dataset) {
        properties = properties.set_column_compression(path, Compression::UNCOMPRESSED);
    }
    properties = match dataset {
        Dataset::Verifications => properties.set_sorting_columns(sorted_by("verified_at")),
        // Formats of images are compressed, and another pass finds nothing.
        Dataset::FaceImages => properties.set_column_compression(ColumnPath::from("image"), Compression::UNCOMPRESSED),
    };
    Ok(properties.build())
}

fn transaction_id() -> ColumnPath {
    ColumnPath::from("transaction_id")
}

/// The columns of hashes, tokens and ids that the vendor draws: of no use in a range, and read by nobody's everyday queries. A
/// reader that is too old for their encoding (Spark before 3.4) still has all others.
fn random(dataset: Dataset) -> Vec<ColumnPath> {
    paths(match dataset {
        Dataset::Verifications => &[
            "request_id",
            "face_registration_id",
            "device_token",
            "face_image_sha256",
            "reply_sha256",
        ],
        Dataset::FaceImages => &["sha256"],
    })
}

/// The columns that hold what the vendor says of a person, or a picture: whoever looks for a range of them looks for nothing.
fn personal(dataset: Dataset) -> Vec<ColumnPath> {
    paths(match dataset {
        Dataset::Verifications => &[
            "video_url",
            "ext_face_info",
            "ekyc_result",
            "ext_basic_info",
            "ext_id_info",
            "ext_info",
            "ext_risk_info",
            "ext_source_info",
        ],
        Dataset::FaceImages => &["image"],
    })
}

/// The columns whose values repeat, so that a dictionary pays.
fn low_cardinality(dataset: Dataset) -> Vec<ColumnPath> {
    let mut columns = few_values(dataset);
    if dataset == Dataset::Verifications {
        let path = ["duplicate_faces", "list", "element", "face_group_code"];
        columns.push(ColumnPath::new(path.map(str::to_owned).to_vec()));
    }
    columns
}

/// The columns that their encoding leaves a byte or two a row: zstd would make the file 0.7 % smaller, for a compressor of
/// 0.2 MiB and a pass over each.
fn packed(dataset: Dataset) -> Vec<ColumnPath> {
    let mut columns = few_values(dataset);
    if dataset == Dataset::Verifications {
        columns.extend(paths(&[
            "fetched_at",
            "passed",
            "billed",
            "face_attack",
            "face_registered",
        ]));
    }
    columns
}

/// The columns with no more than a few different values in a file, as far as the vendor keeps to what it documents.
fn few_values(dataset: Dataset) -> Vec<ColumnPath> {
    paths(match dataset {
        Dataset::Verifications => &[
            "product_code",
            "region",
            "sub_code",
            "face_age",
            "face_gender",
            "parse_status",
            "run_id",
        ],
        Dataset::FaceImages => &["media_type"],
    })
}

fn paths(names: &[&str]) -> Vec<ColumnPath> {
    names.iter().copied().map(ColumnPath::from).collect()
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
             reply_sha256 run_id"
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
