//! Runs that fetch face images of 100 kB with every record.

use crate::Bench;
use crate::archive;
use crate::night::{BenchResult, NOW};
use crate::server::{Load, LoadServer};
use crate::source::Source;
use crate::table::{Goal, Row, count, float, mib, micros, per_second, percent, rate};
use crate::whole::cpu_us;

/// The size of a face image.
const IMAGE_BYTES: usize = 100_000;

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    let records = bench.size(1_000, 20_000, 20_000);
    let server = LoadServer::start(Load {
        image_bytes: Some(IMAGE_BYTES),
        ..Load::default()
    })?;
    let place = bench.place("images")?;
    let source = Source {
        products: &[("FACE_LIVENESS", records)],
        first: 0,
        days: 2,
        now: NOW.parse()?,
    };
    let source = place.source("pending.csv", &source)?;
    let night = place
        .night(&server, &["--images", "--qps", "unlimited", "--pending", &source])?
        .complete(records)?;
    if night.count("/published/face_images")? != records {
        return Err("not every record has its image".into());
    }
    let bytes = night.count("/published/bytes")?;
    let whole = per_second(records, night.ended.wall);
    let (write, _) = bench.floors.disk(&bench.base)?;
    let what = format!("with images of 100 kB, {} records", count(float(records)));
    let written = per_second(bytes, night.ended.wall);
    bench.table.add(
        Row::new(what.clone(), Goal::AtLeast(1_000.0), whole, rate).beside(format!(
            "{:.0} MB/s into the archive, {} of what the disk writes ({:.0} MB/s); {} CPU a record; seconds: {}",
            written / 1e6,
            percent(written / write),
            write / 1e6,
            micros(cpu_us(&night, records)),
            night.stages()?
        )),
    );
    bench.table.add(Row::new(
        format!("{what}: peak memory"),
        Goal::Below(256.0),
        night.ended.peak_mib(),
        mib,
    ));
    archive::verify(bench, &place, &what)
}
