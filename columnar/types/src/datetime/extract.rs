//! `extract`: parts of dates, times and intervals as numbers.
//!
//! The names of types in errors are PostgreSQL's. Values that do not lie in the calendar (infinities) have
//! infinite parts where the part grows with the value, and none (NULL) otherwise.

use arrow::datatypes::IntervalMonthDayNano;
use jiff::tz::TimeZone;

use super::field::unsupported_field;
use super::{
    DATE_INFINITY, DATE_MIN, DATE_NEG_INFINITY, Field, US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND,
    civil_from_days, days_from_civil, interval_us, is_infinite, offset_at, split_timestamp, weekday,
};
use crate::{Numeric, Result};

const DATE: &str = "date";
const TIME: &str = "time without time zone";
const TIMESTAMP: &str = "timestamp without time zone";
const TIMESTAMPTZ: &str = "timestamp with time zone";
const INTERVAL: &str = "interval";

/// Whether a field only grows with time, so that infinity has it.
fn is_monotonic(field: Field) -> bool {
    use Field::*;
    matches!(field, Year | IsoYear | Decade | Century | Millennium | Julian | Epoch)
}

/// The year as people count: there is none between 1 BC (-1) and 1.
fn counted_year(year: i32) -> i64 {
    if year > 0 { year.into() } else { i64::from(year) - 1 }
}

/// Number of the span of `length` years that a year lies in, where the first begins with the year 1.
fn era_of(year: i32, length: i64) -> i64 {
    let year = i64::from(year);
    if year > 0 { (year + length - 1) / length } else { -((length - year) / length) }
}

/// Year of the ISO week that a day lies in, and its number.
pub fn iso_year_week(days: i32) -> (i32, u32) {
    // A week belongs to the year of its Thursday.
    let monday_based = (weekday(days) + 6) % 7;
    let thursday = days - monday_based as i32 + 3;
    let (year, _, _) = civil_from_days(thursday);
    (year, (thursday - days_from_civil(year, 1, 1)) as u32 / 7 + 1)
}

/// Day of the year, from 1.
pub fn day_of_year(days: i32) -> u32 {
    let (year, _, _) = civil_from_days(days);
    (days - days_from_civil(year, 1, 1) + 1) as u32
}

/// A whole-day field of a day; `None` for the others.
pub fn date_field(field: Field, days: i32) -> Option<i64> {
    let (year, month, day) = civil_from_days(days);
    Some(match field {
        Field::Day => day.into(),
        Field::Month => month.into(),
        Field::Quarter => i64::from((month - 1) / 3 + 1),
        Field::Year => counted_year(year),
        Field::Decade => i64::from(year).div_euclid(10),
        Field::Century => era_of(year, 100),
        Field::Millennium => era_of(year, 1000),
        Field::Week => iso_year_week(days).1.into(),
        Field::IsoYear => counted_year(iso_year_week(days).0),
        Field::DayOfWeek => weekday(days).into(),
        Field::IsoDayOfWeek => i64::from((weekday(days) + 6) % 7 + 1),
        Field::DayOfYear => day_of_year(days).into(),
        Field::Julian => i64::from(days) - i64::from(DATE_MIN),
        _ => return None,
    })
}

/// A clock field of microseconds that may be negative (intervals), with its scale.
fn clock_field(field: Field, us: i64) -> Option<Numeric> {
    Some(match field {
        Field::Microseconds => Numeric::from_i128((us % US_PER_MINUTE).into(), 0),
        Field::Milliseconds => Numeric::from_i128((us % US_PER_MINUTE).into(), 3),
        Field::Second => Numeric::from_i128((us % US_PER_MINUTE).into(), 6),
        Field::Minute => Numeric::from(us % US_PER_HOUR / US_PER_MINUTE),
        Field::Hour => Numeric::from(us / US_PER_HOUR),
        _ => return None,
    })
}

fn infinite_field(field: Field, positive: bool) -> Option<Numeric> {
    let value = if positive { Numeric::INFINITY } else { Numeric::NEG_INFINITY };
    is_monotonic(field).then_some(value)
}

