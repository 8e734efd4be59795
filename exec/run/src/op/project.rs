//! Computes columns.

use spg_types::Result;

use crate::batch::{Batch, BatchColumn};
use crate::pipeline::Map;
use crate::run::Run;
use crate::scalar::Scalar;

/// A projection.
pub(crate) struct Project {
    /// One expression per column put out.
    pub(crate) exprs: Vec<Scalar>,
}

impl Map for Project {
    fn map(&self, run: &Run, mut batch: Batch) -> Result<Option<Batch>> {
        // Computed columns first: they gather their inputs, which columns that pass through then share.
        let computed = self
            .exprs
            .iter()
            .map(|e| match e.as_column() {
                Some(_) => Ok(None),
                None => e.eval(&run.ctx, &mut batch).map(|c| Some(BatchColumn::dense(c))),
            })
            .collect::<Result<Vec<_>>>()?;
        let rows = batch.rows();
        let columns = self
            .exprs
            .iter()
            .zip(computed)
            .map(|(e, computed)| match (e.as_column(), computed) {
                (Some(i), _) => batch.raw(i).cloned(),
                (None, Some(column)) => Ok(column),
                (None, None) => Err(spg_types::Error::internal("a projection has no value")),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Some(Batch::from_columns(columns, rows)))
    }
}
