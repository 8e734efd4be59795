//! Dates, times and intervals as text, in every `DateStyle` and `IntervalStyle`.

use arrow::datatypes::IntervalMonthDayNano;

use super::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, US_PER_HOUR, US_PER_MINUTE,
    US_PER_SECOND, civil_from_days, offset_and_abbreviation, offset_at, split_timestamp, weekday,
};
use crate::number::{pair, write_int, write_padded, write_pair, write_uint};
use crate::{DateFormat, DateOrder, FormatSettings, IntervalFormat};

/// English month names, three letters.
pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// English names of the days of the week from Sunday, three letters.
pub const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A year as printed: at least four digits, counted backwards before the year 1.
fn write_year(year: i32, out: &mut Vec<u8>) {
    let shown = if year > 0 { i64::from(year) } else { 1 - i64::from(year) };
    if shown < 10_000 {
        write_pair(shown as u32 / 100, out);
        write_pair(shown as u32 % 100, out);
    } else {
        write_uint(shown as u64, out);
    }
}

fn write_era(year: i32, out: &mut Vec<u8>) {
    if year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

/// Three parts with a separator: two-digit numbers and the year.
fn write_parts(first: u32, second: u32, year: i32, separator: u8, out: &mut Vec<u8>) {
    write_pair(first, out);
    out.push(separator);
    write_pair(second, out);
    out.push(separator);
    write_year(year, out);
}

/// `YYYY-MM-DD` of the years with four digits, at once: what nearly every date is.
fn iso_day((year, month, day): (i32, u32, u32)) -> Option<[u8; 10]> {
    let year = u32::try_from(year).ok().filter(|y| (1..10_000).contains(y))?;
    let ([a, b], [c, d]) = (pair(year / 100), pair(year % 100));
    let ([e, f], [g, h]) = (pair(month), pair(day));
    Some([a, b, c, d, b'-', e, f, b'-', g, h])
}

/// The date without its era. In `Postgres` format timestamps have a form of their own.
fn write_day(date: (i32, u32, u32), settings: &FormatSettings, out: &mut Vec<u8>) {
    let (year, month, day) = date;
    if settings.date_format == DateFormat::Iso
        && let Some(text) = iso_day(date)
    {
        return out.extend_from_slice(&text);
    }
    let (first, second) = if settings.date_order == DateOrder::Dmy { (day, month) } else { (month, day) };
    match settings.date_format {
        DateFormat::Iso => {
            write_year(year, out);
            out.push(b'-');
            write_pair(month, out);
            out.push(b'-');
            write_pair(day, out);
        }
        DateFormat::Sql => write_parts(first, second, year, b'/', out),
        DateFormat::Postgres => write_parts(first, second, year, b'-', out),
        DateFormat::German => write_parts(day, month, year, b'.', out),
    }
}

/// Appends a date.
pub fn write_date(days: i32, settings: &FormatSettings, out: &mut Vec<u8>) {
    match days {
        DATE_INFINITY => out.extend_from_slice(b"infinity"),
        DATE_NEG_INFINITY => out.extend_from_slice(b"-infinity"),
        _ => {
            let date = civil_from_days(days);
            write_day(date, settings, out);
            write_era(date.0, out);
        }
    }
}

fn write_fraction(us: i64, out: &mut Vec<u8>) {
    if us != 0 {
        out.push(b'.');
        write_padded(us.unsigned_abs(), 6, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Appends a time of day: `HH:MM:SS[.ffffff]`.
pub fn write_time(us: i64, out: &mut Vec<u8>) {
    let seconds = (us / US_PER_SECOND) as u32;
    let [[a, b], [c, d], [e, f]] = [pair(seconds / 3600), pair(seconds / 60 % 60), pair(seconds % 60)];
    out.extend_from_slice(&[a, b, b':', c, d, b':', e, f]);
    write_fraction(us % US_PER_SECOND, out);
}

/// Appends a UTC offset: `+02`, `-03:30`, `+00:53:28`.
pub fn write_offset(seconds: i32, out: &mut Vec<u8>) {
    out.push(if seconds < 0 { b'-' } else { b'+' });
    let s = seconds.unsigned_abs();
    write_pair(s / 3600, out);
    if !s.is_multiple_of(3600) {
        out.push(b':');
        write_pair(s / 60 % 60, out);
    }
    if !s.is_multiple_of(60) {
        out.push(b':');
        write_pair(s % 60, out);
    }
}

/// What follows the time: nothing, an offset, or an abbreviation.
enum Zone {
    None,
    Offset(i32),
    Abbreviation(String),
}

fn write_local(local_us: i64, zone: &Zone, settings: &FormatSettings, out: &mut Vec<u8>) {
    let (days, time) = split_timestamp(local_us);
    let (year, month, day) = civil_from_days(days);
    if settings.date_format == DateFormat::Postgres {
        out.extend_from_slice(WEEKDAYS[weekday(days) as usize].as_bytes());
        out.push(b' ');
        let name = MONTHS[month as usize - 1].as_bytes();
        if settings.date_order == DateOrder::Dmy {
            write_pair(day, out);
            out.push(b' ');
            out.extend_from_slice(name);
        } else {
            out.extend_from_slice(name);
            out.push(b' ');
            write_pair(day, out);
        }
        out.push(b' ');
        write_time(time, out);
        out.push(b' ');
        write_year(year, out);
    } else {
        write_day((year, month, day), settings, out);
        out.push(b' ');
        write_time(time, out);
    }
    match zone {
        Zone::None => (),
        Zone::Offset(seconds) => write_offset(*seconds, out),
        Zone::Abbreviation(name) => {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
        }
    }
    write_era(year, out);
}

fn write_infinity(us: i64, out: &mut Vec<u8>) -> bool {
    match us {
        TIMESTAMP_INFINITY => out.extend_from_slice(b"infinity"),
        TIMESTAMP_NEG_INFINITY => out.extend_from_slice(b"-infinity"),
        _ => return false,
    }
    true
}

/// Appends a timestamp without time zone.
pub fn write_timestamp(us: i64, settings: &FormatSettings, out: &mut Vec<u8>) {
    if !write_infinity(us, out) {
        write_local(us, &Zone::None, settings, out);
    }
}

/// Appends a moment in the session's time zone.
pub fn write_timestamptz(us: i64, settings: &FormatSettings, out: &mut Vec<u8>) {
    if write_infinity(us, out) {
        return;
    }
    let (offset, zone) = if settings.date_format == DateFormat::Iso {
        let offset = offset_at(&settings.time_zone, us);
        (offset, Zone::Offset(offset))
    } else {
        let (offset, name) = offset_and_abbreviation(&settings.time_zone, us);
        (offset, Zone::Abbreviation(name))
    };
    write_local(us.saturating_add(i64::from(offset) * US_PER_SECOND), &zone, settings, out);
}

/// An interval's fields as they are printed.
struct Fields {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    fraction: i64,
}

impl Fields {
    fn of(v: IntervalMonthDayNano) -> Self {
        let us = v.nanoseconds / 1000;
        Self {
            years: i64::from(v.months / 12),
            months: i64::from(v.months % 12),
            days: v.days.into(),
            hours: us / US_PER_HOUR,
            minutes: us % US_PER_HOUR / US_PER_MINUTE,
            seconds: us % US_PER_MINUTE / US_PER_SECOND,
            fraction: us % US_PER_SECOND,
        }
    }

    fn time_is_zero(&self) -> bool {
        self.hours == 0 && self.minutes == 0 && self.seconds == 0 && self.fraction == 0
    }

    fn time_is_negative(&self) -> bool {
        self.hours < 0 || self.minutes < 0 || self.seconds < 0 || self.fraction < 0
    }

    /// `HH:MM:SS[.ffffff]` of the magnitudes.
    fn write_clock(&self, hour_digits: usize, out: &mut Vec<u8>) {
        write_padded(self.hours.unsigned_abs(), hour_digits, out);
        out.push(b':');
        write_padded(self.minutes.unsigned_abs(), 2, out);
        out.push(b':');
        write_padded(self.seconds.unsigned_abs(), 2, out);
        write_fraction(self.fraction, out);
    }
}

/// Appends an interval in the session's `IntervalStyle`.
pub fn write_interval(value: IntervalMonthDayNano, settings: &FormatSettings, out: &mut Vec<u8>) {
    let fields = Fields::of(value);
    match settings.interval_format {
        IntervalFormat::Postgres => write_postgres(&fields, out),
        IntervalFormat::PostgresVerbose => write_verbose(&fields, out),
        IntervalFormat::SqlStandard => write_sql_standard(&fields, out),
        IntervalFormat::Iso8601 => write_iso8601(&fields, out),
    }
}

/// `1 year -2 mons +3 days 04:05:06.789`.
fn write_postgres(f: &Fields, out: &mut Vec<u8>) {
    let mut empty = true;
    let mut after_negative = false;
    for (value, unit) in [(f.years, "year"), (f.months, "mon"), (f.days, "day")] {
        if value == 0 {
            continue;
        }
        if !empty {
            out.push(b' ');
        }
        if after_negative && value > 0 {
            out.push(b'+');
        }
        write_int(value, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        after_negative = value < 0;
        empty = false;
    }
    if empty || !f.time_is_zero() {
        if !empty {
            out.push(b' ');
        }
        if f.time_is_negative() {
            out.push(b'-');
        } else if after_negative {
            out.push(b'+');
        }
        f.write_clock(2, out);
    }
}

/// `@ 1 year 2 mons -3 days 4 hours 5 mins 6.789 secs ago`.
fn write_verbose(f: &Fields, out: &mut Vec<u8>) {
    out.push(b'@');
    // The first part's sign is the whole's: a negative interval is told as a positive one that is past.
    let mut ago = false;
    let mut empty = true;
    let parts =
        [(f.years, "year"), (f.months, "mon"), (f.days, "day"), (f.hours, "hour"), (f.minutes, "min")];
    for (value, unit) in parts {
        if value == 0 {
            continue;
        }
        if empty {
            ago = value < 0;
        }
        let shown = if ago { -value } else { value };
        out.push(b' ');
        write_int(shown, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if shown != 1 {
            out.push(b's');
        }
        empty = false;
    }
    if f.seconds != 0 || f.fraction != 0 {
        let negative = f.seconds < 0 || f.fraction < 0;
        out.push(b' ');
        if empty {
            ago = negative;
        } else if negative != ago {
            out.push(b'-');
        }
        write_uint(f.seconds.unsigned_abs(), out);
        write_fraction(f.fraction, out);
        let one = f.seconds.abs() == 1 && f.fraction == 0;
        out.extend_from_slice(if one { b" sec" } else { b" secs" });
        empty = false;
    }
    if empty {
        out.extend_from_slice(b" 0");
    }
    if ago {
        out.extend_from_slice(b" ago");
    }
}

/// `1-2 3 4:05:06`, or with a sign on each part when they differ.
fn write_sql_standard(f: &Fields, out: &mut Vec<u8>) {
    let has_negative = f.years < 0 || f.months < 0 || f.days < 0 || f.time_is_negative();
    let time_positive = f.hours > 0 || f.minutes > 0 || f.seconds > 0 || f.fraction > 0;
    let has_positive = f.years > 0 || f.months > 0 || f.days > 0 || time_positive;
    let has_year_month = f.years != 0 || f.months != 0;
    let has_day_time = f.days != 0 || !f.time_is_zero();
    if !has_negative && !has_positive {
        return out.push(b'0');
    }
    let sign = |negative: bool| if negative { b'-' } else { b'+' };
    let year_month = |out: &mut Vec<u8>| {
        write_uint(f.years.unsigned_abs(), out);
        out.push(b'-');
        write_uint(f.months.unsigned_abs(), out);
    };
    if (has_negative && has_positive) || (has_year_month && has_day_time) {
        out.push(sign(f.years < 0 || f.months < 0));
        year_month(out);
        out.push(b' ');
        out.push(sign(f.days < 0));
        write_uint(f.days.unsigned_abs(), out);
        out.push(b' ');
        out.push(sign(f.time_is_negative()));
        return f.write_clock(1, out);
    }
    if has_negative {
        out.push(b'-');
    }
    if has_year_month {
        year_month(out);
    } else {
        if f.days != 0 {
            write_uint(f.days.unsigned_abs(), out);
            out.push(b' ');
        }
        f.write_clock(1, out);
    }
}

/// `P1Y2M3DT4H5M6.789S`.
fn write_iso8601(f: &Fields, out: &mut Vec<u8>) {
    let part = |value: i64, unit: u8, out: &mut Vec<u8>| {
        if value != 0 {
            write_int(value, out);
            out.push(unit);
        }
    };
    if f.years == 0 && f.months == 0 && f.days == 0 && f.time_is_zero() {
        return out.extend_from_slice(b"PT0S");
    }
    out.push(b'P');
    part(f.years, b'Y', out);
    part(f.months, b'M', out);
    part(f.days, b'D', out);
    if f.time_is_zero() {
        return;
    }
    out.push(b'T');
    part(f.hours, b'H', out);
    part(f.minutes, b'M', out);
    if f.seconds != 0 || f.fraction != 0 {
        if f.seconds < 0 || f.fraction < 0 {
            out.push(b'-');
        }
        write_uint(f.seconds.unsigned_abs(), out);
        write_fraction(f.fraction, out);
        out.push(b'S');
    }
}
