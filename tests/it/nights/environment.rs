//! Machines as they are: read-only roots, containers' layers, other users, files from Windows, readers that leave.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use idvault::sandbox::Mix;
use tempfile::TempDir;

use super::compact::after_nights;
use super::permissions::in_shell;
use super::{Ended, Place, Running, Vendor, made_up};

/// A user and a group that nobody has.
const USER: u32 = 54_321;
const GROUP: u32 = 54_322;

/// Whether this test may be another user, and mount file systems. Where not, what needs it says so.
fn is_root() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    if !root {
        println!("not run: this needs root");
    }
    root
}

/// The program in a folder that every user can read: that of the tests may be where others can't go.
fn program_for_all() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("idvault");
    std::fs::copy(env!("CARGO_BIN_EXE_idvault"), &program).unwrap();
    for path in [folder.path(), &program] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    (folder, program)
}

fn give_away(folder: &Path, user: u32, group: u32) {
    let status = Command::new("chown")
        .arg("-R")
        .arg(format!("{user}:{group}"))
        .arg(folder)
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn root_is_refused_in_a_service_users_folder_and_told_whose_it_is() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let source = place.write("pending.csv", made_up(5, 2, "FACE_LIVENESS"));
    place.night(&["--pending", &source]).expect(0);
    give_away(&place.data(), USER, GROUP);
    let owner = format!("it belongs to another user ({USER})");
    for args in [
        &["run", "--sandbox"][..],
        &["run", "--dry-run"],
        &["compact"],
        &["verify"],
        &["quarantine", "retry", "--all"],
        &["close", "--month", "2026-10", "--accept", "no-bill=a test"],
    ] {
        let ended = place.idvault(args).expect(6);
        assert!(ended.stderr.contains(&owner), "{args:?}: {}", ended.stderr);
    }
    // The folder is root's and the ledger is not: as an administrator in a container may find it.
    chown(place.data(), Some(0), None).unwrap();
    let ended = place.idvault(&["verify"]).expect(6);
    assert!(ended.stderr.contains(&owner), "{}", ended.stderr);
}

#[test]
fn a_volume_of_roots_that_a_group_may_write_to_works() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let open = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(place.dir.path(), open(0o755)).unwrap();
    std::fs::create_dir(place.data()).unwrap();
    chown(place.data(), Some(0), Some(GROUP)).unwrap();
    std::fs::set_permissions(place.data(), open(0o2770)).unwrap();
    place.write("idvault.toml", format!("data_group = \"{GROUP}\"\n"));
    chown(place.path("idvault.toml"), Some(USER), Some(GROUP)).unwrap();
    let source = place.write("pending.csv", made_up(5, 2, "FACE_LIVENESS"));
    chown(&source, Some(USER), Some(GROUP)).unwrap();
    let (_folder, program) = program_for_all();
    for args in [
        &["run", "--sandbox", "--qps", "unlimited", "--pending", &source][..],
        &["verify"],
        &["run", "--dry-run"],
    ] {
        let command = place.command(args);
        let mut as_user = Command::new(&program);
        as_user
            .args(command.get_args())
            .current_dir(place.dir.path())
            .env_clear();
        let output = as_user.uid(USER).gid(GROUP).stdin(Stdio::null()).output().unwrap();
        Ended::of(output).expect(0);
    }
}

/// The program sees a machine on which nothing can be written but the data folder, and `hidden` is empty.
fn on_a_read_only_root(place: &Place, hidden: &str, args: &[&str]) -> Ended {
    let command = place.command(args);
    let script = format!(
        "mount --bind {data} {data} && mount -o remount,ro,bind / && {{ {hidden} ; }} && exec \"$@\"",
        data = place.data().display(),
    );
    let shell = in_shell(&script, "sh", &command);
    let mut unshared = Command::new("unshare");
    unshared
        .args(["--mount", "--"])
        .arg(shell.get_program())
        .args(shell.get_args())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir(place.dir.path())
        .stdin(Stdio::null());
    Ended::of(unshared.output().unwrap())
}

#[test]
fn a_read_only_root_with_a_writable_data_folder_is_enough() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    // More than SQLite sorts in memory.
    let source = place.write("pending.csv", made_up(60_000, 20, "FACE_LIVENESS"));
    let args = ["run", "--intake-only", "--pending", &source];
    on_a_read_only_root(&place, "true", &args).expect(0);
    assert_eq!(place.count("SELECT count(*) FROM transactions"), 60_000);
}

#[test]
fn time_zones_are_known_without_the_machines_own() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    place.write(
        "idvault.toml",
        "billing_zone = \"Asia/Shanghai\"\n[intake]\ntime_zone = \"Asia/Singapore\"\n",
    );
    let source = place.write("pending.csv", "transaction_id,verified_at\nt1,2026-11-20 08:30:00\n");
    let hide = "if [ -d /usr/share/zoneinfo ]; then mount -t tmpfs none /usr/share/zoneinfo; fi";
    let args = ["run", "--intake-only", "--pending", &source];
    on_a_read_only_root(&place, hide, &args).expect(0);
    assert_eq!(place.summary()["intake"]["new"], 1);
}

