//! The made-up verifications of a demo.
//!
//! The sandbox's answer follows from the id alone, so the ids are drawn until they give what the demo is to show.

use jiff::{SignedDuration, Timestamp};

use crate::intake::made_up::Row;
use crate::sandbox::Kind;
use crate::sandbox::answers::kind_of;

/// Verifications of a demo.
const VERIFICATIONS: i32 = 300;
/// The oldest good one: it expires within the warning window, and long after the next run.
const OLDEST: SignedDuration = SignedDuration::from_hours(25 * 24);
/// Draws the ids, so that each demo shows the same.
const SEED: u64 = 30;
/// Product and region of every n-th verification, in turn.
const PLACES: [(&str, &str); 5] = [
    ("FACE_LIVENESS", "ap-southeast-1"),
    ("FACE_LIVENESS", "ap-southeast-1"),
    ("FACE_LIVENESS", "cn-hongkong"),
    ("FACE_VERIFY", "ap-southeast-1"),
    ("FACE_LIVENESS", "ap-southeast-5"),
];

/// Ids whose answers are as wanted, in an order that `seed` draws.
pub(super) fn ids(seed: u64, wanted: impl Fn(Kind) -> bool) -> impl Iterator<Item = String> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(move || format!("demo{:028x}", random.u128(..) >> 16)).filter(move |id| wanted(kind_of(id)))
}

/// Verifications of the last 25 days, evenly spread, none of which needs a person.
pub(super) fn good(now: Timestamp) -> Vec<Row> {
    let ids = ids(SEED, |kind| kind.is_final() || matches!(kind, Kind::NotCompleted));
    (0..VERIFICATIONS)
        .zip(PLACES.iter().cycle())
        .zip(ids)
        .map(|((n, (product_code, region)), transaction_id)| Row {
            transaction_id,
            product_code,
            region,
            verified_at: now - OLDEST * (VERIFICATIONS - n) / VERIFICATIONS,
        })
        .collect()
}
