//! Decoded columns in memory, within a budget that all segments share.
//!
//! Second chance: what has not been used since the hand last passed goes first. Whoever wants a column that another thread is
//! decoding waits for it instead of decoding it again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ahash::AHashMap;
use arrow::array::{Array, ArrayRef};
use parking_lot::Mutex;
use spg_types::Result;

/// What is cached: some rows of a column of a row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkKey {
    /// [`crate::SegmentReader::uid`]
    pub segment: u64,
    /// Position of the row group in its segment.
    pub group: u32,
    /// Position of the column.
    pub column: u32,
    /// Which rows.
    pub rows: Rows,
}

/// Rows that are decoded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rows {
    /// Those of a block, by its position: scans read block by block.
    Block(u32),
    /// Those of a page, by its position: point reads decode one.
    Page(u32),
}

#[derive(Default)]
struct Slot {
    array: Mutex<Option<ArrayRef>>,
    bytes: AtomicUsize,
    used: AtomicBool,
}

#[derive(Default)]
struct Inner {
    slots: AHashMap<ChunkKey, Arc<Slot>>,
    hand: VecDeque<ChunkKey>,
    bytes: usize,
}

/// A bounded cache of decoded columns.
pub struct ChunkCache {
    capacity: usize,
    inner: Mutex<Inner>,
}

impl ChunkCache {
    /// A cache that keeps at most `capacity` bytes; with 0 it keeps nothing.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::default() }
    }

    /// Bytes that it may keep.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that it keeps.
    pub fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// The array if it is there.
    pub fn peek(&self, key: ChunkKey) -> Option<ArrayRef> {
        let slot = self.inner.lock().slots.get(&key)?.clone();
        let array = slot.array.try_lock()?.clone()?;
        slot.used.store(true, Ordering::Relaxed);
        Some(array)
    }

    /// The array, loaded if it is not there; errors are `load`'s.
    pub fn get(&self, key: ChunkKey, load: impl FnOnce() -> Result<ArrayRef>) -> Result<ArrayRef> {
        let slot = self.inner.lock().slots.entry(key).or_default().clone();
        let mut place = slot.array.lock();
        if let Some(array) = &*place {
            slot.used.store(true, Ordering::Relaxed);
            return Ok(array.clone());
        }
        match load() {
            Ok(array) => {
                *place = Some(array.clone());
                drop(place);
                self.keep(key, &slot, array.get_array_memory_size());
                Ok(array)
            }
            Err(e) => {
                let mut inner = self.inner.lock();
                if inner.slots.get(&key).is_some_and(|s| Arc::ptr_eq(s, &slot)) {
                    inner.slots.remove(&key);
                }
                Err(e)
            }
        }
    }

    fn keep(&self, key: ChunkKey, slot: &Arc<Slot>, bytes: usize) {
        let mut inner = self.inner.lock();
        // A slot that has been dropped meanwhile, or that failed for another thread, is nobody's any more.
        if !inner.slots.get(&key).is_some_and(|s| Arc::ptr_eq(s, slot)) {
            return;
        }
        slot.bytes.store(bytes, Ordering::Relaxed);
        inner.bytes += bytes;
        inner.hand.push_back(key);
        while inner.bytes > self.capacity {
            let Some(key) = inner.hand.pop_front() else { return };
            let Some(slot) = inner.slots.get(&key) else { continue };
            if slot.used.swap(false, Ordering::Relaxed) {
                inner.hand.push_back(key);
            } else if let Some(slot) = inner.slots.remove(&key) {
                inner.bytes -= slot.bytes.load(Ordering::Relaxed);
            }
        }
    }

    /// Forgets what belongs to a segment that is gone.
    pub fn forget(&self, segment: u64) {
        let mut inner = self.inner.lock();
        let Inner { slots, hand, bytes } = &mut *inner;
        hand.retain(|key| key.segment != segment);
        slots.retain(|key, slot| {
            let keep = key.segment != segment;
            if !keep {
                *bytes -= slot.bytes.load(Ordering::Relaxed);
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use spg_types::Error;

    use super::*;

    fn key(column: u32) -> ChunkKey {
        ChunkKey { segment: 1, group: 0, column, rows: Rows::Block(0) }
    }

    fn array(n: i64) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(0..n))
    }

    #[test]
    fn stays_within_its_budget_and_keeps_what_is_used() {
        let one = array(1000).get_array_memory_size();
        let cache = ChunkCache::new(one * 3);
        for column in 0..20 {
            cache.get(key(column), || Ok(array(1000))).unwrap();
            assert!(cache.peek(key(0)).is_some(), "the used one goes last");
            assert!(cache.bytes() <= one * 3);
        }
        cache.forget(1);
        assert_eq!(cache.bytes(), 0);

        let none = ChunkCache::new(0);
        assert_eq!(none.get(key(1), || Ok(array(5))).unwrap().len(), 5);
        assert!(none.peek(key(1)).is_none());
        assert_eq!(none.bytes(), 0);
    }

    #[test]
    fn a_failure_is_not_kept() {
        let cache = ChunkCache::new(1 << 20);
        assert!(cache.get(key(1), || Err(Error::internal("no"))).is_err());
        assert_eq!(cache.get(key(1), || Ok(array(2))).unwrap().len(), 2);
        assert_eq!(cache.get(key(1), || Err(Error::internal("no"))).unwrap().len(), 2);
    }
}
