//! Replay: from a log to the snapshot that it leads to.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::buffer::Buffer;
use crossbeam_channel::{Receiver, SendError, Sender, unbounded};
use spg_types::{Error, Result, SqlState, TableDef, TableId, TableRef};
use spg_vfs::Vfs;
use spg_wal::{Recovery, Transaction};

use crate::apply::{Numbers, apply, table_mut};
use crate::batch_codec::read_batch;
use crate::codec::corrupt;
use crate::cold_tier::{ColdTier, TierOptions};
use crate::db_file::DbFile;
use crate::files::Files;
use crate::load::load;
use crate::op::Op;
use crate::parallel;
use crate::seal::SEALED_ROWS_MIN;
use crate::snapshot::DbSnapshot;
use crate::table::{Batch, TableSnapshot};
use crate::zone::GroupStats;

/// Appends larger than this are decoded on several threads.
const PARALLEL_BYTES_MIN: usize = 64 << 10;
/// Appends that wait, per thread that decodes them.
const WAITING_PER_THREAD: usize = 3;

/// What becomes of a segment that the log refers to and that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingSegment {
    /// The database is damaged: XX001.
    Damage,
    /// Its rows stay where they are: files go before a copy of the log does that goes back to the first commit, or to a backup.
    Skip,
}

/// Applies every committed transaction of the log that `db` does not have, with the function that commits use. Indexes are not
/// kept up meanwhile: they are built when they are first used. XX001 naming file and offset.
pub(crate) fn replay(
    mut db: DbSnapshot,
    log: &mut Recovery,
    path: &Path,
    numbers: &Numbers,
    cold: &ColdTier,
    missing: MissingSegment,
) -> Result<DbSnapshot> {
    let Some(first) = log.next_transaction()? else { return Ok(db) };
    let failed =
        |e: Error, no: u64| e.with_context(format!("commit {no} of log file \"{}\"", path.display()));
    each_table(&mut db, |table| {
        table.leave_indexes();
        Ok(())
    })?;
    let last = std::thread::scope(|scope| {
        let mut appends = Appends::start(scope, parallel::threads());
        let mut next = Some(first);
        let mut last = 0;
        while let Some(transaction) = next {
            last = transaction.commit_no;
            let replayed = replay_transaction(&mut db, &transaction, &mut appends, numbers, cold, missing);
            replayed.map_err(|Failed(no, e)| failed(e, no))?;
            next = log.next_transaction()?;
        }
        appends.apply_until(0, &mut db, numbers).map_err(|Failed(no, e)| failed(e, no))?;
        Ok::<u64, Error>(last)
    })?;
    each_table(&mut db, TableSnapshot::resume_indexes)?;
    db.commit_no = last;
    Ok(db)
}

fn each_table(db: &mut DbSnapshot, mut f: impl FnMut(&mut TableSnapshot) -> Result<()>) -> Result<()> {
    let ids: Vec<TableId> = db.tables().map(|t| t.def().id).collect();
    ids.into_iter().try_for_each(|id| f(table_mut(db, id)?))
}

/// The commit that could not be applied, and why.
struct Failed(u64, Error);

/// An append of a commit that waits for its turn.
struct Waiting {
    commit_no: u64,
    table: TableId,
    first_row_id: u64,
    batch: Decoded,
}

enum Decoded {
    Here(Result<Batch>),
    /// On a thread, under this number.
    Sent(u64),
}

/// An append to be decoded.
struct Job {
    number: u64,
    def: TableRef,
    bytes: Buffer,
    from: usize,
}

/// Appends are decoded in any order, on several threads, and applied in theirs. Dropped, the threads end.
struct Appends {
    jobs: Sender<Job>,
    done: Receiver<(u64, Result<Batch>)>,
    here: HashMap<u64, Result<Batch>>,
    waiting: VecDeque<Waiting>,
    sent: u64,
    waiting_max: usize,
}

impl Appends {
    fn start<'s>(scope: &'s std::thread::Scope<'s, '_>, threads: usize) -> Self {
        let (jobs, take) = unbounded::<Job>();
        let (give, done) = unbounded();
        for _ in 0..threads {
            let (take, give) = (take.clone(), give.clone());
            scope.spawn(move || {
                for Job { number, def, bytes, from } in take {
                    let decoded = catch_unwind(AssertUnwindSafe(|| decode(&def, &bytes, from)));
                    let decoded = decoded.unwrap_or_else(|_| Err(corrupt("a batch cannot be decoded")));
                    if give.send((number, decoded)).is_err() {
                        return;
                    }
                }
            });
        }
        let waiting_max = threads * WAITING_PER_THREAD;
        Self { jobs, done, here: HashMap::new(), waiting: VecDeque::new(), sent: 0, waiting_max }
    }

    fn add(&mut self, commit_no: u64, table: &TableSnapshot, first_row_id: u64, bytes: Buffer, from: usize) {
        let def = table.def().clone();
        let table = def.id;
        let batch = if bytes.len() < PARALLEL_BYTES_MIN {
            Decoded::Here(decode(&def, &bytes, from))
        } else {
            self.sent += 1;
            match self.jobs.send(Job { number: self.sent, def, bytes, from }) {
                Ok(()) => Decoded::Sent(self.sent),
                Err(SendError(job)) => Decoded::Here(decode(&job.def, &job.bytes, job.from)),
            }
        };
        self.waiting.push_back(Waiting { commit_no, table, first_row_id, batch });
    }

    /// Whether the next append need not be waited for.
    fn is_next_here(&mut self) -> bool {
        self.here.extend(self.done.try_iter());
        self.waiting.front().is_some_and(|w| match &w.batch {
            Decoded::Here(_) => true,
            Decoded::Sent(number) => self.here.contains_key(number),
        })
    }

    /// Applies what is decoded, and waits as long as more than `left` are not.
    fn apply_until(&mut self, left: usize, db: &mut DbSnapshot, numbers: &Numbers) -> Result<(), Failed> {
        while self.waiting.len() > left || self.is_next_here() {
            let Some(Waiting { commit_no, table, first_row_id, batch }) = self.waiting.pop_front() else {
                break;
            };
            let batch = match batch {
                Decoded::Here(batch) => batch,
                Decoded::Sent(number) => self.wait_for(number),
            };
            let apply = |batch| apply(db, Op::Append { table, first_row_id }, Some(batch), numbers);
            batch.and_then(apply).map_err(|e| Failed(commit_no, e))?;
        }
        Ok(())
    }

    fn wait_for(&mut self, number: u64) -> Result<Batch> {
        loop {
            if let Some(batch) = self.here.remove(&number) {
                return batch;
            }
            let ended = |_| Error::internal("a thread that reads the log has ended");
            let (number, batch) = self.done.recv().map_err(ended)?;
            self.here.insert(number, batch);
        }
    }
}

