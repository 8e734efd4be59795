//! Reads a system relation: its rows are made when the pipeline opens, and handed out in slices.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef};
use spg_expr::{Column, SystemRelation};
use spg_types::Result;

use crate::batch::Batch;
use crate::pipeline::Source;
use crate::run::Run;

/// A scan of a system relation.
pub(crate) struct SystemScan {
    /// The relation.
    pub(crate) relation: &'static SystemRelation,
    /// Positions of the columns put out.
    pub(crate) columns: Vec<usize>,
}

/// The rows, and how many of them are handed out.
pub(crate) struct Shared {
    columns: Vec<ArrayRef>,
    rows: usize,
    next: AtomicUsize,
}

impl Source for SystemScan {
    type Shared = Shared;
    /// Whether the morsel's batch is still to come, and where it begins.
    type Local = Option<usize>;

    fn open(&self, run: &Run) -> Result<Shared> {
        let all = run.system.rows(self.relation, &run.snapshot)?;
        let rows = all.first().map_or(0, |c| c.len());
        let columns = self.columns.iter().map(|at| all[*at].clone()).collect();
        Ok(Shared { columns, rows, next: AtomicUsize::new(0) })
    }

    fn parallelism(&self, _: &Shared) -> usize {
        1
    }

    fn local(&self, _: &Run, _: &Shared) -> Result<Option<usize>> {
        Ok(None)
    }

    fn morsel(&self, run: &Run, shared: &Shared, local: &mut Option<usize>) -> Result<bool> {
        let start = shared.next.fetch_add(run.batch_size, Ordering::Relaxed);
        *local = (start < shared.rows).then_some(start);
        Ok(local.is_some())
    }

    fn next(&self, run: &Run, shared: &Shared, local: &mut Option<usize>) -> Result<Option<Batch>> {
        let Some(start) = local.take() else { return Ok(None) };
        let rows = run.batch_size.min(shared.rows - start);
        let columns = shared.columns.iter().map(|c| Column::Array(c.slice(start, rows))).collect();
        Ok(Some(Batch::new(columns, rows)))
    }
}
