//! The connections whose sessions run: cancel requests find them by number, shutdown ends them, and a client that has
//! gone while its statement runs is noticed here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::engine::Interrupt;
use crate::scram::equal;

/// How often the connections are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What other tasks know of a connection.
pub(crate) struct Backend<I> {
    pub(crate) pid: i32,
    pub(crate) key: i32,
    pub(crate) interrupt: I,
    stream: Arc<TcpStream>,
    /// A statement runs.
    busy: AtomicBool,
    /// To end at the next moment without a running statement.
    draining: AtomicBool,
    /// The client has closed the connection.
    gone: AtomicBool,
    /// Wakes the connection when it waits for its client.
    pub(crate) wake: Notify,
}

impl<I: Interrupt> Backend<I> {
    pub(crate) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// Whether the session is to end now that no statement runs.
    pub(crate) fn is_ending(&self) -> bool {
        self.draining.load(Ordering::Acquire) || self.interrupt.is_terminated()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The client can't be reached any more: whatever runs for it ends.
    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.interrupt.terminate();
        self.wake.notify_one();
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn terminate(&self) {
        self.interrupt.terminate();
        self.wake.notify_one();
    }

    fn look(&self) {
        if self.busy.load(Ordering::Relaxed) {
            // Readiness also tells that the other side has closed, whatever it sent before.
            if let Some(Ok(ready)) = self.stream.ready(Interest::READABLE).now_or_never()
                && ready.is_read_closed()
            {
                self.set_gone();
            }
        } else if self.interrupt.is_terminated() {
            self.wake.notify_one();
        }
    }
}

/// All connections with a session.
pub(crate) struct Registry<I> {
    backends: Mutex<HashMap<i32, Arc<Backend<I>>>>,
    next_pid: AtomicI32,
    /// Notified whenever a connection has ended.
    ended: Notify,
}

impl<I: Interrupt> Registry<I> {
    pub(crate) fn new() -> Self {
        Self { backends: Mutex::default(), next_pid: AtomicI32::new(1), ended: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Arc<Backend<I>>>> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no connection has.
    pub(crate) fn next_pid(&self) -> i32 {
        let backends = self.lock();
        loop {
            let pid = self.next_pid.fetch_add(1, Ordering::Relaxed) & i32::MAX;
            if pid != 0 && !backends.contains_key(&pid) {
                return pid;
            }
        }
    }

    /// Adds a connection; it leaves when the result is dropped.
    pub(crate) fn add(self: &Arc<Self>, pid: i32, interrupt: I, stream: Arc<TcpStream>) -> Registered<I> {
        let backend = Arc::new(Backend {
            pid,
            key: rand::random(),
            interrupt,
            stream,
            busy: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            wake: Notify::new(),
        });
        self.lock().insert(pid, backend.clone());
        Registered { registry: self.clone(), backend }
    }

    /// Serves a cancel request. Nobody learns whether it hit.
    pub(crate) fn cancel(&self, pid: i32, key: i32) {
        let found = self.lock().get(&pid).cloned();
        let expected = found.as_ref().map_or(!key, |b| b.key);
        if let Some(backend) = found
            && equal(&expected.to_be_bytes(), &key.to_be_bytes())
        {
            backend.interrupt.cancel();
            backend.wake.notify_one();
        }
    }

    /// Watches for clients that have gone and for sessions ended by others, as long as there is a server.
    pub(crate) async fn watch(registry: Weak<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut backends = Vec::new();
        loop {
            ticks.tick().await;
            let Some(registry) = registry.upgrade() else { return };
            backends.extend(registry.lock().values().cloned());
            backends.drain(..).for_each(|b| b.look());
        }
    }

    /// Ends all connections: idle ones at once, those with a running statement when it ends or `grace` is over.
    pub(crate) async fn end_all(&self, grace: Duration) {
        /// How long sessions have to notice that they are terminated.
        const LAST_WORDS: Duration = Duration::from_secs(2);
        self.lock().values().for_each(|b| b.drain());
        if tokio::time::timeout(grace, self.none_left()).await.is_err() {
            self.lock().values().for_each(|b| b.terminate());
            let _ = tokio::time::timeout(LAST_WORDS, self.none_left()).await;
        }
    }

    async fn none_left(&self) {
        loop {
            let ended = self.ended.notified();
            if self.lock().is_empty() {
                return;
            }
            ended.await;
        }
    }
}

/// A connection's place among the others.
pub(crate) struct Registered<I: Interrupt> {
    registry: Arc<Registry<I>>,
    pub(crate) backend: Arc<Backend<I>>,
}

impl<I: Interrupt> Drop for Registered<I> {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.backend.pid);
        self.registry.ended.notify_waiters();
    }
}
