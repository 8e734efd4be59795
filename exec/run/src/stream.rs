//! Results on their way to the consumer: a bounded queue between the workers and whoever reads.
//!
//! A full queue parks the drivers that fill it, without holding a worker; the reader hands them back when there is room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};
use spg_expr::Column;
use spg_types::{Error, Result, SqlState};

use crate::driver::Driver;
use crate::query::Query;
use crate::run::NodeProfile;
use crate::scheduler::Pool;

/// Rows of a result, column by column.
#[derive(Clone, Debug)]
pub struct ResultBatch {
    /// One per output column, `rows` rows each or constant; flat or dictionary-encoded.
    pub columns: Vec<Column>,
    /// Rows.
    pub rows: usize,
}

impl ResultBatch {
    /// `len` rows from `offset`, sharing the memory.
    #[must_use]
    pub fn slice(&self, offset: usize, len: usize) -> ResultBatch {
        ResultBatch { columns: self.columns.iter().map(|c| c.slice(offset, len)).collect(), rows: len }
    }
}

#[allow(clippy::vec_box, reason = "drivers pass from hand to hand by pointer")]
struct State {
    batches: VecDeque<ResultBatch>,
    parked: Vec<Box<Driver>>,
    /// `Some(None)` is a good end.
    end: Option<Option<Error>>,
}

/// Where a run's results and its end go.
pub(crate) struct Outcome {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
    abandoned: AtomicBool,
}

impl Outcome {
    /// Room for `capacity` batches; more are taken, but drivers are asked to wait.
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { batches: VecDeque::new(), parked: Vec::new(), end: None }),
            changed: Condvar::new(),
            capacity,
            abandoned: AtomicBool::new(false),
        })
    }

    /// Adds a batch.
    pub(crate) fn push(&self, batch: ResultBatch) {
        self.state.lock().batches.push_back(batch);
        self.changed.notify_one();
    }

    /// Whether drivers should wait.
    pub(crate) fn is_full(&self) -> bool {
        self.state.lock().batches.len() >= self.capacity
    }

    /// Keeps a driver until there is room; gives it back when there is already.
    pub(crate) fn park(&self, driver: Box<Driver>) -> Option<Box<Driver>> {
        let mut state = self.state.lock();
        if state.batches.len() < self.capacity {
            return Some(driver);
        }
        state.parked.push(driver);
        None
    }

    /// The query is over.
    pub(crate) fn close(&self, error: Option<Error>) {
        let mut state = self.state.lock();
        state.end.get_or_insert(error);
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        drop(parked);
        self.changed.notify_all();
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// All batches of a query that has ended.
    pub(crate) fn drain(&self) -> Result<VecDeque<ResultBatch>> {
        let mut state = self.state.lock();
        match &state.end {
            Some(None) => Ok(std::mem::take(&mut state.batches)),
            Some(Some(error)) => Err(error.clone()),
            None => Err(Error::internal("a query stopped before its end")),
        }
    }
}

enum From {
    /// Computed already, on the caller's thread.
    Ready(VecDeque<ResultBatch>),
    /// Being computed.
    Workers { pool: Arc<Pool> },
}

/// A query's result, batch by batch. Dropping it ends the query.
pub struct ResultStream {
    query: Arc<Query>,
    from: From,
}

impl ResultStream {
    /// Starts a query on the workers.
    pub(crate) fn start(query: Arc<Query>, pool: Arc<Pool>) -> Self {
        pool.enqueue(&query);
        Self { query, from: From::Workers { pool } }
    }

    /// Runs a query here and now.
    pub(crate) fn run_here(query: Arc<Query>) -> Result<Self> {
        query.run_here();
        let batches = query.run.outcome.drain()?;
        Ok(Self { query, from: From::Ready(batches) })
    }

    /// Whether `next` answers without waiting: the result was computed on the caller's thread.
    pub fn is_ready(&self) -> bool {
        matches!(self.from, From::Ready(_))
    }

    /// The next batch, never empty; `None` after the last. Waits; 57014 when cancelled meanwhile.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<ResultBatch>> {
        let pool = match &mut self.from {
            From::Ready(batches) => return Ok(batches.pop_front()),
            From::Workers { pool } => pool,
        };
        let outcome = &self.query.run.outcome;
        let mut state = outcome.state.lock();
        loop {
            self.query.run.cancel.check()?;
            if let Some(Some(error)) = &state.end {
                return Err(error.clone());
            }
            if let Some(batch) = state.batches.pop_front() {
                if !state.parked.is_empty() && state.batches.len() * 2 <= outcome.capacity {
                    let parked = std::mem::take(&mut state.parked);
                    drop(state);
                    self.query.resume(parked);
                    pool.enqueue(&self.query);
                }
                return Ok(Some(batch));
            }
            if state.end.is_some() {
                return Ok(None);
            }
            outcome.changed.wait(&mut state);
        }
    }

    /// What each plan node did, when the query was started for EXPLAIN ANALYZE.
    pub(crate) fn profiles(&self) -> Option<&[NodeProfile]> {
        self.query.run.profiles()
    }
}

impl Drop for ResultStream {
    fn drop(&mut self) {
        if let From::Workers { .. } = self.from {
            self.query.run.outcome.abandoned.store(true, Ordering::Relaxed);
            let message = "canceling statement due to user request";
            self.query.abort(Error::new(SqlState::QUERY_CANCELED, message));
        }
    }
}
