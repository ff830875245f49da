//! What an operator sees while calls are in flight: bars on a terminal, a line a minute elsewhere. Nobody reports to it:
//! it looks at the counts that fetch keeps anyway.
//!
//! - [`Progress`]: watches until it is dropped or finished

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::fetch::{Counts, Totals};
use crate::report::summary::seconds;

/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_mins(1);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A bar on standard error, which is a terminal.
    Bar,
    /// A log line a minute.
    Lines,
    /// Not at all.
    Hidden,
}

/// Shows how far the calls are, until it is finished.
#[derive(Debug)]
pub struct Progress {
    task: Option<JoinHandle<()>>,
    bar: ProgressBar,
}

impl Progress {
    /// Starts to show the calls for `due` records.
    pub fn start(style: Style, due: u64, counts: Arc<Counts>) -> Self {
        let bar = match style {
            Style::Bar => ProgressBar::with_draw_target(Some(due), ProgressDrawTarget::stderr()),
            Style::Lines | Style::Hidden => ProgressBar::hidden(),
        };
        bar.set_style(style_of_bar());
        let task = match style {
            Style::Bar => Some(tokio::spawn(draw(bar.clone(), counts))),
            Style::Lines => Some(tokio::spawn(write_lines(due, counts))),
            Style::Hidden => None,
        };
        Self { task, bar }
    }

    /// Takes the bar away: the summary follows.
    pub fn finish(self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        self.bar.finish_and_clear();
    }
}

fn style_of_bar() -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A terminal that can't be written to is no reason to stop.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    ProgressStyle::with_template("{bar:30} {pos}/{len} {rate} ETA {eta}  {wide_msg}")
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.with_key("rate", rate))
}

async fn draw(bar: ProgressBar, counts: Arc<Counts>) {
    let mut ticks = tokio::time::interval(DRAW_EVERY);
    loop {
        ticks.tick().await;
        show(&bar, &counts.totals());
    }
}

fn show(bar: &ProgressBar, totals: &Totals) {
    bar.set_message(outcomes(totals));
    bar.set_position(totals.calls());
}

async fn write_lines(due: u64, counts: Arc<Counts>) {
    let start = Instant::now();
    let mut ticks = tokio::time::interval_at(start + LINE_EVERY, LINE_EVERY);
    loop {
        ticks.tick().await;
        let totals = counts.totals();
        let elapsed = start.elapsed().as_secs_f64();
        tracing::info!("{}", line(due, &totals, elapsed));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn line(due: u64, totals: &Totals, elapsed: f64) -> String {
    let rate = totals.calls() as f64 / elapsed.max(f64::MIN_POSITIVE);
    let left = due.saturating_sub(totals.calls()) as f64;
    let eta = if rate > 0.0 {
        seconds(left / rate)
    } else {
        "unknown".to_owned()
    };
    format!(
        "{} of {due} calls, {rate:.1}/s, ETA {eta}: {}",
        totals.calls(),
        outcomes(totals)
    )
}

fn outcomes(totals: &Totals) -> String {
    let all = [
        ("fetched", totals.fetched),
        ("not completed", totals.postponed),
        ("quarantined", totals.quarantined),
        ("lost", totals.lost),
        ("abandoned", totals.abandoned),
        ("left", totals.left),
        ("throttled", totals.throttled),
        ("retries", totals.retries),
    ];
    let seen: Vec<String> = all
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let pass = (totals.passes > 1).then(|| format!("pass {}", totals.passes));
    pass.into_iter().chain(seen).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_rate_and_time_left() {
        let totals = Totals {
            fetched: 290,
            postponed: 10,
            ..Totals::default()
        };
        let text = line(1_000, &totals, 10.0);
        assert_eq!(
            text,
            "300 of 1000 calls, 30.0/s, ETA 23.3 s: 290 fetched, 10 not completed"
        );
    }
}
