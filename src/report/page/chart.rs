//! Charts as inline SVG: stacked columns, bars and lines. Only lengths are floating point here; what a reader is told
//! stands in the labels, which are made of the figures themselves.
//!
//! - [`Chart`]: a drawing, with a title and a description for those who can't see it
//! - [`Series`], [`Value`]: what is drawn

#![expect(clippy::cast_precision_loss, reason = "lengths of a drawing")]

use askama::Template;

use super::text::clean;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// Left of the plot, for the numbers of the axis.
const LEFT: f64 = 60.0;
/// Bars need less room, so that a telephone shows their figures too.
const WIDTH_OF_BARS: f64 = 440.0;
/// Left of bars, for their names.
const LEFT_OF_BARS: f64 = 150.0;
/// Right of bars, for their figures.
const RIGHT_OF_BARS: f64 = 80.0;
/// Right of the plot, for the half of the last name that stands out.
const RIGHT: f64 = 28.0;
const TOP: f64 = 16.0;
/// Below the plot, for the names of the columns.
const BOTTOM: f64 = 24.0;
const BAR_STEP: f64 = 26.0;
/// Names below columns that fit without touching.
const MOST_NAMES: usize = 10;
/// Series that have a colour of their own; a chart has one more for all others.
pub(super) const COLOURS: usize = 5;

/// A figure: how long it is drawn, and how it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Value {
    pub(super) length: f64,
    pub(super) text: String,
}

/// What is drawn in one colour.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) values: Vec<Value>,
}

/// A drawing.
#[derive(Debug, Template)]
#[template(path = "chart.svg")]
pub(super) struct Chart {
    id: String,
    title: String,
    description: String,
    kind: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    ticks: Vec<Label>,
    names: Vec<Label>,
    rects: Vec<Rect>,
    lines: Vec<Line>,
    limit: Option<Label>,
    /// Names of the series; none where there is but one.
    pub(super) legend: Vec<String>,
}

#[derive(Debug)]
struct Label {
    x: f64,
    y: f64,
    anchor: &'static str,
    text: String,
}

#[derive(Debug)]
struct Rect {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    colour: usize,
    tip: String,
}

#[derive(Debug)]
struct Line {
    colour: usize,
    points: String,
}

impl Chart {
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    fn empty(id: &str, title: &str, series: &[Series]) -> Self {
        let names = series.iter().map(|series| clean(&series.name));
        Self {
            id: id.to_owned(),
            title: clean(title),
            description: String::new(),
            kind: "plot",
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: WIDTH - RIGHT,
            ticks: Vec::new(),
            names: Vec::new(),
            rects: Vec::new(),
            lines: Vec::new(),
            limit: None,
            legend: if series.len() > 1 { names.collect() } else { Vec::new() },
        }
    }

    /// A column for each of `names`, the series on top of each other.
    pub(super) fn columns(id: &str, title: &str, names: &[String], series: &[Series]) -> Self {
        let mut chart = Self::empty(id, title, series);
        let sums = (0..names.len()).map(|at| series.iter().map(|series| length(series, at)).sum());
        let sums: Vec<f64> = sums.collect();
        let scale = chart.scale(sums.iter().copied().fold(0.0, f64::max));
        let step = (WIDTH - LEFT - RIGHT) / names.len().max(1) as f64;
        let width = (step * 0.8).min(48.0);
        for (at, name) in names.iter().enumerate() {
            let middle = LEFT + step * (at as f64 + 0.5);
            let mut y = HEIGHT - BOTTOM;
            for (colour, series) in series.iter().enumerate() {
                let height = length(series, at) * scale;
                if height > 0.0 {
                    y -= height;
                    let tip = format!("{name}, {}: {}", series.name, series.values[at].text);
                    chart.rects.push(Rect {
                        x: middle - width / 2.0,
                        y,
                        width,
                        height,
                        colour,
                        tip: clean(&tip),
                    });
                }
            }
            chart.name_below(at, names.len(), middle, name);
        }
        chart.description = describe("columns", names, &sums);
        chart
    }

