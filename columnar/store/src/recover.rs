//! Replay: from a log to the snapshot that it leads to.

use std::path::Path;
use std::sync::Arc;

use arrow::buffer::Buffer;
use spg_types::{Error, Result, TableId};
use spg_vfs::Vfs;
use spg_wal::{Recovery, Transaction};

use crate::apply::{Numbers, apply};
use crate::batch_codec::read_batch;
use crate::op::Op;
use crate::parallel;
use crate::seal::SEALED_ROWS_MIN;
use crate::snapshot::DbSnapshot;
use crate::table::{Batch, TableSnapshot};
use crate::zone::GroupStats;

/// Appends larger than this are decoded on several threads.
const PARALLEL_BYTES_MIN: usize = 64 << 10;

/// Applies every committed transaction of the log, with the function that commits use. XX001 naming file and offset.
pub(crate) fn replay(log: &mut Recovery, path: &Path, numbers: &Numbers) -> Result<DbSnapshot> {
    let mut db = DbSnapshot::empty();
    let mut expected = log.first_commit_no();
    while let Some(transaction) = log.next_transaction()? {
        if transaction.commit_no != expected {
            return Err(Error::new(
                spg_types::SqlState::DATA_CORRUPTED,
                format!(
                    "log file \"{}\" has commit {} where {expected} belongs",
                    path.display(),
                    transaction.commit_no
                ),
            ));
        }
        replay_transaction(&mut db, &transaction, numbers)
            .map_err(|e| e.with_context(format!("commit {expected} of log file \"{}\"", path.display())))?;
        db.commit_no = expected;
        expected += 1;
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

fn replay_transaction(db: &mut DbSnapshot, transaction: &Transaction, numbers: &Numbers) -> Result<()> {
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

/// Rebuilds what a log leads to, in memory. The log is not changed.
pub(crate) fn replay_only(vfs: Arc<dyn Vfs>, path: &Path) -> Result<DbSnapshot> {
    let mut log = Recovery::open(vfs, path)?.ok_or_else(|| {
        Error::new(
            spg_types::SqlState::UNDEFINED_FILE,
            format!("log file \"{}\" does not exist", path.display()),
        )
    })?;
    replay(&mut log, path, &Numbers::default())
}
