//! INTERSECT and EXCEPT: rows are grouped, each side's rows counted, and each group put out as often as the counts say.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::datatypes::Int64Type;
use spg_expr::{AggregateKernel, Column, EvalContext, GroupStates};
use spg_plan::SetOpKind;
use spg_types::{Error, Result};

use crate::batch::Batch;
use crate::pipeline::Map;
use crate::run::Run;

/// Adds the number of the input that rows come from.
pub(crate) struct Tag {
    /// Positions of the columns that are compared.
    pub(crate) columns: Vec<usize>,
    /// 0 for the left input, 1 for the right.
    pub(crate) side: i64,
}

impl Map for Tag {
    fn map(&self, _: &Run, batch: Batch) -> Result<Option<Batch>> {
        let mut batch = batch.project(&self.columns)?;
        let side = Arc::new(Int64Array::from(vec![self.side]));
        batch.push(crate::batch::BatchColumn::dense(Column::Const(side)));
        Ok(Some(batch))
    }
}

/// Counts rows per side; the result is how often the row is put out.
#[derive(Clone, Copy)]
pub(crate) struct Copies {
    /// Which operation.
    pub(crate) kind: SetOpKind,
    /// `ALL`.
    pub(crate) all: bool,
}

impl AggregateKernel for Copies {
    fn states(&self) -> Box<dyn GroupStates> {
        Box::new(Sides { of: *self, counts: Vec::new() })
    }
}

struct Sides {
    of: Copies,
    counts: Vec<[i64; 2]>,
}

impl GroupStates for Sides {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups, [0; 2]);
    }

    fn update(&mut self, _: &EvalContext, args: &[Column], groups: &[u32]) -> Result<()> {
        let sides =
            args.first().ok_or_else(|| Error::internal("rows have no side"))?.to_array(groups.len())?;
        let sides =
            sides.as_primitive_opt::<Int64Type>().ok_or_else(|| Error::internal("a side is no number"))?;
        for (side, group) in sides.values().iter().zip(groups) {
            self.counts[*group as usize][usize::from(*side != 0)] += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn GroupStates, from: &[u32], to: &[u32]) -> Result<()> {
        let other: &Sides =
            other.as_any().downcast_ref().ok_or_else(|| Error::internal("states of another aggregate"))?;
        for (f, t) in from.iter().zip(to) {
            let add = other.counts[*f as usize];
            let counts = &mut self.counts[*t as usize];
            counts[0] += add[0];
            counts[1] += add[1];
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<ArrayRef> {
        let copies = self.counts.iter().map(|[left, right]| match (self.of.kind, self.of.all) {
            (SetOpKind::Intersect, true) => *left.min(right),
            (SetOpKind::Intersect, false) => i64::from(*left > 0 && *right > 0),
            (SetOpKind::Except, true) => (left - right).max(0),
            (SetOpKind::Except, false) => i64::from(*left > 0 && *right == 0),
        });
        Ok(Arc::new(Int64Array::from_iter_values(copies)))
    }

    fn bytes(&self) -> usize {
        16 * self.counts.capacity()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Puts out each row as often as its last column says, without that column.
pub(crate) struct Repeat;

impl Map for Repeat {
    fn map(&self, _: &Run, mut batch: Batch) -> Result<Option<Batch>> {
        let last = batch.width().checked_sub(1).ok_or_else(|| Error::internal("rows have no count"))?;
        let copies = batch.array(last)?;
        let copies =
            copies.as_primitive_opt::<Int64Type>().ok_or_else(|| Error::internal("a count is no number"))?;
        let mut rows: Vec<u32> = Vec::new();
        for (row, n) in copies.values().iter().enumerate() {
            rows.resize(rows.len() + (*n).max(0) as usize, row as u32);
        }
        let mut batch = batch.project(&(0..last).collect::<Vec<_>>())?;
        batch.select(UInt32Array::from(rows));
        Ok((batch.rows() > 0).then_some(batch))
    }
}

/// Only some columns, in an order.
pub(crate) struct Reorder(pub(crate) Vec<usize>);

impl Map for Reorder {
    fn map(&self, _: &Run, batch: Batch) -> Result<Option<Batch>> {
        batch.project(&self.0).map(Some)
    }
}
