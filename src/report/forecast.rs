//! How long the backlog takes at the set pace, and how many records expire before they are reached.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::{Ledger, LedgerError};
use crate::plan::{Forecast, Forecaster};
use crate::tables::Quotas;

/// The pace that is set, in calls per second.
#[derive(Debug, Clone)]
pub enum SetPace {
    /// A share of each product's quota.
    PerProduct {
        /// The quotas.
        quotas: Quotas,
        /// From 0 to 1: the rest is for live traffic.
        share: f64,
    },
    /// One rate for everything; `None` = unlimited.
    Shared(Option<f64>),
}

impl SetPace {
    /// The rate of a product's own limiter; `None` where all products share one, or there is no limit.
    pub fn of(&self, product_code: &str) -> Option<f64> {
        match self {
            Self::PerProduct { quotas, share } => Some(quotas.of(product_code) * share),
            Self::Shared(_) => None,
        }
    }
}

/// The forecast of all products and their sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BacklogForecast {
    /// Due records.
    pub due: u64,
    /// Those past their deadline already.
    pub overdue: u64,
    /// Those that expire before they are reached.
    pub expire_first: u64,
    /// Seconds until the last one is fetched: the products run side by side.
    pub seconds: f64,
    /// By product.
    pub products: BTreeMap<String, Forecast>,
}

impl BacklogForecast {
    /// Forecasts a run that starts at `start` with everything that is due by then. `with_not_completed`: also what
    /// the customer had not finished when it was last asked for.
    pub fn read(
        ledger: &Ledger,
        start: Timestamp,
        pace: &SetPace,
        with_not_completed: bool,
    ) -> Result<Self, LedgerError> {
        // One limiter for all: each product's part of it is its part of the backlog, so that they end together.
        let due = match pace {
            SetPace::Shared(Some(_)) => ledger.due_products(start)?,
            SetPace::Shared(None) | SetPace::PerProduct { .. } => Vec::new(),
        };
        let due: BTreeMap<String, u64> = due
            .into_iter()
            .map(|product| (product.product_code.to_string(), product.due))
            .collect();
        let all: u64 = due.values().sum();
        let rate = |product_code: &str| match pace {
            SetPace::Shared(rate) => rate.map(|rate| rate * share(due.get(product_code).copied(), all)),
            SetPace::PerProduct { .. } => pace.of(product_code),
        };
        let mut walks: BTreeMap<String, Forecaster> = BTreeMap::new();
        ledger.for_each_deadline(start, with_not_completed, |product_code, deadline| {
            if !walks.contains_key(product_code) {
                walks.insert(product_code.to_owned(), Forecaster::new(start, rate(product_code)));
            }
            if let Some(walk) = walks.get_mut(product_code) {
                walk.add(deadline.at, deadline.age_known);
            }
        })?;
        let mut sum = Self::default();
        for (product_code, walk) in walks {
            let forecast = walk.finish();
            sum.due += forecast.due;
            sum.overdue += forecast.overdue;
            sum.expire_first += forecast.expire_first;
            sum.seconds = sum.seconds.max(forecast.seconds);
            sum.products.insert(product_code, forecast);
        }
        Ok(sum)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a backlog")]
fn share(part: Option<u64>, all: u64) -> f64 {
    part.map_or(1.0, |part| part as f64 / all.max(1) as f64)
}
