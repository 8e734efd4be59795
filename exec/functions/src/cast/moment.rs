//! Casts between dates, times and intervals.

use std::sync::Arc;

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::arity::{ctx_map1, lanes1, map1, try_map1};
use spg_expr::{BindArgs, CastDef, Kernel};
use spg_types::datetime::{
    US_PER_DAY, date_to_timestamp, fit_interval, interval_us, is_infinite, local_to_utc, round_us,
    split_timestamp, timestamp_to_date, utc_to_local,
};
use spg_types::{Result, SqlType};

use super::cast;

pub(super) static LIST: &[CastDef] = &[
    cast!(DATE, TIMESTAMP, Implicit, |b, _| {
        let ty = b.return_type;
        try_map1::<i32, i64>(b, move |d| Ok(rounded(date_to_timestamp(d)?, ty)))
    }),
    cast!(DATE, TIMESTAMPTZ, Implicit, |b, _| ctx_map1::<i32, i64>(b, |ctx, d| {
        date_to_timestamp(d).map(|t| Some(local_to_utc(&ctx.format.time_zone, t)))
    })),
    cast!(TIMESTAMP, DATE, Assignment, |b, _| map1::<i64, i32>(b, timestamp_to_date)),
    cast!(TIMESTAMP, TIME, Assignment, |b, _| {
        let ty = b.return_type;
        spg_expr::arity::opt_map1::<i64, i64>(b, move |t| {
            Ok((!is_infinite(t)).then(|| rounded(split_timestamp(t).1, ty)))
        })
    }),
    cast!(TIMESTAMP, TIMESTAMP, Implicit, |b, _| round(b)),
    cast!(TIMESTAMP, TIMESTAMPTZ, Implicit, |b, _| {
        let ty = b.return_type;
        ctx_map1::<i64, i64>(b, move |ctx, t| Ok(Some(rounded(local_to_utc(&ctx.format.time_zone, t), ty))))
    }),
    cast!(TIMESTAMPTZ, DATE, Assignment, |b, _| ctx_map1::<i64, i32>(b, |ctx, t| {
        Ok(Some(timestamp_to_date(utc_to_local(&ctx.format.time_zone, t))))
    })),
    cast!(TIMESTAMPTZ, TIME, Assignment, |b, _| {
        let ty = b.return_type;
        ctx_map1::<i64, i64>(b, move |ctx, t| {
            let local = utc_to_local(&ctx.format.time_zone, t);
            Ok((!is_infinite(t)).then(|| rounded(split_timestamp(local).1, ty)))
        })
    }),
    cast!(TIMESTAMPTZ, TIMESTAMP, Assignment, |b, _| {
        let ty = b.return_type;
        ctx_map1::<i64, i64>(b, move |ctx, t| Ok(Some(rounded(utc_to_local(&ctx.format.time_zone, t), ty))))
    }),
    cast!(TIMESTAMPTZ, TIMESTAMPTZ, Implicit, |b, _| round(b)),
    cast!(TIME, TIME, Implicit, |b, _| round(b)),
    cast!(TIME, INTERVAL, Implicit, |b, _| lanes1::<i64, Interval>(b, |t| {
        Interval { months: 0, days: 0, nanoseconds: t.wrapping_mul(1000) }
    })),
    cast!(INTERVAL, TIME, Assignment, |b, _| map1::<Interval, i64>(b, |v| interval_us(v)
        .rem_euclid(US_PER_DAY))),
    cast!(INTERVAL, INTERVAL, Implicit, |b, _| {
        let typmod = b.return_type.typmod();
        map1::<Interval, Interval>(b, move |v| fit_interval(v, typmod))
    }),
];

/// Rounded to the modifier's fractional digits.
fn rounded(us: i64, ty: SqlType) -> i64 {
    match ty.typmod() {
        digits @ 0..=5 if !is_infinite(us) => round_us(us, 10i64.pow(6 - digits as u32)),
        _ => us,
    }
}

fn round(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    let ty = bind.return_type;
    map1::<i64, i64>(bind, move |us| rounded(us, ty))
}
