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

#[test]
fn a_bad_demo_has_a_loss_a_quarantine_and_an_outage_and_explains_each() {
    let place = Place::new();
    let said = Ended::of(place.bare(&["demo", "--bad"]).output().unwrap())
        .expect(5)
        .stdout;
    let reports = place.path("idvault-demo/data/reports/latest");
    let named = |name: &str| {
        let line = said.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let report = |file: &str| std::fs::read_to_string(reports.join(file)).unwrap();
    let lost = named("lost ");
    assert!(
        report("expiry.csv")
            .lines()
            .any(|line| line.starts_with(&lost) && line.contains(",lost,"))
    );
    let quarantined = named("quarantine ");
    assert!(
        report("quarantine.csv")
            .lines()
            .any(|line| line.starts_with(&quarantined))
    );
    assert!(said.contains("outage"), "{said}");
    let summary: serde_json::Value = serde_json::from_str(&report("summary.json")).unwrap();
    // Nineteen attempts of a queue fail before the next one makes it an outage.
    assert!(summary["fetch"]["retries"].as_u64().unwrap() >= 19, "{summary}");
    assert_eq!(summary["fetch"]["left"], 0);
}

#[test]
fn the_demo_of_a_month_has_a_bill_whose_faults_reconcile_finds() {
    let place = Place::new();
    let said = Ended::of(place.bare(&["demo", "--month"]).output().unwrap())
        .expect(0)
        .stdout;
    let reconcile = said.lines().find(|line| line.starts_with("idvault reconcile")).unwrap();
    let args: Vec<&str> = reconcile.split_whitespace().skip(1).collect();
    let found = Ended::of(place.bare(&args).output().unwrap()).expect(9).stdout;
    assert!(found.contains("price"), "{found}");
    assert!(found.contains("unexplained"), "{found}");
    let report = said.lines().find(|line| line.starts_with("idvault report")).unwrap();
    let args: Vec<&str> = report.split_whitespace().skip(1).collect();
    let billed = Ended::of(place.bare(&args).output().unwrap()).expect(0).stdout;
    assert!(billed.lines().count() > 4, "{billed}");
}
