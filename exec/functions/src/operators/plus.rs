//! `+`

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::Function;
use spg_expr::arity::{ctx_map2, lanes1, map1, map2, try_map2};
use spg_simd::Int;
use spg_types::{Numeric, datetime};

use super::arithmetic::arithmetic;
use crate::arith::{float_sum, int_op};
use crate::decimal;
use crate::record::{FUNCTION, sig};

/// `+`
pub(super) static PLUS: Function = Function {
    name: "+",
    doc: "Sum; a date or time moved by a span; a number as it is.",
    example: ("2 + 3", "5"),
    signatures: arithmetic!(int_op Int::add, |b| float_sum, |x, y| x + y, [
        sig!([NUMERIC, NUMERIC] => of decimal::sum_type, |b| decimal::add(b, false)),
        sig!([DATE, INT4] => DATE, |b| try_map2::<i32, i32, i32>(b, datetime::add_days)),
        sig!([INT4, DATE] => DATE, |b| try_map2::<i32, i32, i32>(b, |d, date| datetime::add_days(date, d))),
        sig!([DATE, TIME] => TIMESTAMP, |b| try_map2::<i32, i64, i64>(b, crate::moment::date_plus_time)),
        sig!([TIME, DATE] => TIMESTAMP, |b| try_map2::<i64, i32, i64>(b, |t, d| crate::moment::date_plus_time(d, t))),
        sig!([DATE, INTERVAL] => TIMESTAMP, |b| try_map2::<i32, Interval, i64>(b, |d, i| {
            datetime::add_interval(datetime::date_to_timestamp(d)?, i)
        })),
        sig!([INTERVAL, DATE] => TIMESTAMP, |b| try_map2::<Interval, i32, i64>(b, |i, d| {
            datetime::add_interval(datetime::date_to_timestamp(d)?, i)
        })),
        sig!([TIMESTAMP, INTERVAL] => TIMESTAMP, |b| try_map2::<i64, Interval, i64>(b, datetime::add_interval)),
        sig!([INTERVAL, TIMESTAMP] => TIMESTAMP, |b| try_map2::<Interval, i64, i64>(b, |i, t| datetime::add_interval(t, i))),
        sig!([TIMESTAMPTZ, INTERVAL] => TIMESTAMPTZ, |b| ctx_map2::<i64, Interval, i64>(b, |ctx, t, i| {
            datetime::add_interval_tz(t, i, &ctx.format.time_zone).map(Some)
        })),
        sig!([INTERVAL, TIMESTAMPTZ] => TIMESTAMPTZ, |b| ctx_map2::<Interval, i64, i64>(b, |ctx, i, t| {
            datetime::add_interval_tz(t, i, &ctx.format.time_zone).map(Some)
        })),
        sig!([TIME, INTERVAL] => TIME, |b| map2::<i64, Interval, i64>(b, datetime::add_interval_to_time)),
        sig!([INTERVAL, TIME] => TIME, |b| map2::<Interval, i64, i64>(b, |i, t| datetime::add_interval_to_time(t, i))),
        sig!([INTERVAL, INTERVAL] => INTERVAL, |b| try_map2::<Interval, Interval, Interval>(b, datetime::add_intervals)),
        sig!([INT2] => INT2, |b| lanes1::<i16, i16>(b, |v| v)),
        sig!([INT4] => INT4, |b| lanes1::<i32, i32>(b, |v| v)),
        sig!([INT8] => INT8, |b| lanes1::<i64, i64>(b, |v| v)),
        sig!([FLOAT4] => FLOAT4, |b| lanes1::<f32, f32>(b, |v| v)),
        sig!([FLOAT8] => FLOAT8, |b| lanes1::<f64, f64>(b, |v| v)),
        sig!([NUMERIC] => of decimal::same, |b| map1::<Numeric, Numeric>(b, |v| v)),
    ]),
    ..FUNCTION
};
