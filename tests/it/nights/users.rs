//! Other users of the machine: what they own or can change is not used, and what is private stays so.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;

use rusqlite::Connection;

use super::{Ended, Place, made_up};

/// Another user of the machine, and one more.
const OTHER: u32 = 12_345;
const THIRD: u32 = 12_346;
/// A group of other users.
const GROUP: u32 = 12_347;

/// Gives a file away. Only root can: otherwise the test has nothing to say, and ends.
fn is_given_to(path: &Path, user: u32) -> bool {
    lchown(path, Some(user), None).is_ok()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// A place with a night behind it.
fn after_a_night() -> (Place, String) {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(10, 3, "FACE_LIVENESS"));
    place.night(&["--pending", &source]).expect(0);
    (place, source)
}

#[test]
fn what_belongs_to_another_user_in_the_data_folder_is_named_and_refused_by_every_command() {
    let (place, source) = after_a_night();
    let day = fs::read_dir(place.data().join("archive/verifications"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let day = day.strip_prefix(place.data()).unwrap().to_str().unwrap().to_owned();
    for name in ["", "archive", &day, "reports", ".staging", "ledger.sqlite", "lock"] {
        let path = place.data().join(name);
        if !is_given_to(&path, OTHER) {
            return;
        }
        for args in [
            &["run", "--sandbox", "--pending", &source][..],
            &["status"],
            &["verify"],
            &["report", "billing"],
            &["quarantine", "list"],
            &["compact"],
            &["close", "--month", "2026-10", "--accept", "no-bill=a test"],
            &["reconcile", "--bill", &source],
        ] {
            let ended = place.idvault(args).expect(6);
            let said = format!("it belongs to another user ({OTHER})");
            assert!(ended.stderr.contains(&said), "{name}, {args:?}: {}", ended.stderr);
            assert!(
                ended.stderr.contains(path.to_str().unwrap().trim_end_matches('/')),
                "{}",
                ended.stderr
            );
        }
        let user = fs::metadata(place.dir.path()).unwrap().uid();
        assert!(is_given_to(&path, user));
    }
    place.idvault(&["verify"]).expect(0);
}

#[test]
fn a_folder_and_a_ledger_that_another_user_made_beforehand_are_not_taken_over() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(10, 3, "FACE_LIVENESS"));
    fs::create_dir(place.data()).unwrap();
    set_mode(&place.data(), 0o777);
    let ledger = place.data().join("ledger.sqlite");
    fs::write(&ledger, "").unwrap();
    set_mode(&ledger, 0o666);
    if !is_given_to(&ledger, OTHER) {
        return;
    }
    place.night(&["--pending", &source]).expect(6);
    assert_eq!(fs::metadata(&ledger).unwrap().len(), 0);
}

#[test]
fn modes_that_a_loose_restore_left_are_corrected_and_named() {
    let (place, source) = after_a_night();
    let data = place.data();
    let wide = [
        ("", 0o777),
        ("archive", 0o775),
        ("archive/verifications", 0o1777),
        ("reports", 0o722),
    ];
    for command in [&["verify"][..], &["run", "--sandbox", "--pending", &source]] {
        for (name, mode) in wide {
            set_mode(&data.join(name), mode);
        }
        for name in ["ledger.sqlite", "lock"] {
            set_mode(&data.join(name), 0o644);
        }
        // As one that a crash left.
        fs::write(data.join("ledger.sqlite-wal"), "").unwrap();
        set_mode(&data.join("ledger.sqlite-wal"), 0o666);
        let ended = place.idvault(command);
        assert!([Some(0), Some(4)].contains(&ended.code), "{}", ended.stderr);
        for name in [
            "",
            "archive",
            "archive/verifications",
            "reports",
            "ledger.sqlite",
            "ledger.sqlite-wal",
            "lock",
        ] {
            let said = format!("{} had the mode ", data.join(name).display());
            let said = said.replace("/ had", " had");
            assert!(ended.stderr.contains(said.trim_end()), "{name}: {}", ended.stderr);
        }
        for (name, mode_before) in wide {
            assert_eq!(mode(&data.join(name)), mode_before & !0o022, "{name}");
        }
        for name in ["ledger.sqlite", "lock"] {
            assert_eq!(mode(&data.join(name)), 0o600, "{name}");
        }
        assert!(!place.idvault(&["verify"]).expect(0).stderr.contains("had the mode"));
    }
}

