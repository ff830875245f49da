//! The commands that read what a night left: status, report (and `verify` where there is nothing); and those that only write: init, completions, man.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Statement;
use serde_json::Value;

use super::{Archived, Ended, NOW, Place, lines, samples};

/// A folder after the README's night.
fn after_the_sample() -> Place {
    let place = Place::new();
    place.night(&["--pending", &samples("pending.csv")]).expect(5);
    place
}

#[test]
fn status_says_what_the_ledger_holds_as_text_and_as_json() {
    let place = after_the_sample();
    let json = place.idvault(&["status", "--json"]).expect(0).json();
    let text = place.idvault(&["status"]).expect(0).stdout;
    let states = place.states();
    for (state, count) in json["states"].as_object().unwrap() {
        let held = states.get(state).copied().unwrap_or(0);
        assert_eq!(count.as_u64(), Some(held), "{state}");
        assert!(text.contains(&format!("\n{state:<12} {held}\n")), "{state}: {text}");
    }
    assert_eq!(json["states"].as_object().unwrap().len(), 6);
    assert_eq!(json["ids"], 500);
    assert!(text.contains(", 500 ids\n"), "{text}");
    // The one that was answered with a refusal is due again at once; the others wait.
    assert_eq!(
        place.count("SELECT count(*) FROM transactions WHERE state = 'pending' AND next_due_at = 0"),
        1
    );
    assert_eq!(json["forecast"]["due"], 1);
    assert!(text.contains("\nforecast     1 due, done in 0.1 s"), "{text}");
}

#[test]
fn the_forecast_says_when_the_backlog_is_done_and_how_many_expire_first() {
    let place = Place::new();
    // 100 records that expire in ten seconds, and one that has expired, at one call per second: ten are reached in time.
    let rows: Vec<String> = (0..100)
        .map(|number| format!("x{number},2026-10-23T02:00:10Z\n"))
        .collect();
    let source = place.write(
        "pending.csv",
        format!(
            "transaction_id,verified_at\n{}gone,2026-10-01T00:00:00Z\n",
            rows.concat()
        ),
    );
    place.write("idvault.toml", "qps = 1");
    place.idvault(&["run", "--intake-only", "--pending", &source]).expect(5);
    let json = place.idvault(&["status", "--json"]).expect(0).json();
    let expected = [("due", 101), ("overdue", 1), ("expire_first", 90)];
    for of in [
        &json["forecast"],
        &json["forecast"]["regions"]["ap-southeast-1"]["FACE_LIVENESS"],
    ] {
        for (name, number) in expected {
            assert_eq!(of[name], number, "{name}: {of}");
        }
        assert_eq!(of["seconds"].as_f64(), Some(11.0));
    }
    let text = place.idvault(&["status"]).expect(0).stdout;
    let said = "101 due, done in 11.0 s at this pace; 90 expire before they are reached, 1 are past their expiry";
    assert!(text.contains(said), "{text}");
}

