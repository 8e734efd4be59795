//! Functions that choose among, or count, arguments that may be NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use spg_expr::{BindArgs, Column, Comparison, EvalContext, compare, flatten};
use spg_types::Result;

use crate::record::{functions, sig};

type Kernel = Arc<dyn spg_expr::Kernel>;

/// The argument that stands in that comparison to the others; NULL only when all are.
fn best(bind: &BindArgs<'_>, comparison: Comparison) -> Result<Kernel> {
    let types = bind.arg_types.to_vec();
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let mut best = args[0].clone();
        for (arg, ty) in args[1..].iter().zip(&types[1..]) {
            best = better(ctx, comparison, (&best, types[0]), (arg, *ty), rows)?;
        }
        Ok(best)
    }))
}

fn better(
    ctx: &EvalContext,
    comparison: Comparison,
    best: (&Column, spg_types::SqlType),
    other: (&Column, spg_types::SqlType),
    rows: usize,
) -> Result<Column> {
    let constant = matches!((best.0, other.0), (Column::Const(_), Column::Const(_)));
    let rows = if constant { 1 } else { rows };
    let wins = compare(ctx, comparison, other, best, rows)?.to_array(rows)?;
    let wins = wins.as_boolean();
    let (b, o) = (best.0.to_flat(rows)?, other.0.to_flat(rows)?);
    let take = BooleanBuffer::collect_bool(rows, |row| {
        o.is_valid(row) && (b.is_null(row) || (wins.is_valid(row) && wins.value(row)))
    });
    let array: ArrayRef = zip(&BooleanArray::new(take, None), &o, &b)?;
    Ok(if constant { Column::Const(array) } else { Column::Array(array) })
}

/// How many arguments are NULL, or are not.
fn count(bind: &BindArgs<'_>, nulls: bool) -> Result<Kernel> {
    let _ = bind;
    Ok(Arc::new(move |_: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let constant = args.iter().all(|a| matches!(a, Column::Const(_)));
        let rows = if constant { 1 } else { rows };
        let mut counts = vec![0i32; rows];
        for arg in args {
            let flat = flatten(arg.inner())?;
            let mask = if matches!(arg, Column::Const(_)) { 0 } else { usize::MAX };
            for (row, n) in counts.iter_mut().enumerate() {
                *n += i32::from(flat.is_null(row & mask) == nulls);
            }
        }
        let array: ArrayRef = Arc::new(Int32Array::from(counts));
        Ok(if constant { Column::Const(array) } else { Column::Array(array) })
    }))
}

functions! {
    LENIENT GREATEST: "greatest", "The greatest of the arguments that are not NULL.", "greatest(1, 3, NULL, 2)" => "3", [
        sig!([SAME ..] => SAME, |b| best(b, Comparison::Gt)),
    ];
    LENIENT LEAST: "least", "The least of the arguments that are not NULL.", "least(1, 3, NULL, 2)" => "1", [
        sig!([SAME ..] => SAME, |b| best(b, Comparison::Lt)),
    ];
    LENIENT NUM_NULLS: "num_nulls", "How many arguments are NULL.", "num_nulls(1, NULL, 2)" => "1", [
        sig!([ANY ..] => INT4, |b| count(b, true)),
    ];
    LENIENT NUM_NONNULLS: "num_nonnulls", "How many arguments are not NULL.", "num_nonnulls(1, NULL, 2)" => "2", [
        sig!([ANY ..] => INT4, |b| count(b, false)),
    ];
}
