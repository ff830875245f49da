//! The papers hold: README.md names the commands, options and exit codes that the program has, no more and no fewer.

use std::collections::BTreeSet;
use std::process::Command;

use idvault::exit::Exit;

const README: &str = include_str!("../README.md");
/// Commands that have commands.
const GROUPS: [&str; 2] = ["report", "quarantine"];
const COMMANDS: [&str; 16] = [
    "run",
    "status",
    "report billing",
    "report expiry",
    "quarantine list",
    "quarantine retry",
    "quarantine drop",
    "close",
    "reconcile",
    "subcodes",
    "compact",
    "verify",
    "sandbox",
    "init",
    "completions",
    "man",
];

/// What `idvault ARGS --help` prints.
fn help(of: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_idvault"))
        .args(of.split_whitespace())
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "idvault {of} --help");
    String::from_utf8(output.stdout).unwrap()
}

/// The options that `text` names, as `--data-dir`; short ones have long names too.
fn options(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_lowercase() || c == '-');
    text.split(word)
        .filter(|word| word.len() > 2 && word.starts_with("--") && !word.ends_with('-'))
        .map(str::to_owned)
        .collect()
}

/// The words that begin the lines below `Commands:`.
fn commands(help: &str) -> Vec<&str> {
    let below = help.split_once("Commands:\n").map_or("", |(_, below)| below);
    let lines = below.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_whitespace().next()).collect()
}

/// The rows of the table under a heading of README.md, without its head.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, below) = README.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = below.split("\n## ").next().unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("|--"));
    rows.skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn the_readme_names_every_command_and_no_other() {
    let named: BTreeSet<&str> = table("Commands")
        .into_iter()
        .map(|row| row[0].trim_matches('`').strip_prefix("idvault ").unwrap())
        .map(|command| command.strip_suffix(" bash").unwrap_or(command))
        .collect();
    let top = help("");
    let mut there: BTreeSet<String> = commands(&top).into_iter().map(str::to_owned).collect();
    for group in GROUPS {
        there.remove(group);
        there.extend(
            commands(&help(group))
                .into_iter()
                .map(|command| format!("{group} {command}")),
        );
    }
    there.retain(|command| !command.ends_with("help"));
    assert_eq!(named, there.iter().map(String::as_str).collect());
    assert_eq!(named, COMMANDS.into_iter().collect());
}

#[test]
fn every_option_that_the_readme_names_is_there() {
    let mut there = options(&help(""));
    for command in COMMANDS {
        there.extend(options(&help(command)));
    }
    // cargo's own, in the two commands and the installation.
    there.extend(["--release", "--locked", "--path"].map(str::to_owned));
    let unknown: Vec<_> = options(README).difference(&there).cloned().collect();
    assert!(unknown.is_empty(), "README.md names {unknown:?}");
}

#[test]
fn the_readme_names_every_option() {
    let named = options(README);
    for command in COMMANDS {
        let mut there = options(&help(command));
        there.remove("--help");
        let missing: Vec<_> = there.difference(&named).collect();
        assert!(missing.is_empty(), "README.md lacks {missing:?} of {command}");
    }
}

/// The match has no wildcard: a new exit code does not compile here until it is listed.
#[test]
fn the_readmes_exit_codes_are_the_programs() {
    let all = [
        Exit::Done,
        Exit::Unexpected,
        Exit::Usage,
        Exit::Configuration,
        Exit::NeedsALook,
        Exit::Expiry,
        Exit::Ledger,
        Exit::Archive,
        Exit::Account,
        Exit::Difference,
        Exit::Locked,
    ];
    let place = |exit| match exit {
        Exit::Done => 0,
        Exit::Unexpected => 1,
        Exit::Usage => 2,
        Exit::Configuration => 3,
        Exit::NeedsALook => 4,
        Exit::Expiry => 5,
        Exit::Ledger => 6,
        Exit::Archive => 7,
        Exit::Account => 8,
        Exit::Difference => 9,
        Exit::Locked => 10,
    };
    assert!(all.iter().enumerate().all(|(at, exit)| place(*exit) == at));
    let codes: Vec<String> = all.iter().map(|exit| exit.code().to_string()).collect();
    let named: Vec<&str> = table("Exit codes").into_iter().map(|row| row[0]).collect();
    assert_eq!(named, codes);
}

/// The order in which the README says that the codes win is the program's.
#[test]
fn the_readmes_order_of_urgency_is_the_programs() {
    let (_, order) = README.split_once("needs a person soonest wins: ").unwrap();
    let order = order.split('.').next().unwrap();
    let all = [
        Exit::Account,
        Exit::Ledger,
        Exit::Archive,
        Exit::Expiry,
        Exit::Difference,
        Exit::Configuration,
        Exit::NeedsALook,
    ];
    let codes: Vec<String> = all.iter().map(|exit| exit.code().to_string()).collect();
    assert_eq!(order, codes.join(", "));
    for pair in all.windows(2) {
        assert_eq!(pair[1].or_worse(pair[0]), pair[0]);
    }
}

#[test]
fn the_files_that_the_readme_names_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let word = |c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c));
    let named: BTreeSet<&str> = README
        .split(word)
        .map(|name| name.trim_end_matches('.'))
        .filter(|name| {
            name.starts_with("samples/") || matches!(name.rsplit_once('.'), Some((name, "md")) if !name.is_empty())
        })
        .collect();
    assert!(named.len() > 5, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !root.join(name).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