#[test]
fn the_billing_report_covers_the_month_that_is_asked_for_and_adds_up_over_all() {
    let place = after_the_sample();
    let rows = place.archived("verifications");
    let sum = |args: &[&str]| -> (BTreeSet<String>, usize) {
        let report = lines(&place.idvault(args).expect(0).stdout);
        let months = report
            .iter()
            .map(|line| line["billing_day"].chars().take(7).collect())
            .collect();
        (
            months,
            report
                .iter()
                .map(|line| line["verifications"].parse::<usize>().unwrap())
                .sum(),
        )
    };
    let archived = |wanted: &[&str]| {
        let of = |row: &&Archived| {
            let day = row.billing_day().unwrap_or_default();
            wanted.iter().any(|month| day.get(..7).unwrap_or_default() == *month)
        };
        rows.iter().filter(of).count()
    };
    let months = |months: &[&str]| months.iter().map(|month| (*month).to_owned()).collect::<BTreeSet<_>>();
    let (october, november, undated) = (archived(&["2026-10"]), archived(&["2026-11"]), archived(&[""]));
    assert!(undated > 0);
    assert!(october > 100 && november > 100, "{october} {november}");
    let month = |month| sum(&["report", "billing", "--month", month]);
    // A month has its own rows only, so that months and the undated ones add up to all.
    assert_eq!(month("2026-10"), (months(&["2026-10"]), october));
    assert_eq!(month("2026-11"), (months(&["2026-11"]), november));
    assert_eq!(month("2026-09"), (months(&[]), 0));
    assert_eq!(sum(&["report", "billing", "--undated"]), (months(&[""]), undated));
    assert_eq!(october + november + undated, rows.len());
    place.idvault(&["report", "billing", "--undated", "--all"]).expect(2);
    let both = (months(&["2026-10", "2026-11", ""]), rows.len());
    assert_eq!(sum(&["report", "billing", "--all"]), both);
    assert_eq!(sum(&["report", "billing"]), both, "this month and the last");
    for wrong in ["2026-13", "2026-1", "november"] {
        place.idvault(&["report", "billing", "--month", wrong]).expect(2);
    }
}

#[test]
fn billing_is_exact_to_the_last_digit() {
    let place = after_the_sample();
    let report = lines(&place.idvault(&["report", "billing", "--all"]).expect(0).stdout);
    let (mut mills, mut unknown) = (0, 0);
    for line in &report {
        let count: u64 = line["verifications"].parse().unwrap();
        if line["billed"] == "yes" {
            assert_eq!((&*line["unit_price"], &*line["currency"]), ("0.026", "USD"));
            mills += 26 * count;
        } else {
            assert_eq!((&*line["unit_price"], &*line["amount"]), ("", ""), "{line:?}");
            unknown += count;
        }
    }
    let billing = &place.summary()["billing"];
    assert_eq!(
        billing["amounts"]["USD"],
        format!("{}.{:03}", mills / 1_000, mills % 1_000)
    );
    assert_eq!(billing["unknown"], unknown);
}

