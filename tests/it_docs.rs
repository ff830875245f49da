//! The documents hold: their commands and options are the program's, their links resolve, their tables match.
//!
//! `docs/reference/command-line.md` and `docs/reference/configuration.md` are generated. After a change of the command line or of
//! `samples/idvault.toml`, `IDVAULT_WRITE_DOCS=1 cargo test --test it_docs` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use idvault::exit::Exit;
use idvault::report::reason::ReasonId;

/// The longest README that a newcomer reads to its end, in lines.
const README_LINES: usize = 150;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// README.md, CONTRIBUTING.md, and every page below `docs/`, by its path from the root.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut pages = BTreeMap::new();
    let mut folders = vec![PathBuf::from("docs")];
    let mut files = vec![PathBuf::from("README.md"), PathBuf::from("CONTRIBUTING.md")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    for file in files {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        pages.insert(file, text);
    }
    pages
}

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

/// The words that begin the lines below `Commands:`.
fn subcommands(help: &str) -> Vec<&str> {
    let below = help.split_once("Commands:\n").map_or("", |(_, below)| below);
    let lines = below.lines().take_while(|line| !line.is_empty());
    lines
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}

/// Every command with its help, groups before what is in them: `report`, then `report billing`.
fn commands() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for command in subcommands(&help("")) {
        let of_group = help(command);
        let members: Vec<String> = subcommands(&of_group)
            .into_iter()
            .map(|member| format!("{command} {member}"))
            .collect();
        all.push((command.to_owned(), of_group));
        for member in members {
            let text = help(&member);
            all.push((member, text));
        }
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

/// The options that `text` names, as `--data-dir`; short ones have long names too.
fn options(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_lowercase() || c == '-');
    text.split(word)
        .filter(|word| word.len() > 2 && word.starts_with("--") && !word.ends_with('-'))
        .map(str::to_owned)
        .collect()
}

/// The lines of the fenced blocks for a shell.
fn shell_lines(page: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => lines.push(line),
            _ => {}
        }
    }
    lines
}

/// Holds a generated page to the file, or writes it where that is asked for.
#[expect(clippy::disallowed_methods, reason = "a switch of this test, not of the program")]
fn hold(file: &str, page: &str) {
    if std::env::var_os("IDVAULT_WRITE_DOCS").is_some() {
        std::fs::write(root().join(file), page).unwrap();
    }
    let there = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    assert!(
        there == page,
        "{file} is not what the program says; IDVAULT_WRITE_DOCS=1 cargo test --test it_docs writes it"
    );
}

#[test]
fn the_page_of_the_command_line_is_the_programs_help() {
    let mut page = "# Command line\n\nGenerated from the program's own help.\n".to_owned();
    let all = std::iter::once((String::new(), help(""))).chain(commands());
    for (command, help) in all {
        let title = format!("idvault {command}");
        write!(page, "\n## {}\n\n```text\n{}\n```\n", title.trim(), help.trim_end()).unwrap();
    }
    hold("docs/reference/command-line.md", &page);
}

#[test]
fn the_page_of_the_configuration_is_the_sample() {
    let sample = read("samples/idvault.toml");
    let page = format!(
        "# Configuration\n\n`idvault init` writes this file. Generated from `samples/idvault.toml`.\n\n```toml\n{}\n```\n",
        sample.trim_end()
    );
    hold("docs/reference/configuration.md", &page);
}

