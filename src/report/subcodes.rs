//! What is known of sub codes, as a table or as JSON.

use std::io::{self, Write};

use jiff::civil::Date;
use serde::Serialize;

use super::billing::billed_word;
use crate::plain::clean;
use crate::tables::{Origin, SubCodeMeaning, SubCodes};

const HEADER: [&str; 5] = ["product", "sub code", "billed", "meaning", "source"];

/// A sub code and what is known of it.
#[derive(Debug, Serialize)]
struct Known<'a> {
    product_code: &'a str,
    sub_code: &'a str,
    billed: bool,
    meaning: &'a str,
    origin: Origin,
    source: Option<&'a str>,
    as_of: Option<Date>,
}

/// Writes them as a JSON array.
pub fn write_json(sub_codes: &SubCodes, mut out: impl Write) -> io::Result<()> {
    let known: Vec<Known<'_>> = sub_codes
        .iter()
        .map(|(product_code, sub_code, known)| Known {
            product_code,
            sub_code,
            billed: known.billed,
            meaning: &known.meaning,
            origin: known.origin,
            source: known.source.as_deref(),
            as_of: known.as_of,
        })
        .collect();
    serde_json::to_writer_pretty(&mut out, &known)?;
    writeln!(out)?;
    out.flush()
}

/// Writes them as a table.
pub fn write(sub_codes: &SubCodes, mut out: impl Write) -> io::Result<()> {
    let known = sub_codes.iter().map(|(product_code, sub_code, known)| {
        let billed = billed_word(Some(known.billed)).to_owned();
        let cells = [
            product_code.to_owned(),
            sub_code.to_owned(),
            billed,
            known.meaning.clone(),
            from(known),
        ];
        cells.map(|cell| clean(&cell).into_owned())
    });
    let rows: Vec<[String; 5]> = std::iter::once(HEADER.map(str::to_owned)).chain(known).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for [product_code, sub_code, billed, meaning, from] in &rows {
        let [first, second, third, fourth] = widths;
        writeln!(
            out,
            "{product_code:first$}  {sub_code:second$}  {billed:third$}  {meaning:fourth$}  {from}"
        )?;
    }
    out.flush()
}

/// Which table has it, and where that was read.
fn from(known: &SubCodeMeaning) -> String {
    let read = [known.source.clone(), known.as_of.map(|day| day.to_string())];
    let read: Vec<String> = read.into_iter().flatten().collect();
    match read.as_slice() {
        [] => known.origin.as_str().to_owned(),
        _ => format!("{}: {}", known.origin.as_str(), read.join(", ")),
    }
}
