//! Replay: from a log to the snapshot that it leads to.

use std::path::Path;
use std::sync::Arc;

use arrow::buffer::Buffer;
use spg_types::{Error, Result, SqlState, TableId};
use spg_vfs::Vfs;
use spg_wal::{Recovery, Transaction};

use crate::apply::{Numbers, apply};
use crate::batch_codec::read_batch;
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

/// Applies every committed transaction of the log that `db` does not have, with the function that commits use. XX001 naming file
/// and offset.
pub(crate) fn replay(
    mut db: DbSnapshot,
    log: &mut Recovery,
    path: &Path,
    numbers: &Numbers,
    cold: &ColdTier,
) -> Result<DbSnapshot> {
    while let Some(transaction) = log.next_transaction()? {
        let no = transaction.commit_no;
        replay_transaction(&mut db, &transaction, numbers, cold)
            .map_err(|e| e.with_context(format!("commit {no} of log file \"{}\"", path.display())))?;
        db.commit_no = no;
    }
    Ok(db)
}

/// An append that waits to be decoded together with others.
struct Waiting {
    table: Arc<TableSnapshot>,
    id: TableId,
    first_row_id: u64,
    bytes: Buffer,
    from: usize,
}

fn replay_transaction(
    db: &mut DbSnapshot,
    transaction: &Transaction,
    numbers: &Numbers,
    cold: &ColdTier,
) -> Result<()> {
    let mut waiting: Vec<Waiting> = Vec::new();
    let in_flight = parallel::threads() * 2;
    transaction.for_each_op(|bytes| {
        let (op, from) = Op::decode(&bytes)?;
        match op {
            Op::Append { table: id, first_row_id } => {
                let missing = || Error::internal(format!("there is no table with id {}", id.0));
                let table = db.table(id).ok_or_else(missing)?.clone();
                let large = bytes.len() >= PARALLEL_BYTES_MIN;
                waiting.push(Waiting { table, id, first_row_id, bytes, from });
                if !large || waiting.len() >= in_flight { drain(db, &mut waiting, numbers) } else { Ok(()) }
            }
            Op::SwapIn { table, mut segment } => {
                drain(db, &mut waiting, numbers)?;
                segment.open = Some(cold.open(segment.id, &segment.root)?);
                apply(db, Op::SwapIn { table, segment }, None, numbers)
            }
            op => {
                drain(db, &mut waiting, numbers)?;
                apply(db, op, None, numbers)
            }
        }
    })?;
    drain(db, &mut waiting, numbers)
}

/// Decodes in any order, applies in order.
fn drain(db: &mut DbSnapshot, waiting: &mut Vec<Waiting>, numbers: &Numbers) -> Result<()> {
    let batches = parallel::map(waiting, |w| decode(&w.table, &w.bytes, w.from))?;
    for (w, batch) in waiting.drain(..).zip(batches) {
        let Waiting { table, id, first_row_id, .. } = w;
        // Nobody else holds the table now, so that it is changed in place.
        drop(table);
        apply(db, Op::Append { table: id, first_row_id }, Some(batch), numbers)?;
    }
    Ok(())
}

fn decode(table: &TableSnapshot, bytes: &Buffer, from: usize) -> Result<Batch> {
    let (columns, len) = read_batch(bytes, from, table.def())?;
    let sealed = len >= SEALED_ROWS_MIN;
    let mut keys = Vec::with_capacity(table.indexes().len());
    for index in table.indexes() {
        keys.push(index.layout().encode(&index.key_columns(&columns))?.sorted());
    }
    let stats = sealed.then(|| GroupStats::of(table.def(), &columns));
    Ok(Batch { columns, len, sealed, stats, keys })
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
    let snapshot = Arc::new(replay(db, &mut log, path, &numbers, &cold)?);
    Ok(Replayed { snapshot, baseline })
}

/// 55000: log and database file do not belong together.
pub(crate) fn other_database(log: &Path, database: &Path) -> Error {
    let (log, database) = (log.display(), database.display());
    let message = format!("log file \"{log}\" belongs to another database than \"{database}\"");
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_hint("Give the log's path that belongs to this database.")
}
