//! How long the backlog takes at the set pace, and how many records expire before they are reached.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::{Ledger, LedgerError};
use crate::plan::{Forecast, Forecaster};
use crate::quota::SetPace;

/// The forecast of all queues and their sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BacklogForecast {
    /// Due records.
    pub due: u64,
    /// Those past their deadline already.
    pub overdue: u64,
    /// Those that expire before they are reached.
    pub expire_first: u64,
    /// Seconds until the last one is fetched: the queues run side by side.
    pub seconds: f64,
    /// By region and product.
    pub regions: BTreeMap<String, BTreeMap<String, Forecast>>,
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
        let backlog = match pace {
            SetPace::Shared(None) => Due::default(),
            SetPace::Shared(Some(_)) | SetPace::Quotas { .. } => Due::read(ledger, start)?,
        };
        let mut walks: BTreeMap<String, BTreeMap<String, Forecaster>> = BTreeMap::new();
        ledger.for_each_deadline(start, with_not_completed, |region, product_code, deadline| {
            if let Some(walk) = walks.get_mut(region).and_then(|walks| walks.get_mut(product_code)) {
                return walk.add(deadline.at, deadline.age_known);
            }
            let mut walk = Forecaster::new(start, backlog.rate(pace, region, product_code));
            walk.add(deadline.at, deadline.age_known);
            let of_region = walks.entry(region.to_owned()).or_default();
            of_region.insert(product_code.to_owned(), walk);
        })?;
        let mut sum = Self::default();
        for (region, walks) in walks {
            let mut products = BTreeMap::new();
            for (product_code, walk) in walks {
                let forecast = walk.finish();
                sum.due += forecast.due;
                sum.overdue += forecast.overdue;
                sum.expire_first += forecast.expire_first;
                sum.seconds = sum.seconds.max(forecast.seconds);
                products.insert(product_code, forecast);
            }
            sum.regions.insert(region, products);
        }
        Ok(sum)
    }
}

/// How many records are due. A queue's part of a limit that it shares is its part of the backlog behind it, so that those who
/// share it end together.
#[derive(Default)]
struct Due {
    all: u64,
    regions: BTreeMap<String, u64>,
    products: BTreeMap<String, u64>,
    queues: BTreeMap<(String, String), u64>,
}

impl Due {
    fn read(ledger: &Ledger, start: Timestamp) -> Result<Self, LedgerError> {
        let mut due = Self::default();
        for queue in ledger.due_queues(start)? {
            let (region, product_code) = (queue.region.to_string(), queue.product_code.to_string());
            due.all += queue.due;
            *due.regions.entry(region.clone()).or_default() += queue.due;
            *due.products.entry(product_code.clone()).or_default() += queue.due;
            due.queues.insert((region, product_code), queue.due);
        }
        Ok(due)
    }

    /// The rate of a queue in calls per second. Where the share of the quotas differs by hour, it is that of the lowest share.
    fn rate(&self, pace: &SetPace, region: &str, product_code: &str) -> Option<f64> {
        let due = self.queues.get(&(region.to_owned(), product_code.to_owned())).copied();
        match pace {
            SetPace::Shared(rate) => rate.map(|rate| rate * share(due, Some(self.all))),
            SetPace::Quotas { quotas, shares } => {
                let of_region = quotas.region(region).calls_per_second;
                let of_region = of_region * share(due, self.regions.get(region).copied());
                let everywhere = || {
                    let limit = quotas.product(product_code).calls_per_second;
                    limit * share(due, self.products.get(product_code).copied())
                };
                let here = quotas.product_in_region(region, product_code);
                let of_product = here.map_or_else(everywhere, |limit| limit.calls_per_second);
                Some(of_region.min(of_product) * shares.lowest())
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a backlog")]
fn share(part: Option<u64>, all: Option<u64>) -> f64 {
    match (part, all) {
        (Some(part), Some(all)) if part > 0 => part as f64 / all as f64,
        _ => 1.0,
    }
}
