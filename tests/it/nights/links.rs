//! A symbolic link in the place of anything that is written to is refused by name, and nothing is written through it.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use idvault::files;
use idvault::sandbox::Mix;

use super::{Place, Vendor, files_below, made_up, samples};

const IDS: usize = 20;

/// Where a link leads.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// To a folder or file outside of the data folder.
    Outside,
    /// Likewise, but inside.
    Inside,
    /// To nothing.
    Nowhere,
}

const TARGETS: [Target; 3] = [Target::Outside, Target::Inside, Target::Nowhere];

impl Target {
    /// Makes the target, with something in it, and gives its path.
    fn make(self, place: &Place, folder: bool) -> PathBuf {
        let target = match self {
            Self::Outside => place.path("target"),
            Self::Nowhere => return place.path("nowhere"),
            Self::Inside => place.data().join("target"),
        };
        if folder {
            files::create_private_dir(&target).unwrap();
            std::fs::write(target.join("kept"), "as it was").unwrap();
        } else {
            files::create_private_dir(target.parent().unwrap()).unwrap();
            std::fs::write(&target, "").unwrap();
        }
        target
    }
}

/// Every file below a path, or the file itself, and its bytes; nothing where nothing is.
fn content(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = if path.is_file() {
        vec![path.to_owned()]
    } else {
        files_below(path)
    };
    let folders = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .map(|entry| (entry.unwrap().path(), Vec::new()));
    folders
        .chain(
            paths
                .into_iter()
                .map(|path| (path.clone(), std::fs::read(path).unwrap())),
        )
        .collect()
}

fn source(place: &Place) -> String {
    place.write("pending.csv", made_up(IDS, 1, "FACE_LIVENESS"))
}

/// A night that meets a link at `name` in the data folder ends with `code`, names it, and writes nothing through it.
/// Without the link the next night is as any other, and each id was asked for once.
#[track_caller]
fn refused(name: &str, folder: bool, target: Target, code: i32) {
    let why = format!("{name}, {target:?}");
    let (place, vendor) = (Place::new(), Vendor::start(Mix::AllFinal, Duration::ZERO));
    let source = source(&place);
    let link = place.data().join(name);
    let leads_to = target.make(&place, folder);
    files::create_private_dir(link.parent().unwrap()).unwrap();
    symlink(&leads_to, &link).unwrap();
    let before = content(&leads_to);
    let ended = place.night_of(&vendor, &["--pending", &source]).output().unwrap();
    let ended = super::Ended::of(ended).expect(code);
    let said = link.strip_prefix(place.dir.path()).unwrap().to_str().unwrap();
    assert!(ended.stderr.contains(said), "{why}: {}", ended.stderr);
    assert!(ended.stderr.contains("symbolic link"), "{why}: {}", ended.stderr);
    assert_eq!(content(&leads_to), before, "{why}");
    assert_eq!(leads_to.exists(), !matches!(target, Target::Nowhere), "{why}");
    assert!(link.is_symlink(), "{why}: it is left for a person to look at");

    std::fs::remove_file(&link).unwrap();
    let ended = place.night_of(&vendor, &["--pending", &source]).output().unwrap();
    super::Ended::of(ended).expect(0);
    assert_eq!(place.archived("verifications").len(), IDS, "{why}");
    assert_eq!(vendor.counts().calls, IDS as u64, "{why}");
}

#[test]
fn a_link_in_the_place_of_a_folder_is_refused() {
    for target in TARGETS {
        for name in [
            "archive",
            ".staging",
            "reports",
            "archive/verifications",
            "archive/verifications/billing_day=2026-11-01",
        ] {
            refused(name, true, target, 7);
        }
    }
}

#[test]
fn a_link_in_the_place_of_the_ledger_or_a_file_of_it_or_the_lock_is_refused() {
    for target in TARGETS {
        for name in [
            "ledger.sqlite",
            "ledger.sqlite-wal",
            "ledger.sqlite-shm",
            "ledger.sqlite-journal",
            "ledger.sqlite-replies",
            "lock",
        ] {
            refused(name, false, target, 6);
        }
    }
}

