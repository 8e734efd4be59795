//! A commit on its way to the disk.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use spg_types::{Error, Result};

type Callback = Box<dyn FnOnce(Result<()>) + Send>;

/// A commit that is logged but perhaps not durable yet. Nobody may be told of it before it is.
#[must_use = "a commit is acknowledged only when it is durable"]
pub struct PendingCommit(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    done: Condvar,
}

enum State {
    Waiting,
    Callback(Callback),
    Done(Result<()>),
    Taken,
}

/// Tells a [`PendingCommit`] how it ended.
pub(crate) struct Completer(Arc<Shared>);

impl PendingCommit {
    pub(crate) fn new() -> (Self, Completer) {
        let shared = Arc::new(Shared { state: Mutex::new(State::Waiting), done: Condvar::new() });
        (Self(shared.clone()), Completer(shared))
    }

    pub(crate) fn ready() -> Self {
        Self(Arc::new(Shared { state: Mutex::new(State::Done(Ok(()))), done: Condvar::new() }))
    }

    /// Blocks until the commit is durable and published. 53100 or 58030 when it failed and is rolled back.
    pub fn wait(self) -> Result<()> {
        let mut state = self.0.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Waiting) {
                State::Done(result) => return result,
                State::Waiting => self.0.done.wait(&mut state),
                State::Callback(_) | State::Taken => return Err(Error::internal("a commit has two waiters")),
            }
        }
    }

    /// Whether it has ended: `wait` would not block.
    pub fn is_done(&self) -> bool {
        matches!(*self.0.state.lock(), State::Done(_))
    }

    /// Calls `f` once it is known how the commit ended: at once, or from the log thread, which it must not hold up.
    pub fn on_durable(self, f: Box<dyn FnOnce(Result<()>) + Send>) {
        let mut state = self.0.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(result) => {
                drop(state);
                f(result);
            }
            _ => *state = State::Callback(f),
        }
    }
}

impl Completer {
    pub(crate) fn complete(self, result: Result<()>) {
        let mut state = self.0.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Callback(f) => {
                drop(state);
                f(result);
            }
            _ => {
                *state = State::Done(result);
                drop(state);
                self.0.done.notify_one();
            }
        }
    }
}
