//! `avg`

use spg_expr::Aggregate;

use super::groups::kernel;
use super::sum::numeric;
use super::total::{Finish, Spans, Total};
use super::{AGGREGATE, agg};

/// `avg`
pub(super) static AVG: Aggregate = Aggregate {
    name: "avg",
    doc: "The arithmetic mean of all values that are not NULL.",
    example: ("avg(x)", "2.0000000000000000"),
    signatures: &[
        agg!([INT8] => NUMERIC, |b| kernel(Total::<i64, i128>::new(b, Finish::Average))),
        agg!([INT4] => NUMERIC, |b| kernel(Total::<i32, i64>::new(b, Finish::Average))),
        agg!([INT2] => NUMERIC, |b| kernel(Total::<i16, i64>::new(b, Finish::Average))),
        agg!([NUMERIC] => NUMERIC, |b| numeric(b, Finish::Average)),
        agg!([FLOAT4] => FLOAT8, |b| kernel(Total::<f32, f64>::new(b, Finish::Average))),
        agg!([FLOAT8] => FLOAT8, |b| kernel(Total::<f64, f64>::new(b, Finish::Average))),
        agg!([INTERVAL] => INTERVAL, |b| kernel(Spans::new(b, Finish::Average))),
    ],
    ..AGGREGATE
};
