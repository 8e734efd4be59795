//! Sums and differences of dates, timestamps and intervals.

use arrow::datatypes::IntervalMonthDayNano;
use jiff::tz::TimeZone;

use super::{
    DATE_INFINITY, DATE_MAX, DATE_MIN, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_MAX, TIMESTAMP_MIN,
    TIMESTAMP_NEG_INFINITY, US_PER_DAY, civil_from_days, days_from_civil, days_in_month, interval_from_us,
    interval_out_of_range, interval_us, is_infinite, justify_hours, local_to_utc, split_timestamp,
    utc_to_local,
};
use crate::{Error, Result, SqlState};

/// 22008.
pub fn timestamp_out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// 22008.
pub fn date_out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")
}

fn is_infinite_date(days: i32) -> bool {
    days == DATE_INFINITY || days == DATE_NEG_INFINITY
}

/// Checks that a timestamp lies in the calendar's range; 22008.
pub fn check_timestamp(us: i64) -> Result<i64> {
    if (TIMESTAMP_MIN..=TIMESTAMP_MAX).contains(&us) { Ok(us) } else { Err(timestamp_out_of_range()) }
}

/// Checks that a date lies in the calendar's range; 22008.
pub fn check_date(days: i64) -> Result<i32> {
    match i32::try_from(days) {
        Ok(d @ DATE_MIN..=DATE_MAX) => Ok(d),
        _ => Err(date_out_of_range()),
    }
}

/// Midnight of a date; 22008 when timestamps do not reach it.
pub fn date_to_timestamp(days: i32) -> Result<i64> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_NEG_INFINITY => Ok(TIMESTAMP_NEG_INFINITY),
        _ => check_timestamp(i64::from(days) * US_PER_DAY)
            .map_err(|_| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")),
    }
}

/// Midnight of a date in a zone.
pub fn date_to_timestamptz(days: i32, zone: &TimeZone) -> Result<i64> {
    date_to_timestamp(days).map(|local| local_to_utc(zone, local))
}

/// The date of a timestamp.
pub fn timestamp_to_date(us: i64) -> i32 {
    match us {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_NEG_INFINITY => DATE_NEG_INFINITY,
        _ => split_timestamp(us).0,
    }
}

/// A day so many months later (earlier, when negative), or the month's last day where it has fewer days.
fn add_months(days: i32, months: i32) -> i32 {
    let (year, month, day) = civil_from_days(days);
    let total = i64::from(year) * 12 + i64::from(month - 1) + i64::from(months);
    let (year, month) = (total.div_euclid(12) as i32, total.rem_euclid(12) as u32 + 1);
    days_from_civil(year, month, day.min(days_in_month(year, month)) as i32)
}

/// Months and days added to a local time; `None` when the result is out of range.
fn add_calendar(us: i64, v: IntervalMonthDayNano) -> Option<i64> {
    if v.months == 0 && v.days == 0 {
        return Some(us);
    }
    let (days, time) = split_timestamp(us);
    let days = if v.months == 0 { days } else { add_months(days, v.months) };
    let total = (i64::from(days) + i64::from(v.days)).checked_mul(US_PER_DAY)?.checked_add(time)?;
    (TIMESTAMP_MIN..=TIMESTAMP_MAX).contains(&total).then_some(total)
}

/// Timestamp plus interval: months first, then days, then the time; 22008.
pub fn add_interval(us: i64, v: IntervalMonthDayNano) -> Result<i64> {
    if is_infinite(us) {
        return Ok(us);
    }
    let sum = add_calendar(us, v).and_then(|us| us.checked_add(interval_us(v)));
    check_timestamp(sum.ok_or_else(timestamp_out_of_range)?)
}

/// As [`add_interval`] for a moment: months and days by the calendar of a zone, the time by the clock.
pub fn add_interval_tz(us: i64, v: IntervalMonthDayNano, zone: &TimeZone) -> Result<i64> {
    if is_infinite(us) {
        return Ok(us);
    }
    let moved = if v.months == 0 && v.days == 0 {
        Some(us)
    } else {
        add_calendar(utc_to_local(zone, us), v).map(|local| local_to_utc(zone, local))
    };
    let sum = moved.and_then(|us| us.checked_add(interval_us(v)));
    check_timestamp(sum.ok_or_else(timestamp_out_of_range)?)
}

/// Timestamp minus interval; 22008.
pub fn sub_interval(us: i64, v: IntervalMonthDayNano) -> Result<i64> {
    add_interval(us, super::negate_interval(v)?)
}

