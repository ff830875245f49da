//! The first call of a run in a region goes alone: where the key is wrong or the clock is off, one call says so, not hundreds.
//!
//! - [`Opening`]: of a region, shared by its queues; [`Alone`]: the right to call before it is open

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Closed until the first call of the region was answered.
#[derive(Debug)]
pub struct Opening(Arc<Semaphore>);

/// The right to make the one call before the region is open. Where it is dropped and the region is still closed, the next
/// one goes alone.
#[derive(Debug)]
pub(super) struct Alone(#[expect(dead_code, reason = "held, and given back when it is dropped")] OwnedSemaphorePermit);

impl Default for Opening {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Opening {
    /// Waits until the region is open, or until it is this call's turn to go alone. `None`: it is open.
    pub(super) async fn enter(&self) -> Option<Alone> {
        // A closed semaphore gives an error: that is the open region.
        self.0.clone().acquire_owned().await.ok().map(Alone)
    }

    /// Everyone may call from now on.
    pub(super) fn open(&self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_goes_alone_until_the_region_is_open() {
        let opening = Arc::new(Opening::default());
        let alone = opening.enter().await.expect("the first");
        let waiting = opening.clone();
        let waiting = tokio::spawn(async move { waiting.enter().await.is_some() });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(alone);
        assert!(waiting.await.unwrap(), "it was not opened, so the next one goes alone");
        let alone = opening.enter().await.expect("still closed");
        let waiting = opening.clone();
        let waiting = tokio::spawn(async move { waiting.enter().await.is_some() });
        tokio::task::yield_now().await;
        opening.open();
        assert!(!waiting.await.unwrap());
        drop(alone);
        assert!(opening.enter().await.is_none());
    }
}
