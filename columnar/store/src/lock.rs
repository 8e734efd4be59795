//! The write lock: one transaction writes at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use spg_types::{Error, Result, SqlState};

/// How long who waits goes without looking whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(10);

/// How to wait for the write lock.
#[derive(Clone, Debug, Default)]
pub struct LockWait {
    /// `lock_timeout`; forever without one.
    pub timeout: Option<Duration>,
    /// Ends the wait when set.
    pub cancelled: Option<Arc<AtomicBool>>,
}

#[derive(Default)]
pub(crate) struct WriteLock {
    held: Mutex<bool>,
    freed: Condvar,
}

/// The held write lock; dropped, it is free. May move between threads.
pub(crate) struct WriteGuard(Arc<WriteLock>);

impl Drop for WriteGuard {
    fn drop(&mut self) {
        *self.0.held.lock() = false;
        self.0.freed.notify_one();
    }
}

impl WriteLock {
    /// Takes the lock if it is free.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<WriteGuard> {
        let mut held = self.held.lock();
        if std::mem::replace(&mut *held, true) { None } else { Some(WriteGuard(self.clone())) }
    }

    /// Waits for the lock. 55P03 when the time is up, 57014 when cancelled.
    pub(crate) fn acquire(self: &Arc<Self>, wait: &LockWait) -> Result<WriteGuard> {
        let deadline = wait.timeout.map(|t| Instant::now() + t);
        let mut held = self.held.lock();
        while *held {
            if wait.cancelled.as_ref().is_some_and(|c| c.load(Ordering::Relaxed)) {
                // Who woke this waiter meant some waiter.
                self.freed.notify_one();
                return Err(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"));
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                self.freed.notify_one();
                return Err(Error::new(
                    SqlState::LOCK_NOT_AVAILABLE,
                    "canceling statement due to lock timeout",
                ));
            }
            let pause = match (left, &wait.cancelled) {
                (Some(left), Some(_)) => Some(left.min(CANCEL_CHECK)),
                (Some(left), None) => Some(left),
                (None, Some(_)) => Some(CANCEL_CHECK),
                (None, None) => None,
            };
            match pause {
                Some(pause) => {
                    self.freed.wait_for(&mut held, pause);
                }
                None => self.freed.wait(&mut held),
            }
        }
        *held = true;
        Ok(WriteGuard(self.clone()))
    }
}
