//! What each stage of a night costs a record: signing, reading a reply, taking rows in, the plan, the journal, the reports,
//! encoding, publishing, counting again and verifying.
//!
//! `cargo bench --bench stages`, and `-- plan` for one of them. Compare the figures of one run with each other, not with
//! those of another machine.
//!
//! - `calls`, `ledger`, `archive`: where each stage's work is done; `fixture`: what they start from

mod archive;
mod calls;
mod fixture;
mod ledger;

use criterion::{criterion_group, criterion_main};
use mimalloc::MiMalloc;

// The program's own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

criterion_group!(
    benches,
    calls::calls,
    ledger::ledger,
    archive::verifications,
    archive::faces
);
criterion_main!(benches);
