//! The write lock: one transaction writes at a time.
//!
//! Who waits either sleeps or awaits. The lock is handed to the first in the queue if that one awaits: it runs next on the
//! thread that frees the lock. A sleeper takes long to wake, and the lock stays free meanwhile for whoever comes, until the
//! sleeper has waited long: nobody starves.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use spg_types::{Error, Result, SqlState};

/// How long who sleeps goes without looking whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(20);
/// Who has slept longer than this gets the lock before anybody else.
const HAND_OVER_AFTER: Duration = Duration::from_millis(5);

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
    queue: Mutex<Queue>,
    /// The queue's length, to look at without its lock.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    held: bool,
    waiting: VecDeque<Arc<Waiter>>,
}

struct Waiter {
    since: Instant,
    /// Sleeps; awaits otherwise. Set under the queue's lock.
    sleeps: AtomicBool,
    /// Set, under the queue's lock, by who hands the lock over.
    granted: AtomicBool,
    woken: Condvar,
    waker: Mutex<Option<Waker>>,
}

/// The held write lock; dropped, it is free or goes to who waits longest. May move between threads.
pub(crate) struct WriteGuard(Arc<WriteLock>);

/// A place in the queue for the write lock. As a future it is ready when its turn has come; [`crate::Store::begin_turn`]
/// then begins to write. Dropped, the place is given up.
pub struct Turn {
    lock: Arc<WriteLock>,
    waiter: Arc<Waiter>,
    /// The lock has gone over into a guard.
    taken: bool,
}

impl WriteGuard {
    /// Whether others wait for it.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        let Some(first) = queue.waiting.front().cloned() else {
            queue.held = false;
            return;
        };
        if !first.sleeps.load(Ordering::Relaxed) || first.since.elapsed() > HAND_OVER_AFTER {
            first.granted.store(true, Ordering::Relaxed);
            self.0.leave(&mut queue, &first);
        } else {
            queue.held = false;
        }
        drop(queue);
        first.woken.notify_one();
        if let Some(waker) = first.waker.lock().take() {
            waker.wake();
        }
    }
}

impl WriteLock {
    /// Takes the lock if it is free.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<WriteGuard> {
        let mut queue = self.queue.lock();
        if std::mem::replace(&mut queue.held, true) { None } else { Some(WriteGuard(self.clone())) }
    }

    /// Takes the lock if it is free, a place in the queue otherwise.
    pub(crate) fn turn(self: &Arc<Self>) -> Turn {
        let mut queue = self.queue.lock();
        let free = !std::mem::replace(&mut queue.held, true);
        let waiter = Arc::new(Waiter {
            since: Instant::now(),
            sleeps: AtomicBool::new(false),
            granted: AtomicBool::new(free),
            woken: Condvar::new(),
            waker: Mutex::default(),
        });
        if !free {
            queue.waiting.push_back(waiter.clone());
            self.waiting.store(queue.waiting.len(), Ordering::Relaxed);
        }
        Turn { lock: self.clone(), waiter, taken: false }
    }

    fn leave(&self, queue: &mut Queue, waiter: &Arc<Waiter>) {
        queue.waiting.retain(|w| !Arc::ptr_eq(w, waiter));
        self.waiting.store(queue.waiting.len(), Ordering::Relaxed);
    }
}

impl Turn {
    /// Whether the lock is this one's.
    pub fn has_come(&self) -> bool {
        self.waiter.granted.load(Ordering::Relaxed)
    }