fn replay_transaction(
    db: &mut DbSnapshot,
    transaction: &Transaction,
    appends: &mut Appends,
    numbers: &Numbers,
    cold: &ColdTier,
    missing: MissingSegment,
) -> Result<(), Failed> {
    let no = transaction.commit_no;
    // An operation of an earlier commit may be the one that fails.
    let mut failed_no = no;
    let replayed = transaction.for_each_op(|bytes| {
        let (op, from) = Op::decode(&bytes)?;
        let mut apply_until = |appends: &mut Appends, db: &mut DbSnapshot, left| {
            appends.apply_until(left, db, numbers).map_err(|Failed(no, e)| {
                failed_no = no;
                e
            })
        };
        match op {
            Op::Append { table: id, first_row_id } => {
                let missing = || Error::internal(format!("there is no table with id {}", id.0));
                appends.add(no, db.table(id).ok_or_else(missing)?, first_row_id, bytes, from);
                let left = appends.waiting_max;
                apply_until(appends, db, left)
            }
            mut op => {
                apply_until(appends, db, 0)?;
                if let Op::SwapIn { segment, .. } = &op
                    && missing == MissingSegment::Skip
                    && !cold.has(segment.id, &segment.root)?
                {
                    return Ok(());
                }
                if let Op::SwapIn { segment, .. } | Op::AppendCold { segment, .. } = &mut op {
                    segment.open = Some(cold.open(segment.id, &segment.root)?);
                }
                let created = if let Op::CreateTable { def } = &op { Some(def.id) } else { None };
                apply(db, op, None, numbers)?;
                created.map_or(Ok(()), |id| table_mut(db, id).map(TableSnapshot::leave_indexes))
            }
        }
    });
    replayed.map_err(|e| Failed(failed_no, e))
}

fn decode(def: &TableDef, bytes: &Buffer, from: usize) -> Result<Batch> {
    let (columns, len) = read_batch(bytes, from, def)?;
    let sealed = len >= SEALED_ROWS_MIN;
    let stats = sealed.then(|| GroupStats::of(def, &columns));
    Ok(Batch { columns, len, sealed, stats, keys: Vec::new() })
}

/// What a log leads to.
pub struct Replayed {
    /// The database after the last commit.
    pub snapshot: Arc<DbSnapshot>,
    /// The commit that the checkpoint ended with from which the log went on; 0 without one.
    pub baseline: u64,
}

/// Rebuilds what a log leads to, in memory, on top of the database's checkpoint where the log does not begin at the first
/// commit. Nothing is changed.
pub(crate) fn replay_only(vfs: Arc<dyn Vfs>, path: &Path, database: &Path) -> Result<Replayed> {
    let files = Files::new(vfs.clone(), database);
    let missing = || {
        let message = format!("log file \"{}\" does not exist", path.display());
        Error::new(SqlState::UNDEFINED_FILE, message)
    };
    let numbers = Numbers::default();
    let cold = ColdTier::new(vfs.clone(), files.segments.clone(), &TierOptions::default());
    let whole = match Recovery::open(vfs.clone(), path) {
        Ok(log) => Ok(log.ok_or_else(missing)?),
        Err(e) if e.state() == SqlState::DATA_CORRUPTED => Err(e),
        Err(e) => return Err(e),
    };
    let (mut log, db) = match (whole, DbFile::read(&*vfs, database)) {
        (Ok(log), _) => (log, DbSnapshot::empty()),
        (Err(_), Ok(Some(DbFile { identity, checkpoint: Some((checkpoint, image)), .. }))) => {
            let log = Recovery::open_after(vfs, path, checkpoint.commit_no)?.ok_or_else(missing)?;
            if log.database_id() != identity.database_id {
                return Err(other_database(path, database));
            }
            (log, load(&files, &checkpoint, &image, &numbers, &cold)?.snapshot)
        }
        (Err(e), _) => return Err(e),
    };
    let baseline = db.commit_no;
    let snapshot = Arc::new(replay(db, &mut log, path, &numbers, &cold, MissingSegment::Skip)?);
    Ok(Replayed { snapshot, baseline })
}

/// 55000: log and database file do not belong together.
pub(crate) fn other_database(log: &Path, database: &Path) -> Error {
    let (log, database) = (log.display(), database.display());
    let message = format!("log file \"{log}\" belongs to another database than \"{database}\"");
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_hint("Give the log's path that belongs to this database.")
}
