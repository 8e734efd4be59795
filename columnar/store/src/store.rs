//! The store: an open database, its two pointers, its one writer.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ahash::RandomState;
use arc_swap::ArcSwap;
use spg_types::{Error, Result, SqlState};
use spg_vfs::{LockGuard, Vfs, parent_dir, with_suffix};
use spg_wal::{Log, Ops, Recovery};

use crate::apply::Numbers;
use crate::identity::Identity;
use crate::lock::{LockWait, WriteGuard, WriteLock};
use crate::pending::PendingCommit;
use crate::recover;
use crate::snapshot::DbSnapshot;
use crate::txn::WriteTxn;

/// What a store is opened with.
pub struct StoreOptions {
    /// The file system.
    pub vfs: Arc<dyn Vfs>,
    /// The database file, `spg.db`; other files lie in a folder beside it, `spg.db.spg`.
    pub db_path: PathBuf,
    /// The log.
    pub wal_path: PathBuf,
    /// Whether a commit is acknowledged only when it is durable. Without, a crash may lose the latest commits.
    pub synchronous_commit: bool,
    /// Microseconds since 1970-01-01 UTC.
    pub clock: fn() -> i64,
}

/// An open database.
pub struct Store {
    /// What the next writer builds on: logged, perhaps not synced yet.
    head: Arc<ArcSwap<DbSnapshot>>,
    /// What readers see: synced.
    published: Arc<ArcSwap<DbSnapshot>>,
    lock: Arc<WriteLock>,
    log: OnceLock<Log>,
    numbers: Numbers,
    transactions: AtomicU64,
    synchronous_commit: bool,
    clock: fn() -> i64,
    /// Held for as long as the store is open.
    _file_lock: Option<Box<dyn LockGuard>>,
}

impl Store {
    /// Opens the database, creating it where there is none, and brings it to its last acknowledged state. 55006 naming the
    /// holder's process id when another process has it open; 58000 when a file is of another kind or version; XX001 when one
    /// is damaged; 58030.
    pub fn open(options: StoreOptions) -> Result<Arc<Store>> {
        let StoreOptions { vfs, db_path, wal_path, synchronous_commit, clock } = options;
        let folder = with_suffix(&db_path, ".spg");
        vfs.create_dir_all(&folder)?;
        let file_lock = vfs.lock(&folder.join("lock"))?;
        let mut recovery = open_log(&vfs, &db_path, &wal_path, clock)?;
        let numbers = Numbers::default();
        let snapshot = recover::replay(&mut recovery, &wal_path, &numbers)?;
        if let Some(torn) = recovery.cut_tail()? {
            let kept =
                torn.kept_in.as_ref().map_or_else(String::new, |p| format!("; kept in \"{}\"", p.display()));
            tracing::warn!(
                "the log \"{}\" ended in an incomplete record at offset {}: cut off {} bytes that were never acknowledged{kept}",
                torn.log.display(),
                torn.offset,
                torn.bytes,
            );
        }
        let store = Self::new(snapshot, numbers, synchronous_commit, clock, Some(file_lock));
        let (head, published) = (store.head.clone(), store.published.clone());
        let log = Log::start(recovery, Box::new(move || head.store(published.load_full())))?;
        if store.log.set(log).is_err() {
            return Err(Error::internal("the store has two logs"));
        }
        Ok(store)
    }

    /// An empty database in memory, without a log.
    pub fn in_memory() -> Result<Arc<Store>> {
        Ok(Self::new(DbSnapshot::empty(), Numbers::default(), false, || 0, None))
    }

    /// What a log leads to. The log is neither changed nor needs its database file. 58P01 when there is none.
    pub fn replay(vfs: Arc<dyn Vfs>, wal_path: &Path) -> Result<Arc<DbSnapshot>> {
        recover::replay_only(vfs, wal_path).map(Arc::new)
    }

