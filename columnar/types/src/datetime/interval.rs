//! Intervals: months, days and microseconds, kept apart.
//!
//! In memory the microseconds are whole nanoseconds, so that an interval's time reaches 292 years either way.

use std::cmp::Ordering;

use arrow::datatypes::IntervalMonthDayNano;

use super::US_PER_DAY;
use crate::{Error, Result, SqlState};

const DAYS_PER_MONTH: i32 = 30;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// The interval of months, days and microseconds; `None` when the microseconds do not fit.
pub fn interval_from_us(months: i32, days: i32, us: i64) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano { months, days, nanoseconds: us.checked_mul(1000)? })
}

/// An interval's microseconds, without its months and days.
pub fn interval_us(v: IntervalMonthDayNano) -> i64 {
    v.nanoseconds / 1000
}

/// The span in microseconds that intervals are compared by: months of 30 days, days of 24 hours.
pub fn interval_span(v: IntervalMonthDayNano) -> i128 {
    let days = i128::from(v.months) * i128::from(DAYS_PER_MONTH) + i128::from(v.days);
    days * i128::from(US_PER_DAY) + i128::from(interval_us(v))
}

/// Which of two intervals is shorter.
pub fn compare_intervals(a: IntervalMonthDayNano, b: IntervalMonthDayNano) -> Ordering {
    interval_span(a).cmp(&interval_span(b))
}

/// 22008.
pub fn interval_out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

/// The interval the other way; 22008.
pub fn negate_interval(v: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let negated = || {
        Some(IntervalMonthDayNano {
            months: v.months.checked_neg()?,
            days: v.days.checked_neg()?,
            nanoseconds: v.nanoseconds.checked_neg()?,
        })
    };
    negated().ok_or_else(interval_out_of_range)
}

/// The sum, part by part; 22008.
pub fn add_intervals(a: IntervalMonthDayNano, b: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let sum = || {
        Some(IntervalMonthDayNano {
            months: a.months.checked_add(b.months)?,
            days: a.days.checked_add(b.days)?,
            nanoseconds: a.nanoseconds.checked_add(b.nanoseconds)?,
        })
    };
    sum().ok_or_else(interval_out_of_range)
}

/// The difference, part by part; 22008.
pub fn sub_intervals(a: IntervalMonthDayNano, b: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let difference = || {
        Some(IntervalMonthDayNano {
            months: a.months.checked_sub(b.months)?,
            days: a.days.checked_sub(b.days)?,
            nanoseconds: a.nanoseconds.checked_sub(b.nanoseconds)?,
        })
    };
    difference().ok_or_else(interval_out_of_range)
}

/// A number of seconds or days without the noise beyond its sixth digit after the point.
fn settle(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}

/// The interval scaled part by part; fractions of months become days, fractions of days become time.
fn scale_interval(v: IntervalMonthDayNano, scale: impl Fn(f64) -> f64) -> Result<IntervalMonthDayNano> {
    let whole = |value: f64| {
        let fits = value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX);
        if fits { Ok(value as i32) } else { Err(interval_out_of_range()) }
    };
    let (scaled_months, scaled_days) = (scale(v.months.into()), scale(v.days.into()));
    let (months, mut days) = (whole(scaled_months)?, whole(scaled_days)?);
    let month_days = settle((scaled_months - f64::from(months)) * f64::from(DAYS_PER_MONTH));
    let day_rest = scaled_days - f64::from(days) + month_days - month_days.trunc();
    let mut seconds = settle(day_rest * SECONDS_PER_DAY);
    if seconds.abs() >= SECONDS_PER_DAY {
        let carried = (seconds / SECONDS_PER_DAY).trunc();
        days = days.checked_add(carried as i32).ok_or_else(interval_out_of_range)?;
        seconds -= carried * SECONDS_PER_DAY;
    }
    days = days.checked_add(month_days as i32).ok_or_else(interval_out_of_range)?;
    let us = (scale(interval_us(v) as f64) + seconds * 1e6).round_ties_even();
    if us.is_nan() || us.abs() >= i64::MAX as f64 {
        return Err(interval_out_of_range());
    }
    interval_from_us(months, days, us as i64).ok_or_else(interval_out_of_range)
}

/// Interval times number; 22008.
pub fn multiply_interval(v: IntervalMonthDayNano, factor: f64) -> Result<IntervalMonthDayNano> {
    scale_interval(v, |part| part * factor)
}

/// Interval divided by number; 22012, 22008.
pub fn divide_interval(v: IntervalMonthDayNano, divisor: f64) -> Result<IntervalMonthDayNano> {
    if divisor == 0.0 {
        return Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
    }
    scale_interval(v, |part| part / divisor)
}

/// `justify_hours`: 24 hours become a day; 22008.
pub fn justify_hours(v: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let us = interval_us(v);
    let days = i64::from(v.days) + us / US_PER_DAY;
    let (days, us) = same_sign(days, us % US_PER_DAY, US_PER_DAY);
    assemble(v.months.into(), days, us)
}