/// Even where the link leads to a good data folder, and with a slash behind it, which would look through it.
#[test]
fn a_data_folder_that_is_a_link_is_refused_by_every_command_that_uses_it() {
    let place = Place::new();
    let source = source(&place);
    place.night(&["--pending", &source]).expect(4);
    let bill = samples("bill-2026-10.csv");
    let real = place.path("real");
    std::fs::rename(place.data(), &real).unwrap();
    symlink(&real, place.data()).unwrap();
    let before = content(&real);
    let commands: [(&[&str], i32); 12] = [
        (&["run", "--sandbox", "--pending", &source], 7),
        (&["run", "--intake-only", "--pending", &source], 7),
        (&["status"], 6),
        (&["verify"], 6),
        (&["report", "billing"], 6),
        (&["quarantine", "list"], 6),
        (&["quarantine", "retry", "--all"], 6),
        (&["report", "expiry"], 6),
        (&["verify", "--repair"], 6),
        (&["quarantine", "drop", "made00001", "--reason", "gone"], 6),
        (&["close", "--month", "2026-10", "--accept", "no-bill=a test"], 6),
        (&["reconcile", "--bill", &bill, "--month", "2026-10"], 6),
    ];
    for (args, code) in commands {
        for end in ["", "/", "/."] {
            let mut command = place.bare(args);
            command
                .arg("--data-dir")
                .arg(format!("{}{end}", place.data().display()));
            let ended = super::Ended::of(command.args(["--now", place.now]).output().unwrap()).expect(code);
            assert!(
                ended.stderr.contains("it is a symbolic link"),
                "{args:?}: {}",
                ended.stderr
            );
        }
    }
    assert_eq!(content(&real), before);
    std::fs::remove_file(place.data()).unwrap();
    symlink("nowhere", place.data()).unwrap();
    place.night(&["--pending", &source]).expect(7);
    assert!(!place.path("nowhere").exists());
    // A link above it is the machine's own affair.
    std::fs::create_dir(place.path("above")).unwrap();
    symlink(place.path("above"), place.path("way")).unwrap();
    let mut command = place.bare(&["run", "--sandbox", "--qps", "unlimited", "--pending", &source]);
    command.args(["--data-dir", "way/data", "--now", place.now]);
    super::Ended::of(command.output().unwrap()).expect(4);
    assert!(place.path("above/data/ledger.sqlite").exists());
}

#[test]
fn what_stands_under_the_name_of_a_new_file_or_report_is_neither_followed_nor_replaced() {
    for target in [Target::Outside, Target::Nowhere] {
        let (place, vendor) = (Place::new(), Vendor::start(Mix::AllFinal, Duration::ZERO));
        let source = source(&place);
        let partition = place.data().join("archive/verifications/billing_day=2026-11-01");
        let file = partition.join("20261122T020000Z-0001-0001.parquet");
        files::create_private_dir(&partition).unwrap();
        let leads_to = target.make(&place, false);
        symlink(&leads_to, &file).unwrap();
        let before = content(&leads_to);
        let ended = place.night_of(&vendor, &["--pending", &source]).output().unwrap();
        let ended = super::Ended::of(ended).expect(7);
        assert!(
            ended.stderr.contains("20261122T020000Z-0001-0001.parquet"),
            "{}",
            ended.stderr
        );
        assert_eq!(
            (content(&leads_to), leads_to.exists()),
            (before, !matches!(target, Target::Nowhere))
        );

        // The name of the next night's reports, and of its staging folder.
        let report = place.data().join("reports/2026-11-22T020000Z");
        let aside = Target::Outside.make(&place, false).with_extension("folder");
        files::create_private_dir(&aside).unwrap();
        std::fs::write(aside.join("kept"), "as it was").unwrap();
        for link in [
            &report,
            &place.data().join(".staging/reports-20261122T020000Z-0002"),
            &place.data().join(".staging/x"),
        ] {
            if link.symlink_metadata().is_err() {
                symlink(&aside, link).unwrap();
            }
        }
        let before = content(&aside);
        std::fs::remove_file(&file).unwrap();
        place
            .night_of(&vendor, &["--pending", &source])
            .output()
            .map(super::Ended::of)
            .unwrap()
            .expect(0);
        assert_eq!(content(&aside), before);
        assert!(report.is_symlink());
        assert_eq!(place.summary()["exit_code"], 0);
        assert!(place.data().join("reports/2026-11-22T020000Z-2/summary.json").exists());
        assert_eq!(std::fs::read_dir(place.data().join(".staging")).unwrap().count(), 0);
    }
}