#[test]
fn compact_refuses_a_lower_layer_of_a_container_before_it_begins() {
    if !is_root() {
        return;
    }
    let place = after_nights();
    let before = place.archive_files();
    for name in ["upper", "work", "layers"] {
        std::fs::create_dir(place.path(name)).unwrap();
    }
    let (lower, layers) = (place.data(), place.path("layers"));
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        place.path("upper").display(),
        place.path("work").display()
    );
    let script = format!(
        "mount -t overlay overlay -o {options} {layers} && exec \"$@\"",
        layers = layers.display()
    );
    let mut command = place.bare(&["compact", "--now", place.now]);
    command.arg("--data-dir").arg(&layers);
    let shell = in_shell(&script, "sh", &command);
    let mut unshared = Command::new("unshare");
    unshared
        .args(["--mount", "--"])
        .arg(shell.get_program())
        .args(shell.get_args());
    unshared.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = unshared
        .current_dir(place.dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ended = Ended::of(output);
    if ended.stderr.contains("mount:") {
        println!("not run: there is no overlayfs here: {}", ended.stderr);
        return;
    }
    let ended = ended.expect(7);
    assert!(ended.stderr.contains("Nothing was changed"), "{}", ended.stderr);
    assert!(ended.stderr.contains("overlayfs"), "{}", ended.stderr);
    assert_eq!(place.archive_files(), before);
    place.idvault(&["verify"]).expect(0);
    place.idvault(&["compact"]).expect(0);
}

#[test]
fn a_reader_that_leaves_changes_no_exit_code() {
    let (place, vendor) = (Place::new(), Vendor::start(Mix::AllFinal, Duration::ZERO));
    let source = place.write("pending.csv", made_up(50, 5, "FACE_LIVENESS"));
    Running::start(&mut place.night_of(&vendor, &["--pending", &source]))
        .end()
        .expect(0);
    let left = |args: &[&str]| {
        // The pipe's reader is gone before the program begins.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(args).stdout(writer).output().unwrap();
        Ended::of(output)
    };
    for args in [
        &["status"][..],
        &["verify"],
        &["report", "expiry"],
        &["report", "billing", "--all"],
        &["subcodes"],
        &["man"],
        &["completions", "bash"],
        &["run", "--dry-run"],
    ] {
        // A dry run without a source, and with nothing to ask for, needs a look.
        left(args).expect(if args[0] == "run" { 4 } else { 0 });
    }
    // What is wrong is still said by the code.
    let damaged = place.data().join("archive").join(&place.archive_files()[0]);
    std::fs::write(&damaged, "damaged").unwrap();
    left(&["verify"]).expect(9);
    // Nor does a log that nobody reads.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = place.command(&["status", "-vv"]).stderr(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = place.command(&["run", "--dry-run"]).stderr(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn colors_are_as_the_environment_wants_them() {
    let place = Place::new();
    let source = place.write("pending.csv", "transaction_id\nt1\n");
    for (env, colored) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "0")], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")], true),
    ] {
        let mut command = place.command(&["run", "--dry-run", "--pending", &source]);
        command.envs(env.iter().copied());
        let ended = Ended::of(command.output().unwrap()).expect(0);
        assert_eq!(ended.stderr.contains('\u{1b}'), colored, "{env:?}: {}", ended.stderr);
    }
}

#[test]
fn a_wrong_source_is_described_and_not_quoted() {
    let place = Place::new();
    let secret = "root:$6$canary-hash$x:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n";
    let source = place.write("shadow", secret);
    let ended = place.idvault(&["run", "--intake-only", "--pending", &source]).expect(3);
    for part in [
        source.as_str(),
        "1 other in its first line",
        &format!("{} bytes in all", secret.len()),
        "transaction_id",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    for said in [ended.stderr, ended.stdout, place.summary().to_string()] {
        assert!(!said.contains("$6$") && !said.contains("root:"), "{said}");
    }
    std::fs::remove_file(&source).unwrap();
}

#[test]
fn too_few_threads_are_an_error_with_a_sentence() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let (_folder, program) = program_for_all();
    let mut limited = Command::new("prlimit");
    limited.args(["--nproc=4:4", "--"]).arg(&program);
    limited.args(["run", "--dry-run", "--data-dir"]).arg(place.data());
    limited
        .current_dir(place.dir.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    let ended = Ended::of(limited.uid(USER + 7).gid(GROUP).stdin(Stdio::null()).output().unwrap());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("threads") && ended.stderr.contains("ulimit -u"),
        "{}",
        ended.stderr
    );
    assert!(
        !ended.stderr.contains("panicked") && !ended.stderr.contains("unexpectedly"),
        "{}",
        ended.stderr
    );
}
