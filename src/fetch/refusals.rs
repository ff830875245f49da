//! Whether the vendor refuses every id with one code that is not known. Then it is not the ids' fault, and the other ids are not
//! asked for.
//!
//! - [`Refusals`]: those of one product in one region

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// So many ids refused with one code, and none answered otherwise, are every id.
const IDS: usize = 5;

/// The refusals of a product in a region, as long as it has answered about no id.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// It has answered about an id.
    answered: bool,
    code: String,
    /// The numbers of those that it refused with this code.
    ids: BTreeSet<i64>,
}

impl Refusals {
    /// It answered about an id, as it should: what it refuses is that id's fault.
    pub(super) fn answered(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.answered = true;
        state.ids.clear();
    }

    /// It refused this id with this code. True where it refuses every one so.
    pub(super) fn refused(&self, number: i64, code: &str) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.answered {
            return false;
        }
        if state.code != code {
            code.clone_into(&mut state.code);
            state.ids.clear();
        }
        state.ids.insert(number);
        state.ids.len() >= IDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_refused_where_several_are_with_one_code_and_none_was_answered() {
        let refusals = Refusals::default();
        for number in [1, 2, 3, 4, 1, 2, 3, 4] {
            assert!(!refusals.refused(number, "AccessDenied"), "4 ids, however often");
        }
        assert!(!refusals.refused(5, "InvalidAction"), "another code");
        for number in 6..9 {
            assert!(!refusals.refused(number, "InvalidAction"));
        }
        assert!(refusals.refused(9, "InvalidAction"));
        refusals.answered();
        for number in 0..100 {
            assert!(!refusals.refused(number, "InvalidAction"));
        }
    }
}
