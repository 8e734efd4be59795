//! Ending a query from outside: a client's CancelRequest, a timeout, the server's shutdown.

use std::sync::atomic::{AtomicU8, Ordering};

use spg_types::{Error, Result, SqlState};

/// Why a query is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CancelReason {
    /// The client asked for it.
    UserRequest = 1,
    /// `statement_timeout` or SPG_QUERY_TIMEOUT_MS has passed.
    Timeout = 2,
    /// The server shuts down.
    Shutdown = 3,
}

/// Tells a running query to end; it looks once per morsel and per batch.
#[derive(Debug, Default)]
pub struct CancelToken(AtomicU8);

impl CancelToken {
    /// A token that nobody has used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the query; the first reason stands.
    pub fn cancel(&self, reason: CancelReason) {
        let _ = self.0.compare_exchange(0, reason as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether the query is to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Makes the token new, for the session's next statement.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// 57014 or 57P01 once somebody has cancelled.
    pub fn check(&self) -> Result<()> {
        let (state, message) = match self.0.load(Ordering::Relaxed) {
            0 => return Ok(()),
            2 => (SqlState::QUERY_CANCELED, "canceling statement due to statement timeout"),
            3 => (SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command"),
            _ => (SqlState::QUERY_CANCELED, "canceling statement due to user request"),
        };
        Err(Error::new(state, message))
    }
}
