//! Looking changes nothing: a dry run works on a copy.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use idvault::sandbox::Mix;

use super::{Place, Running, Vendor, files_below, made_up, samples, wait_until};

/// Every file of the data folder but the dry run's own, with its bytes and times.
fn everything(place: &Place) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let root = place.data();
    let files = files_below(&root).into_iter().filter_map(|path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let ours = name.starts_with("dry-run/") || name.ends_with("-shm") || name.ends_with("-wal");
        let modified = path.metadata().unwrap().modified().unwrap();
        (!ours).then(|| (name, (std::fs::read(&path).unwrap(), modified)))
    });
    files.collect()
}

#[test]
fn a_dry_run_leaves_ledger_archive_and_reports_byte_for_byte() {
    let (place, vendor) = (Place::new(), Vendor::start(Mix::Realistic, Duration::ZERO));
    let source = samples("pending.csv");
    Running::start(&mut place.night_of(&vendor, &["--pending", &source])).end();
    let latest = std::fs::read_link(place.data().join("reports/latest")).unwrap();
    let before = everything(&place);
    let more = place.write("more.csv", made_up(50, 3, "FACE_LIVENESS"));
    let ended = place.idvault(&["run", "--dry-run", "--pending", &more, "--json"]);
    assert_eq!(ended.json()["intake"]["new"], 50, "{}", ended.stderr);
    assert_eq!(everything(&place), before);
    assert_eq!(std::fs::read_link(place.data().join("reports/latest")).unwrap(), latest);
    // Nor does it hide what the night said, wait for a run, or leave its copy behind.
    assert!(place.data().join("dry-run/reports/latest/report.html").exists());
    assert!(!place.data().join("dry-run/ledger.sqlite").exists());
    let silent = place.pipe("silent");
    let run = Running::start(&mut place.command(&["run", "--sandbox", "--pending", &silent]));
    // Not by a command that takes the lock itself: the run would find it held, and end.
    let staging = place.data().join(".staging");
    wait_until("the run holds its lock and has begun its reports", || {
        std::fs::read_dir(&staging).unwrap().count() > 0
    });
    let ended = place.idvault(&["run", "--dry-run", "--pending", &more, "--json"]);
    assert_eq!(ended.json()["intake"]["new"], 50, "{}", ended.stderr);
    run.terminate();
    run.end();
}
