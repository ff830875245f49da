//! What is written is read back with Parquet's low-level records, which share no code with the arrow side.

use std::fs::File;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use parquet::data_type::ByteArray;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as Group};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::{Fixture, bare_row, finish, full_row, publish, row};
use crate::record::{DuplicateFace, FaceImage, FaceInfo, ParseStatus, Record, Verification, sha256_hex};

type Columns = Vec<(String, Value)>;

/// A value as it was read; Parquet's own list can be looked at but not built.
#[derive(Debug, PartialEq)]
enum Value {
    One(Field),
    List(Vec<Field>),
}

impl From<Field> for Value {
    fn from(field: Field) -> Self {
        match field {
            Field::ListInternal(list) => Self::List(list.elements().to_vec()),
            one => Self::One(one),
        }
    }
}

fn read(path: &Path) -> Vec<Columns> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| values(row.unwrap().into_columns())).collect()
}

fn field<T>(value: Option<T>, kind: impl Fn(T) -> Field) -> Field {
    value.map_or(Field::Null, kind)
}

fn text(value: Option<&str>) -> Field {
    field(value.map(str::to_owned), Field::Str)
}

fn instant(value: Option<Timestamp>) -> Field {
    field(value.map(Timestamp::as_microsecond), Field::TimestampMicros)
}

fn day(row: &Verification) -> Field {
    let epoch = jiff::civil::date(1970, 1, 1);
    field(row.billing_day, |day| Field::Date(day.since(epoch).unwrap().get_days()))
}

fn duplicate(face: &DuplicateFace) -> Field {
    let members = [
        ("face_group_code", text(face.face_group_code.as_deref())),
        ("face_id", text(face.face_id.as_deref())),
        ("merchant_user_id", text(face.merchant_user_id.as_deref())),
        ("score", field(face.score, Field::Double)),
    ];
    Field::Group(Group::new(
        members.map(|(name, field)| (name.to_owned(), field)).to_vec(),
    ))
}

fn values<N: Into<String>>(columns: Vec<(N, Field)>) -> Columns {
    let columns = columns.into_iter();
    columns.map(|(name, field)| (name.into(), field.into())).collect()
}

/// The design's table, written a second time by hand.
fn expected(row: &Verification) -> Columns {
    let (record, face) = (&row.record, &row.record.face);
    let expires_at = row.verified_at.map(|at| at + SignedDuration::from_hours(720));
    let duplicates = face.duplicate_faces.as_deref();
    let duplicates = duplicates.map(|faces| faces.iter().map(duplicate).collect());
    let image_sha256 = record.images.first().map(|image| sha256_hex(&image.bytes));
    let mut columns = values(vec![
        ("transaction_id", text(Some(&row.transaction_id))),
        ("merchant_biz_id", text(Some(&row.merchant_biz_id))),
        ("product_code", text(Some(&row.product_code))),
        ("region", text(Some(&row.region))),
        ("verified_at", instant(row.verified_at)),
        ("expires_at", instant(expires_at)),
        ("fetched_at", instant(Some(row.fetched_at))),
        ("request_id", text(record.request_id.as_deref())),
        ("passed", Field::Bool(record.passed)),
        ("sub_code", text(Some(&record.sub_code))),
        ("billed", field(row.billed, Field::Bool)),
        ("face_attack", field(face.attack, Field::Bool)),
        ("face_registered", field(face.registered, Field::Bool)),
        ("face_attack_score", field(face.attack_score, Field::Double)),
        ("guard_risk_score", field(face.guard_risk_score, Field::Double)),
        ("face_comparison_score", field(face.comparison_score, Field::Double)),
        ("face_age", field(face.age, Field::Short)),
        ("face_gender", text(face.gender.as_deref())),
        ("face_registration_id", text(face.registration_id.as_deref())),
        ("device_token", text(face.device_token.as_deref())),
        ("video_url", text(face.video_url.as_deref())),
        ("duplicate_faces", Field::Null),
        ("face_image_sha256", text(image_sha256.as_deref())),
        ("ext_face_info", text(record.ext_face_info.as_deref())),
        ("ekyc_result", text(record.ekyc_result.as_deref())),
        ("ext_basic_info", text(record.ext_basic_info.as_deref())),
        ("ext_id_info", text(record.ext_id_info.as_deref())),
        ("ext_info", text(record.ext_info.as_deref())),
        ("ext_risk_info", text(record.ext_risk_info.as_deref())),
        ("ext_source_info", text(record.ext_source_info.as_deref())),
        ("parse_status", text(Some(record.parse_status.as_str()))),
        ("reply_sha256", text(Some(&sha256_hex(&row.body)))),
        ("run_id", text(Some(&row.run_id))),
        ("billing_date", day(row)),
        ("business_unit", Field::Null),
        ("video_sha256", Field::Null),
        ("video_bytes", Field::Null),
        ("video_encrypted_sha256", Field::Null),
    ]);
    if let Some(duplicates) = duplicates {
        columns[21].1 = Value::List(duplicates);
    }
    columns
}

