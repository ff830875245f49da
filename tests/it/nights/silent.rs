//! A pending source that says nothing any more must not hold the night up, every night: it is left after `intake.silence`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use idvault::sandbox::Mix;

use super::{Place, Running, Vendor};

/// All rows that were read before the silence are taken in, however many were read ahead.
#[test]
fn a_source_that_falls_silent_loses_no_row_that_was_read() {
    const ROWS: usize = 900;
    let place = Place::new();
    place.write("idvault.toml", "[intake]\nsilence = \"1s\"\n");
    let silent = place.pipe("silent");
    let run = Running::start(&mut place.command(&["run", "--intake-only", "--json", "--pending", &silent]));
    let both = OpenOptions::new().read(true).write(true).open(place.path(&silent));
    let mut writer = both.unwrap();
    let rows: String = (0..ROWS)
        .map(|number| format!("id{number:05}\n"))
        .collect::<Vec<_>>()
        .concat();
    writer.write_all(format!("transaction_id\n{rows}").as_bytes()).unwrap();
    let ended = run.end().expect(3);
    assert_eq!(ended.json()["intake"]["new"], ROWS);
    drop(writer);
}

/// A source that goes on for ever has its time; then what is due is asked for.
#[test]
fn a_source_that_takes_too_long_is_left_in_time_and_what_is_due_is_asked_for() {
    let place = Place::new();
    place.write("idvault.toml", "[intake]\ntime_limit = \"1s\"\n");
    let slow = place.pipe("slow");
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    let run = Running::start(&mut place.night_of(&vendor, &["--json", "--pending", &slow]));
    let both = OpenOptions::new().read(true).write(true).open(place.path(&slow));
    let mut writer = both.unwrap();
    writer.write_all(b"transaction_id\nfirst\n").unwrap();
    let ended = run.end().expect(4);
    let summary = ended.json();
    let left = "slow was not read to its end within intake.time_limit (1s)";
    assert!(
        summary["intake"]["cut_short"][0].as_str().unwrap().starts_with(left),
        "{summary}"
    );
    assert_eq!(summary["fetch"]["fetched"], 1);
    drop(writer);
}

/// What it said stands, what comes after it is read, and all of it is fetched; the exit code tells.
#[test]
fn a_source_that_falls_silent_is_left_and_the_night_goes_on() {
    let place = Place::new();
    place.write("idvault.toml", "[intake]\nsilence = \"1s\"\n");
    let (silent, unopened) = (place.pipe("silent"), place.pipe("unopened"));
    let next = place.write("next.csv", "transaction_id,verified_at\nafter,2026-11-20T10:00:00Z\n");
    let sources = [&silent, &unopened, &next].map(|source| ["--pending", source]).concat();
    let vendor = Vendor::start(Mix::AllFinal, Duration::ZERO);
    let run = Running::start(place.night_of(&vendor, &["--json"]).args(sources));
    // Opened for reading, too, it neither waits for the run nor ends when the run leaves it.
    let both = OpenOptions::new().read(true).write(true).open(place.path(&silent));
    let mut writer = both.unwrap();
    writer
        .write_all(b"transaction_id,verified_at\nbefore,2026-11-20T10:00:00Z\ncut sho")
        .unwrap();
    let ended = run.end().expect(3);
    let summary = ended.json();
    let left = |name: &str| format!("{name} gave no row for 1 s and was left; see what writes to it");
    assert_eq!(
        summary["intake"]["failed_sources"],
        serde_json::json!([left("silent"), left("unopened")])
    );
    assert!(ended.stderr.contains(&left("silent")), "{}", ended.stderr);
    assert_eq!(
        (&summary["intake"]["new"], &summary["fetch"]["left"]),
        (&2.into(), &0.into())
    );
    let mut known = place.archived("verifications");
    known.sort_by(|one, other| one.id().cmp(other.id()));
    let known: Vec<&str> = known.iter().map(|row| row.id()).collect();
    assert_eq!(known, ["after", "before"]);
    drop(writer);
}
