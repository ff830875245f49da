//! The vendor's bill against the archive: `reconcile.csv` with a line for each day, product and region,
//! `reconcile-records.csv` with the transactions behind the explanations, and a table for a terminal.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::ReportError;
use super::csv::{Writer, cell, writer};
use crate::ledger::Adopted;
use crate::plain::clean;
use crate::reconcile::{BillNote, CurrencyTotal, Explanation, Line, Reconciled, Record, RecordsOutcome, Size};
use crate::record::{ProductCode, Region};

const HEADER: [&str; 13] = [
    "billing_day",
    "product_code",
    "region",
    "currency",
    "bill_calls",
    "archive_calls",
    "calls_more",
    "bill_amount",
    "archive_amount",
    "amount_more",
    "standing",
    "beyond_tolerance",
    "explanations",
];
const RECORDS_HEADER: [&str; 14] = [
    "billing_day",
    "product_code",
    "region",
    "explanation",
    "transaction_id",
    "state",
    "verified_at",
    "passed",
    "sub_code",
    "vendor_product_code",
    "vendor_region",
    "vendor_verified_at",
    "vendor_passed",
    "vendor_sub_code",
];
/// Differences that a terminal is shown; all are in `reconcile.csv`.
const SHOWN_LINES: usize = 40;

/// Writes `reconcile.csv`.
pub fn write(reconciled: &Reconciled, out: impl Write) -> Result<(), ReportError> {
    let mut out = writer(out);
    out.write_record(HEADER)?;
    for line in &reconciled.lines {
        let compared = &line.compared;
        let own = |text: &str| cell(text).into_owned();
        out.write_record([
            compared.key.day.to_string(),
            own(&compared.key.product_code),
            own(&compared.key.region),
            own(&line.currency),
            compared.bill.quantity.to_string(),
            compared.archive.quantity.to_string(),
            compared.difference.quantity.to_string(),
            compared.bill.amount.normalize().to_string(),
            compared.archive.amount.normalize().to_string(),
            compared.difference.amount.normalize().to_string(),
            line.standing.as_str().to_owned(),
            if line.beyond_tolerance { "yes" } else { "no" }.to_owned(),
            explanations(line),
        ])?;
    }
    out.flush()?;
    Ok(())
}

/// Each as `class calls amount`, in the order of the classes.
pub(super) fn explanations(line: &Line) -> String {
    let explanation = |Explanation { class, size }: &Explanation| {
        format!("{} {} {}", class.as_str(), size.quantity, size.amount.normalize())
    };
    let all = line.compared.explanations.iter().map(explanation);
    all.collect::<Vec<_>>().join("; ")
}

/// `reconcile-records.csv`, record by record.
pub struct Records<W: Write>(Writer<W>);

impl<W: Write> Records<W> {
    /// Begins it.
    pub fn new(out: W) -> Result<Self, ReportError> {
        let mut out = writer(out);
        out.write_record(RECORDS_HEADER)?;
        Ok(Self(out))
    }

    /// One more.
    pub fn write(&mut self, record: &Record<'_>) -> Result<(), ReportError> {
        let ours = record.ours.as_ref();
        let time = ours.and_then(|ours| Timestamp::from_microsecond(ours.verified_at?).ok());
        let theirs = record.theirs;
        let yes_or_no = |passed: Option<bool>| match passed {
            Some(true) => "Y",
            Some(false) => "N",
            None => "",
        };
        let product = theirs.and_then(|theirs| theirs.product_code.as_ref());
        let region = theirs.and_then(|theirs| theirs.region.as_ref());
        let sub_code = theirs.and_then(|theirs| theirs.sub_code.as_deref());
        self.0.write_record([
            &*record.day.map(|day| day.to_string()).unwrap_or_default(),
            &*cell(record.product_code),
            &*cell(record.region),
            record.class.as_str(),
            &*cell(record.transaction_id),
            ours.map_or("", |ours| ours.state.as_str()),
            &*time.map(super::time).unwrap_or_default(),
            yes_or_no(ours.and_then(|ours| ours.passed)),
            &*cell(ours.and_then(|ours| ours.sub_code).unwrap_or_default()),
            &*cell(product.map_or("", ProductCode::as_str)),
            &*cell(region.map_or("", Region::as_str)),
            &*theirs.map(|theirs| super::time(theirs.verified_at)).unwrap_or_default(),
            yes_or_no(theirs.and_then(|theirs| theirs.passed)),
            &*cell(sub_code.unwrap_or_default()),
        ])?;
        Ok(())
    }

