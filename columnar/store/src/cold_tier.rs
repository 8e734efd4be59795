//! The segments of a database: their folder, their cache, the ones that are open.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use spg_segment::{ChunkCache, SegmentReader, WriteOptions};
use spg_types::{Error, Result, SqlState};
use spg_vfs::Vfs;

use crate::LockWait;
use crate::cold::{Segment, segment_id, segment_path};

/// How much is kept in memory.
#[derive(Clone, Debug)]
pub struct TierOptions {
    /// Bytes of hot rows, of all tables together; past it, the oldest ones are frozen.
    pub hot_bytes: usize,
    /// Bytes of decoded cold columns.
    pub cache_bytes: usize,
    /// zstd level of segments.
    pub zstd_level: i32,
    /// A table with more segments than this, full ones not counted, has some of them merged. At least 2.
    pub compact_segments: usize,
}

impl Default for TierOptions {
    fn default() -> Self {
        Self {
            hot_bytes: 4 << 30,
            cache_bytes: 1 << 30,
            zstd_level: WriteOptions::default().zstd_level,
            compact_segments: 64,
        }
    }
}

/// Tells the threads in the background to end.
#[derive(Default)]
pub(crate) struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
    /// Set with `asked`: ends what is under way.
    cancelled: Arc<AtomicBool>,
    /// Held for reading by who works on the store.
    busy: RwLock<()>,
}

impl Stop {
    pub(crate) fn ask(&self) {
        *self.asked.lock() = true;
        self.cancelled.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Waits until nobody works on the store any more; [`Stop::ask`] was called before.
    pub(crate) fn settle(&self) {
        drop(self.busy.write());
    }

    /// To be held while working on the store; `None` when the end is asked for.
    pub(crate) fn busy(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let busy = self.busy.read();
        (!*self.asked.lock()).then_some(busy)
    }

    /// How the background waits for the writer: until the end is asked for.
    pub(crate) fn wait(&self) -> LockWait {
        LockWait { timeout: None, cancelled: Some(self.cancelled.clone()) }
    }

    /// Whether the end is asked for now or within a while.
    pub(crate) fn within(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut asked = self.asked.lock();
        while !*asked && !self.changed.wait_until(&mut asked, until).timed_out() {}
        *asked
    }
}

/// How long who waits goes without looking whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(20);

/// Takes a lock that is held for as long as a segment is written. 55P03, 57014.
pub(crate) fn acquire<'a>(lock: &'a Mutex<()>, wait: &LockWait) -> Result<MutexGuard<'a, ()>> {
    let deadline = wait.timeout.map(|timeout| Instant::now() + timeout);
    loop {
        if let Some(guard) = lock.try_lock_for(CANCEL_CHECK) {
            return Ok(guard);
        }
        if wait.cancelled.as_ref().is_some_and(|c| c.load(Ordering::Relaxed)) {
            let message = "canceling statement due to user request";
            return Err(Error::new(SqlState::QUERY_CANCELED, message));
        }
        if deadline.is_some_and(|d| d <= Instant::now()) {
            let message = "canceling statement due to lock timeout";
            return Err(Error::new(SqlState::LOCK_NOT_AVAILABLE, message));
        }
    }
}

/// The cold tier of an open database.
pub(crate) struct ColdTier {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) folder: PathBuf,
    pub(crate) options: WriteOptions,
    pub(crate) hot_bytes: usize,
    cache: Arc<ChunkCache>,
    open: Mutex<HashMap<u64, Weak<Segment>>>,
    /// What the log refers to, with its bytes: these files stay whether a snapshot has them or not.
    logged: Mutex<HashMap<u64, u64>>,
    next_id: AtomicU64,
    /// Held by whoever freezes rows: there is one at a time.
    pub(crate) writing: Mutex<()>,
    /// Held by whoever merges segments: there is one at a time. The freezer goes on meanwhile, as no row is in both tiers.
    pub(crate) compacting: Mutex<()>,
    pub(crate) compact_segments: usize,
    pub(crate) stop: Arc<Stop>,
}

