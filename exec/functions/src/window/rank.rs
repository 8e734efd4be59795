//! `row_number`, `rank`, `dense_rank`

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use spg_expr::{EvalContext, Partition, WindowFunction, WindowKernel};
use spg_types::Result;

use super::win;

/// A function of the partition's rows and peer groups alone.
pub(super) struct ByRow<T>(pub(super) fn(&Partition<'_>) -> Vec<T>);

impl WindowKernel for ByRow<i64> {
    fn eval(&self, _: &EvalContext, partition: &Partition<'_>) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from((self.0)(partition))))
    }
}

/// The 1-based number of the first row of each row's peer group.
pub(super) fn ranks(partition: &Partition<'_>) -> Vec<i64> {
    let mut first = 0;
    (0..partition.rows)
        .map(|row| {
            if row > 0 && partition.peers[row] != partition.peers[row - 1] {
                first = row;
            }
            first as i64 + 1
        })
        .collect()
}

/// `row_number`
pub(super) static ROW_NUMBER: WindowFunction = WindowFunction {
    name: "row_number",
    doc: "The number of the row within its partition, from 1.",
    example: ("row_number() OVER ()", "1"),
    uses_frame: false,
    signatures: &[win!([] 0 => INT8, |_| Ok(Arc::new(ByRow::<i64>(|p| (1..=p.rows as i64).collect()))))],
};

/// `rank`
pub(super) static RANK: WindowFunction = WindowFunction {
    name: "rank",
    doc: "The number of the row's first peer within the partition, so with gaps.",
    example: ("rank() OVER ()", "1"),
    uses_frame: false,
    signatures: &[win!([] 0 => INT8, |_| Ok(Arc::new(ByRow::<i64>(ranks))))],
};

/// `dense_rank`
pub(super) static DENSE_RANK: WindowFunction = WindowFunction {
    name: "dense_rank",
    doc: "The number of the row's peer group within the partition, so without gaps.",
    example: ("dense_rank() OVER ()", "1"),
    uses_frame: false,
    signatures: &[win!([] 0 => INT8, |_| {
        Ok(Arc::new(ByRow::<i64>(|p| {
            let first = p.peers.first().copied().unwrap_or(0);
            p.peers[..p.rows].iter().map(|peer| i64::from(peer - first) + 1).collect()
        })))
    })],
};
