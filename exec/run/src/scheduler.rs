//! The worker threads. Queries stand in a ring and share the workers morsel by morsel, so that a short query does
//! not wait behind a long one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::query::Query;

struct Ring {
    queries: VecDeque<Arc<Query>>,
    sleeping: usize,
    shutdown: bool,
}

/// What workers and waiting streams share.
pub(crate) struct Pool {
    ring: Mutex<Ring>,
    wake: Condvar,
    waiting: AtomicUsize,
}

impl Pool {
    /// Puts a query that has work at the ring's end, unless it stands there already.
    pub(crate) fn enqueue(&self, query: &Arc<Query>) {
        if !query.enter_ring() {
            return;
        }
        let mut ring = self.ring.lock();
        ring.queries.push_back(query.clone());
        self.waiting.store(ring.queries.len(), Ordering::Relaxed);
        if ring.sleeping > 0 {
            self.wake.notify_one();
        }
    }

    fn nobody_waits(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// The query at the ring's front; `None` at shutdown.
    fn next(&self) -> Option<Arc<Query>> {
        let mut ring = self.ring.lock();
        loop {
            if ring.shutdown {
                return None;
            }
            if let Some(query) = ring.queries.pop_front() {
                self.waiting.store(ring.queries.len(), Ordering::Relaxed);
                query.queued.store(false, Ordering::Release);
                return Some(query);
            }
            ring.sleeping += 1;
            self.wake.wait(&mut ring);
            ring.sleeping -= 1;
        }
    }

    fn work(&self) {
        let mut current: Option<Arc<Query>> = None;
        loop {
            let query = match current.take() {
                Some(query) if self.nobody_waits() => query,
                other => {
                    if let Some(query) = other {
                        self.enqueue(&query);
                    }
                    match self.next() {
                        Some(query) => query,
                        None => return,
                    }
                }
            };
            let Some((task, more)) = query.take() else { continue };
            if more {
                self.enqueue(&query);
            }
            query.execute(task, &|| self.nobody_waits());
            current = Some(query);
        }
    }
}

/// Owns the worker threads; dropping it ends them.
pub struct Scheduler {
    pool: Arc<Pool>,
    threads: Vec<JoinHandle<()>>,
}

impl Scheduler {
    /// Starts `workers` threads (at least one).
    pub fn new(workers: usize) -> Arc<Scheduler> {
        let pool = Arc::new(Pool {
            ring: Mutex::new(Ring { queries: VecDeque::new(), sleeping: 0, shutdown: false }),
            wake: Condvar::new(),
            waiting: AtomicUsize::new(0),
        });
        let threads = (0..workers.max(1))
            .filter_map(|i| {
                let pool = pool.clone();
                let thread = std::thread::Builder::new().name(format!("spg-worker-{i}"));
                thread.spawn(move || pool.work()).ok()
            })
            .collect();
        Arc::new(Scheduler { pool, threads })
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.threads.len()
    }

    /// What streams wake their queries through.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scheduler({})", self.threads.len())
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        {
            let mut ring = self.pool.ring.lock();
            ring.shutdown = true;
            ring.queries.clear();
        }
        self.pool.wake.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