impl ColdTier {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, folder: PathBuf, options: &TierOptions) -> Self {
        Self {
            vfs,
            folder,
            options: WriteOptions { zstd_level: options.zstd_level, ..WriteOptions::default() },
            hot_bytes: options.hot_bytes,
            cache: Arc::new(ChunkCache::new(options.cache_bytes)),
            open: Mutex::default(),
            logged: Mutex::default(),
            next_id: AtomicU64::new(1),
            writing: Mutex::default(),
            compacting: Mutex::default(),
            compact_segments: options.compact_segments.max(2),
            stop: Arc::default(),
        }
    }

    /// Opens a segment, or finds it open. XX001 when it is not the one whose hash is given, 58030.
    pub(crate) fn open(&self, id: u64, root: &[u8; 32]) -> Result<Arc<Segment>> {
        let found = self.open.lock().get(&id).and_then(Weak::upgrade);
        let segment = match found.filter(|s| s.root == *root) {
            Some(segment) => segment,
            None => {
                let segment = Segment::open(&*self.vfs, &self.folder, id, Some(root), &self.cache)?;
                self.next_id.fetch_max(id + 1, Ordering::Relaxed);
                self.open.lock().insert(id, Arc::downgrade(&segment));
                segment
            }
        };
        // Last: a checkpoint that is being made takes for unused what is logged and not open.
        self.logged.lock().insert(id, segment.reader.info().file_len);
        Ok(segment)
    }

    /// Whether the segment's file is there, and not another of that name. XX001 when it is damaged, 58000, 58030.
    pub(crate) fn has(&self, id: u64, root: &[u8; 32]) -> Result<bool> {
        let file = self.vfs.open(&segment_path(&self.folder, id))?;
        file.map_or(Ok(false), |file| Ok(SegmentReader::open(file)?.info().root() == *root))
    }

    /// An id that no segment has had.
    pub(crate) fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// At a start: removes files that came to nothing, and never gives their ids again.
    pub(crate) fn remove_strays(&self) -> Result<()> {
        for name in self.vfs.list(&self.folder)? {
            let id = segment_id(&name);
            self.next_id.fetch_max(id.map_or(0, |id| id + 1), Ordering::Relaxed);
            if id.is_none_or(|id| !self.in_use(id) && !self.logged.lock().contains_key(&id)) {
                self.vfs.remove(&self.folder.join(&name))?;
            }
        }
        Ok(())
    }

    /// Segments that the log refers to and no snapshot has any more. Once a checkpoint that does not have them is made, their
    /// files can go: what took them out was durable before they came to be unused.
    pub(crate) fn unused(&self) -> Vec<u64> {
        let logged: Vec<u64> = self.logged.lock().keys().copied().collect();
        logged.into_iter().filter(|id| !self.in_use(*id)).collect()
    }

    /// Bytes of the files that the next checkpoint lets go.
    pub(crate) fn unused_bytes(&self) -> u64 {
        let logged: Vec<(u64, u64)> = self.logged.lock().iter().map(|(id, bytes)| (*id, *bytes)).collect();
        logged.into_iter().filter(|(id, _)| !self.in_use(*id)).map(|(_, bytes)| bytes).sum()
    }

    /// Whether a snapshot has the segment.
    pub(crate) fn in_use(&self, id: u64) -> bool {
        self.open.lock().get(&id).is_some_and(|s| s.strong_count() > 0)
    }

    /// Removes a segment's file; one that stays is removed at a later start.
    pub(crate) fn remove(&self, id: u64) {
        self.open.lock().remove(&id);
        self.logged.lock().remove(&id);
        if let Err(error) = self.vfs.remove(&segment_path(&self.folder, id)) {
            tracing::warn!("{error}");
        }
    }
}
