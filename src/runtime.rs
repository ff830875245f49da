//! The threads on which the network is waited for.
//!
//! - [`block_on`]: has them for as long as a future takes

use std::io;
use std::time::Duration;

use tokio::runtime::Runtime;

/// How long they may take to end. What still waits then, for the answer of a name server, say, is not waited for.
const END: Duration = Duration::from_secs(1);

/// Runs `future` with a thread for each core, and ends them. The allocator keeps memory that a thread has let go of for that thread; what
/// one that has ended leaves behind is there for all.
///
/// Fails where the machine gives no threads or files.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Runtime::new()?;
    let given = runtime.block_on(future);
    runtime.shutdown_timeout(END);
    Ok(given)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::{Arc, mpsc};

    use super::*;

    #[test]
    fn its_threads_have_ended_when_it_returns() {
        thread_local! {
            static HELD: RefCell<Option<Arc<()>>> = const { RefCell::new(None) };
        }
        let threads = Arc::new(());
        let keep = || {
            let held = threads.clone();
            move || HELD.set(Some(held))
        };
        let (asked, blocking) = (keep(), keep());
        let held = block_on(async {
            tokio::spawn(async { asked() }).await.unwrap();
            tokio::task::spawn_blocking(blocking).await.unwrap();
            Arc::strong_count(&threads) - 1
        });
        assert_eq!(held.unwrap(), 2);
        assert_eq!(Arc::strong_count(&threads) - 1, 0);
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