/// `justify_days`: 30 days become a month; 22008.
pub fn justify_days(v: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let per_month = i64::from(DAYS_PER_MONTH);
    let months = i64::from(v.months) + i64::from(v.days) / per_month;
    let (months, days) = same_sign(months, i64::from(v.days) % per_month, per_month);
    assemble(months, days, interval_us(v))
}

/// `justify_interval`: both, and all parts of one sign; 22008.
pub fn justify_interval(v: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let per_month = i64::from(DAYS_PER_MONTH);
    let total_days = i64::from(v.days) + interval_us(v) / US_PER_DAY;
    let us = interval_us(v) % US_PER_DAY;
    let mut months = i64::from(v.months) + total_days / per_month;
    let mut days = total_days % per_month;
    if months > 0 && (days < 0 || (days == 0 && us < 0)) {
        days += per_month;
        months -= 1;
    } else if months < 0 && (days > 0 || (days == 0 && us > 0)) {
        days -= per_month;
        months += 1;
    }
    let (days, us) = same_sign(days, us, US_PER_DAY);
    assemble(months, days, us)
}

/// Moves one of the larger unit, worth `unit` smaller ones, so that both parts have one sign.
fn same_sign(large: i64, small: i64, unit: i64) -> (i64, i64) {
    if large > 0 && small < 0 {
        (large - 1, small + unit)
    } else if large < 0 && small > 0 {
        (large + 1, small - unit)
    } else {
        (large, small)
    }
}

fn assemble(months: i64, days: i64, us: i64) -> Result<IntervalMonthDayNano> {
    let (Ok(months), Ok(days)) = (i32::try_from(months), i32::try_from(days)) else {
        return Err(interval_out_of_range());
    };
    interval_from_us(months, days, us).ok_or_else(interval_out_of_range)
}

/// Microseconds rounded to a multiple of `unit`, halves away from zero.
pub fn round_us(us: i64, unit: i64) -> i64 {
    let rest = us % unit;
    let cut = us - rest;
    if rest.abs() * 2 >= unit { cut.saturating_add(unit * us.signum()) } else { cut }
}

/// Bits of an interval's field mask, as in PostgreSQL's typmod.
pub mod mask {
    /// `MONTH`
    pub const MONTH: i32 = 1 << 1;
    /// `YEAR`
    pub const YEAR: i32 = 1 << 2;
    /// `DAY`
    pub const DAY: i32 = 1 << 3;
    /// `HOUR`
    pub const HOUR: i32 = 1 << 10;
    /// `MINUTE`
    pub const MINUTE: i32 = 1 << 11;
    /// `SECOND`
    pub const SECOND: i32 = 1 << 12;
}

/// ` year to month`: a field mask as it stands after the type's name; empty for all fields.
pub fn interval_fields_name(range: i32) -> &'static str {
    use mask::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
    const NAMES: [(i32, &str); 13] = [
        (YEAR, " year"),
        (MONTH, " month"),
        (DAY, " day"),
        (HOUR, " hour"),
        (MINUTE, " minute"),
        (SECOND, " second"),
        (YEAR | MONTH, " year to month"),
        (DAY | HOUR, " day to hour"),
        (DAY | HOUR | MINUTE, " day to minute"),
        (DAY | HOUR | MINUTE | SECOND, " day to second"),
        (HOUR | MINUTE, " hour to minute"),
        (HOUR | MINUTE | SECOND, " hour to second"),
        (MINUTE | SECOND, " minute to second"),
    ];
    NAMES.iter().find(|(bits, _)| *bits == range).map_or("", |(_, name)| name)
}

/// The interval with only the fields and the fractional digits that a typmod (-1 for all) keeps: smaller fields are
/// cut off, seconds are rounded.
pub fn fit_interval(v: IntervalMonthDayNano, typmod: i32) -> IntervalMonthDayNano {
    use super::{US_PER_HOUR, US_PER_MINUTE};
    if typmod < 0 {
        return v;
    }
    let (range, precision) = (typmod >> 16 & 0x7fff, typmod & 0xffff);
    let us = interval_us(v);
    // A field keeps everything above it as well; only what is below the smallest one goes.
    let (months, days, us) = match range {
        mask::YEAR => (v.months / 12 * 12, 0, 0),
        r if r == mask::MONTH || r == mask::YEAR | mask::MONTH => (v.months, 0, 0),
        mask::DAY => (v.months, v.days, 0),
        r if r & mask::SECOND != 0 || r & (mask::MINUTE | mask::HOUR) == 0 => (v.months, v.days, us),
        r if r & mask::MINUTE != 0 => (v.months, v.days, us - us % US_PER_MINUTE),
        _ => (v.months, v.days, us - us % US_PER_HOUR),
    };
    let us = match precision {
        p @ 0..=5 => round_us(us, crate::number::POW10_64[6 - p as usize]),
        _ => us,
    };
    interval_from_us(months, days, us).unwrap_or(v)
}
