//! Work on many pieces with a few threads of its own: bulk index builds and replay.

use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use spg_types::{Error, Result};

/// Threads for bulk work.
pub(crate) fn threads() -> usize {
    // Asking reads several files.
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

/// How far work that has time stands back: the last place that the system's scheduler has.
const STANDS_BACK: i32 = 19;

/// Runs `f` on a thread of its own that stands back behind all others, as do the threads that it starts: it is given how many of
/// them, so that one processor stays free of them where there are several. For what may take long and holds no lock that
/// statements wait for.
pub(crate) fn aside<T: Send>(threads: usize, f: impl FnOnce(usize) -> Result<T> + Send) -> Result<T> {
    let work = || {
        // Where the system does not allow it, the work is as good at the usual rank.
        let _ = rustix::process::setpriority_process(None, STANDS_BACK);
        f((threads / 2).max(1))
    };
    std::thread::scope(|scope| {
        scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Applies `f` to every item, in any order, and returns the results in the order of the items. The first error wins.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    map_on(threads(), items, f)
}

/// As [`map`] on so many threads.
pub(crate) fn map_on<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    f: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    if items.len() <= 1 || threads <= 1 {
        return items.iter().map(f).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<R>)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(i) else { return };
                    let result = f(item);
                    let failed = result.is_err();
                    results.lock().push((i, result));
                    if failed {
                        next.fetch_max(items.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut results = results.into_inner();
    results.sort_unstable_by_key(|(i, _)| *i);
    let complete = results.len() == items.len();
    let values = results.into_iter().map(|(_, r)| r).collect::<Result<Vec<_>>>()?;
    if complete { Ok(values) } else { Err(Error::internal("a thread for bulk work ended early")) }
}
