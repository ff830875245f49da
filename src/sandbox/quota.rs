//! The quota: so many calls in any second.
//!
//! - [`Window`]: a strict sliding window over arrivals

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
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

#[cfg(test)]
mod tests {
    use super::*;

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
