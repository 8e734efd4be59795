//! Values of other rows: `lag`, `lead`, `first_value`, `last_value`, `nth_value`

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::take;
use arrow::datatypes::Int32Type;
use spg_expr::{EvalContext, Partition, WindowFunction, WindowKernel};
use spg_types::{Error, Result, SqlState};

use super::win;

/// `lag` (-1) and `lead` (1).
struct Shift(i64);

impl WindowKernel for Shift {
    fn eval(&self, _: &EvalContext, partition: &Partition<'_>) -> Result<ArrayRef> {
        let rows = partition.rows;
        let values = partition.args[0].to_flat(rows)?;
        let offsets = match partition.args.get(1) {
            Some(offset) => Some(offset.to_flat(rows)?),
            None => None,
        };
        let offset = |row: usize| match &offsets {
            None => Some(1),
            Some(o) if o.is_null(row) => None,
            Some(o) => Some(i64::from(o.as_primitive::<Int32Type>().value(row))),
        };
        // Where the other row is, and which rows have an offset that leads out of the partition.
        let mut outside = vec![false; rows];
        let indices: UInt32Array = (0..rows)
            .map(|row| {
                let target = row as i64 + self.0 * offset(row)?;
                if (0..rows as i64).contains(&target) {
                    return Some(target as u32);
                }
                outside[row] = true;
                None
            })
            .collect();
        let shifted = take(&values, &indices, None)?;
        match partition.args.get(2) {
            Some(default) if outside.contains(&true) => {
                Ok(zip(&BooleanArray::from(outside), &default.to_flat(rows)?, &shifted)?)
            }
            _ => Ok(shifted),
        }
    }
}

/// `lag`
pub(super) static LAG: WindowFunction = WindowFunction {
    name: "lag",
    doc: "The value of the row that many rows (1) before; the default (NULL) where there is none.",
    example: ("lag(1) OVER ()", ""),
    uses_frame: false,
    signatures: &[win!([SAME, INT4, SAME] 2 => SAME, |_| Ok(Arc::new(Shift(-1))))],
};

/// `lead`
pub(super) static LEAD: WindowFunction = WindowFunction {
    name: "lead",
    doc: "The value of the row that many rows (1) after; the default (NULL) where there is none.",
    example: ("lead(1, 1, 7) OVER ()", "7"),
    uses_frame: false,
    signatures: &[win!([SAME, INT4, SAME] 2 => SAME, |_| Ok(Arc::new(Shift(1))))],
};

/// The row of the frame that counts.
enum Pick {
    First,
    Last,
    Nth,
}

impl WindowKernel for Pick {
    fn eval(&self, _: &EvalContext, partition: &Partition<'_>) -> Result<ArrayRef> {
        let rows = partition.rows;
        let values = partition.args[0].to_flat(rows)?;
        let nth = match self {
            Pick::Nth => Some(partition.args[1].to_flat(rows)?),
            _ => None,
        };
        let mut indices = Vec::with_capacity(rows);
        for (row, (start, end)) in partition.frames.iter().copied().enumerate().take(rows) {
            let wanted = match (self, &nth) {
                (Pick::First, _) => Some(start),
                (Pick::Last, _) => end.checked_sub(1),
                (Pick::Nth, Some(n)) if n.is_valid(row) => {
                    let n = n.as_primitive::<Int32Type>().value(row);
                    let place = u32::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
                        let message = "argument of nth_value must be greater than zero";
                        Error::new(SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE, message)
                    })?;
                    start.checked_add(place - 1)
                }
                (Pick::Nth, _) => None,
            };
            indices.push(wanted.filter(|row| (start..end).contains(row)));
        }
        Ok(take(&values, &UInt32Array::from(indices), None)?)
    }
}

/// `first_value`
pub(super) static FIRST_VALUE: WindowFunction = WindowFunction {
    name: "first_value",
    doc: "The value of the frame's first row.",
    example: ("first_value(7) OVER ()", "7"),
    uses_frame: true,
    signatures: &[win!([SAME] 0 => SAME, |_| Ok(Arc::new(Pick::First)))],
};

/// `last_value`
pub(super) static LAST_VALUE: WindowFunction = WindowFunction {
    name: "last_value",
    doc: "The value of the frame's last row.",
    example: ("last_value(7) OVER ()", "7"),
    uses_frame: true,
    signatures: &[win!([SAME] 0 => SAME, |_| Ok(Arc::new(Pick::Last)))],
};

/// `nth_value`
pub(super) static NTH_VALUE: WindowFunction = WindowFunction {
    name: "nth_value",
    doc: "The value of the frame's n-th row; NULL where it has fewer.",
    example: ("nth_value(7, 1) OVER ()", "7"),
    uses_frame: true,
    signatures: &[win!([SAME, INT4] 0 => SAME, |_| Ok(Arc::new(Pick::Nth)))],
};
