//! The build rows of a join that have met a match, or none: what RIGHT, FULL and the joins that keep build rows add.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::UInt32Array;
use spg_expr::Column;
use spg_types::{Datum, Result, SqlType};

use super::table::JoinTable;
use crate::batch::{Batch, BatchColumn};
use crate::pipeline::{Sink, Source};
use crate::run::{Run, Slot};

/// Batches per morsel.
const MORSEL_BATCHES: usize = 4;

/// A column put out.
pub(crate) enum Out {
    /// A left column: NULL.
    Null(SqlType),
    /// A column of the build side.
    Build(usize),
}

/// The source of such rows.
pub(crate) struct BuildRows {
    /// Where the table was published.
    pub(crate) slot: Slot<JoinTable>,
    /// Rows with a match rather than without.
    pub(crate) matched: bool,
    /// Columns.
    pub(crate) columns: Vec<Out>,
}

impl Source for BuildRows {
    type Shared = (Arc<JoinTable>, AtomicUsize, usize);
    type Local = (usize, usize);

    fn open(&self, run: &Run) -> Result<Self::Shared> {
        Ok((run.get(self.slot)?, AtomicUsize::new(0), run.batch_size * MORSEL_BATCHES))
    }

    fn parallelism(&self, (table, _, morsel): &Self::Shared) -> usize {
        table.rows.div_ceil(*morsel)
    }

    fn local(&self, _: &Run, _: &Self::Shared) -> Result<Self::Local> {
        Ok((0, 0))
    }

    fn morsel(&self, _: &Run, (table, next, rows): &Self::Shared, local: &mut Self::Local) -> Result<bool> {
        let start = next.fetch_add(1, Ordering::Relaxed) * rows;
        *local = (start, (start + rows).min(table.rows));
        Ok(start < table.rows)
    }

    fn next(
        &self,
        run: &Run,
        (table, ..): &Self::Shared,
        (at, end): &mut Self::Local,
    ) -> Result<Option<Batch>> {
        if *at >= *end {
            return Ok(None);
        }
        let upto = (*at + run.batch_size).min(*end);
        let rows: Vec<u32> =
            (*at..upto).filter(|&row| table.is_marked(row) == self.matched).map(|row| row as u32).collect();
        *at = upto;
        let count = rows.len();
        let index = Arc::new(UInt32Array::from(rows));
        let columns = self
            .columns
            .iter()
            .map(|out| match out {
                Out::Null(ty) => Ok(BatchColumn::dense(Column::constant(&Datum::Null, *ty)?)),
                Out::Build(i) => Ok(BatchColumn::indexed(table.columns[*i].clone(), index.clone())),
            })
            .collect::<Result<_>>()?;
        Ok(Some(Batch::from_columns(columns, count)))
    }
}

/// The end of a probe side that only notes matches.
pub(crate) struct Discard;

impl Sink for Discard {
    type Shared = ();
    type Local = ();

    fn open(&self, _: &Run) -> Result<()> {
        Ok(())
    }

    fn local(&self, _: &Run, (): &()) -> Result<()> {
        Ok(())
    }

    fn push(&self, _: &Run, (): &(), (): &mut (), _: Batch) -> Result<()> {
        Ok(())
    }

    fn combine(&self, _: &Run, (): &(), (): ()) -> Result<()> {
        Ok(())
    }

    fn finish(&self, _: &Run, (): &()) -> Result<()> {
        Ok(())
    }
}
