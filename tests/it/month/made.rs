//! Makes the month: the ledger, the vendor's bill and its records, and what was planted in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use rusqlite::{Connection, params};
use rust_decimal::Decimal;

pub(super) const PRODUCTS: [&str; 5] = ["FACE_LIVENESS", "FACE_VERIFY", "eKYC", "ID_OCR", "FACE_LIVENESS_PRO"];
pub(super) const REGIONS: [&str; 2] = ["ap-southeast-1", "cn-hongkong"];
const HEADER: &str =
    "BillingDate,BillingItemCode,Region,Usage,DeductedByCoupons,DeductedByResourcePackage,PretaxAmount,Currency,Item";
const DAY_MICROS: i64 = 86_400_000_000;
/// 2026-10-01T00:00:00+08:00.
const FIRST_MICROS: i64 = 1_790_784_000_000_000;
const DAYS: i64 = 31;
const RECORDS_HEADER: &str = "TransactionId,ProductCode,Region,VerifyTime,Passed,SubCode";
/// Product and region of each kind of discrepancy in numbers, so that no two kinds that could be taken for each other are
/// beside each other: what the bill has more, what it lacks, calls of the day beside. What is more and what is fewer have neither
/// product nor region in common, or it would be a swap.
const MORE: [usize; 2] = [0, 2];
const FEWER: [usize; 2] = [5, 7];
const SHIFTED: [usize; 3] = [6, 8, 9];

/// A day (from 0), and a product and region (from 0 to 9).
pub(super) type Place = (i64, usize);

pub(super) fn product(place: Place) -> &'static str {
    PRODUCTS[place.1 / 2]
}

fn region(place: Place) -> &'static str {
    REGIONS[place.1 % 2]
}

fn day(place: Place) -> Date {
    jiff::civil::date(2026, 10, 1).checked_add(place.0.days()).unwrap()
}