#[test]
fn the_expiry_report_puts_each_unfetched_record_into_its_band_earliest_first() {
    let place = Place::new();
    let source = place.write(
        "pending.csv",
        "transaction_id,verified_at\n\
         gone,2026-10-23T01:59:59Z\n\
         in-an-hour,2026-10-23T03:00:00Z\n\
         in-a-day,2026-10-24T02:00:00Z\n\
         in-three-days,2026-10-26T02:00:00Z\n\
         in-a-week,2026-10-30T02:00:00Z\n\
         later,2026-10-30T02:00:01Z\n\
         who-knows,\n",
    );
    place.idvault(&["run", "--intake-only", "--pending", &source]).expect(5);
    let printed = place.idvault(&["report", "expiry"]).expect(0).stdout;
    let report = lines(&printed);
    let found: Vec<[&str; 4]> = report
        .iter()
        .map(|line| ["transaction_id", "days_left", "band", "state"].map(|name| &*line[name]))
        .collect();
    assert_eq!(
        found,
        [
            ["gone", "-0.1", "lost", "pending"],
            ["in-an-hour", "0.0", "1d", "pending"],
            ["in-a-day", "1.0", "1d", "pending"],
            ["in-three-days", "3.0", "3d", "pending"],
            ["in-a-week", "7.0", "7d", "pending"],
            ["who-knows", "", "unknown", "pending"],
        ]
    );
    let kept = std::fs::read_to_string(place.data().join("reports/latest/expiry.csv")).unwrap();
    assert_eq!(printed, kept);
    let bands = &place.summary()["expiry"]["bands"];
    assert_eq!(bands.to_string(), r#"{"lost":1,"1d":2,"3d":1,"7d":1,"unknown":1}"#);
}

#[test]
fn commands_that_read_make_no_ledger_and_say_where_they_looked() {
    let place = Place::new();
    for args in [
        &["status"][..],
        &["report", "expiry"],
        &["report", "billing"],
        &["verify"],
    ] {
        let ended = place.idvault(args).expect(6);
        assert!(ended.stderr.contains("there is no ledger at"), "{}", ended.stderr);
    }
    assert!(!place.data().exists());
}

#[test]
fn init_writes_the_sample_configuration_and_never_over_one_that_is_there() {
    let place = Place::new();
    let said = place.idvault(&["init"]).expect(0).stdout;
    assert_eq!(said, "wrote idvault.toml\n");
    let path = place.path("idvault.toml");
    assert_eq!(
        std::fs::read(&path).unwrap(),
        std::fs::read(samples("idvault.toml")).unwrap()
    );
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    place.idvault(&["run", "--intake-only"]).expect(4);
    place.write("idvault.toml", "# mine\n");
    let ended = place.idvault(&["init"]).expect(2);
    assert!(ended.stderr.contains("idvault.toml"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
    place.idvault(&["init", "other.toml"]).expect(0);
    assert!(place.path("other.toml").exists());
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let place = Place::new();
    for args in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["man"],
    ] {
        let page = Ended::of(place.bare(args).output().unwrap()).expect(0).stdout;
        for word in ["run", "status", "report", "verify", "sandbox", "init"] {
            assert!(page.contains(word), "{word}: {page}");
        }
    }
    let page = Ended::of(place.bare(&["man", "run"]).output().unwrap())
        .expect(0)
        .stdout;
    assert!(
        page.contains("idvault\\-run") && page.contains("time\\-limit"),
        "{page}"
    );
    Ended::of(place.bare(&["man", "dance"]).output().unwrap()).expect(2);
}

/// The values that a person gives to the named parameters of the reports' SQL.
fn bind(statement: &mut Statement<'_>, file: &str) {
    let horizon = "2026-11-29T02:00:00Z"
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_microsecond();
    let now = NOW.parse::<jiff::Timestamp>().unwrap().as_microsecond();
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index).unwrap().to_owned();
        let bound = match &*name {
            ":from" => statement.raw_bind_parameter(index, "2026-10-01"),
            ":to" => statement.raw_bind_parameter(index, "2026-11-30"),
            // The night began then, and it is that time.
            ":since" | ":now" => statement.raw_bind_parameter(index, now),
            ":horizon" => statement.raw_bind_parameter(index, horizon),
            _ => panic!("{file} has a parameter that no one knows: {name}"),
        };
        bound.unwrap();
    }
}

#[test]
fn the_reports_sql_runs_by_hand_and_gives_as_many_lines_as_the_reports() {
    let place = after_the_sample();
    let ledger = place.ledger();
    let folder = format!("{}/sql", env!("CARGO_MANIFEST_DIR"));
    let mut counts = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !file.starts_with("report_") {
            continue;
        }
        let sql = std::fs::read_to_string(&path).unwrap();
        assert!(sql.starts_with("-- "), "{file} says what it is for");
        let mut statement = ledger.prepare(&sql).unwrap();
        bind(&mut statement, &file);
        let (mut rows, mut count) = (statement.raw_query(), 0);
        while rows.next().unwrap().is_some() {
            count += 1;
        }
        counts.insert(file.replace("report_", "").replace(".sql", ".csv"), count);
    }
    assert!(counts.len() >= 3, "{counts:?}");
    for (report, count) in counts {
        assert!(count > 0, "{report}");
        assert_eq!(place.report(&report).len(), count, "{report}");
    }
}

#[test]
fn json_on_standard_output_is_one_object_and_nothing_else() {
    let place = Place::new();
    let source = place.write("pending.csv", "transaction_id\ngood00000\n");
    let ended = place.night(&["--json", "--pending", &source]).expect(0);
    assert_eq!(ended.json()["exit_code"], 0);
    assert_eq!(ended.json()["reasons"], Value::Array(Vec::new()));
    let silent = place.night(&["--quiet", "--pending", &source]).expect(0);
    assert_eq!((&*silent.stdout, &*silent.stderr), ("", ""));
}
