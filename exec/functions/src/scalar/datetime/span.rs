//! Spans of time: `age`, `justify_days` and the like, `isfinite`.

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::arity::{ctx_map1, ctx_map2, map1, try_map1, try_map2};
use spg_types::datetime::{
    DATE_INFINITY, DATE_NEG_INFINITY, US_PER_DAY, age, is_infinite, justify_days, justify_hours,
    justify_interval, split_timestamp, utc_to_local,
};

use crate::record::{functions, sig};

functions! {
    SETTING AGE: "age", "The span between two moments in years, months and days; with one argument, up to the start of today.", "age(timestamp '2001-04-10', timestamp '1957-06-13')" => "43 years 9 mons 27 days", [
        sig!([TIMESTAMP, TIMESTAMP] => INTERVAL, |b| try_map2::<i64, i64, Interval>(b, age)),
        sig!([TIMESTAMPTZ, TIMESTAMPTZ] => INTERVAL, |b| ctx_map2::<i64, i64, Interval>(b, |ctx, x, y| {
            let zone = &ctx.format.time_zone;
            age(utc_to_local(zone, x), utc_to_local(zone, y)).map(Some)
        })),
        sig!([TIMESTAMP] => INTERVAL, |b| ctx_map1::<i64, Interval>(b, |ctx, v| age(today(ctx), v).map(Some))),
        sig!([TIMESTAMPTZ] => INTERVAL, |b| ctx_map1::<i64, Interval>(b, |ctx, v| {
            age(today(ctx), utc_to_local(&ctx.format.time_zone, v)).map(Some)
        })),
    ];
    FUNCTION JUSTIFY_DAYS: "justify_days", "The interval with 30 days counted as a month.", "justify_days(interval '1 year 65 days')" => "1 year 2 mons 5 days", [
        sig!([INTERVAL] => INTERVAL, |b| try_map1::<Interval, Interval>(b, justify_days)),
    ];
    FUNCTION JUSTIFY_HOURS: "justify_hours", "The interval with 24 hours counted as a day.", "justify_hours(interval '50 hours 10 minutes')" => "2 days 02:10:00", [
        sig!([INTERVAL] => INTERVAL, |b| try_map1::<Interval, Interval>(b, justify_hours)),
    ];
    FUNCTION JUSTIFY_INTERVAL: "justify_interval", "The interval with 24 hours counted as a day, 30 days as a month, and one sign.", "justify_interval(interval '1 mon -1 hour')" => "29 days 23:00:00", [
        sig!([INTERVAL] => INTERVAL, |b| try_map1::<Interval, Interval>(b, justify_interval)),
    ];
    TOTAL ISFINITE: "isfinite", "Whether the moment is not one of the infinities.", "isfinite(date '2001-02-16')" => "t", [
        sig!([DATE] => BOOL, |b| map1::<i32, bool>(b, |d| d != DATE_INFINITY && d != DATE_NEG_INFINITY)),
        sig!([TIMESTAMP] => BOOL, |b| map1::<i64, bool>(b, |t| !is_infinite(t))),
        sig!([TIMESTAMPTZ] => BOOL, |b| map1::<i64, bool>(b, |t| !is_infinite(t))),
        sig!([INTERVAL] => BOOL, |b| map1::<Interval, bool>(b, |_| true)),
    ];
}

/// Local midnight at the start of the transaction's day.
fn today(ctx: &spg_expr::EvalContext) -> i64 {
    i64::from(split_timestamp(utc_to_local(&ctx.format.time_zone, ctx.format.now_us)).0) * US_PER_DAY
}
