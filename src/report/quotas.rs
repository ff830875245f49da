//! The limits that hold, as a table or as JSON.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::plain::clean;
use crate::quota::SetPace;
use crate::record::Region;
use crate::tables::{Limit, LimitOrigin, Quotas};

const HEADER: [&str; 5] = ["region", "product", "limit, 1/s", "pace, 1/s", "source"];

/// A limit, and the pace that a run keeps below it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    /// `None`: in all regions together.
    region: Option<&'a str>,
    /// `None`: all products together.
    product_code: Option<&'a str>,
    #[serde(flatten)]
    limit: Limit,
    /// The share of the limit that a run takes now.
    share: f64,
    source: Option<&'a str>,
    as_of: Option<Date>,
}

/// Every limit: of regions, of products, of products in single regions. `regions` are those that have an endpoint.
fn rows<'a>(pace: &'a SetPace, regions: &'a [Region], now: Timestamp) -> Vec<Row<'a>> {
    let SetPace::Quotas { quotas, shares } = pace else {
        return Vec::new();
    };
    let quotas: &Quotas = quotas;
    let row = |region, product_code, limit: Limit, (source, as_of)| {
        let vendor = limit.origin != LimitOrigin::Configuration;
        Row {
            region,
            product_code,
            limit,
            share: shares.at(now),
            source: vendor.then_some(source),
            as_of: vendor.then_some(as_of),
        }
    };
    let mut named: Vec<&str> = quotas.regions().chain(regions.iter().map(Region::as_str)).collect();
    named.sort_unstable();
    named.dedup();
    let of_regions = named
        .into_iter()
        .map(|region| row(Some(region), None, quotas.region(region), quotas.source_of_regions()));
    let of_products = quotas.products().map(|product_code| {
        let limit = quotas.product(product_code);
        row(None, Some(product_code), limit, quotas.source_of_products())
    });
    let of_both = quotas.products_in_regions().map(|(region, product_code, limit)| {
        let limit = Limit {
            calls_per_second: limit,
            origin: LimitOrigin::Configuration,
        };
        row(Some(region), Some(product_code), limit, quotas.source_of_products())
    });
    of_regions.chain(of_products).chain(of_both).collect()
}

/// Writes them as a JSON object.
pub fn write_json(pace: &SetPace, regions: &[Region], now: Timestamp, mut out: impl Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct All<'a> {
        /// The one rate of `--qps`, where it is set in place of the limits: a number, or `unlimited`.
        qps: Option<String>,
        limits: Vec<Row<'a>>,
    }
    let qps = match pace {
        SetPace::Shared(rate) => Some(rate.map_or_else(|| "unlimited".to_owned(), |rate| rate.to_string())),
        SetPace::Quotas { .. } => None,
    };
    let all = All {
        qps,
        limits: rows(pace, regions, now),
    };
    serde_json::to_writer_pretty(&mut out, &all)?;
    writeln!(out)?;
    out.flush()
}

/// Writes them as a table.
pub fn write(pace: &SetPace, regions: &[Region], now: Timestamp, mut out: impl Write) -> io::Result<()> {
    match pace {
        SetPace::Shared(None) => writeln!(out, "qps is unlimited: no limit holds")?,
        SetPace::Shared(Some(rate)) => writeln!(out, "qps is set: one rate of {rate} calls a second for everything")?,
        SetPace::Quotas { .. } => table(&rows(pace, regions, now), &mut out)?,
    }
    out.flush()
}

fn table(rows: &[Row<'_>], out: &mut impl Write) -> io::Result<()> {
    let cells = rows.iter().map(|row| {
        let cells = [
            row.region.unwrap_or("all together").to_owned(),
            row.product_code.unwrap_or("all together").to_owned(),
            row.limit.calls_per_second.to_string(),
            format!("{:.3}", row.limit.calls_per_second * row.share),
            source(row),
        ];
        cells.map(|cell| clean(&cell).into_owned())
    });
    let rows: Vec<[String; 5]> = std::iter::once(HEADER.map(str::to_owned)).chain(cells).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for [region, product_code, limit, pace, source] in &rows {
        let [first, second, third, fourth] = widths;
        writeln!(
            out,
            "{region:first$}  {product_code:second$}  {limit:>third$}  {pace:>fourth$}  {source}"
        )?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "A call passes the limit of its region and that of its product. [quotas] in idvault.toml sets others."
    )
}

fn source(row: &Row<'_>) -> String {
    let read = || {
        let as_of = row.as_of.map(|day| day.to_string()).unwrap_or_default();
        format!("{}, {as_of}", row.source.unwrap_or_default())
    };
    match row.limit.origin {
        LimitOrigin::Configuration => "configuration".to_owned(),
        LimitOrigin::Vendor => read(),
        LimitOrigin::LowestKnown => format!("not known: the lowest of {}", read()),
    }
}
