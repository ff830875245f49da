//! Waiting for the network.
//!
//! - [`block_on`]: a runtime for as long as a future takes

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;

/// How long the threads may take to end. What still waits then, for the answer of a name server, say, is not waited for.
const END: Duration = Duration::from_secs(1);

/// Runs `future` and what it spawns on this thread: a thread for each core would keep waking the others, for more CPU and no more calls
/// (docs/internals/benchmarks.md). What blocks has threads of its own, which end with it.
///
/// Fails where the machine gives no files.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let given = runtime.block_on(future);
    runtime.shutdown_timeout(END);
    Ok(given)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::*;

    #[test]
    fn what_blocks_has_threads_that_have_ended_when_it_returns() {
        thread_local! {
            static HELD: RefCell<Option<Arc<()>>> = const { RefCell::new(None) };
        }
        let threads = Arc::new(());
        let held = threads.clone();
        let blocking = move || {
            HELD.set(Some(held));
            thread::current().id()
        };
        let (spawned, blocked) = block_on(async {
            let spawned = tokio::spawn(async { thread::current().id() }).await.unwrap();
            (spawned, tokio::task::spawn_blocking(blocking).await.unwrap())
        })
        .unwrap();
        assert_eq!(spawned, thread::current().id());
        assert_ne!(blocked, spawned);
        assert_eq!(Arc::strong_count(&threads), 1);
    }

    #[test]
    fn what_still_waits_does_not_hold_it_up() {
        let (answer, awaited) = mpsc::channel::<()>();
        block_on(async move {
            drop(tokio::task::spawn_blocking(move || awaited.recv()));
        })
        .unwrap();
        drop(answer);
    }
}