/// As [`sub_interval`] for a moment in a zone.
pub fn sub_interval_tz(us: i64, v: IntervalMonthDayNano, zone: &TimeZone) -> Result<i64> {
    add_interval_tz(us, super::negate_interval(v)?, zone)
}

/// Date plus days; infinities stay; 22008.
pub fn add_days(days: i32, count: i32) -> Result<i32> {
    if is_infinite_date(days) {
        return Ok(days);
    }
    check_date(i64::from(days) + i64::from(count))
}

/// Date minus days; infinities stay; 22008.
pub fn sub_days(days: i32, count: i32) -> Result<i32> {
    if is_infinite_date(days) {
        return Ok(days);
    }
    check_date(i64::from(days) - i64::from(count))
}

/// Days between two dates; 22008 with an infinity on either side.
pub fn date_difference(a: i32, b: i32) -> Result<i32> {
    if is_infinite_date(a) || is_infinite_date(b) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
    }
    Ok(a.wrapping_sub(b))
}

/// The time between two timestamps, in days and hours; 22008.
pub fn timestamp_difference(a: i64, b: i64) -> Result<IntervalMonthDayNano> {
    if is_infinite(a) || is_infinite(b) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    let us = a.checked_sub(b).ok_or_else(interval_out_of_range)?;
    // Split before it becomes an interval: nanoseconds reach less far than the difference.
    let days = (us / US_PER_DAY) as i32;
    justify_hours(interval_from_us(0, days, us % US_PER_DAY).ok_or_else(interval_out_of_range)?)
}

/// `age`: the difference in years, months, days and time, as people count; 22008. For moments, pass local times.
pub fn age(a: i64, b: i64) -> Result<IntervalMonthDayNano> {
    if is_infinite(a) || is_infinite(b) {
        return Err(timestamp_out_of_range());
    }
    // From the earlier to the later; the sign comes last.
    let negative = a < b;
    let (later, earlier) = if negative { (b, a) } else { (a, b) };
    let ((later_days, later_time), (earlier_days, earlier_time)) =
        (split_timestamp(later), split_timestamp(earlier));
    let (y1, m1, d1) = civil_from_days(later_days);
    let (y2, m2, d2) = civil_from_days(earlier_days);
    let mut time = later_time - earlier_time;
    let mut days = d1 as i32 - d2 as i32;
    let mut months = (y1 - y2) * 12 + m1 as i32 - m2 as i32;
    if time < 0 {
        time += US_PER_DAY;
        days -= 1;
    }
    // A month is borrowed from the earlier date's month, whatever the order of the arguments was.
    while days < 0 {
        days += days_in_month(y2, m2) as i32;
        months -= 1;
    }
    let sign = if negative { -1 } else { 1 };
    let time = time * i64::from(sign);
    interval_from_us(months * sign, days * sign, time).ok_or_else(interval_out_of_range)
}

/// Time of day plus interval, around midnight.
pub fn add_interval_to_time(us: i64, v: IntervalMonthDayNano) -> i64 {
    (us + interval_us(v) % US_PER_DAY).rem_euclid(US_PER_DAY)
}

/// Time of day minus interval, around midnight.
pub fn sub_interval_from_time(us: i64, v: IntervalMonthDayNano) -> i64 {
    (us - interval_us(v) % US_PER_DAY).rem_euclid(US_PER_DAY)
}

/// `date_bin`: the start of the span of that length, counted from `origin`, that a timestamp lies in; 0A000, 22008.
pub fn date_bin(stride: IntervalMonthDayNano, us: i64, origin: i64) -> Result<i64> {
    if is_infinite(us) {
        return Ok(us);
    }
    if is_infinite(origin) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "origin out of range"));
    }
    if stride.months != 0 {
        return Err(Error::unsupported(
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let length = i64::try_from(super::interval_span(stride)).map_err(|_| interval_out_of_range())?;
    if length <= 0 {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "stride must be greater than zero"));
    }
    let distance = us.checked_sub(origin).ok_or_else(interval_out_of_range)?;
    check_timestamp(us - distance.rem_euclid(length))
}

/// `make_date`: negative years are BC; 22008.
pub fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    let shown_year = if year < 0 { year.wrapping_add(1) } else { year };
    let bad = |what: &str| {
        let message = format!("{what} out of range: {shown_year}-{month:02}-{day:02}");
        Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    if year == 0
        || !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(shown_year, month as u32) as i32
    {
        return Err(bad("date field value"));
    }
    if !(-4713..=5_874_897).contains(&shown_year) {
        return Err(bad("date"));
    }
    check_date(days_from_civil(shown_year, month as u32, day).into()).map_err(|_| bad("date"))
}
