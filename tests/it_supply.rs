//! What idvault is made of: held in every test run, with or without cargo-deny (`deny.toml` asks for more).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Table;

const DEPENDENCIES: &str = include_str!("../docs/internals/dependencies.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table(file: &str) -> Table {
    toml::from_str(&std::fs::read_to_string(root().join(file)).unwrap()).unwrap()
}

/// The names of `[dependencies]` and the like.
fn names(manifest: &Table, of: &str) -> BTreeSet<String> {
    manifest[of].as_table().unwrap().keys().cloned().collect()
}

/// The crates in the table in docs/internals/dependencies.md.
fn described() -> BTreeSet<String> {
    let below = DEPENDENCIES;
    let rows = below.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().to_owned())
        .collect()
}

#[test]
fn every_dependency_is_described() {
    let manifest = table("Cargo.toml");
    let targets = manifest["target"].as_table().unwrap().values();
    let of_targets = targets.flat_map(|target| names(target.as_table().unwrap(), "dependencies"));
    let all: BTreeSet<String> = names(&manifest, "dependencies").into_iter().chain(of_targets).collect();
    assert_eq!(described(), all);
    let (_, for_tests) = DEPENDENCIES.split_once("\nFor tests and benches: ").unwrap();
    let for_tests = for_tests.split("\n\n").next().unwrap();
    for name in names(&manifest, "dev-dependencies") {
        assert!(for_tests.contains(&name), "{name} is not described");
    }
}

#[test]
fn every_crate_comes_from_the_registry_with_its_checksum_and_none_is_openssl() {
    let mut sources = BTreeSet::new();
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = table(lock);
        let packages = lock["package"].as_array().unwrap();
        assert!(packages.len() > 100);
        for package in packages {
            let name = package["name"].as_str().unwrap();
            assert!(
                !["openssl", "openssl-sys", "openssl-src", "native-tls"].contains(&name),
                "{name}"
            );
            if name.starts_with("idvault") {
                continue;
            }
            sources.insert(package["source"].as_str().unwrap().to_owned());
            assert_eq!(package["checksum"].as_str().unwrap().len(), 64, "{name}");
        }
    }
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("registry+https://")));
}

/// Nothing that runs in `cargo test` builds the fuzz targets, so their lock file would be left behind.
#[test]
fn the_fuzz_targets_are_locked_to_what_the_program_depends_on() {
    let lock = table("fuzz/Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    let program = packages
        .iter()
        .find(|it| it["name"].as_str() == Some("idvault"))
        .unwrap();
    // `name version` where the lock has several versions of it.
    let locked: BTreeSet<String> = program["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap().split(' ').next().unwrap().to_owned())
        .collect();
    let manifest = table("Cargo.toml");
    let mut needed = names(&manifest, "dependencies");
    let of_targets = manifest["target"].as_table().unwrap().values();
    needed.extend(of_targets.flat_map(|target| target["dependencies"].as_table().unwrap().keys().cloned()));
    assert_eq!(locked, needed);
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The lint refuses it at compile time; the search also finds what a file of its own lints would let pass.
#[test]
fn no_unsafe_code_is_there_and_none_can_come() {
    let manifest = table("Cargo.toml");
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let word = concat!("un", "safe");
    let mut files = 0;
    for file in ["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
    {
        files += 1;
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let code = line.split("//").next().unwrap();
            let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            assert!(!words.any(|found| found == word), "{}: {line}", file.display());
        }
    }
    assert!(files > 100, "{files}");
}