#[test]
fn latest_is_replaced_and_never_followed() {
    for target in [Target::Outside, Target::Nowhere] {
        let place = Place::new();
        let source = source(&place);
        let leads_to = target.make(&place, true);
        files::create_private_dir(&place.data().join("reports")).unwrap();
        let latest = place.data().join("reports/latest");
        symlink(&leads_to, &latest).unwrap();
        let before = content(&leads_to);
        place.night(&["--pending", &source]).expect(4);
        assert_eq!(content(&leads_to), before);
        assert_eq!(std::fs::read_link(&latest).unwrap(), Path::new("2026-11-22T020000Z"));
    }
}

/// What commands write beside the night's: a closed month, what a repair sets aside, a report in a file, and a comparison.
#[test]
fn other_commands_write_through_no_link() {
    for target in [Target::Outside, Target::Nowhere] {
        let place = Place::new();
        place.night(&["--pending", &source(&place)]).expect(4);
        let folder = target.make(&place, true);
        let file = place.path("file");
        let one_call = "BillingDate,BillingItemCode,Region,Usage,PretaxAmount,Currency,Item\n\
                        2025-01-10,FACE_LIVENESS,ap-southeast-1,1,0.026,USD,PayAsYouGoBill\n";
        let one_call = place.write("one-call.csv", one_call);
        let close = ["close", "--month", "2025-01", "--bill", &one_call, "--tolerance", "1"];
        let archive = place.data().join("archive");
        let published = archive.join(&place.archive_files()[0]);
        std::fs::copy(published, archive.join("copy.parquet")).unwrap();
        let bill = samples("bill-2026-10.csv");
        let reconcile = ["reconcile", "--bill", &bill, "--month", "2026-10"];
        let refused = |args: &[&str], link: &str, leads_to: &Path, code: i32| {
            let before = content(leads_to);
            let link = place.path(link);
            symlink(leads_to, &link).unwrap();
            let ended = place.idvault(args);
            assert_eq!(ended.code, Some(code), "{args:?}: {}{}", ended.stdout, ended.stderr);
            let name = link.file_name().unwrap().to_str().unwrap();
            let said = format!("{}{}", ended.stdout, ended.stderr);
            assert!(said.contains(name), "{args:?}: {said}");
            assert_eq!(content(leads_to), before, "{args:?}");
            std::fs::remove_file(link).unwrap();
        };
        refused(&["verify", "--repair"], "data/set-aside", &folder, 9);
        let output = ["report", "billing", "--all", "--output", "link.csv"];
        refused(&output, "link.csv", &file, 7);
        std::fs::remove_dir_all(place.data().join("reports")).unwrap();
        refused(&reconcile, "data/reports", &folder, 7);
        refused(&close, "data/closed", &folder, 7);
        assert!(!file.exists());
    }
}

#[test]
fn init_writes_through_no_link() {
    for target in [Target::Outside, Target::Nowhere] {
        let place = Place::new();
        let leads_to = target.make(&place, false);
        let before = content(&leads_to);
        for name in ["idvault.toml", "other.toml"] {
            symlink(&leads_to, place.path(name)).unwrap();
            let ended = super::Ended::of(place.bare(&["init", name]).output().unwrap()).expect(2);
            let said = format!("{name} is there already, and `idvault init` never writes over a file");
            assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        }
        let there = !matches!(target, Target::Nowhere);
        assert_eq!((content(&leads_to), leads_to.exists()), (before, there));
    }
}
