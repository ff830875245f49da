//! Runs over one data folder, with a disk that kills or fails them, and the plain run that must make good for it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use idvault::sandbox::Mix;

use super::super::checker::{check, committed, reports_are_whole};
use super::super::{Ended, Place, Vendor, made_up};
use super::Disk;

/// Calls in flight: what a kill or a fault may cost in calls.
pub(super) const CONCURRENCY: u64 = 8;
/// Enough for several commits while the calls are made; three billing days.
const IDS: usize = 60;
/// With faces a night of as many is slow.
const IDS_WITH_IMAGES: usize = 12;

/// How long the vendor takes to answer.
const LATENCY: Duration = Duration::from_millis(2);

const SIGKILL: i32 = 9;

/// One series of runs over the same data folder.
pub(super) struct Night {
    pub(super) place: Place,
    pub(super) vendor: Vendor,
    pub(super) text: String,
    args: Vec<String>,
    pub(super) kills: u64,
    /// Answers that were given and not kept: they have to be asked for again.
    asked_again: u64,
    /// The most of them after one kill or fault.
    pub(super) asked_again_most: u64,
}

impl Night {
    pub(super) fn new(images: bool) -> Self {
        Self::of(if images { IDS_WITH_IMAGES } else { IDS }, images)
    }

    /// One whose ledger holds a third of its ids already; nothing was asked for yet.
    pub(super) fn later() -> Self {
        let night = Self::new(false);
        night.place.write("pending.csv", made_up(IDS / 3, 3, "FACE_LIVENESS"));
        Ended::of(night.command().arg("--intake-only").output().unwrap()).expect(0);
        night.place.write("pending.csv", &night.text);
        night
    }

    fn of(ids: usize, images: bool) -> Self {
        let (place, vendor) = (Place::new(), Vendor::start(Mix::Realistic, LATENCY));
        let text = made_up(ids, 3, "FACE_LIVENESS");
        let source = place.write("pending.csv", &text);
        let mut args = vec![
            "--pending".to_owned(),
            source,
            "--concurrency".to_owned(),
            CONCURRENCY.to_string(),
        ];
        args.extend(images.then(|| "--images".to_owned()));
        Self {
            place,
            vendor,
            text,
            args,
            kills: 0,
            asked_again: 0,
            asked_again_most: 0,
        }
    }

    /// Other records than the usual ones: so many of each product.
    pub(super) fn source(&mut self, products: &[(&str, usize)]) {
        let made = products.iter().map(|(product, count)| made_up(*count, 3, product));
        let mut text = String::new();
        for (number, part) in made.enumerate() {
            let lines = part.lines().skip(usize::from(number > 0));
            text.extend(lines.map(|line| format!("{}\n", line.replace("made", &format!("made{number}")))));
        }
        self.place.write("pending.csv", &text);
        self.text = text;
    }

    pub(super) fn add_args(&mut self, args: &[&str]) {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
    }

    pub(super) fn command(&self) -> Command {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        self.place.night_of(&self.vendor, &args)
    }

    /// A run that the rule kills; false where the run ended before that.
    pub(super) fn is_killed(&mut self, rule: &str, why: &str) -> bool {
        let disk = Disk::that(rule);
        let output = disk.under(&mut self.command()).output().unwrap();
        if output.status.signal() != Some(SIGKILL) {
            assert!(disk.fired().is_none(), "{why}: not killed");
            Ended::of(output).expect(4);
            return false;
        }
        assert!(disk.fired().is_some(), "{why}: killed by something else");
        self.kills += 1;
        self.lost_no_more_than_in_flight(why);
        reports_are_whole(&self.place, why);
        true
    }

    /// What was given and not kept since the last look: one kill or fault may cost the answers that were in flight.
    #[track_caller]
    fn lost_no_more_than_in_flight(&mut self, why: &str) {
        let lost = self.vendor.settled(LATENCY).finals - committed(&self.place);
        let by_this_run = lost - self.asked_again;
        assert!(
            by_this_run <= CONCURRENCY,
            "{why}: {by_this_run} answers are lost, {CONCURRENCY} were in flight"
        );
        self.asked_again = lost;
        self.asked_again_most = self.asked_again_most.max(by_this_run);
    }

    /// A run with a disk that fails by the rule; gives how it ended, and the calls from the one that failed: none where
    /// it never came to that.
    pub(super) fn fails(&mut self, rule: &str, why: &str) -> (Ended, Vec<String>) {
        let disk = Disk::that(rule);
        let ended = Ended::of(disk.under(&mut self.command()).output().unwrap());
        let calls = disk.fired().unwrap_or_default();
        self.kills += 1;
        self.lost_no_more_than_in_flight(why);
        // Whoever reads sees whole files only: the reader fails the test on what it can't decode.
        self.place.archived("verifications");
        reports_are_whole(&self.place, why);
        (ended, calls)
    }

    /// A plain run, and the checks. Gives the answers that had to be asked for again.
    pub(super) fn ends_well(&self, why: &str) -> u64 {
        Ended::of(self.command().output().unwrap()).expect(4);
        check(&self.place, &self.text, why);
        self.place.idvault(&["verify", "--read-data"]).expect(0);
        let lost = self.vendor.counts().finals - committed(&self.place);
        assert_eq!(lost, self.asked_again, "{why}: a run with a good disk lost some");
        lost
    }
}
