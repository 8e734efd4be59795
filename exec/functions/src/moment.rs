//! Arithmetic on dates, times, timestamps and intervals, as PostgreSQL has it (chapter 9.9).

use arrow::datatypes::IntervalMonthDayNano as Interval;
use jiff::tz::TimeZone;
use spg_types::datetime::{
    DATE_INFINITY, DATE_MAX, DATE_MIN, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_MAX, TIMESTAMP_MIN,
    TIMESTAMP_NEG_INFINITY, US_PER_DAY, civil_from_days, days_from_civil, days_in_month, interval_from_us,
    interval_out_of_range, interval_us, is_infinite, local_to_utc, split_timestamp, utc_to_local,
};
use spg_types::{Error, Result, SqlState};

use crate::error::{date_out_of_range, division_by_zero, timestamp_out_of_range};

/// Whether a date is one of the infinities.
pub(crate) fn infinite_date(days: i32) -> bool {
    days == DATE_INFINITY || days == DATE_NEG_INFINITY
}

/// `date + integer`
pub(crate) fn date_plus_days(date: i32, days: i32) -> Result<i32> {
    if infinite_date(date) {
        return Ok(date);
    }
    date.checked_add(days).filter(|d| (DATE_MIN..=DATE_MAX).contains(d)).ok_or_else(date_out_of_range)
}

/// `date - integer`
pub(crate) fn date_minus_days(date: i32, days: i32) -> Result<i32> {
    if infinite_date(date) {
        return Ok(date);
    }
    date.checked_sub(days).filter(|d| (DATE_MIN..=DATE_MAX).contains(d)).ok_or_else(date_out_of_range)
}

/// `date - date`
pub(crate) fn date_minus_date(a: i32, b: i32) -> Result<i32> {
    if infinite_date(a) || infinite_date(b) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
    }
    Ok(a - b)
}

/// A date's first moment, without a time zone; 22008.
pub(crate) fn date_to_timestamp(days: i32) -> Result<i64> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_NEG_INFINITY => Ok(TIMESTAMP_NEG_INFINITY),
        days => {
            let us = i64::from(days).checked_mul(US_PER_DAY).filter(|us| *us <= TIMESTAMP_MAX);
            us.ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp"))
        }
    }
}

/// The day of a timestamp; infinities stay.
pub(crate) fn timestamp_to_date(us: i64) -> i32 {
    match us {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_NEG_INFINITY => DATE_NEG_INFINITY,
        us => split_timestamp(us).0,
    }
}

pub(crate) fn in_range(us: i64) -> Result<i64> {
    if (TIMESTAMP_MIN..=TIMESTAMP_MAX).contains(&us) { Ok(us) } else { Err(timestamp_out_of_range()) }
}

/// Months and days added on the calendar: a day past the month's end becomes its last.
fn plus_calendar(us: i64, months: i32, days: i32) -> Result<i64> {
    let (mut date, time) = split_timestamp(us);
    if months != 0 {
        let (year, month, day) = civil_from_days(date);
        let total = i64::from(year) * 12 + i64::from(month) - 1 + i64::from(months);
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
        let year = i32::try_from(year)
            .ok()
            .filter(|y| (-5000..=300_000).contains(y))
            .ok_or_else(timestamp_out_of_range)?;
        date = days_from_civil(year, month, day.min(days_in_month(year, month)) as i32);
    }
    let date = date.checked_add(days).ok_or_else(timestamp_out_of_range)?;
    let us = i64::from(date).checked_mul(US_PER_DAY).and_then(|d| d.checked_add(time));
    us.ok_or_else(timestamp_out_of_range).and_then(in_range)
}

/// `timestamp + interval`
pub(crate) fn timestamp_plus(us: i64, span: Interval) -> Result<i64> {
    if is_infinite(us) {
        return Ok(us);
    }
    let us = if span.months == 0 && span.days == 0 { us } else { plus_calendar(us, span.months, span.days)? };
    us.checked_add(interval_us(span)).ok_or_else(timestamp_out_of_range).and_then(in_range)
}

/// `timestamptz + interval`: months and days on the zone's calendar.
pub(crate) fn timestamptz_plus(us: i64, span: Interval, zone: &TimeZone) -> Result<i64> {
    if is_infinite(us) {
        return Ok(us);
    }
    let mut us = us;
    if span.months != 0 {
        us = local_to_utc(zone, plus_calendar(utc_to_local(zone, us), span.months, 0)?);
    }
    if span.days != 0 {
        us = local_to_utc(zone, plus_calendar(utc_to_local(zone, us), 0, span.days)?);
    }
    us.checked_add(interval_us(span)).ok_or_else(timestamp_out_of_range).and_then(in_range)
}