    /// A bar for each of `names`, one below the other.
    pub(super) fn bars(id: &str, title: &str, names: &[String], series: &Series) -> Self {
        let mut chart = Self::empty(id, title, std::slice::from_ref(series));
        chart.kind = "bars";
        chart.width = WIDTH_OF_BARS;
        chart.height = BAR_STEP * names.len() as f64 + TOP;
        chart.left = LEFT_OF_BARS;
        chart.right = WIDTH_OF_BARS - RIGHT_OF_BARS;
        let lengths: Vec<f64> = (0..names.len()).map(|at| length(series, at)).collect();
        let longest = lengths.iter().copied().fold(0.0, f64::max);
        for (at, name) in names.iter().enumerate() {
            let y = TOP / 2.0 + BAR_STEP * at as f64;
            let width = (chart.right - chart.left) * lengths[at] / longest.max(f64::MIN_POSITIVE);
            let value = &series.values[at].text;
            chart.rects.push(Rect {
                x: chart.left,
                y: y + 3.0,
                width,
                height: BAR_STEP - 8.0,
                colour: 0,
                tip: clean(&format!("{name}: {value}")),
            });
            let middle = y + BAR_STEP / 2.0 + 3.0;
            chart.names.push(label(chart.left - 8.0, middle, "end", name));
            chart
                .names
                .push(label(chart.left + width + 6.0, middle, "start", value));
        }
        chart.description = describe("bars", names, &lengths);
        chart
    }

    /// Lines over `names`, and a limit that they should stay below.
    pub(super) fn lines(id: &str, title: &str, names: &[String], series: &[Series], limit: Option<&Value>) -> Self {
        let mut chart = Self::empty(id, title, series);
        let lengths: Vec<f64> = (0..names.len())
            .map(|at| series.iter().map(|series| length(series, at)).fold(0.0, f64::max))
            .collect();
        let highest = lengths.iter().copied().fold(0.0, f64::max);
        let scale = chart.scale(limit.map_or(highest, |limit| highest.max(limit.length)));
        let step = (WIDTH - LEFT - RIGHT) / names.len().max(1) as f64;
        let x = |at: usize| LEFT + step * (at as f64 + 0.5);
        for (colour, series) in series.iter().enumerate() {
            let point = |at| format!("{:.1},{:.1}", x(at), HEIGHT - BOTTOM - length(series, at) * scale);
            let points: Vec<String> = (0..names.len()).map(point).collect();
            chart.lines.push(Line {
                colour,
                points: points.join(" "),
            });
        }
        for (at, name) in names.iter().enumerate() {
            chart.name_below(at, names.len(), x(at), name);
        }
        chart.limit = limit.map(|limit| {
            let y = HEIGHT - BOTTOM - limit.length * scale;
            label(WIDTH - RIGHT, y, "end", &limit.text)
        });
        chart.description = describe("points", names, &lengths);
        chart
    }

    /// Draws the axis up to `highest`; gives the length of one.
    fn scale(&mut self, highest: f64) -> f64 {
        let step = round_step(highest / 4.0);
        let decimals = (1..6).find(|decimals| step * 10_f64.powi(*decimals) >= 1.0);
        let decimals = if step < 1.0 {
            decimals.unwrap_or(6).unsigned_abs() as usize
        } else {
            0
        };
        let steps = (highest / step).ceil().max(1.0);
        let scale = (HEIGHT - TOP - BOTTOM) / (step * steps);
        let mut at = 0.0;
        while at <= steps {
            let written = format!("{:.decimals$}", at * step);
            let y = HEIGHT - BOTTOM - at * step * scale;
            self.ticks.push(label(LEFT - 8.0, y, "end", &written));
            at += 1.0;
        }
        scale
    }

    /// Names a column, where there is room for it.
    fn name_below(&mut self, at: usize, of: usize, x: f64, name: &str) {
        if at.is_multiple_of(of.div_ceil(MOST_NAMES)) {
            self.names.push(label(x, HEIGHT - 7.0, "middle", name));
        }
    }
}

