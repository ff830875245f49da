//! A pending source that says nothing any more must not hold the night up, every night: it is left after `intake.silence`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use idvault::sandbox::Mix;

use super::{Place, Running, Vendor};

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
