//! Ending a running statement from outside: cancel requests, time limits, shutdown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use spg_run::{CancelReason, CancelToken};
use spg_types::Result;

/// Ends what a session is doing; may be used from any thread.
#[derive(Clone, Default)]
pub struct CancelHandle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    running: Mutex<Option<Running>>,
    terminated: AtomicBool,
}

/// The statement that runs: its token, and the flag that lock waits look at.
#[derive(Clone)]
pub(crate) struct Running {
    pub token: Arc<CancelToken>,
    pub lock_wait: Arc<AtomicBool>,
}

impl CancelHandle {
    /// Ends the running statement with 57014; nothing when none runs.
    pub fn cancel(&self) {
        if let Some(r) = &*self.0.running.lock() {
            r.token.cancel(CancelReason::UserRequest);
            r.lock_wait.store(true, Ordering::Release);
        }
    }

    /// Ends the running statement, and every later one, with 57P01.
    pub fn terminate(&self) {
        self.0.terminated.store(true, Ordering::Release);
        if let Some(r) = &*self.0.running.lock() {
            r.token.cancel(CancelReason::Shutdown);
            r.lock_wait.store(true, Ordering::Release);
        }
    }

    /// Whether `terminate` was called.
    pub fn is_terminated(&self) -> bool {
        self.0.terminated.load(Ordering::Acquire)
    }

    /// The error that the running statement is to end with, once there is a reason: for code that waits for the client.
    pub fn check(&self) -> Result<()> {
        let running = self.0.running.lock().clone();
        running.map_or(Ok(()), |r| r.token.check())
    }

    /// Registers a new statement.
    pub(crate) fn begin(&self) -> Running {
        let running = Running { token: Arc::new(CancelToken::new()), lock_wait: Arc::default() };
        *self.0.running.lock() = Some(running.clone());
        if self.is_terminated() {
            running.token.cancel(CancelReason::Shutdown);
            running.lock_wait.store(true, Ordering::Release);
        }
        running
    }

    /// The statement has ended.
    pub(crate) fn end(&self) {
        *self.0.running.lock() = None;
    }
}

/// Ends statements whose time is up. One thread for all sessions, started with the first time limit.
#[derive(Default)]
pub(crate) struct Watchdog {
    shared: Arc<WatchdogShared>,
}

#[derive(Default)]
struct WatchdogShared {
    deadlines: Mutex<Deadlines>,
    changed: Condvar,
}

#[derive(Default)]
struct Deadlines {
    by_time: BTreeMap<(Instant, u64), (Weak<CancelToken>, Weak<AtomicBool>)>,
    next: u64,
    started: bool,
}

/// Takes a statement off the watchdog's list when it ends in time.
pub(crate) struct Watched {
    shared: Arc<WatchdogShared>,
    key: (Instant, u64),
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.shared.deadlines.lock().by_time.remove(&self.key);
    }
}

impl Watchdog {
    /// Ends the statement with 57014 after `limit` unless the result is dropped before.
    pub(crate) fn watch(&self, running: &Running, limit: Duration) -> Watched {
        let mut d = self.shared.deadlines.lock();
        let key = (Instant::now() + limit, d.next);
        d.next += 1;
        d.by_time.insert(key, (Arc::downgrade(&running.token), Arc::downgrade(&running.lock_wait)));
        if !d.started {
            d.started = true;
            let shared = Arc::downgrade(&self.shared);
            std::thread::spawn(move || watch_deadlines(&shared));
        }
        self.shared.changed.notify_one();
        Watched { shared: self.shared.clone(), key }
    }
}

/// Runs until the watchdog is dropped; looks up at least every second to notice that.
fn watch_deadlines(shared: &Weak<WatchdogShared>) {
    while let Some(shared) = shared.upgrade() {
        let mut d = shared.deadlines.lock();
        let now = Instant::now();
        while let Some(entry) = d.by_time.first_entry().filter(|e| e.key().0 <= now) {
            let (token, lock_wait) = entry.remove();
            if let Some(token) = token.upgrade() {
                token.cancel(CancelReason::Timeout);
            }
            if let Some(flag) = lock_wait.upgrade() {
                flag.store(true, Ordering::Release);
            }
        }
        let wait = d.by_time.first_key_value().map_or(Duration::from_secs(1), |(k, _)| {
            k.0.saturating_duration_since(now).min(Duration::from_secs(1))
        });
        shared.changed.wait_for(&mut d, wait);
    }
}
