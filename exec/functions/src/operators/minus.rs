//! `-`

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::Function;
use spg_expr::arity::{ctx_map2, lanes1, lanes2, map2, try_map1, try_map2};
use spg_simd::Int;
use spg_types::{Numeric, datetime};

use super::arithmetic::arithmetic;
use crate::arith::{float_sum, int_fn, int_op};
use crate::decimal;
use crate::record::{FUNCTION, sig};

/// `-`
pub(super) static MINUS: Function = Function {
    name: "-",
    doc: "Difference; the span between two moments; a date or time moved back; the negative of a number.",
    example: ("2 - 3", "-1"),
    signatures: arithmetic!(int_op Int::sub, |b| float_sum, |x, y| x - y, [
        sig!([NUMERIC, NUMERIC] => of decimal::sum_type, |b| decimal::add(b, true)),
        sig!([DATE, INT4] => DATE, |b| try_map2::<i32, i32, i32>(b, datetime::sub_days)),
        sig!([DATE, DATE] => INT4, |b| try_map2::<i32, i32, i32>(b, datetime::date_difference)),
        sig!([DATE, INTERVAL] => TIMESTAMP, |b| try_map2::<i32, Interval, i64>(b, |d, i| {
            datetime::sub_interval(datetime::date_to_timestamp(d)?, i)
        })),
        sig!([TIMESTAMP, INTERVAL] => TIMESTAMP, |b| try_map2::<i64, Interval, i64>(b, |t, i| {
            datetime::sub_interval(t, i)
        })),
        sig!([TIMESTAMPTZ, INTERVAL] => TIMESTAMPTZ, |b| ctx_map2::<i64, Interval, i64>(b, |ctx, t, i| {
            datetime::sub_interval_tz(t, i, &ctx.format.time_zone).map(Some)
        })),
        sig!([TIMESTAMP, TIMESTAMP] => INTERVAL, |b| try_map2::<i64, i64, Interval>(b, datetime::timestamp_difference)),
        sig!([TIMESTAMPTZ, TIMESTAMPTZ] => INTERVAL, |b| try_map2::<i64, i64, Interval>(b, datetime::timestamp_difference)),
        sig!([TIME, TIME] => INTERVAL, |b| lanes2::<i64, i64, Interval>(b, |x, y| {
            Interval { months: 0, days: 0, nanoseconds: x.wrapping_sub(y).wrapping_mul(1000) }
        })),
        sig!([TIME, INTERVAL] => TIME, |b| map2::<i64, Interval, i64>(b, |t, i| {
            datetime::sub_interval_from_time(t, i)
        })),
        sig!([INTERVAL, INTERVAL] => INTERVAL, |b| try_map2::<Interval, Interval, Interval>(b, datetime::sub_intervals)),
        sig!([INT2] => INT2, |b| int_fn::<i16>(b, Int::neg)),
        sig!([INT4] => INT4, |b| int_fn::<i32>(b, Int::neg)),
        sig!([INT8] => INT8, |b| int_fn::<i64>(b, Int::neg)),
        sig!([FLOAT4] => FLOAT4, |b| lanes1::<f32, f32>(b, |v| -v)),
        sig!([FLOAT8] => FLOAT8, |b| lanes1::<f64, f64>(b, |v| -v)),
        sig!([NUMERIC] => of decimal::same, |b| decimal::unary(b, i64::wrapping_neg, i128::wrapping_neg, |v: Numeric| v.neg())),
        sig!([INTERVAL] => INTERVAL, |b| try_map1::<Interval, Interval>(b, datetime::negate_interval)),
    ]),
    ..FUNCTION
};
