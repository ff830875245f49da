//! What the comparison with the ledger reads.

use super::{Fixture, finish, full_row, publish, row};
use crate::archive::{Archive, ArchiveError, Columns, StoredFace, StoredRow};
use crate::record::{Verification, expires_at, sha256_hex};

#[test]
fn ids_and_what_a_comparison_needs_are_read_in_order() {
    let fixture = Fixture::new();
    let rows: Vec<Verification> = (0..1500).map(row).collect();
    let files = finish(fixture.stage(), rows.clone());
    assert_eq!(files.len(), 1);
    let path = &publish(files)[0];
    let archive = Archive::open(fixture.data_dir.path()).unwrap();

    let mut ids = Vec::new();
    let read = archive.read_ids(path, &mut |id| ids.push(id.to_owned())).unwrap();
    assert_eq!(read, 1500);
    assert!(ids.iter().eq(rows.iter().map(|row| &row.transaction_id)));

    for columns in [Columns::Compared, Columns::All] {
        let mut expected = rows.iter();
        let each = &mut |read: StoredRow<'_>| {
            let row = expected.next().unwrap();
            let verified_at = row.verified_at.unwrap();
            let stored = StoredRow {
                transaction_id: &row.transaction_id,
                merchant_biz_id: &row.merchant_biz_id,
                product_code: &row.product_code,
                region: &row.region,
                verified_at: Some(verified_at.as_microsecond()),
                expires_at: Some(expires_at(verified_at).as_microsecond()),
                fetched_at: row.fetched_at.as_microsecond(),
                passed: row.record.passed,
                sub_code: &row.record.sub_code,
                face_image_sha256: None,
                run_id: Some(&row.run_id),
            };
            assert_eq!(read, stored);
            Ok::<_, ArchiveError>(())
        };
        let counted = archive.read_verifications(path, columns, each).unwrap();
        assert_eq!(counted.values().sum::<u64>(), 1500);
    }
}

#[test]
fn faces_are_read_with_their_images_or_without() {
    let fixture = Fixture::new();
    let paths = publish(finish(fixture.stage(), (0..3).map(full_row)));
    for columns in [Columns::Compared, Columns::All] {
        let mut hashes = Vec::new();
        let each = &mut |face: StoredFace<'_>| {
            let hash = face.image.map(sha256_hex);
            assert_eq!(hash.as_deref(), (columns == Columns::All).then_some(face.sha256));
            hashes.push(face.sha256.to_owned());
            Ok::<_, ArchiveError>(())
        };
        fixture.archive.read_faces(&paths[1], columns, each).unwrap();
        assert!(
            hashes.len() >= 3 && hashes.iter().all(|hash| hash.len() == 64),
            "{hashes:?}"
        );
    }
}
