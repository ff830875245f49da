//! How files are stored, as their footers tell.

use std::fs::File;

use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;

use super::{Fixture, finish, full_row, image, publish, row};
use crate::archive::schema::Limits;
use crate::archive::{Dataset, StagedFile};
use crate::record::Verification;

const SMALL: Limits = Limits {
    batch_rows: 64,
    batch_bytes: 256 * 1024,
    row_group_rows: 500,
    page_bytes: 64 * 1024,
    row_group_bytes: 1024 * 1024,
};

/// Publishes, and opens the files of both datasets, bloom filters too.
fn open(fixture: &Fixture, files: Vec<StagedFile>) -> Vec<SerializedFileReader<File>> {
    let open = |path: &String| {
        let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
        let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
        SerializedFileReader::new_with_options(File::open(fixture.published(path)).unwrap(), options).unwrap()
    };
    publish(files).iter().map(open).collect()
}

fn group_rows(reader: &SerializedFileReader<File>) -> Vec<i64> {
    reader
        .metadata()
        .row_groups()
        .iter()
        .map(RowGroupMetaData::num_rows)
        .collect()
}

#[test]
fn the_footer_names_the_schema_the_writer_and_the_order() {
    let fixture = Fixture::new();
    let readers = open(&fixture, finish(fixture.stage(), (0..10).map(full_row)));
    for reader in &readers {
        let file = reader.metadata().file_metadata();
        let pairs = file.key_value_metadata().unwrap();
        let version = pairs.iter().find(|pair| pair.key == "idvault.schema_version").unwrap();
        assert_eq!(version.value.as_deref(), Some("2"));
        assert!(
            pairs.iter().all(|pair| pair.key != "ARROW:schema"),
            "it says nothing more"
        );
        assert_eq!(
            file.created_by(),
            Some(concat!("idvault version ", env!("CARGO_PKG_VERSION")))
        );
    }
    let group = readers[0].metadata().row_group(0);
    let sorting = group.sorting_columns().unwrap();
    assert_eq!(sorting.len(), 1);
    let by = &sorting[0];
    assert_eq!((by.column_idx, by.descending, by.nulls_first), (4, false, true));
    assert_eq!(group.column(4).column_path().string(), "verified_at");
}

/// The columns of both datasets that are stored in some way, in their order.
fn columns(readers: &[SerializedFileReader<File>], stored: impl Fn(&ColumnChunkMetaData) -> bool) -> String {
    let columns = readers
        .iter()
        .flat_map(|reader| reader.metadata().row_group(0).columns());
    let paths: Vec<_> = columns
        .filter(|column| stored(column))
        .map(|column| column.column_path().string())
        .collect();
    paths.join(" ")
}

#[test]
fn only_repeating_columns_have_a_dictionary_and_only_long_values_are_compressed() {
    let fixture = Fixture::new();
    let readers = open(&fixture, finish(fixture.stage(), (0..100).map(full_row)));
    assert_eq!(
        columns(&readers, |column| {
            column.encodings().any(|encoding| encoding == Encoding::RLE_DICTIONARY)
        }),
        "product_code region sub_code duplicate_faces.list.element.face_group_code parse_status run_id media_type"
    );
    assert_eq!(
        columns(&readers, |column| !matches!(column.compression(), Compression::ZSTD(_))),
        columns(&readers, |column| column.compression() == Compression::UNCOMPRESSED)
    );
    assert_eq!(
        columns(&readers, |column| column.compression() == Compression::UNCOMPRESSED),
        "product_code region passed sub_code billed face_attack face_registered parse_status run_id image media_type"
    );
}

