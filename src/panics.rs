//! Panics of a library that are expected, caught, and said by whoever caught them in words of its own.
//!
//! - [`catch`]: does what may panic
//! - [`is_expected`]: for the program's panic hook, which says all others

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Does what may panic; `None` where it did. What it was at must be dropped then: it may be half done.
pub fn catch<T>(what: impl FnOnce() -> T) -> Option<T> {
    let before = EXPECTED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(what));
    EXPECTED.set(before);
    done.ok()
}

/// Whether a panic of this thread is caught by [`catch`].
pub fn is_expected() -> bool {
    EXPECTED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_expected_within_and_not_after() {
        assert!(!is_expected());
        assert_eq!(catch(|| u8::from(is_expected())), Some(1));
        assert!(!is_expected());
        assert_eq!(catch::<()>(|| panic!("as parquet does on some damage")), None);
        assert!(!is_expected());
    }
}
