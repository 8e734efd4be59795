//! Rows kept in memory: WITH, shared subplans, the working table of a recursion.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use spg_expr::Column;
use spg_types::Result;

use crate::batch::Batch;
use crate::gather::array_bytes;
use crate::memory::Reservation;
use crate::pipeline::{Sink, Source};
use crate::run::{Run, Slot};

/// Rows as they came, batch by batch.
pub(crate) struct Materialized {
    /// Columns and rows of each batch.
    pub(crate) batches: Vec<(Vec<Column>, usize)>,
    /// What they take.
    pub(crate) memory: Vec<Reservation>,
}

impl Materialized {
    /// Rows that are accounted for elsewhere or not at all.
    pub(crate) fn new(batches: Vec<(Vec<Column>, usize)>) -> Self {
        Self { batches, memory: Vec::new() }
    }
}

/// Bytes that the columns of a batch take.
pub(crate) fn columns_bytes(columns: &[Column]) -> usize {
    columns.iter().map(|c| array_bytes(c.inner())).sum()
}

/// Keeps its input.
pub(crate) struct Materialize {
    /// Positions of the columns to keep.
    pub(crate) columns: Vec<usize>,
    /// Where the rows are published.
    pub(crate) slot: Slot<Materialized>,
}

impl Sink for Materialize {
    type Shared = Mutex<Materialized>;
    type Local = (Vec<(Vec<Column>, usize)>, Reservation);

    fn open(&self, _: &Run) -> Result<Self::Shared> {
        Ok(Mutex::new(Materialized::new(Vec::new())))
    }

    fn local(&self, run: &Run, _: &Self::Shared) -> Result<Self::Local> {
        Ok((Vec::new(), Reservation::new(&run.memory)))
    }

    fn push(&self, _: &Run, _: &Self::Shared, local: &mut Self::Local, batch: Batch) -> Result<()> {
        let (columns, rows) = batch.project(&self.columns)?.into_dense()?;
        local.1.grow(columns_bytes(&columns))?;
        local.0.push((columns, rows));
        Ok(())
    }

    fn combine(&self, _: &Run, shared: &Self::Shared, local: Self::Local) -> Result<()> {
        let mut all = shared.lock();
        all.batches.extend(local.0);
        all.memory.push(local.1);
        Ok(())
    }

    fn finish(&self, run: &Run, shared: &Self::Shared) -> Result<()> {
        let rows = std::mem::replace(&mut *shared.lock(), Materialized::new(Vec::new()));
        run.put(self.slot, Arc::new(rows))
    }
}

/// Reads kept rows.
pub(crate) struct MaterializedScan {
    /// Where they were published.
    pub(crate) slot: Slot<Materialized>,
    /// Positions of the columns to put out.
    pub(crate) columns: Vec<usize>,
}

/// A worker's place: batch, row.
type Place = (usize, usize);

impl Source for MaterializedScan {
    type Shared = (Arc<Materialized>, AtomicUsize);
    type Local = Place;

    fn open(&self, run: &Run) -> Result<Self::Shared> {
        Ok((run.get(self.slot)?, AtomicUsize::new(0)))
    }

    fn parallelism(&self, (rows, _): &Self::Shared) -> usize {
        rows.batches.len()
    }

    fn local(&self, _: &Run, _: &Self::Shared) -> Result<Place> {
        Ok((0, 0))
    }

    fn morsel(&self, _: &Run, (rows, next): &Self::Shared, place: &mut Place) -> Result<bool> {
        *place = (next.fetch_add(1, Ordering::Relaxed), 0);
        Ok(place.0 < rows.batches.len())
    }

    fn next(&self, run: &Run, (kept, _): &Self::Shared, (batch, at): &mut Place) -> Result<Option<Batch>> {
        let (columns, rows) = &kept.batches[*batch];
        let take = run.batch_size.min(rows - *at);
        if take == 0 {
            return Ok(None);
        }
        let slice = |&i: &usize| match (*at, take == *rows) {
            (0, true) => columns[i].clone(),
            _ => columns[i].slice(*at, take),
        };
        let columns = self.columns.iter().map(slice).collect();
        *at += take;
        Ok(Some(Batch::new(columns, take)))
    }
}