#[test]
fn every_command_that_a_page_shows_is_there_with_its_options() {
    let all: BTreeMap<String, String> = commands().into_iter().collect();
    let mut seen = 0;
    for (file, page) in pages() {
        for line in shell_lines(&page) {
            let line = line.split(" #").next().unwrap();
            let Some((_, words)) = line.split_once("idvault ").or_else(|| line.split_once("cargo run -- ")) else {
                continue;
            };
            let words: Vec<&str> = words.split_whitespace().collect();
            let pair = words.get(..2).map(|pair| pair.join(" ")).unwrap_or_default();
            let help = all.get(&pair).or_else(|| all.get(*words.first().unwrap()));
            let help = help.unwrap_or_else(|| panic!("{}: there is no such command: {line}", file.display()));
            let unknown: Vec<String> = options(&words.join(" ")).difference(&options(help)).cloned().collect();
            assert!(
                unknown.is_empty(),
                "{}: {line}: there is no {unknown:?}",
                file.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn every_option_that_a_page_for_users_names_is_there() {
    let mut there = options(&help(""));
    there.extend(commands().iter().flat_map(|(_, help)| options(help)));
    // cargo's own.
    there.extend(["--release", "--locked", "--path"].map(str::to_owned));
    for (file, page) in pages() {
        if file.starts_with("docs/internals") || file.ends_with("CONTRIBUTING.md") {
            continue;
        }
        let named = options(&page);
        let unknown: Vec<_> = named.difference(&there).collect();
        assert!(unknown.is_empty(), "{} names {unknown:?}", file.display());
    }
}

#[test]
fn every_link_and_every_named_file_is_there() {
    let mut links = 0;
    for (file, page) in pages() {
        for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = root().join(&file).parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {target}", file.display());
            links += 1;
        }
        let word = |c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c));
        for name in page.split(word).map(|name| name.trim_end_matches('.')) {
            // A name with a placeholder, such as one of an example, is none.
            let of_the_project = ["samples/", "src/", "tests/", "sql/", "docs/", "benches/", "fuzz/"]
                .iter()
                .any(|folder| name.starts_with(folder));
            if of_the_project && name.contains('.') {
                assert!(root().join(name).exists(), "{} names {name}", file.display());
            }
        }
    }
    assert!(links > 40, "{links}");
}

#[test]
fn every_page_is_in_the_summary_once() {
    let summary = read("docs/SUMMARY.md");
    for file in pages().keys() {
        let Ok(page) = file.strip_prefix("docs") else { continue };
        if page != Path::new("SUMMARY.md") {
            let link = format!("]({})", page.display());
            assert_eq!(summary.matches(&link).count(), 1, "{}", file.display());
        }
    }
}

#[test]
fn the_readme_is_short_and_names_every_command() {
    let readme = read("README.md");
    let lines = readme.lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines");
    let named: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `idvault ")?.split('`').next())
        .collect();
    // What a shell or a package calls, not a person.
    let of_no_person = ["init", "completions", "man"];
    let top = help("");
    let there: BTreeSet<&str> = subcommands(&top)
        .into_iter()
        .filter(|command| !of_no_person.contains(command))
        .collect();
    assert_eq!(named, there);
}

/// The first cells of the table in `docs/reference/exit-codes.md`.
fn documented_codes() -> Vec<String> {
    let page = read("docs/reference/exit-codes.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("|--")).skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').next().unwrap().trim().to_owned())
        .collect()
}

/// The match has no wildcard: a new exit code does not compile here until it is listed.
#[test]
fn the_documented_exit_codes_are_the_programs() {
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
    assert_eq!(documented_codes(), codes);
}

/// The order in which the page says that the codes win is the program's.
#[test]
fn the_documented_order_of_urgency_is_the_programs() {
    let page = read("docs/reference/exit-codes.md");
    let (_, order) = page.split_once("needs a person soonest wins: ").unwrap();
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
fn every_sample_that_runs_idvault_names_the_same_data_folder() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let mut commands = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_schedule = path.extension().is_none_or(|it| it == "service");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains("/usr/local/bin/idvault "));
        for line in lines.filter(|_| is_schedule) {
            assert!(
                line.contains("--data-dir /var/lib/idvault"),
                "{}: {line}",
                path.display()
            );
            commands += 1;
        }
    }
    assert!(commands >= 3, "the crontab's and the unit's");
}

#[test]
fn the_documented_reasons_are_the_programs() {
    let page = read("docs/reference/summary.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let id = cells.next()?.strip_suffix('`')?;
        Some((id.to_owned(), cells.next()?.parse::<u8>().ok()?))
    });
    let documented: Vec<(String, u8)> = rows.collect();
    let known = ReasonId::ALL.map(|id| (id.as_str().to_owned(), id.exit().code()));
    assert_eq!(documented, known);
}

#[test]
fn the_readers_of_the_documents_are_those_that_are_tested() {
    let pins = read("tests/readers/pins.txt");
    let pins = pins.lines().filter(|line| !line.starts_with('#'));
    let pinned: BTreeSet<(&str, &str)> = pins
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let version = words[4].rsplit(['=', '@']).next().unwrap();
            (words[1], version)
        })
        .collect();
    let page = read("docs/analyst/compatibility.md");
    let rows = page.lines().filter(|line| line.starts_with("| ")).skip(1);
    let documented: BTreeSet<(&str, &str)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            assert!(["yes", "in part"].contains(&cells[2]), "{row}");
            (cells[0], cells[1])
        })
        .collect();
    assert_eq!(
        documented, pinned,
        "`tests/readers/run --all --table` writes docs/analyst/compatibility.md"
    );
}
