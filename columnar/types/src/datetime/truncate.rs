//! `date_trunc`: the start of the year, month, hour, ... that a timestamp lies in.

use arrow::datatypes::IntervalMonthDayNano;
use jiff::tz::TimeZone;

use super::field::unsupported_unit;
use super::{
    Field, US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND, civil_from_days, days_from_civil,
    interval_from_us, interval_out_of_range, interval_us, is_infinite, local_to_utc, offset_at,
    split_timestamp, weekday,
};
use crate::Result;

/// Microseconds of the clock units; `None` for a day and more.
fn clock_unit(field: Field) -> Option<i64> {
    Some(match field {
        Field::Microseconds => 1,
        Field::Milliseconds => 1000,
        Field::Second => US_PER_SECOND,
        Field::Minute => US_PER_MINUTE,
        Field::Hour => US_PER_HOUR,
        _ => return None,
    })
}

/// The first year of the span of `length` years that a year lies in; the first span begins with the year 1.
fn era_start(year: i32, length: i32) -> i32 {
    (year - 1).div_euclid(length) * length + 1
}

/// The first day of the unit that a day lies in; `None` for units below a day and those that are none.
pub fn truncate_date(field: Field, days: i32) -> Option<i32> {
    let (year, month, _) = civil_from_days(days);
    Some(match field {
        Field::Day => days,
        Field::Week => days - ((weekday(days) + 6) % 7) as i32,
        Field::Month => days_from_civil(year, month, 1),
        Field::Quarter => days_from_civil(year, (month - 1) / 3 * 3 + 1, 1),
        Field::Year => days_from_civil(year, 1, 1),
        Field::Decade => days_from_civil(year.div_euclid(10) * 10, 1, 1),
        Field::Century => days_from_civil(era_start(year, 100), 1, 1),
        Field::Millennium => days_from_civil(era_start(year, 1000), 1, 1),
        _ => return None,
    })
}

fn truncate_local(field: Field, us: i64) -> Option<i64> {
    if let Some(unit) = clock_unit(field) {
        return Some(us - us.rem_euclid(unit));
    }
    Some(i64::from(truncate_date(field, split_timestamp(us).0)?) * US_PER_DAY)
}

/// `date_trunc` of a timestamp without time zone; 0A000 for fields that are no unit.
pub fn truncate_timestamp(field: Field, us: i64) -> Result<i64> {
    if is_infinite(us) {
        return Ok(us);
    }
    truncate_local(field, us).ok_or_else(|| unsupported_unit(field, "timestamp without time zone"))
}

/// `date_trunc` of a moment by the clocks of a zone; 0A000 for fields that are no unit.
pub fn truncate_timestamptz(field: Field, us: i64, zone: &TimeZone) -> Result<i64> {
    if is_infinite(us) {
        return Ok(us);
    }
    let offset = i64::from(offset_at(zone, us)) * US_PER_SECOND;
    let local = truncate_local(field, us.saturating_add(offset))
        .ok_or_else(|| unsupported_unit(field, "timestamp with time zone"))?;
    // Hours and less stay under the offset of the moment; days may begin under another.
    Ok(if clock_unit(field).is_some() { local - offset } else { local_to_utc(zone, local) })
}

/// `date_trunc` of an interval: the smaller units dropped; 0A000 for fields that are no unit of intervals.
pub fn truncate_interval(field: Field, v: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let us = interval_us(v);
    if let Some(unit) = clock_unit(field) {
        return interval_from_us(v.months, v.days, us - us % unit).ok_or_else(interval_out_of_range);
    }
    let (months, days) = match field {
        Field::Day => (v.months, v.days),
        Field::Month => (v.months, 0),
        Field::Quarter => (v.months - v.months % 3, 0),
        Field::Year => (v.months - v.months % 12, 0),
        Field::Decade => (v.months - v.months % 120, 0),
        Field::Century => (v.months - v.months % 1200, 0),
        Field::Millennium => (v.months - v.months % 12_000, 0),
        Field::Week => {
            let error = unsupported_unit(field, "interval");
            return Err(error.with_detail("Months usually have fractional weeks."));
        }
        _ => return Err(unsupported_unit(field, "interval")),
    };
    Ok(IntervalMonthDayNano { months, days, nanoseconds: 0 })
}
