//! The page of a month's bill, or of the vendor's records in its place, that was compared with the archive.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::chart::{Chart, Series};
use super::text::{clean, exact, grouped, short};
use super::{MOST_NAMED, Page, Section, Table, Tile, Verdict};
use crate::reconcile::{CurrencyTotal, Judgement, Line, Reconciled, RecordsOutcome, Standing};
use crate::report::reconcile::{explanations, money, notes};

/// Differences that are named, the worst first.
const MOST_LINES: usize = 100;

impl Page {
    /// The page of a comparison.
    pub fn reconciled(reconciled: &Reconciled) -> Self {
        let state = if reconciled.month_is_final {
            "final"
        } else {
            "not final before the 4th of the next month"
        };
        let mut about = format!("The month is {state}.");
        let records = reconciled.records.as_ref();
        for (what, files) in [
            ("Bill", Some(&reconciled.bill_files)),
            ("Records", records.map(|records| &records.files)),
        ] {
            let files = files.map(Vec::as_slice).unwrap_or_default();
            let mut named: Vec<String> = files.iter().take(MOST_NAMED).map(|file| clean(file)).collect();
            if files.len() > MOST_NAMED {
                named.push(format!("{} more", grouped(files.len() - MOST_NAMED)));
            }
            if !named.is_empty() {
                about = format!("{about} {what}: {}.", named.join(", "));
            }
        }
        let mut sections = vec![totals(reconciled), why(reconciled), differences(reconciled)];
        sections.extend(records.map(of_records));
        let mut left_out = Vec::new();
        for (lines, about) in [
            (reconciled.other_months, "other months"),
            (reconciled.not_ours, "other services"),
        ] {
            if lines > 0 {
                left_out.push(format!(
                    "Lines of the bill about {about}, left out: {}.",
                    grouped(lines)
                ));
            }
        }
        let footer = "reconcile.csv has every line, reconcile-records.csv the transactions behind the explanations; both are beside \
                      this page, and so is reconcile.json.";
        left_out.push(footer.to_owned());
        Self {
            title: format!(
                "The vendor's {} of {} against the archive",
                reconciled.side, reconciled.month
            ),
            about,
            verdict: verdict(reconciled),
            tiles: tiles(reconciled),
            sections,
            footer: left_out,
        }
    }
}

fn lines_of(reconciled: &Reconciled, standing: Standing) -> usize {
    let lines = reconciled.lines.iter();
    lines.filter(|line| line.standing == standing).count()
}

fn verdict(reconciled: &Reconciled) -> Verdict {
    let (wrong, open) = (
        lines_of(reconciled, Standing::Wrong),
        lines_of(reconciled, Standing::Open),
    );
    let (side, is) = match reconciled.side {
        "bill" => ("bill", "is"),
        _ => ("records", "are"),
    };
    let records = reconciled.records.as_ref();
    let contradict = records.map_or(0, RecordsOutcome::wrong);
    let unknown = records.map_or(0, RecordsOutcome::unknown);
    let sums = money(reconciled);
    let judgement = reconciled.judgement();
    let code = match judgement {
        Judgement::Settled => 0,
        Judgement::Open => 4,
        Judgement::Wrong => 9,
    };
    let mood = match judgement {
        Judgement::Settled => "good",
        Judgement::Open => "look",
        Judgement::Wrong => "bad",
    };
    let title = if !reconciled.archive_differs.is_empty() {
        format!("Archive and ledger differ, so nothing can be said of the {side}")
    } else if !sums.is_empty() {
        sums.join(" ").trim_end_matches('.').to_owned()
    } else if contradict > 0 {
        "The vendor's records and the archive contradict each other".to_owned()
    } else if unknown > 0 {
        "The vendor has records that no source ever named".to_owned()
    } else if judgement == Judgement::Open {
        format!("Something of the {side} is open")
    } else {
        format!("The {side} {is} right")
    };
    let title = format!("{} (exit {code})", clean(&title));
    let counted = [
        (wrong, "wrong: both sides contradict each other"),
        (open, "open: what is missing is named below"),
    ];
    let counted = counted.into_iter().filter(|(lines, _)| *lines > 0);
    let mut reasons: Vec<String> = reconciled.hints.clone();
    let counted = counted.map(|(lines, what)| {
        format!(
            "{} of {} lines {what}.",
            grouped(lines),
            grouped(reconciled.lines.len())
        )
    });
    reasons.extend(counted);
    if contradict > 0 {
        let ids = grouped(contradict);
        reasons.push(format!(
            "Ids with another verdict in the vendor's records, or none: {ids}."
        ));
    }
    if unknown > 0 {
        let ids = grouped(unknown);
        reasons.push(format!(
            "Ids of the vendor's records that are not in the ledger: {ids}; --adopt takes them in."
        ));
    }
    let differs = &reconciled.archive_differs;
    reasons.extend(differs.iter().take(MOST_NAMED).map(|difference| clean(difference)));
    if differs.len() > MOST_NAMED {
        let more = grouped(differs.len() - MOST_NAMED);
        reasons.push(format!(
            "{more} more are in reconcile.json; `idvault verify` finds all."
        ));
    }
    Verdict { mood, title, reasons }
}

