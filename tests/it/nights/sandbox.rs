//! The `sandbox` command as a person uses it: started by hand, asked as its own words say, stopped by a signal.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};

use serde_json::Value;

use super::{Place, Running, ids_of, made_up};

#[test]
fn a_sandbox_that_misbehaves_costs_calls_and_no_record() {
    let place = Place::new();
    let faults = "throttle=0.05,5xx=0.15,reset=0.05,cut=0.05,malformed=0.05,html=0.05";
    let args = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--all-final",
        "--seed",
        "7",
        "--faults",
        faults,
    ];
    let mut sandbox = Running::start(&mut place.bare(&args));
    let mut said = BufReader::new(sandbox.0.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        line
    };
    let url = line()
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap()
        .trim_end_matches(';')
        .to_owned();
    let exported = line();
    let credentials: Vec<(&str, &str)> = exported
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .collect();
    assert_eq!(credentials.len(), 2, "{exported}");
    assert!(line().contains(&url), "and how it is asked");

    let text = made_up(200, 4, "FACE_LIVENESS");
    let source = place.write("pending.csv", &text);
    let night = || {
        let mut command = place.command(&["run", "--endpoint", &url, "--qps", "unlimited", "--pending", &source]);
        command
            .envs(credentials.iter().copied())
            .output()
            .unwrap()
            .status
            .code()
    };
    // What failed too often in one night is left for the next.
    let ended: Vec<Option<i32>> = (0..5).map(|_| night()).collect();
    assert_eq!(ended.last(), Some(&Some(0)), "{ended:?}");
    let archived: Vec<String> = place
        .archived("verifications")
        .iter()
        .map(|row| row.id().to_owned())
        .collect();
    assert_eq!(archived.len(), 200);
    assert_eq!(
        archived.into_iter().collect::<BTreeSet<_>>(),
        ids_of(&text).into_iter().collect()
    );
    assert_eq!(
        place.count("SELECT count(*) FROM transactions WHERE state <> 'archived'"),
        0
    );

    sandbox.terminate();
    let mut last = String::new();
    said.read_to_string(&mut last).unwrap();
    assert_eq!(sandbox.0.wait().unwrap().code(), Some(0));
    let counts: Value = serde_json::from_str(&last).unwrap();
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(count("distinct"), 200);
    assert!(count("faults") > 40, "{counts}");
    assert_eq!(count("refused"), 0, "{counts}");
    assert_eq!(count("calls"), count("answered") + count("faults"), "{counts}");
}
