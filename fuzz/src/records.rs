//! An export of the vendor's records of any bytes, CSV or workbook.

use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use idvault::config::{ConfigFile, Overrides, Settings};
use idvault::ledger::VendorRecord;
use idvault::reconcile::SourceError;
use idvault::reconcile::records::{RecordsSettings, parse, read};
use idvault::record::TransactionId;

use super::assert_shown;

fn settings() -> &'static RecordsSettings {
    static SETTINGS: OnceLock<RecordsSettings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        Settings::new(ConfigFile::default(), Overrides::default())
            .unwrap()
            .records
    })
}

/// The records of a file until `stop` of them were taken, and how it ended.
fn read_file(path: &Path, stop: usize) -> (Vec<VendorRecord>, Result<u64, String>) {
    let mut records = Vec::new();
    let exports = parse(&[path.to_owned()], settings(), Path::new(".")).unwrap();
    let ended = read::<SourceError>(exports, settings(), &mut |record| {
        records.push(record.clone());
        Ok(records.len() < stop)
    });
    (records, ended.map_err(|error| idvault::error_chain(&error)))
}

/// An export is read to its end, or refused with a sentence that a person can be shown. What was read is what records may
/// say; the same bytes give the same records; and an id that came before ends it at once.
pub fn records(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    idvault::files::create_private(&path).unwrap().write_all(bytes).unwrap();
    let (records, ended) = read_file(&path, usize::MAX);
    for record in &records {
        let id = record.transaction_id.as_str();
        assert_eq!(TransactionId::parse(id).as_ref(), Ok(&record.transaction_id));
        assert!(
            record
                .sub_code
                .as_ref()
                .is_none_or(|code| !code.is_empty() && code.is_ascii())
        );
    }
    if let Err(error) = &ended {
        assert_shown(error, usize::MAX);
        assert!(error.contains("records"), "{error}");
    }
    let half = records.len() / 2;
    if half > 0 {
        let (first, ended) = read_file(&path, half);
        assert_eq!(first, records[..half]);
        assert!(ended.is_err(), "an id that came before is taken");
    }
}
