//! What is printed.
//!
//! - [`Table`]: the rows, printed one by one and once more at the end
//! - [`Row`]: one figure beside its goal; [`Goal`]
//! - [`count`], [`rate`], [`seconds`], [`mib`], [`percent`]: numbers for people

use std::time::Duration;

/// What a figure is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    Below(f64),
    /// Shown beside the others.
    None,
}

impl Goal {
    fn met(self, figure: f64) -> &'static str {
        let met = match self {
            Self::AtLeast(least) => figure >= least,
            Self::Below(limit) => figure < limit,
            Self::None => return "",
        };
        if met { "met" } else { "NOT met" }
    }
}

/// One figure.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    what: String,
    goal: String,
    measured: String,
    /// What ran beside it in this run, and the ratio to that.
    beside: String,
    met: &'static str,
}

impl Row {
    /// `figure` in the form that `show` gives it.
    pub(crate) fn new(what: impl Into<String>, goal: Goal, figure: f64, show: impl Fn(f64) -> String) -> Self {
        Self {
            what: what.into(),
            goal: match goal {
                Goal::AtLeast(least) => format!(">= {}", show(least)),
                Goal::Below(limit) => format!("< {}", show(limit)),
                Goal::None => String::new(),
            },
            measured: show(figure),
            beside: String::new(),
            met: goal.met(figure),
        }
    }

    /// What it is to be seen beside.
    pub(crate) fn beside(mut self, text: impl Into<String>) -> Self {
        self.beside = text.into();
        self
    }
}

/// The rows.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    failures: Vec<String>,
}

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        println!("{}", line(&row));
        self.rows.push(row);
    }

    /// A topic that broke off.
    pub(crate) fn fail(&mut self, text: String) {
        println!("FAILED: {text}");
        self.failures.push(text);
    }

    /// The whole table, as Markdown. Whether nothing failed.
    pub(crate) fn print(&self) -> bool {
        println!("\n| what | goal | measured | beside it | |\n|---|---|---|---|---|");
        for row in &self.rows {
            println!("{}", line(row));
        }
        for failure in &self.failures {
            println!("\nFAILED: {failure}");
        }
        self.failures.is_empty()
    }
}

fn line(row: &Row) -> String {
    let Row {
        what,
        goal,
        measured,
        beside,
        met,
    } = row;
    format!("| {what} | {goal} | {measured} | {beside} | {met} |")
}

/// A count as a floating point number.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
pub(crate) fn float(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or(u64::MAX) as f64
}

/// `1,234,567`.
pub(crate) fn count(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = if number < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", count(per_second))
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

pub(crate) fn micros(micros: f64) -> String {
    format!("{micros:.1} µs")
}

pub(crate) fn mib(mib: f64) -> String {
    format!("{mib:.1} MiB")
}

pub(crate) fn megabytes_per_second(rate: f64) -> String {
    format!("{} MB/s", count(rate))
}

/// So many of something in that time.
pub(crate) fn per_second(number: impl TryInto<u64>, time: Duration) -> f64 {
    float(number) / time.as_secs_f64().max(f64::EPSILON)
}

/// The middle one; of an even number the lower.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures
        .get(figures.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}