fn expected_faces(row: &Verification) -> impl Iterator<Item = Columns> {
    row.record.images.iter().map(|image| {
        values(vec![
            ("transaction_id", text(Some(&row.transaction_id))),
            ("image", Field::Bytes(ByteArray::from(image.bytes.clone()))),
            ("sha256", text(Some(&sha256_hex(&image.bytes)))),
            ("media_type", text(Some(image.media_type))),
            ("billing_date", day(row)),
            ("encrypted_sha256", Field::Null),
        ])
    })
}

/// Writes the rows, and compares every column of every row.
fn holds(rows: &[Verification<'static>]) {
    let fixture = Fixture::new();
    let mut written = Vec::new();
    for path in publish(finish(fixture.stage(), rows.to_vec())) {
        written.push(read(&fixture.published(&path)));
    }
    let faces: Vec<Columns> = rows.iter().flat_map(expected_faces).collect();
    let verifications: Vec<Columns> = rows.iter().map(expected).collect();
    let expected = [verifications, faces].into_iter().filter(|rows| !rows.is_empty());
    assert_eq!(written, expected.collect::<Vec<_>>());
}

#[test]
fn full_and_bare_rows_come_back_as_they_went_in() {
    let mut empty_list = row(2);
    empty_list.record.face.duplicate_faces = Some(Vec::new());
    holds(&[bare_row(), full_row(1), empty_list, row(3), full_row(4)]);
}

#[test]
fn rows_come_back_across_batches() {
    let rows: Vec<Verification> = (0..2500)
        .map(|i| if i % 7 == 0 { full_row(i) } else { row(i) })
        .collect();
    holds(&rows);
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    of(".{0,12}")
}

fn any_score() -> impl Strategy<Value = Option<f64>> {
    of(prop::num::f64::NORMAL | prop::num::f64::ZERO)
}

prop_compose! {
    fn any_duplicate()(texts in (any_text(), any_text(), any_text()), score in any_score()) -> DuplicateFace {
        let (face_group_code, face_id, merchant_user_id) = texts;
        DuplicateFace { face_group_code, face_id, merchant_user_id, score }
    }
}

prop_compose! {
    fn any_face()(
        (attack, registered, age) in any::<(Option<bool>, Option<bool>, Option<i16>)>(),
        (attack_score, guard_risk_score, comparison_score) in (any_score(), any_score(), any_score()),
        (gender, registration_id, device_token, video_url) in (any_text(), any_text(), any_text(), any_text()),
        duplicate_faces in of(vec(any_duplicate(), 0..4)),
    ) -> FaceInfo {
        FaceInfo {
            attack, registered, attack_score, guard_risk_score, comparison_score, age,
            gender, registration_id, device_token, video_url, duplicate_faces,
        }
    }
}

prop_compose! {
    fn any_record()(
        face in any_face(),
        (passed, sub_code) in (any::<bool>(), "[0-9A-Z_]{0,5}"),
        (request_id, ext_face_info, ekyc_result, ext_basic_info) in (any_text(), any_text(), any_text(), any_text()),
        (ext_id_info, ext_info, ext_risk_info, ext_source_info) in (any_text(), any_text(), any_text(), any_text()),
        images in vec(vec(any::<u8>(), 0..40), 0..3),
        parse_status in prop::sample::select(vec![ParseStatus::Ok, ParseStatus::Partial, ParseStatus::Unparsed]),
    ) -> Record {
        let images = images.into_iter().map(|bytes| FaceImage::new(bytes, "image/png")).collect();
        Record {
            request_id, passed, sub_code, face, ext_face_info, ekyc_result, ext_basic_info, ext_id_info, ext_info,
            ext_risk_info, ext_source_info, images, parse_status,
        }
    }
}

prop_compose! {
    fn any_row()(
        record in any_record(),
        (transaction_id, merchant_biz_id) in ("[A-Za-z0-9_-]{1,64}", "[A-Za-z0-9]{1,64}"),
        (product_code, region) in ("[A-Z_]{1,20}", "[a-z0-9-]{1,20}"),
        // From 1906 to 2096, in nanoseconds: what is finer than a microsecond is to be cut off.
        (verified_at, fetched_at) in (of(-2_000_000_000_000_000_000..4_000_000_000_000_000_000_i128), 0..1_i128 << 60),
        billed in any::<Option<bool>>(),
    ) -> Verification<'static> {
        let instant = |at| Timestamp::from_nanosecond(at).unwrap();
        Verification {
            body: transaction_id.clone().into_bytes().into(),
            transaction_id: transaction_id.into(),
            merchant_biz_id: merchant_biz_id.into(),
            product_code: product_code.into(),
            region: region.into(),
            billed,
            record,
            billing_day: verified_at.map(|at| instant(at).to_zoned(jiff::tz::TimeZone::UTC).date()),
            verified_at: verified_at.map(instant),
            fetched_at: instant(fetched_at),
            run_id: "run".into(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_come_back_as_they_went_in(mut rows in vec(any_row(), 0..12)) {
        rows.sort_by_key(|row| row.verified_at);
        holds(&rows);
    }
}
