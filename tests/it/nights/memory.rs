//! What another program could see of a run at work or of one that broke: its command line, its memory, a core dump, a
//! panic's message.
#![cfg(target_os = "linux")]

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use idvault::sandbox::{Mix, SANDBOX_ACCESS_KEY_SECRET};

use super::disk::Disk;
use super::permissions::in_shell;
use super::{Ended, Place, Running, Vendor, made_up, wait_until};

/// A run with calls under way, started by a line of shell.
fn at_work(place: &Place, line: &str) -> (Vendor, Running) {
    let vendor = Vendor::start(Mix::AllFinal, Duration::from_millis(200));
    let source = place.write("pending.csv", made_up(300, 3, "FACE_LIVENESS"));
    let command = place.night_of(&vendor, &["--pending", &source, "--concurrency", "8"]);
    let run = Running::start(&mut in_shell(line, "sh", &command));
    wait_until("calls are under way", || vendor.counts().calls >= 8);
    (vendor, run)
}

fn of_process(run: &Running, name: &str) -> String {
    std::fs::read_to_string(format!("/proc/{}/{name}", run.0.id())).unwrap()
}

#[test]
fn a_run_at_work_shows_no_secret_in_its_command_line_and_may_dump_no_core() {
    let place = Place::new();
    let (_vendor, run) = at_work(&place, "ulimit -c unlimited; exec \"$@\"");
    let command_line = of_process(&run, "cmdline");
    assert!(command_line.contains("idvault\0run\0--endpoint\0"), "{command_line}");
    assert!(!command_line.contains(SANDBOX_ACCESS_KEY_SECRET), "{command_line}");
    let limits = of_process(&run, "limits");
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(core, ["0", "0", "bytes"]);
}

#[test]
fn a_run_that_is_aborted_leaves_no_core() {
    let place = Place::new();
    let (_vendor, mut run) = at_work(&place, "ulimit -c unlimited; exec \"$@\"");
    let sent = Command::new("/bin/kill")
        .args(["-ABRT", &run.0.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let status = run.0.wait().unwrap();
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped());
    let mut left: Vec<_> = std::fs::read_dir(place.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["data", "pending.csv"]);
}

/// Started without the privileges of a test that runs as root, as is the program that looks.
const PLAIN: &str =
    "if [ \"$(id -u)\" = 0 ]; then exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"; fi; exec \"$@\"";

fn environment_of(id: u32) -> Option<Vec<u8>> {
    let mut look = Command::new("/bin/sh");
    look.args(["-c", PLAIN, "sh", "cat", &format!("/proc/{id}/environ")]);
    let seen = look.output().unwrap();
    seen.status.success().then_some(seen.stdout)
}

#[test]
fn no_other_program_of_the_same_user_can_look_into_a_run() {
    let place = Place::new();
    let (_vendor, run) = at_work(&place, PLAIN);
    assert_eq!(environment_of(run.0.id()), None);
    // What looks is able to: it sees any other program's.
    let mut sleep = Command::new("/bin/sh");
    sleep.env("CANARY", "seen").args(["-c", PLAIN, "sh", "sleep", "60"]);
    let sleep = Running::start(&mut sleep);
    wait_until("another program shows its environment", || {
        environment_of(sleep.0.id()).is_some_and(|seen| seen.windows(11).any(|text| text == b"CANARY=seen"))
    });
}

/// The decoder of Parquet 60.1 panics on some damage: on a page of numbers, say, whose encoding is one that needs a
/// dictionary where the page has none. The file is named, so the panic itself is not said.
#[test]
fn a_panic_of_the_decoder_is_a_difference_and_nothing_else() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(20, 1, "FACE_LIVENESS"));
    place.night(&["--pending", &source]).expect(4);
    let file = place.archive_files()[0].clone();
    let path = place.data().join("archive").join(&file);
    let good = std::fs::read(&path).unwrap();
    let plain_page = [0x15, 0x00, 0x15, 0x06, 0x15, 0x06];
    let pages = (0..good.len()).filter(|at| good[*at..].starts_with(&plain_page));
    let mut panicked = pages.filter_map(|at| {
        let mut bytes = good.clone();
        bytes[at + 1] = 0x04;
        std::fs::write(&path, bytes).unwrap();
        let ended = place.idvault(&["verify", "--read-data"]).expect(9);
        ended.stdout.contains("the decoder panicked").then_some(ended)
    });
    let ended = panicked.next().expect("a page on which the decoder panics");
    assert!(
        ended.stdout.contains(&format!("unreadable: {file}: ")),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stderr, "");
}

/// A thread that can't be begun makes the standard library panic, which nothing of idvault expects.
#[test]
fn a_thread_that_can_not_be_had_is_an_error_with_a_sentence() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(1, 1, "FACE_LIVENESS"));
    place.night(&["--pending", &source]).expect(0);
    for (args, threads, code) in [
        (&["verify"][..], 0, 3),
        (&["verify"], 11, 3),
        (&["run", "--dry-run"], 1, 3),
        (&["run", "--dry-run"], 0, 1),
    ] {
        let disk = Disk::that(&format!("{}thread:new fail:EAGAIN", "thread:new ".repeat(threads)));
        let mut command = place.command(args);
        let ended = Ended::of(disk.under(&mut command).output().unwrap()).expect(code);
        assert!(disk.fired().is_some());
        assert!(ended.stderr.contains("threads"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("unexpectedly"), "{}", ended.stderr);
    }
}

#[test]
fn any_other_panic_is_one_line_whatever_the_environment_says() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(1, 1, "FACE_LIVENESS"));
    place.night(&["--pending", &source]).expect(0);
    // After the thread for signals, a library's own: that of the sandbox's runtime.
    let disk = Disk::that("thread:new thread:new fail:EAGAIN");
    let mut run = place.command(&["run", "--sandbox", "--quiet", "--pending", &source]);
    let ended = Ended::of(disk.under(&mut run).env("RUST_BACKTRACE", "full").output().unwrap()).expect(1);
    assert!(disk.fired().is_some());
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let start = "idvault: a part of this program failed unexpectedly at ";
    let said = ended.stderr.trim_end();
    assert!(
        said.starts_with(start) && said.ends_with("; please report this line"),
        "{said}"
    );
}
