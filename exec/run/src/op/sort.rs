//! Sorting: every worker sorts what it has, the sorted lists are merged. With a limit only the first rows are kept, and rows past the
//! worst of them are dropped as they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::datatypes::DataType;
use parking_lot::Mutex;
use spg_types::{Error, Result};

use crate::batch::{Batch, BatchColumn};
use crate::gather::{array_bytes, concat, gather};
use crate::memory::Reservation;
use crate::pipeline::{Sink, Source};
use crate::run::{Run, Slot};
use crate::sort_key::{SortKeys, SortSpec};

/// A TopN is cut back when it holds this many times its rows, and at least these many more.
const TOP_SLACK: usize = 2;
const TOP_SLACK_ROWS: usize = 4096;

/// Rows and the order they go in.
pub(crate) struct Sorted {
    /// Columns in the order the rows came.
    pub(crate) columns: Vec<ArrayRef>,
    /// Rows in order.
    pub(crate) order: Arc<UInt32Array>,
    _memory: Vec<Reservation>,
}

/// The sink.
pub(crate) struct Sort {
    /// By what, as positions in the input.
    pub(crate) spec: SortSpec,
    /// Keep only so many rows.
    pub(crate) limit: Option<u64>,
    /// Types of the input's columns.
    pub(crate) types: Vec<DataType>,
    /// Where the rows are published.
    pub(crate) slot: Slot<Sorted>,
    /// Plan node, for memory.
    pub(crate) node: usize,
}

/// A worker's rows.
pub(crate) struct Local {
    batches: Vec<Vec<ArrayRef>>,
    keys: SortKeys,
    /// The rows held are the first ones, in order, and there are `limit` of them.
    cut: bool,
    memory: Reservation,
    column_bytes: usize,
}

/// A worker's rows with their order.
struct Part {
    batches: Vec<Vec<ArrayRef>>,
    keys: SortKeys,
    order: Vec<u32>,
}

/// All workers' rows.
#[derive(Default)]
pub(crate) struct Shared {
    parts: Mutex<Vec<Part>>,
    memory: Mutex<Vec<Reservation>>,
    columns: Mutex<Vec<Option<ArrayRef>>>,
    order: Mutex<Vec<u32>>,
}

impl Sort {
    fn limit(&self) -> usize {
        self.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
    }

    /// Keeps the first `limit` rows.
    fn cut(&self, local: &mut Local) -> Result<()> {
        let mut order = local.keys.sorted();
        order.truncate(self.limit());
        local.cut = order.len() == self.limit();
        local.keys = local.keys.take(&order);
        let index = UInt32Array::from(order);
        let columns = (0..self.types.len())
            .map(|i| gather(&join(&local.batches, i, &self.types[i])?, &index))
            .collect::<Result<Vec<_>>>()?;
        local.column_bytes = columns.iter().map(|c| array_bytes(c)).sum();
        local.batches = vec![columns];
        Ok(())
    }
}

fn join(batches: &[Vec<ArrayRef>], column: usize, ty: &DataType) -> Result<ArrayRef> {
    let arrays: Vec<ArrayRef> = batches.iter().map(|b| b[column].clone()).collect();
    concat(&arrays, ty)
}

impl Sink for Sort {
    type Shared = Shared;
    type Local = Local;

    fn open(&self, _: &Run) -> Result<Shared> {
        Ok(Shared::default())
    }

    fn local(&self, run: &Run, _: &Shared) -> Result<Local> {
        Ok(Local {
            batches: Vec::new(),
            keys: self.spec.empty_keys(),
            cut: false,
            memory: Reservation::new(&run.memory),
            column_bytes: 0,
        })
    }

    fn push(&self, _: &Run, _: &Shared, local: &mut Local, mut batch: Batch) -> Result<()> {
        let limit = self.limit();
        if limit == 0 {
            return Ok(());
        }
        let rows = batch.rows();
        let mut keys = self.spec.encode(&mut |i| batch.column(i), rows)?;
        if local.cut {
            let better = keys.below(&local.keys, limit - 1);
            if better.is_empty() {
                return Ok(());
            }
            if better.len() < rows {
                keys = keys.take(&better);
                batch.select(UInt32Array::from(better));
            }
        }
        local.keys.append(&keys);
        let columns = batch.into_arrays()?;
        local.column_bytes += columns.iter().map(|c| array_bytes(c)).sum::<usize>();
        local.batches.push(columns);
        if local.keys.len() > limit.saturating_mul(TOP_SLACK).max(limit.saturating_add(TOP_SLACK_ROWS)) {
            self.cut(local)?;
        }
        local.memory.set(local.column_bytes + local.keys.bytes())
    }