#[test]
fn a_group_may_use_the_data_folder_only_where_the_configuration_names_it() {
    let (place, source) = after_a_night();
    let names = ["", "archive", "ledger.sqlite"];
    let loosen = || {
        for name in names {
            let path = place.data().join(name);
            if chown(&path, None, Some(GROUP)).is_err() {
                return false;
            }
            set_mode(&path, if path.is_dir() { 0o2775 } else { 0o660 });
        }
        true
    };
    if !loosen() {
        return;
    }
    let modes = || names.map(|name| mode(&place.data().join(name)));
    place.write("idvault.toml", format!("data_group = '{GROUP}'\n"));
    let ended = place.night(&["--pending", &source]).expect(0);
    assert!(!ended.stderr.contains("had the mode"), "{}", ended.stderr);
    assert_eq!(modes(), [0o2775, 0o2775, 0o660]);
    // Another group than the one that is named.
    place.write("idvault.toml", format!("data_group = '{}'\n", GROUP + 1));
    place.idvault(&["verify"]).expect(0);
    assert_eq!(modes(), [0o2755, 0o2755, 0o600]);
    place.write("idvault.toml", "data_group = 'no such group'\n");
    let ended = place.idvault(&["status"]).expect(3);
    assert!(ended.stderr.contains("/etc/group has no group"), "{}", ended.stderr);
    place.write("idvault.toml", "data_group = 'root'\n");
    place.idvault(&["status"]).expect(0);
}

#[test]
fn a_file_below_a_folder_that_others_can_change_is_not_trusted() {
    let place = Place::new();
    fs::create_dir(place.path("open")).unwrap();
    place.write("open/idvault.toml", "");
    place.write("open/ca.pem", "-----BEGIN CERTIFICATE-----\n");
    place.write("tls.toml", "tls.ca_file = 'open/ca.pem'");
    let run = |config: &str| Ended::of(place.command(&["run", "--config", config]).output().unwrap());
    for config in ["open/idvault.toml", "tls.toml"] {
        for mode in [0o777, 0o775, 0o770] {
            set_mode(&place.path("open"), mode);
            let ended = run(config).expect(3);
            let said = format!("above it has the mode {mode:04o}");
            assert!(ended.stderr.contains(&said), "{config}: {}", ended.stderr);
        }
        // As /tmp: nobody renames what belongs to another.
        set_mode(&place.path("open"), 0o1777);
        assert!(!run(config).stderr.contains("above it"));
        if is_given_to(&place.path("open"), OTHER) {
            let said = format!("belongs to another user ({OTHER})");
            let ended = run(config).expect(3);
            assert!(ended.stderr.contains(&said), "{}", ended.stderr);
            assert!(is_given_to(&place.path("open"), 0));
        }
    }
}

#[test]
fn credentials_that_another_user_can_change_are_refused() {
    let place = Place::new();
    let keys = place.write(
        "keys",
        "[default]\naccess_key_id = id\naccess_key_secret = canary-secret\n",
    );
    let run = || {
        let mut command = place.command(&["run"]);
        Ended::of(command.env("ALIBABA_CLOUD_CREDENTIALS_FILE", &keys).output().unwrap())
    };
    set_mode(Path::new(&keys), 0o660);
    let ended = run().expect(8);
    assert!(ended.stderr.contains("(mode 0660)"), "{}", ended.stderr);
    set_mode(Path::new(&keys), 0o640);
    if is_given_to(Path::new(&keys), OTHER) {
        let ended = run().expect(8);
        assert!(
            ended.stderr.contains(&format!("another user ({OTHER})")),
            "{}",
            ended.stderr
        );
    }
    fs::remove_file(&keys).unwrap();
}

#[test]
fn ca_files_of_the_environment_are_checked() {
    let place = Place::new();
    fs::create_dir(place.path("cas")).unwrap();
    let ca = place.write("cas/ca.pem", "");
    let folder = place.path("cas");
    let run = |name: &str, value: &str| {
        let mut command = place.command(&["run"]);
        Ended::of(command.env(name, value).output().unwrap())
    };
    set_mode(Path::new(&ca), 0o664);
    for (name, value) in [("SSL_CERT_FILE", &*ca), ("SSL_CERT_DIR", folder.to_str().unwrap())] {
        let ended = run(name, value).expect(3);
        for said in [name, "(mode 0664)"] {
            assert!(ended.stderr.contains(said), "{}", ended.stderr);
        }
    }
    set_mode(Path::new(&ca), 0o644);
    set_mode(&folder, 0o777);
    let ended = run("SSL_CERT_DIR", &format!("/etc:{}", folder.display())).expect(3);
    assert!(ended.stderr.contains("(mode 0777)"), "{}", ended.stderr);
}

#[test]
fn a_link_to_another_users_file_is_no_source_and_no_bill() {
    let place = Place::new();
    let good = place.write("good.csv", made_up(3, 3, "FACE_LIVENESS"));
    let secret = place.write("secret.csv", "a secret\n");
    if !is_given_to(Path::new(&secret), OTHER) {
        return;
    }
    let link = place.path("link.csv");
    for (owner, target) in [(THIRD, OTHER), (THIRD, 0), (0, OTHER)] {
        let _ = fs::remove_file(&link);
        symlink(&secret, &link).unwrap();
        assert!(is_given_to(&link, owner) && is_given_to(Path::new(&secret), target));
        let name = link.to_str().unwrap();
        let said = format!("is a link of user {owner} to a file of user {target}");
        let ended = place.night(&["--pending", name, "--pending", &good]).expect(3);
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        assert_eq!(place.count("SELECT count(*) FROM transactions"), 3);
        for option in ["--bill", "--records"] {
            let ended = place
                .idvault(&["reconcile", "--month", "2026-11", option, name])
                .expect(3);
            assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        }
    }
    // Who may change the file may say where it is.
    assert!(is_given_to(&link, OTHER) && is_given_to(Path::new(&secret), OTHER));
    let ended = place.night(&["--pending", link.to_str().unwrap()]).expect(3);
    assert!(!ended.stderr.contains("is a link of user"), "{}", ended.stderr);
    fs::remove_file(&secret).unwrap();
}