/// The month as both sides have it, and what was planted.
#[derive(Default)]
pub(super) struct Month {
    /// What the vendor bills.
    billed: BTreeMap<Place, i64>,
    /// Calls by place and class, as they are found with the vendor's records.
    pub(super) planted: Planted,
    /// And without.
    pub(super) planted_without: Planted,
    /// What those cost that are about money alone.
    pub(super) money: BTreeMap<(Place, &'static str), Decimal>,
    /// The ids that only one side has, and those with two verdicts, by class.
    pub(super) ids: BTreeMap<&'static str, BTreeSet<String>>,
    /// The vendor's export of its records.
    pub(super) records: String,
    tallies: BTreeMap<(Place, &'static str), i64>,
    pub(super) verifications: usize,
}

/// Calls by place and class.
pub(super) type Planted = BTreeMap<(Place, &'static str), i64>;

impl Month {
    fn plant(&mut self, place: Place, class: &'static str, calls: i64) {
        self.plant_as(place, class, class, calls);
    }

    /// What the vendor's records tell, and what it looks like without them.
    fn plant_as(&mut self, place: Place, class: &'static str, without: &'static str, calls: i64) {
        *self.planted.entry((place, class)).or_default() += calls;
        *self.planted_without.entry((place, without)).or_default() += calls;
    }

    fn plant_money(&mut self, place: Place, class: &'static str, calls: i64, amount: Decimal) {
        self.plant(place, class, calls);
        self.money.insert((place, class), amount);
    }

    /// Fills a ledger with the verifications, and plants one discrepancy in numbers for each 1 000 of them.
    pub(super) fn generate(verifications: usize, ledger: &mut Connection, rng: &mut fastrand::Rng) -> Self {
        let mut month = Self {
            verifications,
            records: format!("{RECORDS_HEADER}\n"),
            ..Self::default()
        };
        let commit = ledger.transaction().unwrap();
        let sql = "INSERT INTO transactions (transaction_id, product_code, product_assumed, region, region_assumed, \
                   verified_at, first_seen_at, first_run, deleted_from, age_known, state, passed, sub_code) \
                   VALUES (?1, ?2, 0, ?3, 0, ?4, ?4, 1, ?4 + 2592000000000, 1, ?5, ?6, ?7)";
        let mut insert = commit.prepare(sql).unwrap();
        for number in 0..verifications {
            let kind = if number % 1_000 == 0 {
                1 + number / 1_000 % 10
            } else {
                0
            };
            let group: &[usize] = match kind {
                0 => &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
                1..=5 | 8 | 10 => &MORE,
                6 | 9 => &FEWER,
                _ => &SHIFTED,
            };
            let mut place = (rng.i64(0..DAYS), group[rng.usize(..group.len())]);
            let mut within = rng.i64(0..DAY_MICROS);
            if kind == 6 || kind == 9 {
                // At an edge of the month the other month's bill could have it.
                place.0 = 1 + place.0 % (DAYS - 2);
            }
            if kind == 7 {
                // Minutes before the vendor's midnight of an even day: the vendor counts it on the next.
                place.0 = 2 * rng.i64(0..DAYS / 2);
                within = DAY_MICROS - 1 - rng.i64(0..600_000_000);
            }
            let (state, sub_code) = match kind {
                1 => ("pending", None),
                2 => ("lost", None),
                3 => ("quarantined", None),
                4 => ("answered", Some("299")),
                8 => ("never seen", Some("200")),
                10 => ("answered", Some("205")),
                _ if number % 50 == 7 => ("answered", Some("205")),
                _ => ("answered", Some(if number % 9 == 1 { "204" } else { "200" })),
            };
            let at = FIRST_MICROS + place.0 * DAY_MICROS + within;
            let id = format!("hks{:029x}", rng.u128(..) >> 12);
            let passed = sub_code.map(|code| code == "200");
            if kind != 8 {
                let row = params![id, product(place), region(place), at, state, passed, sub_code];
                insert.execute(row).unwrap();
            }
            month.record(&id, place, kind, at, sub_code);
            month.count(place, kind, state, sub_code);
        }
        drop(insert);
        commit
            .execute(
                "INSERT INTO runs (run_id, answered_by, started_at) VALUES ('month', 'vendor', 0)",
                [],
            )
            .unwrap();
        for ((place, sub_code), verifications) in &month.tallies {
            let file = format!(
                "verifications/billing_day={}/month-{:02}{}{sub_code}.parquet",
                day(*place),
                place.0,
                place.1
            );
            let sql = "INSERT INTO files (path, dataset, billing_day, rows, bytes, sha256, run_id, state, published_at) \
                       VALUES (?1, 'verifications', ?2, ?3, 1, '', 'month', 'published', 0)";
            commit
                .execute(sql, params![file, day(*place).to_string(), verifications])
                .unwrap();
            let sql =
                "INSERT INTO tallies (path, product_code, region, sub_code, verifications) VALUES (?1, ?2, ?3, ?4, ?5)";
            commit
                .execute(
                    sql,
                    params![file, product(*place), region(*place), sub_code, verifications],
                )
                .unwrap();
        }
        commit.commit().unwrap();
        month.name_unbilled();
        month
    }

    /// A call too many on a day with verifications that are not billed is taken for one of these.
    fn name_unbilled(&mut self) {
        for planted in [&mut self.planted, &mut self.planted_without] {
            let unexplained: Vec<Place> = planted
                .keys()
                .filter(|key| key.1 == "unexplained")
                .map(|key| key.0)
                .collect();
            for place in unexplained {
                let unbilled = self.tallies.get(&(place, "205")).copied().unwrap_or(0);
                let calls = planted.remove(&(place, "unexplained")).unwrap_or(0);
                let named = calls.min(unbilled);
                for (class, calls) in [("unbilled_sub_code", named), ("unexplained", calls - named)] {
                    if calls > 0 {
                        planted.insert((place, class), calls);
                    }
                }
            }
        }
    }

    /// What the vendor's export says of a verification.
    fn record(&mut self, id: &str, place: Place, kind: usize, at: i64, sub_code: Option<&'static str>) {
        let differs = match kind {
            8 => Some("never_seen"),
            9 => Some("not_in_records"),
            10 => Some("verdict"),
            _ => None,
        };
        if let Some(class) = differs {
            self.ids.entry(class).or_default().insert(id.to_owned());
        }
        if kind == 9 {
            return;
        }
        // The vendor's clock is at the next day already.
        let at = if kind == 7 { at + 600_000_000 } else { at };
        let time = Timestamp::from_microsecond(at).unwrap();
        let code = if kind == 10 { "200" } else { sub_code.unwrap_or("200") };
        let passed = if code == "200" { "Y" } else { "N" };
        let (product, region) = (product(place), region(place));
        writeln!(self.records, "{id},{product},{region},{time},{passed},{code}").unwrap();
    }

    /// What the vendor makes of a verification.
    fn count(&mut self, place: Place, kind: usize, state: &'static str, sub_code: Option<&'static str>) {
        if let (Some(sub_code), "answered") = (sub_code, state) {
            *self.tallies.entry((place, sub_code)).or_default() += 1;
        }
        if sub_code == Some("205") && kind != 10 {
            return;
        }
        let next = (place.0 + 1, place.1);
        let billed = match kind {
            5 => 2,
            6 | 7 | 9 => 0,
            _ => 1,
        };
        *self.billed.entry(place).or_default() += billed;
        match kind {
            1..=3 => self.plant(place, state, 1),
            4 => self.plant(place, "unknown_sub_code", 1),
            5 => self.plant(place, "unexplained", 1),
            6 => self.plant(place, "not_billed", -1),
            8 => self.plant_as(place, "never_seen", "unexplained", 1),
            9 => self.plant_as(place, "not_in_records", "not_billed", -1),
            10 => self.plant_as(place, "verdict", "unexplained", 1),
            7 => {
                *self.billed.entry(next).or_default() += 1;
                self.plant(place, "day_boundary", -1);
                self.plant(next, "day_boundary", 1);
            }
            _ => {}
        }
    }

    /// The contract, for the configuration.
    pub(super) fn config(&self) -> String {
        let mut config = format!(
            "[[prices.FACE_LIVENESS]]\nunit_price = '0.026'\ncurrency = 'USD'\n\
             [[prices.FACE_LIVENESS]]\nfrom = 2026-10-16\nunit_price = '0.024'\ncurrency = 'USD'\n\
             [[prices.FACE_VERIFY]]\nunit_price = '0.026'\ncurrency = 'USD'\n\
             tiers = [{{ above = {}, unit_price = '0.02' }}]\n\
             [[packages]]\nname = 'october'\nproduct = 'eKYC'\nquantity = {}\nfrom = 2026-10-01\nuntil = 2026-10-31\n",
            self.tier(),
            self.package()
        )
        .replace("2026-10-16", "'2026-10-16'")
        .replace(
            "from = 2026-10-01\nuntil = 2026-10-31",
            "from = '2026-10-01'\nuntil = '2026-10-31'",
        );
        for product in PRODUCTS {
            for (code, billed) in [("200", true), ("204", true), ("205", false)] {
                writeln!(
                    config,
                    "[sub_codes.{product}.{code}]\nmeaning = 'made up'\nbilled = {billed}"
                )
                .unwrap();
            }
        }
        config
    }

    fn tier(&self) -> i64 {
        i64::try_from(self.verifications / 12).unwrap()
    }

    fn package(&self) -> i64 {
        i64::try_from(self.verifications / 15).unwrap()
    }

    /// The vendor's bill, in two files: one call in some of the lines comes late. Plants what is about money alone.
    pub(super) fn bill(&mut self) -> [String; 2] {
        let mut files = [format!("{HEADER}\n"), format!("{HEADER}\n")];
        let (mut package, mut volume) = (self.package(), 0);
        for (place, calls) in self.billed.clone() {
            let deducted = if product(place) == "eKYC" {
                calls.min(package)
            } else {
                0
            };
            package -= deducted;
            let mut charged = Decimal::ZERO;
            for _ in deducted..calls {
                charged += self.price(place, volume);
                volume += i64::from(product(place) == "FACE_VERIFY");
            }
            let number = place.0 * 10 + i64::try_from(place.1).unwrap();
            let mut coupon = Decimal::ZERO;
            let mut shown = deducted;
            match number % 37 {
                // What is more would be taken for what it gives back.
                3 if !MORE.contains(&place.1) && !SHIFTED.contains(&place.1) => {
                    self.plant_money(place, "refund", -2, Decimal::new(-52, 3));
                    line(
                        &mut files[1],
                        place,
                        -2,
                        Decimal::ZERO,
                        0,
                        Decimal::new(-52, 3),
                        "Refund",
                    );
                }
                9 => {
                    self.plant_money(place, "adjustment", 0, Decimal::new(-125, 2));
                    line(
                        &mut files[1],
                        place,
                        0,
                        Decimal::ZERO,
                        0,
                        Decimal::new(-125, 2),
                        "Adjustment",
                    );
                }
                15 if charged > Decimal::ONE => {
                    self.plant_money(place, "coupon", 0, Decimal::new(-5, 1));
                    coupon = Decimal::new(5, 1);
                }
                21 if deducted == 0 => {
                    self.plant_money(place, "price", 0, Decimal::new(calls, 3));
                    charged += Decimal::new(calls, 3);
                }
                _ if deducted > 5 && place.0 == 1 => {
                    self.plant_money(place, "package", 0, Decimal::new(70, 2));
                    shown -= 5;
                    charged += Decimal::new(70, 2);
                }
                _ => {}
            }
            let late = i64::from(number % 11 == 5 && shown == 0 && coupon.is_zero() && calls > 1);
            let late_amount = Decimal::new(13, 3) * Decimal::from(late);
            line(
                &mut files[0],
                place,
                calls - late,
                coupon,
                shown,
                charged - coupon - late_amount,
                "PayAsYouGoBill",
            );
            if late == 1 {
                line(&mut files[1], place, 1, Decimal::ZERO, 0, late_amount, "PayAsYouGoBill");
            }
        }
        files
    }

    /// What a call costs, by the contract.
    fn price(&self, place: Place, volume: i64) -> Decimal {
        match product(place) {
            "FACE_LIVENESS" if place.0 < 15 => Decimal::new(26, 3),
            "FACE_LIVENESS" => Decimal::new(24, 3),
            "FACE_VERIFY" if volume < self.tier() => Decimal::new(26, 3),
            "FACE_VERIFY" => Decimal::new(20, 3),
            "eKYC" => Decimal::new(14, 2),
            "ID_OCR" => Decimal::new(18, 3),
            _ => Decimal::new(3, 1),
        }
    }
}

fn line(file: &mut String, place: Place, calls: i64, coupon: Decimal, deducted: i64, net: Decimal, kind: &str) {
    let (day, product, region) = (day(place), product(place), region(place));
    writeln!(
        file,
        "{day},{product},{region},{calls},{coupon},{deducted},{net},USD,{kind}"
    )
    .unwrap();
}
