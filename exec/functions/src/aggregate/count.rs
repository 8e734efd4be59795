//! `count`

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array};
use spg_expr::{Aggregate, AggregateKernel, BindArgs, Column, EvalContext, GroupStates};
use spg_types::{Error, Result};

use super::{AGGREGATE, agg};

/// `count`
pub(super) static COUNT: Aggregate = Aggregate {
    name: "count",
    doc: "How many rows there are, or how many in which the argument is not NULL.",
    example: ("count(*)", "3"),
    zero_when_empty: true,
    signatures: &[agg!([] => INT8, bind), agg!([ANY] => INT8, bind)],
    ..AGGREGATE
};

fn bind(_: &BindArgs<'_>) -> Result<Arc<dyn AggregateKernel>> {
    Ok(Arc::new(|| -> Box<dyn GroupStates> { Box::<Counts>::default() }))
}

#[derive(Default)]
struct Counts(Vec<i64>);

impl GroupStates for Counts {
    fn resize(&mut self, groups: usize) {
        self.0.resize(groups, 0);
    }

    fn update(&mut self, _: &EvalContext, args: &[Column], groups: &[u32]) -> Result<()> {
        let counts = &mut self.0[..];
        match args.first() {
            Some(Column::Const(a)) if a.is_null(0) => {}
            Some(Column::Array(a)) if let Some(nulls) = a.logical_nulls().filter(|n| n.null_count() > 0) => {
                for (group, valid) in groups.iter().zip(nulls.iter()) {
                    counts[*group as usize] += i64::from(valid);
                }
            }
            _ => {
                for group in groups {
                    counts[*group as usize] += 1;
                }
            }
        }
        Ok(())
    }

    fn update_single(&mut self, _: &EvalContext, args: &[Column], group: u32, rows: usize) -> Result<()> {
        let nulls = match args.first() {
            Some(Column::Const(a)) if a.is_null(0) => rows,
            Some(Column::Array(a)) => a.logical_null_count(),
            _ => 0,
        };
        self.0[group as usize] += (rows - nulls) as i64;
        Ok(())
    }

    fn merge(&mut self, other: &dyn GroupStates, from: &[u32], to: &[u32]) -> Result<()> {
        let other: &Self =
            other.as_any().downcast_ref().ok_or_else(|| Error::internal("states of another aggregate"))?;
        for (f, t) in from.iter().zip(to) {
            self.0[*t as usize] += other.0[*f as usize];
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(self.0.clone())))
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<i64>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