#[test]
fn encodings_are_those_of_every_reader_and_neither_random_nor_personal_columns_have_a_least_and_a_greatest() {
    let fixture = Fixture::new();
    let readers = open(&fixture, finish(fixture.stage(), (0..100).map(full_row)));
    assert_eq!(
        columns(&readers, |column| {
            let every = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
            column.encodings().any(|encoding| !every.contains(&encoding))
        }),
        ""
    );
    assert_eq!(
        columns(&readers, |column| column.statistics().is_none()),
        "request_id face_age face_gender face_registration_id device_token video_url \
         duplicate_faces.list.element.face_id duplicate_faces.list.element.merchant_user_id face_image_sha256 \
         ext_face_info ekyc_result ext_basic_info ext_id_info ext_info ext_risk_info ext_source_info reply_sha256 \
         video_sha256 video_encrypted_sha256 image sha256 encrypted_sha256"
    );
}

#[test]
fn the_bloom_filter_knows_every_id_and_hardly_another_one() {
    let fixture = Fixture::new();
    let rows: Vec<Verification> = (0..2000).map(full_row).collect();
    let readers = open(&fixture, finish(fixture.stage(), rows.clone()));
    assert_eq!(readers.len(), 2);
    for reader in readers {
        let group = reader.get_row_group(0).unwrap();
        let filter = group.get_column_bloom_filter(0).unwrap();
        assert!(rows.iter().all(|row| filter.check(&*row.transaction_id)));
        let false_positives = (5000..6000).filter(|i| filter.check(&*row(*i).transaction_id));
        assert!(false_positives.count() < 30);
        assert!(
            filter.num_blocks() * 32 <= 8 * 1024,
            "it was folded down to the ids that are there"
        );
        assert!(group.get_column_bloom_filter(1).is_none());
    }
}

#[test]
fn row_groups_are_cut_by_rows() {
    let fixture = Fixture::new();
    let readers = open(&fixture, finish(fixture.stage_within(SMALL), (0..1200).map(row)));
    assert_eq!(group_rows(&readers[0]), [500, 500, 200]);
}

#[test]
fn row_groups_are_cut_by_bytes() {
    let fixture = Fixture::new();
    let rows = (0..40).map(|i| {
        let mut row = row(i);
        row.record.images = vec![image(i, 100_000)];
        row
    });
    let files = finish(fixture.stage_within(SMALL), rows);
    assert_eq!(files[1].dataset, Dataset::FaceImages);
    assert_eq!((files[1].rows, files[0].rows), (40, 40));
    let readers = open(&fixture, files);
    let groups = readers[1].metadata().row_groups();
    assert!(groups.len() >= 4);
    for group in groups {
        assert!(group.compressed_size() <= 1_400_000, "{}", group.compressed_size());
    }
}

#[test]
fn rows_are_sorted_by_verified_at() {
    let fixture = Fixture::new();
    let readers = open(&fixture, finish(fixture.stage_within(SMALL), (0..1200).map(row)));
    let mut last = i64::MIN;
    for row in readers[0].get_row_iter(None).unwrap() {
        let fields = row.unwrap().into_columns();
        let parquet::record::Field::TimestampMicros(at) = fields[4].1 else {
            panic!("{:?}", fields[4]);
        };
        assert!(at >= last);
        last = at;
    }
}

#[test]
fn every_column_has_its_field_id_and_a_file_of_one_row_is_small() {
    let fixture = Fixture::new();
    let files = finish(fixture.stage(), [row(1)]);
    let bytes = files[0].bytes;
    let reader = open(&fixture, files).remove(0);
    let schema = reader.metadata().file_metadata().schema_descr().root_schema_ptr();
    let ids: Vec<i32> = schema
        .get_fields()
        .iter()
        .map(|field| field.get_basic_info().id())
        .collect();
    assert_eq!(ids, (1..=38).collect::<Vec<_>>());
    let list = &schema.get_fields()[21].get_fields()[0];
    let element = &list.get_fields()[0];
    assert_eq!(element.get_basic_info().id(), 101);
    let members: Vec<i32> = element
        .get_fields()
        .iter()
        .map(|member| member.get_basic_info().id())
        .collect();
    assert_eq!(members, [102, 103, 104, 105]);
    assert!(bytes < 7_500, "{bytes}");
}
