//! `report.html`: a run on one page, for people who open no CSV. One file that asks nobody for anything and runs nothing.
//!
//! A page is a verdict, some figures and sections of charts and tables; the template (`templates/page.html`) knows no more than
//! that. Every text that comes here is escaped by the template, and cleaned where it is taken in. Long tables are cut, and
//! say which file has all.
//!
//! - [`Page`]: what the template shows; [`Details`]: what it needs beside the run's summary
//! - `night`: the page of a run; `billing`, `expiry`: its parts about verifications and amounts, and about what is lost
//! - `reconcile`: the page of a bill that was compared with the archive
//! - `chart`: drawings; `text`: how figures are written

mod billing;
mod chart;
mod expiry;
mod night;
mod reconcile;
mod text;

use std::io::Write;

use askama::Template;

use super::ReportError;
use chart::Chart;
pub use night::{Details, QUARANTINED_NAMED};
use text::{clean, grouped};

/// Reasons, products and sub codes that are named.
const MOST_NAMED: usize = 20;

/// A page.
#[derive(Debug, Template)]
#[template(path = "page.html")]
pub struct Page {
    title: String,
    about: String,
    verdict: Verdict,
    tiles: Vec<Tile>,
    sections: Vec<Section>,
    footer: Vec<String>,
}

/// Whether a person is needed, and what for.
#[derive(Debug)]
struct Verdict {
    mood: &'static str,
    title: String,
    reasons: Vec<String>,
}

/// A figure that is read first.
#[derive(Debug)]
struct Tile {
    name: &'static str,
    figure: String,
    detail: String,
}

/// A part of the page.
#[derive(Debug, Default)]
struct Section {
    id: &'static str,
    title: &'static str,
    texts: Vec<String>,
    charts: Vec<Chart>,
    tables: Vec<Table>,
}

/// Figures in rows; the first cell of each is its name.
#[derive(Debug)]
struct Table {
    caption: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// Shown when a reader asks for it.
    folded: bool,
    /// What was cut, and where all of it is.
    more: Option<String>,
}

#[derive(Debug)]
struct Column {
    name: String,
    is_number: bool,
}

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
    /// It needs a look.
    marked: bool,
}

impl Page {
    /// Writes `report.html`.
    pub fn write(&self, mut out: impl Write) -> Result<(), ReportError> {
        Ok(self.write_into(&mut out)?)
    }
}

impl Table {
    /// A column whose name begins with `#` is one of numbers.
    fn new<'a>(caption: &str, columns: impl IntoIterator<Item = &'a str>) -> Self {
        let column = |name: &str| Column {
            name: clean(name.trim_start_matches('#')),
            is_number: name.starts_with('#'),
        };
        Self {
            caption: clean(caption),
            columns: columns.into_iter().map(column).collect(),
            rows: Vec::new(),
            folded: false,
            more: None,
        }
    }

    fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(Row {
            cells: cells.into_iter().map(|cell| clean(cell.as_ref())).collect(),
            marked: false,
        });
    }

    /// Says of the last row whether it needs a look.
    fn mark(&mut self, marked: bool) {
        if let Some(row) = self.rows.last_mut() {
            row.marked = marked;
        }
    }

    fn folded(mut self) -> Self {
        self.folded = true;
        self
    }

    /// Keeps the first rows; `of` are there, and `file` has them.
    fn cut(mut self, rows: usize, of: u64, file: &str) -> Self {
        self.rows.truncate(rows);
        let more = of.saturating_sub(self.rows.len() as u64);
        self.more = (more > 0).then(|| format!("{} more are in {file}.", grouped(more)));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_cut_says_how_much_is_missing_and_where_it_is() {
        let table = |rows: usize| {
            let mut table = Table::new("t", ["a", "#b"]);
            for row in 0..rows {
                table.row([row.to_string(), "1".to_owned()]);
            }
            let of = table.rows.len() as u64;
            table.cut(3, of, "all.csv")
        };
        assert_eq!((table(3).rows.len(), table(3).more), (3, None));
        assert_eq!(
            (table(1_240).rows.len(), table(1_240).more.as_deref()),
            (3, Some("1\u{202f}237 more are in all.csv."))
        );
    }

    #[test]
    fn hostile_text_is_escaped_and_cleaned_wherever_it_stands() {
        let evil = "<script>alert(1)</script>\"'&\u{1b}[31m\u{202e}";
        let mut table = Table::new(evil, [evil, "#n"]);
        table.row([evil, evil]);
        let chart = Chart::columns("x", evil, &[evil.to_owned()], &[]);
        let page = Page {
            title: clean(evil),
            about: clean(evil),
            verdict: Verdict {
                mood: "good",
                title: clean(evil),
                reasons: vec![clean(evil)],
            },
            tiles: vec![Tile {
                name: "n",
                figure: clean(evil),
                detail: clean(evil),
            }],
            sections: vec![Section {
                id: "s",
                title: "s",
                texts: vec![clean(evil)],
                charts: vec![chart],
                tables: vec![table],
            }],
            footer: vec![clean(evil)],
        };
        let html = page.render().unwrap();
        assert!(!html.contains("<script") && !html.contains("alert(1)<"), "{html}");
        assert!(!html.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'));
        assert!(html.matches("alert(1)").count() > 10);
    }
}