    fn combine(&self, _: &Run, shared: &Shared, mut local: Local) -> Result<()> {
        if local.keys.len() == 0 {
            return Ok(());
        }
        if local.keys.len() > self.limit() {
            self.cut(&mut local)?;
        }
        let order = local.keys.sorted();
        local.memory.grow(4 * order.len())?;
        shared.memory.lock().push(local.memory);
        shared.parts.lock().push(Part { batches: local.batches, keys: local.keys, order });
        Ok(())
    }

    fn parts(&self, _: &Run, shared: &Shared) -> Result<usize> {
        *shared.columns.lock() = vec![None; self.types.len()];
        Ok(self.types.len() + 1)
    }

    fn part(&self, _: &Run, shared: &Shared, part: usize) -> Result<()> {
        if part < self.types.len() {
            let arrays: Vec<ArrayRef> =
                shared.parts.lock().iter().flat_map(|p| p.batches.iter().map(|b| b[part].clone())).collect();
            let joined = concat(&arrays, &self.types[part])?;
            shared.columns.lock()[part] = Some(joined);
            return Ok(());
        }
        let (mut keys, mut lists) = (self.spec.empty_keys(), Vec::new());
        for part in shared.parts.lock().iter_mut() {
            let base = keys.len() as u32;
            lists.push(
                std::mem::take(&mut part.order).into_iter().map(|row| row + base).collect::<Vec<u32>>(),
            );
            keys.append(&part.keys);
        }
        while lists.len() > 1 {
            lists = lists
                .chunks(2)
                .map(|pair| match pair {
                    [a, b] => keys.merge(a, b),
                    more => more.concat(),
                })
                .collect();
        }
        let mut order = lists.pop().unwrap_or_default();
        order.truncate(self.limit());
        *shared.order.lock() = order;
        Ok(())
    }

    fn finish(&self, run: &Run, shared: &Shared) -> Result<()> {
        shared.parts.lock().clear();
        let columns: Option<Vec<ArrayRef>> =
            std::mem::take(&mut *shared.columns.lock()).into_iter().collect();
        let columns = columns.ok_or_else(|| Error::internal("a sorted column is missing"))?;
        let order = Arc::new(UInt32Array::from(std::mem::take(&mut *shared.order.lock())));
        let memory = std::mem::take(&mut *shared.memory.lock());
        run.note_memory(self.node, memory.iter().map(Reservation::bytes).sum());
        run.put(self.slot, Arc::new(Sorted { columns, order, _memory: memory }))
    }
}

/// The source: rows in order, not gathered yet.
pub(crate) struct SortScan {
    /// Where the rows were published.
    pub(crate) slot: Slot<Sorted>,
}

impl Source for SortScan {
    type Shared = (Arc<Sorted>, AtomicUsize);
    type Local = usize;

    fn open(&self, run: &Run) -> Result<Self::Shared> {
        Ok((run.get(self.slot)?, AtomicUsize::new(0)))
    }

    fn parallelism(&self, _: &Self::Shared) -> usize {
        1
    }

    fn local(&self, _: &Run, _: &Self::Shared) -> Result<usize> {
        Ok(0)
    }

    fn morsel(&self, _: &Run, (_, next): &Self::Shared, at: &mut usize) -> Result<bool> {
        *at = 0;
        Ok(next.fetch_add(1, Ordering::Relaxed) == 0)
    }

    fn next(&self, run: &Run, (sorted, _): &Self::Shared, at: &mut usize) -> Result<Option<Batch>> {
        let rows = run.batch_size.min(sorted.order.len() - *at);
        if rows == 0 {
            return Ok(None);
        }
        let index = Arc::new(sorted.order.slice(*at, rows));
        *at += rows;
        let columns = sorted.columns.iter().map(|c| BatchColumn::indexed(c.clone(), index.clone())).collect();
        Ok(Some(Batch::from_columns(columns, rows)))
    }
}
