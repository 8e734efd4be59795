//! A seeded simulation of the store on a disk that fails: several lives of one database, each ended by a power cut, a failing
//! operation, a full disk or an orderly close, compared with a plain map after every start. The same seed does the same again,
//! as far as threads allow.
//!
//! A life is transactions of all kinds of changes, and between them what the background does: freezes, compactions,
//! checkpoints, backups. Power cuts come at any operation, those of starts included, and any part of what was not synced may survive.

mod model;
mod workload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use spg_store::{DbSnapshot, LockWait, Store, StoreOptions, TierOptions};
use spg_types::{Error, SqlState};
use spg_vfs::{Fault, FaultVfs, MemoryVfs, Vfs, read_file, replace_file};

use model::{Model, Reading};
use workload::Workload;

/// Lives of one database.
const LIVES: usize = 4;
/// Operations of a life that may meet a fault.
const FAULTS_WITHIN: u64 = 150;
/// A life ends when so many things have failed.
const FAILURES_MAX: u32 = 4;
/// Commits that a freeze or a compaction may take.
const MAINTENANCE_COMMITS: u64 = 16;

/// What a seed has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Commits that were acknowledged.
    pub acknowledged: u64,
    /// Those of transactions that wrote beside another.
    pub shared: u64,
    /// Checkpoints that were asked for and made.
    pub checkpoints: u64,
    /// Freezes that moved rows.
    pub freezes: u64,
    /// Compactions that wrote rows anew.
    pub compactions: u64,
    /// Backups that were opened.
    pub backups: u64,
    /// Starts of the database.
    pub starts: u64,
    /// Operations that failed.
    pub failures: u64,
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.shared += other.shared;
        self.checkpoints += other.checkpoints;
        self.freezes += other.freezes;
        self.compactions += other.compactions;
        self.backups += other.backups;
        self.starts += other.starts;
        self.failures += other.failures;
    }
}

/// Why a life has ended early.
enum End {
    /// The disk has failed: no failure of the store.
    Disk(Error),
    /// The store got something wrong.
    Wrong(String),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error.state() {
            SqlState::DISK_FULL | SqlState::IO_ERROR => Self::Disk(error),
            _ => Self::Wrong(format!("an error that no disk makes: {error:?}")),
        }
    }
}

impl From<Reading> for End {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Failed(error) => error.into(),
            Reading::Wrong(what) => Self::Wrong(what),
        }
    }
}

struct Simulation {
    rng: StdRng,
    workload: Workload,
    /// The state after each commit that may have happened.
    states: BTreeMap<u64, Model>,
    acknowledged: u64,
    outcome: Outcome,
}

