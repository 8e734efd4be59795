//! The build side of a join: collects rows, indexes their keys, publishes the table and the join filters.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use parking_lot::Mutex;
use spg_types::{Error, Result};

use super::table::{Built, JoinTable, KeySpec};
use crate::batch::Batch;
use crate::gather::{array_bytes, concat};
use crate::memory::Reservation;
use crate::op::join_filter::JoinFilter;
use crate::pipeline::Sink;
use crate::run::{Run, Slot};
use crate::scalar::Scalar;

/// The sink of a build side.
pub(crate) struct JoinBuild {
    /// What is kept of each row, each expression once.
    pub(crate) stored: Vec<Scalar>,
    /// Their Arrow types.
    pub(crate) types: Vec<DataType>,
    /// Which of them are the keys.
    pub(crate) keys: Vec<usize>,
    /// What the keys are.
    pub(crate) spec: Arc<KeySpec>,
    /// Which of them are the columns that the join puts out.
    pub(crate) payload: Vec<usize>,
    /// Join filters: where to publish, which of them.
    pub(crate) filters: Vec<(Slot<JoinFilter>, usize)>,
    /// Whether rows that have met a match are to be known.
    pub(crate) track: bool,
    /// Where the table is published.
    pub(crate) slot: Slot<JoinTable>,
    /// Plan node, for memory.
    pub(crate) node: usize,
}

/// A worker's rows.
pub(crate) struct Local {
    batches: Vec<Vec<ArrayRef>>,
    rows: usize,
    memory: Reservation,
}

/// All rows.
#[derive(Default)]
pub(crate) struct Shared {
    batches: Mutex<Vec<Vec<ArrayRef>>>,
    rows: Mutex<usize>,
    memory: Mutex<Vec<Reservation>>,
    joined: Mutex<Vec<Option<ArrayRef>>>,
    built: Mutex<Option<Built>>,
    filters: Mutex<Vec<Option<JoinFilter>>>,
}

impl JoinBuild {
    fn join(&self, shared: &Shared, column: usize) -> Result<ArrayRef> {
        if let Some(done) = &shared.joined.lock()[column] {
            return Ok(done.clone());
        }
        let arrays: Vec<ArrayRef> = shared.batches.lock().iter().map(|b| b[column].clone()).collect();
        let joined = concat(&arrays, &self.types[column])?;
        shared.joined.lock()[column] = Some(joined.clone());
        Ok(joined)
    }

    /// Columns of the payload that are not keys: joined on their own.
    fn plain(&self) -> Vec<usize> {
        let mut plain: Vec<usize> = self.payload.iter().copied().filter(|c| !self.keys.contains(c)).collect();
        plain.sort_unstable();
        plain.dedup();
        plain
    }
}

impl Sink for JoinBuild {
    type Shared = Shared;
    type Local = Local;

    fn open(&self, _: &Run) -> Result<Shared> {
        Ok(Shared::default())
    }

    fn local(&self, run: &Run, _: &Shared) -> Result<Local> {
        Ok(Local { batches: Vec::new(), rows: 0, memory: Reservation::new(&run.memory) })
    }

    fn push(&self, run: &Run, _: &Shared, local: &mut Local, mut batch: Batch) -> Result<()> {
        let rows = batch.rows();
        let arrays = self
            .stored
            .iter()
            .map(|s| s.eval(&run.ctx, &mut batch)?.to_array(rows))
            .collect::<Result<Vec<_>>>()?;
        local.memory.grow(arrays.iter().map(|a| array_bytes(a)).sum())?;
        local.rows += rows;
        local.batches.push(arrays);
        Ok(())
    }

    fn combine(&self, _: &Run, shared: &Shared, local: Local) -> Result<()> {
        shared.batches.lock().extend(local.batches);
        *shared.rows.lock() += local.rows;
        shared.memory.lock().push(local.memory);
        Ok(())
    }

    fn parts(&self, _: &Run, shared: &Shared) -> Result<usize> {
        *shared.joined.lock() = vec![None; self.stored.len()];
        *shared.filters.lock() = self.filters.iter().map(|_| None).collect();
        Ok(1 + self.filters.len() + self.plain().len())
    }

    fn part(&self, run: &Run, shared: &Shared, part: usize) -> Result<()> {
        let rows = *shared.rows.lock();
        if part == 0 {
            let keys = self.keys.iter().map(|&k| self.join(shared, k)).collect::<Result<Vec<_>>>()?;
            let built = Built::new(&self.spec, &keys, rows)?;
            let mut memory = Reservation::new(&run.memory);
            memory.grow(JoinTable::index_bytes(&built))?;
            shared.memory.lock().push(memory);
            *shared.built.lock() = Some(built);
        } else if let Some((_, column)) = self.filters.get(part - 1) {
            let arrays: Vec<ArrayRef> = shared.batches.lock().iter().map(|b| b[*column].clone()).collect();
            shared.filters.lock()[part - 1] = Some(JoinFilter::build(&arrays));
        } else if let Some(&column) = self.plain().get(part - 1 - self.filters.len()) {
            self.join(shared, column)?;
        }
        Ok(())
    }

    fn finish(&self, run: &Run, shared: &Shared) -> Result<()> {
        let missing = || Error::internal("a join was not built");
        let columns = self.payload.iter().map(|&c| self.join(shared, c)).collect::<Result<_>>()?;
        shared.batches.lock().clear();
        shared.joined.lock().clear();
        let built = shared.built.lock().take().ok_or_else(missing)?;
        for ((slot, _), filter) in self.filters.iter().zip(std::mem::take(&mut *shared.filters.lock())) {
            run.put(*slot, Arc::new(filter.ok_or_else(missing)?))?;
        }
        let memory = std::mem::take(&mut *shared.memory.lock());
        run.note_memory(self.node, memory.iter().map(Reservation::bytes).sum());
        let rows = *shared.rows.lock();
        run.put(self.slot, Arc::new(JoinTable::new(built, columns, rows, self.track, memory)))
    }
}
