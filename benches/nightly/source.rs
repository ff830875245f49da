//! Pending sources of made-up verifications.
//!
//! - [`Source`]: which; [`Source::write`]: as a CSV file
//! - [`id`]: the transaction id of a number

use std::io::{self, BufWriter, Write};
use std::path::Path;

use idvault::files;
use jiff::{SignedDuration, Timestamp};

/// Numbers that look like chance and follow from their place: `SplitMix64`.
pub(crate) fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// An id of 32 characters, as the vendor's. Its fourth says the product to the load server; the others are in no order,
/// as the vendor's are not.
pub(crate) fn id(product: usize, number: u64) -> String {
    let (upper, lower) = (scrambled(number), scrambled(!number));
    format!("hks{product}{upper:016x}{:012x}", lower >> 16)
}

/// Made-up verifications.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Product codes and how many ids of each; their place is what the ids say.
    pub(crate) products: &'a [(&'a str, u64)],
    /// The number of the first id.
    pub(crate) first: u64,
    /// They were made in so many days before `now`.
    pub(crate) days: u64,
    pub(crate) now: Timestamp,
}

impl Source<'_> {
    /// Writes a CSV file with all columns.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let file = files::create_private(path).map_err(|error| error.source)?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        writeln!(out, "transaction_id,merchant_biz_id,product_code,region,verified_at")?;
        self.rows(&mut out)?;
        out.flush()
    }

    /// The rows alone. Every product's are spread evenly among the others'.
    pub(crate) fn rows(&self, out: &mut impl Write) -> io::Result<()> {
        let most = self.products.iter().map(|(_, count)| *count).max().unwrap_or(0);
        for number in 0..most {
            for (place, (code, count)) in self.products.iter().enumerate() {
                // As many of `count` as of `most` have come by then.
                if (number + 1) * count / most.max(1) == number * count / most.max(1) {
                    continue;
                }
                let number = self.first + number;
                let id = id(place, number);
                let biz = scrambled(number ^ 0x5555_5555);
                let verified_at = verified_at(number, self.days, self.now);
                writeln!(out, "{id},order{biz:016x},{code},ap-southeast-1,{verified_at}")?;
            }
        }
        Ok(())
    }
}

/// When the verification of that number was made, by chance in so many days before `now`.
pub(crate) fn verified_at(number: u64, days: u64, now: Timestamp) -> Timestamp {
    let span_s = days * 86_400;
    let age = i64::try_from(scrambled(number ^ 0xAAAA) % span_s.max(1)).unwrap_or(0);
    now - SignedDuration::from_secs(age + 1)
}
