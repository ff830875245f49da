//! `report.html`: well-formed, sufficient unto itself, and with the figures of the other reports.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;

use crate::common::vendor::{Vendor, error, error_saying, verdict};
use crate::common::{FRESH, Idvault};

/// The page of the last run, which every test holds to the same rules.
struct Page {
    html: String,
}

impl Page {
    #[track_caller]
    fn of(idvault: &Idvault) -> Self {
        Self::reading(idvault.report("report.html"))
    }

    #[track_caller]
    fn reading(html: String) -> Self {
        let lower = html.to_lowercase();
        let asks = [
            "http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "onload=",
        ];
        for outside in asks {
            assert!(!lower.contains(outside), "{outside:?} is in the page");
        }
        let steers = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!html.contains(steers), "the page holds a control character");
        Self { html }
    }

    /// It is written so that an XML parser reads it, too.
    fn parsed(&self) -> Document<'_> {
        let options = ParsingOptions {
            allow_dtd: true,
            ..ParsingOptions::default()
        };
        Document::parse_with_options(&self.html, options).unwrap()
    }

    /// The rows of the table with this caption, by the name of their column; numbers without the blanks between groups.
    #[track_caller]
    fn table(&self, caption: &str) -> Vec<BTreeMap<String, String>> {
        let document = self.parsed();
        let tables = document.descendants().filter(|node| node.has_tag_name("table"));
        let mut of_caption = tables.filter(|table| text(child(*table, "caption")) == caption);
        let table = of_caption.next().unwrap_or_else(|| panic!("no table {caption:?}"));
        let cells = |row: Node<'_, '_>| row.children().filter(Node::is_element).map(text).collect::<Vec<_>>();
        let head = cells(child(child(table, "thead"), "tr"));
        let rows = child(table, "tbody").children().filter(|node| node.has_tag_name("tr"));
        rows.map(|row| {
            let first = row.children().find(Node::is_element).unwrap();
            assert_eq!(
                (first.tag_name().name(), first.attribute("scope")),
                ("th", Some("row")),
                "{caption}"
            );
            let row = cells(row);
            assert_eq!(row.len(), head.len(), "{caption}: {row:?}");
            head.iter().cloned().zip(row).collect()
        })
        .collect()
    }

    /// What one column of a table with a row for each name says.
    fn column(&self, caption: &str, name: &str, column: &str) -> BTreeMap<String, String> {
        let rows = self.table(caption).into_iter();
        rows.map(|row| (row[name].clone(), row[column].clone())).collect()
    }
}

fn child<'a, 'input>(of: Node<'a, 'input>, name: &str) -> Node<'a, 'input> {
    of.children().find(|node| node.has_tag_name(name)).unwrap()
}

fn text(node: Node<'_, '_>) -> String {
    let texts = node
        .descendants()
        .filter_map(|node| if node.is_text() { node.text() } else { None });
    texts.collect::<String>().replace('\u{202f}', "")
}

fn numbers(of: &Value, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| of[*name].to_string()).collect()
}

/// The README's night.
fn sample() -> Idvault {
    let idvault = Idvault::new();
    let source = format!("{}/samples/pending.csv", env!("CARGO_MANIFEST_DIR"));
    let args = [
        "run",
        "--sandbox",
        "--qps",
        "unlimited",
        "--pending",
        &source,
        "--now",
        "2026-11-22T02:00:00Z",
    ];
    idvault.execute(&args).exits(5);
    idvault
}

