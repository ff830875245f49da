//! The part of the page about verifications and what they cost.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::chart::{COLOURS, Chart, Series};
use super::night::Details;
use super::text::{all_days, exact, grouped, short};
use super::{MOST_NAMED, Section, Table};
use crate::pricing::BillingRow;
use crate::report::summary::Summary;

/// Currencies whose amounts are drawn, and that have a column.
/// What people read in the place of a billing day that no source said. Files for machines have nothing there.
const UNDATED: &str = "undated";

const MOST_CURRENCIES: usize = 3;
/// The name of what has no colour of its own.
const OTHERS: &str = "others";

pub(super) fn section(summary: &Summary, details: &Details) -> Section {
    let totals = &summary.billing;
    let mut texts = vec![format!(
        "{} verifications of this month and last, by the vendor's day: {} billed, {} not billed, {} of unknown sub codes.",
        grouped(totals.verifications),
        grouped(totals.billed),
        grouped(totals.unbilled),
        grouped(totals.unknown)
    )];
    if totals.unpriced > 0 {
        texts.push(format!(
            "{} are billed and have no known price.",
            grouped(totals.unpriced)
        ));
    }
    if totals.deducted > 0 {
        texts.push(format!("Packages paid for {}.", grouped(totals.deducted)));
    }
    let days = days_of(&details.billing);
    let count = |row: &BillingRow| Decimal::from(row.verifications);
    let code = |row: &BillingRow| format!("{} {}", row.product_code, row.sub_code);
    let mut charts = vec![by_day(
        "chart-verifications",
        "Verifications by day and sub code",
        &days,
        &details.billing,
        code,
        count,
    )];
    for (number, currency) in totals.amounts.keys().take(MOST_CURRENCIES).enumerate() {
        let title = format!("Amount by day and product, {currency}");
        let product = |row: &BillingRow| row.product_code.clone();
        let id = format!("chart-amounts-{number}");
        charts.push(by_day(&id, &title, &days, &details.billing, product, |row| {
            amount(row, currency)
        }));
    }
    Section {
        id: "verifications",
        title: "Verifications and amounts",
        texts,
        charts,
        tables: vec![
            code_table(summary, &details.billing),
            day_table(summary, &days, &details.billing),
        ],
    }
}

/// What a row costs in a currency.
fn amount(row: &BillingRow, currency: &str) -> Decimal {
    let of_currency = row.amount.filter(|_| row.currency.as_deref() == Some(currency));
    of_currency.unwrap_or_default()
}

/// What rows cost in a currency; empty where nothing is known of it, as in `billing.csv`.
fn amount_cell(rows: &[&BillingRow], currency: &str) -> String {
    let known = rows.iter().any(|row| row.amount.is_some());
    let sum: Decimal = rows.iter().map(|row| amount(row, currency)).sum();
    if known { grouped(sum.normalize()) } else { String::new() }
}

/// Every day from the first to the last, and the unknown one if it has any.
fn days_of(rows: &[BillingRow]) -> Vec<Option<Date>> {
    let known = || rows.iter().filter_map(|row| row.billing_day);
    let mut days = Vec::new();
    if let (Some(first), Some(last)) = (known().min(), known().max()) {
        days.extend(all_days(first, last).map(Some));
    }
    if rows.iter().any(|row| row.billing_day.is_none()) {
        days.push(None);
    }
    days
}

fn day_name(day: Option<Date>) -> String {
    day.map_or_else(|| UNDATED.to_owned(), |day| day.to_string())
}

/// Columns by day of the greatest of what `of` names, and of the others together.
fn by_day(
    id: &str,
    title: &str,
    days: &[Option<Date>],
    rows: &[BillingRow],
    of: impl Fn(&BillingRow) -> String,
    value: impl Fn(&BillingRow) -> Decimal,
) -> Chart {
    let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
    for row in rows {
        *sums.entry(of(row)).or_default() += value(row);
    }
    let mut names: Vec<(String, Decimal)> = sums.into_iter().filter(|(_, sum)| !sum.is_zero()).collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let others = names.len() > COLOURS;
    let mut names: Vec<String> = names.into_iter().take(COLOURS).map(|(name, _)| name).collect();
    let own = names.len();
    if others {
        names.push(OTHERS.to_owned());
    }
    let mut figures = vec![vec![Decimal::ZERO; days.len()]; names.len()];
    for row in rows {
        let name = of(row);
        let series = names[..own].iter().position(|own| *own == name).unwrap_or(own);
        let day = days.iter().position(|day| *day == row.billing_day);
        if let Some(figure) = day.and_then(|day| figures.get_mut(series)?.get_mut(day)) {
            *figure += value(row);
        }
    }
    let series = names.into_iter().zip(figures).map(|(name, figures)| Series {
        name,
        values: figures.into_iter().map(exact).collect(),
    });
    let days: Vec<String> = days
        .iter()
        .map(|day| day.map_or_else(|| UNDATED.to_owned(), short))
        .collect();
    Chart::columns(id, title, &days, &series.collect::<Vec<_>>())
}

fn code_table(summary: &Summary, rows: &[BillingRow]) -> Table {
    let currencies: Vec<&String> = summary.billing.amounts.keys().take(MOST_CURRENCIES).collect();
    let mut columns: Vec<String> = ["product", "sub code", "meaning", "billed", "#verifications"]
        .map(str::to_owned)
        .into();
    columns.extend(currencies.iter().map(|currency| format!("#{currency}")));
    let mut table = Table::new(
        "Verifications by product and sub code",
        columns.iter().map(String::as_str),
    );
    let codes = &summary.billing.sub_codes;
    for code in codes.iter().take(MOST_NAMED) {
        let alike = |row: &&BillingRow| row.product_code == code.product_code && row.sub_code == code.sub_code;
        let of_code: Vec<&BillingRow> = rows.iter().filter(alike).collect();
        let mut cells = vec![
            code.product_code.clone(),
            code.sub_code.clone(),
            of_code.first().map_or_else(String::new, |row| row.meaning.clone()),
            code.billed.to_owned(),
            grouped(code.verifications),
        ];
        cells.extend(currencies.iter().map(|currency| amount_cell(&of_code, currency)));
        table.row(cells);
    }
    table.cut(MOST_NAMED, codes.len() as u64, "billing.csv")
}

fn day_table(summary: &Summary, days: &[Option<Date>], rows: &[BillingRow]) -> Table {
    let currencies: Vec<&String> = summary.billing.amounts.keys().take(MOST_CURRENCIES).collect();
    let mut columns: Vec<String> = ["day", "#verifications", "#billed", "#not billed", "#unknown"]
        .map(str::to_owned)
        .into();
    columns.extend(currencies.iter().map(|currency| format!("#{currency}")));
    let mut table = Table::new("Verifications by day", columns.iter().map(String::as_str)).folded();
    for day in days {
        let of_day: Vec<&BillingRow> = rows.iter().filter(|row| row.billing_day == *day).collect();
        let count = |billed: Option<bool>| -> u64 {
            let alike = of_day.iter().filter(|row| row.billed == billed);
            alike.map(|row| row.verifications).sum()
        };
        let (billed, unbilled, unknown) = (count(Some(true)), count(Some(false)), count(None));
        let mut cells = vec![day_name(*day)];
        cells.extend([billed + unbilled + unknown, billed, unbilled, unknown].map(grouped));
        cells.extend(currencies.iter().map(|currency| amount_cell(&of_day, currency)));
        table.row(cells);
    }
    table
}
