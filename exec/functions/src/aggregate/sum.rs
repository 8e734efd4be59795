//! `sum`

use std::sync::Arc;

use spg_expr::{Aggregate, AggregateKernel, BindArgs};
use spg_types::{Result, SqlType, def};

use super::groups::kernel;
use super::total::{Finish, Numerics, Spans, Total, Wide};
use super::{AGGREGATE, agg};
use crate::decimal::fixed;

/// `sum`
pub(super) static SUM: Aggregate = Aggregate {
    name: "sum",
    doc: "The sum of all values that are not NULL.",
    example: ("sum(x)", "6"),
    signatures: &[
        agg!([INT8] => NUMERIC, |b| kernel(Total::<i64, i128>::new(b, Finish::Sum))),
        agg!([INT4] => INT8, |b| kernel(Total::<i32, i64>::new(b, Finish::Sum))),
        agg!([INT2] => INT8, |b| kernel(Total::<i16, i64>::new(b, Finish::Sum))),
        agg!([FLOAT4] => FLOAT4, |b| kernel(Total::<f32, f32>::new(b, Finish::Sum))),
        agg!([FLOAT8] => FLOAT8, |b| kernel(Total::<f64, f64>::new(b, Finish::Sum))),
        agg!([NUMERIC] => of sum_type, |b| numeric(b, Finish::Sum)),
        agg!([INTERVAL] => INTERVAL, |b| kernel(Spans::new(b, Finish::Sum))),
    ],
    ..AGGREGATE
};

/// Digits that a sum may have more than its summands: 10^10 rows.
const MORE_DIGITS: u32 = 10;

/// A fixed scale, as long as no number of rows can exceed it.
fn sum_type(args: &[SqlType]) -> SqlType {
    match args.first().and_then(|a| a.precision_scale()) {
        Some((p, s)) if p.max(s) + MORE_DIGITS <= 38 => SqlType::numeric(38, s),
        _ => SqlType::new(&def::NUMERIC),
    }
}

/// Totals of `numeric` in the narrowest integers that cannot overflow.
pub(super) fn numeric(bind: &BindArgs<'_>, finish: Finish) -> Result<Arc<dyn AggregateKernel>> {
    let argument = bind.arg_types[0];
    match (fixed(argument), argument.precision_scale()) {
        (Some((_, false)), Some((p, s))) if p.max(s) + MORE_DIGITS <= 18 => {
            kernel(Total::<i64, i64>::new(bind, finish))
        }
        (Some((_, false)), _) => kernel(Total::<i64, i128>::new(bind, finish)),
        (Some((_, true)), _) => kernel(Total::<i128, Wide>::new(bind, finish)),
        (None, _) => kernel(Numerics::new(bind, finish)),
    }
}
