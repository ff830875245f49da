//! idvault's program.
fn main() {}