/// A part of a date: a whole number; 0A000 for parts of a clock.
pub fn extract_date(field: Field, days: i32) -> Result<Option<Numeric>> {
    let has_it = field == Field::Epoch || date_field(field, 0).is_some();
    if !has_it {
        return Err(unsupported_field(field, DATE));
    }
    if days == DATE_INFINITY || days == DATE_NEG_INFINITY {
        return Ok(infinite_field(field, days > 0));
    }
    let value = date_field(field, days).unwrap_or(i64::from(days) * (US_PER_DAY / US_PER_SECOND));
    Ok(Some(Numeric::from(value)))
}

/// A part of a time of day; 0A000 for parts of a date.
pub fn extract_time(field: Field, us: i64) -> Result<Option<Numeric>> {
    match field {
        Field::Epoch => Ok(Some(Numeric::from_i128(us.into(), 6))),
        _ => clock_field(field, us).map(Some).ok_or_else(|| unsupported_field(field, TIME)),
    }
}

fn timestamp_field(field: Field, local_us: i64) -> Result<Option<Numeric>> {
    let (days, time) = split_timestamp(local_us);
    if field == Field::Julian {
        let day = Numeric::from(i64::from(days) - i64::from(DATE_MIN));
        return day.add(&Numeric::from(time).div(&Numeric::from(US_PER_DAY))?).map(Some);
    }
    Ok(date_field(field, days).map(Numeric::from).or_else(|| clock_field(field, time)))
}

/// A part of a timestamp without time zone; 0A000 for parts of a zone.
pub fn extract_timestamp(field: Field, us: i64) -> Result<Option<Numeric>> {
    if is_infinite(us) {
        return Ok(infinite_field(field, us > 0));
    }
    match field {
        Field::Epoch => Ok(Some(Numeric::from_i128(us.into(), 6))),
        _ => timestamp_field(field, us)?.map(Some).ok_or_else(|| unsupported_field(field, TIMESTAMP)),
    }
}

/// A part of a moment as the clocks of a zone show it.
pub fn extract_timestamptz(field: Field, us: i64, zone: &TimeZone) -> Result<Option<Numeric>> {
    if is_infinite(us) {
        return Ok(infinite_field(field, us > 0));
    }
    let offset = i64::from(offset_at(zone, us));
    match field {
        Field::Epoch => Ok(Some(Numeric::from_i128(us.into(), 6))),
        Field::Timezone => Ok(Some(Numeric::from(offset))),
        Field::TimezoneHour => Ok(Some(Numeric::from(offset / 3600))),
        Field::TimezoneMinute => Ok(Some(Numeric::from(offset % 3600 / 60))),
        _ => timestamp_field(field, us.saturating_add(offset * US_PER_SECOND))?
            .map(Some)
            .ok_or_else(|| unsupported_field(field, TIMESTAMPTZ)),
    }
}

/// A part of an interval; 0A000 for parts that only a date has.
pub fn extract_interval(field: Field, v: IntervalMonthDayNano) -> Result<Option<Numeric>> {
    let (years, months, days) = (i64::from(v.months / 12), i64::from(v.months % 12), i64::from(v.days));
    let us = interval_us(v);
    Ok(Some(match field {
        Field::Day => Numeric::from(days),
        Field::Month => Numeric::from(months),
        Field::Quarter => Numeric::from(months / 3 + 1),
        Field::Year => Numeric::from(years),
        Field::Decade => Numeric::from(years / 10),
        Field::Century => Numeric::from(years / 100),
        Field::Millennium => Numeric::from(years / 1000),
        Field::Epoch => {
            // Years of 365.25 days, months of 30.
            let quarter_days = years * 1461 + months * 120 + days * 4;
            let seconds = i128::from(quarter_days) * i128::from(US_PER_DAY / US_PER_SECOND / 4);
            Numeric::from_i128(seconds * i128::from(US_PER_SECOND) + i128::from(us), 6)
        }
        _ => return clock_field(field, us).map(Some).ok_or_else(|| unsupported_field(field, INTERVAL)),
    }))
}