fn tiles(reconciled: &Reconciled) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = [
        ("Wrong", Standing::Wrong),
        ("Open", Standing::Open),
        ("Right", Standing::Right),
    ]
    .into_iter()
    .map(|(name, standing)| Tile {
        name,
        figure: grouped(lines_of(reconciled, standing)),
        detail: "days, products and regions".to_owned(),
    })
    .collect();
    let priced: Vec<_> = reconciled
        .totals
        .iter()
        .filter(|total| !total.currency.is_empty())
        .collect();
    let amount = |total: &&CurrencyTotal| {
        let amount = grouped(total.difference.amount.normalize());
        format!("{amount} {}", clean(&total.currency))
    };
    let calls: i64 = reconciled.totals.iter().map(|total| total.difference.quantity).sum();
    if !priced.is_empty() {
        tiles.push(Tile {
            name: if reconciled.side == "bill" {
                "The bill has more"
            } else {
                "The records have more"
            },
            figure: priced.iter().map(amount).collect::<Vec<_>>().join(", "),
            detail: format!("{} calls", grouped(calls)),
        });
    }
    tiles
}

fn totals(reconciled: &Reconciled) -> Section {
    let columns = [
        "currency",
        "#bill, calls",
        "#archive, calls",
        "#more, calls",
        "#bill",
        "#archive",
        "#more",
        "#too high",
        "#too low",
        "#open",
    ];
    let mut table = Table::new("Bill and archive", columns);
    for total in &reconciled.totals {
        let sides = [total.bill, total.archive, total.difference];
        let currency = if total.currency.is_empty() {
            "without a price"
        } else {
            &total.currency
        };
        let mut cells = vec![currency.to_owned()];
        cells.extend(sides.map(|side| grouped(side.quantity)));
        cells.extend(sides.map(|side| grouped(side.amount.normalize())));
        let money = [total.money.overcharged, total.money.undercharged, total.money.open];
        cells.extend(money.map(|amount| grouped(amount.normalize())));
        table.row(cells);
    }
    let of = reconciled.totals.len() as u64;
    let days = by_day(reconciled);
    Section {
        id: "totals",
        title: "Bill against archive",
        charts: vec![day_chart(&days)],
        tables: vec![table.cut(MOST_NAMED, of, "reconcile.json"), day_table(&days)],
        ..Section::default()
    }
}

/// Calls on both sides, bill first, day by day.
fn by_day(reconciled: &Reconciled) -> BTreeMap<Date, [i64; 2]> {
    let mut days: BTreeMap<Date, [i64; 2]> = BTreeMap::new();
    for line in &reconciled.lines {
        let compared = &line.compared;
        let sides = days.entry(compared.key.day).or_default();
        sides[0] += compared.bill.quantity;
        sides[1] += compared.archive.quantity;
    }
    days
}

fn day_chart(days: &BTreeMap<Date, [i64; 2]>) -> Chart {
    let names: Vec<String> = days.keys().copied().map(short).collect();
    let series = |name: &str, side: usize| Series {
        name: name.to_owned(),
        values: days.values().map(|sides| exact(Decimal::from(sides[side]))).collect(),
    };
    let sides = [series("bill", 0), series("archive", 1)];
    Chart::lines("chart-bill", "Calls by day, bill and archive", &names, &sides, None)
}

fn day_table(days: &BTreeMap<Date, [i64; 2]>) -> Table {
    let columns = ["day", "#bill", "#archive", "#the bill has more"];
    let mut table = Table::new("Calls by day, bill and archive", columns).folded();
    for (day, [bill, archive]) in days {
        table.row([
            day.to_string(),
            grouped(bill),
            grouped(archive),
            grouped(bill - archive),
        ]);
        table.mark(bill != archive);
    }
    table
}

