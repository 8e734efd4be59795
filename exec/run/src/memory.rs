//! Memory accounting: what queries hold in hash tables, sorts and materialized rows, against a limit.
//!
//! Operators reserve before they keep rows. A reservation past the query's limit, or past what all queries share, fails that
//! query with 53200; nothing else is touched.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spg_types::{Error, Result, SqlState};

/// What all queries together may hold.
#[derive(Debug)]
pub struct MemoryPool {
    limit: usize,
    used: AtomicUsize,
}

impl MemoryPool {
    /// A pool of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes at most.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// What one query may hold, within its pool.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    pool: Option<Arc<MemoryPool>>,
}

impl MemoryBudget {
    /// A budget of `limit` bytes of its own.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), peak: AtomicUsize::new(0), pool: None })
    }

    /// A budget of at most `limit` bytes taken from a pool.
    pub fn in_pool(pool: &Arc<MemoryPool>, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.min(pool.limit),
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            pool: Some(pool.clone()),
        })
    }

    /// Without a limit: for tests and for statements of the server itself.
    pub fn unlimited() -> Arc<Self> {
        Self::new(usize::MAX)
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Most bytes held at once.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<()> {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if used > self.limit {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(out_of_memory(bytes, self.limit));
        }
        if let Some(pool) = &self.pool
            && pool.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > pool.limit
        {
            pool.used.fetch_sub(bytes, Ordering::Relaxed);
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(out_of_memory(bytes, pool.limit));
        }
        self.peak.fetch_max(used, Ordering::Relaxed);
        Ok(())
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(pool) = &self.pool {
            pool.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

fn out_of_memory(bytes: usize, limit: usize) -> Error {
    Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
        .with_detail(format!("Failed on request of size {bytes} within a memory budget of {limit} bytes."))
}

/// Bytes that one holder has taken from a budget; given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Reservation {
    /// Nothing yet.
    pub(crate) fn new(budget: &Arc<MemoryBudget>) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Takes more; 53200 when there is no more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<()> {
        self.budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes or gives back so that `bytes` are held.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<()> {
        if bytes > self.bytes {
            self.grow(bytes - self.bytes)
        } else {
            self.budget.give(self.bytes - bytes);
            self.bytes = bytes;
            Ok(())
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_end_with_their_holder() {
        let pool = MemoryPool::new(100);
        let budget = MemoryBudget::in_pool(&pool, 80);
        let mut a = Reservation::new(&budget);
        a.grow(50).unwrap();
        let mut b = Reservation::new(&budget);
        assert_eq!(b.grow(40).unwrap_err().state(), SqlState::OUT_OF_MEMORY);
        b.grow(30).unwrap();
        drop(a);
        assert_eq!((budget.used(), pool.used(), budget.peak()), (30, 30, 80));
        b.set(10).unwrap();
        assert_eq!(budget.used(), 10);
    }

    #[test]
    fn queries_share_the_pool() {
        let pool = MemoryPool::new(100);
        let (x, y) = (MemoryBudget::in_pool(&pool, 80), MemoryBudget::in_pool(&pool, 80));
        let (mut a, mut b) = (Reservation::new(&x), Reservation::new(&y));
        a.grow(70).unwrap();
        assert!(b.grow(40).is_err());
        b.grow(30).unwrap();
        assert_eq!(pool.used(), 100);
    }
}
