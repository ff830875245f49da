//! Where a setting comes from: the command line over `IDVAULT_*` over the file over the default.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::{Ended, Place, made_up};

/// The program in a folder with `config` as its `idvault.toml`.
fn idvault(place: &Place, config: &str, env: &[(&str, &str)], args: &[&str]) -> Ended {
    place.write("idvault.toml", config);
    let mut command = place.bare(args);
    command.envs(env.iter().copied());
    Ended::of(command.output().unwrap())
}

#[test]
fn the_data_folder_is_the_command_lines_then_the_environments_then_the_files_then_the_default() {
    let place = Place::new();
    let (file, env) = ("data_dir = 'of-file'", [("IDVAULT_DATA_DIR", "of-env")]);
    for (config, env, args, folder) in [
        ("", &[][..], &["status"][..], "idvault-data/"),
        (file, &[][..], &["status"][..], "of-file/"),
        (file, &env[..], &["status"][..], "of-env/"),
        (file, &env[..], &["status", "--data-dir", "of-args"][..], "of-args/"),
    ] {
        let ended = idvault(&place, config, env, args).expect(6);
        let said = format!("there is no ledger at {folder}ledger.sqlite");
        assert!(ended.stderr.contains(&said), "{folder}: {}", ended.stderr);
    }
}

/// A dry run of `args`, as its summary.
fn dry_run(config: &str, env: &[(&str, &str)], args: &[&str]) -> serde_json::Value {
    let place = Place::new();
    for (name, rows) in [("a.csv", 1), ("b.csv", 2), ("c.csv", 3), ("hundred.csv", 100)] {
        place.write(name, made_up(rows, 3, "FACE_LIVENESS"));
    }
    let mut all = vec!["run", "--dry-run", "--json", "--now", super::NOW];
    all.extend(args);
    idvault(&place, config, env, &all).expect(0).json()
}

#[test]
fn the_pace_is_the_command_lines_then_the_environments_then_the_files_then_the_quota_tables() {
    let (file, env) = ("pending = ['hundred.csv']\nqps = 10", [("IDVAULT_QPS", "20")]);
    for (config, env, args, seconds) in [
        // 80 % of the region's 10 calls per second.
        ("pending = ['hundred.csv']", &[][..], &[][..], 12.5),
        (file, &[][..], &[][..], 10.0),
        (file, &env[..], &[][..], 5.0),
        (file, &env[..], &["--qps", "50"][..], 2.0),
    ] {
        let forecast = &dry_run(config, env, args)["forecast"];
        assert_eq!(forecast["seconds"].as_f64(), Some(seconds), "{config} {env:?} {args:?}");
    }
}