    /// Sleeps until the turn has come. 55P03 when `timeout` has passed since the place was taken, 57014 when cancelled.
    pub(crate) fn wait(mut self, wait: &LockWait) -> Result<WriteGuard> {
        let deadline = wait.timeout.map(|t| self.waiter.since + t);
        let lock = self.lock.clone();
        let mut queue = lock.queue.lock();
        self.waiter.sleeps.store(true, Ordering::Relaxed);
        loop {
            if self.has_come() {
                self.taken = true;
                return Ok(WriteGuard(lock.clone()));
            }
            if !std::mem::replace(&mut queue.held, true) {
                lock.leave(&mut queue, &self.waiter);
                self.taken = true;
                return Ok(WriteGuard(lock.clone()));
            }
            let given_up = if wait.cancelled.as_ref().is_some_and(|c| c.load(Ordering::Relaxed)) {
                Some((SqlState::QUERY_CANCELED, "canceling statement due to user request"))
            } else if deadline.is_some_and(|d| d <= Instant::now()) {
                Some((SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout"))
            } else {
                None
            };
            if let Some((state, message)) = given_up {
                // The queue's lock is free again when the turn is dropped.
                drop(queue);
                return Err(Error::new(state, message));
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let pause = match (left, &wait.cancelled) {
                (Some(left), Some(_)) => Some(left.min(CANCEL_CHECK)),
                (Some(left), None) => Some(left),
                (None, Some(_)) => Some(CANCEL_CHECK),
                (None, None) => None,
            };
            match pause {
                Some(pause) => {
                    self.waiter.woken.wait_for(&mut queue, pause);
                }
                None => self.waiter.woken.wait(&mut queue),
            }
        }
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Under the queue's lock, so that the turn cannot come between the look and the waker.
        let _queue = self.lock.queue.lock();
        if self.has_come() {
            return Poll::Ready(());
        }
        *self.waiter.waker.lock() = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut queue = self.lock.queue.lock();
        if self.has_come() {
            drop(queue);
            drop(WriteGuard(self.lock.clone()));
        } else {
            self.lock.leave(&mut queue, &self.waiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(turn: &mut Turn) -> bool {
        Pin::new(turn).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn turns_come_in_order_and_can_be_given_up() {
        let lock = Arc::new(WriteLock::default());
        let guard = lock.try_acquire().unwrap();
        assert!(!guard.is_waited_for());
        let mut turns: Vec<Turn> = (0..3).map(|_| lock.turn()).collect();
        assert!(guard.is_waited_for() && lock.try_acquire().is_none());
        assert!(turns.iter_mut().all(|t| !poll(t)));
        drop(guard);
        assert_eq!(turns.iter_mut().map(poll).collect::<Vec<_>>(), [true, false, false]);
        // The first is given up before it is used, the second before it has come.
        drop(turns.drain(..2));
        assert!(poll(&mut turns[0]));
        let guard = turns.remove(0).wait(&LockWait::default()).unwrap();
        assert!(lock.try_acquire().is_none());
        drop(guard);
        assert!(lock.try_acquire().is_some());
    }

    #[test]
    fn the_time_counts_from_the_place() {
        let lock = Arc::new(WriteLock::default());
        let guard = lock.try_acquire().unwrap();
        let turn = lock.turn();
        let wait = LockWait { timeout: Some(Duration::ZERO), cancelled: None };
        let error = turn.wait(&wait).map(|_| ()).unwrap_err();
        assert_eq!(error.state(), SqlState::LOCK_NOT_AVAILABLE);
        let cancelled = LockWait { timeout: None, cancelled: Some(Arc::new(true.into())) };
        let error = lock.turn().wait(&cancelled).map(|_| ()).unwrap_err();
        assert_eq!(error.state(), SqlState::QUERY_CANCELED);
        drop(guard);
        assert!(lock.try_acquire().is_some());
    }

    #[test]
    fn sleepers_are_woken() {
        let lock = Arc::new(WriteLock::default());
        let count = Arc::new(Mutex::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (lock, count) = (lock.clone(), count.clone());
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        let _guard = lock.turn().wait(&LockWait::default()).unwrap();
                        let seen = *count.lock();
                        std::thread::yield_now();
                        *count.lock() = seen + 1;
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(*count.lock(), 2000);
        assert!(lock.try_acquire().is_some());
    }
}
