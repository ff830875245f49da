//! Memory for replies: a small one is free, a larger one waits until there is room for it.
//!
//! - [`Rooms`]: what all replies may take together
//! - [`Room`]: what one takes, until it is committed

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A reply of so many bytes at most waits for nothing. One without images has a few thousand.
const FREE_BYTES: usize = 64 * 1024;

/// What all larger replies may take together: 64 MiB in KiB. A face has 50 to 300 kB.
const LARGE_REPLIES_KIB: u32 = 64 * 1024;

/// What all replies may take together.
#[derive(Debug, Clone)]
pub(super) struct Rooms(Arc<Semaphore>);

/// What one reply takes. It is given back when this is dropped.
#[derive(Debug, Default)]
pub struct Room {
    permit: Option<OwnedSemaphorePermit>,
}

impl Default for Rooms {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE_REPLIES_KIB as usize)))
    }
}

impl Rooms {
    /// Makes sure that `room` holds a reply of which `bytes` are there, and which will have `at_most` in the end. All of
    /// it is taken at once: a reply that has room never waits for more, so none can wait for another for ever. True
    /// where it was taken now.
    pub(super) async fn hold(&self, room: &mut Room, bytes: usize, at_most: usize) -> bool {
        if bytes <= FREE_BYTES || room.permit.is_some() {
            return false;
        }
        let kib = u32::try_from(at_most.max(bytes).div_ceil(1024)).unwrap_or(LARGE_REPLIES_KIB);
        // An error would mean that the semaphore was closed, which nothing does.
        room.permit = self.0.clone().acquire_many_owned(kib.min(LARGE_REPLIES_KIB)).await.ok();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn small_replies_are_free_and_large_ones_wait_for_room() {
        let rooms = Rooms::default();
        let mut taken = Vec::new();
        for _ in 0..8 {
            let mut room = Room::default();
            rooms.hold(&mut room, FREE_BYTES + 1, 8 * MIB).await;
            taken.push(room);
        }
        let mut small = Room::default();
        rooms.hold(&mut small, FREE_BYTES, 8 * MIB).await;
        assert!(small.permit.is_none());
        let mut ninth = Room::default();
        let mut waiting = Box::pin(rooms.hold(&mut ninth, FREE_BYTES + 1, 100));
        let patience = std::time::Duration::from_hours(1);
        assert!(
            tokio::time::timeout(patience, &mut waiting).await.is_err(),
            "64 MiB are taken"
        );
        taken.pop();
        waiting.await;
        assert!(ninth.permit.is_some());
        assert!(
            !rooms.hold(&mut ninth, MIB, 8 * MIB).await,
            "it has its room, whatever comes"
        );
    }
}