    /// Writes what is left.
    pub fn finish(mut self) -> Result<(), ReportError> {
        Ok(self.0.flush()?)
    }
}

/// Writes it as JSON.
pub fn write_json(reconciled: &Reconciled, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, reconciled)?;
    writeln!(out)?;
    out.flush()
}

/// Writes the totals, the reasons, and the first lines that differ.
pub fn write_table(reconciled: &Reconciled, mut out: impl Write) -> io::Result<()> {
    let state = if reconciled.month_is_final {
        "final"
    } else {
        "not final before the 4th of the next month"
    };
    let side = reconciled.side;
    writeln!(out, "{} ({state}): {side} against archive", reconciled.month)?;
    for total in &reconciled.totals {
        let (bill, archive) = (sized(total.bill), sized(total.archive));
        let (currency, has) = (clean(&total.currency), if side == "bill" { "has" } else { "have" });
        writeln!(
            out,
            "{currency}: {side} {bill}; archive {archive}; the {side} {has} {} more",
            sized(total.difference)
        )?;
    }
    if !reconciled.forms.is_empty() {
        let forms: Vec<&str> = reconciled.forms.iter().map(String::as_str).collect();
        writeln!(out, "form of the bill: {}", forms.join(", "))?;
    }
    if reconciled.forms.contains("focus") {
        writeln!(out, "advisory: the vendor says that FOCUS is not for reconciliation")?;
    }
    for text in money(reconciled) {
        writeln!(out, "{text}")?;
    }
    for hint in &reconciled.hints {
        writeln!(out, "hint: {hint}")?;
    }
    if let Some(records) = &reconciled.records {
        write_records(records, &mut out)?;
    }
    for difference in &reconciled.archive_differs {
        writeln!(out, "archive and ledger differ: {}", clean(difference))?;
    }
    if reconciled.explanations.is_empty() {
        writeln!(out, "no difference in {} lines", reconciled.lines.len())?;
    } else {
        writeln!(out)?;
        write_rows(&mut out, &reasons(reconciled))?;
        writeln!(out)?;
        write_rows(&mut out, &differences(reconciled))?;
        let differing = reconciled.lines.iter().filter(|line| differs(line)).count();
        if let Some(more) = differing.checked_sub(SHOWN_LINES).filter(|more| *more > 0) {
            writeln!(out, "and {more} more in reconcile.csv")?;
        }
    }
    write_notes(reconciled, &mut out)?;
    for (lines, about) in [
        (reconciled.other_months, "other months"),
        (reconciled.not_ours, "other services"),
        (reconciled.total_lines, "totals"),
    ] {
        if lines > 0 {
            writeln!(out, "lines of the bill about {about}: {lines}, left out")?;
        }
    }
    out.flush()
}

/// What the bill comes to, a sentence a currency; none where nothing is wrong or open.
pub(super) fn money(reconciled: &Reconciled) -> Vec<String> {
    let side = reconciled.side;
    let is = if side == "bill" { "is" } else { "are" };
    let sentence = |total: &CurrencyTotal| {
        let money = &total.money;
        let currency = clean(&total.currency);
        let mut parts = Vec::new();
        for (amount, what) in [(money.overcharged, "too high"), (money.undercharged, "too low")] {
            if !amount.is_zero() {
                parts.push(format!("{} {currency} {what}", amount.normalize()));
            }
        }
        if money.calls_without_amount > 0 {
            parts.push(format!(
                "too high by {} calls without a known cost",
                money.calls_without_amount
            ));
        }
        let wrong = (!parts.is_empty()).then(|| format!("The {side} {is} {}.", parts.join(" and ")));
        let open = money.open.normalize();
        let open = (!open.is_zero()).then(|| format!("Open: {open} {currency}."));
        let texts: Vec<String> = [wrong, open].into_iter().flatten().collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    };
    reconciled.totals.iter().filter_map(sentence).collect()
}

/// Swaps, linked refunds, and the lines of the bill that need a person.
fn write_notes(reconciled: &Reconciled, out: &mut impl Write) -> io::Result<()> {
    for text in notes(reconciled) {
        writeln!(out, "{}", clean(&text))?;
    }
    Ok(())
}

/// The same for any reader: a sentence each.
pub(super) fn notes(reconciled: &Reconciled) -> Vec<String> {
    let swaps = swaps(reconciled).into_iter();
    let given_back = reconciled.given_back.iter().map(|link| {
        format!(
            "refund of {} of {} in {}: gives back {} calls of {}",
            link.refunded, link.product_code, link.region, link.calls, link.of
        )
    });
    let lines = reconciled.bill_lines.iter().map(note);
    swaps.chain(given_back).chain(lines).collect()
}

