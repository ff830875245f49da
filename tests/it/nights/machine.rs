//! A machine that is not as usual: one that gives less than a run would take, and names that are no text. The night says what is
//! missing, or goes on with what there is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use super::{Ended, Place, samples};

/// A night of the sample under a limit of the shell's.
fn limited(place: &Place, limit: &str) -> Ended {
    let mut command = Command::new("/bin/sh");
    let night = place.command(&["run", "--sandbox", "--qps", "unlimited", "--concurrency", "200"]);
    command
        .env_clear()
        .current_dir(place.dir.path())
        .args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"])
        .arg(night.get_program())
        .args(night.get_args())
        .args(["--pending", &samples("pending.csv")]);
    Ended::of(command.output().unwrap())
}

/// The sample's night ends with 5 by itself: the vendor has deleted one of its records.
fn completes(place: &Place) {
    place.night(&["--pending", &samples("pending.csv")]).expect(5);
    assert_eq!(place.states()["archived"], 460);
    place.idvault(&["verify"]).expect(0);
}

/// Each call in flight holds one; many systems give 1024 unless they are asked for more.
#[test]
fn few_open_files_do_not_slow_a_night_down_where_more_may_be_had() {
    let place = Place::new();
    limited(&place, "-S -n 24").expect(5);
    assert_eq!(place.states()["archived"], 460);
}

#[test]
fn where_the_machine_gives_next_to_no_open_files_that_is_said() {
    let place = Place::new();
    let ended = limited(&place, "-n 8").expect(1);
    assert!(
        ended.stderr.contains("see what limits the threads and open files"),
        "{}",
        ended.stderr
    );
    completes(&place);
}

/// What the kernel answers with a signal, which ends a process that does not listen for it.
#[test]
fn a_file_that_may_not_grow_is_named_and_the_next_night_completes() {
    // In blocks of 512 or 1024 bytes.
    for blocks in [40, 400] {
        let place = Place::new();
        let ended = limited(&place, &format!("-f {blocks}")).expect(6);
        assert!(ended.stderr.contains("in the ledger"), "{}", ended.stderr);
        completes(&place);
    }
}

#[test]
fn a_data_folder_whose_name_is_no_text_is_as_good_as_any() {
    let place = Place::new();
    let name = OsStr::from_bytes(b"of\xff\nany bytes");
    let run = |args: &[&str], code: i32| {
        let mut command = place.bare(args);
        command.arg("--data-dir").arg(name).args(["--now", place.now]);
        Ended::of(command.output().unwrap()).expect(code)
    };
    run(
        &[
            "run",
            "--sandbox",
            "--qps",
            "unlimited",
            "--pending",
            &samples("pending.csv"),
        ],
        5,
    );
    run(&["status", "--json"], 0);
    run(&["verify", "--read-data"], 0);
    let summary = place.dir.path().join(name).join("reports/latest/summary.json");
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["paths"]["archive"], "of\u{fffd}\nany bytes/archive");
}
