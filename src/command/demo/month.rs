//! `idvault demo --month`: last month in three nights, and the vendor's bill for it, with two faults planted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use rust_decimal::Decimal;

use super::{Demo, made_up, say};
use crate::command::CommandError;
use crate::day::BillingZone;
use crate::exit::Exit;
use crate::files::{self, FileError};
use crate::intake::made_up::{Row, write_csv};
use crate::ledger::Ledger;
use crate::pricing::BillingRow;
use crate::report::billing;
use crate::sandbox::{Kind, SandboxSettings};

/// Verifications of a day.
const A_DAY: i64 = 20;
/// Draws the ids.
const SEED: u64 = 32;
/// The days of the month at whose ends the nights are: none is later than the vendor keeps a result.
const NIGHTS: [i8; 3] = [10, 20, 31];
/// The bill's line that has a call more than the archive.
const LINE_WITH_ONE_MORE: usize = 9;
/// The bill's line that is dearer than the list.
const DEARER_LINE: usize = 21;
/// The vendor's list price in USD, and that of the dearer line.
const LIST_PRICE: Decimal = Decimal::from_parts(26, 0, 0, false, 3);
const DEARER_PRICE: Decimal = Decimal::from_parts(3, 0, 0, false, 2);
/// The header of the bill: the columns of the vendor's billing API.
const HEADER: &str = "BillingDate,BillingItemCode,Region,Usage,UsageUnit,ListPrice,PretaxGrossAmount,InvoiceDiscount,\
DeductedByResourcePackage,PretaxAmount,Currency,Item\n";

pub(super) fn execute(demo: &Demo) -> Result<Exit, CommandError> {
    let settings = demo.context.settings(demo.global.overrides())?;
    let zone = &settings.billing_zone;
    let month = zone.day_of(demo.now()).first_of_month().saturating_sub(1.month());
    let rows = rows(month, zone);
    let mut exit = Exit::Done;
    let mut archived = 0;
    for until in NIGHTS {
        let Some(midnight) = start_of(month, until.min(month.days_in_month()), zone) else {
            continue;
        };
        let night = midnight + SignedDuration::from_hours(26);
        let known: Vec<Row> = rows.iter().filter(|row| row.verified_at < night).cloned().collect();
        let source = demo.folder.join(format!("pending-{until}.csv"));
        write_csv(&source, &known)?;
        let summary = demo.night(&[source], SandboxSettings::default(), Some(night))?;
        exit = summary.exit_code;
        archived += summary.published.verifications;
    }
    let bill = demo
        .folder
        .join(format!("bill-{}-{:02}.csv", month.year(), month.month()));
    let ledger = Ledger::open_read_only(&settings.data_dir)?;
    let billing = billing::read(&ledger, &settings.pricing, Some((month, month.last_of_month())))?;
    let text = bill_of(&billing.rows);
    files::create_private(&bill)?
        .write_all(text.as_bytes())
        .map_err(FileError::because("write", &bill))?;
    let (month, bill) = (format!("{}-{:02}", month.year(), month.month()), bill.display());
    let data = settings.data_dir.display();
    say(&format!(
        "Made-up verifications of {month}, answered by a sandbox in the vendor's place.

archived  {archived} verifications in {} nights
bill      {bill}: one call too many, and one line at a higher price

Next:
idvault report billing --by month --month {month} --data-dir {data}
idvault reconcile --bill {bill} --data-dir {data}
idvault close --month {month} --bill {bill} --data-dir {data}
",
        NIGHTS.len()
    ))?;
    Ok(exit)
}

/// Verifications of each day of the month, all final, all of sub codes that are known.
fn rows(month: Date, zone: &BillingZone) -> Vec<Row> {
    let known = |kind: Kind| matches!(kind, Kind::Passed | Kind::Failed("204" | "205" | "206" | "233"));
    let mut ids = made_up::ids(SEED, known);
    let mut rows = Vec::new();
    for day in 1..=month.days_in_month() {
        let Some(midnight) = start_of(month, day, zone) else {
            continue;
        };
        for (n, transaction_id) in (1..=A_DAY).zip(&mut ids) {
            rows.push(Row {
                transaction_id,
                product_code: "FACE_LIVENESS",
                region: if n % 4 == 0 { "cn-hongkong" } else { "ap-southeast-1" },
                verified_at: midnight + SignedDuration::from_mins(n * 70),
            });
        }
    }
    rows
}

/// The vendor's midnight at which a day of the month begins.
fn start_of(month: Date, day: i8, zone: &BillingZone) -> Option<Timestamp> {
    let (start, _) = zone.bounds(month.saturating_add(i64::from(day - 1).days()))?;
    Some(start)
}

/// The archive's figures as the vendor would bill them, but for two lines.
fn bill_of(rows: &[BillingRow]) -> String {
    let mut lines: BTreeMap<(Date, &str, &str), u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.billed == Some(true)) {
        if let Some(day) = row.billing_day {
            *lines.entry((day, &row.product_code, &row.region)).or_default() += row.verifications;
        }
    }
    let mut text = HEADER.to_owned();
    for (n, ((day, product, region), verifications)) in lines.into_iter().enumerate() {
        let usage = if n == LINE_WITH_ONE_MORE {
            verifications + 1
        } else {
            verifications
        };
        let price = if n == DEARER_LINE { DEARER_PRICE } else { LIST_PRICE };
        let amount = price * Decimal::from(usage);
        let _ = writeln!(
            text,
            "{day},{product},{region},{usage},Times,{price},{amount},0,0,{amount},USD,PayAsYouGoBill"
        );
    }
    text
}