/// The interval of microseconds, whole days apart.
fn justified(us: i64) -> Result<Interval> {
    interval(0, (us / US_PER_DAY) as i32, us % US_PER_DAY)
}

/// `timestamp - timestamp`
pub(crate) fn timestamp_minus(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    justified(a.checked_sub(b).ok_or_else(interval_out_of_range)?)
}

/// `date + time`
pub(crate) fn date_plus_time(date: i32, time: i64) -> Result<i64> {
    let us = date_to_timestamp(date)?;
    if is_infinite(us) { Ok(us) } else { in_range(us + time) }
}

/// `time + interval`: on the clock's circle.
pub(crate) fn time_plus(time: i64, span: Interval) -> i64 {
    (time + interval_us(span) % US_PER_DAY).rem_euclid(US_PER_DAY)
}

/// The interval of those parts; 22008.
pub(crate) fn interval(months: i32, days: i32, us: i64) -> Result<Interval> {
    interval_from_us(months, days, us).ok_or_else(interval_out_of_range)
}

/// `-interval`
pub(crate) fn negate(v: Interval) -> Result<Interval> {
    let parts = (v.months.checked_neg(), v.days.checked_neg(), v.nanoseconds.checked_neg());
    let (Some(months), Some(days), Some(nanoseconds)) = parts else { return Err(interval_out_of_range()) };
    Ok(Interval { months, days, nanoseconds })
}

/// `interval + interval`
pub(crate) fn plus(a: Interval, b: Interval) -> Result<Interval> {
    let parts = (
        a.months.checked_add(b.months),
        a.days.checked_add(b.days),
        a.nanoseconds.checked_add(b.nanoseconds),
    );
    let (Some(months), Some(days), Some(nanoseconds)) = parts else { return Err(interval_out_of_range()) };
    Ok(Interval { months, days, nanoseconds })
}

/// `interval - interval`
pub(crate) fn minus(a: Interval, b: Interval) -> Result<Interval> {
    plus(a, negate(b)?)
}

/// Microseconds' precision, as PostgreSQL's TSROUND.
fn round_micro(v: f64) -> f64 {
    (v * 1e6).round_ties_even() / 1e6
}

/// `interval * factor`: fractions of months become days of a 30th, fractions of days become time.
pub(crate) fn times(v: Interval, factor: f64) -> Result<Interval> {
    scaled(v, |part| part * factor)
}

/// `interval / divisor`
pub(crate) fn divided(v: Interval, divisor: f64) -> Result<Interval> {
    if divisor == 0.0 {
        return Err(division_by_zero());
    }
    scaled(v, |part| part / divisor)
}

fn scaled(v: Interval, scale: impl Fn(f64) -> f64) -> Result<Interval> {
    const SECONDS_PER_DAY: f64 = 86_400.0;
    let whole = |v: f64| {
        if v.is_nan() || v >= 2_147_483_648.0 || v < -2_147_483_648.0 {
            Err(interval_out_of_range())
        } else {
            Ok(v as i32)
        }
    };
    let (months_exact, days_exact) = (scale(v.months.into()), scale(v.days.into()));
    let (months, mut days) = (whole(months_exact)?, whole(days_exact)?);
    let month_days = round_micro((months_exact - f64::from(months)) * 30.0);
    let mut seconds = round_micro(
        (days_exact - f64::from(days) + month_days - f64::from(month_days as i32)) * SECONDS_PER_DAY,
    );
    if seconds.abs() >= SECONDS_PER_DAY {
        let more = (seconds / SECONDS_PER_DAY) as i32;
        days = days.checked_add(more).ok_or_else(interval_out_of_range)?;
        seconds -= f64::from(more) * SECONDS_PER_DAY;
    }
    days = days.checked_add(month_days as i32).ok_or_else(interval_out_of_range)?;
    let us = (scale(interval_us(v) as f64) + seconds * 1e6).round_ties_even();
    if us.is_nan() || us >= 9.223_372_036_854_776e18 || us < -9.223_372_036_854_776e18 {
        return Err(interval_out_of_range());
    }
    interval(months, days, us as i64)
}