fn why(reconciled: &Reconciled) -> Section {
    let columns = ["why", "standing", "#calls", "#amount", "currency", "#lines"];
    let mut table = Table::new("What the bill has more, by reason", columns);
    for total in &reconciled.explanations {
        table.row([
            total.class.as_str().replace('_', " "),
            total.standing.as_str().to_owned(),
            grouped(total.size.quantity),
            grouped(total.size.amount.normalize()),
            total.currency.clone(),
            grouped(total.lines),
        ]);
        let against_us = total.size.amount >= Decimal::ZERO;
        table.mark(total.standing == Standing::Wrong && against_us);
    }
    let mut section = Section {
        id: "why",
        title: "Reasons",
        ..Section::default()
    };
    if reconciled.explanations.is_empty() {
        section.texts.push("Bill and archive agree in every line.".to_owned());
    } else {
        let of = reconciled.explanations.len() as u64;
        section.tables.push(table.cut(MOST_LINES, of, "reconcile.json"));
    }
    section
}

fn differences(reconciled: &Reconciled) -> Section {
    let columns = [
        "day",
        "product",
        "region",
        "#bill, calls",
        "#archive, calls",
        "#bill",
        "#archive",
        "currency",
        "standing",
        "because of: calls, amount",
    ];
    let mut table = Table::new("Lines that differ, the worst first", columns);
    let differ = reconciled
        .lines
        .iter()
        .filter(|line| !line.compared.explanations.is_empty());
    let mut differ: Vec<&Line> = differ.collect();
    differ.sort_by_key(|line| (Reverse(line.beyond_tolerance), Reverse(line.standing)));
    for line in differ.iter().take(MOST_LINES) {
        let (key, bill, archive) = (&line.compared.key, line.compared.bill, line.compared.archive);
        table.row([
            key.day.to_string(),
            key.product_code.clone(),
            key.region.clone(),
            grouped(bill.quantity),
            grouped(archive.quantity),
            grouped(bill.amount.normalize()),
            grouped(archive.amount.normalize()),
            line.currency.clone(),
            line.standing.as_str().to_owned(),
            explanations(line).replace('_', " "),
        ]);
        table.mark(line.beyond_tolerance);
    }
    let mut section = Section {
        id: "differences",
        title: "Differences",
        ..Section::default()
    };
    section
        .texts
        .extend(notes(reconciled).iter().take(MOST_LINES).map(|note| clean(note)));
    if differ.is_empty() {
        section.texts.push("There is none.".to_owned());
    } else {
        section
            .tables
            .push(table.cut(MOST_LINES, differ.len() as u64, "reconcile.csv"));
    }
    section
}

/// What the vendor's own records say, whatever the bill does.
fn of_records(records: &RecordsOutcome) -> Section {
    let mut table = Table::new("Records and ledger, by how they differ", ["how", "#ids"]);
    table.row(["as the ledger has them".to_owned(), grouped(records.agree)]);
    for (class, ids) in &records.differ {
        table.row([class.as_str().replace('_', " "), grouped(ids)]);
        table.mark(class.is_told_by_records());
    }
    let columns = ["how", "day", "product", "region", "transaction"];
    let mut named = Table::new("Ids that need a look", columns);
    for record in &records.named {
        named.row([
            record.class.as_str().replace('_', " "),
            record.day.to_string(),
            record.product_code.clone(),
            record.region.clone(),
            record.transaction_id.clone(),
        ]);
    }
    let told = records.differ.iter().filter(|(class, _)| class.is_told_by_records());
    let told = told.map(|(_, ids)| ids).sum();
    let mut section = Section {
        id: "records",
        title: "The vendor's own records",
        texts: vec![format!(
            "{} records of {} to {}.",
            grouped(records.records),
            records.from,
            records.to
        )],
        tables: vec![table],
        ..Section::default()
    };
    section.texts.extend(records.adopted.map(|adopted| {
        let (taken, refused) = (grouped(adopted.taken), grouped(adopted.refused));
        format!("Taken in, as no source named them: {taken}. Not taken in, as their region has no endpoint: {refused}.")
    }));
    if told > 0 {
        section
            .tables
            .push(named.cut(MOST_LINES, told, "reconcile-records.csv"));
    }
    section
}
