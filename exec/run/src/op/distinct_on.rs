//! DISTINCT ON: the first row of each key, in the order of the input.

use arrow::array::UInt32Array;
use parking_lot::Mutex;
use spg_types::Result;

use crate::batch::Batch;
use crate::key::table::GroupTable;
use crate::key::words::Shape;
use crate::memory::Reservation;
use crate::pipeline::Stage;
use crate::run::Run;

/// Lets the first row of each key pass; its pipeline runs with one worker.
pub(crate) struct DistinctOn {
    /// Positions of the key columns.
    pub(crate) keys: Vec<usize>,
    /// Their layout.
    pub(crate) shape: Shape,
}

impl Stage for DistinctOn {
    type Shared = Mutex<(GroupTable, Reservation)>;
    type Local = Option<Batch>;

    fn open(&self, run: &Run) -> Result<Self::Shared> {
        Ok(Mutex::new((GroupTable::new(&self.shape), Reservation::new(&run.memory))))
    }

    fn local(&self, _: &Run, _: &Self::Shared) -> Result<Option<Batch>> {
        Ok(None)
    }

    fn push(&self, _: &Run, seen: &Self::Shared, out: &mut Option<Batch>, mut batch: Batch) -> Result<()> {
        let (table, memory) = &mut *seen.lock();
        let mut known = table.len() as u32;
        let mut groups = Vec::new();
        table.groups(&batch.columns(&self.keys)?, batch.rows(), &mut groups)?;
        let mut first: Vec<u32> = Vec::new();
        for (row, group) in groups.into_iter().enumerate() {
            if group == known {
                known += 1;
                first.push(row as u32);
            }
        }
        memory.set(table.bytes())?;
        if !first.is_empty() {
            batch.select(UInt32Array::from(first));
            *out = Some(batch);
        }
        Ok(())
    }

    fn pull(&self, _: &Run, _: &Self::Shared, out: &mut Option<Batch>) -> Result<Option<Batch>> {
        Ok(out.take())
    }
}
