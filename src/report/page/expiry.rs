//! The part of a run's page about what expires unfetched: how soon, and why.

use jiff::civil::Date;

use super::chart::{Chart, Series};
use super::text::{all_days, counted, grouped, percent, short};
use super::{MOST_NAMED, Section, Table};
use crate::plan::Band;
use crate::report::cause::Cause;
use crate::report::expiry::{CauseDay, ExpiryTotals};

pub(super) fn section(expiry: &ExpiryTotals) -> Section {
    let mut bands = Table::new("Unfetched records by time left to deletion", ["time left", "#records"]).folded();
    for band in Band::ALL {
        bands.row([time_left(band), &grouped(expiry.of(band))]);
    }
    let series = Series {
        name: "records".to_owned(),
        values: Band::ALL.iter().map(|band| counted(expiry.of(*band))).collect(),
    };
    let names = Band::ALL.map(|band| time_left(band).to_owned());
    let mut charts = vec![Chart::bars(
        "chart-bands",
        "Unfetched records by time left to deletion",
        &names,
        &series,
    )];
    let mut causes = Table::new("Why", ["cause", "#lost", "#endangered"]);
    for cause in Cause::ALL {
        let total = expiry.causes.get(&cause).copied().unwrap_or_default();
        causes.row([cause_words(cause), &grouped(total.lost), &grouped(total.endangered)]);
        causes.mark(total.lost > 0);
    }
    let mut tables = vec![bands, causes];
    if !expiry.days.is_empty() {
        charts.push(cause_chart(&expiry.days));
        let mut days = Table::new("By day of expiry and cause", ["day", "cause", "#lost", "#endangered"]).folded();
        for line in &expiry.days {
            let (lost, endangered) = (grouped(line.total.lost), grouped(line.total.endangered));
            days.row([&line.day.to_string(), cause_words(line.cause), &lost, &endangered]);
        }
        tables.push(days.cut(MOST_NAMED * 5, expiry.days.len() as u64, "summary.json"));
    }
    let loss = &expiry.loss;
    let texts = vec![format!(
        "Loss rate of the last 30 nights, {} to {}: {}; {} lost, {} archived.",
        loss.from,
        loss.to,
        percent(loss.rate),
        grouped(loss.lost),
        grouped(loss.archived)
    )];
    Section {
        id: "expiry",
        title: "Expiry and losses",
        texts,
        charts,
        tables,
    }
}

fn cause_chart(lines: &[CauseDay]) -> Chart {
    let ends = lines.first().zip(lines.last());
    let days: Vec<Date> = ends.map_or_else(Vec::new, |(first, last)| all_days(first.day, last.day).collect());
    let value = |day: &Date, cause: Cause| {
        let found = lines.iter().find(|line| line.day == *day && line.cause == cause);
        counted(found.map_or(0, |line| line.total.lost + line.total.endangered))
    };
    let series = Cause::ALL.map(|cause| Series {
        name: cause_words(cause).to_owned(),
        values: days.iter().map(|day| value(day, cause)).collect(),
    });
    let names: Vec<String> = days.iter().copied().map(short).collect();
    Chart::columns(
        "chart-causes",
        "Lost and endangered records by day of expiry and cause",
        &names,
        &series,
    )
}

const fn time_left(band: Band) -> &'static str {
    match band {
        Band::Lost => "none: lost or past it",
        Band::Day => "up to 1 day",
        Band::ThreeDays => "up to 3 days",
        Band::Week => "in the warning window",
        Band::Unknown => "unknown age",
    }
}

const fn cause_words(cause: Cause) -> &'static str {
    match cause {
        Cause::NotCompleted => "not completed by the customer",
        Cause::Quarantined => "refused by the vendor, in quarantine",
        Cause::Region => "region without endpoint, or wrong",
        Cause::Outage => "outage of the vendor",
        Cause::FirstSeenTooLate => "came in too late",
        Cause::ArchiveDamaged => "its file in the archive was missing or damaged",
        Cause::NotReached => "not reached by a run",
        Cause::UnknownVerdict => "answered with an unknown verdict",
    }
}
