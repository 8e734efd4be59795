//! The store: an open database, its two pointers, the way in for writers.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ahash::RandomState;
use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use spg_types::{Error, Result, SqlState};
use spg_vfs::{LockGuard, Vfs, parent_dir, replace_file};
use spg_wal::{Log, Ops, Recovery, TeeOptions};

use crate::apply::Numbers;
use crate::backup::{self, Backup};
use crate::checkpoint::{Checkpoints, State, settle};
use crate::cold_tier::{ColdTier, TierOptions};
use crate::db_file::{self, CatalogImage, CheckpointRef, DATABASE, DbFile, Identity};
use crate::files::Files;
use crate::load::{Loaded, load};
use crate::lock::{LockWait, Permit, Turn, WriteLock, WriteMode};
use crate::parallel;
use crate::pending::PendingCommit;
use crate::recover::{self, MissingSegment, Replayed};
use crate::snapshot::DbSnapshot;
use crate::txn::WriteTxn;

/// What a store is opened with.
#[derive(Clone)]
pub struct StoreOptions {
    /// The file system.
    pub vfs: Arc<dyn Vfs>,
    /// The database file, `spg.db`; other files lie in a folder beside it, `spg.db.spg`.
    pub db_path: PathBuf,
    /// The log.
    pub wal_path: PathBuf,
    /// A second copy of the log, which follows it.
    pub wal_tee: Option<PathBuf>,
    /// Whether a commit is acknowledged only when it is durable. Without, a crash may lose the latest commits.
    pub synchronous_commit: bool,
    /// A log of this many bytes leads to a checkpoint.
    pub checkpoint_wal_bytes: u64,
    /// How much is kept in memory.
    pub tier: TierOptions,
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
    /// Held while a commit is laid on the head and queued for the log.
    committing: Mutex<()>,
    log: OnceLock<Log>,
    checkpoints: OnceLock<Checkpoints>,
    cold: OnceLock<ColdTier>,
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
        let StoreOptions {
            vfs,
            db_path,
            wal_path,
            wal_tee,
            synchronous_commit,
            checkpoint_wal_bytes,
            tier,
            clock,
        } = options;
        let files = Files::new(vfs, &db_path);
        files.create_folders()?;
        let file_lock = files.vfs.lock(&files.folder.join("lock"))?;
        let Opened { identity, base, mut log, restored } = open_files(&files, &wal_path, clock)?;
        let numbers = Numbers::default();
        let cold = ColdTier::new(files.vfs.clone(), files.segments.clone(), &tier);
        let Loaded { snapshot, manifest, manifest_waits: waits } = match &base {
            Some((checkpoint, image)) => load(&files, checkpoint, image, &numbers, &cold)?,
            None => Loaded::default(),
        };
        // Segments come and go after a backup.
        let missing = if restored { MissingSegment::Skip } else { MissingSegment::Damage };
        let snapshot = recover::replay(snapshot, &mut log, &wal_path, &numbers, &cold, missing)?;
        report_torn(&mut log)?;
        let last = base.as_ref().map(|(checkpoint, _)| CheckpointRef { log_needed: true, ..*checkpoint });
        let ahead = last.is_some_and(|last| snapshot.commit_no() > last.commit_no);
        if let (Some(last), Some((_, image))) = (&last, base.as_ref().filter(|(c, _)| !c.log_needed))
            && !(restored && ahead)
        {
            // From the first commit on it is.
            backup::plain(&files, &identity, last, image)?;
        }
        let checkpoints = Checkpoints::new(files, identity, checkpoint_wal_bytes, last, manifest, waits);
        checkpoints.remove_strays()?;
        cold.remove_strays()?;
        let store = Self::new(snapshot, numbers, synchronous_commit, clock, Some(file_lock));
        let (head, published) = (store.head.clone(), store.published.clone());
        let tee = wal_tee.map(|path| TeeOptions {
            report: Box::new({
                let path = path.clone();
                move |e| tracing::error!("the log's second copy \"{}\" has ended: {e}", path.display())
            }),
            path,
        });
        let log = Log::start(log, Box::new(move || head.store(published.load_full())), tee)?;
        if let Some(last) = last {
            log.remove_through(last.commit_no)?;
        }
        Checkpoints::start(&store, &checkpoints)?;
        if store.log.set(log).is_err()
            || store.checkpoints.set(checkpoints).is_err()
            || store.cold.set(cold).is_err()
        {
            return Err(Error::internal("the store was opened twice"));
        }
        if restored && ahead {
            // The backup goes only now: until then, the next start would do all this again.
            store.checkpoint()?;
        }
        store.build_indexes()?;
        store.start_freezer()?;
        store.start_compactor()?;
        Ok(store)
    }

    /// Builds the indexes that nobody has asked for yet, in the background.
    fn build_indexes(&self) -> Result<()> {
        let snapshot = self.published();
        if snapshot.tables().all(|t| t.rows() == 0) {
            return Ok(());
        }
        let body = move || {
            let mut indexes: Vec<_> = snapshot.tables().flat_map(|t| t.indexes().iter().cloned()).collect();
            drop(snapshot);
            indexes.sort_by_key(|i| i.len());
            for index in indexes {
                // An error comes again to whoever uses the index.
                let _ = index.make_ready(1);
            }
        };
        let thread = std::thread::Builder::new().name("spg-index".into()).spawn(body);
        thread.map(|_| ()).map_err(|e| Error::internal(format!("could not start the index thread: {e}")))
    }

    /// Makes the newest durable state a checkpoint, unless it is one. Readers and writers go on. 53100 or 58030 when a file could
    /// not be written: the checkpoint before stays.
    pub fn checkpoint(&self) -> Result<()> {
        self.checkpoint_on(parallel::threads())
    }

    pub(crate) fn checkpoint_on(&self, threads: usize) -> Result<()> {
        let (Some(checkpoints), Some(log)) = (self.checkpoints.get(), self.log()) else { return Ok(()) };
        let mut state = checkpoints.state.lock();
        self.checkpoint_with(checkpoints, &mut state, log, threads).map(|_| ())
    }

    /// The snapshot that is now a checkpoint.
    fn checkpoint_with(
        &self,
        checkpoints: &Checkpoints,
        state: &mut State,
        log: &Log,
        threads: usize,
    ) -> Result<Arc<DbSnapshot>> {
        let generation = log.generation()?;
        let unused = self.cold().map_or_else(Vec::new, ColdTier::unused);
        let newest = self.published();
        if state.last.is_none_or(|last| last.commit_no != newest.commit_no) {
            log.rotate(generation)?;
        }
        let snapshot = self.published();
        settle(log, generation)?;
        checkpoints.write(state, &snapshot, &self.numbers, true, threads)?;
        log.remove_through(snapshot.commit_no)?;
        for id in unused.into_iter().filter(|id| !state.manifest.segments.contains_key(id)) {
            self.cold().into_iter().for_each(|cold| cold.remove(id));
        }
        Ok(snapshot)
    }

    /// Writes the newest durable state into one file, which can be opened as a database; the number of its last commit. Readers
    /// and writers go on. 58P02 when there is a file of that name; 53100, 58030.
    pub fn backup(&self, target: &Path) -> Result<u64> {
        let vfs = &*self.durable()?.files.vfs;
        backup::refuse_taken(vfs, target)?;
        let backup = self.start_backup()?;
        let commit_no = backup.commit_no();
        backup.write(vfs, target)?;
        Ok(commit_no)
    }

    /// As [`Store::backup`], for who takes the file piece by piece.
    pub fn start_backup(&self) -> Result<Backup> {
        let (checkpoints, Some(log)) = (self.durable()?, self.log()) else {
            return Err(Error::internal("there is no log"));
        };
        let mut state = checkpoints.state.lock();
        let snapshot = self.checkpoint_with(checkpoints, &mut state, log, parallel::threads())?;
        let (next_table_id, next_index_id) = self.numbers.next_ids();
        let image = CatalogImage::of(&snapshot, next_table_id, next_index_id);
        let Some(last) = state.last else { return Err(Error::internal("there is no checkpoint")) };
        Backup::open(checkpoints, &last, &state.manifest, &image)
    }

    fn durable(&self) -> Result<&Checkpoints> {
        self.checkpoints.get().ok_or_else(|| Error::unsupported("a database without files has no backups"))
    }

    /// An empty database in memory, without a log.
    pub fn in_memory() -> Result<Arc<Store>> {
        Ok(Self::new(DbSnapshot::empty(), Numbers::default(), false, || 0, None))
    }

    /// What a log leads to. Nothing is changed, and the database at `db_path` is needed only for what the log does not hold any
    /// more. 58P01 when there is no log.
    pub fn replay(vfs: Arc<dyn Vfs>, wal_path: &Path, db_path: &Path) -> Result<Replayed> {
        recover::replay_only(vfs, wal_path, db_path)
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
            committing: Mutex::default(),
            log: OnceLock::new(),
            checkpoints: OnceLock::new(),
            cold: OnceLock::new(),
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

    /// Begins to write alone on top of the newest state, waiting for all who write. 55P03, 57014; the log's error when it has
    /// failed and the database is read-only.
    pub fn begin(self: &Arc<Self>, wait: &LockWait) -> Result<WriteTxn> {
        self.begin_turn(self.turn(WriteMode::Exclusive)?, None, wait)
    }

    /// Begins to write beside others. Only rows are changed so, and what is in the way of others is told by
    /// [`WriteTxn::retry`]. As [`Store::begin`] otherwise.
    pub fn begin_shared(self: &Arc<Self>, wait: &LockWait) -> Result<WriteTxn> {
        self.begin_turn(self.turn(WriteMode::Shared)?, None, wait)
    }

    /// A place in the queue of those who want to write, for who cannot sleep. The log's error when it has failed.
    pub fn turn(&self, mode: WriteMode) -> Result<Turn> {
        self.read_only()?;
        Ok(self.lock.turn(mode))
    }

    /// As [`Store::begin`] or [`Store::begin_shared`] for who has a place in the queue; waits if its turn has not come. With a
    /// snapshot, the transaction goes on reading that one, with its own changes, while it writes alone on top of the newest
    /// state. What it changes must not have been changed since: 40001.
    pub fn begin_turn(
        self: &Arc<Self>,
        mut turn: Turn,
        on: Option<&Arc<DbSnapshot>>,
        wait: &LockWait,
    ) -> Result<WriteTxn> {
        turn.sleep(wait)?;
        let permit: (Permit, WriteMode) = turn.permit()?;
        // Before the head is read: a failure in between is noticed at commit.
        let generation = self.log().map(Log::generation).transpose()?;
        let head = self.head();
        let view = on.filter(|snapshot| snapshot.commit_no() != head.commit_no()).cloned();
        Ok(WriteTxn::new(self.clone(), head, view, generation, permit))
    }

    /// What the next commit builds on.
    pub(crate) fn head(&self) -> Arc<DbSnapshot> {
        self.head.load_full()
    }

    /// Commits follow one another: held from the look at the head to the new head.
    pub(crate) fn commit_lock(&self) -> MutexGuard<'_, ()> {
        self.committing.lock()
    }

    fn read_only(&self) -> Result<()> {
        self.log().map_or(Ok(()), |log| log.generation().map(|_| ()))
    }

    /// Writes and syncs what has queued, and makes it a checkpoint. Nothing can be committed afterwards; reads go on. A checkpoint
    /// that fails is reported and nothing else: the log holds everything.
    pub fn close(&self) -> Result<()> {
        if let Some(cold) = self.cold() {
            cold.stop.ask();
            cold.stop.settle();
        }
        let (Some(checkpoints), Some(log)) = (self.checkpoints.get(), self.log()) else { return Ok(()) };
        checkpoints.stop();
        let mut made = self.checkpoint();
        log.close()?;
        if made.is_ok() {
            let mut state = checkpoints.state.lock();
            let newest = self.published();
            made = checkpoints.write(&mut state, &newest, &self.numbers, false, parallel::threads());
        }
        if let Err(error) = made {
            tracing::warn!("the last checkpoint failed, the next start reads the log: {error}");
        }
        Ok(())
    }

    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.get()
    }

    pub(crate) fn checkpoints(&self) -> Option<&Checkpoints> {
        self.checkpoints.get()
    }

    pub(crate) fn synchronous_commit(&self) -> bool {
        self.synchronous_commit
    }

    pub(crate) fn cold(&self) -> Option<&ColdTier> {
        self.cold.get()
    }

    /// Where the published snapshot is found without holding the store.
    pub(crate) fn published_pointer(&self) -> Arc<ArcSwap<DbSnapshot>> {
        self.published.clone()
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(crate) fn next_transaction(&self) -> u64 {
        self.transactions.fetch_add(1, Ordering::Relaxed)
    }

    /// Under the commit lock, without a log.
    pub(crate) fn publish_unlogged(&self, draft: Arc<DbSnapshot>) {
        self.head.store(draft.clone());
        self.published.store(draft);
    }

    /// Under the commit lock: queues the commit and lets the next one build on it.
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
            self.ask_for_checkpoint(log);
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
        self.ask_for_checkpoint(log);
        Ok(pending)
    }

    fn ask_for_checkpoint(&self, log: &Log) {
        if let Some(checkpoints) = self.checkpoints.get().filter(|c| log.bytes() >= c.wal_bytes) {
            checkpoints.ask();
        }
    }

    /// Asks for a checkpoint when the files that only the log needs take as much as it may itself.
    pub(crate) fn checkpoint_for_space(&self) {
        let (Some(log), Some(cold)) = (self.log(), self.cold()) else { return };
        let unused = cold.unused_bytes();
        if let Some(checkpoints) =
            self.checkpoints.get().filter(|c| unused > 0 && log.bytes() + unused >= c.wal_bytes)
        {
            checkpoints.ask();
        }
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

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(checkpoints) = self.checkpoints.get() {
            checkpoints.stop();
        }
        if let Some(cold) = self.cold.get() {
            cold.stop.ask();
        }
    }
}

