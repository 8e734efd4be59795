//! Days, years, months: the proleptic Gregorian calendar.

/// Microseconds per second.
pub const US_PER_SECOND: i64 = 1_000_000;
/// Microseconds per minute.
pub const US_PER_MINUTE: i64 = 60 * US_PER_SECOND;
/// Microseconds per hour.
pub const US_PER_HOUR: i64 = 60 * US_PER_MINUTE;
/// Microseconds per day.
pub const US_PER_DAY: i64 = 24 * US_PER_HOUR;

/// Days from 1970-01-01 to PostgreSQL's epoch, 2000-01-01.
pub const PG_EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970-01-01 to PostgreSQL's epoch.
pub const PG_EPOCH_US: i64 = PG_EPOCH_DAYS as i64 * US_PER_DAY;

/// The date before all dates.
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
/// The date after all dates.
pub const DATE_INFINITY: i32 = i32::MAX;
/// The timestamp before all timestamps.
pub const TIMESTAMP_NEG_INFINITY: i64 = i64::MIN;
/// The timestamp after all timestamps.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;

/// The first day: 4713-11-24 BC (Julian day 0).
pub const DATE_MIN: i32 = -2_440_588;
/// The last day: 5874897-12-31.
pub const DATE_MAX: i32 = 2_145_042_905;
/// The first microsecond of [`DATE_MIN`].
pub const TIMESTAMP_MIN: i64 = DATE_MIN as i64 * US_PER_DAY;
/// The last microsecond of 294246-12-31: PostgreSQL reaches 30 years further, as it counts from 2000.
pub const TIMESTAMP_MAX: i64 = 9_223_371_244_799_999_999;

/// Days since 1970-01-01 of a day of the Gregorian calendar; the month from 1 to 12, the day may be any.
pub fn days_from_civil(year: i32, month: u32, day: i32) -> i32 {
    // Years start in March here, so that the leap day is the last: era, year of era, day of year.
    let y = i64::from(year) - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((i64::from(month) + 9) % 12) + 2) / 5;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    (era * 146_097 + doe - 719_468 + i64::from(day) - 1) as i32
}

/// Year, month and day of a number of days since 1970-01-01.
pub fn civil_from_days(days: i32) -> (i32, u32, u32) {
    let z = i64::from(days) + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097) as u32;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = era as i32 * 400 + yoe as i32 + i32::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

/// Whether a year has a February 29.
pub fn is_leap_year(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month from 1 to 12.
pub fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Day of the week, 0 for Sunday.
pub fn weekday(days: i32) -> u32 {
    (i64::from(days) + 4).rem_euclid(7) as u32
}

/// Days since 1970-01-01 and microseconds since midnight of a timestamp.
pub fn split_timestamp(timestamp: i64) -> (i32, i64) {
    (timestamp.div_euclid(US_PER_DAY) as i32, timestamp.rem_euclid(US_PER_DAY))
}

/// Whether a timestamp is one of the infinities.
pub fn is_infinite(timestamp: i64) -> bool {
    timestamp == TIMESTAMP_INFINITY || timestamp == TIMESTAMP_NEG_INFINITY
}