fn open(vfs: Arc<dyn Vfs>) -> spg_types::Result<Arc<Store>> {
    Store::open(StoreOptions {
        vfs,
        db_path: "d/spg.db".into(),
        wal_path: "d/wal.log".into(),
        wal_tee: None,
        synchronous_commit: true,
        checkpoint_wal_bytes: 20_000,
        tier: TierOptions { zstd_level: 1, ..TierOptions::default() },
        clock: || 1_000_000,
    })
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            workload: Workload::new(),
            states: BTreeMap::from([(0, Model::default())]),
            acknowledged: 0,
            outcome: Outcome::default(),
        }
    }

    fn state(&self, number: u64) -> Result<&Model, String> {
        self.states.get(&number).ok_or_else(|| format!("nobody has made commit {number}"))
    }

    /// A snapshot must be the state of its commit.
    fn compare(&mut self, db: &DbSnapshot) -> Result<(), End> {
        let found = Model::read(db, self.rng.random_bool(0.5))?;
        let expected = self.state(db.commit_no()).map_err(End::Wrong)?;
        if found == *expected {
            return Ok(());
        }
        let differ = |name: &&String| found.tables.get(*name) != expected.tables.get(*name);
        let names: Vec<_> = found.tables.keys().chain(expected.tables.keys()).filter(differ).collect();
        Err(End::Wrong(format!("another state than that of commit {}: tables {names:?}", db.commit_no())))
    }

    /// One transaction; the state after it is noted before it is known whether it has happened.
    fn transaction(&mut self, store: &Arc<Store>) -> Result<(), End> {
        let mut txn = store.begin(&LockWait::default())?;
        let mut model = self.state(txn.snapshot().commit_no()).map_err(End::Wrong)?.clone();
        self.workload.statements(&mut self.rng, &mut txn, &mut model)?;
        if self.rng.random_bool(0.1) || !txn.has_changes() {
            txn.rollback();
            return Ok(());
        }
        let number = txn.snapshot().commit_no() + 1;
        self.states.insert(number, model);
        txn.commit()?.wait()?;
        self.acknowledged = number;
        self.outcome.acknowledged += 1;
        Ok(())
    }

    /// Two transactions that write side by side, each to rows of its own, and are durable together.
    fn side_by_side(&mut self, store: &Arc<Store>) -> Result<(), End> {
        let wait = LockWait::default();
        let mut pair = [store.begin_shared(&wait)?, store.begin_shared(&wait)?];
        let mut number = store.published().commit_no();
        let before = self.state(number).map_err(End::Wrong)?.clone();
        let mut models = [before.clone(), before.clone()];
        for _ in 0..self.rng.random_range(2..8) {
            let which = self.rng.random_range(0..2);
            let ours = |id: i32| id % 2 == which as i32;
            let (txn, model) = (&mut pair[which], &mut models[which]);
            let undone = self.rng.random_bool(0.1).then(|| (txn.savepoint(), model.clone()));
            self.workload.shared_statement(&mut self.rng, txn, model, &ours)?;
            if let Some((savepoint, kept)) = undone {
                txn.rollback_to(&savepoint)?;
                *model = kept;
            }
        }
        let mut both: Vec<_> = pair.into_iter().zip(models).collect();
        if self.rng.random_bool(0.5) {
            both.reverse();
        }
        let (mut state, mut pending) = (before.clone(), Vec::new());
        for (txn, after) in both {
            if self.rng.random_bool(0.1) || !txn.has_changes() {
                txn.rollback();
                continue;
            }
            number += 1;
            state.replay(&before, &after);
            self.states.insert(number, state.clone());
            pending.push((number, txn.commit()?));
        }
        for (number, commit) in pending {
            commit.wait()?;
            self.acknowledged = number;
            self.outcome.acknowledged += 1;
            self.outcome.shared += 1;
        }
        Ok(())
    }

    /// Moves rows to the cold tier, or writes it anew: commits that change nothing that anyone reads.
    fn rewrite(&mut self, store: &Arc<Store>, compact: bool) -> Result<(), End> {
        let snapshot = store.published();
        let tables: Vec<_> = snapshot.tables().map(|t| t.def().id).collect();
        let Some(table) = tables.choose(&mut self.rng) else { return Ok(()) };
        let model = self.state(snapshot.commit_no()).map_err(End::Wrong)?.clone();
        for number in 1..=MAINTENANCE_COMMITS {
            self.states.insert(snapshot.commit_no() + number, model.clone());
        }
        let (wait, outcome) = (LockWait::default(), &mut self.outcome);
        if compact {
            outcome.compactions += u64::from(store.compact(*table, &wait)? > 0);
        } else {
            outcome.freezes += u64::from(store.freeze(*table, &wait)? > 0);
        }
        self.acknowledged = store.published().commit_no();
        Ok(())
    }

    /// A backup, opened on a disk of its own.
    fn backup(&mut self, store: &Arc<Store>, disk: &FaultVfs) -> Result<(), End> {
        let path = PathBuf::from(format!("b/{:x}.db", self.rng.random::<u64>()));
        let number = store.backup(&path)?;
        let bytes = read_file(disk, &path)?.ok_or_else(|| End::Wrong("the backup is not there".into()))?;
        disk.remove(&path)?;
        let elsewhere = MemoryVfs::new();
        replace_file(&elsewhere, Path::new("d/spg.db"), &bytes)?;
        let restored = open(Arc::new(elsewhere)).map_err(|e| End::Wrong(format!("a backup: {e:?}")))?;
        let db = restored.published();
        if db.commit_no() != number {
            return Err(End::Wrong(format!("a backup of commit {number} holds commit {}", db.commit_no())));
        }
        self.outcome.backups += 1;
        self.compare(&db)
    }

    /// Reads while the disk gives back nothing of the cold tier: the right answer from memory, or an error.
    fn read_badly(&mut self, store: &Arc<Store>, disk: &FaultVfs) -> Result<(), End> {
        disk.fail_reads(Some("seg_"));
        let read = self.compare(&store.published());
        disk.fail_reads(None);
        match read {
            Err(End::Disk(_)) => Ok(()),
            other => other,
        }
    }

    fn step(&mut self, store: &Arc<Store>, disk: &FaultVfs) -> Result<(), End> {
        match self.rng.random_range(0..100) {
            0..=7 => {
                store.checkpoint()?;
                self.outcome.checkpoints += 1;
                Ok(())
            }
            8..=13 => self.rewrite(store, false),
            14..=15 => self.rewrite(store, true),
            16 => self.backup(store, disk),
            17..=18 => self.compare(&store.published()),
            19..=20 => self.read_badly(store, disk),
            21..=45 => self.side_by_side(store),
            _ => self.transaction(store),
        }
    }

    /// Runs until the disk fails for good or the life is over.
    fn life(&mut self, disk: &FaultVfs, steps: usize) -> Result<(), End> {
        let store = open(Arc::new(disk.clone()))?;
        let mut failures = 0;
        for _ in 0..steps {
            match self.step(&store, disk) {
                Ok(()) => {}
                Err(End::Disk(error)) => {
                    self.outcome.failures += 1;
                    failures += 1;
                    if disk.crashed() || failures > FAILURES_MAX {
                        return Err(End::Disk(error));
                    }
                    if self.rng.random_bool(0.3) {
                        // Somebody has made room.
                        disk.set_capacity(None);
                    }
                }
                Err(wrong) => return Err(wrong),
            }
        }
        if self.rng.random_bool(0.5) {
            store.close()?;
        }
        Ok(())
    }

    /// A start without faults gives a state that was acknowledged, or one that was under way; and whoever has read it can rely
    /// on it. What a power cut just then leaves.
    fn check(&mut self, disk: &MemoryVfs) -> Result<MemoryVfs, String> {
        let start = || loop {
            match open(Arc::new(FaultVfs::new(disk.clone()))) {
                // The dead process's threads have not all noticed.
                Err(e) if e.state() == SqlState::OBJECT_IN_USE => std::thread::yield_now(),
                other => return other,
            }
        };
        let store = start().map_err(|e| format!("the start is refused: {e:?}"))?;
        self.outcome.starts += 1;
        let db = store.published();
        let number = db.commit_no();
        if number < self.acknowledged {
            return Err(format!("commit {number} of {} acknowledged ones is the last", self.acknowledged));
        }
        self.compare(&db).map_err(|end| match end {
            End::Disk(e) => format!("a disk without faults: {e:?}"),
            End::Wrong(what) => what,
        })?;
        self.acknowledged = number;
        self.states.retain(|n, _| *n == number);
        Ok(disk.crash_image(self.rng.random()))
    }

    /// A life, the end of the process, mostly of the machine with it, and after the next start of the machine anyway.
    fn live(&mut self, image: &MemoryVfs, disk: &FaultVfs, steps: usize) -> Result<MemoryVfs, String> {
        match self.life(disk, steps) {
            Ok(()) | Err(End::Disk(_)) => {}
            Err(End::Wrong(what)) => return Err(what),
        }
        debug_assert!(disk.operations() > 0 || image.total_bytes() > 0);
        let image = if self.rng.random_bool(0.3) {
            disk.crash();
            disk.disk().clone()
        } else {
            disk.crash_image(self.rng.random())
        };
        self.check(&image)
    }

    fn run(&mut self) -> Result<(), String> {
        let mut image = MemoryVfs::journaled();
        for life in 0..LIVES {
            let disk = FaultVfs::new(image.clone());
            let at = self.rng.random_range(0..FAULTS_WITHIN);
            match self.rng.random_range(0..7) {
                0..=2 => disk.fail_after(at, Fault::Crash),
                3 => {
                    // Something fails, then the power goes.
                    disk.fail_after(at, [Fault::Io, Fault::NoSpace, Fault::ShortWrite][life % 3]);
                    disk.fail_after(at + self.rng.random_range(1..60), Fault::Crash);
                }
                4 => disk.fail_after(at, [Fault::NoSpace, Fault::ShortWrite, Fault::Io][life % 3]),
                5 => disk.set_capacity(Some(image.total_bytes() + self.rng.random_range(1_000..80_000))),
                _ => {}
            }
            let steps = self.rng.random_range(1..25);
            image = self.live(&image, &disk, steps).map_err(|e| format!("life {life}: {e}"))?;
        }
        Ok(())
    }
}

