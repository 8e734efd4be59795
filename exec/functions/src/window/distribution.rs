//! `percent_rank`, `cume_dist`, `ntile`

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array};
use arrow::datatypes::Int32Type;
use spg_expr::{EvalContext, Partition, WindowFunction, WindowKernel, flatten};
use spg_types::{Error, Result, SqlState};

use super::rank::{ByRow, ranks};
use super::win;

impl WindowKernel for ByRow<f64> {
    fn eval(&self, _: &EvalContext, partition: &Partition<'_>) -> Result<ArrayRef> {
        Ok(Arc::new(Float64Array::from((self.0)(partition))))
    }
}

/// `percent_rank`
pub(super) static PERCENT_RANK: WindowFunction = WindowFunction {
    name: "percent_rank",
    doc: "The rank among the others: (rank - 1) / (rows - 1).",
    example: ("percent_rank() OVER ()", "0"),
    uses_frame: false,
    signatures: &[win!([] 0 => FLOAT8, |_| {
        Ok(Arc::new(ByRow::<f64>(|p| {
            let others = p.rows.saturating_sub(1) as f64;
            ranks(p).into_iter().map(|r| if others == 0.0 { 0.0 } else { (r - 1) as f64 / others }).collect()
        })))
    })],
};

/// `cume_dist`
pub(super) static CUME_DIST: WindowFunction = WindowFunction {
    name: "cume_dist",
    doc: "The share of rows that come before the row or are its peers.",
    example: ("cume_dist() OVER ()", "1"),
    uses_frame: false,
    signatures: &[win!([] 0 => FLOAT8, |_| {
        Ok(Arc::new(ByRow::<f64>(|p| {
            let mut out = vec![0.0; p.rows];
            let mut last = p.rows;
            for row in (0..p.rows).rev() {
                if row + 1 < p.rows && p.peers[row] != p.peers[row + 1] {
                    last = row + 1;
                }
                out[row] = last as f64 / p.rows as f64;
            }
            out
        })))
    })],
};

struct Ntile;

impl WindowKernel for Ntile {
    fn eval(&self, _: &EvalContext, partition: &Partition<'_>) -> Result<ArrayRef> {
        // The number of buckets is that of the first row.
        let buckets = flatten(partition.args[0].inner())?;
        if partition.rows == 0 || buckets.is_null(0) {
            return Ok(Arc::new(Int32Array::new_null(partition.rows)));
        }
        let buckets = buckets.as_primitive::<Int32Type>().value(0);
        if buckets <= 0 {
            let message = "argument of ntile must be greater than zero";
            return Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_NTILE, message));
        }
        // The first buckets take one row more when rows do not divide evenly.
        let (small, larger) = (partition.rows / buckets as usize, partition.rows % buckets as usize);
        let boundary = larger * (small + 1);
        let bucket = |row: usize| {
            if row < boundary { row / (small + 1) } else { larger + (row - boundary) / small.max(1) }
        };
        Ok(Arc::new(Int32Array::from_iter_values((0..partition.rows).map(|row| bucket(row) as i32 + 1))))
    }
}

/// `ntile`
pub(super) static NTILE: WindowFunction = WindowFunction {
    name: "ntile",
    doc: "The number of the row's bucket when the partition is divided as evenly as possible.",
    example: ("ntile(4) OVER ()", "1"),
    uses_frame: false,
    signatures: &[win!([INT4] 0 => INT4, |_| Ok(Arc::new(Ntile)))],
};
