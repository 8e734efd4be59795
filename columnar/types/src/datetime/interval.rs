//! Intervals: months, days and microseconds.

use std::cmp::Ordering;

use arrow::datatypes::IntervalMonthDayNano;

use super::US_PER_DAY;
use crate::{Error, SqlState};

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
    let days = i128::from(v.months) * 30 + i128::from(v.days);
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

/// Microseconds rounded to a multiple of `unit`, halves away from zero.
pub fn round_us(us: i64, unit: i64) -> i64 {
    let rest = us % unit;
    let cut = us - rest;
    if rest.abs() * 2 >= unit { cut + unit * us.signum() } else { cut }
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
