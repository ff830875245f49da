//! What attempts met in place of a good answer, for the reports: they name the cause, and not only how many records are left.
//!
//! - [`Troubles`]: counted while calls are in flight; [`Trouble`]: one kind of them

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::record::{ProductCode, Region};

/// Kinds that are told apart: a source can name as many products as it has rows, and a server as many codes.
const MAX_KINDS: usize = 1_024;

/// Kinds of which `summary.json` tells.
const KINDS_REPORTED: usize = 32;

/// One kind: attempts for a product in a region that met the same code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// The host that was asked.
    pub host: String,
    /// The vendor's code, or a word for what failed.
    pub code: String,
    /// Attempts that met it.
    pub attempts: u64,
    /// What the first of them was told.
    pub message: Option<String>,
}

/// A product that is refused in a region, whatever the id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The product.
    pub product_code: String,
    /// The region.
    pub region: String,
    /// The host that was asked.
    pub host: String,
    /// The vendor's code.
    pub code: String,
    /// The vendor's message.
    pub message: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            product_code,
            region,
            host,
            code,
            message,
        } = self;
        write!(f, "{host} refuses every id of {product_code} in {region} with {code}")?;
        match message {
            Some(message) => write!(f, " ({message})"),
            None => Ok(()),
        }
    }
}

/// All of a run.
#[derive(Debug, Default)]
pub struct Troubles {
    kinds: Mutex<BTreeMap<(ProductCode, Region, String), Trouble>>,
    refusals: Mutex<Vec<Refusal>>,
}

impl Troubles {
    /// An attempt met `code`.
    pub(super) fn met(
        &self,
        product_code: &ProductCode,
        region: &Region,
        host: &str,
        code: &str,
        message: Option<&str>,
    ) {
        // Whatever a panic elsewhere left is a count that is one too low.
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (product_code.clone(), region.clone(), code.to_owned());
        if kinds.len() >= MAX_KINDS && !kinds.contains_key(&key) {
            return;
        }
        let trouble = kinds.entry(key).or_insert_with(|| Trouble {
            product_code: product_code.to_string(),
            region: region.to_string(),
            host: host.to_owned(),
            code: code.to_owned(),
            attempts: 0,
            message: message.map(str::to_owned),
        });
        trouble.attempts += 1;
    }

    /// Every id is refused. It is said once for each product and region.
    pub(super) fn every_id_refused(&self, refusal: Refusal) {
        self.refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(refusal);
    }

    /// The products and regions in which every id is refused.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The commonest kinds, the commonest first.
    pub fn commonest(&self) -> Vec<Trouble> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut troubles: Vec<Trouble> = kinds.values().cloned().collect();
        troubles.sort_by_key(|trouble| Reverse(trouble.attempts));
        troubles.truncate(KINDS_REPORTED);
        troubles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_and_bounded() {
        let troubles = Troubles::default();
        let product = ProductCode::parse("FACE_LIVENESS").unwrap();
        let region = Region::parse("ap-southeast-1").unwrap();
        for _ in 0..3 {
            troubles.met(&product, &region, "host", "timeout", Some("slow"));
        }
        for number in 0..2 * MAX_KINDS {
            troubles.met(&product, &region, "host", &format!("code{number}"), None);
        }
        let commonest = troubles.commonest();
        assert_eq!(commonest.len(), KINDS_REPORTED);
        assert_eq!((commonest[0].code.as_str(), commonest[0].attempts), ("timeout", 3));
        assert_eq!(commonest[0].message.as_deref(), Some("slow"));
        assert_eq!(troubles.kinds.lock().unwrap().len(), MAX_KINDS);
    }
}