#[test]
fn the_page_has_the_figures_of_the_summary() {
    let idvault = sample();
    let (page, summary) = (Page::of(&idvault), idvault.summary());
    let outcomes = page.column("Records by outcome", "outcome", "records");
    let named = [
        "fetched",
        "not completed yet",
        "quarantined",
        "lost",
        "abandoned",
        "left",
    ];
    assert_eq!(
        named.map(|name| outcomes[name].clone()).to_vec(),
        numbers(
            &summary["fetch"],
            &["fetched", "postponed", "quarantined", "lost", "abandoned", "left"]
        )
    );
    let paced = &page.table("Pace")[0];
    let load = &summary["pace"][0];
    let sum = |of: &Value| of.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!(paced["attempts"], sum(&load["attempts"]).to_string());
    assert_eq!(paced["attempts"], summary["fetch"]["attempts"].to_string());
    assert_eq!(paced["busiest second"], load["busiest_second"].to_string());
    let states = page.column("Every id that ever came in", "state", "ids");
    for (state, ids) in summary["states"].as_object().unwrap() {
        assert_eq!(states[state], ids.to_string());
    }
    let bands = page.table("Unfetched records by time left to deletion");
    let bands: Vec<&str> = bands.iter().map(|row| row["records"].as_str()).collect();
    assert_eq!(
        bands,
        numbers(&summary["expiry"]["bands"], &["lost", "1d", "3d", "7d", "unknown"])
    );
    let causes = [
        "not_completed",
        "quarantined",
        "region",
        "outage",
        "first_seen_too_late",
        "not_reached",
    ];
    for (row, cause) in page.table("Why").iter().zip(causes) {
        let total = &summary["expiry"]["causes"][cause];
        assert_eq!(
            [&row["lost"], &row["endangered"]].map(Clone::clone).to_vec(),
            numbers(total, &["lost", "endangered"])
        );
    }
    for reason in summary["reasons"].as_array().unwrap() {
        assert!(page.html.contains(reason["reason"].as_str().unwrap()), "{reason}");
    }
    assert_eq!(
        page.table("Records that need a person").len() as u64,
        summary["states"]["quarantined"]
    );
}

#[test]
fn the_page_has_the_verifications_and_amounts_of_the_billing_report() {
    let idvault = sample();
    let page = Page::of(&idvault);
    let (mut days, mut codes) = (BTreeMap::new(), BTreeMap::new());
    for line in idvault.report_rows("billing.csv") {
        let verifications: u64 = line["verifications"].parse().unwrap();
        // Thousandths are enough for the sample's prices.
        let mills = (line["amount"].parse::<f64>().unwrap_or_default() * 1_000.0).round();
        let code = format!("{} {}", line["product_code"], line["sub_code"]);
        // An empty cell is a word on the page.
        let day = Some(line["billing_day"].clone()).filter(|day| !day.is_empty());
        let day = day.unwrap_or_else(|| "undated".to_owned());
        for (sums, key) in [(&mut days, day), (&mut codes, code)] {
            let sum: &mut (u64, f64) = sums.entry(key).or_default();
            *sum = (sum.0 + verifications, sum.1 + mills);
        }
    }
    let read = |row: &BTreeMap<String, String>| {
        let mills = row["USD"].parse::<f64>().unwrap_or_default() * 1_000.0;
        (row["verifications"].parse::<u64>().unwrap(), mills.round())
    };
    // A day without any is on the page, and in no line of the report.
    let on_page = page.table("Verifications by day").into_iter();
    let on_page: BTreeMap<String, (u64, f64)> = on_page
        .map(|row| (row["day"].clone(), read(&row)))
        .filter(|(_, sums)| sums.0 > 0)
        .collect();
    assert!(on_page.len() > 30, "{on_page:?}");
    assert_eq!(on_page, days);
    let on_page = page.table("Verifications by product and sub code");
    assert_eq!(on_page.len(), codes.len());
    for row in on_page {
        let code = format!("{} {}", row["product"], row["sub code"]);
        assert_eq!(read(&row), codes[&code], "{code}");
    }
}

#[test]
fn hostile_text_is_shown_and_does_nothing() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    idvault.write(
        "idvault.toml",
        "[sub_codes.FACE_LIVENESS]\n\"<b>\" = { meaning = \"<img src=x onerror=alert(1)>\", billed = true }\n",
    );
    idvault.pending(&[("good", FRESH), ("bad", FRESH)]);
    vendor.script("good", [verdict("Y", "<b>")]);
    vendor.script(
        "bad",
        [error_saying(
            400,
            "InvalidParameter",
            "</td><script>alert('x')</script>&\u{1b}[31m\u{202e}",
        )],
    );
    let missing = "<u>\u{202e}\u{1b}.csv";
    idvault
        .run(&vendor, &["--pending", missing, "--pending", "pending.csv"])
        .exits(3);
    let html = idvault.report("report.html");
    for raw in ["<b>", "<img", "<script", "<u>", "\u{1b}", "\u{202e}"] {
        assert!(!html.contains(raw), "{raw:?}");
    }
    let page = Page { html: html.clone() };
    let code = &page.table("Verifications by product and sub code")[0];
    assert_eq!(
        (&*code["sub code"], &*code["meaning"]),
        ("<b>", "<img src=x onerror=alert(1)>")
    );
    let quarantined = &page.table("Records that need a person")[0];
    assert_eq!(quarantined["reason"], r"</td><script>alert('x')</script>&[31m\u{202e}");
    assert!(
        html.contains(r"&#60;u&#62;\u{202e}.csv"),
        "the source that can't be read is named"
    );
}

