//! Moments and spans from their parts.

use std::sync::Arc;

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::arity::{
    Arg, Ret, Str, Strict, ctx_map6, lane_array, null_column, try_map1, try_map3, try_map6,
};
use spg_expr::{BindArgs, Column, EvalContext};
use spg_types::datetime::{
    TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, US_PER_DAY, check_timestamp, interval_from_us,
    interval_out_of_range, local_to_utc, make_date, parse_time_zone, timestamp_out_of_range,
};
use spg_types::{Error, Result, SqlState};

use crate::record::{functions, sig};

type Kernel = Arc<dyn spg_expr::Kernel>;

fn time(hour: i32, minute: i32, second: f64) -> Result<i64> {
    let bad = || {
        let seconds = if second == second.trunc() { format!("{second:02}") } else { format!("{second}") };
        let message = format!("time field value out of range: {hour}:{minute:02}:{seconds}");
        Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    let fits = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    if !fits {
        return Err(bad());
    }
    let us =
        (i64::from(hour) * 60 + i64::from(minute)) * 60_000_000 + (second * 1e6).round_ties_even() as i64;
    if us > US_PER_DAY { Err(bad()) } else { Ok(us) }
}

fn timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> Result<i64> {
    let days = i64::from(make_date(year, month, day)?);
    let us = days.checked_mul(US_PER_DAY).and_then(|d| d.checked_add(time(hour, minute, second).ok()?));
    match us {
        Some(us) => check_timestamp(us),
        None => time(hour, minute, second).and(Err(timestamp_out_of_range())),
    }
}

/// Seconds since 1970-01-01.
fn from_epoch(seconds: f64) -> Result<i64> {
    if seconds.is_nan() {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN"));
    }
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 { TIMESTAMP_INFINITY } else { TIMESTAMP_NEG_INFINITY });
    }
    let us = (seconds * 1e6).round_ties_even();
    if us.abs() >= 9.2e18 {
        let message = format!("timestamp out of range: \"{seconds}\"");
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
    }
    check_timestamp(us as i64)
}

/// `to_timestamp(float8)`
pub(in crate::scalar) fn from_epoch_kernel(bind: &BindArgs<'_>) -> Result<Kernel> {
    try_map1::<f64, i64>(bind, from_epoch)
}

/// A zone by name, or hours and minutes east of Greenwich behind a sign; 22023.
fn zone_of(text: &str) -> Result<jiff::tz::TimeZone> {
    let hint = "Numeric time zones must have \"-\" or \"+\" as first character.";
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!("invalid input syntax for type numeric time zone: \"{text}\"");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(hint));
    }
    let Some(digits) = text.strip_prefix(['+', '-']) else { return parse_time_zone(text) };
    let mut parts = digits.split(':').map(|p| if p.is_empty() { Some(0) } else { p.parse::<i32>().ok() });
    let fields = [parts.next().flatten(), parts.next().unwrap_or(Some(0)), parts.next().unwrap_or(Some(0))];
    let ([Some(hours), Some(minutes), Some(seconds)], None) = (fields, parts.next()) else {
        return parse_time_zone(text);
    };
    // Without colons, the last two digits are minutes.
    let (hours, minutes) =
        if digits.len() > 2 && !digits.contains(':') { (hours / 100, hours % 100) } else { (hours, minutes) };
    const MAX_HOURS: i32 = 15;
    if hours > MAX_HOURS || minutes > 59 || seconds > 59 {
        let message = format!("numeric time zone \"{text}\" out of range");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let east = (hours * 60 + minutes) * 60 + seconds;
    let offset = jiff::tz::Offset::from_seconds(if text.starts_with('-') { -east } else { east });
    offset.map(jiff::tz::TimeZone::fixed).map_err(|e| Error::internal(e.to_string()))
}

fn timestamptz7(bind: &BindArgs<'_>) -> Result<Kernel> {
    let ty = bind.return_type;
    Ok(Arc::new(move |_: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let Some(s) = Strict::new(args, rows)? else { return null_column(ty) };
        let ints: Vec<_> = (0..5).map(|i| i32::reader(&s.arrays[i])).collect::<Result<_>>()?;
        let (seconds, zones) = (f64::reader(&s.arrays[5])?, Str::reader(&s.arrays[6])?);
        let mut out = i64::builder(s.rows, ty);
        for row in 0..s.rows {
            if !s.is_valid(row) {
                <i64 as Ret>::push_null(&mut out);
                continue;
            }
            let n = |i: usize| ints[i][row & s.masks[i]];
            let local = timestamp(n(0), n(1), n(2), n(3), n(4), seconds[row & s.masks[5]])?;
            let zone = zone_of(zones.value(row & s.masks[6]))?;
            <i64 as Ret>::push(&mut out, local_to_utc(&zone, local))?;
        }
        Ok(s.column(<i64 as Ret>::finish(out)?))
    }))
}

