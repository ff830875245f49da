//! Replies that never end, or are far larger than they look: they take no more memory than any other night.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::server::{Answer, Manner};
use crate::common::vendor::{Vendor, verdict};
use crate::common::{FRESH, Idvault};

/// More than fit into the bound together, all in flight at once: each is read up to 8 MiB.
const OF_A_KIND: usize = 40;

/// The most memory that a run may hold, whatever the vendor does: 256 MiB.
const MOST_MEMORY_KIB: u64 = 256 * 1024;

/// 100 MB of blanks in 100 kB.
fn gzip_bomb() -> Answer {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let blanks = vec![b' '; 1_000_000];
    for _ in 0..100 {
        packed.write_all(&blanks).unwrap();
    }
    Answer::new(200, packed.finish().unwrap()).header("content-encoding", "gzip")
}

/// A final verdict of 7 MB, as one with many faces may have.
fn large_verdict() -> Answer {
    let body = format!(
        r#"{{"Code":"Success","Result":{{"Passed":"Y","SubCode":"200","ExtInfo":"{}"}}}}"#,
        "x".repeat(7_000_000)
    );
    Answer::new(200, body)
}

#[test]
fn floods_and_gzip_bombs_take_no_memory_and_no_neighbour_along() {
    let (idvault, vendor) = (Idvault::new(), Vendor::start());
    let piece = vec![b'{'; 64 * 1024];
    let kinds = [
        ("declared", Answer::new(200, piece.clone()).manner(Manner::Flood)),
        ("chunked", Answer::new(200, piece).manner(Manner::ChunkedFlood)),
        ("gzip", gzip_bomb()),
        ("good", verdict("Y", "200")),
    ];
    let mut ids = vec!["large1".to_owned(), "large2".to_owned()];
    for id in &ids {
        vendor.script(id, [large_verdict()]);
    }
    for (kind, answer) in &kinds {
        for number in 0..OF_A_KIND {
            ids.push(format!("{kind}{number}"));
            vendor.script(ids.last().unwrap(), [answer.clone()]);
        }
    }
    idvault.pending(&ids.iter().map(|id| (id.as_str(), FRESH)).collect::<Vec<_>>());
    let ended = idvault
        .run(&vendor, &["--concurrency", "256", "--qps", "unlimited"])
        .exits(4)
        .says("120 due records are left for the next run");
    println!("{} KiB at most", ended.peak_kib);
    assert!(
        ended.peak_kib > 0 && ended.peak_kib < MOST_MEMORY_KIB,
        "{} KiB",
        ended.peak_kib
    );
    let archived: Vec<String> = idvault.archived().into_keys().collect();
    assert_eq!(archived.len(), OF_A_KIND + 2);
    assert!(
        archived
            .iter()
            .all(|id| id.starts_with("good") || id.starts_with("large"))
    );
    for id in ["declared0", "chunked0", "gzip0"] {
        assert_eq!(idvault.row(id).last_call_code.as_deref(), Some("too_large"), "{id}");
    }
}
