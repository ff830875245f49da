//! What the tests share: an archive in a temporary folder, and rows.
//!
//! - `round_trip`: what is written is read on an independent path, column by column
//! - `reading`: what the comparison with the ledger reads
//! - `storage`: how it is stored: row groups, bloom filter, statistics, metadata
//! - `staging`: what happens to files: publication, damage, left-overs, permissions

mod reading;
mod round_trip;
mod staging;
mod storage;

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use tempfile::TempDir;

use super::schema::Limits;
use super::{Archive, ArchiveError, StagedDay, StagedFile};
use crate::record::{DuplicateFace, FaceImage, FaceInfo, ParseStatus, Record, Verification, sha256_hex};

/// 2026-11-20T16:00:00Z: where the vendor's 21 November begins.
const DAY_BEGINS_SECONDS: i64 = 1_795_190_400;

const DAY: Date = date(2026, 11, 21);

struct Fixture {
    data_dir: TempDir,
    archive: Archive,
}

impl Fixture {
    fn new() -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let archive = Archive::open(data_dir.path()).unwrap();
        Self { data_dir, archive }
    }

    fn stage(&self) -> StagedDay {
        self.stage_as(Some(DAY), "20261122T020000Z-1a2b", 1).unwrap()
    }

    fn stage_as(&self, day: Option<Date>, run_id: &str, sequence: u32) -> Result<StagedDay, ArchiveError> {
        self.archive.stage(day, run_id, sequence)
    }

    fn stage_within(&self, limits: Limits) -> StagedDay {
        let place = self.archive.place(Some(DAY), "run", 1).unwrap();
        StagedDay::new(&place, limits)
    }

    /// The path of what was published.
    fn published(&self, relative_path: &str) -> PathBuf {
        self.data_dir.path().join("archive").join(relative_path)
    }

    /// The names in the staging folder.
    fn staged(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data_dir.path().join(".staging")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn finish(mut day: StagedDay, rows: impl IntoIterator<Item = Verification<'static>>) -> Vec<StagedFile> {
    for row in rows {
        day.append(&row).unwrap();
    }
    day.finish().unwrap()
}

/// Publishes everything, and returns the relative paths.
fn publish(files: Vec<StagedFile>) -> Vec<String> {
    StagedFile::publish(&files).unwrap();
    files.into_iter().map(|file| file.relative_path.clone()).collect()
}

/// The `index`th row of the day: what the vendor says of a face that passed.
fn row(index: u32) -> Verification<'static> {
    let verified_at = Timestamp::from_second(DAY_BEGINS_SECONDS + i64::from(index)).unwrap();
    let noise = sha256_hex(&index.to_le_bytes());
    Verification {
        transaction_id: format!("hks{}", &noise[..29]).into(),
        merchant_biz_id: noise[32..].to_owned().into(),
        product_code: "FACE_LIVENESS".into(),
        region: "ap-southeast-1".into(),
        verified_at: Some(verified_at),
        billing_day: Some(DAY),
        fetched_at: Timestamp::from_second(DAY_BEGINS_SECONDS + 172_800).unwrap(),
        run_id: "20261122T020000Z-1a2b".into(),
        body: noise.clone().into_bytes().into(),
        billed: Some(true),
        record: Record {
            request_id: Some(noise[..36].to_uppercase()),
            passed: index % 10 != 3,
            sub_code: if index % 10 == 3 { "205" } else { "200" }.to_owned(),
            face: FaceInfo {
                attack: Some(false),
                attack_score: Some(f64::from(index % 1000) / 10.0),
                age: Some(20 + i16::try_from(index % 50).unwrap()),
                gender: Some("F".to_owned()),
                device_token: Some(noise.repeat(2)),
                ..FaceInfo::default()
            },
            ext_face_info: Some(format!(
                r#"{{"faceAge":{},"faceAttack":"N","deviceToken":"{noise}"}}"#,
                20 + index % 50
            )),
            ekyc_result: None,
            ext_basic_info: None,
            ext_id_info: None,
            ext_info: None,
            ext_risk_info: Some(String::new()),
            ext_source_info: None,
            images: Vec::new(),
            parse_status: ParseStatus::Ok,
        },
    }
}

/// A row in which everything is there.
fn full_row(index: u32) -> Verification<'static> {
    let mut row = row(index);
    row.record.face = FaceInfo {
        attack: Some(true),
        registered: Some(false),
        attack_score: Some(99.5),
        guard_risk_score: Some(0.0),
        comparison_score: Some(100.0),
        age: Some(-1),
        gender: Some("M".to_owned()),
        registration_id: Some("reg-1".to_owned()),
        device_token: Some("token".to_owned()),
        video_url: Some("https://example.com/v?a=1&b=2".to_owned()),
        duplicate_faces: Some(vec![
            DuplicateFace {
                face_group_code: Some("g".to_owned()),
                face_id: Some("f".to_owned()),
                merchant_user_id: Some("ü".to_owned()),
                score: Some(81.25),
            },
            DuplicateFace::default(),
        ]),
    };
    row.record.ekyc_result = Some("{}".to_owned());
    row.record.ext_basic_info = Some("basic".to_owned());
    row.record.ext_id_info = Some("id".to_owned());
    row.record.ext_info = Some("info".to_owned());
    row.record.ext_source_info = Some("source".to_owned());
    row.record.images = vec![image(index, 3), image(index + 1, 5)];
    row
}

/// A row of which nothing is known but what must be.
fn bare_row() -> Verification<'static> {
    let mut row = row(0);
    row.verified_at = None;
    row.billing_day = None;
    row.billed = None;
    row.record.face = FaceInfo::default();
    row.record.request_id = None;
    row.record.ext_face_info = None;
    row.record.ext_risk_info = None;
    row.record.parse_status = ParseStatus::Unparsed;
    row
}

/// An image that does not compress.
fn image(seed: u32, bytes: usize) -> FaceImage {
    let mut random = fastrand::Rng::with_seed(u64::from(seed));
    let mut image = vec![0; bytes];
    random.fill(&mut image);
    FaceImage::new(image, "image/jpeg")
}