#[test]
fn the_sources_are_the_command_lines_then_the_environments_then_the_files() {
    let (file, env) = ("pending = ['a.csv']", [("IDVAULT_PENDING", "b.csv")]);
    for (config, env, args, rows) in [
        (file, &[][..], &[][..], 1),
        (file, &env[..], &[][..], 2),
        (file, &env[..], &["--pending", "c.csv"][..], 3),
        (
            file,
            &env[..],
            &["--pending", "c.csv", "--pending", "hundred.csv"][..],
            103,
        ),
    ] {
        let intake = &dry_run(config, env, args)["intake"];
        assert_eq!(intake["rows"], rows, "{config} {env:?} {args:?}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let place = Place::new();
    for (config, line, key) in [
        ("data_dir = 'x'\nqqs = 5\n", "line 2", "qqs"),
        ("[retry]\n\nattempts = 3\n", "line 3", "attempts"),
        (
            "[credentials]\naccess_key_secret = 'x'\n",
            "line 2",
            "access_key_secret",
        ),
    ] {
        let ended = idvault(&place, config, &[], &["status"]).expect(3);
        for part in ["idvault.toml", line, key] {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_wrong_value_is_named_by_its_key_wherever_it_stands() {
    let place = Place::new();
    let run = ["run", "--dry-run"];
    let ended = idvault(&place, "concurrency = 0", &[], &run).expect(3);
    assert!(ended.stderr.contains("concurrency is wrong: 0"), "{}", ended.stderr);
    let ended = idvault(&place, "", &[("IDVAULT_CONCURRENCY", "0")], &run).expect(3);
    assert!(ended.stderr.contains("concurrency is wrong: 0"), "{}", ended.stderr);
    idvault(&place, "concurrency = 0", &[("IDVAULT_CONCURRENCY", "8")], &run).expect(4);
    let ended = idvault(&place, "", &[], &["run", "--qps", "unlimited"]).expect(3);
    assert!(ended.stderr.contains("loopback"), "{}", ended.stderr);
    idvault(&place, "", &[], &["run", "--qps", "fast"]).expect(2);
}

#[test]
fn a_named_configuration_that_is_not_there_is_an_error_and_the_environment_can_name_one() {
    let place = Place::new();
    let ended = idvault(&place, "", &[], &["status", "--config", "nowhere.toml"]).expect(3);
    assert!(ended.stderr.contains("nowhere.toml"), "{}", ended.stderr);
    place.write("other.toml", "data_dir = 'of-other'");
    let env = [("IDVAULT_CONFIG", "other.toml")];
    let ended = idvault(&place, "data_dir = 'of-file'", &env, &["status"]).expect(6);
    assert!(ended.stderr.contains("of-other/"), "{}", ended.stderr);
}

/// Whatever stands in the file, it is refused with its name, and the stack holds.
#[test]
fn a_configuration_that_is_a_bomb_is_refused() {
    let place = Place::new();
    let deep = 100_000;
    for (case, config) in [
        ("arrays", format!("pending = {}", "[".repeat(deep))),
        (
            "closed arrays",
            format!("pending = {}{}", "[".repeat(deep), "]".repeat(deep)),
        ),
        ("inline tables", format!("retry = {}", "{a=".repeat(deep))),
        ("a dotted key", format!("{}b = 1", "a.".repeat(deep))),
        ("a dotted table", format!("[{}b]", "a.".repeat(deep))),
        (
            "a dotted key of a known table",
            format!("prices.{}b = 1", "a.".repeat(deep)),
        ),
        ("a key many times", "qps = 1\n".repeat(deep)),
        ("a long key", format!("{} = 1", "k".repeat(1_000_000))),
        ("a long value", format!("network = '{}'", "v".repeat(1_000_000))),
        ("a long file", "#".repeat(30_000_000)),
        ("NUL", "\0".repeat(1_000)),
    ] {
        let ended = idvault(&place, &config, &[], &["status"]).expect(3);
        assert!(
            ended.stderr.contains("the configuration idvault.toml"),
            "{case}: {}",
            ended.stderr
        );
        assert!(ended.stderr.len() < 5_000, "{case}: {} bytes", ended.stderr.len());
    }
}

#[test]
fn the_root_is_no_data_folder_and_one_that_is_there_keeps_its_mode() {
    let place = Place::new();
    for root in ["/", "//", "/tmp/.."] {
        let ended = Ended::of(place.bare(&["run", "--dry-run", "--data-dir", root]).output().unwrap()).expect(7);
        let said = "it is the root of the file system; name a folder of idvault's own";
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    std::fs::create_dir(place.data()).unwrap();
    std::fs::set_permissions(place.data(), Permissions::from_mode(0o755)).unwrap();
    std::fs::write(place.data().join("theirs"), "").unwrap();
    // Without a source a run needs a look.
    place.night(&[]).expect(4);
    let mode = |name| std::fs::metadata(place.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        [".", "archive", "reports", "ledger.sqlite"].map(mode),
        [0o755, 0o700, 0o700, 0o600]
    );
}

/// It says who is asked, and whom to trust in that.
#[test]
fn a_configuration_or_a_ca_that_others_can_change_is_refused() {
    let place = Place::new();
    place.write("ca.pem", "-----BEGIN CERTIFICATE-----\n");
    for (file, said) in [
        ("idvault.toml", "failed to read the configuration idvault.toml"),
        ("ca.pem", "failed to read the CA certificates in ca.pem"),
    ] {
        for mode in [0o620, 0o602, 0o666] {
            place.write("idvault.toml", "tls.ca_file = 'ca.pem'");
            std::fs::set_permissions(place.path(file), Permissions::from_mode(mode)).unwrap();
            let ended = Ended::of(place.command(&["run"]).output().unwrap()).expect(3);
            for said in [said, &format!("(mode {mode:04o})"), &format!("`chmod go-w {file}`")] {
                assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
            }
            std::fs::set_permissions(place.path(file), Permissions::from_mode(0o640)).unwrap();
        }
    }
    // Only root can give a file away.
    if std::os::unix::fs::chown(place.path("idvault.toml"), Some(12_345), None).is_ok() {
        let ended = Ended::of(place.command(&["run"]).output().unwrap()).expect(3);
        assert!(ended.stderr.contains("another user (12345)"), "{}", ended.stderr);
    }
}

/// Nobody writes to the pipe: who opened it would wait for ever.
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused() {
    let place = Place::new();
    let pipe = place.pipe("pipe");
    let credentials = [("ALIBABA_CLOUD_CREDENTIALS_FILE", &*pipe)];
    for (config, env, args, code, said) in [
        (
            "",
            &[][..],
            &["run", "--config", &pipe][..],
            3,
            "failed to read the configuration pipe",
        ),
        (
            "tls.ca_file = 'pipe'",
            &[][..],
            &["run"][..],
            3,
            "failed to read the CA certificates in pipe",
        ),
        (
            "",
            &credentials[..],
            &["run"][..],
            8,
            "failed to read the credentials in pipe",
        ),
    ] {
        let ended = idvault(&place, config, env, args).expect(code);
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
        assert!(ended.stderr.contains("it is not a regular file"), "{}", ended.stderr);
    }
}

/// A misspelt name would be without effect: it is refused where it is a slip of the pen, and named where it may be new.
#[test]
fn a_misspelt_product_or_region_is_named_with_the_one_that_is_meant() {
    let place = Place::new();
    let price = "unit_price = '0.02'\ncurrency = 'USD'\n";
    for (text, key, meant) in [
        (
            format!("[[prices.FACE_LIVNESS]]\n{price}"),
            "prices.FACE_LIVNESS",
            "FACE_LIVENESS",
        ),
        (
            format!("[[prices.FACE_LIVENESS]]\nregion = 'ap-southest-1'\n{price}"),
            "prices.FACE_LIVENESS.region",
            "ap-southeast-1",
        ),
        (
            "[sub_codes.EKYC.200]\nmeaning = 'x'\nbilled = true\n".to_owned(),
            "sub_codes.EKYC",
            "eKYC",
        ),
        (
            "[quotas.products]\nface_liveness = 5\n".to_owned(),
            "quotas.products.face_liveness",
            "FACE_LIVENESS",
        ),
    ] {
        place.write("idvault.toml", text);
        let ended = place.idvault(&["status"]).expect(3);
        assert!(
            ended.stderr.contains(key) && ended.stderr.contains(&format!("{meant:?} is")),
            "{}",
            ended.stderr
        );
    }
    place.write("idvault.toml", format!("[[prices.FACE_LIVENESS_NEW]]\n{price}"));
    place.night(&[]);
    let said = place.idvault(&["report", "billing", "--all"]).expect(0).stderr;
    assert!(
        said.contains("the nearest known name is \"FACE_LIVENESS_MIN\""),
        "{said}"
    );
}
