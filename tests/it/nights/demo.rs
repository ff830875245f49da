//! The `demo` command as a newcomer uses it: no account, no file, a folder of its own.

use super::{Ended, Place};

/// The longest that a demo may say, in lines, and the widest, in columns where the folder's name is short.
const LINES: usize = 12;
const COLUMNS: usize = 80;

#[test]
fn a_demo_is_a_good_night_and_a_second_one_starts_afresh() {
    let place = Place::new();
    let demo = || Ended::of(place.bare(&["demo"]).output().unwrap()).expect(0);
    let said = demo().stdout;
    assert!(said.lines().count() <= LINES, "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= COLUMNS), "{said}");
    for name in ["fetched", "archived", "billed", "expires"] {
        assert!(said.lines().any(|line| line.starts_with(name)), "{name}: {said}");
    }
    let first: Vec<&str> = said.lines().filter(|line| line.starts_with("archived")).collect();
    // A file of its own in the folder goes with the next demo.
    std::fs::write(place.path("idvault-demo/left"), "left").unwrap();
    let again = demo().stdout;
    assert!(again.contains(first[0]), "{said}{again}");
    assert!(!place.path("idvault-demo/left").exists());
    assert!(place.path("idvault-demo/data/reports/latest/report.html").exists());
    let verify = ["verify", "--read-data", "--data-dir", "idvault-demo/data"];
    Ended::of(place.bare(&verify).output().unwrap()).expect(0);
}

#[test]
fn a_folder_that_no_demo_made_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path("idvault-demo")).unwrap();
    std::fs::write(place.path("idvault-demo/mine"), "mine").unwrap();
    let ended = Ended::of(place.bare(&["demo"]).output().unwrap()).expect(2);
    assert!(ended.stderr.contains("no demo made it"), "{}", ended.stderr);
    assert_eq!(std::fs::read(place.path("idvault-demo/mine")).unwrap(), b"mine");
}

/// The configuration of the working folder is for real nights.
#[test]
fn a_demo_takes_no_configuration() {
    let place = Place::new();
    place.write("idvault.toml", "data_dir = \"elsewhere\"\npending = [\"gone.csv\"]\n");
    Ended::of(place.bare(&["demo"]).output().unwrap()).expect(0);
    assert!(!place.path("elsewhere").exists());
}
