//! The quotas: so many calls in any second.
//!
//! - [`Window`]: a strict sliding window over arrivals
//! - [`RegionQuota`]: the limit of a region, and those of the products in it

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a call counts against the quota.
const WINDOW: Duration = Duration::from_secs(1);

/// A strict sliding window: no second, wherever it begins, holds more admitted arrivals than the limit.
#[derive(Debug)]
pub struct Window {
    limit: usize,
    /// When the last `limit` admitted calls arrived. Throttled ones don't count: a client slightly too fast would be
    /// shut out for good.
    admitted: Mutex<VecDeque<Instant>>,
}

impl Window {
    /// A window for so many calls a second.
    pub fn new(calls_per_second: u32) -> Self {
        Self {
            limit: usize::try_from(calls_per_second).unwrap_or(usize::MAX),
            admitted: Mutex::new(VecDeque::new()),
        }
    }

    /// A call arrives: `Err` says how long it takes until there is room.
    pub fn arrive(&self) -> Result<(), Duration> {
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that the queue is in order.
        let now = Instant::now();
        if self.limit == 0 {
            return Err(WINDOW);
        }
        if admitted.len() == self.limit {
            match admitted.front().map(|oldest| now.saturating_duration_since(*oldest)) {
                Some(age) if age < WINDOW => return Err(WINDOW.saturating_sub(age)),
                _ => admitted.pop_front(),
            };
        }
        admitted.push_back(now);
        Ok(())
    }
}

/// The limits of one region, in calls per second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionQuota {
    /// All products together.
    pub limit: u32,
    /// Products by their code. Others have no limit but that of the region.
    pub products: BTreeMap<String, u32>,
}

/// The product of a transaction, as the sandbox takes it: what stands before the first `-` of its id, as in `eKYC-0001`. The real
/// service knows it, and a call does not name it.
fn product_of(transaction_id: &str) -> Option<&str> {
    transaction_id.split_once('-').map(|(product_code, _)| product_code)
}

/// The windows of a region and of the products in it.
#[derive(Debug)]
pub(super) struct Windows {
    region: Window,
    products: BTreeMap<String, Arc<Window>>,
}

impl Windows {
    pub(super) fn new(quota: RegionQuota) -> Self {
        let products = quota.products.into_iter();
        Self {
            region: Window::new(quota.limit),
            products: products
                .map(|(product_code, limit)| (product_code, Arc::new(Window::new(limit))))
                .collect(),
        }
    }

    /// A call for a transaction arrives: `Err` says how long it takes until there is room. A call that its product has no room for
    /// takes none in the region.
    pub(super) fn arrive(&self, transaction_id: &str) -> Result<(), Duration> {
        if let Some(window) = product_of(transaction_id).and_then(|product_code| self.products.get(product_code)) {
            window.arrive()?;
        }
        self.region.arrive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_region_has_one_limit_for_all_and_one_for_each_product() {
        let windows = Windows::new(RegionQuota {
            limit: 3,
            products: BTreeMap::from([("eKYC".to_owned(), 1)]),
        });
        assert_eq!(windows.arrive("eKYC-1"), Ok(()));
        assert!(windows.arrive("eKYC-2").is_err(), "the product's");
        assert_eq!(windows.arrive("hks0001"), Ok(()));
        assert_eq!(windows.arrive("ID_OCR-1"), Ok(()));
        assert!(windows.arrive("hks0002").is_err(), "the region's");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(windows.arrive("eKYC-2"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_the_limit() {
        let window = Window::new(50);
        for _ in 0..25 {
            assert_eq!(window.arrive(), Ok(()));
        }
        tokio::time::advance(Duration::from_millis(600)).await;
        for _ in 0..25 {
            assert_eq!(window.arrive(), Ok(()));
        }
        assert_eq!(window.arrive(), Err(Duration::from_millis(400)));
        tokio::time::advance(Duration::from_millis(400)).await;
        for _ in 0..25 {
            assert_eq!(window.arrive(), Ok(()), "the first 25 have left the window");
        }
        assert_eq!(window.arrive(), Err(Duration::from_millis(600)));
    }

    #[test]
    fn a_limit_of_none_admits_none() {
        assert!(Window::new(0).arrive().is_err());
    }
}
