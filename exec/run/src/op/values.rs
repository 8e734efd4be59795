//! Rows of expressions.

use std::sync::atomic::{AtomicUsize, Ordering};

use spg_expr::{Column, Expr};
use spg_types::{ColumnBuilder, Datum, Error, Result, SqlType};

use crate::batch::Batch;
use crate::pipeline::Source;
use crate::run::Run;
use crate::scalar::Scalar;

enum Cell {
    Value(Datum),
    Param(usize),
    Computed(Scalar),
}

/// VALUES: constants and parameters are appended as they are, anything else is computed.
pub(crate) struct Values {
    types: Vec<SqlType>,
    /// Row by row.
    cells: Vec<Cell>,
    rows: usize,
}

impl Values {
    /// Rows of one expression per type.
    pub(crate) fn new<'a, R>(types: Vec<SqlType>, rows: impl Iterator<Item = R>) -> Result<Self>
    where
        R: Iterator<Item = &'a Expr>,
    {
        let mut cells = Vec::new();
        let mut count = 0;
        for row in rows {
            count += 1;
            for expr in row {
                cells.push(match expr {
                    Expr::Const { value, .. } => Cell::Value(value.clone()),
                    Expr::Param { index, .. } => Cell::Param(*index),
                    other => Cell::Computed(Scalar::constant(other)?),
                });
            }
        }
        Ok(Self { types, cells, rows: count })
    }

    /// No rows and no columns.
    pub(crate) fn none() -> Self {
        Self { types: Vec::new(), cells: Vec::new(), rows: 0 }
    }

    fn batch(&self, run: &Run, from: usize, rows: usize) -> Result<Batch> {
        let width = self.types.len();
        let columns = (0..width).map(|c| {
            let mut builder = ColumnBuilder::new(self.types[c], rows);
            for row in from..from + rows {
                match &self.cells[row * width + c] {
                    Cell::Value(v) => builder.append_datum(v)?,
                    Cell::Param(i) => builder.append_datum(param(run, *i)?)?,
                    Cell::Computed(s) => builder.append_datum(&s.value(&run.ctx)?)?,
                }
            }
            Ok(Column::Array(builder.finish()))
        });
        Ok(Batch::new(columns.collect::<Result<_>>()?, rows))
    }
}

fn param(run: &Run, index: usize) -> Result<&Datum> {
    run.ctx.params.get(index).ok_or_else(|| Error::internal(format!("there is no value for ${}", index + 1)))
}

impl Source for Values {
    type Shared = AtomicUsize;
    type Local = (usize, usize);

    fn open(&self, _: &Run) -> Result<AtomicUsize> {
        Ok(AtomicUsize::new(0))
    }

    fn parallelism(&self, _: &AtomicUsize) -> usize {
        1
    }

    fn local(&self, _: &Run, _: &AtomicUsize) -> Result<(usize, usize)> {
        Ok((0, 0))
    }

    fn morsel(&self, _: &Run, shared: &AtomicUsize, local: &mut (usize, usize)) -> Result<bool> {
        *local = (0, self.rows);
        Ok(self.rows > 0 && shared.fetch_add(1, Ordering::Relaxed) == 0)
    }

    fn next(&self, run: &Run, _: &AtomicUsize, (at, end): &mut (usize, usize)) -> Result<Option<Batch>> {
        let rows = run.batch_size.min(*end - *at);
        if rows == 0 {
            return Ok(None);
        }
        *at += rows;
        self.batch(run, *at - rows, rows).map(Some)
    }
}