/// The page stays small whatever happened; what is left out is counted, and the file that has it is named.
#[test]
fn a_page_of_many_records_is_cut_and_says_so() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let ids: Vec<String> = (0..1_500).map(|number| format!("bad{number:04}")).collect();
    idvault.pending(&ids.iter().map(|id| (id.as_str(), FRESH)).collect::<Vec<_>>());
    vendor.otherwise(error(400, "InvalidParameter"));
    idvault.run(&vendor, &[]).exits(4);
    let page = Page::of(&idvault);
    assert_eq!(page.table("Records that need a person").len(), 20);
    assert!(page.html.contains("1\u{202f}480 more are in quarantine.csv."));
    assert!(page.html.len() < 100_000, "{}", page.html.len());
}

#[test]
fn a_dry_run_on_an_empty_ledger_has_a_page_too() {
    let idvault = Idvault::new();
    idvault
        .execute(&["run", "--intake-only", "--now", "2026-11-22T02:00:00Z"])
        .exits(4);
    let page = Page::of(&idvault);
    assert!(page.html.contains("No call was made.") && page.html.contains("No record is in quarantine."));
    assert_eq!(page.column("Every id that ever came in", "state", "ids")["in all"], "0");
}

/// The sample's bill, in which a line is planted for each way in which it can differ.
#[test]
fn the_page_of_a_bill_has_the_figures_of_the_comparison_and_marks_what_is_wrong() {
    let idvault = sample();
    let bill = format!("{}/samples/bill-2026-10.csv", env!("CARGO_MANIFEST_DIR"));
    let args = ["reconcile", "--bill", &bill, "--now", "2026-11-22T02:00:00Z"];
    idvault.execute(&args).exits(9);
    let folder = idvault.data("reports/2026-11-22T020000Z-reconcile-2026-10");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let page = Page::reading(read("report.html"));
    let json: Value = serde_json::from_str(&read("reconcile.json")).unwrap();
    let money = |of: &Value| of.as_str().unwrap().parse::<f64>().unwrap().to_string();
    let total = &page.table("Bill and archive")[0];
    for (side, of) in [("bill", "bill"), ("archive", "archive"), ("more", "difference")] {
        let expected = &json["totals"][0][of];
        assert_eq!(
            total[&format!("{side}, calls")],
            expected["quantity"].to_string(),
            "{side}"
        );
        assert_eq!(total[side], money(&expected["amount"]), "{side}");
    }
    let why = page.table("What the bill has more, by reason");
    let explanations = json["explanations"].as_array().unwrap();
    assert_eq!(why.len(), explanations.len());
    for (row, expected) in why.iter().zip(explanations) {
        assert_eq!(row["why"], expected["class"].as_str().unwrap().replace('_', " "));
        assert_eq!(
            (&row["calls"], &row["amount"]),
            (&expected["quantity"].to_string(), &money(&expected["amount"]))
        );
    }
    let lines = json["lines"].as_array().unwrap().iter();
    let differ: Vec<&Value> = lines
        .filter(|line| !line["explanations"].as_array().unwrap().is_empty())
        .collect();
    assert_eq!(page.table("Lines that differ, the worst first").len(), differ.len());
    let beyond = differ.iter().filter(|line| line["beyond_tolerance"] == true).count();
    let document = page.parsed();
    let sections = document
        .descendants()
        .filter(|node| node.attribute("aria-labelledby") == Some("differences"));
    let marked = sections.flat_map(|section| {
        section
            .descendants()
            .filter(|node| node.attribute("class") == Some("marked"))
    });
    assert_eq!((marked.count(), beyond), (beyond, 2));
}