/// What a start has found.
struct Opened {
    identity: Identity,
    base: Option<(CheckpointRef, CatalogImage)>,
    log: Recovery,
    /// Whether the database file is a backup, of which everything else has been taken.
    restored: bool,
}

/// Opens the database file and the log that belongs to it; on the first start, creates both.
fn open_files(files: &Files, wal_path: &Path, clock: fn() -> i64) -> Result<Opened> {
    let vfs = &files.vfs;
    let database = DbFile::read(&**vfs, &files.database)?;
    // The process before may have died before its last checkpoint's name was durable; what that checkpoint replaced goes now.
    vfs.sync_dir(&parent_dir(&files.database))?;
    let mut restored = false;
    if let Some(backup) = &database
        && let Some(manifest) = &backup.manifest
    {
        backup::unpack(files, backup, manifest)?;
        restored = true;
    }
    let baseline = database.as_ref().and_then(|d| d.checkpoint.as_ref()).map_or(0, |(c, _)| c.commit_no);
    let log = Recovery::open_after(vfs.clone(), wal_path, baseline)?;
    match (log, database) {
        (Some(log), Some(DbFile { identity, checkpoint, .. })) => {
            if log.database_id() != identity.database_id {
                return Err(recover::other_database(wal_path, &files.database));
            }
            Ok(Opened { identity, base: checkpoint, log, restored })
        }
        (None, Some(DbFile { identity, checkpoint: Some((checkpoint, image)), .. }))
            if !checkpoint.log_needed =>
        {
            vfs.create_dir_all(&parent_dir(wal_path))?;
            let first = checkpoint.commit_no + 1;
            let log = Recovery::create(vfs.clone(), wal_path, identity.database_id, first)?;
            Ok(Opened { identity, base: Some((checkpoint, image)), log, restored })
        }
        (None, Some(_)) => Err(Error::new(
            SqlState::UNDEFINED_FILE,
            format!(
                "log file \"{}\" of database \"{}\" does not exist",
                wal_path.display(),
                files.database.display()
            ),
        )
        .with_hint("The log holds the latest commits: bring it back, or give its path.")),
        (Some(log), None) => {
            let identity = Identity { database_id: log.database_id(), created_us: clock() };
            create_database_file(files, &identity)?;
            Ok(Opened { identity, base: None, log, restored })
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
            let identity = Identity { database_id, created_us: clock() };
            create_database_file(files, &identity)?;
            Ok(Opened { identity, base: None, log, restored })
        }
    }
}

fn create_database_file(files: &Files, identity: &Identity) -> Result<()> {
    replace_file(&*files.vfs, &files.database, &DATABASE.encode(&db_file::sections(identity, None)))
}

/// Cuts off a torn tail and says so.
fn report_torn(log: &mut Recovery) -> Result<()> {
    let Some(torn) = log.cut_tail()? else { return Ok(()) };
    let kept = torn.kept_in.as_ref().map_or_else(String::new, |p| format!("; kept in \"{}\"", p.display()));
    tracing::warn!(
        "the log \"{}\" ended in an incomplete record at offset {}: cut off {} bytes that were never acknowledged{kept}",
        torn.log.display(),
        torn.offset,
        torn.bytes,
    );
    Ok(())
}