fn label(x: f64, y: f64, anchor: &'static str, text: &str) -> Label {
    Label {
        x,
        y,
        anchor,
        text: clean(text),
    }
}

fn length(series: &Series, at: usize) -> f64 {
    series.values.get(at).map_or(0.0, |value| value.length)
}

/// The next of 1, 2, 5, 10, 20 and so on.
fn round_step(step: f64) -> f64 {
    if step <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    let of_ten = [1.0, 2.0, 5.0].into_iter().find(|round| step <= round * power);
    of_ten.unwrap_or(10.0) * power
}

/// The drawing in a sentence.
fn describe(what: &str, names: &[String], lengths: &[f64]) -> String {
    let (Some(first), Some(last)) = (names.first(), names.last()) else {
        return "Nothing to show.".to_owned();
    };
    let highest = (0..names.len()).max_by(|a, b| lengths[*a].total_cmp(&lengths[*b]));
    let highest = highest.map_or("", |at| names[at].as_str());
    clean(&format!(
        "{} {what}, from {first} to {last}; the greatest is at {highest}. The figures are in the table.",
        names.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, lengths: &[f64]) -> Series {
        let values = lengths.iter().map(|length| Value {
            length: *length,
            text: length.to_string(),
        });
        Series {
            name: name.to_owned(),
            values: values.collect(),
        }
    }

    #[test]
    fn columns_stand_on_each_other_and_are_as_high_as_their_figures() {
        let names = ["a".to_owned(), "b".to_owned()];
        let chart = Chart::columns(
            "c",
            "t",
            &names,
            &[series("x", &[10.0, 0.0]), series("y", &[30.0, 20.0])],
        );
        let rects: Vec<(usize, f64, f64)> = chart
            .rects
            .iter()
            .map(|rect| (rect.colour, rect.y, rect.height))
            .collect();
        let plot = HEIGHT - TOP - BOTTOM;
        let ground = HEIGHT - BOTTOM;
        let expected = [
            (0, ground - plot * 0.25, plot * 0.25),
            (1, ground - plot, plot * 0.75),
            (1, ground - plot / 2.0, plot / 2.0),
        ];
        assert_eq!(rects.len(), expected.len());
        for (found, expected) in rects.iter().zip(expected) {
            assert_eq!(found.0, expected.0);
            assert!(
                (found.1 - expected.1).abs() < 1e-9 && (found.2 - expected.2).abs() < 1e-9,
                "{rects:?}"
            );
        }
        let ticks: Vec<&str> = chart.ticks.iter().map(|tick| tick.text.as_str()).collect();
        assert_eq!(ticks, ["0", "10", "20", "30", "40"]);
    }

    #[test]
    fn a_chart_of_nothing_is_drawn_too() {
        for chart in [
            Chart::columns("c", "t", &[], &[]),
            Chart::columns("c", "t", &["a".to_owned()], &[series("x", &[0.0])]),
            Chart::bars("c", "t", &["a".to_owned()], &series("x", &[0.0])),
            Chart::lines("c", "t", &[], &[], None),
        ] {
            let svg = chart.render().unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_limit_is_in_the_drawing_and_text_is_escaped() {
        let limit = Value {
            length: 40.0,
            text: "40 <i>".to_owned(),
        };
        let names = ["<script>".to_owned()];
        let chart = Chart::lines("c", "a & b", &names, &[series("x", &[1.0])], Some(&limit));
        assert!(chart.limit.as_ref().unwrap().y >= TOP);
        let svg = chart.render().unwrap();
        assert!(
            !svg.contains("<script>") && !svg.contains("<i>") && !svg.contains("a & b"),
            "{svg}"
        );
    }

    #[test]
    fn steps_of_an_axis_are_round() {
        let steps = [0.0, 0.3, 1.0, 1.5, 4.0, 6.0, 1_100.0].map(|step| round_step(step).to_string());
        assert_eq!(steps, ["1", "0.5", "1", "2", "5", "10", "2000"]);
    }
}
