//! Everything that idvault makes is private whatever the umask: after a night, and at every moment of one.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use idvault::sandbox::Mix;

use super::{Ended, Place, Running, Vendor, made_up};

const UMASKS: [&str; 4] = ["0000", "0022", "0077", "0777"];

/// The same command, under a umask.
pub(super) fn under(umask: &str, command: &Command) -> Command {
    in_shell("umask \"$0\"; exec \"$@\"", umask, command)
}

/// The same command, started by a line of shell that is handed a word as `$0` and the command as `$@`.
pub(super) fn in_shell(line: &str, word: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .env_clear()
        .args(["-c", line, word])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(command.get_envs().filter_map(|(name, text)| Some((name, text?))))
        .current_dir(command.get_current_dir().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

/// The mode of the folder and of everything below it but links. What goes away meanwhile is left out.
fn modes(folder: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_symlink() {
            continue;
        }
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten();
            waiting.extend(entries.map(|entry| entry.unwrap().path()));
        }
        found.insert(path, if metadata.is_dir() { mode | DIR } else { mode });
    }
    found
}

/// Marks a folder among the modes.
const DIR: u32 = 0o40_000;

#[track_caller]
fn assert_private(modes: &BTreeMap<PathBuf, u32>, why: &str) {
    for (path, mode) in modes {
        let private = [DIR | 0o700, 0o600].contains(mode);
        assert!(private, "{why}: {} has the mode {mode:o}", path.display());
    }
}

/// Fails the test where a name is not among the paths: what was not there was not checked.
#[track_caller]
fn assert_seen(modes: &BTreeMap<PathBuf, u32>, names: &[&str]) {
    for name in names {
        let seen = modes.keys().any(|path| path.to_str().unwrap().contains(name));
        assert!(seen, "{name} is not among {:?}", modes.keys());
    }
}

#[test]
fn after_a_night_under_any_umask_folders_are_0700_and_files_0600() {
    for umask in UMASKS {
        let place = Place::new();
        let source = place.write("pending.csv", made_up(15, 3, "FACE_LIVENESS") + "no good id,,,\n");
        let night = [
            "run",
            "--sandbox",
            "--qps",
            "unlimited",
            "--images",
            "--pending",
            &source,
        ];
        let output = under(umask, &place.command(&night)).output().unwrap();
        Ended::of(output).expect(4);
        let modes = modes(&place.data());
        assert_private(&modes, umask);
        assert_seen(
            &modes,
            &[
                "/ledger.sqlite",
                "/lock",
                "/.staging",
                "/archive/verifications/billing_day=2026-11-01/",
                "/archive/face_images/billing_day=2026-11-01/",
                "/reports/2026-11-22T020000Z/summary.json",
                "/reports/2026-11-22T020000Z/billing.csv",
                "/reports/2026-11-22T020000Z/expiry.csv",
                "/reports/2026-11-22T020000Z/quarantine.csv",
                "/reports/2026-11-22T020000Z/rejected.csv",
            ],
        );
        let init = under(umask, &place.bare(&["init", "new/idvault.toml"]));
        std::fs::create_dir(place.path("new")).unwrap();
        let output = { init }.output().unwrap();
        Ended::of(output).expect(0);
        let made = std::fs::metadata(place.path("new/idvault.toml")).unwrap();
        assert_eq!(made.permissions().mode() & 0o7777, 0o600, "{umask}");
    }
}

/// A umask of 0 takes nothing away: what is ever wider than it should be shows.
#[test]
fn at_no_moment_of_a_night_is_anything_open_to_others() {
    let (place, vendor) = (Place::new(), Vendor::start(Mix::Realistic, Duration::from_millis(5)));
    let source = place.write("pending.csv", made_up(100, 3, "FACE_LIVENESS"));
    let args = ["--pending", &source, "--concurrency", "8"];
    let mut run = Running::start(&mut under("0000", &place.night_of(&vendor, &args)));
    let mut seen = BTreeMap::new();
    while !run.ended() {
        let now = modes(&place.data());
        assert_private(&now, "at work");
        seen.extend(now);
    }
    run.end().expect(4);
    let at_work = [
        "/ledger.sqlite-wal",
        "/ledger.sqlite-shm",
        "/lock",
        "/.staging/reports-",
        "/rejected.csv",
        ".parquet",
    ];
    assert_seen(&seen, &at_work);
}

#[test]
fn a_killed_run_leaves_private_files() {
    let (place, vendor) = (Place::new(), Vendor::start(Mix::AllFinal, Duration::from_millis(50)));
    let source = place.write("pending.csv", made_up(300, 7, "FACE_LIVENESS"));
    let args = ["--pending", &source, "--concurrency", "8"];
    let mut run = Running::start(&mut under("0000", &place.night_of(&vendor, &args)));
    super::wait_until("calls were answered", || vendor.counts().finals >= 20);
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    let left = modes(&place.data());
    assert_private(&left, "killed");
    assert_seen(&left, &["/ledger.sqlite-wal", "/.staging/reports-"]);
}
