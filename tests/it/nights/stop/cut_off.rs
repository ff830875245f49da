//! What can't end by itself is cut off, and the next run goes on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use idvault::sandbox::Mix;
use rustix::fs::OFlags;

use super::super::disk::Disk;
use super::super::{Place, Running, Vendor, made_up, wait_until};
use super::{BOUND, said};

/// When a run that was told to end, and does not, is cut off: before the 10 s are over that are promised.
const CUT_OFF: Duration = Duration::from_millis(9_500);

/// The end of a pipe that is full and that nobody reads, so that a program that writes to it can't end by itself.
fn full_pipe(place: &Place) -> (File, File) {
    let pipe = place.path(&place.pipe("pipe"));
    let mut filling = OpenOptions::new();
    filling
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let mut full = filling.open(&pipe).unwrap();
    while full.write(&[b'.'; 4096]).is_ok() {}
    (full, OpenOptions::new().write(true).open(&pipe).unwrap())
}

/// Tells a run to end that something holds up, and sees that it was cut off when it should be.
fn assert_cut_off(mut run: Running) -> Running {
    let told = Instant::now();
    run.terminate();
    wait_until("it has ended", || run.ended());
    let took = told.elapsed();
    assert!(took >= CUT_OFF && took < BOUND, "{took:?}");
    assert_eq!(run.0.wait().unwrap().code(), Some(128 + 15));
    run
}

#[test]
fn a_run_whose_plan_nobody_reads_is_cut_off_and_the_next_one_goes_on() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(10, 3, "FACE_LIVENESS"));
    let (_full, end) = full_pipe(&place);
    let mut command = place.command(&["run", "--dry-run", "--pending", &source]);
    let run = Running::start(command.stdout(end));
    wait_until("only the plan is left", || place.latest().exists());
    let mut run = assert_cut_off(run);
    said(&mut run, "did not end in time");
    // A dry run has taken nothing in, and no source is named now: that needs a look.
    place.idvault(&["run", "--intake-only"]).expect(4);
}

/// Every thread that has something to say waits for ever, and what a signal does is said, too.
#[test]
fn a_run_whose_log_nobody_reads_is_cut_off_and_the_next_one_goes_on() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(10, 3, "FACE_LIVENESS"));
    let (_full, end) = full_pipe(&place);
    let mut command = place.command(&["run", "--sandbox", "--pending", &source]);
    let run = Running::start(command.stderr(end));
    wait_until("the ledger is there", || place.data().join("ledger.sqlite").exists());
    std::thread::sleep(Duration::from_millis(500));
    assert_cut_off(run);
    place.night(&["--pending", &source]).expect(0);
    // Some of the sandbox's are not final yet.
    assert_eq!(place.states().values().sum::<u64>(), 10);
    place.idvault(&["verify"]).expect(0);
}

#[test]
fn a_run_whose_disk_hangs_is_cut_off_and_the_next_one_goes_on() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(10, 3, "FACE_LIVENESS"));
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    for call in ["recv:socket:* sync:*-wal", "sync:*.parquet"] {
        let disk = Disk::that(&format!("{call} hang"));
        let mut night = place.night_of(&vendor, &["--pending", &source]);
        let run = Running::start(disk.under(&mut night));
        wait_until("the disk hangs", || disk.fired().is_some());
        let mut run = assert_cut_off(run);
        said(&mut run, "did not end in time");
    }
    Running::start(&mut place.night_of(&vendor, &[])).end().expect(0);
    assert_eq!(place.states(), BTreeMap::from([("archived".to_owned(), 10)]));
    place.idvault(&["verify"]).expect(0);
}