/// A sentence for each pair of product and region, over all days.
fn swaps(reconciled: &Reconciled) -> Vec<String> {
    let mut sums: BTreeMap<[&str; 4], (i64, Decimal)> = BTreeMap::new();
    for pair in &reconciled.swaps {
        let (ours, billed) = (&pair.ours, &pair.billed);
        let places = [
            &*ours.product_code,
            &*ours.region,
            &*billed.product_code,
            &*billed.region,
        ];
        let (calls, amount) = sums.entry(places).or_default();
        *calls += pair.calls;
        *amount += pair.billed_amount - pair.our_amount;
    }
    let sentence = |([product, region, billed, there], (calls, amount)): ([&str; 4], (i64, Decimal))| {
        format!(
            "swap: {calls} calls of {product} in {region} are billed as {billed} in {there}, which costs {} more",
            amount.normalize()
        )
    };
    sums.into_iter().map(sentence).collect()
}

fn note(note: &BillNote) -> String {
    let accepted = match &note.accepted {
        Some(reason) => format!("accepted: {reason}"),
        None => "open".to_owned(),
    };
    format!(
        "{}: {} of {} in {} on {}, {} {}; {accepted}",
        note.name,
        note.class.as_str().replace('_', " "),
        note.key.product_code,
        note.key.region,
        note.key.day,
        sized(note.size),
        note.currency
    )
}

/// What the vendor's own records say, in a line or two.
fn write_records(records: &RecordsOutcome, out: &mut impl Write) -> io::Result<()> {
    let RecordsOutcome { from, to, agree, .. } = records;
    let mut line = format!(
        "records: {} of {from} to {to}, {agree} as the ledger has them",
        records.records
    );
    for (class, count) in &records.differ {
        line = format!("{line}; {} {count}", class.as_str());
    }
    writeln!(out, "{line}")?;
    if let Some(Adopted { taken, refused }) = records.adopted {
        writeln!(
            out,
            "{taken} that no source named are taken in: the next run asks for them"
        )?;
        if refused > 0 {
            writeln!(
                out,
                "{refused} are not: their region has no endpoint; add it under [endpoints]"
            )?;
        }
    }
    Ok(())
}

fn differs(line: &Line) -> bool {
    !line.compared.explanations.is_empty()
}

fn sized(size: Size) -> String {
    format!("{} calls, {}", size.quantity, size.amount.normalize())
}

fn reasons(reconciled: &Reconciled) -> Vec<Vec<String>> {
    let head = ["why", "standing", "calls", "amount", "", "lines"]
        .map(str::to_owned)
        .to_vec();
    let rows = reconciled.explanations.iter().map(|total| {
        vec![
            total.class.as_str().to_owned(),
            total.standing.as_str().to_owned(),
            total.size.quantity.to_string(),
            total.size.amount.normalize().to_string(),
            clean(&total.currency).into_owned(),
            total.lines.to_string(),
        ]
    });
    std::iter::once(head).chain(rows).collect()
}

fn differences(reconciled: &Reconciled) -> Vec<Vec<String>> {
    let head = ["day", "product", "region", "calls", "amount", "", "because of"]
        .map(str::to_owned)
        .to_vec();
    let rows = reconciled
        .lines
        .iter()
        .filter(|line| differs(line))
        .take(SHOWN_LINES)
        .map(|line| {
            let compared = &line.compared;
            vec![
                compared.key.day.to_string(),
                clean(&compared.key.product_code).into_owned(),
                clean(&compared.key.region).into_owned(),
                compared.difference.quantity.to_string(),
                compared.difference.amount.normalize().to_string(),
                clean(&line.currency).into_owned(),
                explanations(line),
            ]
        });
    std::iter::once(head).chain(rows).collect()
}

/// Columns as wide as their widest cell; numbers stand to the right.
fn write_rows(out: &mut impl Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |at: usize| rows.iter().filter_map(move |row| row.get(at));
    let widths: Vec<usize> = (0..columns)
        .map(|at| cells(at).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let is_number = |cell: &String| cell.parse::<Decimal>().is_ok();
    let to_the_right: Vec<bool> = (0..columns).map(|at| cells(at).skip(1).all(is_number)).collect();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let width = widths[at];
            let padded = if to_the_right[at] {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:<width$}  ")
            };
            line.push_str(&padded);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