    fn new(
        snapshot: DbSnapshot,
        numbers: Numbers,
        synchronous_commit: bool,
        clock: fn() -> i64,
        file_lock: Option<Box<dyn LockGuard>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            head: Arc::new(ArcSwap::from_pointee(snapshot.clone())),
            published: Arc::new(ArcSwap::from_pointee(snapshot)),
            lock: Arc::default(),
            log: OnceLock::new(),
            numbers,
            transactions: AtomicU64::new(clock() as u64),
            synchronous_commit,
            clock,
            _file_lock: file_lock,
        })
    }

    /// What readers see: the last durable state. One pointer is cloned; nobody is waited for.
    pub fn published(&self) -> Arc<DbSnapshot> {
        self.published.load_full()
    }

    /// Begins to write on top of the newest state, waiting for the writer before. 55P03, 57014; the log's error when it has
    /// failed and the database is read-only.
    pub fn begin(self: &Arc<Self>, wait: &LockWait) -> Result<WriteTxn> {
        self.read_only()?;
        let guard = self.lock.acquire(wait)?;
        self.begin_with(guard)
    }

    /// As [`Store::begin`] if no other transaction writes, `None` otherwise: never waits.
    pub fn try_begin(self: &Arc<Self>) -> Result<Option<WriteTxn>> {
        self.read_only()?;
        self.lock.try_acquire().map(|guard| self.begin_with(guard)).transpose()
    }

    /// As [`Store::begin`], for a transaction that reads an older snapshot: it goes on reading that one, with its own changes,
    /// while it writes on top of the newest state. What it changes must not have been changed since: 40001.
    pub fn begin_on(self: &Arc<Self>, snapshot: &Arc<DbSnapshot>, wait: &LockWait) -> Result<WriteTxn> {
        self.read_only()?;
        let guard = self.lock.acquire(wait)?;
        let generation = self.log().map(Log::generation).transpose()?;
        let head = self.head.load_full();
        let view = (head.commit_no() != snapshot.commit_no()).then(|| snapshot.clone());
        Ok(WriteTxn::new(self.clone(), head, view, generation, guard))
    }

    fn begin_with(self: &Arc<Self>, guard: WriteGuard) -> Result<WriteTxn> {
        // Before the head is read: a failure in between is noticed at commit.
        let generation = self.log().map(Log::generation).transpose()?;
        Ok(WriteTxn::new(self.clone(), self.head.load_full(), None, generation, guard))
    }

    fn read_only(&self) -> Result<()> {
        self.log().map_or(Ok(()), |log| log.generation().map(|_| ()))
    }

    /// Writes and syncs what has queued. Nothing can be committed afterwards; reads go on.
    pub fn close(&self) -> Result<()> {
        self.log().map_or(Ok(()), Log::close)
    }

    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.get()
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(crate) fn next_transaction(&self) -> u64 {
        self.transactions.fetch_add(1, Ordering::Relaxed)
    }

    /// Under the write lock, without a log.
    pub(crate) fn publish_unlogged(&self, draft: Arc<DbSnapshot>) {
        self.head.store(draft.clone());
        self.published.store(draft);
    }

    /// Under the write lock: queues the commit and lets the next writer build on it.
    pub(crate) fn log_commit(
        &self,
        generation: u64,
        transaction: u64,
        streamed: u64,
        ops: Ops,
        draft: Arc<DbSnapshot>,
    ) -> Result<PendingCommit> {
        let Some(log) = self.log() else { return Err(Error::internal("there is no log")) };
        let time_us = (self.clock)();
        let commit_no = draft.commit_no;
        if !self.synchronous_commit {
            let queued = || self.publish_unlogged(draft);
            log.commit(generation, transaction, commit_no, time_us, streamed, ops, None, queued)?;
            return Ok(PendingCommit::ready());
        }
        let (pending, completer) = PendingCommit::new();
        let published = self.published.clone();
        let snapshot = draft.clone();
        let completion = Box::new(move |result: Result<()>| {
            if result.is_ok() {
                published.store(snapshot);
            }
            completer.complete(result);
        });
        let queued = || self.head.store(draft);
        log.commit(generation, transaction, commit_no, time_us, streamed, ops, Some(completion), queued)?;
        Ok(pending)
    }

    /// A transaction that changed nothing still may have seen commits that are not durable yet.
    pub(crate) fn wait_for_base(&self, base: &DbSnapshot, generation: Option<u64>) -> Result<PendingCommit> {
        let (Some(log), Some(generation)) = (self.log(), generation) else {
            return Ok(PendingCommit::ready());
        };
        if base.commit_no <= self.published.load().commit_no {
            return Ok(PendingCommit::ready());
        }
        let (pending, completer) = PendingCommit::new();
        log.barrier(generation, Box::new(move |result| completer.complete(result)))?;
        Ok(pending)
    }
}

/// Opens the log that belongs to the database; on the first start, creates both.
fn open_log(vfs: &Arc<dyn Vfs>, db_path: &Path, wal_path: &Path, clock: fn() -> i64) -> Result<Recovery> {
    let identity = Identity::read(&**vfs, db_path)?;
    match (Recovery::open(vfs.clone(), wal_path)?, identity) {
        (Some(log), Some(identity)) if log.database_id() == identity.database_id => Ok(log),
        (Some(_), Some(_)) => Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "log file \"{}\" belongs to another database than \"{}\"",
                wal_path.display(),
                db_path.display()
            ),
        )
        .with_hint("Give the log's path that belongs to this database.")),
        (None, Some(_)) => Err(Error::new(
            SqlState::UNDEFINED_FILE,
            format!(
                "log file \"{}\" of database \"{}\" does not exist",
                wal_path.display(),
                db_path.display()
            ),
        )
        .with_hint("The log holds the data: bring it back, or give its path.")),
        (Some(log), None) => {
            let identity = Identity { database_id: log.database_id(), created_us: clock() };
            identity.write(&**vfs, db_path)?;
            Ok(log)
        }
        (None, None) => {
            vfs.create_dir_all(&parent_dir(wal_path))?;
            // Random seeds of the hasher; the clock makes the halves differ.
            let half = |salt: i64| RandomState::new().hash_one((clock(), salt)).to_le_bytes();
            let mut database_id = [0; 16];
            database_id[..8].copy_from_slice(&half(1));
            database_id[8..].copy_from_slice(&half(2));
            // The log first: a log without a database file is taken over, the other way round it would be missed.
            let log = Recovery::create(vfs.clone(), wal_path, database_id, 1)?;
            Identity { database_id, created_us: clock() }.write(&**vfs, db_path)?;
            Ok(log)
        }
    }
}