/// `make_interval(years, months, weeks, days, hours, mins, secs)`, later ones may be left out.
fn interval(bind: &BindArgs<'_>) -> Result<Kernel> {
    let ty = bind.return_type;
    Ok(Arc::new(move |_: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let Some(s) = Strict::new(args, rows)? else { return null_column(ty) };
        let ints: Vec<_> =
            (0..args.len().min(6)).map(|i| i32::reader(&s.arrays[i])).collect::<Result<_>>()?;
        let seconds = if args.len() > 6 { Some(f64::reader(&s.arrays[6])?) } else { None };
        let mut values = Vec::with_capacity(s.rows);
        for row in 0..s.rows {
            let n = |i: usize| ints.get(i).map_or(0, |v| i64::from(v[row & s.masks[i]]));
            let secs = seconds.as_ref().map_or(0.0, |v| v[row & s.masks[6]]);
            let us = (n(4) * 60 + n(5)) * 60_000_000 + (secs * 1e6).round_ties_even() as i64;
            let months = i32::try_from(n(0) * 12 + n(1)).ok();
            let days = i32::try_from(n(2) * 7 + n(3)).ok();
            let value = months.zip(days).and_then(|(m, d)| interval_from_us(m, d, us));
            match value.filter(|_| secs.is_finite()) {
                Some(v) => values.push(v),
                None if s.is_valid(row) => return Err(interval_out_of_range()),
                None => values.push(Interval::default()),
            }
        }
        Ok(s.column(lane_array(values, s.nulls.clone(), ty.data_type())?))
    }))
}

functions! {
    FUNCTION MAKE_DATE: "make_date" ("year" "month" "day"), "The date of a year, month and day.", "make_date(2013, 7, 15)" => "2013-07-15", [
        sig!([INT4, INT4, INT4] => DATE, |b| try_map3::<i32, i32, i32, i32>(b, make_date)),
    ];
    FUNCTION MAKE_TIME: "make_time" ("hour" "min" "sec"), "The time of an hour, minute and second.", "make_time(8, 15, 23.5)" => "08:15:23.5", [
        sig!([INT4, INT4, FLOAT8] => TIME, |b| try_map3::<i32, i32, f64, i64>(b, time)),
    ];
    FUNCTION MAKE_TIMESTAMP: "make_timestamp" ("year" "month" "mday" "hour" "min" "sec"), "The timestamp of its parts.", "make_timestamp(2013, 7, 15, 8, 15, 23.5)" => "2013-07-15 08:15:23.5", [
        sig!([INT4, INT4, INT4, INT4, INT4, FLOAT8] => TIMESTAMP, |b| try_map6::<i32, i32, i32, i32, i32, f64, i64>(b, timestamp)),
    ];
    SETTING MAKE_TIMESTAMPTZ: "make_timestamptz" ("year" "month" "mday" "hour" "min" "sec" "timezone"), "The timestamp of its parts in the session's time zone, or in one that is named.", "make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'UTC') = timestamptz '2013-07-15 08:15:23.5+00'" => "t", [
        sig!([INT4, INT4, INT4, INT4, INT4, FLOAT8] => TIMESTAMPTZ, |b| ctx_map6::<i32, i32, i32, i32, i32, f64, i64>(b, |ctx, y, mo, d, h, mi, s| {
            Ok(Some(local_to_utc(&ctx.format.time_zone, timestamp(y, mo, d, h, mi, s)?)))
        })),
        sig!([INT4, INT4, INT4, INT4, INT4, FLOAT8, TEXT] => TIMESTAMPTZ, timestamptz7),
    ];
    FUNCTION MAKE_INTERVAL: "make_interval" ("years" "months" "weeks" "days" "hours" "mins" "secs"), "The interval of years, months, weeks, days, hours, minutes and seconds.", "make_interval(0, 0, 0, 10)" => "10 days", [
        sig!([] => INTERVAL, interval),
        sig!([INT4] => INTERVAL, interval),
        sig!([INT4, INT4] => INTERVAL, interval),
        sig!([INT4, INT4, INT4] => INTERVAL, interval),
        sig!([INT4, INT4, INT4, INT4] => INTERVAL, interval),
        sig!([INT4, INT4, INT4, INT4, INT4] => INTERVAL, interval),
        sig!([INT4, INT4, INT4, INT4, INT4, INT4] => INTERVAL, interval),
        sig!([INT4, INT4, INT4, INT4, INT4, INT4, FLOAT8] => INTERVAL, interval),
    ];
}
