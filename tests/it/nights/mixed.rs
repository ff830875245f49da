//! Whatever goes wrong at the vendor, the archive and the tallies come out as if nothing had.
//!
//! `IDVAULT_FAULT_SEEDS` sets how many mixtures of faults are tried, `IDVAULT_FAULT_SEED` the first one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use idvault::sandbox::answers::kind_of;
use idvault::sandbox::{Faults, Kind, SandboxSettings};
use parquet::record::Field;

use super::{Place, Vendor, WallClock, ids_of, made_up, setting};

const SEEDS: u64 = 4;
const FIRST_SEED: u64 = 1;
const IDS: usize = 120;

/// Nights after which everything must have been fetched, however bad they were.
const NIGHTS: usize = 25;

/// An answer that does not come is given up soon; an id is not, however often it fails.
const CONFIG: &str = "[timeouts]\nread = '500ms'\nattempt = '2s'\n[retry]\nquarantine_after_runs = 1000\n";

type Archive = BTreeMap<(String, String), (Option<String>, BTreeMap<String, Field>)>;

/// What a ledger and its archive hold, but for the names of the runs.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// State, verdict and sub code by id.
    ledger: BTreeMap<String, (String, Option<bool>, Option<String>)>,
    /// Billing day and columns by id, of both datasets.
    archive: Archive,
    billing: String,
}

impl Outcome {
    fn of(place: &Place) -> Self {
        let ledger = place.ledger();
        let mut rows = ledger
            .prepare("SELECT transaction_id, state, passed, sub_code FROM transaction_states")
            .unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))));
        let mut archive = BTreeMap::new();
        for row in ["verifications", "face_images"]
            .iter()
            .flat_map(|dataset| place.archived(dataset))
        {
            let (day, id) = (row.billing_day().map(str::to_owned), row.id().to_owned());
            let mut columns = row.fields;
            columns.remove("run_id");
            // A face is known by its hash, as a record can have several.
            let face = columns.get("sha256").map_or_else(String::new, Field::to_string);
            let twice = archive.insert((id.clone(), face), (day, columns));
            assert!(twice.is_none(), "{id} is archived twice");
        }
        Self {
            ledger: rows.unwrap().map(Result::unwrap).collect(),
            archive,
            billing: place.idvault(&["report", "billing", "--all"]).expect(0).stdout,
        }
    }
}

/// Ids that are not left for the next run whatever happens, as those are that the vendor refuses to be asked for.
fn source() -> String {
    let all = made_up(IDS, 5, "FACE_LIVENESS");
    let refused: Vec<String> = ids_of(&all)
        .into_iter()
        .filter(|id| kind_of(id) == Kind::RepeatedInvoke)
        .collect();
    let kept = all
        .lines()
        .filter(|line| !refused.iter().any(|id| line.starts_with(id.as_str())));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Nights against a sandbox with these faults until nothing is left; gives what came of it, attempts and retries.
fn nights(faults: Faults, seed: u64) -> (Outcome, u64, u64) {
    let vendor = Vendor::with(
        Arc::new(WallClock),
        SandboxSettings {
            faults,
            seed,
            latency: Duration::ZERO..=Duration::from_millis(10),
            ..SandboxSettings::default()
        },
    );
    let place = Place::new();
    place.write("idvault.toml", CONFIG);
    let source = place.write("pending.csv", source());
    let (mut attempts, mut retries) = (0, 0);
    for _ in 0..NIGHTS {
        let args = ["--pending", &source, "--images", "--concurrency", "16"];
        let output = place.night_of(&vendor, &args).output().unwrap();
        let code = output.status.code();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            matches!(code, Some(0 | 4 | 5)),
            "seed {seed}, {faults:?}: {code:?} {said}"
        );
        let summary = place.summary();
        let total = |name: &str| summary["fetch"][name].as_u64().unwrap();
        let (night, again) = (total("attempts"), total("retries"));
        assert!(
            again <= 20 + (night - again) / 6,
            "seed {seed}: {again} retries in {night} attempts"
        );
        attempts += night;
        retries += again;
        if total("left") == 0 {
            place.idvault(&["verify", "--read-data"]).expect(0);
            return (Outcome::of(&place), attempts, retries);
        }
    }
    panic!("seed {seed}, {faults:?}: {NIGHTS} nights were not enough");
}

/// Shares of faults that add up to a fifth on average, and to two fifths at most; hangs, which take time, are few.
fn drawn(random: &mut fastrand::Rng) -> Faults {
    let mut share = |most: f64| most * random.f64();
    Faults {
        throttle: share(0.1),
        server_errors: share(0.1),
        resets: share(0.05),
        cut_bodies: share(0.05),
        malformed: share(0.05),
        proxy_html: share(0.05),
        hangs: share(0.01),
    }
}

#[test]
fn archive_and_tallies_of_faulty_nights_equal_those_of_a_good_one() {
    let first = setting("IDVAULT_FAULT_SEED").unwrap_or(FIRST_SEED);
    let seeds = setting("IDVAULT_FAULT_SEEDS").unwrap_or(SEEDS);
    println!("IDVAULT_FAULT_SEED={first} IDVAULT_FAULT_SEEDS={seeds} repeat this");
    let (good, ..) = nights(Faults::default(), 0);
    assert!(good.archive.len() > IDS / 2 && good.ledger.len() > IDS / 2);
    let (mut attempts, mut retries) = (0, 0);
    for seed in first..first + seeds {
        let faults = drawn(&mut fastrand::Rng::with_seed(seed));
        let (outcome, some, more) = nights(faults, seed);
        assert!(
            outcome == good,
            "IDVAULT_FAULT_SEED={seed}, {faults:?}: {outcome:?}\nis not\n{good:?}"
        );
        attempts += some;
        retries += more;
    }
    println!("{seeds} seeds, all equal: {attempts} attempts, {retries} of them retries");
}