#[test]
fn a_source_beside_which_another_file_would_be_written_is_refused() {
    let place = Place::new();
    let good = place.write("good.csv", made_up(3, 3, "FACE_LIVENESS"));
    let (source, victim) = (place.path("app.sqlite"), place.path("victim"));
    let database = Connection::open(&source).unwrap();
    database
        .execute_batch("CREATE TABLE pending (transaction_id); INSERT INTO pending VALUES ('a1');")
        .unwrap();
    database.pragma_update(None, "journal_mode", "wal").unwrap();
    drop(database);
    for end in ["-shm", "-wal"] {
        for hard in [true, false] {
            fs::write(&victim, "as it was").unwrap();
            let beside = place.path(&format!("app.sqlite{end}"));
            let _ = fs::remove_file(&beside);
            if hard {
                fs::hard_link(&victim, &beside).unwrap();
            } else {
                symlink(&victim, &beside).unwrap();
            }
            let ended = place
                .night(&["--pending", source.to_str().unwrap(), "--pending", &good])
                .expect(3);
            assert!(
                ended.stderr.contains("it is a link, or has a second name"),
                "{}",
                ended.stderr
            );
            assert_eq!(fs::read(&victim).unwrap(), b"as it was");
            assert_eq!(place.count("SELECT count(*) FROM transactions"), 3);
            fs::remove_file(&beside).unwrap();
        }
    }
    place.night(&["--pending", source.to_str().unwrap()]).expect(0);
}

#[test]
fn a_pipe_in_the_place_of_the_lock_or_of_a_closed_month_holds_nobody_up() {
    let place = super::closing::after_october();
    place
        .idvault(&["close", "--month", "2026-10", "--accept", "no-bill=a test"])
        .expect(0);
    let closed = place.data().join("closed/2026-10.json");
    fs::remove_file(&closed).unwrap();
    place.pipe("data/closed/2026-10.json");
    let ended = place.idvault(&["verify"]).expect(9);
    assert!(
        ended.stdout.contains("it is not a regular file"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    fs::remove_file(&closed).unwrap();
    fs::remove_file(place.data().join("lock")).unwrap();
    place.pipe("data/lock");
    for args in [&["run", "--sandbox", "--pending", "october.csv"][..], &["verify"]] {
        let ended = place.idvault(args).expect(6);
        assert!(ended.stderr.contains("data/lock"), "{}", ended.stderr);
    }
}

#[test]
fn a_bill_and_records_that_are_pipes_are_refused() {
    let (place, _) = after_a_night();
    let pipe = place.pipe("pipe.csv");
    for option in ["--bill", "--records"] {
        let ended = place
            .idvault(&["reconcile", "--month", "2026-11", option, &pipe])
            .expect(3);
        assert!(ended.stderr.contains("it is not a regular file"), "{}", ended.stderr);
    }
    let ended = place.idvault(&[
        "close",
        "--month",
        "2026-10",
        "--bill",
        &pipe,
        "--now",
        "2026-11-22T02:00:00Z",
    ]);
    assert!([Some(2), Some(3)].contains(&ended.code), "{}", ended.stderr);
}

#[test]
fn the_metadata_service_is_asked_only_on_a_machine_of_the_vendors() {
    let place = Place::new();
    if ["product_name", "sys_vendor"].iter().any(|name| {
        let text = fs::read_to_string(format!("/sys/class/dmi/id/{name}")).unwrap_or_default();
        text.starts_with("Alibaba Cloud")
    }) {
        return;
    }
    let ended = Ended::of(place.command(&["run"]).output().unwrap()).expect(8);
    let said = "not asked, as the firmware does not say that this machine is Alibaba Cloud's";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn a_units_credential_is_used_before_the_files_of_the_home_folder() {
    let place = Place::new();
    let folder = place.path("credentials");
    fs::create_dir(&folder).unwrap();
    let keys = "[default]\naccess_key_id = unit-key\naccess_key_secret = canary-secret\n";
    let file = place.write("credentials/credentials_file", keys);
    set_mode(Path::new(&file), 0o400);
    let source = place.write("pending.csv", made_up(3, 3, "FACE_LIVENESS"));
    place.night(&["--pending", &source]).expect(0);
    let mut command = place.command(&["status", "-v"]);
    let ended = Ended::of(command.env("CREDENTIALS_DIRECTORY", &folder).output().unwrap()).expect(0);
    let said = format!("credentials file {file}, profile default");
    assert!(ended.stdout.contains(&said), "{}", ended.stdout);
    fs::remove_file(&file).unwrap();
}