/// Runs one seed. The error says what the store got wrong, and with which seed.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let mut simulation = Simulation::new(seed);
    let result = simulation.run();
    result.map(|()| simulation.outcome).map_err(|e| format!("seed {seed}: {e}"))
}

/// Runs the first life of a seed without faults, then once more for each of its operations, which meets `fault`; how many
/// there were. The error says what the store got wrong, and at which operation.
pub fn fail_each(seed: u64, steps: usize, fault: Fault) -> Result<u64, String> {
    let undisturbed = FaultVfs::default();
    let mut simulation = Simulation::new(seed);
    simulation.live(&MemoryVfs::journaled(), &undisturbed, steps).map_err(|e| format!("seed {seed}: {e}"))?;
    let operations = undisturbed.operations();
    for n in 0..operations {
        let disk = FaultVfs::default();
        disk.fail_after(n, fault);
        Simulation::new(seed)
            .live(&MemoryVfs::journaled(), &disk, steps)
            .map_err(|e| format!("seed {seed}, {fault:?} at operation {n}: {e}"))?;
    }
    Ok(operations)
}

/// Runs seeds on several threads until one fails; what all of them have seen.
pub fn run_all(seeds: std::ops::Range<u64>, threads: usize) -> Result<Outcome, String> {
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let failed = std::sync::Mutex::new(None);
    let total = std::sync::Mutex::new(Outcome::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            match run(seed) {
                Ok(outcome) => total.lock().map(|mut t| *t += outcome).unwrap_or_default(),
                Err(error) => {
                    next.store(seeds.end, std::sync::atomic::Ordering::Relaxed);
                    let _ = failed.lock().map(|mut f| f.get_or_insert(error).len());
                }
            }
        }
    };
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| _ = scope.spawn(work)));
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(total.into_inner().unwrap_or_default()),
    }
}
